//! Evaluation of bound expressions over columns, a whole column at a time. The text that they make is bounded and
//! accounted ([`Room`]).

mod binary;
mod branch;
mod compare;
mod concat;
mod evaluate;
mod in_list;
mod room;
mod value;

pub(crate) use evaluate::{evaluate_array, evaluate_condition, evaluate_mask};
pub(crate) use room::{Room, text_bytes};
pub(crate) use value::{Input, Names, scalar_array, scalar_at};
