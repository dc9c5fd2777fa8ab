//! The catalog's file, as its owner writes it: changes are appended, and now and then a snapshot begins a new file.
//!
//! Guarantees:
//!
//! 1. [`CatalogLog::append`] returns `Ok` when the edits are durable, all of them. After a crash at any moment all of a
//!    call's edits are there or none.
//! 2. After an error they are not there, and will not be, unless the log [is in doubt](CatalogLog::is_in_doubt): then
//!    it is open what a start would find, and nothing is appended until [`CatalogLog::settle`] has made sure.
//! 3. Damage to what was acknowledged is an error that names file and offset ([`read`](super::read)).
//! 4. What a start reads is at most twice what the catalog holds, or [`ROTATE_BYTES_MIN`] more.
//!
//! How:
//!
//! 1. A commit is one frame at the end of the file, written and synced. One is under way at a time.
//! 2. Where that fails, the place is filled with zeros, or cut off, and synced: what is durable then is no frame. A
//!    sync that failed is not repeated; this one is about other bytes. Where that fails too, a new file begins, with
//!    the catalog as it was before.
//! 3. When commits have made the file larger than its snapshot, a new file begins: a snapshot is written under another
//!    name, synced, renamed, and the folder synced. Files before the newest do not count, and are removed.
//! 4. When a commit is durable, a seal that says so may follow it ([`CatalogLog::seal`]): without a sync, since nobody
//!    waits for it, and the next commit's sync covers it.
//! 5. Space behind the end is reserved, so that a full disk can still have databases dropped.
//! 6. At a start the last commit is written again, as it is, unless a seal follows it, and zeros where the next one
//!    would have been: what was read, or was not there any more, may be so in a cache alone.
//!
//! Nothing is written before the first change: until then there is no file, or the document of an earlier build.

use std::path::{Path, PathBuf};

use tidewire_storage::disk::{Disk, DiskFile, IO_BYTES_MAX, OpenMode};
use tidewire_storage::schema::Catalog;
use tidewire_storage::{Error, Result};

use super::document;
use super::edit::{Edit, snapshot};
use super::frame::{BLOCK_BYTES, FORMAT, FileHeader, Kind, Place, encode};
use super::initial::initial;
use super::read::{Saved, TEMPORARY_SUFFIX, Tail, file_name, generation_of, is_not_found, read};

/// Bytes of commits in a file at least before a new one begins: a few hundred changes made one by one.
const ROTATE_BYTES_MIN: u64 = 4 << 20;

/// Bytes of JSON in a frame of a snapshot, about: what a start parses at a time, and what is written between two
/// chances for others to run.
const SNAPSHOT_FRAME_BYTES: usize = 256 << 10;

/// Bytes of space that are reserved behind the end, at most and at least: changes that a full disk still takes.
const RESERVE_BYTES: (u64, u64) = (256 << 10, 64 << 10);

/// See the module.
pub struct CatalogLog<D: Disk> {
    disk: D,
    folder: PathBuf,
    file: Option<LogFile<D::File>>,
    next_generation: u64,
    doubt: Doubt,
    /// Files that do not count any more.
    old: Vec<PathBuf>,
    rotate_bytes_min: u64,
    was_saved: bool,
}

/// What is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    None,
    /// Whether the frame behind the end of the file is whole.
    Frame,
    /// Which file has the greatest number.
    Name,
}

struct LogFile<F> {
    file: F,
    generation: u64,
    snapshot_end: u64,
    /// Behind the last frame that is durable.
    durable_end: u64,
    /// Behind the last frame: that one, or a seal.
    end: u64,
    /// Version of the last commit.
    sequence: u64,
    /// Space is reserved up to here.
    reserved_end: u64,
    /// No new file begins before this one is so long, because one could not be written.
    postponed_end: u64,
}

