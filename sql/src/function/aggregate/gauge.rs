//! `gauge_agg(time, x)`: what a gauge did, as a struct of its first two and last two values with their times and of how
//! many there are. The functions over it are those of [`crate::function::gauge`].
//!
//! Rows of one time are ordered by value, so that the answer does not depend on the order of rows.

use std::cmp::Ordering;
use std::mem::take;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, StructArray, UInt64Array};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, TimeUnit};

use super::lane::lane_array;
use crate::error::SqlError;
use crate::error::execution::{ExecError, Result};
use crate::expr::accumulator::{Accumulator, Slices};
use crate::expr::aggregate::Needs;
use crate::expr::coerce::convert;
use crate::expr::{AggregateCall, AggregateFunction, Typed};
use crate::function::definition::{Aggregate, Arguments, Documentation, wrong_arguments};
use crate::types::array::time_array;
use crate::types::float;
use crate::types::gauge::{gauge_fields, gauge_unit, point_fields};

pub(super) static ENTRY: Aggregate = Aggregate::own(
    Documentation::new(
        "gauge_agg",
        "gauge_agg(time, x)",
        "The first two and last two values of a number by time, and how many there are, for `delta` and its kin.",
    ),
    false,
    bind,
);

static FUNCTION: AggregateFunction = AggregateFunction {
    name: "gauge_agg",
    accumulator: |result| {
        let unit = gauge_unit(result).ok_or_else(|| ExecError::Internal(format!("a gauge of {result}")))?;
        Ok(Box::new(Gauges { unit, slots: Vec::new() }))
    },
    state_columns: 1 + 2 * POINTS,
    needs: Needs::Rows,
    end: None,
};

fn bind(name: &str, mut arguments: Arguments) -> std::result::Result<AggregateCall, SqlError> {
    let [time, value] =
        <[Typed; 2]>::try_from(take(&mut arguments.args)).map_err(|args| wrong_arguments(name, &args))?;
    let (DataType::Timestamp(unit, _), DataType::Int64 | DataType::UInt64 | DataType::Float64, false) =
        (&time.data_type, &value.data_type, arguments.distinct)
    else {
        return Err(wrong_arguments(name, &[time, value]));
    };
    let data_type = DataType::Struct(gauge_fields(*unit));
    let args = vec![time.expr, arguments.only_if(convert(value, &DataType::Float64)?)];
    Ok(AggregateCall { function: &FUNCTION, args, distinct: false, data_type })
}

/// First, second, penultimate and last.
const POINTS: usize = 4;

#[derive(Debug, Clone, Copy, Default)]
struct Point {
    time: i64,
    value: f64,
}

impl Point {
    fn order(self, other: Self) -> Ordering {
        self.time.cmp(&other.time).then_with(|| float::order(self.value, other.value))
    }
}

/// Of one value, all four points are it; of two, each is twice there.
#[derive(Debug, Clone, Copy, Default)]
struct Gauge {
    points: [Point; POINTS],
    count: u64,
}

impl Gauge {
    fn add(&mut self, point: Point) {
        let [first, second, penultimate, last] = &mut self.points;
        match self.count {
            0 => self.points = [point; POINTS],
            1 => match point.order(*first).is_lt() {
                true => {
                    (*first, *second) = (point, *first);
                    (*penultimate, *last) = (*first, *second);
                }
                false => {
                    (*second, *last) = (point, point);
                    *penultimate = *first;
                }
            },
            _ => {
                if point.order(*first).is_lt() {
                    (*first, *second) = (point, *first);
                } else if point.order(*second).is_lt() {
                    *second = point;
                }
                if point.order(*last).is_ge() {
                    (*penultimate, *last) = (*last, point);
                } else if point.order(*penultimate).is_ge() {
                    *penultimate = point;
                }
            }
        }
        self.count += 1;
    }

    fn merge(&mut self, other: Self) {
        let [first, second, penultimate, last] = other.points;
        match other.count {
            0 => {}
            1 => self.add(first),
            2 => [first, last].into_iter().for_each(|point| self.add(point)),
            // With three, the second is the penultimate.
            3 => [first, second, last].into_iter().for_each(|point| self.add(point)),
            _ => {
                [first, second, penultimate, last].into_iter().for_each(|point| self.add(point));
                self.count += other.count - 4;
            }
        }
    }
}

struct Gauges {
    unit: TimeUnit,
    slots: Vec<Gauge>,
}

