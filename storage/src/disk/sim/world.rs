//! The state of a simulated disk and what each operation does to it, once it is its turn.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::fault::{Fault, FaultKind, FaultRates, Moment, Operation, SimCounts};
use super::folder::{Folder, NameChange};
use super::inode::{Change, Inode, SECTOR};
use super::random::Random;
use crate::disk::{DISK_ALIGN, OpenMode};
use crate::error::{Error, Result};

/// Everything behind the handles.
#[derive(Debug)]
pub(super) struct World {
    pub(super) random: Random,
    /// Counts deaths of the process; handles of an earlier one are dead.
    pub(super) life: u64,
    /// Orders changes and syncs.
    sequence: u64,
    pub(super) delays_max: u32,
    pub(super) rates: FaultRates,
    pub(super) faults: Vec<Fault>,
    pub(super) moment: Option<Moment>,
    pub(super) moment_has_come: bool,
    pub(super) capacity_blocks: Option<u64>,
    /// Files that may be open at a time; `None` for any number.
    pub(super) open_files_max: Option<u64>,
    /// Nothing can be changed.
    pub(super) is_read_only: bool,
    /// Space can be reserved.
    pub(super) reserves: bool,
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    folders: BTreeMap<PathBuf, Folder>,
    pub(super) counts: SimCounts,
}

fn os_error(errno: Errno) -> io::Error {
    io::Error::from(errno)
}

