//! The manifest's two files, as a shard reads and writes them.
//!
//! 1. An edit is a frame behind the last one, written and synced in `MANIFEST`, and then in `MANIFEST.copy`. One is
//!    under way at a time. It counts when it is durable in the first, and is relied upon when it is in both.
//! 2. Where that fails, its place is filled with zeros, or cut off, and synced, in the copy first: then nothing has
//!    changed. A sync that failed is not repeated; this one is about other bytes. Where that fails too, it is open
//!    whether the edit counts ([`NotStored::may_count`]), and the next edit begins new files, under new numbers.
//! 3. New files are begun by the first edit of a process too, and when edits have outgrown the snapshot: both are
//!    written anew with the edit in the snapshot, or behind it and the rest in [`pieces`], each under another name,
//!    synced, renamed, and the folder synced.
//! 4. A start goes on from the file with more edits: a crash may have come between the two, and what one has lost the
//!    other has. The other one is made the same. Since what was read, or was not there any more, may be so in a cache
//!    alone, the last frame of each is written again, with the zeros behind it.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use rkyv::util::AlignedVec;

use super::contents::Manifest;
use super::entry::Edit;
use super::image::{Image, last_sequence};
use super::pieces::{self, Progress};
use super::{frame, snapshot};
use crate::disk::whole::{place_whole, prepare_whole, read_whole, write_whole};
use crate::disk::{DISK_ALIGN, Disk, DiskFile, IO_BYTES_MAX, OpenMode};
use crate::error::{Error, Result};
use crate::work;

/// Name of the manifest in the shard's folder.
pub(crate) const MANIFEST: &str = "MANIFEST";

/// Name of its copy.
pub(crate) const COPY: &str = "MANIFEST.copy";

/// Times that a manifest is read before it counts as damaged or cut short: the transfer may be to blame.
const READS_MAX: usize = 3;

/// Bytes of edits in a file, at least, before new files are begun: some sixty small edits.
const ROTATE_BYTES_MIN: u64 = 256 << 10;

/// See the module.
pub(crate) struct ManifestLog<D: Disk> {
    disk: D,
    folder: PathBuf,
    shard: u32,
    /// `None` until the first edit, while one is being made, and after one of which it is open whether it counts.
    files: Cell<Option<Files<D::File>>>,
    /// The number of the last edit that was tried.
    sequence: Cell<u64>,
    /// The disk has a manifest.
    is_stored: Cell<bool>,
}

/// The two files, which are the same.
struct Files<F> {
    main: F,
    copy: F,
    snapshot_bytes: u64,
    /// Behind the last frame.
    end: u64,
}

/// Why an edit was not stored.
#[derive(Debug)]
pub(crate) struct NotStored {
    pub(crate) error: Error,
    /// A start may find it all the same, until another edit is stored.
    pub(crate) may_count: bool,
}

impl From<NotStored> for Error {
    fn from(not_stored: NotStored) -> Self {
        not_stored.error
    }
}

/// What an edit comes to.
enum Step {
    Append(Vec<u8>),
    /// The manifest with the edit in it, and the number of the last edit.
    Begin(Vec<u8>, u64),
}

/// Lends the manifest for a moment.
pub(crate) type Look<'a> = dyn Fn(&mut dyn FnMut(&Manifest)) + 'a;

/// Work for an entry of a snapshot, which is copied, made, and archived.
const ENTRY_WORK: u64 = 500;

/// How often a byte of a piece is copied until it is in a file.
const PIECE_WORK: usize = 8;

impl<D: Disk> ManifestLog<D> {
    /// The manifest in `folder`, and its log; `None` where there is none yet. Afterwards both files are the same.
    pub(crate) async fn open(disk: &D, folder: &Path, shard: u32) -> Result<(Self, Option<Manifest>)> {
        let found = load_image(disk, folder, shard).await?;
        let log = Self {
            disk: disk.clone(),
            folder: folder.to_owned(),
            shard,
            files: Cell::new(None),
            sequence: Cell::new(found.as_ref().map_or(0, |image| image.sequence)),
            is_stored: Cell::new(found.is_some()),
        };
        Ok((log, found.map(|image| image.manifest)))
    }

    /// Whether the disk has a manifest.
    pub(crate) fn is_stored(&self) -> bool {
        self.is_stored.get()
    }