impl Accumulator for Gauges {
    fn resize(&mut self, slots: usize) {
        self.slots.resize(slots, Gauge::default());
    }

    fn update(&mut self, args: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let (times, values) = (lane_array(args, 0, &DataType::Int64)?, lane_array(args, 1, &DataType::Float64)?);
        let (times, values) = (times.as_primitive::<Int64Type>(), values.as_primitive::<Float64Type>());
        for slice in slices.slices {
            let gauge = &mut self.slots[slice.slot as usize];
            for row in slice.range().filter(|row| times.is_valid(*row) && values.is_valid(*row)) {
                gauge.add(Point { time: times.value(row), value: values.value(row) });
            }
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let counts = states[0].as_primitive::<UInt64Type>();
        let point = |at: usize, row: usize| Point {
            time: states[1 + 2 * at].as_primitive::<Int64Type>().value(row),
            value: states[2 + 2 * at].as_primitive::<Float64Type>().value(row),
        };
        for slice in slices.slices {
            for row in slice.range() {
                let points = [0, 1, 2, 3].map(|at| point(at, row));
                self.slots[slice.slot as usize].merge(Gauge { points, count: counts.value(row) });
            }
        }
        Ok(())
    }

    fn states(&self, slots: Range<usize>) -> Result<Vec<ArrayRef>> {
        let slots = &self.slots[slots];
        let mut states: Vec<ArrayRef> =
            vec![Arc::new(slots.iter().map(|gauge| Some(gauge.count)).collect::<UInt64Array>())];
        for at in 0..POINTS {
            states.push(Arc::new(slots.iter().map(|gauge| gauge.points[at].time).collect::<Int64Array>()));
            states.push(Arc::new(slots.iter().map(|gauge| gauge.points[at].value).collect::<Float64Array>()));
        }
        Ok(states)
    }

    fn results(&self, slots: Range<usize>) -> Result<ArrayRef> {
        let slots = &self.slots[slots];
        let mut columns = Vec::with_capacity(POINTS + 1);
        for at in 0..POINTS {
            let times = time_array(slots.iter().map(|gauge| gauge.points[at].time).collect(), None, self.unit);
            let values: ArrayRef = Arc::new(slots.iter().map(|gauge| gauge.points[at].value).collect::<Float64Array>());
            let point = StructArray::try_new(point_fields(self.unit), vec![times, values], None)?;
            columns.push(Arc::new(point) as ArrayRef);
        }
        columns.push(Arc::new(slots.iter().map(|gauge| Some(gauge.count)).collect::<UInt64Array>()));
        let nulls: NullBuffer = slots.iter().map(|gauge| gauge.count > 0).collect();
        Ok(Arc::new(StructArray::try_new(gauge_fields(self.unit), columns, Some(nulls))?))
    }

    fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Gauge>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauge(times: &[i64]) -> Gauge {
        let mut gauge = Gauge::default();
        times.iter().for_each(|time| gauge.add(Point { time: *time, value: *time as f64 }));
        gauge
    }

    fn times(gauge: Gauge) -> ([i64; POINTS], u64) {
        (gauge.points.map(|point| point.time), gauge.count)
    }

    #[test]
    fn the_points_are_those_of_the_sorted_rows_whatever_the_order() {
        assert_eq!(times(gauge(&[7])), ([7, 7, 7, 7], 1));
        assert_eq!(times(gauge(&[7, 3])), ([3, 7, 3, 7], 2));
        assert_eq!(times(gauge(&[3, 7])), ([3, 7, 3, 7], 2));
        let seed = crate::exec::testing::seed();
        let mut random = fastrand::Rng::with_seed(seed);
        for count in 1..9_i64 {
            let sorted: Vec<i64> = (1..=count).collect();
            let mut shuffled = sorted.clone();
            random.shuffle(&mut shuffled);
            let last = sorted.len() - 1;
            let expected = [sorted[0], sorted[1.min(last)], sorted[last.saturating_sub(1)], sorted[last]];
            assert_eq!(times(gauge(&shuffled)), (expected, count as u64), "{shuffled:?} TIDEWIRE_SEED={seed}");
            for middle in 0..=sorted.len() {
                let mut merged = gauge(&shuffled[..middle]);
                merged.merge(gauge(&shuffled[middle..]));
                assert_eq!(times(merged), (expected, count as u64), "{shuffled:?} {middle} TIDEWIRE_SEED={seed}");
            }
        }
    }
}
