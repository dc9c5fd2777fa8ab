//! Bytes of a log file: one header block, then frames.
//!
//! ```text
//! file   = header block, frame*            each starts at a multiple of 4 KiB
//! header = magic, version, shard, generation, first LSN, crc32c             (rest of the block zero)
//! frame  = magic, crc32c of the header, generation, first LSN, synced LSN,
//!          count, crc32c of the payload, payload length | record* | zeros up to 4 KiB
//! record = length, kind, LSN | rkyv archive, padded to 16 bytes
//! ```
//!
//! A file is filled once in each generation and then recycled; what an earlier life left behind the last frame is
//! recognised by its generation. `synced LSN` is what was known to be durable when the frame was written: it lets
//! recovery tell a frame that was lost with a crash (it was never acknowledged) from one that was damaged afterwards.

use super::Lsn;
use crate::disk::DISK_ALIGN;
use crate::fields::Fields;

/// Size of a file's header block.
pub(crate) const FILE_HEADER_BYTES: usize = DISK_ALIGN;

/// Size of a frame's header; a multiple of 16, so that records after it are aligned.
pub(crate) const FRAME_HEADER_BYTES: usize = 64;

/// Size of a record's header.
pub(crate) const RECORD_HEADER_BYTES: usize = 16;

/// What a log file with a single row needs beside the bytes of the row's values and of its time, at most: headers, and
/// what the archive says of each column.
pub const fn record_bytes_beside_row(columns: usize) -> u64 {
    const COLUMN_BYTES: usize = 128;
    (2 * FILE_HEADER_BYTES + columns * COLUMN_BYTES) as u64
}

/// Archives start at multiples of this in the file.
pub(crate) const RECORD_ALIGN: usize = 16;

/// Version of everything described above and of the records' archives.
pub(crate) const WAL_VERSION: u32 = 1;

/// The record holds rows: [`super::record::RowsRecord`].
pub(crate) const RECORD_ROWS: u32 = 1;

/// The record is a delete: [`super::delete::DeleteRecord`].
pub(crate) const RECORD_DELETE: u32 = 2;

const FILE_MAGIC: u64 = u64::from_le_bytes(*b"TIDE-WAL");
const FRAME_MAGIC: u32 = u32::from_le_bytes(*b"TWFR");

const _: () = assert!(FRAME_HEADER_BYTES.is_multiple_of(RECORD_ALIGN) && RECORD_HEADER_BYTES == RECORD_ALIGN);

/// What a file's header block says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub(crate) version: u32,
    pub(crate) shard: u32,
    /// Counts activations of log files of the shard, over all files.
    pub(crate) generation: u64,
    /// LSN of the first record, if one follows.
    pub(crate) first_lsn: Lsn,
}

/// What a frame's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) generation: u64,
    pub(crate) first_lsn: Lsn,
    /// Records up to this one were durable before the frame was written.
    pub(crate) synced_lsn: Lsn,
    /// Records.
    pub(crate) count: u32,
    pub(crate) payload_crc: u32,
    pub(crate) payload_bytes: u32,
}

impl FileHeader {
    /// Writes the header to the front of a zeroed block.
    pub(crate) fn write(&self, block: &mut [u8]) {
        let mut bytes = Bytes(Vec::with_capacity(FRAME_HEADER_BYTES));
        bytes.u64(FILE_MAGIC).u32(self.version).u32(self.shard).u64(self.generation).u64(self.first_lsn.0);
        let crc = crc32c::crc32c(&bytes.0);
        bytes.u32(crc);
        block[..bytes.0.len()].copy_from_slice(&bytes.0);
    }

    /// Reads a header; `None` where there is none or it is damaged.
    pub(crate) fn read(block: &[u8]) -> Option<Self> {
        let mut fields = Fields(block);
        let magic = fields.u64()?;
        let header = Self {
            version: fields.u32()?,
            shard: fields.u32()?,
            generation: fields.u64()?,
            first_lsn: Lsn(fields.u64()?),
        };
        let covered = block.len() - fields.0.len();
        let crc = fields.u32()?;
        (magic == FILE_MAGIC && crc == crc32c::crc32c(&block[..covered])).then_some(header)
    }
}

impl FrameHeader {
    /// Writes the header to the front of a frame.
    pub(crate) fn write(&self, frame: &mut [u8]) {
        let mut bytes = Bytes(Vec::with_capacity(FRAME_HEADER_BYTES));
        bytes.u64(self.generation).u64(self.first_lsn.0).u64(self.synced_lsn.0);
        bytes.u32(self.count).u32(self.payload_crc).u32(self.payload_bytes);
        let crc = crc32c::crc32c(&bytes.0);
        let fields = bytes.0;
        let mut start = Bytes(Vec::with_capacity(8));
        start.u32(FRAME_MAGIC).u32(crc);
        frame[..8].copy_from_slice(&start.0);
        frame[8..8 + fields.len()].copy_from_slice(&fields);
    }

