//! Small files as one piece: written under another name, made durable, then put in place.

use std::path::{Path, PathBuf};

use rkyv::util::AlignedVec;

use super::{DISK_ALIGN, Disk, DiskFile, IO_BYTES_MAX, OpenMode};
use crate::error::{Error, Result};

/// Suffix of files that are not yet whole. One that is found at start was left behind by a crash.
pub(crate) const TEMPORARY_SUFFIX: &str = ".tmp";

/// Puts a file with these bytes, padded with zeros to whole blocks, in the place of `path`. After an `Ok` the new file
/// is durable; after a crash there is the old one or the new one.
pub(crate) async fn write_whole<D: Disk>(disk: &D, path: &Path, bytes: &[u8]) -> Result<()> {
    prepare_whole(disk, path, bytes).await?;
    place_whole(disk, path).await
}

/// The first half of [`write_whole`]: the bytes are durable under another name. After an error nothing has changed, and
/// no space is taken.
pub(crate) async fn prepare_whole<D: Disk>(disk: &D, path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = temporary(path);
    // One may be there from a try that failed; that none is there is no error worth telling.
    let _ = disk.remove(&temporary).await;
    let written = write_new(disk, &temporary, bytes).await;
    if written.is_err() {
        // The first error is the one to report.
        let _ = disk.remove(&temporary).await;
    }
    written
}

/// The second half of [`write_whole`]. After an error it is open which file a crash would leave.
pub(crate) async fn place_whole<D: Disk>(disk: &D, path: &Path) -> Result<()> {
    disk.rename(&temporary(path), path).await?;
    match path.parent() {
        Some(folder) => disk.sync_dir(folder).await,
        None => Ok(()),
    }
}

fn temporary(path: &Path) -> PathBuf {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(TEMPORARY_SUFFIX);
    PathBuf::from(temporary)
}

async fn write_new<D: Disk>(disk: &D, path: &Path, bytes: &[u8]) -> Result<()> {
    let file = disk.open(path, OpenMode::Create).await?;
    let mut offset = 0;
    for piece in bytes.chunks(IO_BYTES_MAX) {
        let mut buffer = disk.buffer(piece.len().next_multiple_of(DISK_ALIGN));
        buffer.as_mut()[..piece.len()].copy_from_slice(piece);
        file.write(offset, buffer).await?;
        offset += piece.len() as u64;
    }
    file.sync().await?;
    file.close().await
}

/// All bytes of a file, with the padding.
pub(crate) async fn read_whole<D: Disk>(disk: &D, path: &Path) -> Result<AlignedVec<16>> {
    let file = disk.open(path, OpenMode::Read).await?;
    let length = file.length().await?;
    let mut bytes = AlignedVec::new();
    while (bytes.len() as u64) < length {
        let piece = file.read(bytes.len() as u64, IO_BYTES_MAX).await?;
        bytes.extend_from_slice(piece.as_ref());
        if piece.as_ref().len() < IO_BYTES_MAX {
            break;
        }
    }
    file.close().await?;
    if (bytes.len() as u64) < length {
        let operation = format!("read {length} bytes of");
        return Err(Error::io(operation, path, std::io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(bytes)
}
