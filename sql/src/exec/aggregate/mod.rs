//! GROUP BY, DISTINCT and the merge of partial states.

mod accumulate;
mod group_table;
mod hash;

pub(crate) use accumulate::{Accumulator, Slice, Slices};
pub(crate) use hash::{Aggregate, accumulator_of, partial_batch};
