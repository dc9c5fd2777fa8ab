//! The tasks of a soak that load the server: writers of the fleet, and who asks about it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::audit::DATABASE;
use super::door::{Door, Shared, lock};
use super::lines::Lines;
use crate::csv;
use crate::error::{Context, Error, Result};
use crate::http::Target;
use crate::pace::Pacer;
use crate::query::tsbs::{Case, Language};
use crate::write::Api;

/// The queries, each over the newest two hours; those of one host also over all that is kept.
const NEWEST: [&str; 7] = [
    "single-groupby-1-1-1",
    "single-groupby-5-8-1",
    "cpu-max-all-8",
    "double-groupby-1",
    "high-cpu-1",
    "lastpoint",
    "groupby-orderby-limit",
];
const NEWEST_HOURS: i64 = 2;
const ANYWHERE: [&str; 2] = ["single-groupby-1-1-12", "cpu-max-all-1"];

/// Writes batches until the end; with an `interval` between its requests in an open loop.
pub(super) struct Writer {
    pub(super) target: Target,
    pub(super) shared: Arc<Shared>,
    pub(super) lines: Arc<Lines>,
    /// Open loop: time between the starts of two of its requests.
    pub(super) interval: Option<Duration>,
}

impl Writer {
    pub(super) async fn run(self) {
        if let Err(error) = self.write().await {
            self.shared.error(&error);
        }
    }

    async fn write(&self) -> Result<()> {
        let path = Api::Cnos.write_path(DATABASE);
        let mut door = Door::new(&self.target, &self.shared);
        let pacer = Pacer::new().context(|| "make a timer")?;
        let rows = lock(&self.shared.fleet).size.rows();
        let (mut request, mut due) = (Vec::new(), Instant::now());
        while !self.shared.is_stopped() {
            // Latency counts from here even if the server is late: no coordinated omission.
            let begun = match self.interval {
                None => Instant::now(),
                Some(interval) => {
                    due += interval;
                    pacer.wait_until(due).await.context(|| "wait")?;
                    due
                }
            };
            let batch = lock(&self.shared.fleet).deal();
            self.lines.request(&self.target, &path, batch, &mut request);
            let (reply, bytes) = door.send(std::mem::take(&mut request)).await;
            request = bytes;
            let outcome = reply.and_then(|reply| match reply.is_success() {
                true => Ok(()),
                false => Err(Error::Reply(format!("batch {} was answered {}", batch.number, reply.excerpt()))),
            });
            match outcome {
                Ok(()) => {
                    lock(&self.shared.fleet).acknowledged(batch);
                    self.shared.rows.fetch_add(rows, Ordering::Relaxed);
                    lock(&self.shared.seen).write_ns.push(begun.elapsed().as_nanos() as u64);
                }
                // The batch may be there or not: it never settles, and nothing behind it is checked.
                Err(error) => self.shared.error(&error),
            }
        }
        Ok(())
    }
}

/// Asks one query after the other, with a pause after each.
pub(super) struct Asker {
    pub(super) target: Target,
    pub(super) shared: Arc<Shared>,
    pub(super) pause: Duration,
    pub(super) rng: fastrand::Rng,
}

impl Asker {
    pub(super) async fn run(mut self) {
        let mut door = Door::new(&self.target, &self.shared);
        let newest = NEWEST.iter().map(|name| (*name, Some(NEWEST_HOURS)));
        let all: Vec<(&'static str, Option<i64>)> = newest.chain(ANYWHERE.iter().map(|name| (*name, None))).collect();
        while !self.shared.is_stopped() {
            for (name, hours) in &all {
                if let Err(error) = self.ask(&mut door, name, *hours).await {
                    self.shared.error(&error);
                }
                self.shared.pause(self.pause).await;
            }
        }
    }

    async fn ask(&mut self, door: &mut Door, name: &'static str, hours: Option<i64>) -> Result<()> {
        let Some(data) = lock(&self.shared.fleet).data(hours) else { return Ok(()) };
        let case = Case::find(name).ok_or_else(|| Error::Usage(format!("the set has no {name}")))?;
        let query = case.draw(&data, Language::Sql, &mut self.rng);
        let request = self.target.request(&csv::path(DATABASE), Some(csv::ACCEPT), Some(query.text.as_bytes()));
        let begun = Instant::now();
        let reply = door.send(request).await.0?;
        let time_ns = begun.elapsed().as_nanos() as u64;
        let rows = csv::rows(&query.text, reply)?.len() as u64;
        // A window anywhere may be deleted while it is asked for; of the newest hours nothing is.
        if hours.is_some() && !query.expected.holds(rows) {
            return Err(Error::Reply(format!("{}\n  gave {rows} rows instead of {:?}", query.text, query.expected)));
        }
        lock(&self.shared.seen).query_ns.entry(name).or_default().push(time_ns);
        Ok(())
    }
}
