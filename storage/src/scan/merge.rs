//! Merging rows that several sources have, one by one: newest wins, field by field.
//!
//! Per series, [`Merge::add`] copies the rows in the overlap from every source, oldest source first, into one staging
//! table, and [`Merge::close_series`] puts them in order of time. Of rows with one time, each column takes the value of
//! the newest row that has one. [`Merge::take`] gathers a chunk of all series closed so far.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef};

use std::ops::Range;

use super::{Run, ScanChunk, values};
use crate::codec::Damaged;
use crate::codec::column::{Column, Nullable, is_valid};
use crate::codec::text::Text;
use crate::error::{Error, Result};
use crate::schema::{FieldType, SeriesId};

/// Rows of a chunk of merged rows. A series with more is given out in one larger chunk.
const CHUNK_ROWS: usize = 4096;

/// Rows collected and not yet given out.
#[derive(Debug, Default)]
pub(super) struct Merge {
    columns: Vec<Staged>,
    staged: usize,
    /// (time, staged row) of the open series: newer rows have higher numbers.
    rows: Vec<(i64, u32)>,
    runs: Vec<Run>,
    time: Vec<i64>,
    /// For each column and row of `time`, the staged row that its value comes from.
    picks: Vec<Vec<u32>>,
}

/// Values of staged rows of one column.
#[derive(Debug, Default)]
pub(super) struct Staged {
    /// The value's bits; of a string, where it starts in `bytes` and, in the low half, its length.
    words: Vec<u64>,
    bytes: Vec<u8>,
    valid: Vec<bool>,
}

impl Staged {
    /// Appends rows `rows` of a decoded column.
    pub(super) fn append(&mut self, (column, validity): &Nullable, rows: Range<usize>) {
        match column {
            Column::Nothing => return self.append_nulls(rows.len()),
            Column::Words(words) => self.words.extend_from_slice(&words[rows.clone()]),
            Column::Bits(bits) => self.words.extend(rows.clone().map(|row| u64::from(is_valid(bits, row)))),
            Column::Text(text) => {
                for row in rows.clone() {
                    self.append_text(&text.bytes[text.offsets[row] as usize..text.offsets[row + 1] as usize]);
                }
            }
        }
        match validity {
            None => self.valid.resize(self.words.len(), true),
            Some(bits) => self.valid.extend(rows.map(|row| is_valid(bits, row))),
        }
    }

    /// Appends rows `rows` of an arrow array of a field of type `kind`.
    pub(super) fn append_array(&mut self, array: &ArrayRef, kind: FieldType, rows: Range<usize>) {
        match kind {
            FieldType::Int => {
                let values = &array.as_primitive::<Int64Type>().values()[rows.clone()];
                self.words.extend(values.iter().map(|value| *value as u64));
            }
            FieldType::UInt => {
                self.words.extend_from_slice(&array.as_primitive::<UInt64Type>().values()[rows.clone()]);
            }
            FieldType::Float => {
                let values = &array.as_primitive::<Float64Type>().values()[rows.clone()];
                self.words.extend(values.iter().map(|value| value.to_bits()));
            }
            FieldType::Bool => {
                let values = array.as_boolean();
                self.words.extend(rows.clone().map(|row| u64::from(values.value(row))));
            }
            FieldType::String => {
                let values = array.as_string::<i32>();
                for row in rows.clone() {
                    self.append_text(values.value(row).as_bytes());
                }
            }
        }
        self.valid.extend(rows.map(|row| array.is_valid(row)));
    }

    /// Appends a number, as its bits.
    pub(super) fn append_word(&mut self, word: u64) {
        self.words.push(word);
        self.valid.push(true);
    }

    /// Appends `rows` nulls.
    pub(super) fn append_nulls(&mut self, rows: usize) {
        self.words.resize(self.words.len() + rows, 0);
        self.valid.resize(self.valid.len() + rows, false);
    }

