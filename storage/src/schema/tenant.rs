//! Tenants as the catalog keeps them: who is a member with which role, what roles may do, and what a tenant may use.
//!
//! A database belongs to a tenant. The catalog keeps it under a name that has the tenant's in front of its own
//! ([`database_key`]), but that of the default tenant under its own name alone: so it stood before there were others.
//! All that is called by the name of its database is separate with it: tables, rows, grants, samples.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::user::{Access, User};

/// The tenant that is always there, and that requests mean which name none.
pub const DEFAULT_TENANT: &str = "cnosdb";

/// Stands between the names of a tenant and of its database. No client can have typed it into a name by chance, and
/// none may ([`database_key`]).
const SEPARATOR: char = '\u{1f}';

/// The name under which the catalog keeps `database` of `tenant`. One that would lead into another tenant leads
/// nowhere.
pub fn database_key<'d>(tenant: &str, database: &'d str) -> Cow<'d, str> {
    match tenant == DEFAULT_TENANT {
        true if !database.contains(SEPARATOR) => Cow::Borrowed(database),
        true => Cow::Owned(format!("{SEPARATOR}{database}")),
        false => Cow::Owned(format!("{tenant}{SEPARATOR}{database}")),
    }
}

/// The tenant and the database that a key of the catalog means.
pub fn tenant_and_database(key: &str) -> (&str, &str) {
    key.split_once(SEPARATOR).unwrap_or((DEFAULT_TENANT, key))
}

/// The name that its tenant knows a database by.
pub fn database_name(key: &str) -> &str {
    tenant_and_database(key).1
}

/// Whether a name could be taken for that of a database of a tenant.
pub fn is_reserved(name: &str) -> bool {
    name.contains(SEPARATOR)
}

/// One whose databases are separate from those of others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Name as written.
    pub name: Arc<str>,
    /// What was said of it.
    #[serde(default, skip_serializing_if = "TenantOptions::is_empty")]
    pub options: TenantOptions,
    /// Names of users and of their roles.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub members: BTreeMap<Arc<str>, Arc<str>>,
    /// Roles beside those that every tenant has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<Arc<str>, CustomRole>,
    /// It was dropped, and goes at this time (nanoseconds since 1970) unless it is recovered before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_at_ns: Option<i64>,
}

/// The roles that every tenant has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SystemRole {
    /// May do everything in the tenant.
    Owner,
    /// May read all its databases.
    Member,
}

impl SystemRole {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Member => "member",
        }
    }

    /// The role of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Owner, Self::Member].into_iter().find(|role| role.name() == name)
    }

    const fn access(self) -> Access {
        match self {
            Self::Owner => Access::ALL,
            Self::Member => Access::READ,
        }
    }
}

/// A role that a tenant has made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomRole {
    /// It may do what this one may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherits: Option<SystemRole>,
    /// By database, as the tenant knows it, what it may do beside that.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub privileges: BTreeMap<Arc<str>, Access>,
}

/// What was said of a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantOptions {
    /// A comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<Arc<str>>,
    /// How long a DROP that says nothing of it can be undone; [`DROP_NEVER`] for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop_after_ns: Option<i64>,
    /// What it may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limiter: Option<Limiter>,
}

/// A delay without end.
pub const DROP_NEVER: i64 = i64::MAX;

impl TenantOptions {
    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What the tenant may have, where that is bounded.
    pub fn object_limits(&self) -> Option<&ObjectLimits> {
        self.limiter.as_ref()?.objects.as_ref()
    }

    /// What its requests may use, where that is bounded.
    pub fn request_limits(&self) -> Option<&BTreeMap<RequestKind, Bucket>> {
        self.limiter.as_ref().map(|limiter| &limiter.requests).filter(|limits| !limits.is_empty())
    }
}

/// What a tenant may have, and what its requests may use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limiter {
    /// What it may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<ObjectLimits>,
    /// What its requests may use, by [`RequestKind`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<RequestKind, Bucket>,
}

/// What a tenant may have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectLimits {
    /// Members.
    pub users_max: Option<u64>,
    /// Databases.
    pub databases_max: Option<u64>,
    /// SHARD of a database.
    pub shards_max: Option<u64>,
    /// REPLICA of a database.
    pub replicas_max: Option<u64>,
    /// TTL of a database, in days.
    pub retention_days_max: Option<u64>,
}

/// What is counted of requests. The two families of names are the reference's: at the HTTP door, and behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the reference's")]
pub enum RequestKind {
    CoordDataIn,
    CoordDataOut,
    CoordQueries,
    CoordWrites,
    HttpDataIn,
    HttpDataOut,
    HttpQueries,
    HttpWrites,
}

impl RequestKind {
    /// All kinds, in the reference's order.
    pub const ALL: [Self; 8] = [
        Self::CoordDataIn,
        Self::CoordDataOut,
        Self::CoordQueries,
        Self::CoordWrites,
        Self::HttpDataIn,
        Self::HttpDataOut,
        Self::HttpQueries,
        Self::HttpWrites,
    ];

    /// Whether bytes are counted, not requests.
    pub const fn is_of_bytes(self) -> bool {
        matches!(self, Self::CoordDataIn | Self::CoordDataOut | Self::HttpDataIn | Self::HttpDataOut)
    }

    /// Its name in statements and in `usage_schema`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CoordDataIn => "coord_data_in",
            Self::CoordDataOut => "coord_data_out",
            Self::CoordQueries => "coord_queries",
            Self::CoordWrites => "coord_writes",
            Self::HttpDataIn => "http_data_in",
            Self::HttpDataOut => "http_data_out",
            Self::HttpQueries => "http_queries",
            Self::HttpWrites => "http_writes",
        }
    }
}

