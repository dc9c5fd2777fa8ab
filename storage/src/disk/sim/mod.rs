//! A disk in memory on which everything that may go wrong does, as a seed decides.
//!
//! Guarantee: whatever [`Disk`] does not promise is not kept. The same seed and the same operations in the same order
//! give the same run, so that a failure found by chance can be replayed.
//!
//! 1. Each file has bytes that reads return and bytes that the medium holds; between the two lie the changes that no
//!    sync has covered. [`SimDisk::crash`] (power is lost) decides for each file whether all, none, the first or any
//!    of them have reached the medium, and tears writes at borders of 512 bytes or 4 KiB. The length of a file may
//!    have grown without its bytes: then a read past the last whole sector is short.
//! 2. Each folder has names in the same two ways: a created, renamed or removed name without `sync_dir` may be undone,
//!    and so may a new folder with all that is in it.
//! 3. [`SimDisk::kill`] (the process dies) loses nothing but the operations under way, which may be done or not.
//! 4. A sync that fails leaves a part of what it should have covered on the medium, and forgets the rest: later syncs
//!    succeed without it.
//!    A durable write is durable by itself: what was written to the file before it may still be lost.
//! 5. Each operation keeps its task waiting for a while ([`SimDisk::set_delays`]), so that tasks meet in every order;
//!    [`SimTasks`] runs them in one thread. A sync covers what was written before it began, not before it ended.
//!    A task that [works](crate::work) for long without an operation or a yield between is stopped by a panic.
//! 6. Space is counted in blocks of 4 KiB, for bytes written and reserved; [`SimDisk::set_capacity`] bounds it. It may
//!    be that none can be reserved ([`SimDisk::cannot_reserve`]), and that nothing can be changed
//!    ([`SimDisk::set_read_only`]).
//! 7. Failures come by chance ([`SimDisk::set_rates`]) or as planned ([`SimDisk::inject`]), and so do deaths: after any
//!    number of steps, or at a [`Moment`] ([`SimDisk::set_moment`], [`SimTasks::run_until`]).

mod fault;
mod folder;
mod inode;
mod random;
mod seeds;
mod tasks;
mod world;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

pub use fault::{Fault, FaultKind, FaultRates, Moment, Operation, SimCounts};
pub use seeds::{SimTally, few, soak};
pub use tasks::{SimEnd, SimTasks};

use super::{DISK_ALIGN, Disk, DiskFile, IO_BYTES_MAX, OpenMode};
use crate::error::Result;
use crate::work;
use inode::{Change, SECTOR};
use world::{BLOCK_BYTES, World};

/// A simulated disk; clones are handles of the same one.
#[derive(Debug, Clone)]
pub struct SimDisk {
    world: Rc<RefCell<World>>,
}

/// An open file of a [`SimDisk`]. After a [`SimDisk::kill`] or [`SimDisk::crash`] all its operations fail.
#[derive(Debug)]
pub struct SimFile {
    disk: SimDisk,
    number: u64,
    path: PathBuf,
    life: u64,
}

impl SimDisk {
    /// An empty disk without faults, delays or bound.
    pub fn new(seed: u64) -> Self {
        Self { world: Rc::new(RefCell::new(World::new(seed))) }
    }

    /// Most polls that an operation waits.
    pub fn set_delays(&self, polls_max: u32) {
        self.world.borrow_mut().delays_max = polls_max;
    }

    /// Operations fail by chance.
    pub fn set_rates(&self, rates: FaultRates) {
        self.world.borrow_mut().rates = rates;
    }

    /// Plans a failure, beside those that are planned.
    pub fn inject(&self, fault: Fault) {
        self.world.borrow_mut().faults.push(fault);
    }

    /// No failures are planned or come by chance any more. What they did stays done.
    pub fn heal(&self) {
        let mut world = self.world.borrow_mut();
        world.faults.clear();
        world.open_files_max = None;
        world.is_read_only = false;
        world.rates = FaultRates::default();
    }

