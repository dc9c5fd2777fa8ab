//! Window functions: rows come in the order of their partitions and leave as they came, with answers behind them.
//!
//! 1. Rows are held until a partition is whole; several that are small go together, as one [`Span`].
//! 2. Columns of the span are put into one piece each, partitions and equals of the order are found.
//! 3. Each call runs over the span, some rows a step: numbers by [`ranking`], values of other rows by [`value`],
//!    aggregates over frames ([`frame`]) by [`aggregate`].
//!
//! A partition is held whole, in the query's memory.

mod aggregate;
mod changes;
mod frame;
mod ranking;
mod sink;
mod span;
mod value;

pub(crate) use sink::Windows;