    /// Makes an edit of the manifest that `look` lends durable; the caller makes it in memory afterwards, and sees to
    /// it that nobody else changes the manifest meanwhile. One at a time.
    pub(crate) async fn store(&self, look: &Look<'_>, edit: &Edit) -> Result<(), NotStored> {
        let sequence = self.sequence.get() + 1;
        // Nobody has them until they are given back.
        let files = self.files.take();
        let step = match &files {
            Some(files) if !files.have_grown() => frame::encode(edit, sequence).map(Step::Append),
            _ => self.file_with(look, edit, sequence).await.map(|(bytes, last)| Step::Begin(bytes, last)),
        };
        match (step, files) {
            (Ok(Step::Append(frame)), Some(files)) => self.append(files, frame).await,
            (Ok(Step::Append(bytes)), files) => self.begin(files, bytes, sequence).await,
            (Ok(Step::Begin(bytes, last)), files) => self.begin(files, bytes, last).await,
            (Err(error), files) => {
                self.files.set(files);
                Err(NotStored { error, may_count: false })
            }
        }
    }

    /// The bytes of a file that begins with the manifest after an edit, and the number of its last edit.
    async fn file_with(&self, look: &Look<'_>, edit: &Edit, sequence: u64) -> Result<(Vec<u8>, u64)> {
        let (mut first, mut whole) = (None, Ok(Vec::new()));
        look(&mut |manifest| {
            first = pieces::first(manifest);
            if first.is_none() {
                let mut next = manifest.clone();
                next.apply(edit.clone());
                work::charge_each(manifest.count_entries(usize::MAX), ENTRY_WORK);
                whole = snapshot::encode(&(&next).into(), sequence, self.shard);
            }
        });
        let Some(first) = first else { return Ok((whole?, sequence)) };
        let mut bytes = snapshot::encode(&(&first).into(), sequence, self.shard)?;
        let (mut progress, mut last) = (Progress::begin(), sequence);
        loop {
            let mut piece = None;
            look(&mut |manifest| piece = progress.next(manifest));
            let is_end = piece.is_none();
            last += 1;
            let frame = frame::encode(piece.as_ref().unwrap_or(edit), last)?;
            work::charge_copy(frame.len() * PIECE_WORK);
            bytes.resize(bytes.len().next_multiple_of(DISK_ALIGN), 0);
            bytes.extend_from_slice(&frame);
            if is_end {
                return Ok((bytes, last));
            }
            self.disk.yield_if_needed().await;
        }
    }

    async fn append(&self, mut files: Files<D::File>, frame: Vec<u8>) -> Result<(), NotStored> {
        let bytes = frame.len() as u64;
        self.sequence.update(|sequence| sequence + 1);
        let (main, copy) = (&files.main, &files.copy);
        let (done, in_copy) = match append_to(&self.disk, main, files.end, &frame).await {
            Ok(()) => (append_to(&self.disk, copy, files.end, &frame).await, true),
            failed => (failed, false),
        };
        let Err(error) = done else {
            files.end += bytes;
            self.files.set(Some(files));
            return Ok(());
        };
        let voided = async {
            if in_copy {
                void(&self.disk, copy, files.end, bytes).await?;
            }
            void(&self.disk, main, files.end, bytes).await
        };
        let may_count = match voided.await {
            Ok(()) => {
                self.sequence.update(|sequence| sequence - 1);
                self.files.set(Some(files));
                false
            }
            Err(error) => {
                log::error!("shard {}: an edit of the manifest that failed cannot be voided: {error}", self.shard);
                true
            }
        };
        Err(NotStored { error, may_count })
    }

