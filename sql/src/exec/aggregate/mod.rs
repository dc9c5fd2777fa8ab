//! GROUP BY, DISTINCT and the merge of partial states.

mod distinct;
mod group_table;
mod hash;
mod index;
mod interner;

pub(crate) use group_table::{GroupTable, NO_GROUP};
pub(crate) use hash::{Aggregate, accumulator_of, partial_batch};
