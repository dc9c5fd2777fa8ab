//! Merging rows that several sources have, one by one: newest wins, field by field.
//!
//! Per series, [`Merge::add`] copies the rows in the overlap from every source, oldest source first, into one staging
//! table, and [`Merge::close_some`] puts them in order of time, step by step. Of rows with one time, each column takes
//! the value of the newest row that has one. [`Merge::take`] gathers a chunk of the series closed so far.

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
use crate::step_sort::StepSort;
use crate::work;

/// Rows of a chunk of merged rows; the last of some may have nearly twice as many.
const CHUNK_ROWS: usize = 4096;

/// Rows that are merged between two yields, of all columns together.
const STEP_CELLS: usize = 1 << 16;

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
    /// Rows of `time` that were given out.
    given: usize,
}

/// A series whose rows are being put in order.
#[derive(Debug)]
pub(super) struct Closing {
    series: SeriesId,
    /// Where its rows begin in the merge.
    start: usize,
    order: Order,
}

#[derive(Debug)]
enum Order {
    Sorting(StepSort<(i64, u32)>),
    /// Sorted, and merged up to a position.
    Merging(Vec<(i64, u32)>, usize),
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
        self.time.len() - self.given >= CHUNK_ROWS
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

    /// Begins to put the rows of the open series in order.
    pub(super) fn close(&mut self, series: SeriesId) -> Closing {
        self.picks.resize_with(self.columns.len(), Vec::new);
        let rows = std::mem::take(&mut self.rows);
        Closing { series, start: self.time.len(), order: Order::Sorting(StepSort::new(rows)) }
    }

    /// Whether the open series has more rows than may be closed without a yield.
    pub(super) fn is_long(&self) -> bool {
        self.rows.len() > CHUNK_ROWS
    }

    /// Works a while; whether the series is closed.
    pub(super) fn close_some(&mut self, closing: &mut Closing) -> bool {
        match &mut closing.order {
            Order::Sorting(sort) => {
                if sort.step() {
                    let rows = std::mem::replace(sort, StepSort::new(Vec::new())).into_keys();
                    closing.order = Order::Merging(rows, 0);
                }
                false
            }
            Order::Merging(rows, at) => {
                *at = self.merge_some(rows, *at);
                if *at < rows.len() {
                    return false;
                }
                self.rows = std::mem::take(rows);
                self.rows.clear();
                let len = (self.time.len() - closing.start) as u32;
                if len > 0 {
                    self.runs.push(Run { series: closing.series, start: closing.start as u32, len });
                }
                true
            }
        }
    }

    /// Merges some of the sorted rows of a series, and says where to go on.
    fn merge_some(&mut self, rows: &[(i64, u32)], from: usize) -> usize {
        let mut at = from;
        let rows_max = STEP_CELLS / (1 + self.columns.len());
        for same in rows[from..].chunk_by(|a, b| a.0 == b.0) {
            let Some((time, newest)) = same.last().copied().filter(|_| at - from <= rows_max) else { break };
            at += same.len();
            self.time.push(time);
            for (column, picks) in self.columns.iter().zip(&mut self.picks) {
                let valued = same.iter().rev().find(|(_, row)| column.valid[*row as usize]);
                picks.push(valued.map_or(newest, |(_, row)| *row));
            }
        }
        work::charge_each((at - from) * (1 + self.columns.len()), work::LOOK);
        at
    }

    /// Some rows of closed series; `None` if there is none.
    pub(super) fn take(&mut self, kinds: impl Iterator<Item = FieldType>) -> Result<Option<ScanChunk>> {
        debug_assert!(self.rows.is_empty(), "between series");
        let left = self.time.len() - self.given;
        if left == 0 {
            return Ok(None);
        }
        // What is left is less than a chunk then, or nothing: memory is given back when all is given out.
        let rows = if left < 2 * CHUNK_ROWS { left } else { CHUNK_ROWS };
        let (from, to) = (self.given, self.given + rows);
        work::charge_each(rows * (1 + self.columns.len()), work::LOOK);
        let gathered = self
            .columns
            .iter()
            .zip(&self.picks)
            .zip(kinds)
            .map(|((column, picks), kind)| values::array(column.gather(&picks[from..to], kind), kind, rows));
        let columns: Result<Vec<ArrayRef>, Damaged> = gathered.collect();
        let columns = columns.map_err(|Damaged(reason)| Error::Rejected(format!("rows do not merge: {reason}")))?;
        let runs = self.runs_between(from as u32, to as u32);
        let time = self.time[from..to].to_vec().into();
        self.given = to;
        if to == self.time.len() {
            *self = Self::default();
        }
        Ok(Some(ScanChunk { runs, time, columns }))
    }

    /// The runs of rows `from..to`, counted from the first.
    fn runs_between(&self, from: u32, to: u32) -> Vec<Run> {
        let first = self.runs.partition_point(|run| run.start + run.len <= from);
        let within = self.runs[first..].iter().take_while(|run| run.start < to);
        let cut = |run: &Run| {
            let (start, end) = (run.start.max(from), (run.start + run.len).min(to));
            Run { series: run.series, start: start - from, len: end - start }
        };
        within.map(cut).collect()
    }
}
