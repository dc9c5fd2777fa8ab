//! Text functions. A tag column is computed once for each distinct value.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Int64Array, StringArray};
use arrow_cast::cast;
use arrow_schema::DataType;
use arrow_select::take::take;

use crate::exec::error::Result;

/// Applies `kernel` to the distinct values of a dictionary, or to all values of anything else.
pub(crate) fn over_distinct(array: &ArrayRef, kernel: impl Fn(&ArrayRef) -> Result<ArrayRef>) -> Result<ArrayRef> {
    match array.as_any_dictionary_opt() {
        Some(dictionary) if dictionary.values().len() <= dictionary.len() => {
            Ok(take(&kernel(dictionary.values())?, dictionary.keys(), None)?)
        }
        Some(_) => kernel(&plain(array)?),
        None => kernel(array),
    }
}

/// The column without dictionary.
pub(crate) fn plain(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Dictionary(_, value) => Ok(cast(array, value)?),
        _ => Ok(Arc::clone(array)),
    }
}

/// `f` of every text.
pub(crate) fn text_map(array: &ArrayRef, f: impl Fn(&str) -> String) -> Result<ArrayRef> {
    over_distinct(array, |values| {
        let values = cast(values, &DataType::Utf8)?;
        let mapped: StringArray = values.as_string::<i32>().iter().map(|v| v.map(&f)).collect();
        Ok(Arc::new(mapped))
    })
}

/// `length`, in characters.
pub(crate) fn length(array: &ArrayRef) -> Result<ArrayRef> {
    over_distinct(array, |values| {
        let values = cast(values, &DataType::Utf8)?;
        let lengths: Int64Array =
            values.as_string::<i32>().iter().map(|v| v.map(|text| text.chars().count() as i64)).collect();
        Ok(Arc::new(lengths))
    })
}
