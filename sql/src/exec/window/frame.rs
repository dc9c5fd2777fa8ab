//! The rows of its partition that a row's answer is about.

use std::cmp::Ordering;
use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::{NullBuffer, ScalarBuffer};
use arrow_schema::{DataType, TimeUnit};

use super::span::{Place, Span};
use crate::error::execution::{ExecError, Result};
use crate::expr::Scalar;
use crate::plan::SortKey;
use crate::plan::window::{Frame, FrameBound, FrameUnits};
use crate::types::array::time_parts;
use crate::types::float;
use crate::types::interval::{Interval, add_interval};

/// Finds frames in one span.
pub(super) struct Frames {
    frame: Frame,
    /// The sort key, where distances of it are measured.
    keys: Option<RangeKeys>,
}

/// A sort key of which distances can be taken.
struct RangeKeys {
    values: Values,
    nulls: Option<NullBuffer>,
    descending: bool,
    nulls_first: bool,
}

enum Values {
    Int(ScalarBuffer<i64>),
    UInt(ScalarBuffer<u64>),
    Float(ScalarBuffer<f64>),
    Time(ScalarBuffer<i64>, TimeUnit),
}

/// A value of a key, or a distance before or behind one.
#[derive(Debug, Clone, Copy)]
enum Value {
    Int(i128),
    Float(f64),
}

impl Value {
    fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(&b),
            (Self::Float(a), Self::Float(b)) => float::order(a, b),
            (Self::Int(a), Self::Float(b)) => float::order(a as f64, b),
            (Self::Float(a), Self::Int(b)) => float::order(a, b as f64),
        }
    }
}

impl Frames {
    pub(super) fn new(frame: &Frame, span: &Span, order: &[SortKey]) -> Result<Self> {
        let measures = |bound: &FrameBound| matches!(bound, FrameBound::Preceding(_) | FrameBound::Following(_));
        let keys = match order.first() {
            Some(key) if frame.units == FrameUnits::Range && (measures(&frame.start) || measures(&frame.end)) => {
                Some(RangeKeys::new(&span.column(&key.expr)?, key)?)
            }
            _ => None,
        };
        Ok(Self { frame: frame.clone(), keys })
    }

    /// Whether a frame ends with its partition, so that the next but the last is a part of the last.
    pub(super) fn ends_with_partition(&self) -> bool {
        self.frame.end == FrameBound::UnboundedFollowing && self.frame.start != FrameBound::UnboundedPreceding
    }

    /// The frame of a row; empty where its start is behind its end.
    pub(super) fn of(&self, span: &Span, place: Place) -> Range<usize> {
        let partition = span.partition(place);
        let start = self.border(span, place, &self.frame.start, false).clamp(partition.start, partition.end);
        let end = self.border(span, place, &self.frame.end, true).clamp(partition.start, partition.end);
        start..end.max(start)
    }

    /// Where the frame starts, or the row behind its end.
    fn border(&self, span: &Span, place: Place, bound: &FrameBound, is_end: bool) -> usize {
        let partition = span.partition(place);
        let (by, is_before) = match bound {
            FrameBound::UnboundedPreceding => return partition.start,
            FrameBound::UnboundedFollowing => return partition.end,
            FrameBound::CurrentRow if self.frame.units == FrameUnits::Rows => return place.row + usize::from(is_end),
            FrameBound::CurrentRow => {
                let equals = span.equals(place);
                return if is_end { equals.end } else { equals.start };
            }
            FrameBound::Preceding(by) => (by, true),
            FrameBound::Following(by) => (by, false),
        };
        let count = match by {
            Scalar::Int(count) => usize::try_from(*count).unwrap_or(0),
            _ => 0,
        };
        match (self.frame.units, &self.keys) {
            (FrameUnits::Range, Some(keys)) => keys.border(span, place, (by, is_before), is_end),
            (FrameUnits::Groups, _) => {
                let wanted =
                    if is_before { place.equals.checked_sub(count) } else { Some(place.equals.saturating_add(count)) };
                match wanted {
                    Some(number) => span.first_of_equals(number.saturating_add(usize::from(is_end))),
                    // All of them are before the first.
                    None => partition.start,
                }
            }
            _ => {
                let row = place.row + usize::from(is_end);
                if is_before { row.saturating_sub(count) } else { row.saturating_add(count) }
            }
        }
    }
}