/// A path's folder and name.
fn split(path: &Path) -> Result<(PathBuf, String), Errno> {
    match (path.parent(), path.file_name().and_then(|name| name.to_str())) {
        (Some(folder), Some(name)) => Ok((folder.to_owned(), name.to_owned())),
        _ => Err(Errno::INVAL),
    }
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            life: 0,
            sequence: 0,
            delays_max: 0,
            rates: FaultRates::default(),
            faults: Vec::new(),
            moment: None,
            moment_has_come: false,
            capacity_blocks: None,
            open_files_max: None,
            is_read_only: false,
            reserves: true,
            inodes: BTreeMap::new(),
            next_inode: 1,
            folders: BTreeMap::new(),
            counts: SimCounts::default(),
        }
    }

    /// The moment at which an operation begins: a sync covers what was done before.
    pub(super) fn tick(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// Looks whether an operation makes the moment that is waited for.
    fn note(&mut self, operation: Operation, path: &Path) {
        let Some(moment) = &mut self.moment else { return };
        if moment.operation == operation && path.to_string_lossy().contains(&moment.path_part) {
            self.moment_has_come |= moment.after == 0;
            moment.after = moment.after.saturating_sub(1);
        }
    }

    /// Whether and how an operation is to fail.
    pub(super) fn fault(&mut self, operation: Operation, path: &Path) -> Option<FaultKind> {
        self.counts.operations += 1;
        self.counts.syncs += u64::from(operation == Operation::Sync);
        if operation != Operation::Remove {
            self.note(operation, path);
        }
        let text = path.to_string_lossy();
        let mut planned = None;
        for fault in self.faults.iter_mut().filter(|fault| fault.operation == operation) {
            if !text.contains(&fault.path_part) || fault.times == 0 {
                continue;
            }
            if fault.after > 0 {
                fault.after -= 1;
            } else if planned.is_none() {
                planned = Some(fault.kind);
                fault.times -= u32::from(fault.times != u32::MAX);
            }
        }
        self.faults.retain(|fault| fault.times > 0);
        if self.is_read_only && operation.changes_something() {
            planned = Some(FaultKind::ReadOnly);
        }
        let chance = self.rates.of(operation);
        planned.or_else(|| self.random.happens(chance).then_some(FaultKind::Io)).or_else(|| {
            let FaultRates { flipped_bit, short_read, .. } = self.rates;
            let kinds = [(flipped_bit, FaultKind::FlippedBit), (short_read, FaultKind::ShortRead)];
            let reads = kinds.into_iter().filter(|_| operation == Operation::Read);
            reads.filter(|(rate, _)| self.random.happens(*rate)).map(|(_, kind)| kind).next()
        })
    }

    /// The same for operations that fail without a trace.
    pub(super) fn check(&mut self, operation: Operation, what: &str, path: &Path) -> Result<()> {
        match self.fault(operation, path) {
            None | Some(FaultKind::FlippedBit | FaultKind::ShortRead) => Ok(()),
            Some(kind) => Err(self.failed(kind, what, path)),
        }
    }

    /// An error where space cannot be reserved.
    pub(super) fn check_reserves(&mut self, what: &str, path: &Path) -> Result<()> {
        if self.reserves {
            return Ok(());
        }
        self.counts.unsupported += 1;
        Err(self.refused(Errno::OPNOTSUPP, what, path))
    }

    pub(super) fn failed(&mut self, kind: FaultKind, what: &str, path: &Path) -> Error {
        let errno = match kind {
            FaultKind::NoSpace => Errno::NOSPC,
            FaultKind::ReadOnly => Errno::ROFS,
            FaultKind::Io | FaultKind::FlippedBit | FaultKind::ShortRead | FaultKind::ShortWrite => Errno::IO,
        };
        self.refused(errno, what, path)
    }

    fn refused(&mut self, errno: Errno, what: &str, path: &Path) -> Error {
        self.counts.io_errors += u64::from(errno == Errno::IO);
        self.counts.no_space += u64::from(errno == Errno::NOSPC);
        self.counts.read_only += u64::from(errno == Errno::ROFS);
        Error::io(what, path, os_error(errno))
    }

    /// The handle of an earlier life is of no use.
    pub(super) fn check_life(&self, life: u64, what: &str, path: &Path) -> Result<()> {
        if life == self.life { Ok(()) } else { Err(Error::io(what, path, os_error(Errno::BADF))) }
    }

    pub(super) fn open(&mut self, path: &Path, mode: OpenMode) -> Result<u64> {
        let (operation, what) = match mode {
            OpenMode::Create => (Operation::Create, "create"),
            OpenMode::Read | OpenMode::ReadWrite => (Operation::Open, "open"),
        };
        self.check(operation, what, path)?;
        let (folder, name) = split(path).map_err(|errno| Error::io(what, path, os_error(errno)))?;
        if self.open_files_max.is_some_and(|most| self.open_files() >= most) {
            self.counts.too_many_files += 1;
            return Err(Error::io(what, path, os_error(Errno::MFILE)));
        }
        let sequence = self.tick();
        let Some(folder) = self.folders.get_mut(&folder) else {
            return Err(Error::io(what, path, os_error(Errno::NOENT)));
        };
        let number = match (mode, folder.cached.get(&name)) {
            (OpenMode::Create, Some(_)) => return Err(Error::io(what, path, os_error(Errno::EXIST))),
            (OpenMode::Create, None) => {
                let number = self.next_inode;
                self.next_inode += 1;
                folder.change(NameChange::Set(name, number), sequence);
                self.inodes.insert(number, Inode::default());
                number
            }
            (_, None) => return Err(Error::io(what, path, os_error(Errno::NOENT))),
            (_, Some(number)) => *number,
        };
        if let Some(inode) = self.inodes.get_mut(&number) {
            inode.handles += 1;
        }
        Ok(number)
    }

    /// Open handles of all files.
    pub(super) fn open_files(&self) -> u64 {
        self.inodes.values().map(|inode| u64::from(inode.handles)).sum()
    }

    pub(super) fn closed(&mut self, number: u64) {
        if let Some(inode) = self.inodes.get_mut(&number) {
            inode.handles = inode.handles.saturating_sub(1);
        }
    }

    pub(super) fn inode(&self, number: u64) -> Option<&Inode> {
        self.inodes.get(&number)
    }

    pub(super) fn inode_mut(&mut self, number: u64) -> Option<&mut Inode> {
        self.inodes.get_mut(&number)
    }

    /// Makes a change if there is space for it, and gives the moment at which it was made.
    pub(super) fn change(&mut self, number: u64, change: Change, what: &str, path: &Path) -> Result<u64> {
        let needed = self.inodes.get(&number).map_or(0, |inode| inode.cached.blocks_needed(&change));
        if needed > 0 && self.free_blocks().is_some_and(|free| needed > free) {
            return Err(self.refused(Errno::NOSPC, what, path));
        }
        let sequence = self.tick();
        if let Some(inode) = self.inodes.get_mut(&number) {
            inode.change(change, sequence);
        }
        Ok(sequence)
    }

    /// A write that fails.
    pub(super) fn write_in_part(&mut self, number: u64, offset: u64, bytes: &[u8]) {
        let sequence = self.tick();
        if let Some(inode) = self.inodes.get_mut(&number) {
            inode.write_in_part(offset, bytes, sequence, &mut self.random);
        }
    }

    /// A write that ends early.
    pub(super) fn write_first_part(&mut self, number: u64, offset: u64, bytes: &[u8], path: &Path) {
        let sectors = self.random.below(bytes.len().div_ceil(SECTOR) as u64) as usize;
        let bytes = bytes[..sectors * SECTOR].to_vec();
        self.counts.short_writes += 1;
        // Without space there is less of it still.
        let _ = self.change(number, Change::Write { offset, bytes }, "write", path);
    }

    /// A sync that fails.
    pub(super) fn fail_sync(&mut self, number: u64, until: u64) {
        if let Some(inode) = self.inodes.get_mut(&number) {
            inode.fail_sync(until, &mut self.random);
        }
    }

    /// A durable write whose second half fails.
    pub(super) fn fail_durable(&mut self, number: u64, sequence: u64) {
        if let Some(inode) = self.inodes.get_mut(&number) {
            inode.fail_durable(sequence, &mut self.random);
        }
    }

    pub(super) fn free_blocks(&self) -> Option<u64> {
        Some(self.capacity_blocks?.saturating_sub(self.used_blocks()))
    }

    /// Blocks of files that have a name or an open handle.
    pub(super) fn used_blocks(&self) -> u64 {
        let named: BTreeSet<u64> = self.folders.values().flat_map(|folder| folder.cached.values().copied()).collect();
        let live = self.inodes.iter().filter(|(number, inode)| inode.handles > 0 || named.contains(number));
        live.map(|(_, inode)| inode.cached.blocks.len() as u64).sum()
    }

    pub(super) fn create_dir(&mut self, path: &Path) -> Result<()> {
        self.check(Operation::CreateDir, "create folder", path)?;
        for folder in path.ancestors() {
            // The root of everything is always there.
            let durable = folder.parent().is_none() || folder.as_os_str().is_empty();
            self.folders.entry(folder.to_owned()).or_insert_with(|| Folder::new(durable));
        }
        Ok(())
    }

    pub(super) fn list(&mut self, path: &Path) -> Result<Vec<String>> {
        self.check(Operation::List, "list", path)?;
        let folders = self.folders.keys().filter(|folder| folder.parent() == Some(path));
        let folders = folders.filter_map(|folder| Some(folder.file_name()?.to_str()?.to_owned()));
        let files = self.folders.get(path).into_iter().flat_map(|folder| folder.cached.keys().cloned());
        Ok(folders.chain(files).collect())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> Result<()> {
        let what = format!("rename to {}", to.display());
        self.check(Operation::Rename, &what, from)?;
        let refuse = |errno| Error::io(what.clone(), from, os_error(errno));
        let ((from_folder, from), (to_folder, to)) = (split(from).map_err(refuse)?, split(to).map_err(refuse)?);
        let number = self.folders.get(&from_folder).and_then(|folder| folder.cached.get(&from)).copied();
        let inode = number.ok_or_else(|| refuse(Errno::NOENT))?;
        let sequence = self.tick();
        let mut change = |folder: &Path, change: NameChange| match self.folders.get_mut(folder) {
            Some(folder) => {
                folder.change(change, sequence);
                Ok(())
            }
            None => Err(refuse(Errno::NOENT)),
        };
        if from_folder == to_folder {
            return change(&to_folder, NameChange::Rename { from, to, inode });
        }
        change(&to_folder, NameChange::Set(to, inode))?;
        change(&from_folder, NameChange::Remove(from))
    }

    pub(super) fn remove(&mut self, path: &Path) -> Result<()> {
        self.check(Operation::Remove, "remove", path)?;
        let refuse = |errno| Error::io("remove", path, os_error(errno));
        let (folder, name) = split(path).map_err(refuse)?;
        let sequence = self.tick();
        let folder = self.folders.get_mut(&folder).filter(|folder| folder.cached.contains_key(&name));
        folder.ok_or_else(|| refuse(Errno::NOENT))?.change(NameChange::Remove(name), sequence);
        self.forget_files_without_names();
        // One that finds nothing to remove is none.
        self.note(Operation::Remove, path);
        Ok(())
    }

    /// Names that were there at the moment `until` are durable, those of folders too.
    pub(super) fn sync_dir(&mut self, path: &Path, until: u64) -> Result<()> {
        self.check(Operation::SyncDir, "sync folder", path)?;
        let Some(folder) = self.folders.get_mut(path) else {
            return Err(Error::io("sync folder", path, os_error(Errno::NOENT)));
        };
        folder.sync(until);
        for (_, folder) in self.folders.iter_mut().filter(|(child, _)| child.parent() == Some(path)) {
            folder.durable = true;
        }
        Ok(())
    }

    /// Frees what no name, handle or crash can bring back.
    fn forget_files_without_names(&mut self) {
        let named: BTreeSet<u64> = self.folders.values().flat_map(Folder::inodes).collect();
        self.inodes.retain(|number, inode| inode.handles > 0 || named.contains(number));
    }

    /// The process dies: its handles are gone, and nothing else.
    pub(super) fn kill(&mut self) {
        self.life += 1;
        self.inodes.values_mut().for_each(|inode| inode.handles = 0);
        self.forget_files_without_names();
    }

    /// Power is lost.
    pub(super) fn crash(&mut self) {
        self.kill();
        self.counts.crashes += 1;
        for inode in self.inodes.values_mut() {
            let fared = inode.crash(&mut self.random);
            self.counts.lost_writes += fared.lost;
            self.counts.torn_writes += fared.torn;
            self.counts.reordered += u64::from(fared.reordered);
        }
        let mut lost = Vec::new();
        for (path, folder) in &mut self.folders {
            self.counts.lost_names += folder.crash(&mut self.random);
            if !folder.durable && self.random.coin() {
                self.counts.lost_names += 1;
                lost.push(path.clone());
            }
            // What has survived once is there.
            folder.durable = true;
        }
        self.folders.retain(|path, _| !lost.iter().any(|lost| path.starts_with(lost)));
        self.forget_files_without_names();
    }

    /// The number of the file that a path stands for.
    pub(super) fn find(&self, path: &Path) -> Option<u64> {
        let (folder, name) = split(path).ok()?;
        self.folders.get(&folder)?.cached.get(&name).copied()
    }

    /// Puts a durable file in place.
    pub(super) fn import(&mut self, path: &Path, bytes: Vec<u8>) {
        let Ok((folder, name)) = split(path) else { return };
        for ancestor in folder.ancestors() {
            self.folders.entry(ancestor.to_owned()).or_default().durable = true;
        }
        let number = self.next_inode;
        self.next_inode += 1;
        self.inodes.insert(number, Inode::durable(bytes));
        if let Some(folder) = self.folders.get_mut(&folder) {
            folder.cached.insert(name.clone(), number);
            folder.stored.insert(name, number);
        }
    }

    /// Paths of all files.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let of =
            |(path, folder): (&PathBuf, &Folder)| folder.cached.keys().map(|name| path.join(name)).collect::<Vec<_>>();
        self.folders.iter().flat_map(of).collect()
    }
}

/// Bytes of a block, the unit of space.
pub(super) const BLOCK_BYTES: u64 = DISK_ALIGN as u64;
