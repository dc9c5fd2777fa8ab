//! Rows of a memtable on their way out: to the segment writer a partition at a time, to a scan as an arrow chunk.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, UInt64Array, new_null_array};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};

use super::column::{Column, string_at};
use super::{Order, TableRows};
use crate::batch::{Strings, Values};
use crate::chunk::ScanChunk;
use crate::codec::bitmap;
use crate::error::{Error, Result};
use crate::run::Run;
use crate::schema::{ColumnId, FieldType};
use crate::segment::{Gathered, SortedTable};
use crate::work;

/// Rows of a column that one [`Copier::step`] copies,
const STEP_ROWS: usize = 1 << 15;

/// and bytes of their strings, but for the last.
const STEP_BYTES: usize = 1 << 20;

/// Rows of one table and partition, as the segment writer takes them.
#[derive(Debug)]
pub struct PartitionRows<'a> {
    rows: &'a TableRows,
    order: Order,
    columns: Vec<(ColumnId, FieldType)>,
    /// Those columns, in the same order.
    values: Vec<&'a Column>,
}

impl<'a> PartitionRows<'a> {
    /// The rows of `order`, which lie in one partition.
    pub fn new(rows: &'a TableRows, order: Order) -> Self {
        let values: Vec<_> = rows.columns.iter().filter(|column| !column.values().is_empty()).collect();
        let columns = values.iter().map(|column| (column.id(), column.kind())).collect();
        Self { rows, order, columns, values }
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
        gather(self.rows, self.values[column], &self.order, rows, out);
    }

    fn text_bytes_max(&self, column: usize) -> u64 {
        match self.values[column].values() {
            Values::String(strings) => strings.bytes.len() as u64,
            _ => 0,
        }
    }

    fn text_lengths(&self, column: usize, rows: Range<usize>, out: &mut Vec<u32>) {
        let column = self.values[column];
        out.clear();
        let Values::String(strings) = column.values() else { return };
        let length = |place: &u32| match column.has_value(*place as usize) {
            true => string_at(strings, *place as usize).len() as u32,
            false => 0,
        };
        out.extend(picked(self.rows, column, &self.order, &rows).iter().map(length));
    }
}

/// Copies ordered rows, in steps, as arrow arrays of the columns wanted.
#[derive(Debug)]
pub(crate) struct Copier {
    order: Order,
    arrays: Vec<ArrayRef>,
    /// The column in work.
    gathered: Option<Gathered>,
    /// Its next row.
    at: usize,
}

impl Copier {
    /// Is to copy the rows of `order`.
    pub(crate) fn new(order: Order) -> Self {
        Self { order, arrays: Vec::new(), gathered: None, at: 0 }
    }

    /// Copies some more of `columns`; whether all of them are there.
    pub(crate) fn step(&mut self, rows: &TableRows, columns: &[(ColumnId, FieldType)]) -> Result<bool> {
        let Some(&(id, kind)) = columns.get(self.arrays.len()) else { return Ok(true) };
        let count = self.order.rows.len();
        let array = match rows.column(id) {
            None => new_null_array(&kind.data_type(), count),
            Some(column) if column.kind() != kind => {
                let reason = format!("column {} holds {:?}, not {kind:?}", id.0, column.kind());
                return Err(Error::Rejected(reason));
            }
            Some(column) => {
                let out = self.gathered.get_or_insert_with(|| Gathered {
                    values: Values::new(kind),
                    validity: is_nullable(rows, column).then(Vec::new),
                });
                let to = step_end(column, &self.order, self.at, count);
                gather_more(rows, column, &self.order, self.at..to, out);
                self.at = to;
                if to < count {
                    return Ok(false);
                }
                self.at = 0;
                array(self.gathered.take().unwrap_or(Gathered { values: Values::new(kind), validity: None }), count)?
            }
        };
        self.arrays.push(array);
        Ok(self.arrays.len() == columns.len())
    }

    /// What was copied.
    pub(crate) fn finish(self) -> ScanChunk {
        ScanChunk { runs: self.order.runs, time: ScalarBuffer::from(self.order.time), columns: self.arrays }
    }
}

