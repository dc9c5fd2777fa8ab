//! The one place where requests are let in.
//!
//! 1. [`principal`]: whose request it is, by its credentials. [`admit`]: whether its endpoint may be used, by what the
//!    table's columns for the privilege and the database say.
//! 2. [`enter_tenant`]: what he may do in the tenant that it is about, if that is there and he is in it.
//! 3. [`admit_statements`]: what each statement of InfluxQL needs, before the first of a request is run. Of a statement
//!    of SQL the binder asks the same with the rights that its session has, name by name (`sql::session`).
//!
//! With `auth.enabled = false` nobody is asked anything, and none of this costs a write more than one comparison.

use std::net::IpAddr;

use tidewire_protocol::http::{Head, Query};
use tidewire_sql::influxql::Statement;
use tidewire_storage::schema::{Access, Catalog, DEFAULT_TENANT, Need};

use super::context::{DEFAULT_USER, RequestContext};
use super::endpoint::{Endpoint, Family, Privilege};
use super::fault::{Fault, Forbidden};
use crate::auth::credentials::{claimed_user, credentials};
use crate::auth::denial::Denial;
use crate::auth::logins::Logins;
use crate::auth::principal::Principal;
use crate::core::state::CoreState;
use crate::core::usage::{Used, Whose};
use tidewire_base::config::MonitorAccess;

/// Whose request it is.
pub(super) async fn principal(
    core: &CoreState,
    logins: &Logins,
    endpoint: &Endpoint,
    head: &Head<'_>,
    address: Option<IpAddr>,
) -> Result<Principal, Fault> {
    let auth = &core.config.auth;
    if !auth.enabled {
        return Ok(Principal::Anybody);
    }
    match endpoint.privilege {
        Privilege::Ping => return Ok(Principal::Guest),
        Privilege::Monitor if auth.monitor == MonitorAccess::Anyone => return Ok(Principal::Guest),
        Privilege::Monitor | Privilege::Write | Privilege::Read | Privilege::Statements => {}
    }
    let catalog = core.catalog();
    if catalog.users.is_empty() {
        return match endpoint.privilege {
            // The statements say whether they make the first user.
            Privilege::Statements if endpoint.family == Family::Influx => Ok(Principal::First),
            _ => Err(Denial::NoUsers.into()),
        };
    }
    let query = Query::new(head.query);
    let given = credentials(head, &query, endpoint.family == Family::Influx)?;
    Ok(Principal::User(logins.user(given, &catalog, address).await?))
}

/// Whose request it is while nobody is asked: anybody's. But on the routes on which CnosDB looks for a name then, too,
/// one who names a member of a tenant has what the member has: so roles can be tried out before `auth.enabled`.
fn claimed(context: &RequestContext<'_>, catalog: &Catalog, tenant: &str) -> Option<Principal> {
    if catalog.tenants.is_empty() || catalog.users.is_empty() || !context.endpoint.family.has_tenants() {
        return None;
    }
    let user = claimed_user(context.head).and_then(|name| catalog.users.get(&name).cloned())?;
    // A user who is a member of nothing is anybody in the tenant in which that was enough before there were others.
    let is_member = || catalog.tenant(tenant).is_some_and(|tenant| tenant.role_of(&user.name).is_some());
    (!user.is_admin && (tenant != DEFAULT_TENANT || is_member())).then(|| Principal::User(user.clone()))
}

/// Looks up what the principal may do in the tenant that the request is about.
pub(super) fn enter_tenant(context: &mut RequestContext<'_>) -> Result<(), Fault> {
    let tenant = context.tenant()?;
    let (claimed, rights) = context.core.with_catalog(|catalog| {
        if begun(context).is_none() {
            return (None, context.principal.rights(catalog, DEFAULT_TENANT));
        }
        let is_anybody = matches!(context.principal, Principal::Anybody);
        let claimed = if is_anybody { claimed(context, catalog, &tenant) } else { None };
        let rights = claimed.as_ref().unwrap_or(&context.principal).rights(catalog, &tenant);
        (claimed, rights)
    });
    context.rights = rights?;
    if let Some(claimed) = claimed {
        context.principal = claimed;
    }
    context.tenant = Some(tenant);
    Ok(())
}

