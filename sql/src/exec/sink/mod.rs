//! Operators that need all rows before they put out the first.

mod sort;

pub(crate) use sort::Sort;
