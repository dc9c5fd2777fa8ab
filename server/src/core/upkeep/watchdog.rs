//! Who held the core: each poll of a task that took longer than it may is counted by its queue, and logged with what
//! ran, one line a second at most.

use std::time::Instant;

use crate::metrics::pace::{Lines, others};
use crate::metrics::registry::{Registry, Unit};
use crate::ring::{LongPoll, Queue, Queues};

/// Watches the running core, number `core`.
pub(crate) fn watch(core: usize, queues: Queues, registry: &Registry) {
    let histogram = |queue: Queue| {
        let help = "Times that a task kept the core for 10 ms or more without yielding.";
        let labels = [("queue", queue.name())];
        registry.histogram("tidewire_long_poll_duration_seconds", help, &labels, Unit::Nanoseconds)
    };
    let (histograms, lines) = (Queue::ALL.map(histogram), Lines::default());
    queues.on_long_poll(move |poll| {
        histograms[poll.queue as usize].record(u64::try_from(poll.time.as_nanos()).unwrap_or(u64::MAX));
        if let Some(unsaid) = lines.take_turn(Instant::now()) {
            log::warn!("{}", line(core, &poll, unsaid));
        }
    });
}

fn line(core: usize, poll: &LongPoll, unsaid: u64) -> String {
    let what = if poll.what.is_empty() { "a task" } else { poll.what };
    let others = others(unsaid);
    let ms = poll.time.as_secs_f64() * 1e3;
    format!("core {core}: {what} of queue {} kept the core for {ms:.1} ms{others}", poll.queue.name())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

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
}
