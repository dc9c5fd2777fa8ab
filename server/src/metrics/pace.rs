//! Spaces lines of the log: of what may happen thousands of times a second, one line a second says what happened last
//! and how often it was not said.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Time between two lines.
const PAUSE: Duration = Duration::from_secs(1);

/// Lines of one kind.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    last: Cell<Option<Instant>>,
    unsaid: Cell<u64>,
}

impl Lines {
    /// Whether there is a line at `now`: how many there were not since the last.
    pub(crate) fn take_turn(&self, now: Instant) -> Option<u64> {
        if self.last.get().is_some_and(|last| now.saturating_duration_since(last) < PAUSE) {
            self.unsaid.set(self.unsaid.get() + 1);
            return None;
        }
        self.last.set(Some(now));
        Some(self.unsaid.take())
    }
}

/// What a line says of those that were not.
pub(crate) fn others(unsaid: u64) -> String {
    match unsaid {
        0 => String::new(),
        count => format!("; {count} more since the last such line"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_second_says_how_often_it_was_not_said() {
        let (lines, start) = (Lines::default(), Instant::now());
        let turns = [0, 10, 999, 1_000, 1_500, 2_100].map(|ms| lines.take_turn(start + Duration::from_millis(ms)));
        assert_eq!(turns, [Some(0), None, None, Some(2), None, Some(1)]);
        assert_eq!((others(0).as_str(), others(2).as_str()), ("", "; 2 more since the last such line"));
    }
}
