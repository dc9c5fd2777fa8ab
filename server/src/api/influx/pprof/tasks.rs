//! What there is: tasks and shards of the cores, polls that took long, threads.

use std::collections::BTreeMap;
use std::io;

use tidewire_protocol::encode::pprof::{Frame, Profile};

use crate::api::context::RequestContext;
use crate::core::message::{CoreTasks, ReadMetrics, ReadTasks};
use crate::metrics::registry::label_value;
use crate::ring::blocking;

/// What a task is called that nobody has named.
const UNNAMED: &str = "other";

/// The live tasks of all cores, and which shards each core has.
pub(super) async fn goroutine(context: &RequestContext<'_>) -> Profile {
    tasks_profile(&context.core.peers.ask_all(ReadTasks).await, context.now_ns)
}

fn tasks_profile(cores: &[CoreTasks], now_ns: i64) -> Profile {
    let mut profile = Profile::new(&[("goroutine", "count")], now_ns);
    for CoreTasks { core, tasks, shards } in cores {
        let shards: Vec<String> = shards.iter().map(u32::to_string).collect();
        profile.comment(format!("core {core} has the shards {}", shards.join(", ")));
        for task in tasks {
            let what = if task.what.is_empty() { UNNAMED } else { task.what };
            let frames = [Frame::named(what), Frame::named(format!("queue {}", task.queue.name()))];
            profile.add(frames, &[count(task.count as u64)], [("core", core.to_string())]);
        }
    }
    profile
}

/// Polls that kept a core from all its other tasks for longer than they may.
pub(super) async fn block(context: &RequestContext<'_>) -> Profile {
    let mut profile = Profile::new(&[("contentions", "count"), ("delay", "nanoseconds")], context.now_ns);
    profile.comment("tasks that kept a core for 10 ms or more without yielding, since the start");
    for snapshot in context.core.peers.ask_all(ReadMetrics).await {
        for (labels, polls, seconds) in snapshot.histograms("tidewire_long_poll_duration_seconds") {
            let of = |label| label_value(labels, label).unwrap_or_default();
            if polls > 0 {
                let frames = [Frame::named(of("task")), Frame::named(format!("queue {}", of("queue")))];
                profile.add(frames, &[count(polls), (seconds * 1e9) as i64], []);
            }
        }
    }
    profile
}

/// Locks that were waited for: none are watched.
pub(super) fn mutex(now_ns: i64) -> Profile {
    let mut profile = Profile::new(&[("contentions", "count"), ("delay", "nanoseconds")], now_ns);
    profile.comment("cores share no lock that work waits for; those around are held for moments and not watched");
    profile
}

/// The threads of the process, by name.
pub(super) async fn threads(now_ns: i64) -> io::Result<Profile> {
    let names = blocking(|| {
        let mut names: BTreeMap<String, u64> = BTreeMap::new();
        for entry in std::fs::read_dir("/proc/self/task")? {
            // A thread may have ended.
            if let Ok(name) = std::fs::read_to_string(entry?.path().join("comm")) {
                *names.entry(name.trim_end().to_owned()).or_default() += 1;
            }
        }
        Ok(names)
    });
    let mut profile = Profile::new(&[("threadcreate", "count")], now_ns);
    names.await?.into_iter().for_each(|(name, threads)| profile.add([Frame::named(name)], &[count(threads)], []));
    Ok(profile)
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{Queue, TaskCount};

    #[test]
    fn tasks_stand_below_their_queue_with_their_core() {
        let task = |queue, what, count| TaskCount { queue, what, count };
        let tasks = vec![task(Queue::Ingest, "/write", 3), task(Queue::Query, "", 1)];
        let text = tasks_profile(&[CoreTasks { core: 1, tasks, shards: vec![1, 3] }], 0).text("goroutine");
        let expected = "goroutine profile: 4 count (goroutine)\n# core 1 has the shards 1, 3\n\n\
                        3 @ core=\"1\"\n#\t/write\n#\tqueue ingest\n\n1 @ core=\"1\"\n#\tother\n#\tqueue query\n";
        assert_eq!(text, expected);
    }
}
