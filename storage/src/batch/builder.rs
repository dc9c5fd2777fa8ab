//! Building one columnar [`WriteBatch`].
//!
//! Rows that come one by one ([`BatchBuilder::push`]): the common case is that every row has the same layout, then a
//! row is one push per column and nothing else. A row with another layout of the same table goes through a column map;
//! columns it lacks are filled with nulls.
//!
//! Rows that come as columns: first series and times ([`BatchBuilder::push_series`]), then each field for all rows
//! ([`BatchBuilder::push_column`]).

use super::{BatchColumn, ColumnPlaces, Strings, Values, WriteBatch};
use crate::schema::{ColumnId, FieldType, TableId};

/// Which batch column each field of a layout goes to; `None` where the field is left out.
type ColumnMap = Vec<Option<usize>>;

/// Rows of one table for one shard, being collected.
#[derive(Debug)]
pub struct BatchBuilder {
    batch: WriteBatch,
    /// The layout whose map is `map`.
    layout: u32,
    map: ColumnMap,
    /// Whether `map` is the identity over all columns and no column has nulls: the fast path.
    dense: bool,
}

impl BatchBuilder {
    /// An empty batch of `table`, in the memory of `recycled`.
    pub fn new(table: TableId, mut recycled: WriteBatch) -> Self {
        recycled.table = Some(table);
        recycled.series.clear();
        recycled.time.clear();
        recycled.new_series.bytes.clear();
        recycled.new_series.ends.clear();
        // The first layout may be the one they had: they keep their capacity.
        for column in &mut recycled.columns {
            clear(&mut column.values);
            column.validity = None;
        }
        Self { batch: recycled, layout: u32::MAX, map: Vec::new(), dense: false }
    }

    /// Rows collected.
    pub fn rows(&self) -> usize {
        self.batch.rows()
    }

