//! Rows of a scan as a batch for another shard.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef};
use tidewire_storage::batch::{BatchBuilder, NEW_SERIES_BIT, WriteBatch};
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

/// The rows `pieces` of a chunk of `fields`, and the series whose keys travel with them, by ordinal.
pub(super) fn gather(
    table: TableId,
    chunk: &ScanChunk,
    fields: &[(ColumnId, FieldType)],
    pieces: &[Piece],
    index: &SeriesIndex,
) -> (WriteBatch, Vec<SeriesId>) {
    let mut builder = BatchBuilder::new(table, WriteBatch::default());
    let mut new = Vec::new();
    for piece in pieces {
        let series = match piece.known {
            Some(Known(id)) => id.0,
            None => {
                new.push(piece.series);
                let key = index.key(piece.series).map(|(id, value)| (id, value.as_bytes()));
                NEW_SERIES_BIT | builder.new_series_of(key)
            }
        };
        builder.push_series(series, &chunk.time[piece.rows.clone()]);
    }
    for ((id, kind), array) in fields.iter().zip(&chunk.columns) {
        push_column(&mut builder, *id, *kind, array, pieces);
    }
    (builder.finish(), new)
}

fn push_column(builder: &mut BatchBuilder, id: ColumnId, kind: FieldType, array: &ArrayRef, pieces: &[Piece]) {
    if array.null_count() == array.len() {
        return;
    }
    let rows = pieces.iter().flat_map(|piece| piece.rows.clone());
    let cells = rows.map(|row| array.is_valid(row).then_some(row));
    match kind {
        FieldType::Int => {
            let values = array.as_primitive::<Int64Type>();
            builder.push_column(id, cells.map(|row| Some(values.value(row?))));
        }
        FieldType::UInt => {
            let values = array.as_primitive::<UInt64Type>();
            builder.push_column(id, cells.map(|row| Some(values.value(row?))));
        }
        FieldType::Float => {
            let values = array.as_primitive::<Float64Type>();
            builder.push_column(id, cells.map(|row| Some(values.value(row?))));
        }
        FieldType::Bool => {
            let values = array.as_boolean();
            builder.push_column(id, cells.map(|row| Some(values.value(row?))));
        }
        FieldType::String => {
            let values = array.as_string::<i32>();
            builder.push_column(id, cells.map(|row| Some(values.value(row?))));
        }
    }
}