impl<D: Disk> CatalogLog<D> {
    /// The log in `folder`, and the catalog that it has: that of a new data folder, where none was saved.
    pub async fn open(disk: D, folder: &Path) -> Result<(Self, Catalog)> {
        disk.create_dir(folder).await?;
        if let Some(above) = folder.parent() {
            disk.sync_dir(above).await?;
        }
        // The names that are seen count: they must not be gone at the next start.
        disk.sync_dir(folder).await?;
        let found = read(&disk, folder).await?;
        let mut log = Self {
            disk,
            folder: folder.to_owned(),
            file: None,
            next_generation: 1,
            doubt: Doubt::None,
            old: Vec::new(),
            rotate_bytes_min: ROTATE_BYTES_MIN,
            was_saved: found.is_some(),
        };
        let catalog = match found {
            None => initial(),
            Some(Saved { catalog, path, tail, .. }) => {
                if let Some(tail) = tail {
                    log.go_on(&path, tail, catalog.version).await?;
                }
                catalog
            }
        };
        log.look_for_old_files().await?;
        log.remove_old_files().await;
        Ok((log, catalog))
    }

    /// New files begin earlier than they do by themselves.
    #[cfg(test)]
    pub(super) fn set_rotate_bytes_min(&mut self, bytes: u64) {
        self.rotate_bytes_min = bytes;
    }

    /// Whether something had been saved when it was opened.
    pub fn was_saved(&self) -> bool {
        self.was_saved
    }

    /// Whether it is open what a start would find.
    pub fn is_in_doubt(&self) -> bool {
        self.doubt != Doubt::None
    }

    /// Appends to the file that `tail` is of, when what it holds is durable.
    async fn go_on(&mut self, path: &Path, tail: Tail, sequence: u64) -> Result<()> {
        let file = self.disk.open(path, OpenMode::ReadWrite).await?;
        if tail.is_torn {
            file.truncate(tail.end).await?;
        }
        if let Some((offset, frames)) = &tail.unsealed {
            self.write(&file, *offset, frames).await?;
        }
        // A seal and a commit.
        void(&self.disk, &file, tail.end, 2 * BLOCK_BYTES).await?;
        self.next_generation = tail.generation + 1;
        self.file = Some(LogFile {
            file,
            generation: tail.generation,
            snapshot_end: tail.snapshot_end,
            durable_end: tail.end,
            end: tail.end,
            sequence,
            reserved_end: tail.end,
            postponed_end: 0,
        });
        self.reserve().await;
        Ok(())
    }

    /// Makes `edits` of `before` durable; the catalog is `version` with them.
    pub(super) async fn append(&mut self, before: &Catalog, edits: &[Edit], version: u64) -> Result<()> {
        if self.is_in_doubt() {
            return Err(Error::Rejected("it is not known what is on disk of an earlier change".to_owned()));
        }
        if self.file.is_none() {
            self.begin(before).await?;
        }
        let Some(file) = &self.file else { return Err(Error::Rejected("the catalog has no file".to_owned())) };
        let place = Place { generation: file.generation, sequence: version, synced: file.sequence };
        let frame = frame(place, Kind::Commit, edits)?;
        let (at, end) = (file.end, file.end + frame.len() as u64);
        let written = match self.write(&file.file, at, &frame).await {
            Ok(()) => file.file.sync().await,
            failed => failed,
        };
        match (written, &mut self.file) {
            (Ok(()), Some(file)) => {
                file.durable_end = end;
                file.end = end;
                file.sequence = version;
                Ok(())
            }
            (written, _) => {
                self.doubt = Doubt::Frame;
                if let Err(error) = self.settle(before).await {
                    log::error!("the catalog cannot be put back to what it was before a failed save: {error}");
                }
                written
            }
        }
    }

    /// Says behind the last commit that it is durable. It is no matter if that fails.
    pub async fn seal(&mut self) {
        if self.is_in_doubt() {
            return;
        }
        let Some(file) = self.file.as_ref().filter(|file| file.end == file.durable_end) else { return };
        let place = Place { generation: file.generation, sequence: file.sequence, synced: file.sequence };
        let Some(frame) = encode(place, Kind::Seal, &[]) else { return };
        let written = self.write(&file.file, file.end, &frame).await;
        if let (Ok(()), Some(file)) = (written, &mut self.file) {
            file.end += frame.len() as u64;
        }
        self.reserve().await;
    }

