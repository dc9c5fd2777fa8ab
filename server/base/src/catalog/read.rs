//! Reading a catalog's folder.
//!
//! ```text
//! meta/catalog-00000012.log      a snapshot, and what changed since: `frame`
//! meta/catalog-00000013.log.tmp  one that is being made
//! meta/catalog.json              as builds before this one kept it: `document`
//! ```
//!
//! The file with the greatest number counts: it was whole before it got its name. Where there is none, the document
//! does.
//!
//! 1. A file's header block and its snapshot must be whole.
//! 2. Then commits are read as long as they are whole. What follows the last one is a commit that a crash cut short,
//!    unless a later frame testifies that it had been durable: then it is damage.
//!
//! What cannot be told from a commit that was cut short is damage to the very last frame. So commits are followed by a
//! seal ([`log`](super::log)), which tells nothing but that they were durable.

use std::path::{Path, PathBuf};

use tidewire_storage::disk::{DISK_ALIGN, Disk, DiskFile, IO_BYTES_MAX, OpenMode};
use tidewire_storage::schema::Catalog;
use tidewire_storage::{Error, Result};

use super::document;
use super::edit::{Edit, Effects, replay};
use super::frame::{BLOCK_BYTES, FORMAT, FileHeader, FrameHeader, Kind};

/// Name of the folder in the data folder.
pub const CATALOG_FOLDER: &str = "meta";

/// Suffix of files that are not yet whole.
pub(super) const TEMPORARY_SUFFIX: &str = ".tmp";

/// Times that a frame is read before it counts as none: the transfer may be to blame, or somebody who writes it now.
const READS_MAX: usize = 3;

/// Times that a folder is looked through for a file that goes away before it is opened, because the next one is there.
const LOOKS_MAX: usize = 10;

/// The name of a file.
pub fn file_name(generation: u64) -> String {
    format!("catalog-{generation:08}.log")
}

/// The generation of a file of that name.
pub(super) fn generation_of(name: &str) -> Option<u64> {
    let generation = name.strip_prefix("catalog-")?.strip_suffix(".log")?.parse().ok()?;
    (file_name(generation) == name).then_some(generation)
}

/// A catalog that was read.
#[derive(Debug)]
pub struct Saved {
    /// The catalog.
    pub catalog: Catalog,
    /// The file that it came from.
    pub path: PathBuf,
    /// How far that file is the catalog; what may follow is not.
    pub bytes: u64,
    /// Where its log goes on; `None` for a document.
    pub(super) tail: Option<Tail>,
}

/// Where a log goes on.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) generation: u64,
    pub(super) snapshot_end: u64,
    /// Behind the last whole frame.
    pub(super) end: u64,
    /// The last commit, with the seal before it, and their offset, if no later frame testifies that they are durable.
    pub(super) unsealed: Option<(u64, Vec<u8>)>,
    /// Something follows that is no whole frame.
    pub(super) is_torn: bool,
}

/// The catalog that is saved in `folder`, in which nothing is changed or made; `None` where there is none.
pub async fn read<D: Disk>(disk: &D, folder: &Path) -> Result<Option<Saved>> {
    let mut looks = 0;
    loop {
        let names = disk.list(folder).await?;
        let newest = names.iter().filter_map(|name| generation_of(name)).max();
        let saved = match newest {
            Some(generation) => read_log(disk, &folder.join(file_name(generation)), generation).await,
            None if names.iter().any(|name| name == document::FILE) => {
                read_document(disk, &folder.join(document::FILE)).await
            }
            None => return Ok(None),
        };
        looks += 1;
        match saved {
            Err(error) if is_not_found(&error) && looks < LOOKS_MAX => {}
            saved => return saved.map(Some),
        }
    }
}

async fn read_document<D: Disk>(disk: &D, path: &Path) -> Result<Saved> {
    let file = disk.open(path, OpenMode::Read).await?;
    let mut window = Window::new(&file, path, file.length().await?);
    let bytes = window.all().await?;
    let catalog = document::decode(path, &bytes)?;
    Ok(Saved { catalog, path: path.to_owned(), bytes: bytes.len() as u64, tail: None })
}

