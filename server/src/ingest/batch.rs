//! Rows of one table for one shard, as a request collects them: a [`BatchBuilder`] with what the request knows beside
//! it.

use std::sync::Arc;

use tidewire_protocol::row::RawValue;
use tidewire_storage::batch::{BatchBuilder, Strings, Values, WriteBatch};
use tidewire_storage::schema::{ColumnId, FieldType, TableSchema};

/// Columns of a batch that are many: few tables have more, and a batch more costs less than values that rows lack.
const WIDE_COLUMNS_MIN: usize = 256;
/// Values of such a batch that are many: two megabytes.
const WIDE_VALUES_MIN: usize = 1 << 18;
/// The same where rows lack some of them: a few short rows bring all of these, and each goes to a column of its own.
const SPARSE_VALUES_MIN: usize = 1 << 16;
/// Bytes of a batch that are many: a shard takes and logs them in a few milliseconds.
const BATCH_BYTES_MAX: usize = 2 << 20;

/// See the module.
#[derive(Debug)]
pub struct TableRows {
    /// The table, as of the newest layout used.
    pub table: Arc<TableSchema>,
    /// The first and the last time that it takes.
    times: (i64, i64),
    builder: BatchBuilder,
    /// Series slots by ordinal, to learn the ids when the shard answers.
    slots: Vec<u32>,
}

/// Rows bound for one shard.
#[derive(Debug)]
pub struct ShardRows {
    /// The shard.
    pub shard: u32,
    /// The rows.
    pub batch: WriteBatch,
    /// Their table.
    pub table: Arc<TableSchema>,
    /// The ids are of a catalog that nobody but the request knows ([`provisional`](super::provisional)).
    pub is_provisional: bool,
}

/// A finished batch with the series slots of its new series, by ordinal.
#[derive(Debug)]
pub struct FinishedBatch {
    /// The rows.
    pub batch: WriteBatch,
    /// The table they belong to.
    pub table: Arc<TableSchema>,
    /// The sink's slot of each new series.
    pub slots: Vec<u32>,
}

impl TableRows {
    /// None yet. `recycled` is memory for them.
    pub fn new(table: Arc<TableSchema>, recycled: WriteBatch) -> Self {
        let times = table.time_unit.times();
        Self { builder: BatchBuilder::new(table.id, recycled), table, times, slots: Vec::new() }
    }

    /// The first and the last time that the table takes.
    #[inline]
    pub fn times(&self) -> (i64, i64) {
        self.times
    }

    /// Rows collected.
    pub fn rows(&self) -> usize {
        self.builder.rows()
    }

    /// Columns that rows have.
    pub fn columns(&self) -> usize {
        self.builder.columns()
    }

    /// Memory held by the rows.
    pub fn bytes(&self) -> usize {
        self.builder.bytes()
    }

    /// Whether it gets no more rows: it has many columns and many values, or many bytes.
    pub fn is_full(&self) -> bool {
        self.is_wide_with(0, WIDE_VALUES_MIN) || self.bytes() >= BATCH_BYTES_MAX
    }

    /// Whether a row of this layout, which has `fields`, goes with the others. It brings all values that it takes, or
    /// those that others lack are few.
    #[inline]
    pub fn takes(&self, layout: u32, fields: usize) -> bool {
        match self.has_layout(layout) {
            true => self.builder.is_dense() || !self.is_wide_with(0, SPARSE_VALUES_MIN),
            // Rows before one with many columns get a value in each.
            false => !self.is_wide_with(fields, SPARSE_VALUES_MIN),
        }
    }

    /// Whether it has, with `more` columns, many columns and, with those that rows lack, this many values.
    fn is_wide_with(&self, more: usize, values_min: usize) -> bool {
        let columns = self.columns() + more;
        columns >= WIDE_COLUMNS_MIN && self.rows() * columns >= values_min
    }

    /// Whether the last row had this layout.
    #[inline]
    pub fn has_layout(&self, layout: u32) -> bool {
        self.builder.has_layout(layout)
    }

    /// Whether the series of `slot` has this ordinal in the batch.
    pub fn has_ordinal(&self, ordinal: u32, slot: u32) -> bool {
        self.slots.get(ordinal as usize) == Some(&slot)
    }

    /// Adds the key of a series without an id, and gives its ordinal. `table` knows all of its tags.
    pub fn new_series(&mut self, slot: u32, key: &[u8], table: &Arc<TableSchema>) -> u32 {
        if !Arc::ptr_eq(&self.table, table) {
            self.table = table.clone();
        }
        self.slots.push(slot);
        self.builder.new_series(key)
    }

    /// Appends a row; see [`BatchBuilder::push`]. Strings are places in `text`.
    #[inline]
    pub fn push(
        &mut self,
        series: u32,
        time: i64,
        layout: u32,
        fields: &[Option<(ColumnId, FieldType)>],
        values: &[RawValue],
        text: &[u8],
    ) {
        self.builder.push(series, time, layout, fields, values, |column, value| push_value(column, *value, text));
    }

    /// The batch, ready to be sent.
    pub fn finish(self) -> FinishedBatch {
        FinishedBatch { batch: self.builder.finish(), table: self.table, slots: self.slots }
    }
}

/// In the loop over a row's values: numbers must not pay for what texts need.
#[inline(always)]
fn push_value(values: &mut Values, value: RawValue, text: &[u8]) {
    match values {
        Values::Int(v) => v.push(value.int()),
        Values::UInt(v) => v.push(value.uint()),
        Values::Float(v) => v.push(value.float()),
        Values::Bool(v) => v.push(u8::from(value.bool())),
        Values::String(v) => push_string(v, value, text),
    }
}

#[inline(never)]
fn push_string(strings: &mut Strings, value: RawValue, text: &[u8]) {
    strings.push(value.string(text));
}
