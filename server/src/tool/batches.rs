//! Rows of a scan as a batch for another shard.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef};
use tidewire_storage::batch::{BatchColumn, NEW_SERIES_BIT, Values, WriteBatch};
use tidewire_storage::scan::ScanChunk;
use tidewire_storage::schema::{ColumnId, FieldType, SeriesId, TableId};
use tidewire_storage::series::SeriesIndex;

/// The id that a series has in the shard it goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known(pub(super) SeriesId);

/// Rows of one series in a chunk.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    /// The series, in the shard it comes from.
    pub(super) series: SeriesId,
    /// The same, in the shard it goes to, if that has it.
    pub(super) known: Option<Known>,
    /// Its rows.
    pub(super) rows: Range<usize>,
}

/// A batch of no rows.
pub(super) fn empty(table: TableId) -> WriteBatch {
    WriteBatch { table: Some(table), ..WriteBatch::default() }
}

/// The rows `pieces` of a chunk of `fields`, and the series whose keys travel with them, by ordinal.
pub(super) fn gather(
    table: TableId,
    chunk: &ScanChunk,
    fields: &[(ColumnId, FieldType)],
    pieces: &[Piece],
    index: &SeriesIndex,
) -> (WriteBatch, Vec<SeriesId>) {
    let mut batch = empty(table);
    let mut new = Vec::new();
    for piece in pieces {
        let series = match piece.known {
            Some(Known(id)) => id.0,
            None => {
                new.push(piece.series);
                let key = index.key(piece.series).map(|(id, value)| (id, value.as_bytes()));
                NEW_SERIES_BIT | batch.new_series.push(key)
            }
        };
        batch.series.extend(std::iter::repeat_n(series, piece.rows.len()));
        batch.time.extend_from_slice(&chunk.time[piece.rows.clone()]);
    }
    for ((id, kind), array) in fields.iter().zip(&chunk.columns) {
        batch.columns.extend(column(*id, *kind, array, pieces));
    }
    (batch, new)
}

/// `None` where no row has a value.
fn column(id: ColumnId, kind: FieldType, array: &ArrayRef, pieces: &[Piece]) -> Option<BatchColumn> {
    let rows = || pieces.iter().flat_map(|piece| piece.rows.clone());
    let validity = match array.null_count() {
        0 => None,
        nulls if nulls == array.len() => return None,
        _ => {
            let mut bits = vec![0_u64; rows().count().div_ceil(64)];
            let mut present = 0;
            for (at, _) in rows().enumerate().filter(|(_, row)| array.is_valid(*row)) {
                bits[at / 64] |= 1 << (at % 64);
                present += 1;
            }
            match present {
                0 => return None,
                _ if present == rows().count() => None,
                _ => Some(bits),
            }
        }
    };
    // What stands where there is no value must be the placeholder.
    let present = |row: &usize| array.is_valid(*row);
    let values = match kind {
        FieldType::Int => {
            let values = array.as_primitive::<Int64Type>();
            Values::Int(rows().map(|row| if present(&row) { values.value(row) } else { 0 }).collect())
        }
        FieldType::UInt => {
            let values = array.as_primitive::<UInt64Type>();
            Values::UInt(rows().map(|row| if present(&row) { values.value(row) } else { 0 }).collect())
        }
        FieldType::Float => {
            let values = array.as_primitive::<Float64Type>();
            Values::Float(rows().map(|row| if present(&row) { values.value(row) } else { 0.0 }).collect())
        }
        FieldType::Bool => {
            let values = array.as_boolean();
            Values::Bool(rows().map(|row| u8::from(present(&row) && values.value(row))).collect())
        }
        FieldType::String => {
            let values = array.as_string::<i32>();
            let mut strings = tidewire_storage::batch::Strings::default();
            for row in rows() {
                if present(&row) {
                    strings.bytes.extend_from_slice(values.value(row).as_bytes());
                }
                strings.ends.push(strings.bytes.len() as u32);
            }
            Values::String(strings)
        }
    };
    Some(BatchColumn { id, values, validity })
}