    /// Begins new files with `bytes`, of which the last edit has the number `last`.
    async fn begin(&self, files: Option<Files<D::File>>, mut bytes: Vec<u8>, last: u64) -> Result<(), NotStored> {
        bytes.resize(bytes.len().next_multiple_of(DISK_ALIGN), 0);
        let end = bytes.len() as u64;
        // No frame follows.
        bytes.resize(bytes.len() + DISK_ALIGN, 0);
        let (path, copy) = (self.folder.join(MANIFEST), self.folder.join(COPY));
        if let Err(error) = prepare_whole(&self.disk, &path, &bytes).await {
            // The old ones go on, and are not too long until they have grown as much again.
            self.files.set(files.map(|files| Files { snapshot_bytes: files.end, ..files }));
            return Err(NotStored { error, may_count: false });
        }
        self.sequence.set(last);
        let placed = async {
            place_whole(&self.disk, &path).await?;
            write_whole(&self.disk, &copy, &bytes).await
        };
        placed.await.map_err(|error| NotStored { error, may_count: true })?;
        self.is_stored.set(true);
        let opened = async {
            let main = self.disk.open(&path, OpenMode::ReadWrite).await?;
            Ok::<_, Error>((main, self.disk.open(&copy, OpenMode::ReadWrite).await?))
        };
        match opened.await {
            Ok((main, copy)) => self.files.set(Some(Files { main, copy, snapshot_bytes: end, end })),
            // The edit counts; the next one begins new files too.
            Err(error) => log::warn!("shard {}: {error}", self.shard),
        }
        Ok(())
    }
}

impl<F> Files<F> {
    /// Whether edits have outgrown the snapshot.
    fn have_grown(&self) -> bool {
        self.end - self.snapshot_bytes > self.snapshot_bytes.max(ROTATE_BYTES_MIN)
    }
}

/// The manifest in `folder`, as a start finds it; `None` where there is none. Afterwards both files are the same.
pub(crate) async fn load<D: Disk>(disk: &D, folder: &Path, shard: u32) -> Result<Option<Manifest>> {
    Ok(load_image(disk, folder, shard).await?.map(|image| image.manifest))
}

/// A manifest as one finds it who only looks.
#[derive(Debug, Default)]
pub(crate) struct Newest {
    pub(crate) manifest: Manifest,
    /// The number of its last edit.
    pub(crate) sequence: u64,
    /// What counts of the file; empty where there is none.
    pub(crate) bytes: Vec<u8>,
}

/// The manifest in `folder`, for one who only looks: a server may be at work.
pub(crate) async fn newest<D: Disk>(disk: &D, folder: &Path, shard: u32) -> Result<Newest> {
    let (path, copy) = (folder.join(MANIFEST), folder.join(COPY));
    let mut looks = 0;
    loop {
        looks += 1;
        let found = match read_whole(disk, &path).await {
            Err(error) if error.is_not_found() => return Ok(Newest::default()),
            bytes => bytes?,
        };
        let image = Image::read(&path, &found, shard)?;
        // What the copy has was durable in the manifest before.
        let is_ahead = |copy: Image| copy.sequence > image.sequence;
        if !image.is_torn || !read(disk, &copy, shard).await.is_ok_and(|(copy, _)| is_ahead(copy)) {
            let bytes = image.whole(&found);
            return Ok(Newest { manifest: image.manifest, sequence: image.sequence, bytes });
        }
        if looks == READS_MAX {
            return Err(lost_its_end(&path, &image));
        }
    }
}

fn lost_its_end(path: &Path, image: &Image) -> Error {
    let reason = format!("what follows edit {} of the manifest cannot be read, but its copy has more", image.sequence);
    Error::corrupt(path, image.end as u64, reason)
}