    /// The moment that [`SimDisk::moment_has_come`] reports from now on; `None` for none.
    pub fn set_moment(&self, moment: Option<Moment>) {
        let mut world = self.world.borrow_mut();
        world.moment = moment;
        world.moment_has_come = false;
    }

    /// Whether the moment that was set last has come.
    pub fn moment_has_come(&self) -> bool {
        self.world.borrow().moment_has_come
    }

    /// At most as many files may be open at a time, until [`SimDisk::heal`]; `None` for any number.
    pub fn set_open_files_max(&self, count: Option<u64>) {
        self.world.borrow_mut().open_files_max = count;
    }

    /// Nothing can be changed any more, as on a file system that the kernel has mounted for reading after an error,
    /// until [`SimDisk::heal`].
    pub fn set_read_only(&self) {
        self.world.borrow_mut().is_read_only = true;
    }

    /// Space cannot be reserved, as on some file systems.
    pub fn cannot_reserve(&self) {
        self.world.borrow_mut().reserves = false;
    }

    /// Files that are open.
    pub fn open_files(&self) -> u64 {
        self.world.borrow().open_files()
    }

    /// Bytes of space there are; `None` for no bound.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.world.borrow_mut().capacity_blocks = bytes.map(|bytes| bytes / BLOCK_BYTES);
    }

    /// Whether there is a bound of space.
    pub fn is_bounded(&self) -> bool {
        self.world.borrow().capacity_blocks.is_some()
    }

    /// Bytes of space that files take.
    pub fn used_bytes(&self) -> u64 {
        self.world.borrow().used_blocks() * BLOCK_BYTES
    }

    /// The process dies. Futures of operations that were under way are to be dropped before.
    pub fn kill(&self) {
        self.world.borrow_mut().kill();
    }

    /// Power is lost. Futures of operations that were under way are to be dropped before.
    pub fn crash(&self) {
        self.world.borrow_mut().crash();
    }

    /// What has happened so far.
    pub fn counts(&self) -> SimCounts {
        self.world.borrow().counts
    }

    /// Paths of all files.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.world.borrow().paths()
    }

    /// The bytes of a file as reads see them; `None` where there is none.
    pub fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let world = self.world.borrow();
        Some(world.inode(world.find(path)?)?.cached.bytes.clone())
    }

    /// Changes of a file that a crash could undo.
    pub fn unsynced(&self, path: &Path) -> usize {
        let world = self.world.borrow();
        world.find(path).and_then(|number| world.inode(number)).map_or(0, inode::Inode::unsynced)
    }

    /// Puts a file in place as if it had always been there.
    pub fn import(&self, path: &Path, bytes: Vec<u8>) {
        self.world.borrow_mut().import(path, bytes);
    }

    /// Changes one bit of a file for good: the `bit % 8`-th of the byte at `offset`. False where there is no such byte.
    pub fn flip_bit(&self, path: &Path, offset: u64, bit: u8) -> bool {
        let mut world = self.world.borrow_mut();
        let Some(inode) = world.find(path).and_then(|number| world.inode_mut(number)) else { return false };
        let there = offset < inode.cached.bytes.len() as u64;
        inode.flip(offset, bit);
        there
    }

    /// Waits as an operation does.
    fn delay(&self) -> Delay {
        let mut world = self.world.borrow_mut();
        let most = u64::from(world.delays_max);
        Delay(world.random.below(most + 1) as u32, self.clone())
    }
}

/// Pending for a number of polls.
struct Delay(u32, SimDisk);

