//! Text functions: what a text is, and texts that are made of others. A tag column is computed once for each distinct
//! value where nothing else changes from row to row. Positions and lengths count characters.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, Int64Array, StringArray};
use arrow_cast::cast;
use arrow_schema::DataType;

use super::definition::Parameter::{AnyText, BigInt, Text};
use super::definition::{Documentation, Function, Signature};
use super::rows::{bytes_of, count_at, int_at, ints, length_at, rows_of, text_at, text_rows, texts};
use crate::error::execution::{ExecError, Result};
use crate::expr::ScalarFunction;
use crate::expr::function::{Kernel, Returns};
use crate::types::array::over_distinct;

/// Bytes of the longest character.
const CHARACTER_BYTES_MAX: usize = 4;

const fn text(name: &'static str, kernel: fn(&[ArrayRef]) -> Result<ArrayRef>) -> ScalarFunction {
    ScalarFunction::new(name, Returns::Text, Kernel::Columns(kernel))
}

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
        Documentation::new("initcap", "initcap(text)", "The text with the first letter of each word in upper case."),
        &[Text],
        Returns::Text,
        |args| text_map(args, initcap),
    ),
    Function::columns(
        Documentation::new("reverse", "reverse(text)", "The text's characters in the opposite order."),
        &[Text],
        Returns::Text,
        |args| text_map(args, |text| text.chars().rev().collect()),
    ),
    Function::columns(
        Documentation::new("length", "length(text)", "Number of characters, BIGINT.")
            .aliases(&["char_length", "character_length"])
            .heading("character_length"),
        &[Text],
        Returns::BigInt,
        |args| number(args, |text| text.chars().count() as i64),
    ),
    Function::columns(
        Documentation::new("octet_length", "octet_length(text)", "Number of bytes, BIGINT."),
        &[Text],
        Returns::BigInt,
        |args| number(args, |text| text.len() as i64),
    ),
    Function::columns(
        Documentation::new("bit_length", "bit_length(text)", "Number of bits, eight a byte, BIGINT."),
        &[Text],
        Returns::BigInt,
        |args| number(args, |text| text.len() as i64 * 8),
    ),
    Function::columns(
        Documentation::new("ascii", "ascii(text)", "Code of the first character, 0 of an empty text, BIGINT."),
        &[Text],
        Returns::BigInt,
        |args| number(args, |text| text.chars().next().map_or(0, |first| i64::from(u32::from(first)))),
    ),
    Function::of(
        Documentation::new("chr", "chr(code)", "The character of a code; a code of none, and 0, are errors."),
        Signature::of(&[BigInt]),
        text("chr", chr).failing().making(|args| rows_of(args).saturating_mul(CHARACTER_BYTES_MAX)),
    ),
    Function::columns(
        Documentation::new(
            "to_hex",
            "to_hex(i)",
            "An integer in hexadecimal, without prefix; a negative one as its two's complement of 64 bits.",
        ),
        &[BigInt],
        Returns::Text,
        |args| {
            let numbers = ints(args, 0)?;
            text_rows(rows_of(args), |row, made| {
                Ok(int_at(&numbers, row).map(|number| made.push_str(&format!("{number:x}"))))
            })
        },
    ),
    Function::of(
        Documentation::new("concat", "concat(x, …)", "The texts of all arguments in a row; null counts as none."),
        Signature::and_more(&[AnyText]),
        text("concat", |args| joined(args, false)).making(bytes_of),
    ),
    Function::of(
        Documentation::new(
            "concat_ws",
            "concat_ws(separator, x, …)",
            "The texts of all arguments that are not null, with the separator between; null for a null separator.",
        ),
        Signature::and_more(&[Text, AnyText]),
        text("concat_ws", |args| joined(args, true)).making(|args| {
            let separators = (0..rows_of(args)).map(|row| length_at(args, 0, row)).fold(0, usize::saturating_add);
            bytes_of(args).saturating_add(separators.saturating_mul(args.len()))
        }),
    ),
    Function::of(
        Documentation::new("repeat", "repeat(text, n)", "The text `n` times; an empty text where `n` is not above 0."),
        Signature::of(&[Text, BigInt]),
        text("repeat", repeat).making(|args| {
            let of = |row| length_at(args, 0, row).saturating_mul(count_at(args, 1, row));
            (0..rows_of(args)).map(of).fold(0, usize::saturating_add)
        }),
    ),
    Function::of(
        Documentation::new(
            "lpad",
            "lpad(text, n[, fill])",
            "The text filled up from the left to `n` characters with the fill (blanks without), or cut to them.",
        ),
        Signature::at_least(2, &[Text, BigInt, AnyText]),
        text("lpad", |args| padded(args, true)).making(padded_bytes),
    ),
    Function::of(
        Documentation::new(
            "rpad",
            "rpad(text, n[, fill])",
            "The text filled up from the right to `n` characters with the fill (blanks without), or cut to them.",
        ),
        Signature::at_least(2, &[Text, BigInt, AnyText]),
        text("rpad", |args| padded(args, false)).making(padded_bytes),
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

/// A number of every text.
fn number(args: &[ArrayRef], of: impl Fn(&str) -> i64) -> Result<ArrayRef> {
    over_distinct(&args[0], |values| {
        let values = cast(values, &DataType::Utf8)?;
        let numbers: Int64Array = values.as_string::<i32>().iter().map(|v| v.map(&of)).collect();
        Ok(Arc::new(numbers))
    })
}

fn initcap(text: &str) -> String {
    let mut made = String::with_capacity(text.len());
    let mut is_within = false;
    for character in text.chars() {
        match is_within {
            true => made.extend(character.to_lowercase()),
            false => made.extend(character.to_uppercase()),
        }
        is_within = character.is_alphanumeric();
    }
    made
}

fn chr(args: &[ArrayRef]) -> Result<ArrayRef> {
    let codes = ints(args, 0)?;
    text_rows(rows_of(args), |row, made| {
        let Some(code) = int_at(&codes, row) else { return Ok(None) };
        let character = u32::try_from(code).ok().filter(|code| *code != 0).and_then(char::from_u32);
        made.push(character.ok_or_else(|| ExecError::Execution(format!("chr: {code} is no character's code")))?);
        Ok(Some(()))
    })
}

/// The arguments' texts one after the other; with a separator, the first argument is between them.
fn joined(args: &[ArrayRef], with_separator: bool) -> Result<ArrayRef> {
    let columns = (0..args.len()).map(|at| texts(args, at)).collect::<Result<Vec<_>>>()?;
    let (separators, columns) = columns.split_at(usize::from(with_separator));
    text_rows(rows_of(args), |row, made| {
        let separator = match separators.first() {
            Some(separators) => match text_at(separators, row) {
                Some(separator) => separator,
                None => return Ok(None),
            },
            None => "",
        };
        for (count, part) in columns.iter().filter_map(|column| text_at(column, row)).enumerate() {
            if count > 0 {
                made.push_str(separator);
            }
            made.push_str(part);
        }
        Ok(Some(()))
    })
}

fn repeat(args: &[ArrayRef]) -> Result<ArrayRef> {
    let texts = texts(args, 0)?;
    let counts = ints(args, 1)?;
    text_rows(rows_of(args), |row, made| {
        let (Some(text), Some(count)) = (text_at(&texts, row), int_at(&counts, row)) else { return Ok(None) };
        // Of an empty text there is nothing to repeat, however often.
        for _ in 0..if text.is_empty() { 0 } else { count } {
            made.push_str(text);
        }
        Ok(Some(()))
    })
}

/// No more than `n` characters.
fn padded_bytes(args: &[ArrayRef]) -> usize {
    let of = |row| match args.get(2).is_some() && length_at(args, 2, row) == 0 {
        true => length_at(args, 0, row),
        false => length_at(args, 0, row).saturating_add(count_at(args, 1, row).saturating_mul(fill_bytes(args, row))),
    };
    (0..rows_of(args)).map(of).fold(0, usize::saturating_add)
}

/// Bytes of the longest character of a row's fill.
fn fill_bytes(args: &[ArrayRef], row: usize) -> usize {
    let fill = args.get(2).and_then(|fill| fill.as_string_opt::<i32>()).and_then(|fill| text_at(fill, row));
    fill.map_or(1, |fill| fill.chars().map(char::len_utf8).max().unwrap_or(0))
}

fn padded(args: &[ArrayRef], on_the_left: bool) -> Result<ArrayRef> {
    let (columns, counts) = (texts(args, 0)?, ints(args, 1)?);
    let fills = (args.len() > 2).then(|| texts(args, 2)).transpose()?;
    text_rows(rows_of(args), |row, made| {
        let fill = fills.as_ref().map_or(Some(" "), |fills| text_at(fills, row));
        let (Some(text), Some(count), Some(fill)) = (text_at(&columns, row), int_at(&counts, row), fill) else {
            return Ok(None);
        };
        let count = usize::try_from(count).unwrap_or(0);
        let missing = count.saturating_sub(text.chars().count());
        let padding = fill.chars().cycle().take(if fill.is_empty() { 0 } else { missing });
        match on_the_left {
            true => {
                made.extend(padding);
                made.extend(text.chars().take(count));
            }
            false => {
                made.extend(text.chars().take(count));
                made.extend(padding);
            }
        }
        Ok(Some(()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(texts: &[Option<&str>]) -> ArrayRef {
        Arc::new(StringArray::from(texts.to_vec()))
    }

    fn numbers(numbers: &[Option<i64>]) -> ArrayRef {
        Arc::new(Int64Array::from(numbers.to_vec()))
    }

    #[test]
    fn the_room_that_is_taken_is_enough() {
        let texts = column(&[Some("Hello"), Some("世界"), None, Some("")]);
        let counts = numbers(&[Some(7), Some(5), Some(3), Some(-1)]);
        let fills = column(&[Some("xy"), Some("你好"), Some("x"), Some("🌟")]);
        let made = |made: &ArrayRef| made.as_string::<i32>().value_data().len();
        let args = [texts.clone(), counts.clone(), fills];
        for on_the_left in [false, true] {
            let column = padded(&args, on_the_left).unwrap();
            assert!(made(&column) <= padded_bytes(&args), "{on_the_left}");
        }
        let repeated = repeat(&[texts, counts]).unwrap();
        assert_eq!(made(&repeated), 5 * 7 + 6 * 5);
    }

    #[test]
    fn a_code_of_no_character_is_an_error() {
        for code in [0, -1, 0xD800, 0x11_0000, i64::MAX] {
            let error = chr(&[numbers(&[Some(code)])]).unwrap_err().to_string();
            assert!(error.contains(&code.to_string()), "{error}");
        }
    }
}
