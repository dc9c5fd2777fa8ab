//! The columnar write batch: rows of one table bound for one shard.
//!
//! A row names its series either by an id the shard gave out before, or by the ordinal of a key that travels in the
//! same batch ([`NewSeries`]); the shard answers with the ids of those keys. Batches cross cores by move.

use crate::partition::{Partitions, bounds_of};
use crate::schema::{ColumnId, FieldType, TableId};

/// Set in [`WriteBatch::series`] where the low bits are an ordinal into [`WriteBatch::new_series`], clear where they
/// are a series id. A shard therefore holds at most 2^31 series of one table.
pub const NEW_SERIES_BIT: u32 = 1 << 31;

/// Rows of one table for one shard. All columns have `series.len()` rows. Rows may repeat a (series, time): later
/// rows win, field by field.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WriteBatch {
    /// The table; `None` only in an empty batch.
    pub table: Option<TableId>,
    /// Series id, or [`NEW_SERIES_BIT`] + ordinal.
    pub series: Vec<u32>,
    /// Timestamps in the table's unit.
    pub time: Vec<i64>,
    /// The fields that at least one row has.
    pub columns: Vec<BatchColumn>,
    /// Keys of series that the sender has no id for.
    pub new_series: NewSeries,
}

/// One field of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchColumn {
    /// Which field.
    pub id: ColumnId,
    /// A value for every row; where `validity` says null the value is a placeholder (0, empty).
    pub values: Values,
    /// One bit a row, least significant first, set = present; `None` when every row is present.
    pub validity: Option<Vec<u64>>,
}

/// Values of one field.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// BIGINT.
    Int(Vec<i64>),
    /// BIGINT UNSIGNED.
    UInt(Vec<u64>),
    /// DOUBLE.
    Float(Vec<f64>),
    /// BOOLEAN, one byte a row, 0 or 1.
    Bool(Vec<u8>),
    /// STRING.
    String(Strings),
}

/// Strings laid end to end.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Strings {
    /// End of each row's bytes in `bytes`.
    pub ends: Vec<u32>,
    /// UTF-8.
    pub bytes: Vec<u8>,
}

impl Strings {
    /// Appends a row's string.
    #[inline]
    pub fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len() as u32);
    }
}

/// Keys of new series, laid end to end. One key is its tags sorted by column id, each as
/// `[column: u16 LE][length: u32 LE][value bytes]`; a series without tags is the empty key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewSeries {
    /// End of each key in `bytes`.
    pub ends: Vec<u32>,
    /// The keys.
    pub bytes: Vec<u8>,
}

impl NewSeries {
    /// Number of keys.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The key with ordinal `ordinal`.
    pub fn key(&self, ordinal: usize) -> &[u8] {
        let start = if ordinal == 0 { 0 } else { self.ends[ordinal - 1] as usize };
        &self.bytes[start..self.ends[ordinal] as usize]
    }

    /// Appends a key of tags, which must come sorted by column id, and returns its ordinal.
    pub fn push<'a>(&mut self, tags: impl IntoIterator<Item = (ColumnId, &'a [u8])>) -> u32 {
        let ordinal = self.ends.len() as u32;
        for (column, value) in tags {
            push_tag(&mut self.bytes, column, value);
        }
        self.ends.push(self.bytes.len() as u32);
        ordinal
    }

    /// Appends a key as it is, and returns its ordinal.
    pub fn push_key(&mut self, key: &[u8]) -> u32 {
        let ordinal = self.ends.len() as u32;
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len() as u32);
        ordinal
    }
}

/// Appends one tag of a key; see [`NewSeries`].
#[inline]
pub fn push_tag(key: &mut Vec<u8>, column: ColumnId, value: &[u8]) {
    key.extend_from_slice(&column.0.to_le_bytes());
    key.extend_from_slice(&(value.len() as u32).to_le_bytes());
    key.extend_from_slice(value);
}

impl Values {
    /// The strings, where it holds strings.
    pub fn strings(&self) -> Option<&Strings> {
        match self {
            Self::String(strings) => Some(strings),
            _ => None,
        }
    }

    /// An empty column of `kind`.
    pub fn new(kind: FieldType) -> Self {
        match kind {
            FieldType::Int => Self::Int(Vec::new()),
            FieldType::UInt => Self::UInt(Vec::new()),
            FieldType::Float => Self::Float(Vec::new()),
            FieldType::Bool => Self::Bool(Vec::new()),
            FieldType::String => Self::String(Strings::default()),
        }
    }

