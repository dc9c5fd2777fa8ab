//! JSON objects, as one array or one a line.
//!
//! Members are sorted by name; of equal names (columns of a join) the last column counts. Null, NaN and the
//! infinities are left out inside objects and are `null` inside lists. Every member is written with the comma that
//! separates it from the one before; the first comma of a row is then turned into the opening brace, which spares
//! every cell the question whether it is the first.

use std::ops::Range;

use arrow_array::RecordBatch;
use arrow_schema::Schema;

use super::EncodeError;
use super::column::{Cells, Column, Family};
use super::number::{write_i64, write_json_f64, write_u64};
use super::sink::{Padded, Sink};
use super::text::{find, write_bool};

#[derive(Debug)]
pub(super) struct Objects {
    members: Vec<Member>,
    shape: Shape,
    /// An array is open.
    open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Array,
    ArrayPerBatch,
    Lines,
}

#[derive(Debug)]
struct Member {
    /// `,"name":`
    key: Padded,
    column: Column,
    /// Index of the column in the batch.
    index: usize,
}

impl Objects {
    pub(super) fn array(schema: &Schema) -> Result<Self, EncodeError> {
        Ok(Objects { members: members(schema)?, shape: Shape::Array, open: false })
    }

    pub(super) fn lines(schema: &Schema) -> Result<Self, EncodeError> {
        Ok(Objects { members: members(schema)?, shape: Shape::Lines, open: false })
    }

    pub(super) fn array_per_batch(&mut self) {
        if self.shape == Shape::Array {
            self.shape = Shape::ArrayPerBatch;
        }
    }

    /// Rows of a batch.
    pub(super) fn part(
        &mut self,
        batch: &RecordBatch,
        rows: Range<usize>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        for member in &mut self.members {
            super::load_column(&mut member.column, member.index, batch, &rows)?;
        }
        if rows.is_empty() {
            return Ok(());
        }
        let mut sink = Sink::new(out);
        match self.shape {
            Shape::Lines => {}
            _ if self.open => sink.byte(b','),
            _ => sink.byte(b'['),
        }
        let end = if self.shape == Shape::Lines { b"}\n" } else { b"}," };
        for row in 0..rows.len() {
            let start = sink.position();
            for member in &mut self.members {
                write_member(&member.key, &mut member.column, row, &mut sink);
            }
            if sink.position() == start {
                sink.byte(b'{');
            } else {
                sink.patch(start, b'{');
            }
            sink.block(end, 2);
        }
        if self.shape != Shape::Lines {
            sink.unwrite();
            self.open = true;
        }
        if self.shape == Shape::ArrayPerBatch && rows.end == batch.num_rows() {
            sink.byte(b']');
            self.open = false;
        }
        sink.finish();
        Ok(())
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        if self.open {
            out.push(b']');
            self.open = false;
        }
    }
}

fn members(schema: &Schema) -> Result<Vec<Member>, EncodeError> {
    let mut order: Vec<usize> = (0..schema.fields().len()).collect();
    order.sort_by_key(|&index| schema.field(index).name());
    order
        .iter()
        .enumerate()
        .filter(|&(place, &index)| {
            order.get(place + 1).is_none_or(|&next| schema.field(next).name() != schema.field(index).name())
        })
        .map(|(_, &index)| {
            let field = schema.field(index);
            Ok(Member { key: key(field.name()), column: Column::new(field, Family::Json)?, index })
        })
        .collect()
}

fn key(name: &str) -> Padded {
    let mut text = Vec::new();
    let mut sink = Sink::new(&mut text);
    sink.byte(b',');
    write_string(name, &mut sink);
    sink.byte(b':');
    sink.finish();
    Padded::new(text)
}

#[inline(always)]
fn write_member(key: &Padded, column: &mut Column, row: usize, sink: &mut Sink<'_>) {
    if column.is_null(row) {
        return;
    }
    match &mut column.cells {
        Cells::Int(values) => {
            sink.padded(key);
            write_i64(sink, values[row]);
        }
        Cells::Float(values) => {
            let value = values[row];
            if value.is_finite() {
                sink.padded(key);
                write_json_f64(sink, value);
            }
        }
        Cells::Tag(tags) => {
            sink.padded(key);
            tags.write(row, sink, write_string);
        }
        Cells::Null => {}
        _ => {
            sink.padded(key);
            write_value(column, row, sink);
        }
    }
}

/// Any value; null and numbers that JSON lacks as `null`.
fn write_value(column: &mut Column, row: usize, sink: &mut Sink<'_>) {
    if column.is_null(row) {
        sink.bytes(b"null");
        return;
    }
    match &mut column.cells {
        Cells::Null => sink.bytes(b"null"),
        Cells::Int(values) => write_i64(sink, values[row]),
        Cells::UInt(values) => write_u64(sink, values[row]),
        Cells::Float(values) if values[row].is_finite() => write_json_f64(sink, values[row]),
        Cells::Float(_) => sink.bytes(b"null"),
        Cells::Bool(values) => write_bool(values.value(row), sink),
        Cells::Text(values) => write_string(values.value(row), sink),
        Cells::Tag(tags) => tags.write(row, sink, write_string),
        Cells::Time(times) => {
            sink.byte(b'"');
            times.writer.write_short(sink, times.values[row]);
            sink.byte(b'"');
        }
        Cells::List { offsets, items } => {
            sink.byte(b'[');
            let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
            for item in start..end {
                if item > start {
                    sink.byte(b',');
                }
                write_value(items, item, sink);
            }
            sink.byte(b']');
        }
        Cells::Struct(columns) => {
            // Rare: the members are put in order row by row.
            let mut order: Vec<usize> = (0..columns.len()).collect();
            order.sort_by(|&left, &right| columns[left].0.cmp(&columns[right].0));
            let start = sink.position();
            for index in order {
                let (name, column) = &mut columns[index];
                write_member(&key(name), column, row, sink);
            }
            if sink.position() == start {
                sink.byte(b'{');
            } else {
                sink.patch(start, b'{');
            }
            sink.byte(b'}');
        }
    }
}

/// A string between quotes, escaped as `serde_json` does: the short escapes, `\u00xx` for other control characters.
pub(super) fn write_string(text: &str, sink: &mut Sink<'_>) {
    sink.byte(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = find(rest, |byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        let (plain, escaped) = rest.split_at(at);
        sink.bytes(plain);
        let byte = escaped[0];
        match byte {
            b'"' => sink.bytes(b"\\\""),
            b'\\' => sink.bytes(b"\\\\"),
            b'\n' => sink.bytes(b"\\n"),
            b'\r' => sink.bytes(b"\\r"),
            b'\t' => sink.bytes(b"\\t"),
            0x08 => sink.bytes(b"\\b"),
            0x0c => sink.bytes(b"\\f"),
            _ => {
                let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble & 15)];
                sink.bytes(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte)]);
            }
        }
        rest = &escaped[1..];
    }
    sink.bytes(rest);
    sink.byte(b'"');
}
