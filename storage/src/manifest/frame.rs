//! Bytes of an edit in a manifest file.
//!
//! ```text
//! frame = magic, crc32c of the header, sequence, length, crc32c of the archive, zeros | rkyv archive
//!         | zeros up to 4 KiB
//! ```
//!
//! Frames begin at multiples of 4 KiB, each with the number after that of the one before it. Behind the last one is a
//! block of zeros, which belongs to nothing: so it is certain that no frame of an edit that failed begins there.

use rkyv::rancor::Error as RkyvError;

use super::entry::Edit;
use crate::disk::DISK_ALIGN;
use crate::error::{Error, Result};
use crate::fields::Fields;

/// Bytes of a frame's header; a multiple of 16, so that the archive is aligned.
const HEADER_BYTES: usize = 32;

const MAGIC: u32 = u32::from_le_bytes(*b"TMED");

/// What a frame's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) sequence: u64,
    archive_bytes: u32,
    archive_crc: u32,
}

impl FrameHeader {
    /// The header at the start of some bytes; `None` where there is none or it is damaged.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes.get(..HEADER_BYTES)?);
        let (magic, crc) = (fields.u32()?, fields.u32()?);
        if magic != MAGIC || crc32c::crc32c(fields.0) != crc {
            return None;
        }
        Some(Self { sequence: fields.u64()?, archive_bytes: fields.u32()?, archive_crc: fields.u32()? })
    }

    /// The archive behind the header; `None` where it is damaged.
    pub(super) fn archive<'f>(&self, bytes: &'f [u8]) -> Option<&'f [u8]> {
        let archive = bytes.get(HEADER_BYTES..)?.get(..self.archive_bytes as usize)?;
        (crc32c::crc32c(archive) == self.archive_crc).then_some(archive)
    }

    /// Bytes of the whole frame.
    pub(super) fn frame_bytes(&self) -> usize {
        (HEADER_BYTES + self.archive_bytes as usize).next_multiple_of(DISK_ALIGN)
    }
}

/// The bytes of a frame, whole blocks of them.
pub(super) fn encode(edit: &Edit, sequence: u64) -> Result<Vec<u8>> {
    let archive = rkyv::to_bytes::<RkyvError>(edit)
        .map_err(|error| Error::Rejected(format!("cannot archive an edit of the manifest: {error}")))?;
    let length = u32::try_from(archive.len())
        .map_err(|_| Error::Rejected("an edit of the manifest is larger than 4 GiB".to_owned()))?;
    let mut frame = Vec::with_capacity((HEADER_BYTES + archive.len()).next_multiple_of(DISK_ALIGN));
    frame.extend_from_slice(&MAGIC.to_le_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(&sequence.to_le_bytes());
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&crc32c::crc32c(&archive).to_le_bytes());
    frame.resize(HEADER_BYTES, 0);
    let crc = crc32c::crc32c(&frame[8..]);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
    frame.extend_from_slice(&archive);
    frame.resize(frame.len().next_multiple_of(DISK_ALIGN), 0);
    Ok(frame)
}
