//! Who held the core: each poll of a task that took longer than it may is counted by its queue and task, and logged
//! with what ran: the longest of each task in any case, others one line a second at most.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::metrics::pace::{Lines, others};
use crate::metrics::registry::{Histogram, Registry, Unit};
use crate::ring::{LongPoll, Queue, Queues};

/// What a task is called that nobody has named.
const UNNAMED: &str = "other";

/// Watches the running core, number `core`.
pub(crate) fn watch(core: usize, queues: Queues, registry: Rc<Registry>) {
    let mut known = Known { registry, polls: BTreeMap::new() };
    // So that there is something to see before anything was long.
    for queue in Queue::ALL {
        known.of(queue, "");
    }
    let (known, lines) = (RefCell::new(known), Lines::default());
    queues.on_long_poll(move |poll| {
        let is_longest = known.borrow_mut().count(&poll);
        let turn = if is_longest { Some(0) } else { lines.take_turn(Instant::now()) };
        if let Some(unsaid) = turn {
            log::warn!("{}", line(core, &poll, unsaid));
        }
    });
}

/// The long polls of each task so far.
struct Known {
    registry: Rc<Registry>,
    /// By queue and task: all of them, and the longest.
    polls: BTreeMap<(usize, &'static str), (Rc<Histogram>, Duration)>,
}

impl Known {
    /// Counts one, and says whether it is the longest of its task so far.
    fn count(&mut self, poll: &LongPoll) -> bool {
        let (histogram, longest) = self.of(poll.queue, poll.what);
        histogram.record(u64::try_from(poll.time.as_nanos()).unwrap_or(u64::MAX));
        let is_longest = poll.time > *longest;
        *longest = poll.time.max(*longest);
        is_longest
    }

    fn of(&mut self, queue: Queue, what: &'static str) -> &mut (Rc<Histogram>, Duration) {
        let Self { registry, polls } = self;
        let task = if what.is_empty() { UNNAMED } else { what };
        polls.entry((queue as usize, task)).or_insert_with(|| {
            let help = "Times that a task kept the core for 10 ms or more without yielding.";
            let labels = [("queue", queue.name()), ("task", task)];
            let name = "tidewire_long_poll_duration_seconds";
            (registry.histogram(name, help, &labels, Unit::Nanoseconds), Duration::ZERO)
        })
    }
}

fn line(core: usize, poll: &LongPoll, unsaid: u64) -> String {
    let what = if poll.what.is_empty() { "a task" } else { poll.what };
    let others = others(unsaid);
    let ms = poll.time.as_secs_f64() * 1e3;
    format!("core {core}: {what} of queue {} kept the core for {ms:.1} ms{others}", poll.queue.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::registry::write_text;

    #[test]
    fn a_line_says_what_ran_and_how_often_it_was_not_said() {
        let poll = LongPoll { queue: Queue::Query, what: "/api/v1/sql", time: Duration::from_micros(12_340) };
        assert_eq!(line(3, &poll, 0), "core 3: /api/v1/sql of queue query kept the core for 12.3 ms");
        let poll = LongPoll { what: "", ..poll };
        assert_eq!(
            line(0, &poll, 2),
            "core 0: a task of queue query kept the core for 12.3 ms; 2 more since the last such line"
        );
    }

    #[test]
    fn polls_are_counted_by_queue_and_task_and_the_longest_is_known() {
        let mut known = Known { registry: Registry::new(), polls: BTreeMap::new() };
        let poll = |what, ms| LongPoll { queue: Queue::Compaction, what, time: Duration::from_millis(ms) };
        let longest =
            [("merge", 12), ("merge", 11), ("merge", 13), ("", 10)].map(|(what, ms)| known.count(&poll(what, ms)));
        assert_eq!(longest, [true, false, true, true]);
        let mut text = String::new();
        write_text(&[known.registry.snapshot()], &mut text);
        for line in ["task=\"merge\"", "task=\"other\""] {
            assert!(text.contains(line), "{text}");
        }
    }
}
