//! Building one columnar [`WriteBatch`] row by row.
//!
//! The common case is that every row has the same layout: then a row is one push per column and nothing else. A row
//! with another layout of the same table goes through a column map; columns it lacks are filled with nulls.

use std::sync::Arc;

use tidewire_protocol::line::RawValue;
use tidewire_storage::batch::{BatchColumn, Values, WriteBatch};
use tidewire_storage::schema::{ColumnId, FieldType, TableSchema};

/// Which batch column each field of a layout goes to; `None` where the field is left out.
type ColumnMap = Vec<Option<usize>>;

/// Rows of one table for one shard, being collected.
#[derive(Debug)]
pub struct BatchBuilder {
    /// The table, as of the newest layout used.
    pub table: Arc<TableSchema>,
    batch: WriteBatch,
    /// Series slots by ordinal, to learn the ids when the shard answers.
    slots: Vec<u32>,
    /// The layout whose map is `map`.
    layout: u32,
    map: ColumnMap,
    /// Whether `map` is the identity over all columns and no column has nulls: the fast path.
    dense: bool,
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

impl BatchBuilder {
    /// An empty batch for `table`, in the memory of `recycled`.
    pub fn new(table: Arc<TableSchema>, mut recycled: WriteBatch) -> Self {
        recycled.table = Some(table.id);
        recycled.series.clear();
        recycled.time.clear();
        recycled.new_series.bytes.clear();
        recycled.new_series.ends.clear();
        Self { table, batch: recycled, slots: Vec::new(), layout: u32::MAX, map: Vec::new(), dense: false }
    }

    /// Rows collected.
    pub fn rows(&self) -> usize {
        self.batch.rows()
    }

    /// Memory held by the rows.
    pub fn bytes(&self) -> usize {
        self.batch.bytes()
    }

    /// Whether the last row had this layout.
    #[inline]
    pub fn has_layout(&self, layout: u32) -> bool {
        self.layout == layout
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
        self.batch.new_series.push_key(key)
    }

    /// Appends a row. `layout` names `fields` (one per value, `None` = left out) across calls.
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
        if layout != self.layout {
            self.switch_layout(layout, fields);
        }
        if self.dense {
            for (column, value) in self.batch.columns.iter_mut().zip(values) {
                push_value(&mut column.values, *value, text);
            }
        } else {
            self.push_sparse(values, text);
        }
        self.batch.series.push(series);
        self.batch.time.push(time);
    }

    fn push_sparse(&mut self, values: &[RawValue], text: &[u8]) {
        let rows = self.batch.rows();
        for (target, value) in self.map.iter().zip(values) {
            if let Some(index) = target {
                let column = &mut self.batch.columns[*index];
                push_value(&mut column.values, *value, text);
                if let Some(validity) = &mut column.validity {
                    set_bit(validity, rows, true);
                }
            }
        }
        for column in &mut self.batch.columns {
            if column.values.len() == rows {
                push_placeholder(&mut column.values);
                let validity = column.validity.get_or_insert_with(|| all_set(rows));
                set_bit(validity, rows, false);
            }
        }
    }

    fn switch_layout(&mut self, layout: u32, fields: &[Option<(ColumnId, FieldType)>]) {
        let rows = self.batch.rows();
        if rows == 0 && !same_columns(&self.batch.columns, fields) {
            self.batch.columns.clear();
        } else if rows == 0 {
            // Recycled memory of the same columns: keep the capacity, drop the rows.
            for column in &mut self.batch.columns {
                clear(&mut column.values);
                column.validity = None;
            }
        }
        self.map.clear();
        for field in fields {
            let target = field.map(|(id, kind)| {
                let found = self.batch.columns.iter().position(|c| c.id == id);
                found.unwrap_or_else(|| {
                    let mut values = Values::new(kind);
                    for _ in 0..rows {
                        push_placeholder(&mut values);
                    }
                    let validity = (rows > 0).then(|| vec![0; rows.div_ceil(64)]);
                    self.batch.columns.push(BatchColumn { id, values, validity });
                    self.batch.columns.len() - 1
                })
            });
            self.map.push(target);
        }
        self.layout = layout;
        self.dense = self.map.len() == self.batch.columns.len()
            && self.map.iter().enumerate().all(|(i, target)| *target == Some(i))
            && self.batch.columns.iter().all(|c| c.validity.is_none());
    }

    /// The batch, ready to be sent.
    pub fn finish(self) -> FinishedBatch {
        FinishedBatch { batch: self.batch, table: self.table, slots: self.slots }
    }
}

fn same_columns(columns: &[BatchColumn], fields: &[Option<(ColumnId, FieldType)>]) -> bool {
    columns.len() == fields.len() && columns.iter().zip(fields).all(|(c, f)| *f == Some((c.id, c.values.kind())))
}