/// Where a step ends that copies values of `column` from position `at` of `order` on: after a number of rows, or fewer
/// that take as many bytes.
fn step_end(column: &Column, order: &Order, at: usize, count: usize) -> usize {
    let to = (at + STEP_ROWS).min(count);
    let Values::String(strings) = column.values() else { return to };
    let mut bytes = 0;
    let is_full = |row: &u32| {
        bytes += column.value_place(*row).map_or(0, |place| string_at(strings, place).len());
        bytes >= STEP_BYTES
    };
    order.rows[at..to].iter().position(is_full).map_or(to, |full| at + full + 1)
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
    if out.values.kind() != column.kind() {
        out.values = Values::new(column.kind());
    }
    match &mut out.values {
        Values::Int(values) => values.clear(),
        Values::UInt(values) => values.clear(),
        Values::Float(values) => values.clear(),
        Values::Bool(values) => values.clear(),
        Values::String(Strings { ends, bytes }) => {
            ends.clear();
            bytes.clear();
        }
    }
    out.validity = is_nullable(table, column).then(|| {
        let mut words = out.validity.take().unwrap_or_default();
        words.clear();
        words
    });
    gather_more(table, column, order, range, out);
}

/// Whether rows may lack the field.
fn is_nullable(table: &TableRows, column: &Column) -> bool {
    !column.is_full(table.rows())
}

/// The places of the values that positions `range` of `order` take.
fn picked<'a>(table: &TableRows, column: &Column, order: &'a Order, range: &Range<usize>) -> Cow<'a, [u32]> {
    let mut rows = Cow::Borrowed(&order.rows[range.clone()]);
    if is_nullable(table, column) {
        for merge in order.merges_in(range) {
            let at = merge.at as usize - range.start;
            if column.is_present(rows[at]) {
                continue;
            }
            if let Some(row) = order.older(merge).iter().rev().find(|row| column.is_present(**row)) {
                rows.to_mut()[at] = *row;
            }
        }
    }
    column.places(rows)
}

/// The same, behind what `out` has, which is of the column's type.
fn gather_more(table: &TableRows, column: &Column, order: &Order, range: Range<usize>, out: &mut Gathered) {
    let places = picked(table, column, order, &range);
    let before = out.values.len();
    work::charge_each(places.len(), work::LOOK);
    match (column.values(), &mut out.values) {
        (Values::Int(from), Values::Int(to)) => pick(from, &places, to),
        (Values::UInt(from), Values::UInt(to)) => pick(from, &places, to),
        (Values::Float(from), Values::Float(to)) => pick(from, &places, to),
        (Values::Bool(from), Values::Bool(to)) => pick(from, &places, to),
        (Values::String(from), Values::String(to)) => pick_strings(column, from, &places, to),
        (from, to) => unreachable!("BUG 12: {:?} gathered into {:?}", from.kind(), to.kind()),
    }
    if let Some(words) = &mut out.validity {
        let present = |places: &[u32]| {
            places
                .iter()
                .enumerate()
                .fold(0, |word, (bit, place)| word | u64::from(column.has_value(*place as usize)) << bit)
        };
        let bits: Vec<u64> = places.chunks(64).map(present).collect();
        bitmap::append(words, before, &bits, 0..places.len());
    }
}

/// The values at `places`; a placeholder where there is none.
fn pick<T: Copy + Default>(from: &[T], places: &[u32], to: &mut Vec<T>) {
    to.extend(places.iter().map(|place| from.get(*place as usize).copied().unwrap_or_default()));
}

fn pick_strings(column: &Column, from: &Strings, places: &[u32], to: &mut Strings) {
    let before = to.bytes.len();
    for place in places {
        if column.has_value(*place as usize) {
            to.bytes.extend_from_slice(string_at(from, *place as usize));
        }
        to.ends.push(to.bytes.len() as u32);
    }
    work::charge_copy(to.bytes.len() - before);
}