async fn read_log<D: Disk>(disk: &D, path: &Path, generation: u64) -> Result<Saved> {
    let file = disk.open(path, OpenMode::Read).await?;
    let length = file.length().await?;
    let mut reading = Reading {
        window: Window::new(&file, path, length),
        path,
        generation,
        catalog: Catalog::default(),
        snapshot_end: 0,
    };
    reading.header().await?;
    let tail = reading.frames().await?;
    let catalog = reading.catalog;
    file.close().await?;
    Ok(Saved { catalog, path: path.to_owned(), bytes: tail.end, tail: Some(tail) })
}

struct Reading<'a, F: DiskFile> {
    window: Window<'a, F>,
    path: &'a Path,
    generation: u64,
    catalog: Catalog,
    snapshot_end: u64,
}

impl<F: DiskFile> Reading<'_, F> {
    async fn header(&mut self) -> Result<()> {
        let mut found = None;
        for _ in 0..READS_MAX {
            found = self.window.get(0, BLOCK_BYTES).await?.and_then(FileHeader::read);
            if found.is_some() {
                break;
            }
            self.window.forget();
        }
        let header = found.ok_or_else(|| Error::corrupt(self.path, 0, "the catalog's header is damaged"))?;
        if header.format != FORMAT {
            let reason = format!("catalog of format {}; this build reads formats 1 to {FORMAT}", header.format);
            return Err(Error::Incompatible { path: self.path.to_owned(), reason });
        }
        if header.generation != self.generation {
            let reason = format!("the file is that of generation {}", header.generation);
            return Err(Error::corrupt(self.path, 0, reason));
        }
        self.snapshot_end = header.snapshot_end;
        Ok(())
    }

    async fn frames(&mut self) -> Result<Tail> {
        let mut offset = BLOCK_BYTES;
        let (mut seal, mut unsealed) = (None, None);
        let is_torn = loop {
            let in_snapshot = offset < self.snapshot_end;
            let last = self.catalog.version;
            let fits = |header: &FrameHeader| match header.kind {
                Kind::Snapshot => in_snapshot,
                Kind::Commit => !in_snapshot && header.sequence > last,
                Kind::Seal => !in_snapshot && header.sequence == last,
            };
            let header = self.whole(offset).await?.filter(fits);
            let Some(header) = header else {
                if in_snapshot {
                    return Err(Error::corrupt(self.path, offset, "the catalog's snapshot is damaged"));
                }
                break self.is_torn(offset, last).await?;
            };
            let frame = self.window.get(offset, header.frame_bytes()).await?.unwrap_or_default();
            let payload = header.payload(frame).unwrap_or_default();
            if header.kind != Kind::Seal {
                take(&mut self.catalog, payload, self.path, offset)?;
                self.catalog.version = header.sequence;
            }
            // A commit is durable together with the seal before it.
            (seal, unsealed) = match header.kind {
                Kind::Snapshot => (None, None),
                Kind::Seal => (Some((offset, frame.to_vec())), None),
                Kind::Commit => {
                    let (from, before) = seal.take().unwrap_or_else(|| (offset, Vec::new()));
                    (None, Some((from, [&*before, frame].concat())))
                }
            };
            offset += header.frame_bytes();
        };
        let (generation, snapshot_end) = (self.generation, self.snapshot_end);
        Ok(Tail { generation, snapshot_end, end: offset, unsealed, is_torn })
    }

    /// The header of the frame at `offset`, if that is whole; what is not is read again.
    async fn whole(&mut self, offset: u64) -> Result<Option<FrameHeader>> {
        for _ in 0..READS_MAX {
            let header = self.window.get(offset, BLOCK_BYTES).await?.and_then(FrameHeader::read);
            if let Some(header) = header.filter(|header| header.generation == self.generation)
                && let Some(frame) = self.window.get(offset, header.frame_bytes()).await?
                && header.payload(frame).is_some()
            {
                return Ok(Some(header));
            }
            self.window.forget();
        }
        Ok(None)
    }

    /// Whether there is anything behind the last whole frame, which ends at `offset`; an error where that had been
    /// durable.
    async fn is_torn(&mut self, offset: u64, last: u64) -> Result<bool> {
        let mut is_torn = false;
        let mut at = offset;
        while let Some(block) = self.window.get(at, BLOCK_BYTES).await? {
            is_torn |= block.iter().any(|byte| *byte != 0);
            let later = FrameHeader::read(block).filter(|header| header.generation == self.generation);
            if let Some(later) = later.filter(|later| later.synced > last) {
                let reason = format!(
                    "what follows change {last} of the catalog cannot be read, but change {} was durable",
                    later.synced
                );
                return Err(Error::corrupt(self.path, offset, reason));
            }
            at += BLOCK_BYTES;
        }
        // A piece of a block, where the file's length is not what was written.
        Ok(is_torn || at < self.window.length)
    }
}

