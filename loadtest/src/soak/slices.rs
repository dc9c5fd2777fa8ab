//! The slices of a soak: times that a task kept a core of the server for 10 ms or more, by what it did.
//!
//! How many there were is in the server's histogram `tidewire_long_poll_duration_seconds`; how long the longest of each
//! task was, in its log, where the longest so far is said each time.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::error::Result;
use crate::http::{self, Target};
use crate::output;

const HISTOGRAM: &str = "tidewire_long_poll_duration_seconds";

/// What a line of the log says between the task and its queue, and before the times.
const OF_QUEUE: &str = " of queue ";
const KEPT: &str = " kept the core for ";
const PROCESSOR: &str = " ms, the processor ";

/// The slices of one task.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Slices {
    pub(super) queue: String,
    pub(super) task: String,
    pub(super) count: u64,
    /// All of them together.
    pub(super) sum_ms: f64,
    pub(super) longest_ms: f64,
    /// The longest that the thread had the processor for one: on a shared machine what others took is not in it.
    pub(super) processor_longest_ms: f64,
}

/// Those of a server, by queue and task.
pub(super) fn read(target: &Target, log: &str) -> Result<Vec<Slices>> {
    let reply = http::call(target, "/metrics", None, None)?;
    Ok(of(&String::from_utf8_lossy(&reply.body), log))
}

fn of(metrics: &str, log: &str) -> Vec<Slices> {
    let mut found: BTreeMap<(String, String), Slices> = BTreeMap::new();
    let mut entry = |queue: &str, task: &str, change: &dyn Fn(&mut Slices)| {
        let key = (queue.to_owned(), task.to_owned());
        let new = || Slices { queue: key.0.clone(), task: key.1.clone(), ..Slices::default() };
        change(found.entry(key.clone()).or_insert_with(new));
    };
    for line in metrics.lines().filter_map(|line| line.strip_prefix(HISTOGRAM)) {
        let Some((name, value)) = line.rsplit_once(' ') else { continue };
        let (Some(queue), Some(task), Ok(value)) = (label(name, "queue"), label(name, "task"), value.parse::<f64>())
        else {
            continue;
        };
        if name.starts_with("_count") {
            entry(queue, task, &|slices| slices.count += value as u64);
        } else if name.starts_with("_sum") {
            entry(queue, task, &|slices| slices.sum_ms += value * 1e3);
        }
    }
    for (queue, task, ms, processor_ms) in log.lines().filter_map(said) {
        entry(queue, task, &|slices| {
            slices.longest_ms = slices.longest_ms.max(ms);
            slices.processor_longest_ms = slices.processor_longest_ms.max(processor_ms);
        });
    }
    found.into_values().filter(|slices| slices.count > 0 || slices.longest_ms > 0.0).collect()
}

/// The value of a label.
fn label<'a>(name: &'a str, label: &str) -> Option<&'a str> {
    let (_, rest) = name.split_once(&format!("{label}=\""))?;
    rest.split('"').next()
}

/// Queue, task, milliseconds and those of the processor of a line of the log about a slice.
fn said(line: &str) -> Option<(&str, &str, f64, f64)> {
    let (left, right) = line.split_once(KEPT)?;
    let (left, queue) = left.rsplit_once(OF_QUEUE)?;
    // "… core 1: the task".
    let (_, rest) = left.rsplit_once("core ")?;
    let (_, task) = rest.split_once(": ")?;
    let (ms, right) = right.split_once(PROCESSOR)?;
    let processor_ms = right.split(';').next()?.parse().ok()?;
    Some((queue, if task == "a task" { "other" } else { task }, ms.parse().ok()?, processor_ms))
}

/// The longest of all by the processor's time.
pub(super) fn processor_longest_ms(slices: &[Slices]) -> f64 {
    slices.iter().map(|slices| slices.processor_longest_ms).fold(0.0, f64::max)
}

pub(super) fn table(slices: &[Slices]) -> String {
    let mut rows = vec![
        ["queue", "slices of 10 ms and more", "count", "longest, ms", "of the processor", "mean, ms"]
            .map(str::to_owned)
            .to_vec(),
    ];
    let mut sorted: Vec<&Slices> = slices.iter().collect();
    sorted.sort_by(|a, b| b.longest_ms.total_cmp(&a.longest_ms));
    for Slices { queue, task, count, sum_ms, longest_ms, processor_longest_ms } in sorted {
        let mean_ms = sum_ms / (*count).max(1) as f64;
        let figures = [longest_ms, processor_longest_ms, &mean_ms].map(|ms| format!("{ms:.1}"));
        let figures = std::iter::once(count.to_string()).chain(figures);
        rows.push([queue.clone(), task.clone()].into_iter().chain(figures).collect());
    }
    output::table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_counted_by_the_server_and_the_longest_is_in_its_log() {
        let metrics = "# TYPE tidewire_long_poll_duration_seconds histogram\n\
            tidewire_long_poll_duration_seconds_bucket{core=\"0\",queue=\"query\",task=\"/api/v1/sql\",le=\"+Inf\"} 2\n\
            tidewire_long_poll_duration_seconds_count{core=\"0\",queue=\"query\",task=\"/api/v1/sql\"} 2\n\
            tidewire_long_poll_duration_seconds_count{core=\"1\",queue=\"query\",task=\"/api/v1/sql\"} 1\n\
            tidewire_long_poll_duration_seconds_sum{core=\"0\",queue=\"query\",task=\"/api/v1/sql\"} 0.06\n\
            tidewire_long_poll_duration_seconds_count{core=\"0\",queue=\"ingest\",task=\"other\"} 0\n";
        let log = "2026 WARN core 0: /api/v1/sql of queue query kept the core for 12.3 ms, the processor 12.1\n\
            2026 INFO nothing\n\
            2026 WARN core 1: /api/v1/sql of queue query kept the core for 35.5 ms, the processor 8.0; 4 more since the last such line\n\
            2026 WARN core 1: a task of queue compaction kept the core for 10.5 ms, the processor 0.3\n";
        let found = of(metrics, log);
        let slices = |queue: &str, task: &str, count, sum_ms, [longest_ms, processor_longest_ms]: [f64; 2]| Slices {
            queue: queue.to_owned(),
            task: task.to_owned(),
            count,
            sum_ms,
            longest_ms,
            processor_longest_ms,
        };
        let query = slices("query", "/api/v1/sql", 3, 60.0, [35.5, 12.1]);
        assert_eq!(found, [slices("compaction", "other", 0, 0.0, [10.5, 0.3]), query]);
        assert_eq!(processor_longest_ms(&found), 12.1);
        let table = table(&found);
        assert!(table.lines().nth(1).is_some_and(|line| line.contains("/api/v1/sql")), "{table}");
        assert_eq!(of("", ""), []);
    }
}
