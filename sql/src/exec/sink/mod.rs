//! Operators that put out their first row when they have seen the last: [`Sink`]. Those that group are in
//! [`crate::exec::aggregate`]; `fill`, `integral` and `forecast` go by windows of time; `sort` stands on `entry`,
//! `key`, `shared`, `merge` and `held`.

mod entry;
mod fill;
mod finishing;
mod forecast;
mod held;
mod integral;
mod key;
mod merge;
mod repair;
mod repeat;
mod shared;
mod sort;
mod words;

pub(crate) use fill::FillWindows;
pub(crate) use finishing::{Left, Sink};
pub(crate) use forecast::Forecasts;
pub(crate) use integral::Integrals;
pub(crate) use key::{Head, KeyEncoder};
pub(crate) use repair::Repairs;
pub(crate) use repeat::Repeat;
pub(crate) use sort::Sort;
pub(crate) use words::words;
