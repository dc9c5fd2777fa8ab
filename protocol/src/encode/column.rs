//! A column ready to be read cell by cell, whatever arrow type it had.
//!
//! [`Column::new`] decides from the type, once per result, which of a few kinds of cells the column has and whether
//! the format can show it; [`Column::load`] takes the buffers out of a batch's array, converting the rare types
//! (narrow integers, dates, intervals) into one of the kinds. What outlives a batch stays with the column: escaped tag
//! values and the timestamp template.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType, Float64Type,
    Int64Type, IntervalDayTimeType, IntervalMonthDayNanoType, IntervalYearMonthType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, Fields, IntervalUnit, TimeUnit};

use super::EncodeError;
use super::sink::{PAD, Sink};
use super::time::TimeWriter;

/// Families of formats that differ in what they can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Separated,
    Json,
    Table,
}

/// The values of a column, as the writers take them.
#[derive(Debug)]
pub(super) enum Cells {
    Null,
    Int(ScalarBuffer<i64>),
    UInt(ScalarBuffer<u64>),
    Float(ScalarBuffer<f64>),
    Bool(BooleanBuffer),
    Text(StringArray),
    Tag(Tags),
    Time(Times),
    List { offsets: OffsetBuffer<i32>, items: Box<Column> },
    Struct(Vec<(String, Column)>),
}

/// A column of the result.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) cells: Cells,
    nulls: Option<NullBuffer>,
    name: String,
    data_type: DataType,
}

/// Timestamps and the template that writes them.
#[derive(Debug)]
pub(super) struct Times {
    pub(super) values: ScalarBuffer<i64>,
    pub(super) writer: TimeWriter,
}

/// Dictionary-coded text: a key per row into values that are escaped at first sight.
#[derive(Debug, Default)]
pub(super) struct Tags {
    keys: ScalarBuffer<u32>,
    values: Option<ArrayRef>,
    /// By key, where its escaped text stands in `escaped`.
    spans: Vec<Span>,
    /// The first `used` bytes count; behind them is room for the next value and for copying in blocks.
    escaped: Vec<u8>,
    used: usize,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    length: usize,
}

impl Span {
    const UNSEEN: Span = Span { start: usize::MAX, length: 0 };
}

impl Tags {
    fn load(&mut self, keys: ScalarBuffer<u32>, values: &ArrayRef) {
        self.keys = keys;
        if !self.values.as_ref().is_some_and(|known| Arc::ptr_eq(known, values)) {
            self.spans.clear();
            self.spans.resize(values.len(), Span::UNSEEN);
            self.used = 0;
            self.values = Some(Arc::clone(values));
        }
    }

    /// Writes the tag value of a row as `escape` spells it.
    #[inline(always)]
    pub(super) fn write(&mut self, row: usize, sink: &mut Sink<'_>, escape: impl Fn(&str, &mut Sink<'_>)) {
        let key = self.keys[row] as usize;
        let mut span = self.spans[key];
        if span.start == usize::MAX {
            span = self.see(key, escape);
        }
        match self.escaped[span.start..].first_chunk::<PAD>() {
            Some(block) if span.length <= PAD => sink.block(block, span.length),
            _ => sink.bytes(&self.escaped[span.start..span.start + span.length]),
        }
    }

    #[cold]
    #[inline(never)]
    fn see(&mut self, key: usize, escape: impl Fn(&str, &mut Sink<'_>)) -> Span {
        let start = self.used;
        let mut sink = Sink::at(&mut self.escaped, start);
        if let Some(values) = self.values.as_ref().and_then(|values| values.as_string_opt::<i32>()) {
            escape(values.value(key), &mut sink);
        }
        self.used = sink.position();
        let span = Span { start, length: self.used - start };
        self.spans[key] = span;
        span
    }
}