impl RangeKeys {
    fn new(column: &ArrayRef, key: &SortKey) -> Result<Self> {
        let values = match column.data_type() {
            DataType::Int64 => Values::Int(column.as_primitive::<Int64Type>().values().clone()),
            DataType::UInt64 => Values::UInt(column.as_primitive::<UInt64Type>().values().clone()),
            DataType::Float64 => Values::Float(column.as_primitive::<Float64Type>().values().clone()),
            DataType::Timestamp(..) => {
                let (times, _, unit) = time_parts(column)?;
                Values::Time(times, unit)
            }
            other => return Err(ExecError::Internal(format!("a range of {other}"))),
        };
        let (descending, nulls_first) = (key.descending, key.nulls_first);
        Ok(Self { values, nulls: column.logical_nulls(), descending, nulls_first })
    }

    fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    fn value(&self, row: usize) -> Value {
        match &self.values {
            Values::Int(values) | Values::Time(values, _) => Value::Int(values[row].into()),
            Values::UInt(values) => Value::Int(values[row].into()),
            Values::Float(values) => Value::Float(values[row]),
        }
    }

    /// The row's key moved by a distance, towards smaller ones if `is_less`.
    fn moved(&self, row: usize, by: &Scalar, is_less: bool) -> Value {
        let far = |is_less: bool| Value::Int(if is_less { i128::MIN } else { i128::MAX });
        match (self.value(row), by) {
            (Value::Int(value), Scalar::Int(by)) => {
                let by = i128::from(*by);
                Value::Int(if is_less { value - by } else { value + by })
            }
            (Value::Int(value), Scalar::UInt(by)) => {
                let by = i128::from(*by);
                Value::Int(if is_less { value - by } else { value + by })
            }
            (Value::Int(value), Scalar::Interval { months, days, nanoseconds }) => {
                let interval = Interval { months: *months, days: *days, nanoseconds: *nanoseconds };
                let interval = if is_less { interval.negated() } else { Some(interval) };
                let unit = if let Values::Time(_, unit) = &self.values { *unit } else { TimeUnit::Nanosecond };
                let moved = i64::try_from(value).ok().and_then(|time| add_interval(time, unit, interval?));
                moved.map_or(far(is_less), |time| Value::Int(time.into()))
            }
            (Value::Float(value), Scalar::Float(by)) => Value::Float(if is_less { value - by } else { value + by }),
            (Value::Float(value), Scalar::Int(by)) => {
                Value::Float(if is_less { value - *by as f64 } else { value + *by as f64 })
            }
            (Value::Int(value), Scalar::Float(by)) => {
                Value::Float(if is_less { value as f64 - by } else { value as f64 + by })
            }
            (value, _) => value,
        }
    }

    fn border(&self, span: &Span, place: Place, (by, is_before): (&Scalar, bool), is_end: bool) -> usize {
        // Nulls are as far from all else as can be, and no way from each other.
        if self.is_null(place.row) {
            let equals = span.equals(place);
            return if is_end { equals.end } else { equals.start };
        }
        let partition = span.partition(place);
        let rows = |range: Range<usize>, comes_before: &dyn Fn(usize) -> bool| {
            let (mut low, mut high) = (range.start, range.end);
            while low < high {
                let middle = low.midpoint(high);
                if comes_before(middle) { low = middle + 1 } else { high = middle }
            }
            low
        };
        let valid = match (self.nulls.is_some(), self.nulls_first) {
            (false, _) => partition,
            (true, true) => rows(partition.clone(), &|row| self.is_null(row))..partition.end,
            (true, false) => partition.start..rows(partition.clone(), &|row| !self.is_null(row)),
        };
        let wanted = self.moved(place.row, by, is_before != self.descending);
        rows(valid, &|row| {
            let order = self.value(row).order(wanted);
            let order = if self.descending { order.reverse() } else { order };
            order == Ordering::Less || (is_end && order == Ordering::Equal)
        })
    }
}
