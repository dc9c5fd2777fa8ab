//! Who asks.

use tidewire_storage::schema::Rights;

/// Who asks, and in what setting. `now_ns` makes `now()` one value for the whole statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Tenant, for names in messages.
    pub tenant: String,
    /// Database of names without one.
    pub database: String,
    /// User.
    pub user: String,
    /// What the user may do: every name in a statement is looked up within these.
    pub rights: Rights,
    /// Time of the request, nanoseconds since the Unix epoch.
    pub now_ns: i64,
}
