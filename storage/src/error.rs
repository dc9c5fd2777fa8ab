//! Storage errors: the world's failures carry path and operation, damage carries file and offset, and a request that
//! does not fit the schema says which column.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Result alias of the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in a shard.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused an operation on a file or folder.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// Verb phrase: `open`, `write 4096 bytes at offset 8192 of`.
        operation: String,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Bytes on disk are not what was written there.
    #[error("{} is damaged at offset {offset}: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// What does not hold.
        reason: String,
    },
    /// The data directory was written by a version this build cannot read, or for another shard layout.
    #[error("{}: {reason}", path.display())]
    Incompatible {
        /// The file that says so.
        path: PathBuf,
        /// What is found and what is wanted.
        reason: String,
    },
    /// The shard refuses writes since its log failed; nothing after that point was acknowledged.
    #[error("shard {shard} takes no writes since its log failed: {reason}")]
    LogFailed {
        /// Shard number.
        shard: u32,
        /// The first failure.
        reason: String,
    },
    /// The shard takes no writes while there is no space for them. It does again by itself when there is.
    #[error("shard {shard} takes no writes for want of space: {reason}")]
    NoSpace {
        /// Shard number.
        shard: u32,
        /// What there was no space for.
        reason: String,
    },
    /// The shard holds as much unwritten data as it may. The batch may be sent again later.
    #[error("shard {shard} has {held_bytes} bytes in memory, its bound is {limit_bytes}")]
    Overloaded {
        /// Shard number.
        shard: u32,
        /// What is held.
        held_bytes: u64,
        /// The bound.
        limit_bytes: u64,
    },
    /// Rows that wait for a flush lie in as many partitions as they may. The batch may be sent again later.
    #[error("shard {shard} has rows of {partitions} partitions in memory, its bound is {partitions_max}")]
    Crowded {
        /// Shard number.
        shard: u32,
        /// Partitions of all tables.
        partitions: usize,
        /// The bound.
        partitions_max: usize,
    },
    /// The shard is offline, since what it holds is damaged: it takes nothing and gives nothing until it is mended.
    #[error("shard {shard} is offline: {reason}")]
    ShardOffline {
        /// Shard number.
        shard: u32,
        /// What kept it from opening: file and offset, and what does not hold there.
        reason: String,
    },
    /// A row, or the key of a series, takes more than a log file: nothing of its batch was taken.
    #[error("{bytes} bytes of one row or series do not fit into a log file of {bytes_max} bytes")]
    RecordTooLarge {
        /// What it takes in the log.
        bytes: u64,
        /// Size of a log file.
        bytes_max: u64,
    },
    /// The table that a query was planned for was dropped: what has its name now is another one.
    #[error("table {table} was dropped while it was being read")]
    TableDropped {
        /// Its name.
        table: Arc<str>,
    },
    /// A batch does not fit what the shard knows.
    #[error("{0}")]
    Rejected(String),
    /// A scan wanted more memory than its budget.
    #[error("scan needs more than its {limit_bytes} bytes of memory")]
    ScanMemory {
        /// The bound that was hit.
        limit_bytes: u64,
    },
    /// The rows that a query began with are kept no longer: it took too long while others wrote, or its table was
    /// dropped.
    #[error("shard {shard} does not keep the rows any more that were there when the query began; run it again")]
    SnapshotGone {
        /// Shard number.
        shard: u32,
    },
    /// The shard is shutting down.
    #[error("shard is closed")]
    Closed,
}

impl Error {
    /// Wraps an operating-system error with what was tried and where.
    pub fn io(operation: impl Into<String>, path: &Path, source: std::io::Error) -> Self {
        Self::Io { operation: operation.into(), path: path.to_owned(), source }
    }

    /// Whether there was no space for it on the disk. The same may be tried again when there is.
    pub fn is_no_space(&self) -> bool {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        match self {
            Self::NoSpace { .. } => true,
            Self::Io { source, .. } => matches!(source.kind(), StorageFull | QuotaExceeded),
            _ => false,
        }
    }

    /// Whether a shard that cannot be opened for this is damaged: bytes are wrong, missing, or cannot be read. Other
    /// reasons (no permission, another version) are about the whole data folder or the host.
    pub fn is_damage(&self) -> bool {
        use std::io::ErrorKind::{NotFound, UnexpectedEof};
        match self {
            Self::Corrupt { .. } => true,
            Self::Io { source, .. } => {
                let bad_medium = source.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
                bad_medium || matches!(source.kind(), NotFound | UnexpectedEof)
            }
            _ => false,
        }
    }

    /// Whether the process or the host has no descriptor left for another file.
    pub(crate) fn is_too_many_files(&self) -> bool {
        use rustix::io::Errno;
        let none_left = [Errno::MFILE, Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
        matches!(self, Self::Io { source, .. } if none_left.contains(&source.raw_os_error()))
    }

    /// Whether the file system cannot do what was asked for, now or ever.
    pub(crate) fn is_unsupported(&self) -> bool {
        use rustix::io::Errno;
        let cannot = [Errno::OPNOTSUPP, Errno::NOSYS].map(|errno| Some(errno.raw_os_error()));
        matches!(self, Self::Io { source, .. } if cannot.contains(&source.raw_os_error()))
    }

    /// Whether a file is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    }

    /// Damage found at `offset` of `path`.
    pub fn corrupt(path: &Path, offset: u64, reason: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_owned(), offset, reason: reason.into() }
    }
}
