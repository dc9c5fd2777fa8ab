//! A table over files while it is read: one file after the other, a batch at a time.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::RecordBatch;
use tidewire_sql::plan::ExternalScan;
use tidewire_storage::schema::FileFormat;

use crate::csv::{CsvRows, TextFault};
use crate::error::FileError;
use crate::folders::{Folders, Place};
use crate::json::JsonRows;
use crate::parquet::ParquetRows;
use crate::text::BASE_BYTES;

/// What one step of a reading came to.
#[derive(Debug)]
pub enum Step {
    /// Rows.
    Rows(RecordBatch),
    /// More memory is wanted, this much in all, before it goes on.
    Wants(usize),
    /// There are no more rows.
    End,
}

/// Files that are read.
pub struct Reading {
    scan: Arc<ExternalScan>,
    /// Those that are still to be opened.
    files: VecDeque<Place>,
    open: Option<(Place, OpenFile)>,
}

enum OpenFile {
    Csv(Box<CsvRows>),
    Json(JsonRows),
    Parquet(ParquetRows),
}

impl Reading {
    /// What every reading holds.
    pub const BYTES: usize = BASE_BYTES;

    /// Looks up the files of a table.
    pub fn new(folders: &Folders, scan: Arc<ExternalScan>) -> Result<Self, FileError> {
        let place = folders.place(&scan.table.location)?;
        let files = place.files(scan.table.format)?.into();
        Ok(Self { scan, files, open: None })
    }

    /// Reads on, with `room` bytes of memory. It takes some milliseconds at most, the disk's time left out.
    pub fn next(&mut self, room: usize) -> Result<Step, FileError> {
        loop {
            let Some((place, open)) = &mut self.open else {
                let Some(place) = self.files.pop_front() else { return Ok(Step::End) };
                let file = place.open()?;
                let open = match self.scan.table.format {
                    FileFormat::Csv { header, delimiter } => {
                        OpenFile::Csv(Box::new(CsvRows::new(file, header, delimiter, &self.scan)))
                    }
                    FileFormat::Json => OpenFile::Json(JsonRows::new(file, &self.scan)),
                    FileFormat::Parquet => OpenFile::Parquet(ParquetRows::new(file, &self.scan)),
                };
                self.open = Some((place, open));
                continue;
            };
            let read = match open {
                OpenFile::Csv(rows) => rows.next(room).map_err(|fault| at_row(place, rows.number, fault)),
                OpenFile::Json(rows) => rows.next(room).map_err(|fault| at_row(place, rows.number, fault)),
                OpenFile::Parquet(rows) => rows.next(room).map_err(|fault| of_file(place, fault)),
            };
            match read? {
                Ok(Some(rows)) => return Ok(Step::Rows(rows)),
                Ok(None) => self.open = None,
                Err(bytes) => return Ok(Step::Wants(bytes)),
            }
        }
    }
}

/// A fault of a row, of which a header is none.
fn at_row(place: &Place, row: u64, fault: TextFault) -> FileError {
    match fault {
        TextFault::Row(reason) if row > 0 => FileError::Row { location: place.shown(), row, reason },
        fault => of_file(place, fault),
    }
}

/// A fault of a file.
pub(crate) fn of_file(place: &Place, fault: TextFault) -> FileError {
    match fault {
        TextFault::Io(source) => FileError::Io { operation: "read", location: place.shown(), source },
        TextFault::Row(reason) => FileError::Content { location: place.shown(), reason },
    }
}
