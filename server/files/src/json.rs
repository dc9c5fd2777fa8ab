//! JSON: an object a line, each a row.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::Arc;

use arrow_array::RecordBatch;
use serde_json::{Map, Value};
use tidewire_sql::plan::ExternalScan;

use crate::csv::{Row, TextFault, room_for, row_bytes};
use crate::text::{Rows, misfit, missing};

/// The lines of a file that are not blank.
pub(crate) struct Lines {
    file: BufReader<File>,
    line: Vec<u8>,
}

impl Lines {
    pub(crate) fn new(file: File) -> Self {
        Self { file: BufReader::with_capacity(64 << 10, file), line: Vec::new() }
    }

    /// Reads the next line, with `room` bytes of memory.
    pub(crate) fn next(&mut self, room: usize) -> Result<Row, TextFault> {
        loop {
            let input = self.file.fill_buf()?;
            let end = input.iter().position(|byte| *byte == b'\n');
            let piece = &input[..end.unwrap_or(input.len())];
            let is_over = input.is_empty() || end.is_some();
            let length = self.line.len() + piece.len();
            let wanted = room_for(length)?;
            if length > row_bytes(room) {
                return Ok(Row::Wants(wanted));
            }
            self.line.extend_from_slice(piece);
            let (read, is_end) = (piece.len() + usize::from(end.is_some()), input.is_empty());
            self.file.consume(read);
            if is_over && !self.line.trim_ascii().is_empty() {
                return Ok(Row::Whole);
            }
            if is_end {
                return Ok(Row::End);
            }
            if is_over {
                self.line.clear();
            }
        }
    }

    /// The line as an object.
    pub(crate) fn object(&self) -> Result<Map<String, Value>, TextFault> {
        match serde_json::from_slice(self.line.trim_ascii()) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => Err(TextFault::Row("it is no JSON object; each line is to be one".to_owned())),
            Err(error) => Err(TextFault::Row(format!("it is no JSON: {error}"))),
        }
    }

    /// The line has been used; how long it was.
    pub(crate) fn done(&mut self) -> usize {
        let bytes = self.line.len();
        self.line.clear();
        bytes
    }
}

/// The rows of a file.
pub(crate) struct JsonRows {
    lines: Lines,
    rows: Rows,
    /// The number of the row that is read.
    pub(crate) number: u64,
}

impl JsonRows {
    pub(crate) fn new(file: File, scan: &Arc<ExternalScan>) -> Self {
        Self { lines: Lines::new(file), rows: Rows::new(scan), number: 1 }
    }

    /// The next rows; `Err` in `Ok` says how much memory is wanted first.
    pub(crate) fn next(&mut self, room: usize) -> Result<Result<Option<RecordBatch>, usize>, TextFault> {
        while !self.rows.is_full() {
            match self.lines.next(room)? {
                Row::Wants(bytes) => return Ok(Err(bytes)),
                Row::End => break,
                Row::Whole => {}
            }
            let object = self.lines.object()?;
            for (_, column, values) in self.rows.columns() {
                let value = object.get(&*column.name).unwrap_or(&Value::Null);
                if column.not_null && value.is_null() {
                    return Err(TextFault::Row(missing(column)));
                }
                if !values.push_json(value) {
                    return Err(TextFault::Row(misfit(column, &value.to_string())));
                }
            }
            let bytes = self.lines.done();
            self.rows.end_row(bytes);
            self.number += 1;
        }
        self.rows.take().map(Ok).map_err(TextFault::Row)
    }
}