    fn append_text(&mut self, text: &[u8]) {
        self.words.push((self.bytes.len() as u64) << 32 | text.len() as u64);
        self.bytes.extend_from_slice(text);
    }

    /// The values at `picks`.
    fn gather(&self, picks: &[u32], kind: FieldType) -> Nullable {
        let words = picks.iter().map(|row| self.words[*row as usize]);
        let bits = |bit: &dyn Fn(usize) -> bool| -> Vec<u64> {
            picks
                .chunks(64)
                .map(|rows| rows.iter().enumerate().fold(0, |word, (i, row)| word | u64::from(bit(*row as usize)) << i))
                .collect()
        };
        let column = match kind {
            FieldType::Int | FieldType::UInt | FieldType::Float => Column::Words(words.collect()),
            FieldType::Bool => Column::Bits(bits(&|row| self.words[row] != 0)),
            FieldType::String => {
                let mut text = Text { offsets: vec![0], bytes: Vec::new() };
                for word in words {
                    let (from, length) = ((word >> 32) as usize, (word & 0xffff_ffff) as usize);
                    text.bytes.extend_from_slice(&self.bytes[from..from + length]);
                    text.offsets.push(text.bytes.len() as i32);
                }
                Column::Text(text)
            }
        };
        let all = picks.iter().all(|row| self.valid[*row as usize]);
        (column, (!all).then(|| bits(&|row| self.valid[row])))
    }
}

impl Merge {
    /// Bytes of the rows held.
    pub(super) fn bytes(&self) -> u64 {
        let words = self.staged * (16 + self.columns.len() * 17);
        (words + self.columns.iter().map(|column| column.bytes.len() * 2).sum::<usize>()) as u64
    }

    /// Whether enough rows for a chunk are there.
    pub(super) fn is_full(&self) -> bool {
        self.time.len() >= CHUNK_ROWS
    }

    /// Takes rows of the open series with these times, of a source that is not older than those taken before. The
    /// caller appends as many rows to each of the columns that come back.
    pub(super) fn add(&mut self, time: &[i64], columns: usize) -> &mut [Staged] {
        let first = self.staged as u32;
        self.rows.extend(time.iter().zip(first..).map(|(time, row)| (*time, row)));
        self.staged += time.len();
        self.columns.resize_with(columns, Staged::default);
        &mut self.columns
    }

    /// Orders the rows of the open series.
    pub(super) fn close_series(&mut self, series: SeriesId) {
        self.rows.sort_unstable();
        self.picks.resize_with(self.columns.len(), Vec::new);
        let start = self.time.len();
        for same in self.rows.chunk_by(|a, b| a.0 == b.0) {
            let Some((time, newest)) = same.last().copied() else { continue };
            self.time.push(time);
            for (column, picks) in self.columns.iter().zip(&mut self.picks) {
                let valued = same.iter().rev().find(|(_, row)| column.valid[*row as usize]);
                picks.push(valued.map_or(newest, |(_, row)| *row));
            }
        }
        self.rows.clear();
        let len = (self.time.len() - start) as u32;
        if len > 0 {
            self.runs.push(Run { series, start: start as u32, len });
        }
    }

    /// All rows of closed series; `None` if there is none.
    pub(super) fn take(&mut self, kinds: impl Iterator<Item = FieldType>) -> Result<Option<ScanChunk>> {
        debug_assert!(self.rows.is_empty(), "between series");
        let rows = self.time.len();
        if rows == 0 {
            return Ok(None);
        }
        let gathered = self
            .columns
            .iter()
            .zip(&self.picks)
            .zip(kinds)
            .map(|((column, picks), kind)| values::array(column.gather(picks, kind), kind, rows));
        let columns: Result<Vec<ArrayRef>, Damaged> = gathered.collect();
        let columns = columns.map_err(|Damaged(reason)| Error::Rejected(format!("rows do not merge: {reason}")))?;
        let merged = std::mem::take(self);
        Ok(Some(ScanChunk { runs: merged.runs, time: merged.time.into(), columns }))
    }
}
