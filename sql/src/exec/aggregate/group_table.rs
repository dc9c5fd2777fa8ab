//! Rows to group numbers: the hash table under GROUP BY, DISTINCT and the merge of partial states.
//!
//! Guarantee: rows with equal keys (null equals null, NaN equals NaN, -0 equals 0) get the same number; numbers are
//! given densely in order of first appearance.
//!
//! 1. Each key column becomes one u64 a row: numbers their bits, text the code of an [`Interner`]. A dictionary is
//!    interned once a distinct value, not once a row.
//! 2. The u64s of a row, followed by one bit a column for null, are the key: hashed and compared as whole words.
//! 3. Groups keep their words; key columns are rebuilt from them, some groups at a time.
//!
//! A join finds its rows by the same numbers: [`GroupTable::find`] looks keys up and adds none.

use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, IntervalMonthDayNanoType, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, IntervalMonthDayNanoArray, UInt64Array, new_null_array};
use arrow_buffer::{BooleanBuffer, IntervalMonthDayNano, NullBuffer, ScalarBuffer};
use arrow_row::{RowConverter, SortField};
use arrow_schema::{DataType, IntervalUnit};

use super::index::DenseIndex;
use super::interner::Interner;
use crate::error::execution::{ExecError, Result};
use crate::types::array::cast_to;
use crate::types::float;

/// How a key column is held.
#[derive(Debug)]
enum Key {
    /// Nothing but nulls so far.
    Null,
    /// Signed numbers and times of this type.
    Int(DataType),
    /// Unsigned numbers and booleans of this type.
    UInt(DataType),
    /// Floats of this type, by bits.
    Float(DataType),
    /// Text, by code.
    Text(TextKey),
    /// Intervals, by code of their 16 bytes.
    Interval(Interner),
    /// Anything else, by code of its bytes in arrow's row format. Only for keys that are looked up and not put out.
    Encoded(Box<RowConverter>, Interner),
}

/// The word of a text that has no code, where none is added.
const NO_CODE: u64 = u64::MAX;

/// Text, and the codes of the dictionaries that came last: batches of one scan share theirs, and those of several cores
/// come by turns.
#[derive(Debug, Default)]
struct TextKey {
    interner: Interner,
    /// The last one first.
    recent: Vec<DictionaryCodes>,
}

/// A dictionary and the codes of its values.
type DictionaryCodes = (ArrayRef, Vec<u64>);

/// What becomes of a text that has no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Codes {
    /// It gets one.
    Added,
    /// It is [`NO_CODE`].
    Known,
}

impl Codes {
    fn of(self, interner: &mut Interner, value: &[u8]) -> u64 {
        match self {
            Self::Added => u64::from(interner.code(value)),
            Self::Known => interner.find(value).map_or(NO_CODE, u64::from),
        }
    }
}

/// Dictionaries whose codes are kept.
const RECENT_MAX: usize = 4;

/// The codes of `dictionary`, brought to the front.
fn codes_of<'r>(recent: &'r mut Vec<DictionaryCodes>, dictionary: &ArrayRef) -> &'r mut [u64] {
    match recent.iter().position(|(known, _)| Arc::ptr_eq(known, dictionary)) {
        Some(at) => recent[..=at].rotate_right(1),
        None => {
            recent.truncate(RECENT_MAX - 1);
            recent.insert(0, (Arc::clone(dictionary), vec![NO_CODE; dictionary.len()]));
        }
    }
    &mut recent[0].1
}

/// No group.
pub(crate) const NO_GROUP: u32 = u32::MAX;

/// Numbers groups of rows.
#[derive(Debug)]
pub(crate) struct GroupTable {
    columns: Vec<Key>,
    /// Words of each group's key, one group after the other.
    words: Vec<u64>,
    index: DenseIndex,
    len: usize,
    seed: u64,
    /// Words of the rows at hand, kept for its memory.
    scratch: Vec<u64>,
}

impl Default for GroupTable {
    fn default() -> Self {
        // A seed of its own for each table: keys are data, and must not be able to collide by design.
        let seed = std::hash::RandomState::new().hash_one(0u8) | 1;
        Self { columns: Vec::new(), words: Vec::new(), index: DenseIndex::default(), len: 0, seed, scratch: Vec::new() }
    }
}

