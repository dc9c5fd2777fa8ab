//! What columns files have, where nobody has said it: of Parquet what the file says; of text the names that it has,
//! with the narrowest type that the first values of each all are.

use std::collections::BTreeMap;

use serde_json::Value;
use tidewire_sql::types::timestamp::parse_timestamp;
use tidewire_storage::schema::{ExternalColumn, ExternalType, FileFormat, TimeUnit};

use crate::csv::{Records, Row, TextFault};
use crate::error::FileError;
use crate::folders::Folders;
use crate::json::Lines;
use crate::parquet;
use crate::reading::of_file;
use crate::values::bool_of;

/// Rows that are looked at.
const ROWS: usize = 1_000;

/// The columns of the first of the files of a location, with `room` bytes of memory; `Err` in `Ok` says how much memory
/// is wanted first.
pub fn columns(
    folders: &Folders,
    location: &str,
    format: FileFormat,
    room: usize,
) -> Result<Result<Vec<ExternalColumn>, usize>, FileError> {
    let files = folders.place(location)?.files(format)?;
    let Some(first) = files.first() else { return Ok(Ok(Vec::new())) };
    let file = first.open()?;
    let found = match format {
        FileFormat::Csv { header, delimiter } => csv(Records::new(file, delimiter), header, room),
        FileFormat::Json => json(Lines::new(file), room),
        FileFormat::Parquet => parquet::columns(file, room),
    };
    match found.map_err(|fault| of_file(first, fault))? {
        Ok(columns) if columns.is_empty() => {
            Err(of_file(first, TextFault::Row("it has no columns, and none were declared".to_owned())))
        }
        found => Ok(found),
    }
}

/// What the values of a column are so far; `None` for none but nulls.
type Seen = Option<ExternalType>;

fn column(name: &str, seen: Seen) -> ExternalColumn {
    ExternalColumn { name: name.into(), kind: seen.unwrap_or(ExternalType::String), not_null: false }
}

/// The type that values of both are.
fn widened(seen: Seen, kind: ExternalType) -> Seen {
    Some(match (seen, kind) {
        (None, kind) => kind,
        (Some(known), kind) if known == kind => kind,
        (Some(ExternalType::Int | ExternalType::Float), ExternalType::Int | ExternalType::Float) => ExternalType::Float,
        _ => ExternalType::String,
    })
}

fn csv(mut records: Records, header: bool, room: usize) -> Result<Result<Vec<ExternalColumn>, usize>, TextFault> {
    let mut columns: Vec<(String, Seen)> = Vec::new();
    for number in 0..ROWS {
        match records.next(room)? {
            Row::Wants(bytes) => return Ok(Err(bytes)),
            Row::End => break,
            Row::Whole => {}
        }
        let (count, _) = records.size();
        for at in 0..count {
            let text = records.value(at).transpose()?.unwrap_or_default();
            if number == 0 {
                let name = if header { text.to_owned() } else { format!("column_{}", at + 1) };
                if columns.iter().any(|(known, _)| *known == name) {
                    return Err(TextFault::Row(format!("it has two columns {name}")));
                }
                columns.push((name, None));
            }
            if (number > 0 || !header)
                && !text.is_empty()
                && let Some((_, seen)) = columns.get_mut(at)
            {
                *seen = widened(*seen, of_text(text));
            }
        }
        records.done();
    }
    Ok(Ok(columns.iter().map(|(name, seen)| column(name, *seen)).collect()))
}

/// The narrowest type that a text is written in.
fn of_text(text: &str) -> ExternalType {
    if text.parse::<i64>().is_ok() {
        ExternalType::Int
    } else if text.parse::<f64>().is_ok() {
        ExternalType::Float
    } else if bool_of(text).is_some() {
        ExternalType::Bool
    } else if parse_timestamp(text).is_ok() {
        ExternalType::Time(TimeUnit::Nanosecond)
    } else {
        ExternalType::String
    }
}

/// By name, for the members of an object have no order.
fn json(mut lines: Lines, room: usize) -> Result<Result<Vec<ExternalColumn>, usize>, TextFault> {
    let mut columns: BTreeMap<String, Seen> = BTreeMap::new();
    for _ in 0..ROWS {
        match lines.next(room)? {
            Row::Wants(bytes) => return Ok(Err(bytes)),
            Row::End => break,
            Row::Whole => {}
        }
        for (name, value) in lines.object()? {
            let seen = columns.entry(name).or_default();
            let kind = match value {
                Value::Null => continue,
                Value::Bool(_) => ExternalType::Bool,
                Value::Number(number) if number.is_i64() => ExternalType::Int,
                Value::Number(_) => ExternalType::Float,
                // An array or an object is shown as its text.
                Value::String(_) | Value::Array(_) | Value::Object(_) => ExternalType::String,
            };
            *seen = widened(*seen, kind);
        }
        lines.done();
    }
    Ok(Ok(columns.iter().map(|(name, seen)| column(name, *seen)).collect()))
}