    /// The type.
    pub fn kind(&self) -> FieldType {
        match self {
            Self::Int(_) => FieldType::Int,
            Self::UInt(_) => FieldType::UInt,
            Self::Float(_) => FieldType::Float,
            Self::Bool(_) => FieldType::Bool,
            Self::String(_) => FieldType::String,
        }
    }

    /// Rows held.
    pub fn len(&self) -> usize {
        match self {
            Self::Int(v) => v.len(),
            Self::UInt(v) => v.len(),
            Self::Float(v) => v.len(),
            Self::Bool(v) => v.len(),
            Self::String(v) => v.ends.len(),
        }
    }

    /// Whether no row is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Most partitions that the rows of one request may lie in, of one table in one shard. Each becomes a file, written and
/// synced by the next flush: more of them would keep a shard busy for longer than who sent them expects.
pub const PARTITIONS_MAX: usize = 4096;

impl WriteBatch {
    /// Whether its rows lie in more than `most` partitions of `length`. Costs next to nothing where their times are
    /// close together.
    pub fn spans_more_partitions(&self, length: i64, most: usize) -> bool {
        let (first, last) = bounds_of(&self.time);
        let length = length.max(1);
        if i128::from(last) - i128::from(first) < i128::from(length) * (most as i128 - 1) {
            return false;
        }
        let mut partitions = Partitions::default();
        partitions.add(&self.time, (first, last), length);
        partitions.len() > most
    }

    /// What the values and the time of its longest row take.
    pub fn longest_row_bytes(&self) -> usize {
        let strings: Vec<_> = self.columns.iter().filter_map(|column| column.values.strings()).collect();
        let length = |strings: &Strings, row: usize| {
            let start = row.checked_sub(1).map_or(0, |before| strings.ends[before]);
            (strings.ends[row] - start) as usize
        };
        let longest = (0..self.rows()).map(|row| strings.iter().map(|strings| length(strings, row)).sum::<usize>());
        8 + self.columns.len() * 8 + longest.max().unwrap_or_default()
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.series.len()
    }

    /// Memory held, room for rows to come included.
    pub fn reserved(&self) -> usize {
        let columns: usize = self
            .columns
            .iter()
            .map(|c| {
                let values = match &c.values {
                    Values::Int(v) => v.capacity() * 8,
                    Values::UInt(v) => v.capacity() * 8,
                    Values::Float(v) => v.capacity() * 8,
                    Values::Bool(v) => v.capacity(),
                    Values::String(s) => s.bytes.capacity() + s.ends.capacity() * 4,
                };
                values + c.validity.as_ref().map_or(0, |v| v.capacity() * 8)
            })
            .sum();
        let keys = self.new_series.bytes.capacity() + self.new_series.ends.capacity() * 4;
        columns + self.series.capacity() * 4 + self.time.capacity() * 8 + keys
    }

    /// Memory its rows hold, the unit of admission credits.
    pub fn bytes(&self) -> usize {
        let columns: usize = self
            .columns
            .iter()
            .map(|c| {
                let values = match &c.values {
                    Values::Bool(v) => v.len(),
                    Values::String(s) => s.bytes.len() + s.ends.len() * 4,
                    other => other.len() * 8,
                };
                values + c.validity.as_ref().map_or(0, |v| v.len() * 8)
            })
            .sum();
        self.series.len() * 12 + columns + self.new_series.bytes.len() + self.new_series.ends.len() * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_counted_only_where_times_are_far_apart() {
        let batch = |time: Vec<i64>| WriteBatch { time, ..WriteBatch::default() };
        assert!(!batch(Vec::new()).spans_more_partitions(10, 1));
        assert!(!batch(vec![5, 1, 9]).spans_more_partitions(10, 1));
        assert!(batch(vec![5, 10]).spans_more_partitions(10, 1));
        assert!(batch((0..5).map(|day| day * 10).collect()).spans_more_partitions(10, 4));
        assert!(!batch((0..5).map(|day| day * 10).collect()).spans_more_partitions(10, 5));
        // Far apart, and yet few.
        assert!(!batch(vec![i64::MIN, 0, i64::MAX]).spans_more_partitions(10, 3));
        assert!(batch(vec![i64::MIN, 0, 11, i64::MAX]).spans_more_partitions(10, 3));
    }
}