/// Whether a file is not there.
pub(super) fn is_not_found(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
}

/// Makes the edits of the frame at `offset`.
fn take(catalog: &mut Catalog, payload: &[u8], path: &Path, offset: u64) -> Result<()> {
    let edits: Vec<Edit> = serde_json::from_slice(payload).map_err(|error| {
        let reason = format!("this build does not know the change at offset {offset}: {error}");
        Error::Incompatible { path: path.to_owned(), reason }
    })?;
    let mut effects = Effects::default();
    let done = edits.iter().try_for_each(|edit| replay(catalog, edit, &mut effects));
    done.map_err(|reason| Error::corrupt(path, offset, reason))
}

/// Bytes of a file, read ahead.
struct Window<'a, F: DiskFile> {
    file: &'a F,
    path: &'a Path,
    /// Offset in the file of the bytes held.
    start: u64,
    bytes: Vec<u8>,
    /// Of the file.
    length: u64,
}

impl<'a, F: DiskFile> Window<'a, F> {
    fn new(file: &'a F, path: &'a Path, length: u64) -> Self {
        Self { file, path, start: 0, bytes: Vec::new(), length }
    }

    /// The next bytes come from the file.
    fn forget(&mut self) {
        self.bytes.clear();
    }

    /// `length` bytes at `offset`, a multiple of the block size; `None` past the end of the file.
    async fn get(&mut self, offset: u64, length: u64) -> Result<Option<&[u8]>> {
        let Some(end) = offset.checked_add(length).filter(|end| *end <= self.length) else { return Ok(None) };
        if offset < self.start || end > self.start + self.bytes.len() as u64 {
            self.bytes.clear();
            self.start = offset;
            self.fill(length.max(IO_BYTES_MAX as u64)).await?;
        }
        let from = (offset - self.start) as usize;
        Ok(self.bytes.get(from..).and_then(|bytes| bytes.get(..length as usize)))
    }

    /// Reads on until `wanted` bytes are held or the file ends.
    async fn fill(&mut self, wanted: u64) -> Result<()> {
        let wanted = wanted.min(self.length - self.start);
        while (self.bytes.len() as u64) < wanted {
            let at = self.start + self.bytes.len() as u64;
            let piece = (wanted - self.bytes.len() as u64).min(IO_BYTES_MAX as u64) as usize;
            let read = self.file.read(at, piece.next_multiple_of(DISK_ALIGN)).await?;
            self.bytes.extend_from_slice(read.as_ref());
            if read.as_ref().is_empty() || (read.as_ref().len() < piece && (self.bytes.len() as u64) < wanted) {
                self.bytes.clear();
                let operation = format!("read {piece} bytes at offset {at} of");
                return Err(Error::io(operation, self.path, std::io::ErrorKind::UnexpectedEof.into()));
            }
        }
        Ok(())
    }

    /// The whole file.
    async fn all(&mut self) -> Result<Vec<u8>> {
        self.fill(self.length).await?;
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.truncate(usize::try_from(self.length).unwrap_or(usize::MAX));
        Ok(bytes)
    }
}
