//! What the catalog says of a table's columns: which are dropped, and the codecs that are asked for.
//!
//! The catalog keeps it, not the shard: its owner passes it on at the start and when it changes. Codecs hold for blocks
//! written from then on, by flushes and by merges; blocks that are there are read as they are, whatever is asked for,
//! since each says itself how it is coded. Merges leave out dropped columns. Their ids are never given again, so that a
//! catalog that is known late, or again, takes nothing away that a later one has.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::Shard;
use crate::disk::Disk;
use crate::schema::{Codec, ColumnId, TableId, TableSchema};

/// What is known of a table's columns.
#[derive(Debug, Clone, Default)]
pub(super) struct Columns {
    /// Fields with a codec that is asked for.
    pub(super) codecs: Rc<[(ColumnId, Codec)]>,
    /// Ascending.
    pub(super) dropped: Rc<[ColumnId]>,
}

impl<D: Disk> Shard<D> {
    /// Takes over what the catalog says of a table's columns. Those with ids before its `next_column` that it lacks are
    /// dropped for good.
    pub fn set_columns(&self, schema: &TableSchema) {
        if !schema.says_of_columns() && !self.columns.borrow().contains_key(&schema.id) {
            // Most tables have neither: a request may bring a hundred thousand.
            return;
        }
        let live: BTreeSet<ColumnId> = schema.columns.iter().map(|column| column.id).collect();
        let columns = Columns {
            codecs: schema.columns.iter().filter_map(|column| Some((column.id, column.codec?))).collect(),
            dropped: (0..schema.next_column).map(ColumnId).filter(|id| !live.contains(id)).collect(),
        };
        let mut known = self.columns.borrow_mut();
        let before = known.get(&schema.id).map_or(&[][..], |before| &before.dropped);
        // Nothing is merged for another codec: the rows of the table are looked at only if they may shrink.
        let may_shrink = before != &*columns.dropped;
        if columns.codecs.is_empty() && columns.dropped.is_empty() {
            known.remove(&schema.id);
        } else {
            known.insert(schema.id, columns);
        }
        drop(known);
        if may_shrink {
            self.note_table(schema.id);
            self.changed.notify();
        }
    }

    /// A table with rows or series that have a column which the catalog has not made yet: `next` says which id of a
    /// table is the first of those, and `None` of a table that it does not know.
    pub fn column_beyond(&self, next: &dyn Fn(TableId) -> Option<ColumnId>) -> Option<(TableId, ColumnId)> {
        let state = self.state.borrow();
        state.tables.iter().find_map(|(table, known)| {
            let next = next(*table)?;
            // Ascending in a segment.
            let stored = known.segments().filter_map(|segment| segment.columns().last().map(|(id, _)| id));
            let held = state.memtables().filter_map(|memtable| memtable.table(*table)?.greatest_field());
            let greatest = stored.chain(held).chain(known.series.tags()).max()?;
            (greatest >= next).then_some((*table, greatest))
        })
    }

    /// What was said of a table's columns.
    pub(super) fn columns(&self, table: TableId) -> Columns {
        self.columns.borrow().get(&table).cloned().unwrap_or_default()
    }
}