#[inline]
fn push_value(values: &mut Values, value: RawValue, text: &[u8]) {
    match values {
        Values::Int(v) => v.push(value.0 as i64),
        Values::UInt(v) => v.push(value.0),
        Values::Float(v) => v.push(f64::from_bits(value.0)),
        Values::Bool(v) => v.push(value.0 as u8),
        Values::String(v) => {
            v.bytes.extend_from_slice(&value.bytes(text));
            v.ends.push(v.bytes.len() as u32);
        }
    }
}

fn push_placeholder(values: &mut Values) {
    match values {
        Values::Int(v) => v.push(0),
        Values::UInt(v) => v.push(0),
        Values::Float(v) => v.push(0.0),
        Values::Bool(v) => v.push(0),
        Values::String(v) => v.ends.push(v.bytes.len() as u32),
    }
}

fn clear(values: &mut Values) {
    match values {
        Values::Int(v) => v.clear(),
        Values::UInt(v) => v.clear(),
        Values::Float(v) => v.clear(),
        Values::Bool(v) => v.clear(),
        Values::String(v) => {
            v.bytes.clear();
            v.ends.clear();
        }
    }
}

/// A bitmap of `rows` set bits.
fn all_set(rows: usize) -> Vec<u64> {
    let mut bits = vec![u64::MAX; rows / 64];
    if !rows.is_multiple_of(64) {
        bits.push((1 << (rows % 64)) - 1);
    }
    bits
}

fn set_bit(bits: &mut Vec<u64>, row: usize, set: bool) {
    if row / 64 >= bits.len() {
        bits.push(0);
    }
    bits[row / 64] |= u64::from(set) << (row % 64);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidewire_storage::schema::{TableId, TimeUnit};

    fn table() -> Arc<TableSchema> {
        Arc::new(TableSchema {
            id: TableId(1),
            name: "t".into(),
            columns: Vec::new(),
            time_unit: TimeUnit::Nanosecond,
            partition_length: 1,
            next_column: 0,
        })
    }

    const A: Option<(ColumnId, FieldType)> = Some((ColumnId(0), FieldType::Int));
    const B: Option<(ColumnId, FieldType)> = Some((ColumnId(1), FieldType::Float));

    #[test]
    fn rows_of_one_layout_have_no_validity() {
        let mut builder = BatchBuilder::new(table(), WriteBatch::default());
        for row in 0..3u64 {
            builder.push(row as u32, 5, 0, &[A, B], &[RawValue(row), RawValue(0.5f64.to_bits())], b"");
        }
        let batch = builder.finish().batch;
        assert_eq!(batch.columns[0].values, Values::Int(vec![0, 1, 2]));
        assert_eq!(batch.columns[1].values, Values::Float(vec![0.5; 3]));
        assert!(batch.columns.iter().all(|c| c.validity.is_none()));
    }

    #[test]
    fn rows_of_several_layouts_are_filled_with_nulls() {
        let mut builder = BatchBuilder::new(table(), WriteBatch::default());
        builder.push(0, 1, 0, &[A], &[RawValue(7)], b"");
        builder.push(0, 2, 1, &[B, None, A], &[RawValue(1.5f64.to_bits()), RawValue(99), RawValue(8)], b"");
        builder.push(0, 3, 0, &[A], &[RawValue(9)], b"");
        let batch = builder.finish().batch;
        assert_eq!(batch.columns[0].values, Values::Int(vec![7, 8, 9]));
        assert_eq!(batch.columns[0].validity, None);
        assert_eq!(batch.columns[1].values, Values::Float(vec![0.0, 1.5, 0.0]));
        assert_eq!(batch.columns[1].validity, Some(vec![0b010]));
        assert_eq!(batch.time, [1, 2, 3]);
    }

    #[test]
    fn null_filling_crosses_words() {
        let mut builder = BatchBuilder::new(table(), WriteBatch::default());
        for row in 0..130 {
            let (layout, field) = if row % 2 == 0 { (0, A) } else { (1, B) };
            builder.push(0, row, layout, &[field], &[RawValue(0)], b"");
        }
        let batch = builder.finish().batch;
        let odd = 0xAAAA_AAAA_AAAA_AAAA;
        assert_eq!(batch.columns[0].validity, Some(vec![!odd, !odd, 0b01]));
        assert_eq!(batch.columns[1].validity, Some(vec![odd, odd, 0b10]));
    }

    #[test]
    fn recycled_memory_brings_no_rows() {
        let mut first = BatchBuilder::new(table(), WriteBatch::default());
        first.push(1, 1, 0, &[A, B], &[RawValue(1), RawValue(2)], b"");
        let used = first.finish().batch;
        let mut second = BatchBuilder::new(table(), used.clone());
        second.push(2, 2, 0, &[A, B], &[RawValue(3), RawValue(4)], b"");
        assert_eq!(second.finish().batch.columns[0].values, Values::Int(vec![3]));
        let mut other = BatchBuilder::new(table(), used);
        other.push(2, 2, 0, &[B], &[RawValue(4)], b"");
        let batch = other.finish().batch;
        assert_eq!((batch.columns.len(), batch.rows()), (1, 1));
    }
}
