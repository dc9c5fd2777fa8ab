//! Decoded columns as arrow arrays, without a further copy.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, PrimitiveArray, StringArray, new_null_array};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType};

use crate::codec::column::{Column, Nullable};
use crate::codec::{Damaged, Decoded};
use crate::schema::FieldType;

/// A column of `rows` nulls.
pub(super) fn nulls(kind: FieldType, rows: usize) -> ArrayRef {
    new_null_array(&kind.data_type(), rows)
}

/// `rows` rows of a field of type `kind`.
pub(super) fn array((column, validity): Nullable, kind: FieldType, rows: usize) -> Decoded<ArrayRef> {
    let bits = |words: Vec<u64>| BooleanBuffer::new(Buffer::from_vec(words), 0, rows);
    let nulls = validity.map(|words| NullBuffer::new(bits(words)));
    Ok(match (column, kind) {
        (Column::Nothing, _) => self::nulls(kind, rows),
        (Column::Words(words), FieldType::Int) => numbers::<Int64Type>(words, nulls),
        (Column::Words(words), FieldType::UInt) => numbers::<UInt64Type>(words, nulls),
        (Column::Words(words), FieldType::Float) => numbers::<Float64Type>(words, nulls),
        (Column::Bits(words), FieldType::Bool) => Arc::new(BooleanArray::new(bits(words), nulls)),
        (Column::Text(text), FieldType::String) => {
            let offsets = OffsetBuffer::new(ScalarBuffer::from(text.offsets));
            let array = StringArray::try_new(offsets, Buffer::from_vec(text.bytes), nulls);
            Arc::new(array.map_err(|_| Damaged("strings are not UTF-8"))?)
        }
        _ => return Err(Damaged("block is of another type than its column")),
    })
}

fn numbers<T: ArrowPrimitiveType>(words: Vec<u64>, nulls: Option<NullBuffer>) -> ArrayRef {
    let rows = words.len();
    let values = ScalarBuffer::<T::Native>::new(Buffer::from_vec(words), 0, rows);
    Arc::new(PrimitiveArray::<T>::new(values, nulls))
}

/// The rows `ranges` of `array`: a view where they are one stretch, else a copy.
pub(super) fn rows_of(array: &ArrayRef, ranges: &[Range<usize>]) -> Result<ArrayRef, ArrowError> {
    if let [range] = ranges {
        return Ok(if *range == (0..array.len()) { Arc::clone(array) } else { array.slice(range.start, range.len()) });
    }
    if array.null_count() == 0 {
        // Most ranges are of one series among many: joining slices costs more than their values.
        match array.data_type() {
            DataType::Int64 => return Ok(joined::<Int64Type>(array, ranges)),
            DataType::UInt64 => return Ok(joined::<UInt64Type>(array, ranges)),
            DataType::Float64 => return Ok(joined::<Float64Type>(array, ranges)),
            _ => {}
        }
    }
    let parts: Vec<ArrayRef> = ranges.iter().map(|range| array.slice(range.start, range.len())).collect();
    let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
    arrow_select::concat::concat(&parts)
}

fn joined<T: ArrowPrimitiveType>(array: &ArrayRef, ranges: &[Range<usize>]) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(kept(array.as_primitive::<T>().values(), ranges).into(), None))
}

/// The values `ranges`, one after the other.
pub(super) fn kept<T: Copy>(values: &[T], ranges: &[Range<usize>]) -> Vec<T> {
    let mut kept = Vec::with_capacity(ranges.iter().map(ExactSizeIterator::len).sum());
    ranges.iter().for_each(|range| kept.extend_from_slice(&values[range.clone()]));
    kept
}
