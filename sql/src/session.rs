//! Who asks.

use std::borrow::Cow;

use tidewire_storage::schema::{Rights, database_key};

use crate::facts::ServerFacts;

/// Who asks, and in what setting. `now_ns` makes `now()` one value for the whole statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Tenant: all databases that a statement names are its own.
    pub tenant: String,
    /// Database of names without one, as the tenant knows it.
    pub database: String,
    /// User.
    pub user: String,
    /// What the user may do: every name in a statement is looked up within these.
    pub rights: Rights,
    /// Time of the request, nanoseconds since the Unix epoch.
    pub now_ns: i64,
    /// What the server knows of itself, for tables about that; empty for a statement that reads none.
    pub facts: ServerFacts,
}

impl Session {
    /// The name under which the catalog keeps a database that a statement names.
    pub fn key<'d>(&self, database: &'d str) -> Cow<'d, str> {
        database_key(&self.tenant, database)
    }

    /// The name of the user's role in the tenant.
    pub fn role(&self) -> Option<&str> {
        match &self.rights {
            Rights::In(member) => member.tenant.role_of(&member.user.name),
            Rights::All | Rights::Of(_) | Rights::None => None,
        }
    }
}
