//! What lies in the folder of a log: its files, their names, and what the reader found of them for the writer.

use std::io::ErrorKind::UnexpectedEof;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::Lsn;
use super::frame::{FileHeader, WAL_VERSION};
use crate::disk::{DISK_ALIGN, Disk, DiskFile, OpenMode};
use crate::error::{Error, Result};

/// An open file and its name.
pub struct Named<D: Disk> {
    /// The file.
    pub file: Rc<D::File>,
    /// Its name.
    pub path: PathBuf,
}

/// A file that takes no more frames.
pub struct Full<D: Disk> {
    /// The file.
    pub named: Named<D>,
    /// Its length.
    pub length: u64,
    /// Its last record.
    pub last_lsn: Lsn,
}

/// What a log held and where it goes on.
pub struct Recovered<D: Disk> {
    /// Files with records that are still wanted, oldest first.
    pub live: Vec<Full<D>>,
    /// Files whose records are not wanted any more.
    pub free: Vec<Named<D>>,
    /// The LSN that the next record gets.
    pub next_lsn: Lsn,
    /// Greatest generation of a file's header.
    pub generation_max: u64,
    /// Greatest number in a file's name.
    pub slot_max: u64,
    /// Records handed out.
    pub records: u64,
    /// Bytes of whole frames that were read.
    pub bytes: u64,
    /// Where a commit was cut short by the crash, if it left a trace.
    pub torn: Option<(PathBuf, u64)>,
}

/// A log file with a good header.
pub(super) struct Found<D: Disk> {
    pub(super) named: Named<D>,
    pub(super) length: u64,
    pub(super) header: FileHeader,
}

impl<D: Disk> Clone for Named<D> {
    fn clone(&self) -> Self {
        Self { file: self.file.clone(), path: self.path.clone() }
    }
}

/// Files with a header, files without, and the greatest slot in use. Where they are only read, one that has gone since
/// the folder was listed is passed over: somebody else works on them.
pub(super) async fn list<D: Disk>(
    disk: &D,
    folder: &Path,
    shard: u32,
    mode: OpenMode,
) -> Result<(Vec<Found<D>>, Vec<Named<D>>, u64)> {
    let (mut files, mut free, mut slot_max) = (Vec::new(), Vec::new(), 0);
    for name in disk.list(folder).await? {
        let Some(slot) = file_slot(&name) else {
            log::warn!("{} is no log file and is left alone", folder.join(&name).display());
            continue;
        };
        slot_max = slot_max.max(slot);
        let path = folder.join(&name);
        let file = match disk.open(&path, mode).await {
            Err(error) if mode == OpenMode::Read && error.is_not_found() => continue,
            opened => opened?,
        };
        let length = file.length().await?;
        let header = match length {
            0 => None,
            _ => FileHeader::read(read_block(&file, &path, length, 0).await?.as_ref()),
        };
        let named = Named { file: Rc::new(file), path };
        match header {
            None => free.push(named),
            Some(header) if header.version != WAL_VERSION => {
                let reason = format!("log format {}, this build reads {WAL_VERSION}", header.version);
                return Err(Error::Incompatible { path: named.path, reason });
            }
            Some(header) if header.shard != shard => {
                let reason = format!("log of shard {}, found in the folder of shard {shard}", header.shard);
                return Err(Error::Incompatible { path: named.path, reason });
            }
            Some(header) => files.push(Found { named, length, header }),
        }
    }
    Ok((files, free, slot_max))
}

/// The block at `offset` of a file of `length` bytes. Fewer bytes than there are must not pass for none.
pub(super) async fn read_block<F: DiskFile>(file: &F, path: &Path, length: u64, offset: u64) -> Result<F::ReadBuffer> {
    let block = file.read(offset, DISK_ALIGN).await?;
    check_read(path, offset, block.as_ref().len(), (length - offset).min(DISK_ALIGN as u64))?;
    Ok(block)
}

/// An error where a read at `offset` gave less than the bytes that are there.
pub(super) fn check_read(path: &Path, offset: u64, given: usize, there: u64) -> Result<()> {
    match given as u64 >= there {
        true => Ok(()),
        false => Err(Error::io(format!("read {there} bytes at offset {offset} of"), path, UnexpectedEof.into())),
    }
}

/// Name of the file in slot `slot`. Slots are never used again, so that a removed file's name stands for nothing else.
pub(super) fn file_name(slot: u64) -> String {
    format!("{slot:08}.wal")
}

/// The slot of a file name that [`file_name`] made.
fn file_slot(name: &str) -> Option<u64> {
    let slot = name.strip_suffix(".wal")?.parse().ok()?;
    (file_name(slot) == name).then_some(slot)
}
