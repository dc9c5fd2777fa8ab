//! Units of time and their lengths. Storage's units know their own.

use arrow_schema::TimeUnit;

/// Nanoseconds of a second.
pub(crate) const MILLISECOND_NS: i64 = 1_000_000;

pub(crate) const SECOND_NS: i64 = 1_000_000_000;
/// Nanoseconds of a minute.
pub(crate) const MINUTE_NS: i64 = 60 * SECOND_NS;
/// Nanoseconds of an hour.
pub(crate) const HOUR_NS: i64 = 60 * MINUTE_NS;
/// Nanoseconds of a day; UTC as Unix counts it has no leap seconds.
pub(crate) const DAY_NS: i64 = 24 * HOUR_NS;

/// Nanoseconds in one `unit`.
pub(crate) const fn unit_ns(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => SECOND_NS,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

/// Nanoseconds in whole units, rounded towards the past; `None` out of range.
pub(crate) fn floor_to_unit(ns: i128, unit: TimeUnit) -> Option<i64> {
    i64::try_from(ns.div_euclid(i128::from(unit_ns(unit)))).ok()
}

/// A table's unit of time in arrow's words.
pub(crate) const fn arrow_unit(unit: tidewire_storage::schema::TimeUnit) -> TimeUnit {
    match unit {
        tidewire_storage::schema::TimeUnit::Millisecond => TimeUnit::Millisecond,
        tidewire_storage::schema::TimeUnit::Microsecond => TimeUnit::Microsecond,
        tidewire_storage::schema::TimeUnit::Nanosecond => TimeUnit::Nanosecond,
    }
}