impl GroupTable {
    /// Number of groups.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Memory held.
    pub(crate) fn bytes(&self) -> usize {
        let interned: usize = self
            .columns
            .iter()
            .map(|key| match key {
                Key::Text(text) => {
                    let codes: usize = text.recent.iter().map(|(_, codes)| codes.capacity()).sum();
                    text.interner.heap_bytes() + codes * size_of::<u64>()
                }
                Key::Interval(interner) => interner.heap_bytes(),
                Key::Encoded(converter, interner) => converter.size() + interner.heap_bytes(),
                _ => 0,
            })
            .sum();
        (self.words.capacity() + self.scratch.capacity()) * size_of::<u64>() + self.index.bytes() + interned
    }

    /// For keys of these types, which are looked up and not put out: there is none that it cannot take.
    pub(crate) fn of_types(types: &[DataType]) -> Result<Self> {
        let encoded = |data_type: &DataType| {
            let converter = RowConverter::new(vec![SortField::new(data_type.clone())])?;
            Ok(Key::Encoded(Box::new(converter), Interner::default()))
        };
        let key = |data_type: &DataType| Key::of(data_type).or_else(|_| encoded(data_type));
        Ok(Self { columns: types.iter().map(key).collect::<Result<_>>()?, ..Self::default() })
    }

    /// Puts the group number of each of `rows` rows into `groups`.
    pub(crate) fn groups(&mut self, keys: &[ArrayRef], rows: usize, groups: &mut Vec<u32>) -> Result<()> {
        groups.clear();
        if keys.is_empty() {
            self.len = self.len.max(usize::from(rows > 0));
            groups.resize(rows, 0);
            return Ok(());
        }
        let scratch = self.words_of(keys, rows, Codes::Added)?;
        let width = width_of(keys.len());
        groups.reserve(rows);
        // Rows of one series stand together, and often have one key.
        let mut last: (&[u64], u32) = (&[], 0);
        for row in scratch.chunks_exact(width) {
            if !is_same(row, last.0) {
                last = (row, self.group_of(row));
            }
            groups.push(last.1);
        }
        self.scratch = scratch;
        Ok(())
    }

    /// Puts the group number of each of `rows` rows into `groups`: [`NO_GROUP`] for a row whose key was never added.
    pub(crate) fn find(&mut self, keys: &[ArrayRef], rows: usize, groups: &mut Vec<u32>) -> Result<()> {
        groups.clear();
        if keys.is_empty() {
            groups.resize(rows, if self.len > 0 { 0 } else { NO_GROUP });
            return Ok(());
        }
        let scratch = self.words_of(keys, rows, Codes::Known)?;
        let width = width_of(keys.len());
        let (words, seed) = (&self.words, self.seed);
        groups.reserve(rows);
        let mut last: (&[u64], u32) = (&[], 0);
        for row in scratch.chunks_exact(width) {
            if !is_same(row, last.0) {
                let is_it = |group: u32| is_same(&words[group as usize * width..][..width], row);
                last = (row, self.index.find(hash_words(seed, row), is_it).unwrap_or(NO_GROUP));
            }
            groups.push(last.1);
        }
        self.scratch = scratch;
        Ok(())
    }

