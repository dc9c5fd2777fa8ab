//! Types that SQL has and Rust has not: times, intervals, durations, and the calendar they are counted on.

pub(crate) mod calendar;
pub mod time;
