//! Runs: how rows that are sorted by (series, time) say whose they are.

use crate::schema::SeriesId;

/// Consecutive rows that belong to one series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The series.
    pub series: SeriesId,
    /// First row of those that the run is one of.
    pub start: u32,
    /// Rows, at least 1.
    pub len: u32,
}
