//! What a request says of names in its statements.

/// What names of a request's statements that say less are completed with.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    /// `db`
    pub(super) database: String,
    /// `rp`; empty for the default one.
    pub(super) policy: String,
    /// The text is so long that to bind its statements takes long, too.
    pub(super) is_long: bool,
}
