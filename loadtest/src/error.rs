//! What can go wrong in the load generator, in two forms: the user's mistake (`Usage`) and the world's failure, which
//! always names what was being done.

use std::fmt::Display;
use std::io;

/// A failure that ends a command with a non-zero exit status.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command line asks for something that cannot be done.
    #[error("{0}")]
    Usage(String),
    /// A system call failed.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was being done, as the end of the sentence "cannot …".
        action: String,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The server answered, but not as the protocol or this command expects.
    #[error("{0}")]
    Reply(String),
    /// The run took place and what it shows is a failure: lost rows, refused requests.
    #[error("{0}")]
    Failed(String),
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Names the action that an I/O error interrupted.
pub(crate) trait Context<T> {
    /// `action` is the end of the sentence "cannot …".
    fn context<D: Display>(self, action: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for std::result::Result<T, E> {
    fn context<D: Display>(self, action: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|source| Error::Io { action: action().to_string(), source: source.into() })
    }
}
