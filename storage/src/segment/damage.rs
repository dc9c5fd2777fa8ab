//! Damaged blocks of a segment: which rows they are of, and whether they are well again.

use super::Segment;
use super::reader::GroupInfo;
use crate::disk::Disk;
use crate::error::{Error, Result};

/// What a block holds of its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Runs,
    Times,
    Field(usize),
}

impl<D: Disk> Segment<D> {
    /// The group that the block at `offset` belongs to.
    pub(crate) fn group_at(&self, offset: u64) -> Option<GroupInfo> {
        self.block_at(offset).map(|(group, _)| self.group(group))
    }

    /// Whether the blocks at `offsets` can be read and decoded.
    pub(crate) async fn is_well_at(&self, offsets: impl Iterator<Item = u64>) -> Result<bool> {
        for offset in offsets {
            let Some((group, part)) = self.block_at(offset) else { return Ok(false) };
            match self.read_part(group, part).await {
                Ok(()) => {}
                Err(Error::Corrupt { .. }) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn block_at(&self, offset: u64) -> Option<(usize, Part)> {
        let footer = self.footer();
        footer.groups.iter().enumerate().find_map(|(number, group)| {
            let mut fields = footer.columns.iter().map(|column| column.blocks[number].place.offset);
            let mut field = || fields.position(|at| at == offset).map(Part::Field);
            let part = match offset {
                at if at == group.index.offset => Some(Part::Runs),
                at if at == group.times.offset && group.times.length > 0 => Some(Part::Times),
                _ => field(),
            };
            part.map(|part| (number, part))
        })
    }

    async fn read_part(&self, group: usize, part: Part) -> Result<()> {
        match part {
            Part::Runs => self.index(group).await.map(drop),
            Part::Times => {
                let runs = self.index(group).await?;
                self.times(group, &runs).await.map(drop)
            }
            Part::Field(field) => {
                let Some((_, kind)) = self.columns().nth(field) else { return Ok(()) };
                self.values(field, group, 0..self.group(group).rows, kind).await.map(drop)
            }
        }
    }
}
