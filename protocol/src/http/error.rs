//! A head that cannot be read.

/// A head that is refused. The reply carries `status`, and the connection closes after it, since where the next
/// request would begin is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {reason}")]
pub struct HeadError {
    /// 400, 413, 414, 417, 431, 501 or 505.
    pub status: u16,
    /// What was wrong, for the reply and the log.
    pub reason: &'static str,
}

pub(super) const fn refuse<T>(status: u16, reason: &'static str) -> Result<T, HeadError> {
    Err(HeadError { status, reason })
}
