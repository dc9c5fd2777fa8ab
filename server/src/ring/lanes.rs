//! The tasks of one queue that can run: short ones before long ones.
//!
//! Nobody knows of a statement how long it will take, so a task is short until it has had the core for [`SHORT_MAX`]
//! (a feedback queue, as in Corbató's time-sharing system of 1962). A short task waits for the slice that runs and for
//! other short ones, not for a turn of every long one. Long tasks run when no short one can, and whenever short ones
//! have had the core for [`LONG_WAIT_MAX`] since a long one did.

use std::collections::VecDeque;
use std::time::Duration;

/// A statement over a few series takes less than this in all.
pub(super) const SHORT_MAX: Duration = Duration::from_millis(5);

/// With slices of a millisecond or two, long tasks get a tenth of the queue's time at least.
const LONG_WAIT_MAX: Duration = Duration::from_millis(10);

/// Tasks that can run, named by `T`.
#[derive(Debug)]
pub(super) struct Lanes<T> {
    short: VecDeque<T>,
    long: VecDeque<T>,
    /// Time that short tasks have had while long ones waited, since one of these ran.
    waited: Duration,
    /// The task that was taken last is a long one.
    is_long_turn: bool,
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self { short: VecDeque::new(), long: VecDeque::new(), waited: Duration::ZERO, is_long_turn: false }
    }
}

impl<T> Lanes<T> {
    /// Whether no task can run.
    pub(super) fn is_empty(&self) -> bool {
        self.short.is_empty() && self.long.is_empty()
    }

    /// Adds a task behind those of its lane.
    pub(super) fn push(&mut self, task: T, is_long: bool) {
        if is_long { self.long.push_back(task) } else { self.short.push_back(task) }
    }

    /// Takes the task whose turn it is.
    pub(super) fn pop(&mut self) -> Option<T> {
        self.is_long_turn = !self.long.is_empty() && (self.short.is_empty() || self.waited >= LONG_WAIT_MAX);
        if self.is_long_turn { self.long.pop_front() } else { self.short.pop_front() }
    }

    /// Says how long the task that was taken last had the core.
    pub(super) fn ran(&mut self, time: Duration) {
        self.waited = match self.is_long_turn || self.long.is_empty() {
            true => Duration::ZERO,
            false => self.waited + time,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLICE: Duration = Duration::from_millis(1);

    fn turn(lanes: &mut Lanes<&'static str>) -> Option<&'static str> {
        let task = lanes.pop();
        lanes.ran(SLICE);
        task
    }

    #[test]
    fn a_short_task_does_not_wait_for_long_ones() {
        let mut lanes = Lanes::default();
        for task in ["join", "sort", "merge"] {
            lanes.push(task, true);
        }
        assert_eq!(turn(&mut lanes), Some("join"));
        lanes.push("join", true);
        lanes.push("point", false);
        lanes.push("other", false);
        let order: Vec<_> = std::iter::from_fn(|| turn(&mut lanes)).collect();
        assert_eq!(order, ["point", "other", "sort", "merge", "join"]);
        assert!(lanes.is_empty());
    }

    #[test]
    fn long_tasks_have_their_turns_however_many_short_ones_come() {
        let mut lanes = Lanes::default();
        lanes.push("long", true);
        let mut long = 0;
        for _ in 0..1_100 {
            lanes.push("short", false);
            if turn(&mut lanes) == Some("long") {
                long += 1;
                lanes.push("long", true);
            }
        }
        // After every ten slices of short ones.
        assert_eq!(long, 100);
    }

    #[test]
    fn what_short_tasks_had_before_a_long_one_came_does_not_count() {
        let mut lanes = Lanes::default();
        for _ in 0..50 {
            lanes.push("short", false);
            assert_eq!(turn(&mut lanes), Some("short"));
        }
        lanes.push("long", true);
        lanes.push("short", false);
        assert_eq!((turn(&mut lanes), turn(&mut lanes)), (Some("short"), Some("long")));
    }
}