    /// The words of the keys of rows, in the memory of those before.
    fn words_of(&mut self, keys: &[ArrayRef], rows: usize, codes: Codes) -> Result<Vec<u64>> {
        while self.columns.len() < keys.len() {
            self.columns.push(Key::Null);
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        scratch.resize(rows * width_of(keys.len()), 0);
        for (at, (key, array)) in self.columns.iter_mut().zip(keys).enumerate() {
            key.write(array, at, keys.len(), codes, &mut scratch)?;
        }
        Ok(scratch)
    }

    fn group_of(&mut self, row: &[u64]) -> u32 {
        let (words, width) = (&self.words, row.len());
        let next = self.len as u32;
        let is_it = |group: u32| is_same(&words[group as usize * width..][..width], row);
        let group = self.index.get_or_insert(hash_words(self.seed, row), next, is_it);
        if group == next {
            self.words.extend_from_slice(row);
            self.len += 1;
        }
        group
    }

    /// The key columns of some groups, in their order.
    pub(crate) fn key_columns(&mut self, groups: Range<usize>) -> Result<Vec<ArrayRef>> {
        let columns = self.columns.len();
        let width = width_of(columns);
        let words = &self.words[groups.start * width..groups.end * width];
        self.columns
            .iter_mut()
            .enumerate()
            .map(|(at, key)| {
                let (mask_word, mask_bit) = mask_of(at, columns);
                let rows = || words.chunks_exact(width);
                let values: ScalarBuffer<u64> = rows().map(|row| row[at]).collect();
                let present: BooleanBuffer = rows().map(|row| row[mask_word] & mask_bit == 0).collect();
                let nulls = (present.count_set_bits() < values.len()).then(|| NullBuffer::new(present));
                key.read(values, nulls)
            })
            .collect()
    }
}

/// Words of a key of `columns` columns.
fn width_of(columns: usize) -> usize {
    columns + columns.div_ceil(64)
}

/// Word and bit that say that column `at` is null.
fn mask_of(at: usize, columns: usize) -> (usize, u64) {
    (columns + at / 64, 1 << (at % 64))
}

/// Whether keys are equal. They are short: a call that compares memory would take longer.
#[inline]
fn is_same(a: &[u64], b: &[u64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a == b)
}

/// Folds a 64 by 64 bit product, which spreads every bit of both over the result.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}

#[inline]
fn hash_words(seed: u64, words: &[u64]) -> u64 {
    // Odd constant with evenly spread bits (the golden ratio), so that a zero word still moves the hash.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    words.iter().fold(seed, |hash, &word| fold(hash ^ word, SPREAD).wrapping_add(seed))
}

impl Key {
    /// The way to hold values of `data_type`.
    fn of(data_type: &DataType) -> Result<Self> {
        Ok(match data_type {
            DataType::Null => Self::Null,
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Timestamp(..)
            | DataType::Duration(_) => Self::Int(data_type.clone()),
            DataType::Boolean | DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => {
                Self::UInt(data_type.clone())
            }
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Self::Float(data_type.clone()),
            DataType::Utf8 => Self::Text(TextKey::default()),
            DataType::Dictionary(_, value) if **value == DataType::Utf8 => Self::Text(TextKey::default()),
            DataType::Interval(IntervalUnit::MonthDayNano) => Self::Interval(Interner::default()),
            other => return Err(ExecError::NotImplemented(format!("GROUP BY or DISTINCT over {other}"))),
        })
    }

