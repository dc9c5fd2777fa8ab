//! Covariance and correlation of two columns, over the rows where neither is null, DOUBLE.
//!
//! The sums are kept as those of [`super::stddev`] are, so that the answer does not depend on the order of rows.

use std::mem::take;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array};
use arrow_schema::DataType;

use super::double2::Double2;
use super::lane::lane_array;
use crate::error::execution::Result;
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::accumulator::{Accumulator, Slices};
use crate::expr::aggregate::Needs;
use crate::expr::coerce::convert;
use crate::expr::{AggregateCall, AggregateFunction, Typed};
use crate::function::definition::{Aggregate, Arguments, Documentation, wrong_arguments};

pub(super) static COVAR_ENTRY: Aggregate = Aggregate::own(
    Documentation::new("covar", "covar(x, y)", "Covariance of a sample, null of fewer than two rows, DOUBLE.")
        .aliases(&["covar_samp"])
        .heading("COVARIANCE"),
    false,
    |name, arguments| bind(&COVAR, "COVARIANCE", name, arguments),
);

pub(super) static COVAR_POP_ENTRY: Aggregate = Aggregate::own(
    Documentation::new("covar_pop", "covar_pop(x, y)", "Covariance of all there is, DOUBLE.").heading("COVARIANCE_POP"),
    false,
    |name, arguments| bind(&COVAR_POP, "COVARIANCE_POP", name, arguments),
);

pub(super) static CORR_ENTRY: Aggregate = Aggregate::own(
    Documentation::new("corr", "corr(x, y)", "Pearson's correlation, 0 where one of the two does not vary, DOUBLE.")
        .heading("CORRELATION"),
    false,
    |name, arguments| bind(&CORR, "CORRELATION", name, arguments),
);

static COVAR: AggregateFunction = function("covar", |_| Ok(Covariance::boxed(Answer::OfSample)));
static COVAR_POP: AggregateFunction = function("covar_pop", |_| Ok(Covariance::boxed(Answer::OfAll)));
static CORR: AggregateFunction = function("corr", |_| Ok(Covariance::boxed(Answer::Correlation)));

const fn function(name: &'static str, accumulator: fn(&DataType) -> Result<Box<dyn Accumulator>>) -> AggregateFunction {
    AggregateFunction { name, accumulator, state_columns: 1 + 2 * SUMS, needs: Needs::Rows, end: None }
}

fn bind(
    function: &'static AggregateFunction,
    heading: &'static str,
    name: &str,
    mut arguments: Arguments,
) -> std::result::Result<AggregateCall, SqlError> {
    let args = <[Typed; 2]>::try_from(take(&mut arguments.args)).map_err(|args| wrong_arguments(name, &args))?;
    let number = |arg: Typed| match arg.data_type {
        DataType::Int64 | DataType::UInt64 | DataType::Float64 => convert(arg, &DataType::Float64),
        data_type => Err(SqlErrorKind::AggregateArgument { heading, data_type }.into()),
    };
    if arguments.distinct {
        return Err(SqlError::unsupported(format!("{name} of DISTINCT values")));
    }
    let [x, y] = args;
    let args = vec![arguments.only_if(number(x)?), number(y)?];
    Ok(AggregateCall { function, args, distinct: false, data_type: DataType::Float64 })
}

/// Sums of x, y, x², y² and xy.
const SUMS: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    OfSample,
    OfAll,
    Correlation,
}

#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: i64,
    sums: [Double2; SUMS],
}

struct Covariance {
    answer: Answer,
    slots: Vec<Moments>,
}

impl Covariance {
    fn boxed(answer: Answer) -> Box<dyn Accumulator> {
        Box::new(Self { answer, slots: Vec::new() })
    }

    fn answer(&self, moments: &Moments) -> Option<f64> {
        let count = moments.count as f64;
        let divisor = if self.answer == Answer::OfSample { count - 1.0 } else { count };
        if divisor <= 0.0 {
            return None;
        }
        let [x, y, xx, yy, xy] = moments.sums;
        let around_means = |product: Double2, one: Double2, other: Double2| {
            let around = product.minus(one.times(other).over(count)).over(divisor);
            around.beside(product.high.abs().max(one.times(other).over(count).high.abs()) / divisor)
        };
        let covariance = around_means(xy, x, y);
        if self.answer != Answer::Correlation {
            return Some(covariance);
        }
        let deviation = around_means(xx, x, x).sqrt() * around_means(yy, y, y).sqrt();
        // Of rounding alone a variance may come out below zero.
        Some(if deviation > 0.0 { covariance / deviation } else { 0.0 })
    }
}

impl Accumulator for Covariance {
    fn resize(&mut self, slots: usize) {
        self.slots.resize(slots, Moments::default());
    }

    fn update(&mut self, args: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let (x, y) = (lane_array(args, 0, &DataType::Float64)?, lane_array(args, 1, &DataType::Float64)?);
        let (x, y) = (x.as_primitive::<Float64Type>(), y.as_primitive::<Float64Type>());
        for slice in slices.slices {
            let moments = &mut self.slots[slice.slot as usize];
            for row in slice.range().filter(|row| x.is_valid(*row) && y.is_valid(*row)) {
                let (x, y) = (x.value(row), y.value(row));
                let added = [
                    Double2::of(x),
                    Double2::of(y),
                    Double2::product(x, x),
                    Double2::product(y, y),
                    Double2::product(x, y),
                ];
                moments.count += 1;
                for (sum, added) in moments.sums.iter_mut().zip(added) {
                    *sum = sum.plus(added);
                }
            }
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let counts = states[0].as_primitive::<Int64Type>();
        let float = |at: usize, row: usize| states[at].as_primitive::<Float64Type>().value(row);
        for slice in slices.slices {
            let moments = &mut self.slots[slice.slot as usize];
            for row in slice.range() {
                moments.count += counts.value(row);
                for (at, sum) in moments.sums.iter_mut().enumerate() {
                    *sum = sum.plus(Double2 { high: float(1 + 2 * at, row), low: float(2 + 2 * at, row) });
                }
            }
        }
        Ok(())
    }

    fn states(&self, slots: Range<usize>) -> Result<Vec<ArrayRef>> {
        let slots = &self.slots[slots];
        let mut states: Vec<ArrayRef> =
            vec![Arc::new(slots.iter().map(|moments| moments.count).collect::<Int64Array>())];
        for at in 0..SUMS {
            states.push(Arc::new(slots.iter().map(|moments| moments.sums[at].high).collect::<Float64Array>()));
            states.push(Arc::new(slots.iter().map(|moments| moments.sums[at].low).collect::<Float64Array>()));
        }
        Ok(states)
    }

    fn results(&self, slots: Range<usize>) -> Result<ArrayRef> {
        Ok(Arc::new(self.slots[slots].iter().map(|moments| self.answer(moments)).collect::<Float64Array>()))
    }

    fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Moments>()
    }
}
