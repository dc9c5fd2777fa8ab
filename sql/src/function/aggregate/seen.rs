//! Which slots have seen a value, and columns made of slots.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{ArrayRef, PrimitiveArray};
use arrow_buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow_schema::DataType;

use crate::error::execution::Result;
use crate::types::array::cast_to;

/// One flag a slot.
#[derive(Debug, Default)]
pub(super) struct Seen(Vec<bool>);

impl Seen {
    pub(super) fn resize(&mut self, slots: usize) {
        self.0.resize(slots, false);
    }

    #[inline]
    pub(super) fn mark(&mut self, slot: usize) {
        self.0[slot] = true;
    }

    #[inline]
    pub(super) fn get(&self, slot: usize) -> bool {
        self.0[slot]
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.capacity()
    }

    /// Those of some slots without a value as nulls; `None` when all have one.
    pub(super) fn nulls(&self, slots: Range<usize>) -> Option<NullBuffer> {
        let seen = &self.0[slots];
        (!seen.iter().all(|&s| s)).then(|| NullBuffer::new(BooleanBuffer::from(seen)))
    }
}

/// A column of values and nulls, converted to `to`.
pub(super) fn column<T: ArrowPrimitiveType>(
    values: Vec<T::Native>,
    nulls: Option<NullBuffer>,
    to: &DataType,
) -> Result<ArrayRef> {
    let array: ArrayRef = Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls));
    cast_to(&array, to)
}
