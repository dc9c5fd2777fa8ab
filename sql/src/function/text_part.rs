//! Text functions: parts of a text, what it begins with and where a part stands in it, and parts replaced. Positions
//! count characters from 1.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray};

use super::definition::Parameter::{AnyText, BigInt, Text};
use super::definition::{Documentation, Function, Signature};
use super::rows::{bytes_of, int_at, int_rows, ints, length_at, rows_of, text_at, text_rows, texts};
use crate::error::execution::{ExecError, Result};
use crate::expr::ScalarFunction;
use crate::expr::function::{Kernel, Returns};

const fn text(name: &'static str, kernel: fn(&[ArrayRef]) -> Result<ArrayRef>) -> ScalarFunction {
    ScalarFunction::new(name, Returns::Text, Kernel::Columns(kernel)).making(bytes_of)
}

pub(super) static FUNCTIONS: &[Function] = &[
    Function::of(
        Documentation::new(
            "left",
            "left(text, n)",
            "The first `n` characters; of a negative `n`, all but that many of the last.",
        ),
        Signature::of(&[Text, BigInt]),
        text("left", |args| kept(args, |count, n| (0, kept_count(count, n)))),
    ),
    Function::of(
        Documentation::new(
            "right",
            "right(text, n)",
            "The last `n` characters; of a negative `n`, all but that many of the first.",
        ),
        Signature::of(&[Text, BigInt]),
        text("right", |args| kept(args, |count, n| (count - kept_count(count, n), kept_count(count, n)))),
    ),
    Function::of(
        Documentation::new(
            "substr",
            "substr(text, start[, n])",
            "The text from a position on, `n` characters of it or all; a negative `n` is an error. \
             `SUBSTRING(text FROM start FOR n)` is the same.",
        )
        .aliases(&["substring"]),
        Signature::at_least(2, &[Text, BigInt, BigInt]),
        text("substr", substr).failing(),
    ),
    Function::of(
        Documentation::new(
            "split_part",
            "split_part(text, separator, n)",
            "Part `n` of the text between separators, empty where there is none; an `n` below 1 is an error.",
        ),
        Signature::of(&[Text, AnyText, BigInt]),
        text("split_part", split_part).failing(),
    ),
    Function::of(
        Documentation::new(
            "btrim",
            "btrim(text[, characters])",
            "The text without blanks, or any of these characters, at both ends. `TRIM(BOTH characters FROM text)` is \
             the same.",
        ),
        Signature::at_least(1, &[Text, AnyText]),
        text("btrim", |args| trimmed(args, [true, true])),
    ),
    Function::of(
        Documentation::new("trim", "trim(text[, characters])", "The same as `btrim`."),
        Signature::at_least(1, &[Text, AnyText]),
        text("trim", |args| trimmed(args, [true, true])),
    ),
    Function::of(
        Documentation::new("ltrim", "ltrim(text[, characters])", "The same as `btrim` at the beginning alone."),
        Signature::at_least(1, &[Text, AnyText]),
        text("ltrim", |args| trimmed(args, [true, false])),
    ),
    Function::of(
        Documentation::new("rtrim", "rtrim(text[, characters])", "The same as `btrim` at the end alone."),
        Signature::at_least(1, &[Text, AnyText]),
        text("rtrim", |args| trimmed(args, [false, true])),
    ),
    Function::of(
        Documentation::new("starts_with", "starts_with(text, start)", "Whether the text begins so, BOOLEAN."),
        Signature::of(&[AnyText, AnyText]),
        ScalarFunction::new(
            "starts_with",
            Returns::Boolean,
            Kernel::Columns(|args| {
                let (columns, starts) = (texts(args, 0)?, texts(args, 1)?);
                let of = |row| Some(text_at(&columns, row)?.starts_with(text_at(&starts, row)?));
                Ok(Arc::new((0..rows_of(args)).map(of).collect::<BooleanArray>()))
            }),
        ),
    ),
    Function::of(
        Documentation::new(
            "strpos",
            "strpos(text, part)",
            "Position of the first part of the text that is so, 0 without, BIGINT. `POSITION(part IN text)` is the \
             same.",
        ),
        Signature::of(&[Text, AnyText]),
        ScalarFunction::new("strpos", Returns::BigInt, Kernel::Columns(strpos)),
    ),
    Function::of(
        Documentation::new("replace", "replace(text, from, to)", "The text with every `from` in it as `to`."),
        Signature::of(&[Text, AnyText, AnyText]),
        ScalarFunction::new("replace", Returns::Text, Kernel::Columns(replace)).making(replaced_bytes),
    ),
    Function::of(
        Documentation::new(
            "translate",
            "translate(text, from, to)",
            "The text with each character of `from` as the one of `to` at the same place (of several places the last), \
             or without it where there is none.",
        ),
        Signature::of(&[Text, AnyText, AnyText]),
        ScalarFunction::new("translate", Returns::Text, Kernel::Columns(translate))
            .making(|args| bytes_of(&args[..1]).saturating_mul(CHARACTER_BYTES_MAX)),
    ),
];

