//! Operators that put out their first row when they have seen the last: [`Sink`]. One a file; those that group are in
//! [`crate::exec::aggregate`].

mod finishing;
mod sort;

pub(crate) use finishing::{Left, Sink};
pub(crate) use sort::Sort;
