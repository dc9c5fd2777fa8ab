//! A table drawn with `+`, `-` and `|`, columns as wide as their widest cell, without a line end after the last border.
//!
//! Widths are known only at the end, so the texts of all cells are kept until then. Widths count terminal columns (a
//! CJK character takes two); a cell with line ends takes as many lines as it has.

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use unicode_width::UnicodeWidthStr;

use super::EncodeError;
use super::column::{Column, Family};
use super::display;
use super::sink::Sink;

#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    /// Texts of all cells, header first, row by row.
    text: Vec<u8>,
    /// Where each cell ends in `text`.
    ends: Vec<usize>,
}

impl Table {
    pub(super) fn new(schema: &Schema) -> Result<Self, EncodeError> {
        let columns: Result<Vec<_>, _> =
            schema.fields().iter().map(|field| Column::new(field, Family::Table)).collect();
        let mut table = Table { columns: columns?, text: Vec::new(), ends: Vec::new() };
        for field in schema.fields() {
            table.text.extend_from_slice(field.name().as_bytes());
            table.ends.push(table.text.len());
        }
        Ok(table)
    }

    pub(super) fn batch(&mut self, batch: &RecordBatch) -> Result<(), EncodeError> {
        super::load_columns(&mut self.columns, batch)?;
        let mut sink = Sink::new(&mut self.text);
        for row in 0..batch.num_rows() {
            for column in &mut self.columns {
                display::write(column, row, &mut sink);
                self.ends.push(sink.position());
            }
        }
        sink.finish();
        Ok(())
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<usize>()
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        let width = self.columns.len();
        if width == 0 {
            out.extend_from_slice(b"++\n++");
            return;
        }
        // Cells were written as text and are UTF-8.
        let text = String::from_utf8_lossy(&self.text);
        let mut start = 0;
        let mut cells: Vec<&str> = Vec::with_capacity(self.ends.len());
        for &end in &self.ends {
            cells.push(text.get(start..end).unwrap_or(""));
            start = end;
        }
        let mut widths = vec![0; width];
        for row in cells.chunks(width) {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = cell.split('\n').map(UnicodeWidthStr::width).fold(*widest, usize::max);
            }
        }
        for (number, row) in cells.chunks(width).enumerate() {
            if number <= 1 {
                border(&widths, out);
            }
            write_row(row, &widths, out);
        }
        if cells.len() == width {
            border(&widths, out);
        }
        border(&widths, out);
        out.pop();
        self.text.clear();
        self.ends.clear();
    }
}

fn border(widths: &[usize], out: &mut Vec<u8>) {
    for width in widths {
        out.push(b'+');
        out.resize(out.len() + width + 2, b'-');
    }
    out.extend_from_slice(b"+\n");
}

fn write_row(row: &[&str], widths: &[usize], out: &mut Vec<u8>) {
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
