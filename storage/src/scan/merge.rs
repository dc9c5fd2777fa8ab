//! Merging rows that several sources have, one by one: newest wins, field by field.
//!
//! Per series, [`Merge::add`] takes the parts of the overlap from every source, oldest source first, and
//! [`Merge::close_series`] puts their rows in order of time. Of rows with one time, each column takes the value of the
//! newest part that has one. Nothing is copied until [`Merge::take`] makes a chunk of all series closed so far.

use arrow_array::{Array, ArrayRef};
use arrow_select::interleave::interleave;

use super::{Run, ScanChunk};
use crate::error::{Error, Result};
use crate::schema::{FieldType, SeriesId};

use super::values;

/// Rows collected and not yet given out.
#[derive(Debug, Default)]
pub(super) struct Merge {
    /// Columns of rows of one source in an overlap.
    parts: Vec<Vec<ArrayRef>>,
    /// (time, part, row) of the open series.
    rows: Vec<(i64, u32, u32)>,
    runs: Vec<Run>,
    time: Vec<i64>,
    /// For each column and row of `time`, where its value stands.
    picks: Vec<Vec<(usize, usize)>>,
    bytes: u64,
}

/// Rows of a chunk of merged rows. A series with more is given out in one larger chunk.
const CHUNK_ROWS: usize = 4096;

impl Merge {
    /// Bytes of the rows held.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether enough rows for a chunk are there.
    pub(super) fn is_full(&self) -> bool {
        self.time.len() >= CHUNK_ROWS || self.parts.len() >= CHUNK_ROWS
    }

    /// Takes rows of the open series, of a source that is not older than those taken before.
    pub(super) fn add(&mut self, time: &[i64], columns: Vec<ArrayRef>) {
        let part = self.parts.len() as u32;
        self.rows.extend(time.iter().enumerate().map(|(row, time)| (*time, part, row as u32)));
        // What the rows will take once more when they are copied, with their bookkeeping.
        self.bytes += (time.len() * (32 + 32 * columns.len())) as u64;
        self.parts.push(columns);
    }

    /// Orders the rows of the open series.
    pub(super) fn close_series(&mut self, series: SeriesId, columns: usize) {
        self.rows.sort_unstable();
        self.picks.resize_with(columns, Vec::new);
        let start = self.time.len();
        for same in self.rows.chunk_by(|a, b| a.0 == b.0) {
            let Some((time, newest, row)) = same.last().copied() else { continue };
            self.time.push(time);
            for (column, picks) in self.picks.iter_mut().enumerate() {
                let valued =
                    |&&(_, part, row): &&(i64, u32, u32)| self.parts[part as usize][column].is_valid(row as usize);
                let (_, part, row) = same.iter().rev().find(valued).copied().unwrap_or((time, newest, row));
                picks.push((part as usize, row as usize));
            }
        }
        self.rows.clear();
        let len = (self.time.len() - start) as u32;
        if len > 0 {
            self.runs.push(Run { series, start: start as u32, len });
        }
    }

    /// All rows of closed series; `None` if there is none.
    pub(super) fn take(&mut self, kinds: &[FieldType]) -> Result<Option<ScanChunk>> {
        let rows = self.time.len();
        if rows == 0 {
            return Ok(None);
        }
        let mut columns = Vec::with_capacity(kinds.len());
        for (column, kind) in kinds.iter().enumerate() {
            let arrays: Vec<&dyn Array> = self.parts.iter().map(|part| part[column].as_ref()).collect();
            let picks = self.picks.get(column).map_or(&[][..], Vec::as_slice);
            columns.push(if arrays.is_empty() {
                values::nulls(*kind, rows)
            } else {
                interleave(&arrays, picks).map_err(|error| Error::Rejected(format!("rows do not merge: {error}")))?
            });
        }
        let chunk =
            ScanChunk { runs: std::mem::take(&mut self.runs), time: std::mem::take(&mut self.time).into(), columns };
        self.parts.clear();
        self.picks.iter_mut().for_each(Vec::clear);
        self.bytes = 0;
        Ok(Some(chunk))
    }
}
