//! One field of a table's rows in memory.
//!
//! A column knows of as many rows as it was last appended to; rows after that are null. Batches without the field
//! therefore cost nothing until it comes again, and little then: rows that lack it have a place among the values only
//! where they are few in a row. Else one line with thousands of fields could make each of them as long as the table.
//!
//! ```text
//!   rows    0 1 2 3 4 5 6 7 8 9 …  200 201        jumps   row 200 is at place 5
//!   values  a b - c d                e f
//! ```

use std::borrow::Cow;
use std::ops::Range;

use super::growth::{make_room, phase_of};
use crate::batch::{Strings, Values};
use crate::codec::bitmap;
use crate::schema::{ColumnId, FieldType};

/// Rows without the field that take a place each. More are left out, which costs as much as one place.
const GAP_ROWS_MAX: usize = 8;

#[derive(Debug)]
pub(crate) struct Column {
    id: ColumnId,
    values: Values,
    /// One bit a place; `None` while every one is present.
    validity: Option<Vec<u64>>,
    /// Where rows were left out before a row; none while every row is at the place of its number.
    jumps: Vec<Jump>,
}

/// A row behind others that were left out, and its place among the values.
#[derive(Debug, Clone, Copy)]
struct Jump {
    row: u32,
    place: u32,
}

impl Column {
    pub(crate) fn new(id: ColumnId, kind: FieldType) -> Self {
        Self { id, values: Values::new(kind), validity: None, jumps: Vec::new() }
    }

    pub(crate) fn id(&self) -> ColumnId {
        self.id
    }

    pub(crate) fn kind(&self) -> FieldType {
        self.values.kind()
    }

    /// Values by place.
    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    /// Whether each of the first `rows` rows has a value, at the place of its number.
    pub(crate) fn is_full(&self, rows: usize) -> bool {
        self.validity.is_none() && self.jumps.is_empty() && self.values.len() >= rows
    }

    /// Rows that the column knows of.
    fn rows(&self) -> usize {
        match self.jumps.last() {
            None => self.values.len(),
            Some(last) => last.row as usize + self.values.len() - last.place as usize,
        }
    }

    /// The places of rows, where they are others than the rows themselves. A row without one has a place behind all
    /// values.
    pub(crate) fn places<'r>(&self, rows: Cow<'r, [u32]>) -> Cow<'r, [u32]> {
        match self.jumps.is_empty() {
            true => rows,
            false => rows.iter().map(|row| self.place(*row).unwrap_or(u32::MAX)).collect(),
        }
    }

    fn place(&self, row: u32) -> Option<u32> {
        let behind = self.jumps.partition_point(|jump| jump.row <= row);
        let place = match behind.checked_sub(1).and_then(|at| self.jumps.get(at)) {
            None => row,
            Some(jump) => jump.place + (row - jump.row),
        };
        let end = self.jumps.get(behind).map_or(self.values.len(), |next| next.place as usize);
        ((place as usize) < end).then_some(place)
    }

    pub(crate) fn clear(&mut self) {
        match &mut self.values {
            Values::Int(v) => v.clear(),
            Values::UInt(v) => v.clear(),
            Values::Float(v) => v.clear(),
            Values::Bool(v) => v.clear(),
            Values::String(s) => {
                s.ends.clear();
                s.bytes.clear();
            }
        }
        self.validity = None;
        self.jumps.clear();
    }

    /// Whether the field is present in `row`.
    pub(crate) fn is_present(&self, row: u32) -> bool {
        self.value_place(row).is_some()
    }

    /// The place of the row's value, if it has one.
    pub(crate) fn value_place(&self, row: u32) -> Option<usize> {
        self.place(row).map(|place| place as usize).filter(|place| self.has_value(*place))
    }

    /// Whether there is a value at `place`.
    pub(crate) fn has_value(&self, place: usize) -> bool {
        place < self.values.len()
            && self.validity.as_ref().is_none_or(|words| words[place / 64] >> (place % 64) & 1 == 1)
    }

    /// Appends `rows` of a batch's column of the same type, to stand from row `start` on.
    pub(crate) fn append(&mut self, start: usize, values: &Values, validity: Option<&[u64]>, rows: Range<usize>) {
        let known = self.values.len();
        let count = rows.len();
        let gap = start - self.rows();
        // From here on a place.
        let start = if gap > GAP_ROWS_MAX { known } else { known + gap };
        if gap > GAP_ROWS_MAX {
            self.jumps.push(Jump { row: (self.rows() + gap) as u32, place: known as u32 });
        }
        if known < start || validity.is_some() || self.validity.is_some() {
            let words = self.validity.get_or_insert_with(|| all_present(known));
            words.resize(start.div_ceil(64), 0);
            match validity {
                Some(bits) => bitmap::append(words, start, bits, rows.clone()),
                None => bitmap::append_ones(words, start, count),
            }
        }
        let phase = phase_of(self.id.0);
        match (&mut self.values, values) {
            (Values::Int(own), Values::Int(new)) => extend(own, start, &new[rows], phase),
            (Values::UInt(own), Values::UInt(new)) => extend(own, start, &new[rows], phase),
            (Values::Float(own), Values::Float(new)) => extend(own, start, &new[rows], phase),
            (Values::Bool(own), Values::Bool(new)) => extend(own, start, &new[rows], phase),
            (Values::String(own), Values::String(new)) => extend_strings(own, start, new, rows, phase),
            (own, new) => unreachable!("BUG 10: {:?} appended to a column of {:?}", new.kind(), own.kind()),
        }
    }

    /// Bytes of the rows held.
    pub(crate) fn bytes(&self) -> u64 {
        let values = match &self.values {
            Values::Bool(v) => v.len(),
            Values::String(s) => s.ends.len() * 4 + s.bytes.len(),
            other => other.len() * 8,
        };
        (values + self.validity.as_ref().map_or(0, |words| words.len() * 8) + size_of_val(&*self.jumps)) as u64
    }

    /// Memory taken.
    pub(crate) fn reserved(&self) -> u64 {
        let values = match &self.values {
            Values::Int(v) => v.capacity() * 8,
            Values::UInt(v) => v.capacity() * 8,
            Values::Float(v) => v.capacity() * 8,
            Values::Bool(v) => v.capacity(),
            Values::String(s) => s.ends.capacity() * 4 + s.bytes.capacity(),
        };
        let validity = self.validity.as_ref().map_or(0, |words| words.capacity() * 8);
        (values + validity + self.jumps.capacity() * size_of::<Jump>()) as u64
    }
}