/// Reads both files, and makes them the same.
async fn load_image<D: Disk>(disk: &D, folder: &Path, shard: u32) -> Result<Option<Image>> {
    let names = disk.list(folder).await?;
    let is_there = |wanted: &str| names.iter().any(|name| name == wanted);
    let (path, copy_path) = (folder.join(MANIFEST), folder.join(COPY));
    let main = match is_there(MANIFEST) {
        true => read(disk, &path, shard).await,
        false => Err(Error::corrupt(&path, 0, "the manifest is missing")),
    };
    let copy = match is_there(COPY) {
        true => Some(read(disk, &copy_path, shard).await),
        false => None,
    };
    match (main, copy) {
        (Ok((main, _)), Some(Ok((copy, _)))) if main.sequence == copy.sequence && copy.is_torn => {
            let reason = "the copy shows that another edit of the manifest was durable, and it is whole in neither";
            Err(Error::corrupt(&path, main.end as u64, reason))
        }
        (Ok((main, bytes)), Some(Ok((copy, whole)))) if copy.sequence > main.sequence => {
            log::error!("shard {shard}: {}; the copy takes its place", lost_its_end(&path, &main));
            drop(bytes);
            replace(disk, &path, &copy, &whole).await?;
            settle(disk, &copy_path, &copy, &whole).await?;
            Ok(Some(copy))
        }
        (Ok((main, bytes)), copy) => {
            if let (true, Some(Err(_))) = (main.is_torn, &copy)
                && last_sequence(&read_whole(disk, &copy_path).await?).is_some_and(|last| last > main.sequence)
            {
                return Err(lost_its_end(&path, &main));
            }
            settle(disk, &path, &main, &bytes).await?;
            match &copy {
                Some(Ok((copy, copied))) if copy.whole(copied) == main.whole(&bytes) => {
                    settle(disk, &copy_path, copy, copied).await?;
                }
                // Before anything relies on the edit that it lacks.
                _ => match replace(disk, &copy_path, &main, &bytes).await {
                    Err(error) if error.is_no_space() && copy.is_some() => {
                        disk.remove(&copy_path).await?;
                        disk.sync_dir(folder).await?;
                    }
                    Err(error) if error.is_no_space() => {}
                    done => done?,
                },
            }
            Ok(Some(main))
        }
        // Where the copy is torn, it lacks an edit that was durable in what cannot be read.
        (Err(error), Some(Ok((copy, whole)))) if error.is_damage() && !copy.is_torn => {
            log::error!("shard {shard}: {error}; its copy takes its place");
            replace(disk, &path, &copy, &whole).await?;
            settle(disk, &copy_path, &copy, &whole).await?;
            Ok(Some(copy))
        }
        (Err(_), None) if !is_there(MANIFEST) => Ok(None),
        // Where the copy is no better, the manifest's own damage is the one to report.
        (Err(error), _) => Err(error),
    }
}

/// A manifest file, and its bytes.
async fn read<D: Disk>(disk: &D, path: &Path, shard: u32) -> Result<(Image, AlignedVec<16>)> {
    let look = async || {
        let bytes = read_whole(disk, path).await?;
        Image::read(path, &bytes, shard).map(|image| (image, bytes))
    };
    let mut last = look().await;
    for _ in 1..READS_MAX {
        let may_be_better = match &last {
            Ok((image, _)) => image.is_torn,
            Err(error) => matches!(error, Error::Corrupt { .. }),
        };
        if !may_be_better {
            break;
        }
        last = look().await;
    }
    last
}

/// Puts a file that is like another one in the place of `path`.
async fn replace<D: Disk>(disk: &D, path: &Path, image: &Image, bytes: &[u8]) -> Result<()> {
    write_whole(disk, path, &image.whole(bytes)).await
}

/// Makes sure that what was read of a file is durable, and that nothing follows it.
async fn settle<D: Disk>(disk: &D, path: &Path, image: &Image, bytes: &[u8]) -> Result<()> {
    if !image.takes_edits {
        return Ok(());
    }
    let file = disk.open(path, OpenMode::ReadWrite).await?;
    let end = image.end as u64;
    if image.is_torn {
        file.truncate(end).await?;
    }
    if let Some(last) = image.last_frame {
        write(disk, &file, last as u64, &bytes[last..image.end]).await?;
    }
    void(disk, &file, end, 0).await?;
    file.close().await
}

/// Writes a frame, with a block of zeros behind it, and syncs.
async fn append_to<D: Disk>(disk: &D, file: &D::File, offset: u64, frame: &[u8]) -> Result<()> {
    write(disk, file, offset, frame).await?;
    write(disk, file, offset + frame.len() as u64, &[0; DISK_ALIGN]).await?;
    file.sync().await
}

/// Makes sure that no frame begins in the `bytes` at the end of a file, and that what was written before is durable.
async fn void<D: Disk>(disk: &D, file: &D::File, offset: u64, bytes: u64) -> Result<()> {
    let zeros = vec![0; bytes as usize + DISK_ALIGN];
    if write(disk, file, offset, &zeros).await.is_err() {
        // There may be no space for them.
        file.truncate(offset).await?;
    }
    file.sync().await
}

async fn write<D: Disk>(disk: &D, file: &D::File, offset: u64, bytes: &[u8]) -> Result<()> {
    let mut at = offset;
    for piece in bytes.chunks(IO_BYTES_MAX) {
        let mut buffer = disk.buffer(piece.len());
        buffer.as_mut().copy_from_slice(piece);
        file.write(at, buffer).await?;
        at += piece.len() as u64;
    }
    Ok(())
}