    /// Writes the column's word and null bit of each row.
    fn write(&mut self, array: &ArrayRef, at: usize, columns: usize, of_texts: Codes, words: &mut [u64]) -> Result<()> {
        if matches!(self, Self::Null) {
            *self = Self::of(array.data_type())?;
        }
        let width = width_of(columns);
        let (mask_word, mask_bit) = mask_of(at, columns);
        if let Some(nulls) = array.logical_nulls().filter(|nulls| nulls.null_count() > 0) {
            for (row, present) in words.chunks_exact_mut(width).zip(nulls.iter()) {
                row[mask_word] |= if present { 0 } else { mask_bit };
            }
        }
        let mut put = |values: &mut dyn Iterator<Item = u64>| {
            for (row, value) in words.chunks_exact_mut(width).zip(values) {
                // What lies under a null is arbitrary and must not tell nulls apart.
                row[at] = if row[mask_word] & mask_bit == 0 { value } else { 0 };
            }
        };
        match self {
            _ if *array.data_type() == DataType::Null => {}
            Self::Null => {}
            Self::Int(_) => {
                let values = cast_to(array, &DataType::Int64)?;
                put(&mut values.as_primitive::<Int64Type>().values().iter().map(|&v| v as u64));
            }
            Self::UInt(_) => {
                let values = cast_to(array, &DataType::UInt64)?;
                put(&mut values.as_primitive::<UInt64Type>().values().iter().copied());
            }
            Self::Float(_) => {
                let values = cast_to(array, &DataType::Float64)?;
                put(&mut values.as_primitive::<Float64Type>().values().iter().map(|&v| float::canonical(v).to_bits()));
            }
            Self::Text(TextKey { interner, recent }) => match array.as_any_dictionary_opt() {
                Some(dictionary) => {
                    let shared = dictionary.values();
                    let values = cast_to(shared, &DataType::Utf8)?;
                    let values = values.as_string::<i32>();
                    // Codes are found when a row first uses the value: most of a large dictionary may be unused.
                    let codes = codes_of(recent, shared);
                    let keys = cast_to(&dictionary.keys().slice(0, array.len()), &DataType::UInt32)?;
                    put(&mut keys.as_primitive::<UInt32Type>().iter().map(|key| {
                        let Some(key) = key.map(|k| k as usize).filter(|&k| k < codes.len()) else { return 0 };
                        if codes[key] == NO_CODE {
                            codes[key] = of_texts.of(interner, values.value(key).as_bytes());
                        }
                        codes[key]
                    }));
                }
                None => {
                    let values = array.as_string::<i32>();
                    put(&mut values.iter().map(|v| of_texts.of(interner, v.unwrap_or_default().as_bytes())));
                }
            },
            Self::Interval(interner) => {
                let values = array.as_primitive::<IntervalMonthDayNanoType>();
                put(&mut values.values().iter().map(|v| {
                    let mut bytes = [0u8; 16];
                    bytes[..4].copy_from_slice(&v.months.to_le_bytes());
                    bytes[4..8].copy_from_slice(&v.days.to_le_bytes());
                    bytes[8..].copy_from_slice(&v.nanoseconds.to_le_bytes());
                    of_texts.of(interner, &bytes)
                }));
            }
            Self::Encoded(converter, interner) => {
                let rows = converter.convert_columns(std::slice::from_ref(array))?;
                put(&mut rows.iter().map(|row| of_texts.of(interner, row.as_ref())));
            }
        }
        Ok(())
    }

    /// The column of these words.
    fn read(&mut self, values: ScalarBuffer<u64>, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
        let rows = values.len();
        Ok(match self {
            Self::Null => new_null_array(&DataType::Null, rows),
            Self::Int(to) => {
                let ints: ScalarBuffer<i64> = values.iter().map(|&v| v as i64).collect();
                cast_to(&(Arc::new(Int64Array::new(ints, nulls)) as ArrayRef), to)?
            }
            Self::UInt(to) => cast_to(&(Arc::new(UInt64Array::new(values, nulls)) as ArrayRef), to)?,
            Self::Float(to) => {
                let floats: ScalarBuffer<f64> = values.iter().map(|&v| f64::from_bits(v)).collect();
                cast_to(&(Arc::new(Float64Array::new(floats, nulls)) as ArrayRef), to)?
            }
            Self::Text(text) => text.interner.column(values.iter().map(|&v| v as u32).collect(), nulls)?,
            Self::Interval(interner) => {
                let intervals: ScalarBuffer<IntervalMonthDayNano> =
                    values.iter().map(|&v| interval_of(interner.value(v as u32))).collect();
                Arc::new(IntervalMonthDayNanoArray::new(intervals, nulls))
            }
            Self::Encoded(..) => return Err(ExecError::Internal("keys that are only looked up".into())),
        })
    }
}

fn interval_of(bytes: &[u8]) -> IntervalMonthDayNano {
    let word = |from: usize| {
        let mut word = [0u8; 8];
        let end = bytes.len().min(from + 8);
        word[..end.saturating_sub(from)].copy_from_slice(&bytes[from.min(end)..end]);
        u64::from_le_bytes(word)
    };
    let months_days = word(0);
    IntervalMonthDayNano::new(months_days as i32, (months_days >> 32) as i32, word(8) as i64)
}

#[cfg(test)]
mod tests {
    use arrow_array::{BooleanArray, Decimal128Array, DictionaryArray, StringArray};

    use super::*;

    fn numbers(table: &mut GroupTable, keys: &[ArrayRef]) -> Vec<u32> {
        let mut groups = Vec::new();
        table.groups(keys, keys[0].len(), &mut groups).unwrap();
        groups
    }

