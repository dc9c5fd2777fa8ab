//! Rows of a memtable on their way out: to the segment writer a partition at a time, to a scan as an arrow chunk.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, UInt64Array, new_null_array};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};

use super::column::{Column, string_at};
use super::{Order, TableRows};
use crate::batch::{ColumnPlaces, Strings, Values};
use crate::error::{Error, Result};
use crate::partition::partition_of;
use crate::scan::{Run, ScanChunk};
use crate::schema::{ColumnId, FieldType};
use crate::segment::{Gathered, SortedTable};

/// Cuts ordered rows into partitions of `length`, by first time.
pub(crate) fn split_partitions(order: Order, length: i64) -> BTreeMap<i64, Order> {
    let mut parts: BTreeMap<i64, Order> = BTreeMap::new();
    let bounds = order.time.iter().fold(None, |bounds: Option<(i64, i64)>, &t| {
        Some(bounds.map_or((t, t), |(min, max)| (min.min(t), max.max(t))))
    });
    let Some((min, max)) = bounds else { return parts };
    if partition_of(min, length) == partition_of(max, length) {
        parts.insert(partition_of(min, length), order);
        return parts;
    }
    let mut merges = order.merges.iter().peekable();
    for run in &order.runs {
        for at in run.start..run.start + run.len {
            let (row, time) = (order.rows[at as usize], order.time[at as usize]);
            let older = merges.next_if(|merge| merge.at == at).map_or(&[][..], |merge| order.older(merge));
            parts.entry(partition_of(time, length)).or_default().push(run.series.0, time, row, older);
        }
    }
    parts
}

/// Rows of one table and partition, as the segment writer takes them.
#[derive(Debug)]
pub struct PartitionRows<'a> {
    rows: &'a TableRows,
    order: Order,
    columns: Vec<(ColumnId, FieldType)>,
    /// Where they stand in the table.
    places: Vec<usize>,
}

impl<'a> PartitionRows<'a> {
    /// The rows of `order`, which lie in one partition.
    pub fn new(rows: &'a TableRows, order: Order) -> Self {
        let known = rows.columns.iter().enumerate().filter(|(_, column)| !column.values().is_empty());
        let (places, columns) = known.map(|(place, column)| (place, (column.id(), column.kind()))).unzip();
        Self { rows, order, columns, places }
    }
}

impl SortedTable for PartitionRows<'_> {
    fn runs(&self) -> &[Run] {
        &self.order.runs
    }

    fn time(&self) -> &[i64] {
        &self.order.time
    }

    fn columns(&self) -> &[(ColumnId, FieldType)] {
        &self.columns
    }

    fn gather(&self, column: usize, rows: Range<usize>, out: &mut Gathered) {
        gather(self.rows, &self.rows.columns[self.places[column]], &self.order, rows, out);
    }
}

/// Ordered rows as arrow arrays of the columns wanted.
pub(crate) fn chunk(rows: &TableRows, order: Order, columns: &[(ColumnId, FieldType)]) -> Result<ScanChunk> {
    let count = order.rows.len();
    let mut arrays = Vec::with_capacity(columns.len());
    let places = ColumnPlaces::of(rows.columns.iter().map(Column::id), columns.len());
    for &(id, kind) in columns {
        let array = match places.find(id).map(|place| &rows.columns[place]) {
            None => new_null_array(&kind.data_type(), count),
            Some(column) if column.kind() != kind => {
                let reason = format!("column {} holds {:?}, not {kind:?}", id.0, column.kind());
                return Err(Error::Rejected(reason));
            }
            Some(column) => {
                let mut gathered = Gathered { values: Values::new(kind), validity: None };
                gather(rows, column, &order, 0..count, &mut gathered);
                array(gathered, count)?
            }
        };
        arrays.push(array);
    }
    Ok(ScanChunk { runs: order.runs, time: ScalarBuffer::from(order.time), columns: arrays })
}

fn array(gathered: Gathered, count: usize) -> Result<ArrayRef> {
    let nulls = gathered.validity.map(|words| NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(words), 0, count)));
    Ok(match gathered.values {
        Values::Int(values) => Arc::new(Int64Array::new(values.into(), nulls)),
        Values::UInt(values) => Arc::new(UInt64Array::new(values.into(), nulls)),
        Values::Float(values) => Arc::new(Float64Array::new(values.into(), nulls)),
        Values::Bool(values) => {
            let bits = BooleanBuffer::collect_bool(count, |row| values[row] != 0);
            Arc::new(BooleanArray::new(bits, nulls))
        }
        Values::String(strings) => {
            let too_long = || Error::Rejected("more than 2 GiB of strings in one chunk".to_owned());
            let mut ends = Vec::with_capacity(count + 1);
            ends.push(0);
            for end in strings.ends {
                ends.push(i32::try_from(end).map_err(|_| too_long())?);
            }
            let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
            let array = StringArray::try_new(offsets, Buffer::from_vec(strings.bytes), nulls);
            Arc::new(array.map_err(|error| Error::Rejected(format!("strings in memory are none: {error}")))?)
        }
    })
}

/// Positions `range` of `order` of one column, older rows standing in where the newest lacks the field.
fn gather(table: &TableRows, column: &Column, order: &Order, range: Range<usize>, out: &mut Gathered) {
    let nullable = !column.is_full(table.rows());
    let mut rows = Cow::Borrowed(&order.rows[range.clone()]);
    if nullable {
        for merge in order.merges_in(&range) {
            let at = merge.at as usize - range.start;
            if column.is_present(rows[at]) {
                continue;
            }
            if let Some(row) = order.older(merge).iter().rev().find(|row| column.is_present(**row)) {
                rows.to_mut()[at] = *row;
            }
        }
    }
    let places = column.places(rows);
    if out.values.kind() != column.kind() {
        out.values = Values::new(column.kind());
    }
    match (column.values(), &mut out.values) {
        (Values::Int(from), Values::Int(to)) => pick(from, &places, to),
        (Values::UInt(from), Values::UInt(to)) => pick(from, &places, to),
        (Values::Float(from), Values::Float(to)) => pick(from, &places, to),
        (Values::Bool(from), Values::Bool(to)) => pick(from, &places, to),
        (Values::String(from), Values::String(to)) => pick_strings(column, from, &places, to),
        (from, to) => unreachable!("BUG 12: {:?} gathered into {:?}", from.kind(), to.kind()),
    }
    out.validity = nullable.then(|| {
        let mut words = out.validity.take().unwrap_or_default();
        words.clear();
        words.extend(places.chunks(64).map(|places| {
            places
                .iter()
                .enumerate()
                .fold(0, |word, (bit, place)| word | u64::from(column.has_value(*place as usize)) << bit)
        }));
        words
    });
}

/// The values at `places`; a placeholder where there is none.
fn pick<T: Copy + Default>(from: &[T], places: &[u32], to: &mut Vec<T>) {
    to.clear();
    to.extend(places.iter().map(|place| from.get(*place as usize).copied().unwrap_or_default()));
}

fn pick_strings(column: &Column, from: &Strings, places: &[u32], to: &mut Strings) {
    to.ends.clear();
    to.bytes.clear();
    for place in places {
        if column.has_value(*place as usize) {
            to.bytes.extend_from_slice(string_at(from, *place as usize));
        }
        to.ends.push(to.bytes.len() as u32);
    }
}
