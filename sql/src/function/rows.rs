//! What kernels read their arguments from row by row, and make text with.
//!
//! The binder has converted the arguments; what is left to do is to see a column as what it is. A kernel that makes
//! text says before how much ([`TextMade`](crate::expr::function::TextMade)), which is what columns are made with here.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, StringArray};
use arrow_schema::DataType;

use crate::error::execution::{ExecError, Result};
use crate::types::array::{cast_to, plain};

fn argument(args: &[ArrayRef], at: usize) -> Result<&ArrayRef> {
    args.get(at).ok_or_else(|| ExecError::Internal(format!("a function without argument {at}")))
}

/// The argument at `at` as text.
pub(super) fn texts(args: &[ArrayRef], at: usize) -> Result<StringArray> {
    Ok(cast_to(&plain(argument(args, at)?)?, &DataType::Utf8)?.as_string::<i32>().clone())
}

/// The argument at `at` as BIGINT.
pub(super) fn ints(args: &[ArrayRef], at: usize) -> Result<Int64Array> {
    Ok(cast_to(argument(args, at)?, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

/// The argument at `at` as DOUBLE.
pub(super) fn floats(args: &[ArrayRef], at: usize) -> Result<Float64Array> {
    Ok(cast_to(argument(args, at)?, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
}

/// The text of a row.
pub(super) fn text_at(texts: &StringArray, row: usize) -> Option<&str> {
    texts.is_valid(row).then(|| texts.value(row))
}

/// The number of a row.
pub(super) fn int_at(ints: &Int64Array, row: usize) -> Option<i64> {
    ints.is_valid(row).then(|| ints.value(row))
}

/// Rows of the arguments, all of which have as many.
pub(super) fn rows_of(args: &[ArrayRef]) -> usize {
    args.first().map_or(0, Array::len)
}

/// A text a row: what `make` appends to the empty text it is given; null where it says so.
pub(super) fn text_rows(
    rows: usize,
    mut make: impl FnMut(usize, &mut String) -> Result<Option<()>>,
) -> Result<ArrayRef> {
    let mut column = StringBuilder::new();
    let mut text = String::new();
    for row in 0..rows {
        text.clear();
        match make(row, &mut text)? {
            Some(()) => column.append_value(&text),
            None => column.append_null(),
        }
    }
    Ok(Arc::new(column.finish()))
}

/// A number a row; null where there is none.
pub(super) fn int_rows(rows: usize, mut of: impl FnMut(usize) -> Option<i64>) -> ArrayRef {
    Arc::new((0..rows).map(&mut of).collect::<Int64Array>())
}

/// Bytes of the text at `at`, in a row.
pub(super) fn length_at(args: &[ArrayRef], at: usize, row: usize) -> usize {
    let texts = args.get(at).and_then(|column| column.as_string_opt::<i32>());
    texts.map_or(0, |texts| usize::try_from(texts.value_length(row)).unwrap_or(0))
}

/// Bytes of the text of all arguments, each as if it were plain.
pub(super) fn bytes_of(args: &[ArrayRef]) -> usize {
    let lengths = (0..args.len()).flat_map(|at| (0..rows_of(args)).map(move |row| (at, row)));
    lengths.map(|(at, row)| length_at(args, at, row)).fold(0, usize::saturating_add)
}

/// The number at `at` in a row, if it is above zero.
pub(super) fn count_at(args: &[ArrayRef], at: usize, row: usize) -> usize {
    let ints = args.get(at).and_then(|column| column.as_primitive_opt::<Int64Type>());
    let count = ints.and_then(|ints| int_at(ints, row)).unwrap_or(0);
    usize::try_from(count).unwrap_or(0)
}
