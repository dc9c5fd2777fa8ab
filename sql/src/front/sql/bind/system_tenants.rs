//! Tables about tenants: who is in them with which role, what roles may do, what runs and what was counted.
//!
//! An owner of the tenant at hand and an administrator see all of it; a member sees what is about himself, and who the
//! other members are.

use arrow_schema::{DataType, TimeUnit};
use tidewire_storage::schema::{
    Access, Bucket, DEFAULT_TENANT, DROP_NEVER, Limiter, ObjectLimits, RequestKind, SystemRole, Tenant, TenantOptions,
};

use super::binder::Binder;
use super::system::{SystemTable, TEXT, push_json, text};
use crate::expr::Scalar;
use crate::facts::RunningQuery;

const TENANTS: &[(&str, DataType)] = &[("tenant_name", TEXT), ("tenant_options", TEXT)];

const MEMBERS: &[(&str, DataType)] = &[("user_name", TEXT), ("role_name", TEXT)];

const ROLES: &[(&str, DataType)] = &[("role_name", TEXT), ("role_type", TEXT), ("inherit_role", TEXT)];

const ENABLED_ROLES: &[(&str, DataType)] = &[("role_name", TEXT)];

const DATABASE_PRIVILEGES: &[(&str, DataType)] =
    &[("tenant_name", TEXT), ("database_name", TEXT), ("privilege_type", TEXT), ("role_name", TEXT)];

const QUERIES: &[(&str, DataType)] = &[
    ("query_id", TEXT),
    ("query_type", TEXT),
    ("query_text", TEXT),
    ("user_id", TEXT),
    ("user_name", TEXT),
    ("tenant_id", TEXT),
    ("tenant_name", TEXT),
    ("database_name", TEXT),
    ("state", TEXT),
    ("duration", DataType::Float64),
    ("processed_count", DataType::UInt64),
    ("error_count", DataType::UInt64),
];

const SHOWN_QUERIES: &[(&str, DataType)] = &[
    ("query_id", TEXT),
    ("query_type", TEXT),
    ("query_text", TEXT),
    ("user_name", TEXT),
    ("tenant_name", TEXT),
    ("database_name", TEXT),
    ("state", TEXT),
    ("duration", DataType::Float64),
];

const TIME: DataType = DataType::Timestamp(TimeUnit::Nanosecond, None);

/// Meters of requests.
const OF_REQUESTS: &[(&str, DataType)] = &[
    ("time", TIME),
    ("api", TEXT),
    ("database", TEXT),
    ("host", TEXT),
    ("node_id", TEXT),
    ("tenant", TEXT),
    ("user", TEXT),
    ("value", DataType::UInt64),
];

/// Meters of what databases took and gave.
const OF_DATABASES: &[(&str, DataType)] =
    &[("time", TIME), ("database", TEXT), ("node_id", TEXT), ("tenant", TEXT), ("value", DataType::UInt64)];

/// This server is the only one of its kind that a client sees.
const NODE: &str = "0";

