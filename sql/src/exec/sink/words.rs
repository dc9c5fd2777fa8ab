//! Columns of 64-bit values by their bits, whatever they mean.

use arrow_array::{Array, ArrayRef};
use arrow_buffer::ScalarBuffer;

/// The bits of a column whose values have 64 of them; empty of any other.
pub(crate) fn words(column: &ArrayRef) -> ScalarBuffer<u64> {
    let data = column.to_data();
    match data.buffers() {
        [values] if data.data_type().primitive_width() == Some(8) => {
            ScalarBuffer::new(values.clone(), data.offset(), data.len())
        }
        _ => ScalarBuffer::from(Vec::new()),
    }
}
