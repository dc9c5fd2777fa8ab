//! A manifest file as it was read: the manifest that it is, and how far.

use std::path::Path;

use rkyv::rancor::Error as RkyvError;

use super::contents::Manifest;
use super::entry::Edit;
use super::frame::FrameHeader;
use super::snapshot;
use crate::disk::DISK_ALIGN;
use crate::error::{Error, Result};

/// What a manifest file says.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) manifest: Manifest,
    /// The number of its last edit.
    pub(crate) sequence: u64,
    /// Behind the last whole frame, a multiple of the block size.
    pub(super) end: usize,
    /// Where that frame begins, if there is one.
    pub(super) last_frame: Option<usize>,
    /// Something follows that is no whole frame.
    pub(super) is_torn: bool,
    /// Edits may be appended.
    pub(super) takes_edits: bool,
}

impl Image {
    /// Reads the bytes of a file, which must lie at a multiple of 16. An edit at the end that is not whole was cut
    /// short by a crash, or is being written; one that others follow was durable.
    pub(crate) fn read(path: &Path, bytes: &[u8], shard: u32) -> Result<Self> {
        let snapshot = snapshot::decode(path, bytes, shard)?;
        let mut image = Self {
            manifest: Manifest::from(snapshot.lists),
            sequence: snapshot.sequence,
            end: snapshot.end.next_multiple_of(DISK_ALIGN),
            last_frame: None,
            is_torn: false,
            takes_edits: snapshot.takes_edits,
        };
        if image.takes_edits {
            while image.take_frame(path, bytes)? {}
            image.look_behind(path, bytes)?;
        }
        Ok(image)
    }

    /// Makes the edit whose frame begins at the end, if a whole one does.
    fn take_frame(&mut self, path: &Path, bytes: &[u8]) -> Result<bool> {
        let frame = bytes.get(self.end..).unwrap_or_default();
        let Some(header) = FrameHeader::read(frame).filter(|header| header.sequence == self.sequence + 1) else {
            return Ok(false);
        };
        let Some(archive) = header.archive(frame).filter(|_| frame.len() >= header.frame_bytes()) else {
            return Ok(false);
        };
        let edit = rkyv::from_bytes::<Edit, RkyvError>(archive).map_err(|error| {
            let reason = format!("edit {} of the manifest is no archive: {error}", header.sequence);
            Error::corrupt(path, self.end as u64, reason)
        })?;
        self.manifest.apply(edit);
        self.sequence = header.sequence;
        self.last_frame = Some(self.end);
        self.end += header.frame_bytes();
        Ok(true)
    }

    /// Looks at what follows the last whole frame: an error where that had been durable.
    fn look_behind(&mut self, path: &Path, bytes: &[u8]) -> Result<()> {
        for block in bytes.get(self.end..).unwrap_or_default().chunks(DISK_ALIGN) {
            self.is_torn |= block.iter().any(|byte| *byte != 0);
            let later = FrameHeader::read(block).filter(|later| later.sequence > self.sequence + 1);
            if let Some(later) = later {
                let reason = format!(
                    "what follows edit {} of the manifest cannot be read, but edit {} is there",
                    self.sequence, later.sequence
                );
                return Err(Error::corrupt(path, self.end as u64, reason));
            }
        }
        Ok(())
    }

    /// What counts of the bytes that it was read from, as they would be in a file of their own.
    pub(crate) fn whole(&self, bytes: &[u8]) -> Vec<u8> {
        if !self.takes_edits {
            return bytes.to_vec();
        }
        let mut whole = bytes[..self.end.min(bytes.len())].to_vec();
        // With the block of zeros behind the last frame.
        whole.resize(self.end + DISK_ALIGN, 0);
        whole
    }
}

/// The number of the last edit that a damaged file shows traces of.
pub(super) fn last_sequence(bytes: &[u8]) -> Option<u64> {
    let edits = bytes.chunks(DISK_ALIGN).filter_map(FrameHeader::read).map(|header| header.sequence);
    edits.chain(snapshot::sequence(bytes)).max()
}
