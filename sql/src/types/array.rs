//! Arrays of SQL's types: without dictionaries, converted, and of times.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{
    Array, ArrayRef, IntervalMonthDayNanoArray, StringArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, TimestampSecondArray,
};
use arrow_buffer::{IntervalMonthDayNano, NullBuffer, ScalarBuffer};
use arrow_cast::{CastOptions, cast, cast_with_options};
use arrow_schema::{ArrowError, DataType, TimeUnit};
use arrow_select::take::take;

use super::unit::{DAY_NS, unit_ns};
use crate::error::execution::{ExecError, Result};

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

/// Texts as a column.
///
/// # Errors
///
/// Where they are more than its offsets, of 32 bits, can count.
pub(crate) fn texts<'a>(texts: impl Iterator<Item = Option<&'a str>> + Clone) -> Result<ArrayRef> {
    let bytes = texts.clone().flatten().map(str::len).fold(0, usize::saturating_add);
    if bytes > i32::MAX as usize {
        return Err(ExecError::Execution("more than 2 GiB of text in a column of one batch".to_owned()));
    }
    Ok(Arc::new(texts.collect::<StringArray>()))
}

/// The column without dictionary.
pub(crate) fn plain(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Dictionary(_, value) => Ok(cast(array, value)?),
        _ => Ok(Arc::clone(array)),
    }
}

/// Converts, failing on what does not convert. Dictionaries convert once a distinct value.
pub(crate) fn cast_to(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    const STRICT: CastOptions<'static> =
        CastOptions { safe: false, format_options: arrow_cast::display::FormatOptions::new() };
    if array.data_type() == to {
        return Ok(Arc::clone(array));
    }
    match (array.data_type(), to) {
        (DataType::Dictionary(_, value), _) if **value == *to => plain(array),
        // Values that no row uses must not make the query fail, so a dictionary is expanded first.
        (DataType::Dictionary(..), _) => Ok(cast_with_options(&plain(array)?, to, &STRICT)?),
        _ => Ok(cast_with_options(array, to, &STRICT)?),
    }
}

/// Values, nulls and unit of a timestamp column.
pub(crate) fn time_parts(array: &dyn Array) -> Result<(ScalarBuffer<i64>, Option<NullBuffer>, TimeUnit)> {
    let DataType::Timestamp(unit, _) = array.data_type() else {
        return Err(ExecError::Internal(format!("expected times, found {}", array.data_type())));
    };
    let values = match unit {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().values(),
        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().values(),
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().values(),
        TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().values(),
    };
    Ok((values.clone(), array.nulls().cloned(), *unit))
}

/// A timestamp column without zone.
pub(crate) fn time_array(values: ScalarBuffer<i64>, nulls: Option<NullBuffer>, unit: TimeUnit) -> ArrayRef {
    match unit {
        TimeUnit::Second => Arc::new(TimestampSecondArray::new(values, nulls)),
        TimeUnit::Millisecond => Arc::new(TimestampMillisecondArray::new(values, nulls)),
        TimeUnit::Microsecond => Arc::new(TimestampMicrosecondArray::new(values, nulls)),
        TimeUnit::Nanosecond => Arc::new(TimestampNanosecondArray::new(values, nulls)),
    }
}

/// Time less time: an interval of whole days and the nanoseconds left over, both of the sign of the difference.
pub(crate) fn difference(later: &dyn Array, earlier: &dyn Array) -> Result<ArrayRef> {
    let ((a, a_nulls, a_unit), (b, b_nulls, b_unit)) = (time_parts(later)?, time_parts(earlier)?);
    let wide = |value: i64, unit| i128::from(value) * i128::from(unit_ns(unit));
    let intervals = a
        .iter()
        .zip(b.iter())
        .map(|(&a, &b)| {
            let ns = wide(a, a_unit) - wide(b, b_unit);
            let day = i128::from(DAY_NS);
            let days = i32::try_from(ns / day)
                .map_err(|_| ArrowError::ArithmeticOverflow("Overflow happened on: time - time".into()))?;
            Ok(IntervalMonthDayNano::new(0, days, (ns % day) as i64))
        })
        .collect::<Result<Vec<_>>>()?;
    let nulls = NullBuffer::union(a_nulls.as_ref(), b_nulls.as_ref());
    Ok(Arc::new(IntervalMonthDayNanoArray::new(intervals.into(), nulls)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000_000;

    #[test]
    fn a_difference_is_days_and_the_rest() {
        let later = time_array(vec![0, 25 * HOUR].into(), None, TimeUnit::Nanosecond);
        let earlier = time_array(vec![25 * HOUR, 0].into(), None, TimeUnit::Nanosecond);
        let difference = difference(&later, &earlier).unwrap();
        let values = difference.as_primitive::<arrow_array::types::IntervalMonthDayNanoType>().values().to_vec();
        assert_eq!(values, [IntervalMonthDayNano::new(0, -1, -HOUR), IntervalMonthDayNano::new(0, 1, HOUR)]);
    }
}
