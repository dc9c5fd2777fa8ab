//! Text functions. A tag column is computed once for each distinct value.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, Int64Array, StringArray};
use arrow_cast::cast;
use arrow_schema::DataType;

use super::definition::Parameter::Text;
use super::definition::{Documentation, Function};
use crate::error::execution::Result;
use crate::expr::function::Returns;
use crate::types::array::over_distinct;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::columns(
        Documentation::new("lower", "lower(text)", "The text in lower case."),
        &[Text],
        Returns::Text,
        |args| text_map(args, str::to_lowercase),
    ),
    Function::columns(
        Documentation::new("upper", "upper(text)", "The text in upper case."),
        &[Text],
        Returns::Text,
        |args| text_map(args, str::to_uppercase),
    ),
    Function::columns(
        Documentation::new("length", "length(text)", "Number of characters, BIGINT.")
            .aliases(&["char_length", "character_length"])
            .heading("character_length"),
        &[Text],
        Returns::BigInt,
        length,
    ),
];

/// `f` of every text.
fn text_map(args: &[ArrayRef], f: impl Fn(&str) -> String) -> Result<ArrayRef> {
    over_distinct(&args[0], |values| {
        let values = cast(values, &DataType::Utf8)?;
        let mapped: StringArray = values.as_string::<i32>().iter().map(|v| v.map(&f)).collect();
        Ok(Arc::new(mapped))
    })
}

/// `length`, in characters.
fn length(args: &[ArrayRef]) -> Result<ArrayRef> {
    over_distinct(&args[0], |values| {
        let values = cast(values, &DataType::Utf8)?;
        let lengths: Int64Array =
            values.as_string::<i32>().iter().map(|v| v.map(|text| text.chars().count() as i64)).collect();
        Ok(Arc::new(lengths))
    })
}