/// A bucket of tokens, and the small one that each server of the reference keeps before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// What it holds at most.
    pub remote_max: u64,
    /// What it holds at first.
    pub remote_initial: u64,
    /// What it gets in each interval.
    pub remote_refill: u64,
    /// The interval, in milliseconds.
    pub remote_interval: u64,
    /// What the small one holds at most.
    pub local_max: u64,
    /// What the small one holds at first.
    pub local_initial: u64,
}

impl Tenant {
    /// A tenant of that name with nobody in it.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            options: TenantOptions::default(),
            members: BTreeMap::new(),
            roles: BTreeMap::new(),
            gone_at_ns: None,
        }
    }

    /// Whether a member may have a role of that name.
    pub fn has_role(&self, name: &str) -> bool {
        SystemRole::of_name(name).is_some() || self.roles.contains_key(name)
    }

    /// The name of a user's role.
    pub fn role_of(&self, user: &str) -> Option<&str> {
        self.members.get(user).map(AsRef::as_ref)
    }

    /// What a user may do in the database of that key by its role.
    pub fn access(&self, user: &str, key: &str) -> Access {
        let (tenant, database) = tenant_and_database(key);
        let Some(role) = self.role_of(user).filter(|_| *tenant == *self.name) else { return Access::NONE };
        match (SystemRole::of_name(role), self.roles.get(role)) {
            (Some(role), _) => role.access(),
            (None, Some(role)) => {
                let inherited = role.inherits.map(SystemRole::access).unwrap_or_default();
                inherited | role.privileges.get(database).copied().unwrap_or_default()
            }
            (None, None) => Access::NONE,
        }
    }

    /// Whether a user may do everything in the tenant.
    pub fn is_owner(&self, user: &str) -> bool {
        let role = self.role_of(user);
        let inherits = |role: &str| self.roles.get(role).and_then(|role| role.inherits);
        role.is_some_and(|role| SystemRole::of_name(role).or_else(|| inherits(role)) == Some(SystemRole::Owner))
    }
}

/// A user in a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Who.
    pub user: Arc<User>,
    /// Where. An administrator need not be a member.
    pub tenant: Arc<Tenant>,
}

impl Membership {
    /// What the user may do in the database of that key: by what it was granted itself, and by its role.
    pub fn access(&self, key: &str) -> Access {
        self.user.access(key) | self.tenant.access(&self.user.name, key)
    }

    /// Whether the user may do everything in the tenant of that name.
    pub fn maintains(&self, tenant: &str) -> bool {
        self.user.is_admin || (*tenant == *self.tenant.name && self.tenant.is_owner(&self.user.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lead_into_their_tenant_and_into_no_other() {
        assert_eq!(database_key(DEFAULT_TENANT, "d"), "d");
        assert_eq!(tenant_and_database("d"), (DEFAULT_TENANT, "d"));
        let key = database_key("t", "d");
        assert_eq!((tenant_and_database(&key), database_name(&key)), (("t", "d"), "d"));
        assert_ne!(database_key(DEFAULT_TENANT, &key), key);
        assert_eq!(tenant_and_database(&database_key(DEFAULT_TENANT, &key)).0, "");
        assert_eq!(tenant_and_database(&database_key("u", &key)).0, "u");
        assert!(is_reserved(&key) && !is_reserved("d"));
    }

    #[test]
    fn roles_say_what_a_member_may_do_and_where() {
        let mut tenant = Tenant::new("t");
        let custom = |inherits, granted: &[(&str, Access)]| CustomRole {
            inherits,
            privileges: granted.iter().map(|(name, access)| ((*name).into(), *access)).collect(),
        };
        tenant.roles.insert("none".into(), custom(None, &[("d", Access::READ | Access::WRITE)]));
        tenant.roles.insert("reader".into(), custom(Some(SystemRole::Member), &[("d", Access::ALL)]));
        tenant.roles.insert("chief".into(), custom(Some(SystemRole::Owner), &[]));
        for (user, role) in [("o", "owner"), ("m", "member"), ("n", "none"), ("r", "reader"), ("c", "chief")] {
            tenant.members.insert(user.into(), role.into());
        }
        let (d, e) = (database_key("t", "d").into_owned(), database_key("t", "e").into_owned());
        for (user, in_d, in_e, is_owner) in [
            ("o", Access::ALL, Access::ALL, true),
            ("m", Access::READ, Access::READ, false),
            ("n", Access::READ | Access::WRITE, Access::NONE, false),
            ("r", Access::ALL, Access::READ, false),
            ("c", Access::ALL, Access::ALL, true),
            ("x", Access::NONE, Access::NONE, false),
        ] {
            let found = (tenant.access(user, &d), tenant.access(user, &e), tenant.is_owner(user));
            assert_eq!(found, (in_d, in_e, is_owner), "{user}");
            assert_eq!(tenant.access(user, "d"), Access::NONE, "{user}: the default tenant's");
            assert_eq!(tenant.access(user, &database_key("u", "d")), Access::NONE, "{user}: another tenant's");
        }
        tenant.roles.remove("none");
        assert_eq!(tenant.access("n", &d), Access::NONE, "a role that is gone lets nobody do anything");
        assert!(tenant.has_role("owner") && tenant.has_role("chief") && !tenant.has_role("none"));
    }
}
