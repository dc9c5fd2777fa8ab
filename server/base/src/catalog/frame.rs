//! Bytes of a catalog file: one header block, then frames.
//!
//! ```text
//! file   = header block, frame*            each starts at a multiple of 4 KiB
//! header = magic, format, generation, end of the snapshot, zeros | crc32c of the block
//! frame  = magic, crc32c of the header, generation, sequence, synced sequence, kind,
//!          crc32c of the payload with its padding, payload length | JSON | zeros up to 4 KiB
//! ```
//!
//! The payload is JSON, a list of edits ([`Edit`](super::edit::Edit)), so that an operator in trouble can read it, and
//! so that nothing in it can be taken for a frame: the magic has a byte that no UTF-8 text has.

use tidewire_storage::disk::DISK_ALIGN;
use tidewire_storage::fields::Fields;

/// Version of what is described above. Formats 1 and 2 were one JSON document ([`document`](super::document)).
pub(super) const FORMAT: u32 = 3;

/// Size of a file's header block, and of the blocks that frames are made of.
pub(super) const BLOCK_BYTES: u64 = DISK_ALIGN as u64;

/// Size of a frame's header.
const FRAME_HEADER_BYTES: usize = 64;

const FILE_MAGIC: u64 = u64::from_le_bytes(*b"TIDE-CAT");
const FRAME_MAGIC: u32 = u32::from_le_bytes([0xff, b'T', b'C', b'F']);

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A part of the catalog as it was when the file was made.
    Snapshot,
    /// Changes that were made together.
    Commit,
    /// Nothing but the testimony that what came before is durable.
    Seal,
}

/// What a file's header block says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileHeader {
    pub(super) format: u32,
    /// As in the file's name.
    pub(super) generation: u64,
    /// Offset of the first frame that is no part of the snapshot.
    pub(super) snapshot_end: u64,
}

/// What a frame's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) generation: u64,
    /// The catalog's version with this frame.
    pub(super) sequence: u64,
    /// Commits up to this one were durable before the frame was written.
    pub(super) synced: u64,
    pub(super) kind: Kind,
    payload_crc: u32,
    payload_bytes: u32,
}

impl FileHeader {
    /// Writes the header to a zeroed block.
    pub(super) fn write(&self, block: &mut [u8]) {
        block[..8].copy_from_slice(&FILE_MAGIC.to_le_bytes());
        block[8..12].copy_from_slice(&self.format.to_le_bytes());
        block[12..20].copy_from_slice(&self.generation.to_le_bytes());
        block[20..28].copy_from_slice(&self.snapshot_end.to_le_bytes());
        let covered = block.len() - 4;
        let crc = crc32c::crc32c(&block[..covered]);
        block[covered..].copy_from_slice(&crc.to_le_bytes());
    }

    /// Reads a header block; `None` where it is damaged.
    pub(super) fn read(block: &[u8]) -> Option<Self> {
        let (covered, crc) = block.split_last_chunk()?;
        let mut fields = Fields(block);
        let magic = fields.u64()?;
        let header = Self { format: fields.u32()?, generation: fields.u64()?, snapshot_end: fields.u64()? };
        (magic == FILE_MAGIC && crc32c::crc32c(covered) == u32::from_le_bytes(*crc)).then_some(header)
    }
}

/// Where a frame stands in the life of a catalog.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) generation: u64,
    pub(super) sequence: u64,
    pub(super) synced: u64,
}

impl FrameHeader {
    /// Reads a header; `None` where there is none or it is damaged.
    pub(super) fn read(frame: &[u8]) -> Option<Self> {
        let mut fields = Fields(frame.get(..FRAME_HEADER_BYTES)?);
        let (magic, crc) = (fields.u32()?, fields.u32()?);
        if magic != FRAME_MAGIC || crc32c::crc32c(fields.0) != crc {
            return None;
        }
        Some(Self {
            generation: fields.u64()?,
            sequence: fields.u64()?,
            synced: fields.u64()?,
            kind: match fields.u32()? {
                0 => Kind::Snapshot,
                1 => Kind::Commit,
                2 => Kind::Seal,
                _ => return None,
            },
            payload_crc: fields.u32()?,
            payload_bytes: fields.u32()?,
        })
    }