    /// Columns that rows have.
    pub fn columns(&self) -> usize {
        self.batch.columns.len()
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

    /// Whether the last row had all columns, and so had all others.
    #[inline]
    pub fn is_dense(&self) -> bool {
        self.dense
    }

    /// Adds the key of a series without an id, and gives its ordinal.
    pub fn new_series(&mut self, key: &[u8]) -> u32 {
        self.batch.new_series.push_key(key)
    }

    /// The same of a key as its tags, sorted by column.
    pub fn new_series_of<'a>(&mut self, tags: impl IntoIterator<Item = (ColumnId, &'a [u8])>) -> u32 {
        self.batch.new_series.push(tags)
    }

    /// Appends a row. `layout` names `fields` (one per value, `None` = left out) across calls; `put` appends a value to
    /// the column of its field, whose type that field has.
    #[inline]
    pub fn push<V>(
        &mut self,
        series: u32,
        time: i64,
        layout: u32,
        fields: &[Option<(ColumnId, FieldType)>],
        values: &[V],
        put: impl Fn(&mut Values, &V),
    ) {
        if layout != self.layout {
            self.switch_layout(layout, fields);
        }
        if self.dense {
            for (column, value) in self.batch.columns.iter_mut().zip(values) {
                put(&mut column.values, value);
            }
        } else {
            self.push_sparse(values, put);
        }
        self.batch.series.push(series);
        self.batch.time.push(time);
    }

    fn push_sparse<V>(&mut self, values: &[V], put: impl Fn(&mut Values, &V)) {
        let rows = self.batch.rows();
        for (target, value) in self.map.iter().zip(values) {
            if let Some(index) = target {
                let column = &mut self.batch.columns[*index];
                put(&mut column.values, value);
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
        }
        self.map.clear();
        // No layout has a field twice, so that what is added here is not asked for again.
        let before = ColumnPlaces::of(self.batch.columns.iter().map(|column| column.id), fields.len());
        for field in fields {
            let target = field.map(|(id, kind)| {
                before.find(id).unwrap_or_else(|| {
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

    /// Appends rows of one series, whose fields are to follow as columns.
    pub fn push_series(&mut self, series: u32, times: &[i64]) {
        if self.rows() == 0 {
            self.batch.columns.clear();
        }
        self.batch.series.extend(std::iter::repeat_n(series, times.len()));
        self.batch.time.extend_from_slice(times);
    }

    /// Adds a field for all rows, each with its value or with none. A field that no row has is left out.
    pub fn push_column<C: FieldCell>(&mut self, id: ColumnId, cells: impl Iterator<Item = Option<C>>) {
        let rows = self.rows();
        let mut column = C::Column::default();
        let mut validity = vec![0_u64; rows.div_ceil(64)];
        let mut present = 0;
        for (row, cell) in cells.take(rows).enumerate() {
            if cell.is_some() {
                validity[row / 64] |= 1 << (row % 64);
                present += 1;
            }
            C::push(&mut column, cell);
        }
        if present > 0 {
            let validity = (present < rows).then_some(validity);
            self.batch.columns.push(BatchColumn { id, values: C::values(column), validity });
        }
    }

    /// The batch, ready to be sent.
    pub fn finish(self) -> WriteBatch {
        let rows = self.rows();
        assert!(
            rows == 0 || self.batch.columns.iter().all(|column| column.values.len() == rows),
            "BUG: columns of different lengths"
        );
        self.batch
    }
}

/// A field's value in rows that come as columns.
pub trait FieldCell: Sized {
    /// Many of them.
    type Column: Default;

    /// Appends a value, or the placeholder where there is none.
    fn push(column: &mut Self::Column, cell: Option<Self>);

    /// The column as a batch has it.
    fn values(column: Self::Column) -> Values;
}

macro_rules! number_cell {
    ($type:ty, $values:ident) => {
        impl FieldCell for $type {
            type Column = Vec<$type>;

            #[inline]
            fn push(column: &mut Vec<$type>, cell: Option<$type>) {
                column.push(cell.unwrap_or_default());
            }

            fn values(column: Vec<$type>) -> Values {
                Values::$values(column)
            }
        }
    };
}

number_cell!(i64, Int);
number_cell!(u64, UInt);
number_cell!(f64, Float);

impl FieldCell for bool {
    type Column = Vec<u8>;

    #[inline]
    fn push(column: &mut Vec<u8>, cell: Option<bool>) {
        column.push(u8::from(cell.unwrap_or_default()));
    }

    fn values(column: Vec<u8>) -> Values {
        Values::Bool(column)
    }
}

impl FieldCell for &str {
    type Column = Strings;

    #[inline]
    fn push(column: &mut Strings, cell: Option<&str>) {
        column.push(cell.unwrap_or_default().as_bytes());
    }

    fn values(column: Strings) -> Values {
        Values::String(column)
    }
}

fn same_columns(columns: &[BatchColumn], fields: &[Option<(ColumnId, FieldType)>]) -> bool {
    columns.len() == fields.len() && columns.iter().zip(fields).all(|(c, f)| *f == Some((c.id, c.values.kind())))
}

fn push_placeholder(values: &mut Values) {
    match values {
        Values::Int(v) => v.push(0),
        Values::UInt(v) => v.push(0),
        Values::Float(v) => v.push(0.0),
        Values::Bool(v) => v.push(0),
        Values::String(v) => v.push(b""),
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

    const TABLE: TableId = TableId(1);
    const A: Option<(ColumnId, FieldType)> = Some((ColumnId(0), FieldType::Int));
    const B: Option<(ColumnId, FieldType)> = Some((ColumnId(1), FieldType::Float));

    /// Puts the bits of a number.
    fn put(values: &mut Values, bits: &u64) {
        match values {
            Values::Int(v) => v.push(bits.cast_signed()),
            Values::Float(v) => v.push(f64::from_bits(*bits)),
            other => panic!("{other:?}"),
        }
    }

    fn float(number: f64) -> u64 {
        number.to_bits()
    }

    #[test]
    fn rows_of_one_layout_have_no_validity() {
        let mut builder = BatchBuilder::new(TABLE, WriteBatch::default());
        for row in 0..3u64 {
            builder.push(row as u32, 5, 0, &[A, B], &[row, float(0.5)], put);
        }
        let batch = builder.finish();
        assert_eq!(batch.table, Some(TABLE));
        assert_eq!(batch.columns[0].values, Values::Int(vec![0, 1, 2]));
        assert_eq!(batch.columns[1].values, Values::Float(vec![0.5; 3]));
        assert!(batch.columns.iter().all(|c| c.validity.is_none()));
    }

    #[test]
    fn rows_of_several_layouts_are_filled_with_nulls() {
        let mut builder = BatchBuilder::new(TABLE, WriteBatch::default());
        builder.push(0, 1, 0, &[A], &[7], put);
        builder.push(0, 2, 1, &[B, None, A], &[float(1.5), 99, 8], put);
        builder.push(0, 3, 0, &[A], &[9], put);
        let batch = builder.finish();
        assert_eq!(batch.columns[0].values, Values::Int(vec![7, 8, 9]));
        assert_eq!(batch.columns[0].validity, None);
        assert_eq!(batch.columns[1].values, Values::Float(vec![0.0, 1.5, 0.0]));
        assert_eq!(batch.columns[1].validity, Some(vec![0b010]));
        assert_eq!(batch.time, [1, 2, 3]);
    }

    #[test]
    fn null_filling_crosses_words() {
        let mut builder = BatchBuilder::new(TABLE, WriteBatch::default());
        for row in 0..130 {
            let (layout, field) = if row % 2 == 0 { (0, A) } else { (1, B) };
            builder.push(0, row, layout, &[field], &[0], put);
        }
        let batch = builder.finish();
        let odd = 0xAAAA_AAAA_AAAA_AAAA;
        assert_eq!(batch.columns[0].validity, Some(vec![!odd, !odd, 0b01]));
        assert_eq!(batch.columns[1].validity, Some(vec![odd, odd, 0b10]));
    }

    #[test]
    fn recycled_memory_brings_no_rows() {
        let mut first = BatchBuilder::new(TABLE, WriteBatch::default());
        first.push(1, 1, 0, &[A, B], &[1, 2], put);
        let used = first.finish();
        let mut second = BatchBuilder::new(TABLE, used.clone());
        second.push(2, 2, 0, &[A, B], &[3, 4], put);
        assert_eq!(second.finish().columns[0].values, Values::Int(vec![3]));
        let mut other = BatchBuilder::new(TABLE, used.clone());
        other.push(2, 2, 0, &[B], &[4], put);
        let batch = other.finish();
        assert_eq!((batch.columns.len(), batch.rows()), (1, 1));
        let mut columns = BatchBuilder::new(TABLE, used);
        columns.push_series(2, &[2]);
        assert_eq!(columns.finish().columns, []);
    }

    #[test]
    fn columns_have_placeholders_where_there_is_no_value_and_are_left_out_where_there_is_none() {
        let mut builder = BatchBuilder::new(TABLE, WriteBatch::default());
        let ordinal = builder.new_series_of([(ColumnId(9), &b"a"[..])]);
        builder.push_series(super::super::NEW_SERIES_BIT | ordinal, &[1, 2]);
        builder.push_series(7, &[3]);
        builder.push_column(ColumnId(0), [Some(7_i64), Some(8), None].into_iter());
        builder.push_column(ColumnId(1), [None::<u64>; 3].into_iter());
        builder.push_column(ColumnId(2), [Some("x"), None, Some("yz")].into_iter());
        builder.push_column(ColumnId(3), [Some(true), Some(false), Some(true)].into_iter());
        builder.push_column(ColumnId(4), [None, None, Some(0.5)].into_iter());
        let batch = builder.finish();
        assert_eq!(batch.series, [super::super::NEW_SERIES_BIT, super::super::NEW_SERIES_BIT, 7]);
        assert_eq!(batch.time, [1, 2, 3]);
        assert_eq!(batch.new_series.key(0), [9, 0, 1, 0, 0, 0, b'a']);
        let column = |id, values, validity| BatchColumn { id: ColumnId(id), values, validity };
        let strings = Strings { ends: vec![1, 1, 3], bytes: b"xyz".to_vec() };
        assert_eq!(
            batch.columns,
            [
                column(0, Values::Int(vec![7, 8, 0]), Some(vec![0b011])),
                column(2, Values::String(strings), Some(vec![0b101])),
                column(3, Values::Bool(vec![1, 0, 1]), None),
                column(4, Values::Float(vec![0.0, 0.0, 0.5]), Some(vec![0b100])),
            ]
        );
    }

    #[test]
    #[should_panic(expected = "columns of different lengths")]
    fn a_column_that_is_too_short_is_a_bug() {
        let mut builder = BatchBuilder::new(TABLE, WriteBatch::default());
        builder.push_series(1, &[1, 2]);
        builder.push_column(ColumnId(0), [Some(1_i64)].into_iter());
        builder.finish();
    }
}
