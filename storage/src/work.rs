//! How much is worked between two yields, counted in units instead of time: the same in every run of one seed.
//!
//! A loop whose length data decides charges what it has done here ([`charge`]), about a unit for each
//! nanosecond that it takes on a processor of today. A [simulated disk](crate::disk::sim) looks at the meter wherever a
//! task yields or waits, and stops a run in which a task has worked longer than [`UNITS_MAX`] at a stretch. The meter
//! belongs to the thread, as a core does, so that functions that know nothing of disks and tasks can charge.

use std::cell::Cell;

thread_local! {
    static WORKED: Cell<u64> = const { Cell::new(0) };
}

/// Most that a task may work without a yield: about 10 ms, from which on a server counts it as a long poll.
pub const UNITS_MAX: u64 = 10_000_000;

/// A comparison, a look at a row, or a step in a search.
pub const LOOK: u64 = 5;

/// A row put in order among others.
pub const SORT: u64 = 30;

/// A byte copied, or a checksum taken of it.
const BYTES_COPIED: u64 = 4;

/// Adds to what the running task has worked.
pub fn charge(units: u64) {
    WORKED.set(WORKED.get().saturating_add(units));
}

/// Charges `count` of something that takes `units` each.
pub fn charge_each(count: usize, units: u64) {
    charge((count as u64).saturating_mul(units));
}

/// Charges a copy of `bytes`.
pub fn charge_copy(bytes: usize) {
    charge(bytes as u64 / BYTES_COPIED);
}

/// What was charged since the last call.
pub(crate) fn take() -> u64 {
    WORKED.replace(0)
}

/// The running task yields here, or waits.
///
/// # Panics
///
/// Where it has worked longer than it may since it did so the last time.
pub(crate) fn end_stretch(what: &str) {
    let units = take();
    assert!(units <= UNITS_MAX, "BUG: a task has worked {units} units at a stretch, up to {what}; {UNITS_MAX} at most");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_charged_is_taken_once() {
        take();
        charge(3);
        charge_each(2, LOOK);
        charge_copy(8);
        assert_eq!((take(), take()), (3 + 2 * LOOK + 2, 0));
        charge(u64::MAX);
        charge(1);
        assert_eq!(take(), u64::MAX);
    }
}