impl Binder<'_> {
    pub(super) fn system_tenants(&self) -> SystemTable {
        let rows = match self.session.rights.is_admin() {
            true => self.catalog.all_tenants().map(|tenant| vec![text(&tenant.name), text(options(&tenant))]).collect(),
            false => Vec::new(),
        };
        SystemTable { columns: TENANTS, rows }
    }

    fn tenant_at_hand(&self) -> Option<std::sync::Arc<Tenant>> {
        self.catalog.tenant(&self.session.tenant)
    }

    fn maintains(&self) -> bool {
        self.session.rights.maintains(&self.session.tenant)
    }

    pub(super) fn system_members(&self) -> SystemTable {
        let tenant = self.tenant_at_hand().filter(|_| self.maintains() || self.session.role().is_some());
        let members = tenant.iter().flat_map(|tenant| &tenant.members);
        let rows = members.map(|(user, role)| vec![text(user), text(role)]).collect();
        SystemTable { columns: MEMBERS, rows }
    }

    pub(super) fn system_roles(&self) -> SystemTable {
        let mut rows = Vec::new();
        if let Some(tenant) = self.tenant_at_hand().filter(|_| self.maintains()) {
            for role in [SystemRole::Owner, SystemRole::Member] {
                rows.push(vec![text(role.name()), text("system"), Scalar::Null]);
            }
            for (name, role) in &tenant.roles {
                let inherits = role.inherits.map_or(Scalar::Null, |role| text(role.name()));
                rows.push(vec![text(name), text("custom"), inherits]);
            }
        }
        SystemTable { columns: ROLES, rows }
    }

    pub(super) fn system_enabled_roles(&self) -> SystemTable {
        SystemTable {
            columns: ENABLED_ROLES,
            rows: self.session.role().map(|role| vec![text(role)]).into_iter().collect(),
        }
    }

    pub(super) fn system_database_privileges(&self) -> SystemTable {
        let (maintains, own) = (self.maintains(), self.session.role());
        let mut rows = Vec::new();
        if let Some(tenant) = self.tenant_at_hand() {
            for (name, role) in tenant.roles.iter().filter(|(name, _)| maintains || own == Some(&***name)) {
                for (database, access) in &role.privileges {
                    let privilege = match *access {
                        access if access.has(Access::DEFINE) => "All",
                        access if access.has(Access::WRITE) => "Write",
                        _ => "Read",
                    };
                    rows.push([&tenant.name, &**database, privilege, &**name].into_iter().map(text).collect());
                }
            }
        }
        SystemTable { columns: DATABASE_PRIVILEGES, rows }
    }

    /// Statements that who asks may see: an administrator all, an owner those of the tenant, others their own.
    fn seen_queries(&self) -> impl Iterator<Item = &RunningQuery> {
        let (is_admin, maintains) = (self.session.rights.is_admin(), self.maintains());
        let session = self.session;
        self.session.facts.queries.iter().filter(move |query| {
            let here = query.tenant == session.tenant;
            is_admin || here && (maintains || query.user == session.user)
        })
    }

    pub(super) fn system_queries(&self) -> SystemTable {
        let row = |query: &RunningQuery| {
            let [id, kind, statement] = query_head(query);
            let (user, tenant) = (text(&query.user), text(&query.tenant));
            let place = [user.clone(), user, tenant.clone(), tenant, text(&query.database), text("SCHEDULING")];
            let counts = [seconds(query), Scalar::UInt(0), Scalar::UInt(0)];
            [id, kind, statement].into_iter().chain(place).chain(counts).collect()
        };
        SystemTable { columns: QUERIES, rows: self.seen_queries().map(row).collect() }
    }

    /// SHOW QUERIES.
    pub(super) fn shown_queries(&self) -> SystemTable {
        let row = |query: &RunningQuery| {
            let [id, kind, statement] = query_head(query);
            let place = [text(&query.user), text(&query.tenant), text(&query.database), text("SCHEDULING")];
            [id, kind, statement].into_iter().chain(place).chain([seconds(query)]).collect()
        };
        SystemTable { columns: SHOWN_QUERIES, rows: self.seen_queries().map(row).collect() }
    }

    /// A meter of `usage_schema`: the default tenant sees those of all, and there only an administrator does.
    pub(super) fn system_usage(&self, meter: &str) -> Option<SystemTable> {
        let is_of_requests = meter.starts_with("http_");
        let is_known = RequestKind::ALL.iter().any(|kind| kind.name() == meter);
        if !is_known {
            return None;
        }
        let (is_admin, maintains) = (self.session.rights.is_admin(), self.maintains());
        let sees_all = is_admin && self.session.tenant == DEFAULT_TENANT;
        let seen =
            self.session.facts.usage.iter().filter(|usage| {
                usage.meter == meter && (sees_all || (maintains && usage.tenant == self.session.tenant))
            });
        let time = Scalar::Time(self.session.now_ns, TimeUnit::Nanosecond);
        let rows = seen.map(|usage| match is_of_requests {
            true => {
                let place = [usage.api, &usage.database, "", NODE, &usage.tenant, &usage.user].map(text);
                std::iter::once(time.clone()).chain(place).chain([Scalar::UInt(usage.value)]).collect()
            }
            false => {
                let place = [&usage.database, NODE, &usage.tenant].map(text);
                std::iter::once(time.clone()).chain(place).chain([Scalar::UInt(usage.value)]).collect()
            }
        });
        let columns = if is_of_requests { OF_REQUESTS } else { OF_DATABASES };
        Some(SystemTable { columns, rows: rows.collect() })
    }
}

fn query_head(query: &RunningQuery) -> [Scalar; 3] {
    [text(query.id.to_string()), text("batch"), text(&query.text)]
}

fn seconds(query: &RunningQuery) -> Scalar {
    Scalar::Float(query.elapsed_ns as f64 / 1e9)
}

/// What was said of a tenant, as the reference writes it.
fn options(tenant: &Tenant) -> String {
    let TenantOptions { comment, drop_after_ns, limiter } = &tenant.options;
    let mut out = "{\"comment\":".to_owned();
    match comment {
        Some(comment) => push_json(&mut out, comment),
        None => out.push_str("null"),
    }
    out.push_str(",\"limiter_config\":");
    match limiter {
        Some(limiter) => push_limiter(&mut out, limiter),
        None => out.push_str("null"),
    }
    out.push_str(",\"drop_after\":");
    match *drop_after_ns {
        Some(ns) => {
            let (secs, nanos) = if ns == DROP_NEVER { (0, 0) } else { (ns / 1_000_000_000, ns % 1_000_000_000) };
            let is_inf = ns == DROP_NEVER;
            out.push_str(&format!("{{\"duration\":{{\"secs\":{secs},\"nanos\":{nanos}}},\"is_inf\":{is_inf}}}"));
        }
        None => out.push_str("null"),
    }
    out.push_str(",\"tenant_is_hidden\":false}");
    out
}

fn push_limiter(out: &mut String, limiter: &Limiter) {
    out.push_str("{\"object_config\":");
    match &limiter.objects {
        Some(ObjectLimits { users_max, databases_max, shards_max, replicas_max, retention_days_max }) => {
            let limits = [
                ("max_users_number", users_max),
                ("max_databases", databases_max),
                ("max_shard_number", shards_max),
                ("max_replicate_number", replicas_max),
                ("max_retention_time", retention_days_max),
            ];
            let limits = limits.map(|(name, limit)| {
                let limit = limit.map_or("null".to_owned(), |limit| limit.to_string());
                format!("\"{name}\":{limit}")
            });
            out.push_str(&format!("{{{}}}", limits.join(",")));
        }
        None => out.push_str("null"),
    }
    let buckets = RequestKind::ALL.map(|kind| {
        let bucket = limiter.requests.get(&kind).map_or("null".to_owned(), |bucket| {
            let Bucket { remote_max, remote_initial, remote_refill, remote_interval, local_max, local_initial } = bucket;
            format!(
                "{{\"remote_bucket\":{{\"max\":{remote_max},\"initial\":{remote_initial},\"refill\":{remote_refill},\
                 \"interval\":{remote_interval}}},\"local_bucket\":{{\"max\":{local_max},\"initial\":{local_initial}}}}}"
            )
        });
        format!("\"{}\":{bucket}", kind.name())
    });
    out.push_str(&format!(",\"request_config\":{{{}}}}}", buckets.join(",")));
}