impl Column {
    /// A column of this type; an error where the format has no spelling for it.
    pub(super) fn new(field: &Field, family: Family) -> Result<Self, EncodeError> {
        let data_type = field.data_type();
        let refuse = || match family {
            Family::Json => EncodeError::JsonType(data_type.clone()),
            Family::Separated if data_type.is_nested() => EncodeError::CsvNested(data_type.clone()),
            Family::Separated => EncodeError::CsvType(data_type.clone()),
            Family::Table => EncodeError::Type(data_type.clone()),
        };
        let cells = match data_type {
            DataType::Null => Cells::Null,
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => Cells::Int(ScalarBuffer::default()),
            DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => {
                Cells::UInt(ScalarBuffer::default())
            }
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Cells::Float(ScalarBuffer::default()),
            DataType::Boolean => Cells::Bool(BooleanBuffer::new_unset(0)),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => text(),
            DataType::Dictionary(key, value) if **value == DataType::Utf8 => {
                if **key == DataType::UInt32 {
                    Cells::Tag(Tags::default())
                } else {
                    text()
                }
            }
            DataType::Timestamp(unit, _) => {
                Cells::Time(Times { values: ScalarBuffer::default(), writer: TimeWriter::new(units_per_second(*unit)) })
            }
            DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_) => text(),
            DataType::Duration(_) => text(),
            DataType::Interval(_) | DataType::Decimal128(..) | DataType::Decimal256(..) if family != Family::Json => {
                text()
            }
            DataType::Binary | DataType::LargeBinary if family == Family::Table => text(),
            DataType::List(item) if family != Family::Separated => {
                Cells::List { offsets: OffsetBuffer::new_empty(), items: Box::new(Column::new(item, family)?) }
            }
            DataType::Struct(fields) if family != Family::Separated => Cells::Struct(struct_columns(fields, family)?),
            _ => return Err(refuse()),
        };
        Ok(Column { cells, nulls: None, name: field.name().clone(), data_type: data_type.clone() })
    }

    /// Takes the cells of these rows out of an array of the column's type.
    pub(super) fn load(&mut self, array: &ArrayRef, rows: Range<usize>) -> Result<(), EncodeError> {
        let mismatch = || EncodeError::Schema {
            column: self.name.clone(),
            found: array.data_type().clone(),
            expected: self.data_type.clone(),
        };
        if *array.data_type() != self.data_type {
            return Err(mismatch());
        }
        // A slice of an array copies its type, which is felt when a batch leaves in many parts; one of a buffer does
        // not.
        let part;
        let (array, rows) = if self.is_read_in_place() {
            (array, rows)
        } else {
            part = array.slice(rows.start, rows.len());
            (&part, 0..part.len())
        };
        let (start, count) = (rows.start, rows.len());
        let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0).map(|nulls| nulls.slice(start, count));
        match &mut self.cells {
            Cells::Null => {}
            Cells::Int(values) => {
                let array = cast(array, &DataType::Int64).ok_or_else(mismatch)?;
                *values = array.as_primitive_opt::<Int64Type>().ok_or_else(mismatch)?.values().slice(start, count);
            }
            Cells::UInt(values) => {
                let array = cast(array, &DataType::UInt64).ok_or_else(mismatch)?;
                *values = array.as_primitive_opt::<UInt64Type>().ok_or_else(mismatch)?.values().slice(start, count);
            }
            Cells::Float(values) => {
                let mut array = Arc::clone(array);
                if *array.data_type() != DataType::Float64 {
                    // By way of text: the shortest decimal of the narrow float is the one to show.
                    let shortest = cast(&array, &DataType::Utf8).ok_or_else(mismatch)?;
                    array = cast(&shortest, &DataType::Float64).ok_or_else(mismatch)?;
                }
                *values = array.as_primitive_opt::<Float64Type>().ok_or_else(mismatch)?.values().slice(start, count);
            }
            Cells::Bool(values) => {
                *values = array.as_boolean_opt().ok_or_else(mismatch)?.values().slice(start, count);
            }
            Cells::Text(values) => *values = render(array).ok_or_else(mismatch)?,
            Cells::Tag(tags) => {
                let array = array.as_dictionary_opt::<UInt32Type>().ok_or_else(mismatch)?;
                tags.load(array.keys().values().slice(start, count), array.values());
            }
            Cells::Time(times) => {
                times.values = time_values(array).ok_or_else(mismatch)?.slice(start, count);
            }
            Cells::List { offsets, items } => {
                let array = array.as_list_opt::<i32>().ok_or_else(mismatch)?;
                *offsets = array.offsets().clone();
                items.load(array.values(), 0..array.values().len())?;
            }
            Cells::Struct(columns) => {
                let array = array.as_struct_opt().ok_or_else(mismatch)?;
                for ((_, column), array) in columns.iter_mut().zip(array.columns()) {
                    column.load(array, 0..array.len())?;
                }
            }
        }
        self.nulls = nulls;
        Ok(())
    }

    /// Whether the array's own buffer is what the writers take, and not something made of it.
    fn is_read_in_place(&self) -> bool {
        match self.cells {
            Cells::Int(_) => self.data_type == DataType::Int64,
            Cells::UInt(_) => self.data_type == DataType::UInt64,
            Cells::Float(_) => self.data_type == DataType::Float64,
            Cells::Bool(_) | Cells::Tag(_) | Cells::Time(_) => true,
            Cells::Null | Cells::Text(_) | Cells::List { .. } | Cells::Struct(_) => false,
        }
    }

    /// Whether the row has no value.
    #[inline(always)]
    pub(super) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }
}

fn text() -> Cells {
    Cells::Text(StringArray::new_null(0))
}

fn struct_columns(fields: &Fields, family: Family) -> Result<Vec<(String, Column)>, EncodeError> {
    fields.iter().map(|field| Ok((field.name().clone(), Column::new(field, family)?))).collect()
}

fn units_per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

fn cast(array: &ArrayRef, data_type: &DataType) -> Option<ArrayRef> {
    if array.data_type() == data_type { Some(Arc::clone(array)) } else { arrow_cast::cast(array, data_type).ok() }
}