    #[test]
    fn equal_keys_share_a_number_across_forms_of_text() {
        let mut table = GroupTable::default();
        let plain: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("b"), None, Some("a"), Some("")]));
        assert_eq!(numbers(&mut table, &[plain]), [0, 1, 2, 0, 3]);
        let coded: DictionaryArray<UInt32Type> = [Some("c"), None, Some("b"), Some("")].into_iter().collect();
        assert_eq!(numbers(&mut table, &[Arc::new(coded)]), [4, 2, 1, 3]);
        let keys = table.key_columns(0..table.len()).unwrap();
        let keys = cast_to(&keys[0], &DataType::Utf8).unwrap();
        assert_eq!(
            keys.as_string::<i32>().iter().collect::<Vec<_>>(),
            [Some("a"), Some("b"), None, Some(""), Some("c")]
        );
    }

    #[test]
    fn keys_are_found_and_not_added() {
        let decimals = |values: &[i128]| {
            let array = Decimal128Array::from(values.to_vec()).with_precision_and_scale(38, 0).unwrap();
            Arc::new(array) as ArrayRef
        };
        let texts = |values: Vec<Option<&str>>| Arc::new(StringArray::from(values)) as ArrayRef;
        let types = [DataType::Utf8, DataType::Decimal128(38, 0)];
        let mut table = GroupTable::of_types(&types).unwrap();
        assert_eq!(numbers(&mut table, &[texts(vec![Some("a"), None, Some("a")]), decimals(&[1, 2, 3])]), [0, 1, 2]);
        let mut found = Vec::new();
        let coded: DictionaryArray<UInt32Type> = [Some("a"), None, Some("b"), Some("a")].into_iter().collect();
        table.find(&[Arc::new(coded), decimals(&[3, 2, 1, 2])], 4, &mut found).unwrap();
        assert_eq!(found, [2, 1, NO_GROUP, NO_GROUP]);
        table.find(&[texts(vec![Some("c"), Some("a")]), decimals(&[1, 1])], 2, &mut found).unwrap();
        assert_eq!((found.as_slice(), table.len()), ([NO_GROUP, 0].as_slice(), 3));
        assert!(table.key_columns(0..3).is_err(), "what is only looked up is not put out");
        let mut none = GroupTable::of_types(&[]).unwrap();
        none.find(&[], 2, &mut found).unwrap();
        assert_eq!(found, [NO_GROUP; 2]);
        none.groups(&[], 1, &mut Vec::new()).unwrap();
        none.find(&[], 2, &mut found).unwrap();
        assert_eq!(found, [0, 0]);
    }

    #[test]
    fn floats_group_by_value() {
        let mut table = GroupTable::default();
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![0.0, -0.0, f64::NAN, -f64::NAN, 1.5]));
        let flags: ArrayRef = Arc::new(BooleanArray::from(vec![true, true, true, true, true]));
        assert_eq!(numbers(&mut table, &[floats, flags]), [0, 0, 1, 1, 2]);
        let keys = table.key_columns(0..table.len()).unwrap();
        assert_eq!((keys[0].data_type(), keys[1].data_type()), (&DataType::Float64, &DataType::Boolean));
    }

    #[test]
    fn a_hundred_columns_keep_their_nulls_apart() {
        let mut table = GroupTable::default();
        let columns: Vec<ArrayRef> = (0..100)
            .map(|c| {
                Arc::new(Int64Array::from(vec![(c != 3).then_some(0), (c != 99).then_some(0), Some(0)])) as ArrayRef
            })
            .collect();
        assert_eq!(numbers(&mut table, &columns), [0, 1, 2]);
        assert_eq!(numbers(&mut table, &columns), [0, 1, 2]);
        let keys = table.key_columns(0..table.len()).unwrap();
        assert_eq!((keys[3].null_count(), keys[99].null_count(), keys[50].null_count()), (1, 1, 0));
    }

    #[test]
    fn intervals_survive() {
        let mut table = GroupTable::default();
        let interval = IntervalMonthDayNano::new(-1, 2, -3);
        let keys: ArrayRef = Arc::new(IntervalMonthDayNanoArray::from(vec![Some(interval), None, Some(interval)]));
        assert_eq!(numbers(&mut table, &[keys]), [0, 1, 0]);
        let read = table.key_columns(0..table.len()).unwrap();
        assert_eq!(read[0].as_primitive::<IntervalMonthDayNanoType>().value(0), interval);
    }
}
