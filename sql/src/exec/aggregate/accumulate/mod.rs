//! Aggregate states, one column of them a call: dense arrays indexed by group slot.
//!
//! The same accumulator serves all three roles. A shard updates it from rows ([`Accumulator::update`]) and sends
//! [`Accumulator::states`]; the final stage takes those in with [`Accumulator::merge`] and gives
//! [`Accumulator::results`]. Rows arrive as [`Slice`]s of consecutive rows of one group, so that the kernels are loops
//! over contiguous memory; where rows of groups alternate, slices are one row long.
//!
//! Values are held in four lanes (i64, u64, f64, text); other types are converted on the way in and back on the way
//! out.
//!
//! Semantics: nulls are skipped; an aggregate of nothing is null (count: 0). `sum` of integers wraps around, as
//! DataFusion's does: the answer is the same however rows are spread over shards. `avg` of integers adds exactly within
//! a slice. NaN is the greatest float. `first` and `last` at equal times take the greater value, as InfluxDB does.

mod average;
mod count;
mod distinct;
mod endpoint;
mod fold;
mod kernel;
mod seen;
mod text_extreme;

use arrow_array::ArrayRef;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_schema::DataType;
use tidewire_storage::scan::ColumnSummary;

use self::average::Average;
use self::count::Count;
pub(crate) use self::distinct::Distinct;
use self::endpoint::{Endpoint, TextEndpoint};
use self::fold::{Extreme, Fold, Sum};
use self::text_extreme::TextExtreme;
use crate::exec::error::{ExecError, Result};
use crate::expr::AggregateFunction;

/// Consecutive rows `start..end` of a chunk that belong to group `slot`; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) slot: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Slice {
    fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Rows of one chunk, cut by group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slices<'a> {
    pub(crate) slices: &'a [Slice],
    /// Within a slice, times ascend without repetition and are never null, so that its first and last row are its
    /// oldest and newest.
    pub(crate) ascending: bool,
}

/// States of one aggregate call, by slot.
pub(crate) trait Accumulator {
    /// Makes room for slots `0..slots`. Never shrinks.
    fn resize(&mut self, slots: usize);
    /// Takes in rows; `args` are the call's arguments over the chunk.
    fn update(&mut self, args: &[ArrayRef], slices: Slices<'_>) -> Result<()>;
    /// Takes in states of another accumulator of the same call, as [`Accumulator::states`] gave them.
    fn merge(&mut self, states: &[ArrayRef], slices: Slices<'_>) -> Result<()>;
    /// Takes in rows of group `slot` by what is known of them: `rows` of them, and of the argument `column`. Only for
    /// calls that `crate::stage` lets read summaries: counts, and sum, min, max and avg of a numeric field.
    fn summary(&mut self, slot: usize, rows: u64, column: Option<&ColumnSummary>) -> Result<()>;
    /// Number of columns of [`Accumulator::states`].
    fn state_columns(&self) -> usize;
    /// The states of all slots; the accumulator is empty afterwards.
    fn states(&mut self) -> Result<Vec<ArrayRef>>;
    /// The answers of all slots; the accumulator is empty afterwards.
    fn results(&mut self) -> Result<ArrayRef>;
    /// Memory held.
    fn bytes(&self) -> usize;
}

/// The lane that values of a type are held in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LaneKind {
    Int,
    UInt,
    Float,
    Text,
}

/// The lane of `data_type`, and the type its array has there.
fn lane_of(data_type: &DataType) -> Result<(LaneKind, DataType)> {
    Ok(match data_type {
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Timestamp(..)
        | DataType::Duration(_)
        | DataType::Null => (LaneKind::Int, DataType::Int64),
        DataType::Boolean | DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => {
            (LaneKind::UInt, DataType::UInt64)
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 => (LaneKind::Float, DataType::Float64),
        DataType::Utf8 => (LaneKind::Text, DataType::Utf8),
        DataType::Dictionary(_, value) => lane_of(value)?,
        other => return Err(ExecError::NotImplemented(format!("aggregates over {other}"))),
    })
}

/// An accumulator for `function` whose value argument and result have type `result`; of `avg` and `count` the type
/// does not matter.
pub(crate) fn accumulator(function: AggregateFunction, result: &DataType) -> Result<Box<dyn Accumulator>> {
    use AggregateFunction as F;
    Ok(match function {
        F::CountRows | F::Count => Box::new(Count::new(result.clone())),
        F::Avg => Box::new(Average::default()),
        F::Sum => match lane_of(result)?.0 {
            LaneKind::Int => Box::new(Fold::<Int64Type, _>::new(Sum, result.clone())),
            LaneKind::UInt => Box::new(Fold::<UInt64Type, _>::new(Sum, result.clone())),
            LaneKind::Float => Box::new(Fold::<Float64Type, _>::new(Sum, result.clone())),
            LaneKind::Text => return Err(ExecError::NotImplemented("sum of text".into())),
        },
        F::Min | F::Max => {
            let greatest = function == F::Max;
            match lane_of(result)?.0 {
                LaneKind::Int => Box::new(Fold::<Int64Type, _>::new(Extreme { greatest }, result.clone())),
                LaneKind::UInt => Box::new(Fold::<UInt64Type, _>::new(Extreme { greatest }, result.clone())),
                LaneKind::Float => Box::new(Fold::<Float64Type, _>::new(Extreme { greatest }, result.clone())),
                LaneKind::Text => Box::new(TextExtreme::new(greatest)),
            }
        }
        F::First | F::Last => {
            let newest = function == F::Last;
            match lane_of(result)?.0 {
                LaneKind::Int => Box::new(Endpoint::<Int64Type>::new(newest, result.clone())),
                LaneKind::UInt => Box::new(Endpoint::<UInt64Type>::new(newest, result.clone())),
                LaneKind::Float => Box::new(Endpoint::<Float64Type>::new(newest, result.clone())),
                LaneKind::Text => Box::new(TextEndpoint::new(newest)),
            }
        }
    })
}

/// The error of a call that cannot read summaries.
fn no_summary() -> ExecError {
    ExecError::Internal("a summary for an aggregate that needs rows".into())
}

/// The argument at `at`, converted to the lane type `to`.
fn lane_array(args: &[ArrayRef], at: usize, to: &DataType) -> Result<ArrayRef> {
    let array = args.get(at).ok_or_else(|| ExecError::Internal(format!("aggregate without argument {at}")))?;
    crate::exec::eval::cast_to(array, to)
}