fn time_values(array: &ArrayRef) -> Option<ScalarBuffer<i64>> {
    Some(match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => array.as_primitive_opt::<TimestampSecondType>()?.values().clone(),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            array.as_primitive_opt::<TimestampMillisecondType>()?.values().clone()
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            array.as_primitive_opt::<TimestampMicrosecondType>()?.values().clone()
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            array.as_primitive_opt::<TimestampNanosecondType>()?.values().clone()
        }
        _ => return None,
    })
}

/// Any array that is shown as text, as text.
fn render(array: &ArrayRef) -> Option<StringArray> {
    let rows = || (0..array.len()).map(|row| array.is_valid(row).then_some(row));
    Some(match array.data_type() {
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let values = array.as_primitive_opt::<IntervalMonthDayNanoType>()?;
            rows()
                .map(|row| {
                    row.map(|row| values.value(row))
                        .map(|value| interval(value.months, value.days, value.nanoseconds, 9))
                })
                .collect()
        }
        DataType::Interval(IntervalUnit::DayTime) => {
            let values = array.as_primitive_opt::<IntervalDayTimeType>()?;
            rows()
                .map(|row| {
                    row.map(|row| values.value(row))
                        .map(|value| interval(0, value.days, i64::from(value.milliseconds) * 1_000_000, 3))
                })
                .collect()
        }
        DataType::Interval(IntervalUnit::YearMonth) => {
            let values = array.as_primitive_opt::<IntervalYearMonthType>()?;
            rows()
                .map(|row| {
                    row.map(|row| values.value(row)).map(|months| {
                        format!("{} years {} mons 0 days 0 hours 0 mins 0.00 secs", months / 12, months % 12)
                    })
                })
                .collect()
        }
        DataType::Duration(unit) => {
            let values = match unit {
                TimeUnit::Second => array.as_primitive_opt::<DurationSecondType>()?.values().clone(),
                TimeUnit::Millisecond => array.as_primitive_opt::<DurationMillisecondType>()?.values().clone(),
                TimeUnit::Microsecond => array.as_primitive_opt::<DurationMicrosecondType>()?.values().clone(),
                TimeUnit::Nanosecond => array.as_primitive_opt::<DurationNanosecondType>()?.values().clone(),
            };
            let units = units_per_second(*unit);
            rows().map(|row| row.map(|row| duration(values[row], units))).collect()
        }
        DataType::Binary => {
            let values = array.as_binary_opt::<i32>()?;
            rows().map(|row| row.map(|row| hex(values.value(row)))).collect()
        }
        DataType::LargeBinary => {
            let values = array.as_binary_opt::<i64>()?;
            rows().map(|row| row.map(|row| hex(values.value(row)))).collect()
        }
        _ => cast(array, &DataType::Utf8)?.as_string_opt::<i32>()?.clone(),
    })
}

/// `0 years 1 mons 2 days 3 hours 4 mins 5.000000006 secs`; years are never split off the months.
fn interval(months: i32, days: i32, nanoseconds: i64, digits: usize) -> String {
    let (second, nanosecond) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    let sign = if second % 60 < 0 || nanosecond < 0 { "-" } else { "" };
    let fraction = format!("{:09}", nanosecond.abs());
    format!(
        "0 years {months} mons {days} days {} hours {} mins {sign}{}.{} secs",
        second / 3600,
        second / 60 % 60,
        (second % 60).abs(),
        &fraction[..digits]
    )
}

/// ISO 8601 in seconds: `PT90.5S`, `-PT1S`, `P0D`.
fn duration(value: i64, units_per_second: i64) -> String {
    if value == 0 {
        return "P0D".to_owned();
    }
    let (units, magnitude) = (units_per_second.unsigned_abs(), value.unsigned_abs());
    let sign = if value < 0 { "-" } else { "" };
    let fraction = format!("{:09}", magnitude % units * (1_000_000_000 / units));
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}PT{}{point}{fraction}S", magnitude / units)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_and_durations() {
        assert_eq!(interval(0, 1, 0, 9), "0 years 0 mons 1 days 0 hours 0 mins 0.000000000 secs");
        assert_eq!(interval(1, 0, 0, 9), "0 years 1 mons 0 days 0 hours 0 mins 0.000000000 secs");
        assert_eq!(interval(14, -2, 3_723_000_000_004, 9), "0 years 14 mons -2 days 1 hours 2 mins 3.000000004 secs");
        assert_eq!(interval(0, 0, -1, 9), "0 years 0 mons 0 days 0 hours 0 mins -0.000000001 secs");
        assert_eq!(interval(0, 0, -61_500_000_000, 3), "0 years 0 mons 0 days 0 hours -1 mins -1.500 secs");
        assert_eq!(duration(0, 1_000), "P0D");
        assert_eq!(duration(90_500, 1_000), "PT90.5S");
        assert_eq!(duration(-1, 1_000_000_000), "-PT0.000000001S");
        assert_eq!(duration(3600, 1), "PT3600S");
    }
}