/// The string at `place`.
pub(crate) fn string_at(strings: &Strings, place: usize) -> &[u8] {
    let start = if place == 0 { 0 } else { strings.ends[place - 1] as usize };
    &strings.bytes[start..strings.ends[place] as usize]
}

fn extend<T: Copy + Default>(own: &mut Vec<T>, start: usize, new: &[T], phase: u16) {
    make_room(own, start + new.len(), phase);
    own.resize(start, T::default());
    own.extend_from_slice(new);
}

fn extend_strings(own: &mut Strings, start: usize, new: &Strings, rows: Range<usize>, phase: u16) {
    make_room(&mut own.ends, start + rows.len(), phase);
    let end = own.bytes.len() as u32;
    own.ends.resize(start, end);
    let skipped = if rows.start == 0 { 0 } else { new.ends[rows.start - 1] };
    let Some(&last) = new.ends[rows.clone()].last() else { return };
    let text = &new.bytes[skipped as usize..last as usize];
    // Not with its own ends either.
    let bytes = own.bytes.len() + text.len();
    make_room(&mut own.bytes, bytes, phase + 1);
    own.bytes.extend_from_slice(text);
    own.ends.extend(new.ends[rows].iter().map(|&e| end + (e - skipped)));
}

fn all_present(rows: usize) -> Vec<u64> {
    let mut words = Vec::new();
    bitmap::append_ones(&mut words, 0, rows);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appended_ranges_read_back_with_nulls_between() {
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut column = Column::new(ColumnId(1), FieldType::Int);
            let mut expected: Vec<Option<i64>> = Vec::new();
            for _ in 0..random.usize(1..8) {
                // Rows of batches that lack the field.
                let gap = if random.bool() { random.usize(0..100) } else { 0 };
                expected.resize(expected.len() + gap, None);
                let values: Vec<i64> = (0..random.usize(1..200)).map(|_| random.i64(..)).collect();
                let validity: Option<Vec<u64>> =
                    random.bool().then(|| (0..values.len().div_ceil(64)).map(|_| random.u64(..)).collect());
                let from = random.usize(0..values.len());
                let rows = from..random.usize(from..=values.len());
                let start = expected.len();
                expected.extend(rows.clone().map(|row| {
                    let present = validity.as_ref().is_none_or(|v| v[row / 64] >> (row % 64) & 1 == 1);
                    present.then(|| values[row])
                }));
                column.append(start, &Values::Int(values), validity.as_deref(), rows);
            }
            let Values::Int(values) = column.values() else { panic!("type changed") };
            let rows: Vec<u32> = (0..expected.len() as u32 + 3).collect();
            let places = column.places(Cow::Borrowed(&rows));
            for (row, place) in rows.iter().zip(&*places) {
                let found = column.has_value(*place as usize).then(|| values[*place as usize]);
                let wanted = expected.get(*row as usize).copied().flatten();
                assert_eq!((found, column.is_present(*row)), (wanted, wanted.is_some()), "seed {seed} row {row}");
            }
            let all = expected.iter().all(Option::is_some);
            assert!(!column.is_full(expected.len()) || all, "seed {seed}");
        }
    }

    /// A line with thousands of fields that comes now and then must not make each of them as long as the table.
    #[test]
    fn rows_that_lack_the_field_take_no_memory() {
        for kind in [FieldType::Int, FieldType::String, FieldType::Bool] {
            let mut column = Column::new(ColumnId(1), kind);
            let value = match kind {
                FieldType::String => Values::String(Strings { ends: vec![1], bytes: b"x".to_vec() }),
                FieldType::Bool => Values::Bool(vec![1]),
                _ => Values::Int(vec![7]),
            };
            let starts = [5, 1_000_000, 1_000_001, 1_000_005, 900_000_000, u32::MAX - 1];
            for start in starts {
                column.append(start as usize, &value, None, 0..1);
            }
            assert!(column.bytes() < 500 && column.reserved() < 1000, "{} {}", column.bytes(), column.reserved());
            assert!(starts.iter().all(|start| column.is_present(*start)), "{column:?}");
            assert!([0, 4, 6, 999_999, 1_000_002, 1_000_006, u32::MAX].iter().all(|row| !column.is_present(*row)));
        }
    }

    #[test]
    fn strings_read_back_from_the_middle_of_a_batch() {
        let mut column = Column::new(ColumnId(1), FieldType::String);
        let strings = Values::String(Strings { ends: vec![1, 3, 3, 6], bytes: b"abbccc".to_vec() });
        column.append(2, &strings, None, 1..4);
        column.append(5, &strings, None, 0..1);
        let Values::String(own) = column.values() else { panic!("type changed") };
        let rows: Vec<_> = (0..6).map(|row| column.is_present(row).then(|| string_at(own, row as usize))).collect();
        assert_eq!(rows, [None, None, Some(&b"bb"[..]), Some(b""), Some(b"ccc"), Some(b"a")]);
    }
}
