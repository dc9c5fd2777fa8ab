//! Cells as a person reads them: the text of a table's cells.

use super::column::{Cells, Column};
use super::number::{write_csv_f64, write_i64, write_u64};
use super::sink::Sink;
use super::text::write_bool;

/// Writes a cell; nothing for null. Lists are `[1, , 2]`, structs `{start: …, end: …}`.
pub(super) fn write(column: &mut Column, row: usize, sink: &mut Sink<'_>) {
    if column.is_null(row) {
        return;
    }
    match &mut column.cells {
        Cells::Null => {}
        Cells::Int(values) => write_i64(sink, values[row]),
        Cells::UInt(values) => write_u64(sink, values[row]),
        Cells::Float(values) => write_csv_f64(sink, values[row]),
        Cells::Bool(values) => write_bool(values.value(row), sink),
        Cells::Text(values) => sink.bytes(values.value(row).as_bytes()),
        Cells::Tag(tags) => tags.write(row, sink, |text, sink| sink.bytes(text.as_bytes())),
        Cells::Time(times) => times.writer.write_short(sink, times.values[row]),
        Cells::List { offsets, items } => {
            sink.byte(b'[');
            let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
            for item in start..end {
                if item > start {
                    sink.bytes(b", ");
                }
                write(items, item, sink);
            }
            sink.byte(b']');
        }
        Cells::Struct(columns) => {
            sink.byte(b'{');
            for (place, (name, column)) in columns.iter_mut().enumerate() {
                if place > 0 {
                    sink.bytes(b", ");
                }
                sink.bytes(name.as_bytes());
                sink.bytes(b": ");
                write(column, row, sink);
            }
            sink.byte(b'}');
        }
    }
}
