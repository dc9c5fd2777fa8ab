//! Which tables are over.
//!
//! A table's id is given once: it names one life of one table, and the next one under the same name has another id. So
//! what was made for a life that is over can never meet the next: a batch is refused here, by one look for each batch
//! and not for each row, and a reader learns that the table is gone instead of finding it empty in some shards.
//!
//! That a table is over is known at once, from when the catalog says so; its data goes when the shard gets to it
//! ([`Shard::drop_tables`]), perhaps after a flush of minutes.

use super::Shard;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::schema::{TableId, TableSchema};

impl<D: Disk> Shard<D> {
    /// From now on the shard takes no rows of these tables. They are over for good.
    pub fn end_tables(&self, tables: &[TableId]) {
        self.ended.borrow_mut().extend(tables);
    }

    /// Whether a table is over, as far as the shard was told since the start.
    pub fn has_ended(&self, table: TableId) -> bool {
        self.ended.borrow().contains(&table)
    }

    /// An error when a table is over.
    pub(super) fn check_life(&self, table: &TableSchema) -> Result<()> {
        match self.has_ended(table.id) {
            true => Err(Error::Rejected(format!("table {} was dropped", table.name))),
            false => Ok(()),
        }
    }
}
