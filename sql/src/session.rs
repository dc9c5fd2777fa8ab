//! Who asks.

/// Who asks, and in what setting. `now_ns` makes `now()` one value for the whole statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Tenant, for names in messages.
    pub tenant: String,
    /// Database of names without one.
    pub database: String,
    /// User.
    pub user: String,
    /// Time of the request, nanoseconds since the Unix epoch.
    pub now_ns: i64,
}