    /// Reads a header; `None` where there is none or it is damaged.
    pub(crate) fn read(frame: &[u8]) -> Option<Self> {
        let mut fields = Fields(frame);
        let (magic, crc) = (fields.u32()?, fields.u32()?);
        let covered = fields.0;
        let header = Self {
            generation: fields.u64()?,
            first_lsn: Lsn(fields.u64()?),
            synced_lsn: Lsn(fields.u64()?),
            count: fields.u32()?,
            payload_crc: fields.u32()?,
            payload_bytes: fields.u32()?,
        };
        let covered = &covered[..covered.len() - fields.0.len()];
        (magic == FRAME_MAGIC && crc == crc32c::crc32c(covered)).then_some(header)
    }

    /// Bytes of the whole frame on disk.
    pub(crate) fn frame_bytes(&self) -> u64 {
        aligned(FRAME_HEADER_BYTES as u64 + u64::from(self.payload_bytes))
    }
}

/// The record at the front of `payload`: its LSN, kind and archive, and the payload after it. `None` where the
/// payload is not made of whole records.
pub(crate) fn split_record(payload: &[u8]) -> Option<(Lsn, u32, &[u8], &[u8])> {
    let mut fields = Fields(payload);
    let (length, kind, lsn) = (fields.u32()? as usize, fields.u32()?, Lsn(fields.u64()?));
    let archive = fields.0.get(..length)?;
    let rest = fields.0.get(length.checked_next_multiple_of(RECORD_ALIGN)?..)?;
    Some((lsn, kind, archive, rest))
}

/// Fills in the header of the record that starts at `start` and ends with `out`, and pads it.
pub(crate) fn finish_record(out: &mut Vec<u8>, start: usize, kind: u32, lsn: Lsn) {
    let length = out.len() - start - RECORD_HEADER_BYTES;
    out[start..start + 4].copy_from_slice(&(length as u32).to_le_bytes());
    out[start + 4..start + 8].copy_from_slice(&kind.to_le_bytes());
    out[start + 8..start + 16].copy_from_slice(&lsn.0.to_le_bytes());
    out.resize(out.len().next_multiple_of(RECORD_ALIGN), 0);
}

/// `bytes` rounded up to whole blocks.
pub(crate) fn aligned(bytes: u64) -> u64 {
    bytes.next_multiple_of(DISK_ALIGN as u64)
}

/// Little-endian fields, one after the other.
struct Bytes(Vec<u8>);

impl Bytes {
    fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_and_a_flipped_bit_is_seen() {
        let file = FileHeader { version: WAL_VERSION, shard: 3, generation: 9, first_lsn: Lsn(77) };
        let mut block = vec![0; FILE_HEADER_BYTES];
        assert_eq!(FileHeader::read(&block), None);
        file.write(&mut block);
        assert_eq!(FileHeader::read(&block), Some(file));

        let frame = FrameHeader {
            generation: 9,
            first_lsn: Lsn(5),
            synced_lsn: Lsn(4),
            count: 2,
            payload_crc: 17,
            payload_bytes: 4096,
        };
        let mut bytes = vec![0; FRAME_HEADER_BYTES];
        frame.write(&mut bytes);
        assert_eq!(FrameHeader::read(&bytes), Some(frame));
        assert_eq!(frame.frame_bytes(), 8192);

        for bit in 0..36 * 8 {
            let (mut damaged_block, mut damaged_frame) = (block.clone(), bytes.clone());
            damaged_block[bit / 8] ^= 1 << (bit % 8);
            damaged_frame[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FileHeader::read(&damaged_block), None, "bit {bit}");
            assert_eq!(FrameHeader::read(&damaged_frame), None, "bit {bit}");
        }
        assert_eq!(FrameHeader::read(&bytes[..20]), None);
    }

    #[test]
    fn records_are_split_where_they_were_joined() {
        let mut payload = Vec::new();
        for (lsn, body) in [(1, &b"abc"[..]), (2, b""), (3, b"0123456789abcdef")] {
            let start = payload.len();
            payload.resize(start + RECORD_HEADER_BYTES, 0);
            payload.extend_from_slice(body);
            finish_record(&mut payload, start, RECORD_ROWS, Lsn(lsn));
        }
        let (lsn, kind, body, rest) = split_record(&payload).unwrap();
        assert_eq!((lsn, kind, body), (Lsn(1), RECORD_ROWS, &b"abc"[..]));
        let (lsn, _, body, rest) = split_record(rest).unwrap();
        assert_eq!((lsn, body), (Lsn(2), &b""[..]));
        let (lsn, _, body, rest) = split_record(rest).unwrap();
        assert_eq!((lsn, body, rest), (Lsn(3), &b"0123456789abcdef"[..], &b""[..]));
        assert!(split_record(rest).is_none());
        assert!(split_record(&payload[..17]).is_none());
    }
}
