//! Aggregates: an entry and its accumulator a file.
//!
//! Nulls are skipped; an aggregate of nothing is null (count: 0). `sum` of integers is exact, and an error where the
//! answer does not fit: the same however rows are spread over shards. `avg` of integers adds exactly within a slice.
//! NaN is the greatest float. `first` and `last` at equal times take the greater value, as InfluxDB does.

mod average;
mod bits;
mod count;
mod covariance;
mod digest;
mod distinct;
mod double2;
mod endpoint;
mod fold;
mod gauge;
mod increase;
mod kernel;
mod lane;
mod median;
mod mode;
mod pick;
mod ranked;
mod sample;
mod scalars;
mod seen;
mod state;
mod stddev;
mod sum;
mod text_extreme;

use super::definition::Aggregate;
pub(crate) use count::{COUNT, COUNT_ROWS};
pub(crate) use endpoint::{FIRST, FIRST_TIME, LAST, LAST_TIME};
pub(crate) use mode::MODE;
pub(crate) use pick::{PICK_FIRST, PICK_LAST, PICK_MAX, PICK_MIN};
pub(crate) use ranked::{PERCENTILE, PICK_PERCENTILE};
pub(crate) use stddev::STDDEV;
pub(crate) use sum::{SHIFTED_SUM, WHOLE_SUM, WHOLE_SUM_TYPE};

/// Mean.
pub(crate) static MEAN: &Aggregate = &average::ENTRY;
/// Sum.
pub(crate) static SUM: &Aggregate = &sum::ENTRY;
/// The value in the middle.
pub(crate) static MEDIAN: &Aggregate = &median::ENTRY;
/// Least value.
pub(crate) static MIN: &Aggregate = &fold::MIN;
/// Greatest value.
pub(crate) static MAX: &Aggregate = &fold::MAX;

/// All of them.
pub(super) static AGGREGATES: [&Aggregate; 30] = [
    &count::ENTRY,
    &sum::ENTRY,
    &fold::MIN,
    &fold::MAX,
    &average::ENTRY,
    &endpoint::FIRST_ENTRY,
    &endpoint::LAST_ENTRY,
    &mode::ENTRY,
    &sample::ENTRY,
    &median::ENTRY,
    &stddev::STDDEV_ENTRY,
    &stddev::STDDEV_POP_ENTRY,
    &stddev::VAR_ENTRY,
    &stddev::VAR_POP_ENTRY,
    &covariance::COVAR_ENTRY,
    &covariance::COVAR_POP_ENTRY,
    &covariance::CORR_ENTRY,
    &bits::BIT_AND_ENTRY,
    &bits::BIT_OR_ENTRY,
    &bits::BIT_XOR_ENTRY,
    &bits::BOOL_AND_ENTRY,
    &bits::BOOL_OR_ENTRY,
    &distinct::ENTRY,
    &digest::MEDIAN_ENTRY,
    &digest::PERCENTILE_ENTRY,
    &digest::WEIGHTED_ENTRY,
    &increase::ENTRY,
    &gauge::ENTRY,
    &state::FULL,
    &state::COMPACT,
];
