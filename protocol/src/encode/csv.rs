//! Comma- and tab-separated values.
//!
//! A cell is quoted when it holds the separator, a quote or a line end, quotes are doubled, null is nothing. A row of a
//! single empty cell is written `""`, so that it is not an empty line.

use std::ops::Range;

use arrow_array::RecordBatch;
use arrow_schema::Schema;

use super::EncodeError;
use super::column::{Cells, Column, Family};
use super::number::{write_csv_f64, write_i64, write_u64};
use super::sink::Sink;
use super::text::{find, write_bool};

#[derive(Debug)]
pub(super) struct Separated {
    separator: u8,
    columns: Vec<Column>,
    /// The header line, until it is written.
    header: Vec<u8>,
}

impl Separated {
    pub(super) fn new(separator: u8, schema: &Schema) -> Result<Self, EncodeError> {
        let columns: Result<Vec<_>, _> =
            schema.fields().iter().map(|field| Column::new(field, Family::Separated)).collect();
        let mut header = Vec::new();
        let mut sink = Sink::new(&mut header);
        let mut start = sink.position();
        for field in schema.fields() {
            start = sink.position();
            write_text(field.name(), separator, &mut sink);
            sink.byte(separator);
        }
        let width = schema.fields().len();
        end_row(&mut sink, start, width);
        sink.finish();
        Ok(Separated { separator, columns: columns?, header })
    }

    pub(super) fn part(
        &mut self,
        batch: &RecordBatch,
        rows: Range<usize>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        super::load_columns(&mut self.columns, batch, &rows)?;
        self.finish(out);
        let mut sink = Sink::new(out);
        let (separator, width) = (self.separator, self.columns.len());
        for row in 0..rows.len() {
            let start = sink.position();
            for column in &mut self.columns {
                write_cell(column, row, separator, &mut sink);
                sink.byte(separator);
            }
            end_row(&mut sink, start, width);
        }
        sink.finish();
        Ok(())
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.header);
    }
}

/// Turns the separator after the last cell into the line end.
#[inline(always)]
fn end_row(sink: &mut Sink<'_>, start: usize, width: usize) {
    if width == 1 && sink.position() == start + 1 {
        sink.unwrite();
        sink.bytes(b"\"\"\n");
    } else if width == 0 {
        sink.byte(b'\n');
    } else {
        sink.patch(sink.position() - 1, b'\n');
    }
}

#[inline(always)]
fn write_cell(column: &mut Column, row: usize, separator: u8, sink: &mut Sink<'_>) {
    if column.is_null(row) {
        return;
    }
    match &mut column.cells {
        Cells::Int(values) => write_i64(sink, values[row]),
        Cells::Float(values) => write_csv_f64(sink, values[row]),
        Cells::Tag(tags) => tags.write(row, sink, |text, sink| write_text(text, separator, sink)),
        Cells::Time(times) => times.writer.write_full(sink, times.values[row]),
        Cells::UInt(values) => write_u64(sink, values[row]),
        Cells::Bool(values) => write_bool(values.value(row), sink),
        Cells::Text(values) => write_text(values.value(row), separator, sink),
        // Nested types were refused by `Column::new`.
        Cells::Null | Cells::List { .. } | Cells::Struct(_) => {}
    }
}

fn write_text(text: &str, separator: u8, sink: &mut Sink<'_>) {
    let special = |byte: u8| byte == separator || byte == b'"' || byte == b'\n' || byte == b'\r';
    if find(text.as_bytes(), special).is_none() {
        sink.bytes(text.as_bytes());
        return;
    }
    sink.byte(b'"');
    let mut rest = text.as_bytes();
    while let Some(quote) = memchr::memchr(b'"', rest) {
        let (before, after) = rest.split_at(quote + 1);
        sink.bytes(before);
        sink.byte(b'"');
        rest = after;
    }
    sink.bytes(rest);
    sink.byte(b'"');
}
