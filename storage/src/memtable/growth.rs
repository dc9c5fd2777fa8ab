//! How long the columns of a table are made when they are full: not all at one row.
//!
//! Each doubles, so that a row is moved a few times at most. If all had the same lengths, all would move at the same
//! row, and a table of 64 MiB kept its core for as long as it takes to copy that. So lengths are
//! (16 + phase) · 2ⁿ / 4 with a phase of 0 to 15: a table's columns have different phases and move one after the other.

/// Phases that there are.
const PHASES: u16 = 16;

/// The phase of a column, from its number in the table: neighbours are far apart, and no two of sixteen are alike.
pub(super) fn phase_of(number: u16) -> u16 {
    number.wrapping_mul(7) % PHASES
}

/// Makes room for `len` values in all.
pub(super) fn make_room<T>(values: &mut Vec<T>, len: usize, phase: u16) {
    if len > values.capacity() {
        values.reserve_exact(capacity_for(len, phase).saturating_sub(values.len()));
    }
}

/// The least length of a phase that is not below `len`.
fn capacity_for(len: usize, phase: u16) -> usize {
    let first = usize::from(PHASES + phase % PHASES);
    let times = len.saturating_mul(4).div_ceil(first).next_power_of_two();
    first.saturating_mul(times) / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_double_and_hold_what_is_asked_for() {
        for phase in 0..PHASES {
            let mut before = 0;
            for len in [1, 4, 5, 63, 64, 65, 1_000, 1 << 20, (1 << 20) + 1] {
                let capacity = capacity_for(len, phase);
                assert!(capacity >= len && capacity <= 2 * len.max(4), "{phase}: {len} in {capacity}");
                assert!(capacity >= before);
                before = capacity;
            }
            assert_eq!(capacity_for(capacity_for(1 << 20, phase) + 1, phase), 2 * capacity_for(1 << 20, phase));
        }
    }

    #[test]
    fn sixteen_columns_are_full_at_different_rows() {
        let phases: std::collections::BTreeSet<u16> = (5..21).map(phase_of).collect();
        assert_eq!(phases.len(), usize::from(PHASES));
        for len in 1 << 16..1 << 17 {
            let full = phases.iter().filter(|phase| capacity_for(len, **phase) == len).count();
            assert!(full <= 1, "{full} columns at row {len}");
        }
    }
}
