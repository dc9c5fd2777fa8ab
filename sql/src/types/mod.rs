//! Types that SQL has and Rust has not: times, intervals and durations, as text and as columns, the calendar that they
//! are counted on, and tilings of time; and how DOUBLE values compare.

pub(crate) mod array;
pub(crate) mod calendar;
pub(crate) mod duration;
pub mod error;
pub(crate) mod float;
pub(crate) mod interval;
pub(crate) mod tiling;
pub mod timestamp;
pub(crate) mod unit;
pub mod windows;
pub mod zone;