/// Takes the request from what its tenant may use. Those of the default tenant have no bounds of this kind.
pub(super) fn admit_use(context: &RequestContext<'_>) -> Result<(), Fault> {
    let (Some(used), tenant) = (begun(context), context.tenant()?) else { return Ok(()) };
    if tenant == DEFAULT_TENANT {
        return Ok(());
    }
    let Some(tenant) = context.core.catalog().tenant(&tenant) else { return Ok(()) };
    let admitted = context.core.usage.admit(&tenant, used, context.now_ns);
    admitted.map_err(|kind| Fault::OverLimit { tenant: tenant.name.to_string(), kind })
}

/// Counts what a request has come to that was let in.
pub(super) fn count_use(context: &RequestContext<'_>, bytes_in: u64, bytes_out: u64) {
    // A request whose parameters cannot be read was answered with that.
    let (Some(used), Ok(tenant), Ok(database)) = (begun(context), context.tenant(), context.database()) else { return };
    context.core.with_catalog(|catalog| {
        let database = catalog.databases.get(&database).map_or("", |database| &database.name);
        let whose = Whose {
            api: context.endpoint.pattern,
            tenant: &tenant,
            database,
            user: context.principal.user().unwrap_or(DEFAULT_USER),
        };
        context.core.usage.count(whose, Used { bytes_in, bytes_out, ..used });
        if tenant != DEFAULT_TENANT
            && let Some(tenant) = catalog.tenant(&tenant)
        {
            context.core.usage.take(&tenant, Used { bytes_in, bytes_out, ..Used::default() }, context.now_ns);
        }
    });
}

/// What a request uses to begin with; `None` for one that neither reads nor writes rows.
fn begun(context: &RequestContext<'_>) -> Option<Used> {
    match context.endpoint.privilege {
        Privilege::Write => Some(Used { writes: 1, ..Used::default() }),
        Privilege::Read | Privilege::Statements => Some(Used { queries: 1, ..Used::default() }),
        Privilege::Ping | Privilege::Monitor => None,
    }
}

/// Whether the principal may use the endpoint; what its statements need is seen when they are known.
pub(super) fn admit(context: &RequestContext<'_>) -> Result<(), Fault> {
    if matches!(context.principal, Principal::Anybody) {
        return Ok(());
    }
    match context.endpoint.privilege {
        Privilege::Ping | Privilege::Statements => Ok(()),
        Privilege::Write => context.require(Need::of(context.database()?, Access::WRITE), None),
        Privilege::Read => context.require(Need::of(context.database()?, Access::READ), None),
        Privilege::Monitor => match context.core.config.auth.monitor {
            MonitorAccess::Admins => context.require(Need::Admin, None),
            MonitorAccess::Users | MonitorAccess::Anyone => Ok(()),
        },
    }
}

/// Whether the principal may run all of `statements`, in a request for `database`.
pub(super) fn admit_statements(
    context: &RequestContext<'_>,
    statements: &[Statement],
    database: &str,
) -> Result<(), Fault> {
    match context.principal {
        Principal::Anybody => Ok(()),
        // What comes with it is let in too, as InfluxDB has it: the client that makes the administrator is one.
        Principal::First => match statements.first() {
            Some(Statement::CreateUser { admin: true, .. }) => Ok(()),
            _ => Err(Fault::AdminMissing),
        },
        Principal::User(_) | Principal::Guest => {
            for statement in statements {
                for need in statement.needs(database) {
                    context.require(need, Some(statement))?;
                }
            }
            Ok(())
        }
    }
}

impl RequestContext<'_> {
    /// Refuses what the principal may not do.
    fn require(&self, need: Need, statement: Option<&Statement>) -> Result<(), Fault> {
        if self.rights.allow(&need) {
            return Ok(());
        }
        let user = self.principal.user().unwrap_or_default().to_owned();
        let statement = statement.map(ToString::to_string);
        Err(Fault::Forbidden(Box::new(Forbidden { user, need, statement })))
    }
}
