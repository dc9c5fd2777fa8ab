//! What the catalog asks of blocks: a codec for some fields of a table.
//!
//! The catalog keeps codecs, not the shard: its owner tells them at the start and when they change. They hold for
//! blocks written from then on, by flushes and by merges; blocks that are there are read as they are, whatever is
//! asked for, since each says itself how it is coded.

use std::rc::Rc;

use super::Shard;
use crate::disk::Disk;
use crate::schema::{Codec, ColumnId, TableId, TableSchema};

/// Fields of a table and what is asked for them.
pub(super) type Codecs = Rc<[(ColumnId, Codec)]>;

impl<D: Disk> Shard<D> {
    /// Takes over the codecs of a table's fields.
    pub fn set_codecs(&self, schema: &TableSchema) {
        let codecs: Codecs = schema.columns.iter().filter_map(|column| Some((column.id, column.codec?))).collect();
        let mut known = self.codecs.borrow_mut();
        if codecs.is_empty() {
            known.remove(&schema.id);
        } else {
            known.insert(schema.id, codecs);
        }
    }

    /// The codecs asked for in a table.
    pub(super) fn codecs(&self, table: TableId) -> Codecs {
        self.codecs.borrow().get(&table).cloned().unwrap_or_default()
    }
}