impl Future for Delay {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0 == 0 {
            return Poll::Ready(());
        }
        self.0 -= 1;
        self.1.world.borrow_mut().counts.delays += 1;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// An operation that may or may not be done when its future is dropped.
struct UnderWay<F: FnMut()>(Option<F>, SimDisk);

impl<F: FnMut()> UnderWay<F> {
    fn ended(mut self) {
        self.0 = None;
    }
}

impl<F: FnMut()> Drop for UnderWay<F> {
    fn drop(&mut self) {
        if let Some(mut act) = self.0.take() {
            let done = self.1.world.borrow_mut().random.coin();
            if done {
                act();
            }
        }
    }
}

impl SimDisk {
    /// Waits, then acts. If the future is dropped while it waits, the act is done or not, and nobody hears how it went.
    async fn act<T>(&self, mut act: impl FnMut(&mut World) -> Result<T>) -> Result<T> {
        let life = self.world.borrow().life;
        let unheard = || {
            let mut world = self.world.borrow_mut();
            let outcome = (world.life == life).then(|| act(&mut world));
            // What it gave may be a file, which closes when it is dropped.
            drop(world);
            drop(outcome);
        };
        let under_way = UnderWay(Some(unheard), self.clone());
        work::end_stretch("an operation of the disk");
        self.delay().await;
        under_way.ended();
        act(&mut self.world.borrow_mut())
    }
}

impl Disk for SimDisk {
    type File = SimFile;
    type Buffer = Vec<u8>;

    fn buffer(&self, length: usize) -> Vec<u8> {
        check_transfer(0, length);
        vec![0; length]
    }

    async fn open(&self, path: &Path, mode: OpenMode) -> Result<SimFile> {
        let open = |world: &mut World| {
            let number = world.open(path, mode)?;
            Ok(SimFile { disk: self.clone(), number, path: path.to_owned(), life: world.life })
        };
        self.act(open).await
    }

    async fn list(&self, folder: &Path) -> Result<Vec<String>> {
        self.act(|world| world.list(folder)).await
    }

    async fn create_dir(&self, folder: &Path) -> Result<()> {
        self.act(|world| world.create_dir(folder)).await
    }

    async fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.act(|world| world.rename(from, to)).await
    }

    async fn remove(&self, path: &Path) -> Result<()> {
        self.act(|world| world.remove(path)).await
    }

    async fn sync_dir(&self, folder: &Path) -> Result<()> {
        let until = self.world.borrow_mut().tick();
        self.act(|world| world.sync_dir(folder, until)).await
    }

    async fn yield_if_needed(&self) {
        // Whether it yields or not: it would if it had worked for long.
        work::end_stretch("a yield");
        let yields = self.world.borrow_mut().random.coin();
        Delay(u32::from(yields), self.clone()).await;
    }
}

impl SimFile {
    /// Waits, then acts on the file, unless it is of an earlier life.
    async fn act<T>(&self, what: &str, mut act: impl FnMut(&mut World) -> Result<T>) -> Result<T> {
        let act = |world: &mut World| {
            world.check_life(self.life, what, &self.path)?;
            act(world)
        };
        self.disk.act(act).await
    }

    /// A write that has reached the cache, and when, or fails, perhaps in part.
    fn change(&self, world: &mut World, offset: u64, bytes: &[u8], what: &str) -> Result<u64> {
        if let Some(kind) = world.fault(Operation::Write, &self.path).filter(|kind| kind.is_error()) {
            match kind {
                FaultKind::Io => world.write_in_part(self.number, offset, bytes),
                FaultKind::ShortWrite => world.write_first_part(self.number, offset, bytes, &self.path),
                _ => {}
            }
            return Err(world.failed(kind, what, &self.path));
        }
        world.change(self.number, Change::Write { offset, bytes: bytes.to_vec() }, what, &self.path)
    }
}

impl DiskFile for SimFile {
    type Buffer = Vec<u8>;
    type ReadBuffer = Vec<u8>;

