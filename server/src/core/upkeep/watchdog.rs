//! Who held the core: each poll of a task that took longer than it may is counted by its queue and task, and logged
//! with what ran: the longest of each task in any case, by the clock and by the processor's time, others one line a
//! second at most.

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
    /// By queue and task.
    polls: BTreeMap<(usize, &'static str), Polls>,
}

/// The long polls of a task.
struct Polls {
    all: Rc<Histogram>,
    longest: Duration,
    /// The longest that one had the processor.
    processor_longest: Duration,
}

impl Known {
    /// Counts one, and says whether it is the longest of its task so far.
    fn count(&mut self, poll: &LongPoll) -> bool {
        let polls = self.of(poll.queue, poll.what);
        polls.all.record(u64::try_from(poll.time.as_nanos()).unwrap_or(u64::MAX));
        let is_longest = poll.time > polls.longest || poll.processor > polls.processor_longest;
        polls.longest = poll.time.max(polls.longest);
        polls.processor_longest = poll.processor.max(polls.processor_longest);
        is_longest
    }

    fn of(&mut self, queue: Queue, what: &'static str) -> &mut Polls {
        let Self { registry, polls } = self;
        let task = if what.is_empty() { UNNAMED } else { what };
        polls.entry((queue as usize, task)).or_insert_with(|| {
            let help = "Times that a task kept the core for 10 ms or more without yielding.";
            let labels = [("queue", queue.name()), ("task", task)];
            let name = "tidewire_long_poll_duration_seconds";
            let all = registry.histogram(name, help, &labels, Unit::Nanoseconds);
            Polls { all, longest: Duration::ZERO, processor_longest: Duration::ZERO }
        })
    }
}

fn line(core: usize, poll: &LongPoll, unsaid: u64) -> String {
    let what = if poll.what.is_empty() { "a task" } else { poll.what };
    let others = others(unsaid);
    let (ms, processor_ms) = (poll.time.as_secs_f64() * 1e3, poll.processor.as_secs_f64() * 1e3);
    let queue = poll.queue.name();
    format!(
        "core {core}: {what} of queue {queue} kept the core for {ms:.1} ms, the processor {processor_ms:.1}{others}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::registry::write_text;

    #[test]
    fn a_line_says_what_ran_and_how_often_it_was_not_said() {
        let poll = LongPoll {
            queue: Queue::Query,
            what: "/api/v1/sql",
            time: Duration::from_micros(12_340),
            processor: Duration::from_micros(1_250),
        };
        assert_eq!(
            line(3, &poll, 0),
            "core 3: /api/v1/sql of queue query kept the core for 12.3 ms, the processor 1.2"
        );
        let poll = LongPoll { what: "", ..poll };
        assert_eq!(
            line(0, &poll, 2),
            "core 0: a task of queue query kept the core for 12.3 ms, the processor 1.2; 2 more since the last such line"
        );
    }

    #[test]
    fn polls_are_counted_by_queue_and_task_and_the_longest_is_known() {
        let mut known = Known { registry: Registry::new(), polls: BTreeMap::new() };
        let poll = |what, ms, processor_ms| LongPoll {
            queue: Queue::Compaction,
            what,
            time: Duration::from_millis(ms),
            processor: Duration::from_millis(processor_ms),
        };
        let longest = [("merge", 12, 3), ("merge", 11, 3), ("merge", 11, 4), ("merge", 13, 0), ("", 10, 0)]
            .map(|(what, ms, processor_ms)| known.count(&poll(what, ms, processor_ms)));
        assert_eq!(longest, [true, false, true, true, true]);
        let mut text = String::new();
        write_text(&[known.registry.snapshot()], &mut text);
        for line in ["task=\"merge\"", "task=\"other\""] {
            assert!(text.contains(line), "{text}");
        }
    }
}