/// Bytes of the longest character.
const CHARACTER_BYTES_MAX: usize = 4;

/// How many of `count` characters `n` keeps.
fn kept_count(count: usize, n: i64) -> usize {
    let size = usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX);
    if n < 0 { count.saturating_sub(size) } else { count.min(size) }
}

/// The part of each text that `of` gives, as characters to skip and to take, from their number and the second argument.
fn kept(args: &[ArrayRef], of: impl Fn(usize, i64) -> (usize, usize)) -> Result<ArrayRef> {
    let (columns, counts) = (texts(args, 0)?, ints(args, 1)?);
    text_rows(rows_of(args), |row, made| {
        let (Some(text), Some(n)) = (text_at(&columns, row), int_at(&counts, row)) else { return Ok(None) };
        let (skip, take) = of(text.chars().count(), n);
        made.extend(text.chars().skip(skip).take(take));
        Ok(Some(()))
    })
}

fn substr(args: &[ArrayRef]) -> Result<ArrayRef> {
    let (columns, starts) = (texts(args, 0)?, ints(args, 1)?);
    let counts = (args.len() > 2).then(|| ints(args, 2)).transpose()?;
    text_rows(rows_of(args), |row, made| {
        let count = counts.as_ref().map_or(Some(i64::MAX), |counts| int_at(counts, row));
        let (Some(text), Some(start), Some(count)) = (text_at(&columns, row), int_at(&starts, row), count) else {
            return Ok(None);
        };
        if count < 0 {
            return Err(ExecError::Execution(format!("substr: a negative length: {count}")));
        }
        // Positions before the first count as characters that are not there.
        let end = start.saturating_add(count);
        let skip = usize::try_from(start.saturating_sub(1)).unwrap_or(0);
        let take = usize::try_from(end.saturating_sub(start.max(1))).unwrap_or(0);
        made.extend(text.chars().skip(skip).take(take));
        Ok(Some(()))
    })
}

fn split_part(args: &[ArrayRef]) -> Result<ArrayRef> {
    let (columns, separators, positions) = (texts(args, 0)?, texts(args, 1)?, ints(args, 2)?);
    text_rows(rows_of(args), |row, made| {
        let (Some(text), Some(separator), Some(position)) =
            (text_at(&columns, row), text_at(&separators, row), int_at(&positions, row))
        else {
            return Ok(None);
        };
        let Some(before) = position.checked_sub(1).and_then(|before| usize::try_from(before).ok()) else {
            return Err(ExecError::Execution(format!("split_part: part {position}; the first is 1")));
        };
        made.push_str(text.split(separator).nth(before).unwrap_or_default());
        Ok(Some(()))
    })
}

/// Without the characters of the second argument, or blanks, at the beginning and at the end.
fn trimmed(args: &[ArrayRef], [start, end]: [bool; 2]) -> Result<ArrayRef> {
    let columns = texts(args, 0)?;
    let characters = (args.len() > 1).then(|| texts(args, 1)).transpose()?;
    text_rows(rows_of(args), |row, made| {
        let characters = characters.as_ref().map_or(Some(" "), |characters| text_at(characters, row));
        let (Some(mut text), Some(characters)) = (text_at(&columns, row), characters) else { return Ok(None) };
        let goes = |character: char| characters.contains(character);
        if start {
            text = text.trim_start_matches(goes);
        }
        if end {
            text = text.trim_end_matches(goes);
        }
        made.push_str(text);
        Ok(Some(()))
    })
}