    async fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        check_transfer(offset, length);
        let what = format!("read {length} bytes at offset {offset} of");
        let read = |world: &mut World| {
            let fault = world.fault(Operation::Read, &self.path);
            if let Some(kind) = fault.filter(|kind| kind.is_error()) {
                return Err(world.failed(kind, &what, &self.path));
            }
            let bytes = world.inode(self.number).map_or(&[][..], |inode| &inode.cached.bytes);
            let start = bytes.len().min(offset as usize);
            let mut bytes = bytes[start..bytes.len().min(start + length)].to_vec();
            if fault == Some(FaultKind::ShortRead) {
                world.counts.short_reads += 1;
                let sectors = world.random.below(bytes.len().div_ceil(SECTOR) as u64) as usize;
                bytes.truncate(sectors * SECTOR);
            } else if fault.is_some() && !bytes.is_empty() {
                world.counts.flipped_bits += 1;
                let bit = world.random.below(bytes.len() as u64 * 8);
                bytes[bit as usize / 8] ^= 1 << (bit % 8);
            }
            Ok(bytes)
        };
        self.act(&what, read).await
    }

    async fn write(&self, offset: u64, buffer: Vec<u8>) -> Result<()> {
        check_transfer(offset, buffer.len());
        let what = format!("write {} bytes at offset {offset} of", buffer.len());
        self.act(&what, |world| self.change(world, offset, &buffer, &what).map(drop)).await
    }

    async fn write_durable(&self, offset: u64, buffer: Vec<u8>) -> Result<()> {
        check_transfer(offset, buffer.len());
        let what = format!("write {} bytes at offset {offset} of", buffer.len());
        let sequence = self.act(&what, |world| self.change(world, offset, &buffer, &what)).await?;
        let settle = |world: &mut World| {
            if let Some(kind) = world.fault(Operation::Sync, &self.path).filter(|kind| kind.is_error()) {
                world.fail_durable(self.number, sequence);
                return Err(world.failed(kind, &what, &self.path));
            }
            if let Some(inode) = world.inode_mut(self.number) {
                inode.make_durable(sequence);
            }
            Ok(())
        };
        self.act(&what, settle).await
    }

    async fn sync(&self) -> Result<()> {
        let until = self.disk.world.borrow_mut().tick();
        let sync = |world: &mut World| {
            if let Some(kind) = world.fault(Operation::Sync, &self.path).filter(|kind| kind.is_error()) {
                world.fail_sync(self.number, until);
                return Err(world.failed(kind, "sync", &self.path));
            }
            if let Some(inode) = world.inode_mut(self.number) {
                inode.sync(until);
            }
            Ok(())
        };
        self.act("sync", sync).await
    }

    async fn allocate(&self, length: u64) -> Result<()> {
        let what = format!("allocate {length} bytes for");
        let allocate = |world: &mut World| {
            world.check(Operation::Allocate, &what, &self.path)?;
            world.check_reserves(&what, &self.path)?;
            world.change(self.number, Change::Allocate(length), &what, &self.path).map(drop)
        };
        self.act(&what, allocate).await
    }

    async fn length(&self) -> Result<u64> {
        let length =
            |world: &mut World| Ok(world.inode(self.number).map_or(0, |inode| inode.cached.bytes.len() as u64));
        self.act("read the length of", length).await
    }

    async fn truncate(&self, length: u64) -> Result<()> {
        let what = format!("truncate to {length} bytes");
        let truncate = |world: &mut World| {
            world.check(Operation::Truncate, &what, &self.path)?;
            world.change(self.number, Change::Truncate(length), &what, &self.path).map(drop)
        };
        self.act(&what, truncate).await
    }

    async fn close(self) -> Result<()> {
        Ok(())
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut world = self.disk.world.borrow_mut();
        if world.life == self.life {
            world.closed(self.number);
        }
    }
}

/// Invariant 1 of [`Disk`]: a transfer that breaks it is a bug of the caller.
fn check_transfer(offset: u64, length: usize) {
    assert!(
        offset.is_multiple_of(DISK_ALIGN as u64) && length.is_multiple_of(DISK_ALIGN) && length <= IO_BYTES_MAX,
        "BUG: transfer of {length} bytes at offset {offset} breaks the alignment or the bound of a transfer"
    );
}
