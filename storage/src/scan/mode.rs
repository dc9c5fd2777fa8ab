//! Asking a scan for less than all rows.

use super::ScanChunk;
use crate::schema::SeriesId;
use crate::segment::Statistics;

/// What a caller needs of each group of rows.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum ScanMode {
    /// All rows.
    #[default]
    Rows,
    /// All rows, or instead of a group's rows its summary, where the rule holds and all rows of the group are asked
    /// for, unmixed with other sources.
    Summaries(SummaryRule),
    /// At least the first row of each series, and the first with a value for each column. More rows may come; the
    /// caller keeps the earliest.
    FirstRow,
    /// At least the last row of each series, and the last with a value for each column. More rows may come; the
    /// caller keeps the latest.
    LastRow,
}

/// Which summaries are of use.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SummaryRule {
    /// The caller groups by series (or tags): only summaries of a single series help.
    pub one_series: bool,
    /// The caller groups by time: only summaries within one bucket help.
    pub bucket: Option<TimeBuckets>,
    /// For each requested column whether its statistics are needed; else the count of values is enough. Missing
    /// elements mean true.
    pub values: Vec<bool>,
}

/// Division of time into buckets `[origin + k * width, origin + (k + 1) * width)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeBuckets {
    /// Start of some bucket.
    pub origin: i64,
    /// Width, at least 1.
    pub width: i64,
}

impl TimeBuckets {
    /// Number of the bucket that holds `time`.
    pub fn number(&self, time: i64) -> i64 {
        let distance = i128::from(time) - i128::from(self.origin);
        distance.div_euclid(i128::from(self.width.max(1))) as i64
    }
}

/// Rows, or what is known of them.
#[derive(Debug, Clone)]
pub enum ScanItem {
    /// Decoded rows.
    Rows(ScanChunk),
    /// A group that was not decoded.
    Summary(GroupSummary),
}

/// A group of rows that was not decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupSummary {
    /// The series, if it is the only one.
    pub series: Option<SeriesId>,
    /// Rows.
    pub rows: u64,
    /// Least time.
    pub time_min: i64,
    /// Greatest time.
    pub time_max: i64,
    /// One for each requested column.
    pub columns: Vec<ColumnSummary>,
}

/// What is known of one field of a group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ColumnSummary {
    /// Rows that have a value.
    pub count: u64,
    /// Of these values; not `None` where the rule asked for it and `count` is not 0.
    pub statistics: Statistics,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_count_down_before_their_origin() {
        let bucket = TimeBuckets { origin: 100, width: 60 };
        assert_eq!([99, 100, 159, 160, 40, 39].map(|t| bucket.number(t)), [-1, 0, 0, 1, -1, -2]);
        assert_eq!(TimeBuckets { origin: i64::MAX, width: 1 << 40 }.number(i64::MIN), -(1 << 24));
    }
}