    /// Begins a new file when this one has grown much since its snapshot. `catalog` is what it holds.
    pub async fn rotate_if_grown(&mut self, catalog: &Catalog) {
        let is_grown = |file: &LogFile<D::File>| {
            let commits = file.end - file.snapshot_end;
            commits > file.snapshot_end.max(self.rotate_bytes_min) && file.end >= file.postponed_end
        };
        if !self.file.as_ref().is_some_and(is_grown) || self.is_in_doubt() {
            return;
        }
        if let Err(error) = self.begin(catalog).await {
            log::warn!("no new file of the catalog can be begun: {error}");
            if let Some(file) = &mut self.file {
                file.postponed_end = file.end + self.rotate_bytes_min;
            }
        }
    }

    /// Makes sure that a start finds `catalog`, which is what was acknowledged last.
    pub async fn settle(&mut self, catalog: &Catalog) -> Result<()> {
        if self.doubt == Doubt::Frame
            && let Some(file) = &mut self.file
        {
            // The seal, if there is one, was not durable either: a failed sync may have let go of it. Behind it is the
            // commit.
            let bytes = file.end - file.durable_end + BLOCK_BYTES;
            match void(&self.disk, &file.file, file.durable_end, bytes).await {
                Ok(()) => {
                    file.end = file.durable_end;
                    file.reserved_end = file.durable_end;
                    self.doubt = Doubt::None;
                    return Ok(());
                }
                Err(error) => log::warn!("a failed save of the catalog cannot be voided: {error}"),
            }
        }
        match self.is_in_doubt() {
            true => self.begin(catalog).await,
            false => Ok(()),
        }
    }

    /// Begins a new file with a snapshot of `catalog`. After an error the old one is as it was, unless the log is in
    /// doubt of names.
    async fn begin(&mut self, catalog: &Catalog) -> Result<()> {
        let generation = self.next_generation;
        self.next_generation += 1;
        let path = self.folder.join(file_name(generation));
        let mut temporary = path.clone().into_os_string();
        temporary.push(TEMPORARY_SUFFIX);
        let temporary = PathBuf::from(temporary);
        let (snapshot_end, reserved_end) = match self.write_snapshot(&temporary, generation, catalog).await {
            Ok(written) => written,
            Err(error) => {
                // The first error is the one to report; a start removes what is left.
                let _ = self.disk.remove(&temporary).await;
                return Err(error);
            }
        };
        self.doubt = Doubt::Name;
        // If it does not get so far as to count, the next one replaces it.
        self.old.push(path.clone());
        self.disk.rename(&temporary, &path).await?;
        self.disk.sync_dir(&self.folder).await?;
        let file = self.disk.open(&path, OpenMode::ReadWrite).await?;
        self.doubt = Doubt::None;
        self.old.retain(|old| *old != path);
        self.old.push(match &self.file {
            Some(before) => self.folder.join(file_name(before.generation)),
            None => self.folder.join(document::FILE),
        });
        self.file = Some(LogFile {
            file,
            generation,
            snapshot_end,
            durable_end: snapshot_end,
            end: snapshot_end,
            sequence: catalog.version,
            reserved_end,
            postponed_end: 0,
        });
        self.remove_old_files().await;
        Ok(())
    }