    /// Bytes of the whole frame.
    pub(super) fn frame_bytes(&self) -> u64 {
        (FRAME_HEADER_BYTES as u64 + u64::from(self.payload_bytes)).next_multiple_of(BLOCK_BYTES)
    }

    /// The payload of a whole frame; `None` where it is damaged.
    pub(super) fn payload<'f>(&self, frame: &'f [u8]) -> Option<&'f [u8]> {
        let padded = frame.get(FRAME_HEADER_BYTES..)?;
        (crc32c::crc32c(padded) == self.payload_crc).then_some(padded)?.get(..self.payload_bytes as usize)
    }
}

/// A frame's bytes, whole blocks of them; `None` for a payload of 4 GiB or more.
pub(super) fn encode(place: Place, kind: Kind, payload: &[u8]) -> Option<Vec<u8>> {
    let payload_bytes = u32::try_from(payload.len()).ok()?;
    let mut frame = vec![0; FRAME_HEADER_BYTES];
    frame.extend_from_slice(payload);
    frame.resize(frame.len().next_multiple_of(DISK_ALIGN), 0);
    let kind: u32 = match kind {
        Kind::Snapshot => 0,
        Kind::Commit => 1,
        Kind::Seal => 2,
    };
    let payload_crc = crc32c::crc32c(&frame[FRAME_HEADER_BYTES..]);
    frame[..4].copy_from_slice(&FRAME_MAGIC.to_le_bytes());
    frame[8..16].copy_from_slice(&place.generation.to_le_bytes());
    frame[16..24].copy_from_slice(&place.sequence.to_le_bytes());
    frame[24..32].copy_from_slice(&place.synced.to_le_bytes());
    frame[32..36].copy_from_slice(&kind.to_le_bytes());
    frame[36..40].copy_from_slice(&payload_crc.to_le_bytes());
    frame[40..44].copy_from_slice(&payload_bytes.to_le_bytes());
    let crc = crc32c::crc32c(&frame[8..FRAME_HEADER_BYTES]);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
    Some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_frames_come_back_and_any_flipped_bit_is_seen() {
        let header = FileHeader { format: FORMAT, generation: 9, snapshot_end: 8192 };
        let mut block = vec![0; DISK_ALIGN];
        assert_eq!(FileHeader::read(&block), None);
        header.write(&mut block);
        assert_eq!(FileHeader::read(&block), Some(header));

        let place = Place { generation: 9, sequence: 5, synced: 4 };
        let frame = encode(place, Kind::Commit, b"[1,2]").unwrap();
        let header = FrameHeader::read(&frame).unwrap();
        assert_eq!((header.generation, header.sequence, header.synced, header.kind), (9, 5, 4, Kind::Commit));
        assert_eq!((header.frame_bytes(), header.payload(&frame)), (BLOCK_BYTES, Some(&b"[1,2]"[..])));
        for bit in 0..DISK_ALIGN * 8 {
            let flip = |bytes: &[u8]| {
                let mut damaged = bytes.to_vec();
                damaged[bit / 8] ^= 1 << (bit % 8);
                damaged
            };
            assert_eq!(FileHeader::read(&flip(&block)), None, "bit {bit}");
            let damaged = flip(&frame);
            assert!(FrameHeader::read(&damaged).is_none_or(|header| header.payload(&damaged).is_none()), "bit {bit}");
        }
        assert_eq!(FrameHeader::read(&frame[..60]), None);
        assert_eq!(encode(place, Kind::Seal, &[7; 4096]).unwrap().len(), 8192);
    }
}
