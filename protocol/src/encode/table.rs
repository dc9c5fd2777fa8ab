//! A table drawn with `+`, `-` and `|`, columns as wide as their widest cell, without a line end after the last border.
//!
//! Widths are known only at the end, so the texts of all cells are kept until then, and written in parts. Widths count
//! terminal columns (a CJK character takes two); a cell with line ends takes as many lines as it has.

use std::borrow::Cow;
use std::ops::Range;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use unicode_width::UnicodeWidthStr;

use super::EncodeError;
use super::column::{Column, Family};
use super::display;
use super::sink::Sink;

/// Cells that are written at one time.
const PART_CELLS: usize = 4_096;

#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    /// Texts of all cells, header first, row by row.
    text: Vec<u8>,
    /// Where each cell ends in `text`.
    ends: Vec<usize>,
    /// Of the widest cell of each column.
    widths: Vec<usize>,
    /// Cells that are written, once the result ends.
    written: usize,
}

impl Table {
    pub(super) fn new(schema: &Schema) -> Result<Self, EncodeError> {
        let columns: Result<Vec<_>, _> =
            schema.fields().iter().map(|field| Column::new(field, Family::Table)).collect();
        let columns = columns?;
        let widths = vec![0; columns.len()];
        let mut table = Table { columns, text: Vec::new(), ends: Vec::new(), widths, written: 0 };
        for field in schema.fields() {
            table.text.extend_from_slice(field.name().as_bytes());
            table.ends.push(table.text.len());
        }
        table.widen(0);
        Ok(table)
    }

    pub(super) fn part(&mut self, batch: &RecordBatch, rows: Range<usize>) -> Result<(), EncodeError> {
        super::load_columns(&mut self.columns, batch, &rows)?;
        let before = self.ends.len();
        let mut sink = Sink::new(&mut self.text);
        for row in 0..rows.len() {
            for column in &mut self.columns {
                display::write(column, row, &mut sink);
                self.ends.push(sink.position());
            }
        }
        sink.finish();
        self.widen(before);
        Ok(())
    }

    /// Makes the columns wide enough for the cells from number `from` on.
    fn widen(&mut self, from: usize) {
        let columns = self.columns.len();
        for cell in from..self.ends.len() {
            let width = self.cell(cell).split('\n').map(UnicodeWidthStr::width).max().unwrap_or(0);
            let widest = &mut self.widths[cell % columns];
            *widest = width.max(*widest);
        }
    }

    fn cell(&self, number: usize) -> Cow<'_, str> {
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        // Cells were written as text and are UTF-8.
        String::from_utf8_lossy(&self.text[start..self.ends[number]])
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<usize>()
    }

    /// Writes the next rows; returns whether there are more.
    pub(super) fn finish_part(&mut self, out: &mut Vec<u8>) -> bool {
        let columns = self.columns.len();
        if columns == 0 {
            out.extend_from_slice(b"++\n++");
            return false;
        }
        let end = self.ends.len().min(self.written + PART_CELLS.next_multiple_of(columns));
        for first in (self.written..end).step_by(columns) {
            if first <= columns {
                border(&self.widths, out);
            }
            let row: Vec<Cow<'_, str>> = (first..first + columns).map(|cell| self.cell(cell)).collect();
            write_row(&row, &self.widths, out);
        }
        self.written = end;
        if end < self.ends.len() {
            return true;
        }
        if end == columns {
            border(&self.widths, out);
        }
        border(&self.widths, out);
        out.pop();
        false
    }
}

fn border(widths: &[usize], out: &mut Vec<u8>) {
    for width in widths {
        out.push(b'+');
        out.resize(out.len() + width + 2, b'-');
    }
    out.extend_from_slice(b"+\n");
}

fn write_row(row: &[Cow<'_, str>], widths: &[usize], out: &mut Vec<u8>) {
    let height = row.iter().map(|cell| cell.split('\n').count()).max().unwrap_or(1);
    for line in 0..height {
        for (cell, width) in row.iter().zip(widths) {
            let text = cell.split('\n').nth(line).unwrap_or("");
            out.extend_from_slice(b"| ");
            out.extend_from_slice(text.as_bytes());
            out.resize(out.len() + width - text.width() + 1, b' ');
        }
        out.extend_from_slice(b"|\n");
    }
}
