//! Types that SQL has and Rust has not: times, intervals and durations, as text and as columns, the calendar that they
//! are counted on, and tilings of time; how DOUBLE values compare; what a gauge and a shape are.

pub(crate) mod array;
pub(crate) mod calendar;
pub(crate) mod duration;
pub mod error;
pub(crate) mod float;
pub(crate) mod gauge;
pub(crate) mod geometry;
pub(crate) mod interval;
pub(crate) mod shape;
pub(crate) mod state;
pub(crate) mod tiling;
pub mod timestamp;
pub(crate) mod unit;
pub mod windows;
pub mod zone;
