//! The order of series by their tags, in which InfluxQL has the rows of one time.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, StringArray, UInt32Array};
use arrow_schema::DataType;

use crate::error::execution::Result;
use crate::expr::ScalarFunction;
use crate::expr::function::{Kernel, Returns};
use crate::types::array::cast_to;

/// Of tags in the order of their names: a text that orders as the series' keys do. A series that lacks a tag comes
/// before those that have it if no tag follows in it, else after them.
///
/// Each tag that is there makes a mark that counts the tags, its value, and an end. Marks are characters above ASCII,
/// so that any is more than an end, and a later one more than an earlier.
pub(crate) static SERIES_ORDER: ScalarFunction =
    ScalarFunction::new("series_order", Returns::Text, Kernel::Coded(series_order)).making(bytes_max);

/// What a tag takes beside its value, at most: a mark of four bytes and an end of two.
const TAG_BYTES: usize = 6;

/// A column of a tag.
enum Tag<'a> {
    Coded(&'a DictionaryArray<UInt32Type>, &'a StringArray),
    Plain(&'a StringArray),
    /// No series has it.
    Absent,
}

impl<'a> Tag<'a> {
    fn of(column: &'a ArrayRef) -> Self {
        match (column.as_dictionary_opt::<UInt32Type>(), column.as_string_opt::<i32>()) {
            (Some(coded), _) => Self::Coded(coded, coded.values().as_string()),
            (None, Some(texts)) => Self::Plain(texts),
            (None, None) => Self::Absent,
        }
    }

    fn value(&self, row: usize) -> Option<&'a str> {
        let (texts, at) = match self {
            Self::Coded(coded, texts) => (*texts, coded.key(row)?),
            Self::Plain(texts) => (*texts, row),
            Self::Absent => return None,
        };
        texts.is_valid(at).then(|| texts.value(at))
    }

    /// Whether two rows surely have one value.
    fn is_same(&self, row: usize, other: usize) -> bool {
        match self {
            Self::Coded(coded, _) => coded.key(row) == coded.key(other),
            Self::Plain(_) => self.value(row) == self.value(other),
            Self::Absent => true,
        }
    }
}

/// Columns as [`Tag`] knows them.
fn known(columns: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    let known = |column: &ArrayRef| match column.data_type() {
        DataType::Utf8 | DataType::Null => Ok(Arc::clone(column)),
        DataType::Dictionary(keys, values) if **keys == DataType::UInt32 && **values == DataType::Utf8 => {
            Ok(Arc::clone(column))
        }
        _ => cast_to(column, &DataType::Utf8),
    };
    columns.iter().map(known).collect()
}

/// Whether a row is of another series than the one before it.
fn begins(tags: &[Tag<'_>], row: usize) -> bool {
    row == 0 || !tags.iter().all(|tag| tag.is_same(row - 1, row))
}

fn bytes_max(columns: &[ArrayRef]) -> usize {
    let Ok(columns) = known(columns) else { return 0 };
    let tags: Vec<Tag<'_>> = columns.iter().map(Tag::of).collect();
    let rows = columns.first().map_or(0, Array::len);
    // A zero in a value takes two bytes.
    let of_tag = |tag: &Tag<'_>, row| tag.value(row).map_or(0, |value| 2 * value.len() + TAG_BYTES);
    let of_row = |row| tags.iter().map(|tag| of_tag(tag, row)).sum::<usize>();
    (0..rows).filter(|row| begins(&tags, *row)).map(of_row).fold(0, usize::saturating_add)
}

fn series_order(columns: &[ArrayRef]) -> Result<ArrayRef> {
    let columns = known(columns)?;
    let tags: Vec<Tag<'_>> = columns.iter().map(Tag::of).collect();
    let rows = columns.first().map_or(0, Array::len);
    let (mut numbers, mut values) = (HashMap::<String, u32>::new(), StringBuilder::new());
    let mut of_rows: Vec<u32> = Vec::with_capacity(rows);
    let mut order = String::new();
    for row in 0..rows {
        if !begins(&tags, row) {
            of_rows.extend(of_rows.last().copied());
            continue;
        }
        order.clear();
        for (tag, mark) in tags.iter().zip('\u{100}'..) {
            let Some(value) = tag.value(row) else { continue };
            order.push(mark);
            match value.contains('\0') {
                true => order.push_str(&value.replace('\0', "\0\u{1}")),
                false => order.push_str(value),
            }
            order.push_str("\0\0");
        }
        let next = numbers.len() as u32;
        of_rows.push(match numbers.get(&order) {
            Some(number) => *number,
            None => {
                values.append_value(&order);
                numbers.insert(order.clone(), next);
                next
            }
        });
    }
    Ok(Arc::new(DictionaryArray::try_new(UInt32Array::from(of_rows), Arc::new(values.finish()))?))
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::*;

    /// Tags of a series, with their places; the order of the keys, in which a series that ends comes first.
    fn keys_compare(a: &[Option<&str>], b: &[Option<&str>]) -> Ordering {
        let key = |tags: &[Option<&str>]| {
            tags.iter().enumerate().filter_map(|(at, tag)| tag.map(|tag| (at, tag.to_owned()))).collect::<Vec<_>>()
        };
        key(a).cmp(&key(b))
    }

    #[test]
    fn texts_order_as_keys_of_series_do() {
        let seed = crate::exec::testing::seed();
        let mut random = fastrand::Rng::with_seed(seed);
        let texts = ["", "a", "a\0", "a\0\0", "a\0b", "aa", "é", "z", "\u{10ffff}"];
        for _ in 0..40 {
            let width = random.usize(1..5);
            let series: Vec<Vec<Option<&str>>> = (0..12)
                .map(|_| (0..width).map(|_| random.bool().then(|| texts[random.usize(..texts.len())])).collect())
                .collect();
            let rows: Vec<&Vec<Option<&str>>> = (0..30).map(|_| &series[random.usize(..12)]).collect();
            let columns: Vec<ArrayRef> = (0..width)
                .map(|at| {
                    let column = rows.iter().map(|row| row[at]);
                    match random.bool() {
                        true => Arc::new(column.collect::<DictionaryArray<UInt32Type>>()) as ArrayRef,
                        false => Arc::new(column.collect::<StringArray>()),
                    }
                })
                .collect();
            let made = series_order(&columns).unwrap();
            let made = made.as_dictionary::<UInt32Type>();
            let values = made.values().as_string::<i32>();
            assert!(values.value_data().len() <= bytes_max(&columns), "TIDEWIRE_SEED={seed}");
            let text = |row: usize| values.value(made.key(row).unwrap());
            for (a, b) in (0..30).flat_map(|a| (0..30).map(move |b| (a, b))) {
                let expected = keys_compare(rows[a], rows[b]);
                assert_eq!(text(a).cmp(text(b)), expected, "{:?} {:?}, TIDEWIRE_SEED={seed}", rows[a], rows[b]);
            }
            // Each text stands once.
            assert!(values.len() <= 12, "TIDEWIRE_SEED={seed}");
        }
    }
}
