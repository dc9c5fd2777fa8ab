//! Evaluation of bound expressions over columns, a whole column at a time.

mod binary;
mod branch;
mod compare;
mod evaluate;
mod in_list;
mod value;

pub(crate) use evaluate::{evaluate_array, evaluate_condition, evaluate_mask};
pub(crate) use value::{Input, Names, scalar_array};
