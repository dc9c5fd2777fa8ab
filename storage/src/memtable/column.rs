//! One field of a table's rows in memory.
//!
//! A column knows of as many rows as it was last appended to; rows after that are null. Batches without the field
//! therefore cost nothing until it comes again.

use std::ops::Range;

use crate::batch::{Strings, Values};
use crate::codec::bitmap;
use crate::schema::{ColumnId, FieldType};

#[derive(Debug)]
pub(crate) struct Column {
    id: ColumnId,
    values: Values,
    /// One bit a row; `None` while every row of `values` is present.
    validity: Option<Vec<u64>>,
}

impl Column {
    pub(crate) fn new(id: ColumnId, kind: FieldType) -> Self {
        Self { id, values: Values::new(kind), validity: None }
    }

    pub(crate) fn id(&self) -> ColumnId {
        self.id
    }

    pub(crate) fn kind(&self) -> FieldType {
        self.values.kind()
    }

    /// Values of the rows that the column knows of.
    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    /// Presence of the rows that the column knows of; `None`: all present.
    pub(crate) fn validity(&self) -> Option<&[u64]> {
        self.validity.as_deref()
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
    }

    /// Whether the field is present in `row`.
    pub(crate) fn is_present(&self, row: usize) -> bool {
        row < self.values.len() && self.validity.as_ref().is_none_or(|words| words[row / 64] >> (row % 64) & 1 == 1)
    }

    /// Appends `rows` of a batch's column of the same type, to stand from row `start` on.
    pub(crate) fn append(&mut self, start: usize, values: &Values, validity: Option<&[u64]>, rows: Range<usize>) {
        let known = self.values.len();
        let count = rows.len();
        if known < start || validity.is_some() || self.validity.is_some() {
            let words = self.validity.get_or_insert_with(|| all_present(known));
            words.resize(start.div_ceil(64), 0);
            match validity {
                Some(bits) => bitmap::append(words, start, bits, rows.clone()),
                None => bitmap::append_ones(words, start, count),
            }
        }
        match (&mut self.values, values) {
            (Values::Int(own), Values::Int(new)) => extend(own, start, &new[rows]),
            (Values::UInt(own), Values::UInt(new)) => extend(own, start, &new[rows]),
            (Values::Float(own), Values::Float(new)) => extend(own, start, &new[rows]),
            (Values::Bool(own), Values::Bool(new)) => extend(own, start, &new[rows]),
            (Values::String(own), Values::String(new)) => extend_strings(own, start, new, rows),
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
        (values + self.validity.as_ref().map_or(0, |words| words.len() * 8)) as u64
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
        (values + self.validity.as_ref().map_or(0, |words| words.capacity() * 8)) as u64
    }
}

/// The string of `row`.
pub(crate) fn string_at(strings: &Strings, row: usize) -> &[u8] {
    let start = if row == 0 { 0 } else { strings.ends[row - 1] as usize };
    &strings.bytes[start..strings.ends[row] as usize]
}

fn extend<T: Copy + Default>(own: &mut Vec<T>, start: usize, new: &[T]) {
    own.resize(start, T::default());
    own.extend_from_slice(new);
}

fn extend_strings(own: &mut Strings, start: usize, new: &Strings, rows: Range<usize>) {
    let end = own.bytes.len() as u32;
    own.ends.resize(start, end);
    let skipped = if rows.start == 0 { 0 } else { new.ends[rows.start - 1] };
    let Some(&last) = new.ends[rows.clone()].last() else { return };
    own.bytes.extend_from_slice(&new.bytes[skipped as usize..last as usize]);
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
            for (row, value) in expected.iter().enumerate() {
                assert_eq!(column.is_present(row).then(|| values[row]), *value, "seed {seed} row {row}");
            }
        }
    }

    #[test]
    fn strings_read_back_from_the_middle_of_a_batch() {
        let mut column = Column::new(ColumnId(1), FieldType::String);
        let strings = Values::String(Strings { ends: vec![1, 3, 3, 6], bytes: b"abbccc".to_vec() });
        column.append(2, &strings, None, 1..4);
        column.append(5, &strings, None, 0..1);
        let Values::String(own) = column.values() else { panic!("type changed") };
        let rows: Vec<_> = (0..6).map(|row| column.is_present(row).then(|| string_at(own, row))).collect();
        assert_eq!(rows, [None, None, Some(&b"bb"[..]), Some(b""), Some(b"ccc"), Some(b"a")]);
    }
}
