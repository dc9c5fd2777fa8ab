//! `count(*)` and `count(x)`.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array};
use arrow_schema::DataType;
use tidewire_storage::scan::ColumnSummary;

use super::lane::lane_array;
use crate::error::SqlError;
use crate::error::execution::Result;
use crate::expr::accumulator::{Accumulator, Slices};
use crate::expr::aggregate::Needs;
use crate::expr::{AggregateCall, AggregateFunction, Expr, Scalar};
use crate::function::definition::{Aggregate, Arguments, Documentation, wrong_arguments};
use crate::types::array::cast_to;

pub(super) static ENTRY: Aggregate = Aggregate::own(
    Documentation::new(
        "count",
        "count(* | [DISTINCT] x)",
        "Number of rows, or of those where `x` is not null, BIGINT.",
    )
    .aliases(&["exact_count"])
    .heading("COUNT"),
    true,
    bind,
);

/// Rows. No argument.
pub(crate) static COUNT_ROWS: AggregateFunction = AggregateFunction {
    name: "count",
    accumulator: |result| Ok(Box::new(Count::new(result.clone()))),
    state_columns: 1,
    needs: Needs::RowCount,
    end: None,
};

/// Rows where the argument is not null.
pub(crate) static COUNT: AggregateFunction = AggregateFunction {
    name: "count",
    accumulator: |result| Ok(Box::new(Count::new(result.clone()))),
    state_columns: 1,
    needs: Needs::ValueCount,
    end: None,
};

fn bind(name: &str, mut arguments: Arguments) -> std::result::Result<AggregateCall, SqlError> {
    let call = |function, args| AggregateCall { function, args, distinct: false, data_type: DataType::Int64 };
    if arguments.star {
        return match (arguments.distinct, &arguments.filter) {
            (true, _) => Err(SqlError::unsupported("COUNT(DISTINCT *)")),
            (false, Some(_)) => Ok(call(&COUNT, vec![arguments.only_if(Expr::Literal(Scalar::Int(1)))])),
            (false, None) => Ok(call(&COUNT_ROWS, Vec::new())),
        };
    }
    let Some(arg) = arguments.args.pop().filter(|_| arguments.args.is_empty()) else {
        return Err(wrong_arguments(name, &[]));
    };
    // A constant that is not null is there in every row.
    let plain = !arguments.distinct && arguments.filter.is_none();
    if plain && arg.constant().is_some_and(|value| value != Scalar::Null) {
        return Ok(call(&COUNT_ROWS, Vec::new()));
    }
    let counted = call(&COUNT, vec![arguments.only_if(arg.expr)]);
    Ok(AggregateCall { distinct: arguments.distinct, ..counted })
}

/// Rows, or rows where the argument is not null.
pub(super) struct Count {
    counts: Vec<i64>,
    result: DataType,
}

impl Count {
    pub(super) fn new(result: DataType) -> Self {
        Self { counts: Vec::new(), result }
    }
}

impl Accumulator for Count {
    fn resize(&mut self, slots: usize) {
        self.counts.resize(slots, 0);
    }

    fn update(&mut self, args: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        // A dictionary may hold its nulls among its values, hence the logical ones.
        let nulls = args.first().and_then(Array::logical_nulls);
        match nulls.filter(|nulls| nulls.null_count() > 0) {
            None => {
                for slice in slices.slices {
                    self.counts[slice.slot as usize] += i64::from(slice.end - slice.start);
                }
            }
            Some(nulls) => {
                for slice in slices.slices {
                    let present = nulls.inner().slice(slice.start as usize, (slice.end - slice.start) as usize);
                    self.counts[slice.slot as usize] += present.count_set_bits() as i64;
                }
            }
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let counts = lane_array(states, 0, &DataType::Int64)?;
        let counts = counts.as_primitive::<Int64Type>().values();
        for slice in slices.slices {
            self.counts[slice.slot as usize] += counts[slice.range()].iter().sum::<i64>();
        }
        Ok(())
    }

    fn summary(&mut self, slot: usize, rows: u64, column: Option<&ColumnSummary>) -> Result<()> {
        self.counts[slot] += column.map_or(rows, |column| column.count) as i64;
        Ok(())
    }

    fn states(&self, slots: Range<usize>) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(Int64Array::from(self.counts[slots].to_vec()))])
    }

    fn results(&self, slots: Range<usize>) -> Result<ArrayRef> {
        let counts: ArrayRef = Arc::new(Int64Array::from(self.counts[slots].to_vec()));
        cast_to(&counts, &self.result)
    }

    fn bytes(&self) -> usize {
        self.counts.capacity() * size_of::<i64>()
    }
}
