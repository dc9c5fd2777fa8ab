//! The log of one shard: what was acknowledged is in it until a segment holds it.
//!
//! Guarantees:
//!
//! 1. [`Wal::durable`] returns only when the record is as safe as [`WalSync`] says. One commit is in flight at a time;
//!    the next takes everything that was queued meanwhile, so that under load many writers share one sync, and alone a
//!    writer waits for one.
//! 2. After a crash, [`recover`] gives back every record that was durable, in order. A commit that the crash cut short
//!    is cut off; damage to one that had been acknowledged is an error that names file and offset.
//! 3. When a write or a sync fails, nothing that it covered is acknowledged and the log takes no records: a failed sync
//!    leaves unknown what is on disk, and a second one that succeeds would not say otherwise. [`Wal::heal`] begins
//!    anew, on a new file that has proved itself, when all records are in segments.
//! 4. Without space for a new file the log refuses records, keeps those that it has, and goes on when there is space.
//!
//! How: [`record`] archives a batch's rows with narrowed columns ([`pack`]), [`delete`] a delete; [`writer`] joins
//! records to a frame per commit and writes it into the active of a few preallocated files; [`reader`] replays them,
//! [`observe`] only looks at them, [`cut`] ends a damaged log; [`folder`] says what lies where, [`frame`] what the
//! bytes mean. Files are filled with zeros once and then recycled, so that on the hot path no write changes the size or
//! the extents of a file and a sync has no journal to wait for.

pub(crate) mod cut;
mod delete;
mod folder;
mod frame;
mod observe;
mod pack;
mod reader;
mod record;
mod writer;

pub use cut::LogCut;
pub use delete::Delete;
pub(crate) use delete::{bitmap_bytes, bitmap_of};
pub use folder::{Full, Named, Recovered};
pub use frame::record_bytes_beside_row;
pub use observe::{CopiedLog, LogFile, LogFrame, LogSummary, copy_log, read_log};
pub use pack::RECORD_ROWS_MAX;
pub use reader::{Record, recover};
pub use record::{Rows, RowsRef};
pub use writer::{Mark, Wal, WalConfig, WalStats};

/// Log sequence number: position of a record in a shard's log, from 1 on. 0 stands before all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The position after this one.
    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The position before this one.
    pub(crate) fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// When a write is acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WalSync {
    /// After its log record was synced: it survives power loss.
    #[default]
    Always,
    /// After its log record was written; the caller syncs now and then. It survives a crash of the process, and power
    /// loss but for the last interval.
    Interval,
    /// At once. It survives what the operating system wrote before the crash.
    Off,
}
