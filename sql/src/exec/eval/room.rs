//! Room for the text that expressions make.
//!
//! Of all that expressions come to only text grows: a constant beside each of a chunk's rows, two texts as one, and
//! either again at each level of a nested query. So what makes text says beforehand how much ([`Room::take`]):
//!
//! 1. Of more than [`PIECE_BYTES_MAX`] in a column nothing is made: [`ExecError::TextTooLong`]. Those who hand in rows
//!    hand in half of them instead, down to one; so no column comes near the 2 GiB that its offsets can count.
//! 2. The rest is reserved in the query's memory, until the rows that it is of have been handed on ([`Room::clear`]).

use std::cell::RefCell;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use crate::error::execution::{ExecError, Result};
use crate::exec::context::{QueryContext, Reservation};

/// Text that a column of several rows may have where an expression makes it: some thousand rows of a few kilobytes.
const PIECE_BYTES_MAX: usize = 8 << 20;

/// What offsets of text can count.
const TEXT_BYTES_MAX: usize = i32::MAX as usize;

/// Where the text of an operator's expressions is accounted.
#[derive(Debug)]
pub(crate) struct Room(RefCell<Reservation>);

impl Room {
    /// Room in the memory of a query.
    pub(crate) fn new(context: &QueryContext) -> Self {
        Self(RefCell::new(context.reservation()))
    }

    /// Takes room for `bytes` of text in a column of `rows` rows.
    pub(super) fn take(&self, bytes: usize, rows: usize) -> Result<()> {
        if bytes > PIECE_BYTES_MAX && rows > 1 {
            return Err(ExecError::TextTooLong { bytes: bytes as u64 });
        }
        if bytes > TEXT_BYTES_MAX {
            return Err(ExecError::Execution("a text of more than 2 GiB".to_owned()));
        }
        if bytes == 0 {
            return Ok(());
        }
        let mut held = self.0.borrow_mut();
        let held_before = usize::try_from(held.bytes()).unwrap_or(usize::MAX);
        held.resize(held_before.saturating_add(bytes))
    }

    /// What is taken now, for [`Self::back_to`].
    pub(super) fn taken(&self) -> usize {
        usize::try_from(self.0.borrow().bytes()).unwrap_or(usize::MAX)
    }

    /// Gives back what was taken since there was `before`: the text of then is gone.
    pub(super) fn back_to(&self, before: usize) -> Result<()> {
        self.0.borrow_mut().resize(before)
    }

    /// All text that was made has been handed on.
    pub(crate) fn clear(&self) -> Result<()> {
        self.back_to(0)
    }
}

/// Bytes of a column's text, each value as often as it stands in a row; 0 of what is no text.
pub(crate) fn text_bytes(column: &ArrayRef) -> usize {
    match column.data_type() {
        DataType::Utf8 => {
            let offsets = column.as_string::<i32>().value_offsets();
            let ends = offsets.first().zip(offsets.last());
            ends.map_or(0, |(first, last)| usize::try_from(last - first).unwrap_or(0))
        }
        DataType::Dictionary(..) => {
            let Some(dictionary) = column.as_dictionary_opt::<UInt32Type>() else { return 0 };
            let Some(values) = dictionary.values().as_string_opt::<i32>() else { return 0 };
            dictionary
                .keys()
                .iter()
                .flatten()
                .map(|key| usize::try_from(values.value_length(key as usize)).unwrap_or(0))
                .sum()
        }
        _ => 0,
    }
}

/// The same with the values of a dictionary, for what computes each of them once (`over_distinct`).
pub(super) fn text_bytes_with_values(column: &ArrayRef) -> usize {
    let values = column.as_any_dictionary_opt().map_or(0, |dictionary| text_bytes(dictionary.values()));
    text_bytes(column).saturating_add(values)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{DictionaryArray, Int64Array, StringArray};

    use super::*;

    #[test]
    fn text_of_several_rows_is_bounded_and_all_of_it_is_reserved() {
        let context = QueryContext::new(1 << 30, None);
        let room = Room::new(&context);
        room.take(PIECE_BYTES_MAX, 2).unwrap();
        assert!(matches!(room.take(PIECE_BYTES_MAX + 1, 2), Err(ExecError::TextTooLong { .. })));
        let before = room.taken();
        room.take(PIECE_BYTES_MAX + 1, 1).unwrap();
        assert_eq!(context.memory_used(), 2 * PIECE_BYTES_MAX as u64 + 1);
        room.back_to(before).unwrap();
        assert_eq!(context.memory_used(), PIECE_BYTES_MAX as u64);
        assert!(matches!(room.take(1 << 30, 1), Err(ExecError::Memory { .. })));
        assert!(matches!(room.take(1 << 31, 1), Err(ExecError::Execution(_))));
        room.clear().unwrap();
        assert_eq!(context.memory_used(), 0);
    }

    #[test]
    fn a_dictionary_counts_as_if_it_were_plain() {
        let texts = [Some("a"), None, Some("bcd"), Some("a"), Some("bcd"), Some("")];
        let plain: ArrayRef = Arc::new(texts.iter().collect::<StringArray>());
        let dictionary: ArrayRef = Arc::new(texts.into_iter().collect::<DictionaryArray<UInt32Type>>());
        let number: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        assert_eq!([&plain, &dictionary, &number].map(text_bytes), [8, 8, 0]);
        assert_eq!(text_bytes(&plain.slice(2, 2)), 4);
    }
}
