//! Rows of a batch as lines.

use tidewire_protocol::line::write::{
    push_bool, push_digits, push_float, push_int, push_name, push_series, push_string, push_uint,
};
use tidewire_storage::batch::{BatchColumn, NEW_SERIES_BIT, Strings, Values, WriteBatch};
use tidewire_storage::schema::{SeriesId, TableSchema};
use tidewire_storage::series::SeriesIndex;

/// What the lines of a batch have in common.
#[derive(Debug)]
pub struct Heads {
    /// The name of each field with its `=`.
    fields: Vec<Vec<u8>>,
    /// Measurement and tags of a series, up to the space behind them.
    series: Vec<u8>,
    /// Which series that is.
    of: Option<u32>,
}

impl Heads {
    /// Of rows of `batch`, which are for `table`.
    pub fn new(batch: &WriteBatch, table: &TableSchema) -> Self {
        let name = |column: &BatchColumn| {
            let mut name = Vec::new();
            if let Some(known) = table.column_by_id(column.id) {
                push_name(&mut name, &known.name);
                name.push(b'=');
            }
            name
        };
        Self { fields: batch.columns.iter().map(name).collect(), series: Vec::new(), of: None }
    }
}

/// Appends a row, which is one of `batch`, unless there is nothing that a line could say of it; returns whether there
/// is. `new_ids` are the ids of the batch's new series.
pub fn push_row(
    out: &mut Vec<u8>,
    heads: &mut Heads,
    (batch, table): (&WriteBatch, &TableSchema),
    (index, new_ids): (&SeriesIndex, &[SeriesId]),
    row: usize,
) -> bool {
    let named = batch.series[row];
    if heads.of != Some(named) {
        let id = match named & NEW_SERIES_BIT {
            0 => Some(SeriesId(named)),
            _ => new_ids.get((named & !NEW_SERIES_BIT) as usize).copied(),
        };
        let Some(id) = id else { return false };
        let mut tags: Vec<(&str, &str)> =
            index.key(id).filter_map(|(column, value)| Some((&*table.column_by_id(column)?.name, value))).collect();
        tags.sort_unstable();
        heads.series.clear();
        push_series(&mut heads.series, &table.name, tags);
        heads.series.push(b' ');
        heads.of = Some(named);
    }
    let Some(time_ns) = batch.time[row].checked_mul(table.time_unit.nanoseconds()) else { return false };
    let start = out.len();
    out.extend_from_slice(&heads.series);
    let mut has_field = false;
    for (column, name) in batch.columns.iter().zip(&heads.fields) {
        if name.is_empty() || !has_value(column, row) {
            continue;
        }
        let before = out.len();
        if has_field {
            out.push(b',');
        }
        out.extend_from_slice(name);
        match push_value(out, &column.values, row) {
            true => has_field = true,
            false => out.truncate(before),
        }
    }
    if !has_field {
        out.truncate(start);
        return false;
    }
    out.push(b' ');
    push_digits(out, time_ns);
    out.push(b'\n');
    true
}

fn has_value(column: &BatchColumn, row: usize) -> bool {
    column.validity.as_ref().is_none_or(|bits| bits[row / 64] >> (row % 64) & 1 == 1)
}

/// Appends a value; false where there is no text for it.
fn push_value(out: &mut Vec<u8>, values: &Values, row: usize) -> bool {
    match values {
        Values::Int(values) => push_int(out, values[row]),
        Values::UInt(values) => push_uint(out, values[row]),
        Values::Float(values) => return push_float(out, values[row]),
        Values::Bool(values) => push_bool(out, values[row] != 0),
        Values::String(strings) => match text(strings, row) {
            Some(text) => push_string(out, text),
            None => return false,
        },
    }
    true
}

fn text(strings: &Strings, row: usize) -> Option<&str> {
    let start = row.checked_sub(1).map_or(0, |before| strings.ends[before] as usize);
    std::str::from_utf8(&strings.bytes[start..strings.ends[row] as usize]).ok()
}
