//! Rows of memory alone, until the merge with segments stands.

use std::rc::Rc;

use super::{ScanChunk, ScanRequest};
use crate::disk::Disk;
use crate::error::Result;
use crate::segment::Segment;

/// Where the rows of one time partition are.
pub struct PartitionSources<D: Disk> {
    /// Oldest first.
    pub segments: Vec<Rc<Segment<D>>>,
    /// Rows of memtables, oldest first, newer than all segments.
    pub memory: Vec<ScanChunk>,
}

/// A scan under way.
pub struct Scan<D: Disk> {
    partitions: Vec<PartitionSources<D>>,
}

impl<D: Disk> Scan<D> {
    /// A scan over `partitions`.
    pub fn new(_: D, _: ScanRequest, partitions: Vec<PartitionSources<D>>, _: u64) -> Self {
        Self { partitions }
    }

    /// The next rows; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<ScanChunk>> {
        Ok(self.partitions.iter_mut().find_map(|partition| partition.memory.pop()))
    }
}
