//! What is to go wrong on a simulated disk.

/// An operation of [`Disk`](crate::disk::Disk) or [`DiskFile`](crate::disk::DiskFile).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Opening a file that is there.
    Open,
    /// Making a file.
    Create,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Syncing a file.
    Sync,
    /// Reserving space.
    Allocate,
    /// Setting the length.
    Truncate,
    /// Renaming.
    Rename,
    /// Removing a name.
    Remove,
    /// Making a folder.
    CreateDir,
    /// Syncing a folder.
    SyncDir,
    /// Listing a folder.
    List,
}

impl Operation {
    /// Whether a file system that is mounted for reading refuses it.
    pub(super) fn changes_something(self) -> bool {
        !matches!(self, Self::Open | Self::Read | Self::Sync | Self::SyncDir | Self::List)
    }
}

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// EIO. A write may have been done in part; what a sync should have covered is on the medium in part, and the rest
    /// never will be, whatever later syncs say.
    Io,
    /// ENOSPC, and nothing is done (a sync fails as with [`FaultKind::Io`]).
    NoSpace,
    /// One bit of what a read returns is wrong, on this one occasion.
    FlippedBit,
    /// A read gives only the first of the bytes that are there, on this one occasion, which a disk must not do.
    ShortRead,
    /// A write ends early: its first sectors are done, the file may have grown by them, and then there is EIO. Others
    /// fail with EIO.
    ShortWrite,
    /// EROFS, and nothing is done.
    ReadOnly,
}

impl FaultKind {
    /// Whether an operation that it befalls fails, and is not only done wrong.
    pub(super) fn is_error(self) -> bool {
        !matches!(self, Self::FlippedBit | Self::ShortRead)
    }
}

/// A failure of operations on certain files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The operation.
    pub operation: Operation,
    /// Files or folders whose path contains this.
    pub path_part: String,
    /// How it fails.
    pub kind: FaultKind,
    /// Such operations that go well before.
    pub after: u32,
    /// Such operations that fail then; `u32::MAX` until [`SimDisk::heal`](super::SimDisk::heal).
    pub times: u32,
}

impl Fault {
    /// The next such operation fails.
    pub fn next(operation: Operation, path_part: &str, kind: FaultKind) -> Self {
        Self { operation, path_part: path_part.to_owned(), kind, after: 0, times: 1 }
    }

    /// All such operations fail from now on.
    pub fn lasting(operation: Operation, path_part: &str, kind: FaultKind) -> Self {
        Self { times: u32::MAX, ..Self::next(operation, path_part, kind) }
    }
}

/// A moment in what a disk does, for a process to die at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// The operation that has just been tried; a removal has just been done.
    pub operation: Operation,
    /// Files or folders whose path contains this.
    pub path_part: String,
    /// Such operations that come before.
    pub after: u32,
}

/// Failures by chance, in ten thousandths of the operations of a kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FaultRates {
    /// Reads that fail with EIO.
    pub read: u32,
    /// Reads of which one bit is wrong.
    pub flipped_bit: u32,
    /// Reads that give fewer bytes than there are.
    pub short_read: u32,
    /// Writes that fail with EIO.
    pub write: u32,
    /// Syncs of files that fail with EIO.
    pub sync: u32,
    /// Opening, making, renaming, removing, listing and syncing of names that fails with EIO.
    pub names: u32,
}

impl FaultRates {
    pub(super) fn of(&self, operation: Operation) -> u32 {
        match operation {
            Operation::Read => self.read,
            Operation::Write | Operation::Allocate | Operation::Truncate => self.write,
            Operation::Sync => self.sync,
            _ => self.names,
        }
    }
}

/// What has happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SimCounts {
    /// Operations that were tried.
    pub operations: u64,
    /// Syncs of files that were tried.
    pub syncs: u64,
    /// Operations that failed with EIO.
    pub io_errors: u64,
    /// Operations that failed with ENOSPC.
    pub no_space: u64,
    /// Files that were not opened, since as many were open as may be.
    pub too_many_files: u64,
    /// Reads with a wrong bit.
    pub flipped_bits: u64,
    /// Reads that gave fewer bytes than there are.
    pub short_reads: u64,
    /// Writes of which only the first sectors were done.
    pub short_writes: u64,
    /// Operations that failed with EROFS.
    pub read_only: u64,
    /// Reservations that failed with EOPNOTSUPP.
    pub unsupported: u64,
    /// Losses of power.
    pub crashes: u64,
    /// Unsynced changes of files that a crash undid.
    pub lost_writes: u64,
    /// Unsynced writes of which a crash left a part.
    pub torn_writes: u64,
    /// Crashes after which a file held a later write, but not an earlier one.
    pub reordered: u64,
    /// Unsynced changes of names that a crash undid.
    pub lost_names: u64,
    /// Times an operation kept its task waiting.
    pub delays: u64,
}