fn strpos(args: &[ArrayRef]) -> Result<ArrayRef> {
    let (columns, parts) = (texts(args, 0)?, texts(args, 1)?);
    Ok(int_rows(rows_of(args), |row| {
        let (text, part) = (text_at(&columns, row)?, text_at(&parts, row)?);
        Some(text.find(part).map_or(0, |at| text[..at].chars().count() as i64 + 1))
    }))
}

/// Every part may be `from`, however short.
fn replaced_bytes(args: &[ArrayRef]) -> usize {
    let of = |row| {
        let [text, from, to] = [0, 1, 2].map(|at| length_at(args, at, row));
        let times = text.checked_div(from).unwrap_or(text.saturating_add(1));
        text.saturating_add(times.saturating_mul(to.saturating_sub(from)))
    };
    (0..rows_of(args)).map(of).fold(0, usize::saturating_add)
}

fn replace(args: &[ArrayRef]) -> Result<ArrayRef> {
    let (columns, from, to) = (texts(args, 0)?, texts(args, 1)?, texts(args, 2)?);
    text_rows(rows_of(args), |row, made| {
        let (Some(text), Some(from), Some(to)) = (text_at(&columns, row), text_at(&from, row), text_at(&to, row))
        else {
            return Ok(None);
        };
        let mut done = 0;
        for (at, part) in text.match_indices(from) {
            made.push_str(&text[done..at]);
            made.push_str(to);
            done = at + part.len();
        }
        made.push_str(&text[done..]);
        Ok(Some(()))
    })
}

fn translate(args: &[ArrayRef]) -> Result<ArrayRef> {
    let (columns, from, to) = (texts(args, 0)?, texts(args, 1)?, texts(args, 2)?);
    text_rows(rows_of(args), |row, made| {
        let (Some(text), Some(from), Some(to)) = (text_at(&columns, row), text_at(&from, row), text_at(&to, row))
        else {
            return Ok(None);
        };
        let from: Vec<char> = from.chars().collect();
        for character in text.chars() {
            match from.iter().rposition(|one| *one == character) {
                Some(at) => made.extend(to.chars().nth(at)),
                None => made.push(character),
            }
        }
        Ok(Some(()))
    })
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn the_room_of_a_replacement_is_enough() {
        for (text, from, to) in
            [("aaaa", "a", "bbb"), ("Hello", "", "--"), ("", "", "x"), ("abab", "ab", ""), ("é", "é", "ee")]
        {
            let args: Vec<ArrayRef> =
                [text, from, to].into_iter().map(|text| Arc::new(StringArray::from(vec![text])) as ArrayRef).collect();
            let made = replace(&args).unwrap();
            assert_eq!(made.as_string::<i32>().value(0), text.replace(from, to));
            assert!(made.as_string::<i32>().value(0).len() <= replaced_bytes(&args), "{text} {from} {to}");
        }
    }

    #[test]
    fn positions_beyond_the_text_give_less_of_it() {
        let of = |start: i64, count: i64| {
            let text: ArrayRef = Arc::new(StringArray::from(vec!["añb"]));
            let numbers = [start, count].map(|n| Arc::new(Int64Array::from(vec![n])) as ArrayRef);
            let [start, count] = numbers;
            substr(&[text, start, count]).map(|made| made.as_string::<i32>().value(0).to_owned())
        };
        assert_eq!(of(2, 2).unwrap(), "ñb");
        assert_eq!(of(-1, 3).unwrap(), "a");
        assert_eq!(of(i64::MIN, i64::MAX).unwrap(), "");
        assert_eq!(of(1, i64::MAX).unwrap(), "añb");
        assert_eq!(of(5, 5).unwrap(), "");
        assert!(of(1, -1).is_err());
    }
}
