//! CSV: records as csv-core reads them, and rows of a table.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::sync::Arc;

use arrow_array::RecordBatch;
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use tidewire_sql::plan::ExternalScan;

use crate::text::{BASE_BYTES, BYTES_A_BYTE, ROW_BYTES_FREE, ROW_BYTES_MAX, Rows, misfit, missing};

/// Values of one record at most.
const VALUES_MAX: usize = 64 << 10;

/// What one attempt at a row came to.
pub(crate) enum Row {
    /// It is there.
    Whole,
    /// It is so long that this much memory is wanted for it.
    Wants(usize),
    /// There is none any more.
    End,
}

/// What is wrong with a file of text, and in which row.
#[derive(Debug)]
pub(crate) enum TextFault {
    Io(io::Error),
    Row(String),
}

impl From<io::Error> for TextFault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The memory that a row of `bytes` wants, or that it is too long.
pub(crate) fn room_for(bytes: usize) -> Result<usize, TextFault> {
    if bytes > ROW_BYTES_MAX {
        return Err(TextFault::Row(format!("it is longer than {ROW_BYTES_MAX} bytes")));
    }
    Ok(BASE_BYTES + bytes.saturating_mul(BYTES_A_BYTE))
}

/// How long a row may be with `room` bytes of memory.
pub(crate) fn row_bytes(room: usize) -> usize {
    (room.saturating_sub(BASE_BYTES) / BYTES_A_BYTE).max(ROW_BYTES_FREE)
}

/// The records of a file.
pub(crate) struct Records {
    file: BufReader<File>,
    reader: Reader,
    /// The record, unquoted, so far.
    output: Vec<u8>,
    written: usize,
    /// Where its values end in there.
    ends: Vec<usize>,
    values: usize,
}

impl Records {
    pub(crate) fn new(file: File, delimiter: u8) -> Self {
        Self {
            file: BufReader::with_capacity(64 << 10, file),
            reader: ReaderBuilder::new().delimiter(delimiter).build(),
            output: vec![0; 4 << 10],
            written: 0,
            ends: vec![0; 64],
            values: 0,
        }
    }

    /// Reads the next record, with `room` bytes of memory.
    pub(crate) fn next(&mut self, room: usize) -> Result<Row, TextFault> {
        loop {
            let input = self.file.fill_buf()?;
            let (output, ends) = (&mut self.output[self.written..], &mut self.ends[self.values..]);
            let (result, read, written, values) = self.reader.read_record(input, output, ends);
            self.file.consume(read);
            self.written += written;
            self.values += values;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => {
                    let longer = self.output.len() * 2;
                    let wanted = room_for(longer)?;
                    if longer > row_bytes(room) {
                        return Ok(Row::Wants(wanted));
                    }
                    self.output.resize(longer, 0);
                }
                ReadRecordResult::OutputEndsFull if self.ends.len() < VALUES_MAX => {
                    self.ends.resize(self.ends.len() * 2, 0);
                }
                ReadRecordResult::OutputEndsFull => {
                    return Err(TextFault::Row(format!("it has more than {VALUES_MAX} values")));
                }
                ReadRecordResult::Record => return Ok(Row::Whole),
                ReadRecordResult::End => return Ok(Row::End),
            }
        }
    }

    /// How many values the record has, and how many bytes.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.values, self.written)
    }

    /// A value of the record.
    pub(crate) fn value(&self, at: usize) -> Option<Result<&str, TextFault>> {
        let end = *self.ends.get(..self.values)?.get(at)?;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        let bytes = self.output.get(start..end)?;
        Some(std::str::from_utf8(bytes).map_err(|_| TextFault::Row(format!("value {} is not UTF-8", at + 1))))
    }

    /// The record has been used.
    pub(crate) fn done(&mut self) {
        (self.written, self.values) = (0, 0);
    }
}

/// The rows of a file.
pub(crate) struct CsvRows {
    records: Records,
    rows: Rows,
    scan: Arc<ExternalScan>,
    /// The first line has yet to be read, which names the columns.
    header_follows: bool,
    /// For each column of the table, its place in the file; empty where that is the same.
    places: Vec<usize>,
    /// Values that a row has.
    width: usize,
    /// The number of the row that is read.
    pub(crate) number: u64,
}

impl CsvRows {
    pub(crate) fn new(file: File, header: bool, delimiter: u8, scan: &Arc<ExternalScan>) -> Self {
        Self {
            records: Records::new(file, delimiter),
            rows: Rows::new(scan),
            scan: Arc::clone(scan),
            header_follows: header,
            places: Vec::new(),
            width: scan.table.columns.len(),
            number: u64::from(!header),
        }
    }

    /// The next rows; `Err` in `Ok` says how much memory is wanted first.
    pub(crate) fn next(&mut self, room: usize) -> Result<Result<Option<RecordBatch>, usize>, TextFault> {
        while !self.rows.is_full() {
            match self.records.next(room)? {
                Row::Wants(bytes) => return Ok(Err(bytes)),
                Row::End => break,
                Row::Whole if self.header_follows => {
                    self.header_follows = false;
                    self.header()?;
                }
                Row::Whole => self.row()?,
            }
            self.records.done();
            self.number += 1;
        }
        self.rows.take().map(Ok).map_err(TextFault::Row)
    }

    /// Finds the columns by their names, if the line has the names of all of them. It may have none of them: the table
    /// calls them otherwise, and they go by their places.
    fn header(&mut self) -> Result<(), TextFault> {
        let (count, _) = self.records.size();
        let mut names = Vec::with_capacity(count);
        for at in 0..count {
            names.push(self.records.value(at).transpose()?.unwrap_or_default());
        }
        let columns = &self.scan.table.columns;
        let place = |name: &str| names.iter().position(|known| *known == name);
        let places: Vec<Option<usize>> = columns.iter().map(|column| place(&column.name)).collect();
        let found = places.iter().flatten().count();
        if found == columns.len() {
            (self.places, self.width) = (places.into_iter().flatten().collect(), count);
        } else if found > 0 {
            let is_missing = |(column, place): (_, Option<usize>)| place.is_none().then_some(column);
            let column = columns.iter().zip(places).find_map(is_missing);
            let name = column.map_or("", |column| &*column.name);
            return Err(TextFault::Row(format!("the first line has no column {name}")));
        }
        Ok(())
    }

    fn row(&mut self) -> Result<(), TextFault> {
        let (count, bytes) = self.records.size();
        if count != self.width {
            return Err(TextFault::Row(format!("it has {count} values, and there are {} columns", self.width)));
        }
        for (at, column, values) in self.rows.columns() {
            let place = self.places.get(at).copied().unwrap_or(at);
            let text = self.records.value(place).transpose()?.unwrap_or_default();
            if text.is_empty() {
                if column.not_null {
                    return Err(TextFault::Row(missing(column)));
                }
                values.push_null();
            } else if !values.push_text(text) {
                return Err(TextFault::Row(misfit(column, text)));
            }
        }
        self.rows.end_row(bytes);
        Ok(())
    }
}