    /// Writes a file with a snapshot and nothing else, durable but for its name. Gives where the snapshot ends, and the
    /// space.
    async fn write_snapshot(&self, path: &Path, generation: u64, catalog: &Catalog) -> Result<(u64, u64)> {
        // One may be there from a try that failed; that none is there is no error worth telling.
        let _ = self.disk.remove(path).await;
        let file = self.disk.open(path, OpenMode::Create).await?;
        let place = Place { generation, sequence: catalog.version, synced: catalog.version };
        let mut end = BLOCK_BYTES;
        let mut payload = Vec::with_capacity(SNAPSHOT_FRAME_BYTES * 2);
        let mut edits = snapshot(catalog).peekable();
        while let Some(edit) = edits.next() {
            payload.push(if payload.is_empty() { b'[' } else { b',' });
            serde_json::to_writer(&mut payload, &edit).map_err(|error| no_json(&error))?;
            if payload.len() >= SNAPSHOT_FRAME_BYTES || edits.peek().is_none() {
                payload.push(b']');
                let frame = encode(place, Kind::Snapshot, &payload).ok_or_else(too_large)?;
                self.write(&file, end, &frame).await?;
                end += frame.len() as u64;
                payload.clear();
                self.disk.yield_if_needed().await;
            }
        }
        let mut block = self.disk.buffer(BLOCK_BYTES as usize);
        FileHeader { format: FORMAT, generation, snapshot_end: end }.write(block.as_mut());
        file.write(0, block).await?;
        let reserved_end = match file.allocate(end + RESERVE_BYTES.0).await {
            Ok(()) => end + RESERVE_BYTES.0,
            // Not every file system can.
            Err(_) => end,
        };
        file.sync().await?;
        file.close().await?;
        Ok((end, reserved_end))
    }

    /// Keeps some space free behind the end.
    async fn reserve(&mut self) {
        let Some(file) = &mut self.file else { return };
        if file.reserved_end < file.end + RESERVE_BYTES.1 {
            let wanted = file.end + RESERVE_BYTES.0;
            // Without it, a full disk takes no changes.
            let _ = file.file.allocate(wanted).await;
            file.reserved_end = wanted;
        }
    }

    async fn write(&self, file: &D::File, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut at = offset;
        for piece in bytes.chunks(IO_BYTES_MAX) {
            let mut buffer = self.disk.buffer(piece.len());
            buffer.as_mut().copy_from_slice(piece);
            file.write(at, buffer).await?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    /// Notes the files that do not count, and the number that the next one gets.
    async fn look_for_old_files(&mut self) -> Result<()> {
        let current = self.file.as_ref().map(|file| file.generation);
        for name in self.disk.list(&self.folder).await? {
            let generation = generation_of(name.strip_suffix(TEMPORARY_SUFFIX).unwrap_or(&name));
            self.next_generation = self.next_generation.max(generation.map_or(0, |generation| generation + 1));
            let is_old = match generation {
                Some(_) if name.ends_with(TEMPORARY_SUFFIX) => true,
                Some(generation) => current != Some(generation),
                None => current.is_some() && name == document::FILE,
            };
            if is_old {
                self.old.push(self.folder.join(name));
            }
        }
        Ok(())
    }

    /// Removes files that do not count. What stays is tried again with the next new file, or at the next start.
    async fn remove_old_files(&mut self) {
        let mut left = Vec::new();
        for path in std::mem::take(&mut self.old) {
            if let Err(error) = self.disk.remove(&path).await
                && !is_not_found(&error)
            {
                log::warn!("an old file of the catalog stays: {error}");
                left.push(path);
            }
        }
        self.old = left;
    }
}

/// Makes sure that no frame begins in these bytes at the end of a file, and that what was written before is durable.
async fn void<D: Disk>(disk: &D, file: &D::File, offset: u64, bytes: u64) -> Result<()> {
    let zeros = disk.buffer(usize::try_from(bytes).unwrap_or(0));
    if file.write(offset, zeros).await.is_err() {
        // There may be no space for them.
        file.truncate(offset).await?;
    }
    file.sync().await
}

fn frame(place: Place, kind: Kind, edits: &[Edit]) -> Result<Vec<u8>> {
    let payload = serde_json::to_vec(edits).map_err(|error| no_json(&error))?;
    encode(place, kind, &payload).ok_or_else(too_large)
}

fn no_json(error: &serde_json::Error) -> Error {
    Error::Rejected(format!("a change of the catalog cannot be written as JSON: {error}"))
}

fn too_large() -> Error {
    Error::Rejected("a change of the catalog is larger than 4 GiB".to_owned())
}
