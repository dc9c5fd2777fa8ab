//! The soak's database with a short TTL: rows bear the time of the clock, and partitions of a minute expire while the
//! run goes on.
//!
//! One task writes, counts what must be seen and looks that what has expired is not. The time of a row is that of its
//! making, so a window of time that has passed is complete as soon as its last batch is acknowledged.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::audit::instant;
use super::door::{Door, Shared};
use crate::error::Result;
use crate::http::Target;

/// The database.
pub(super) const DATABASE: &str = "soak_expiring";
/// Length of a partition: the least that there is.
pub(super) const PARTITION: Duration = Duration::from_secs(60);
/// The server looks for expired partitions every 30 s; on a busy machine the look may come late.
pub(super) const SLACK: Duration = Duration::from_secs(60);
const ROWS: u64 = 1_000;
const TRUCKS: u64 = 500;
/// Between two batches.
const EVERY: Duration = Duration::from_millis(50);
/// Between two checks.
const CHECK_EVERY: Duration = Duration::from_secs(10);
const MESSAGES: [&str; 3] = ["all systems nominal", "tyre pressure low", "door open"];

/// What was acknowledged, by the time of the first row of each batch.
#[derive(Debug, Default)]
pub(super) struct Written(VecDeque<i64>);

impl Written {
    /// Rows of the batches in a window; batches are whole in it or not in it.
    fn rows(&self, from_ns: i64, to_ns: i64) -> u64 {
        self.0.iter().filter(|first_ns| (from_ns..to_ns).contains(*first_ns)).count() as u64 * ROWS
    }

    /// The first batch at or after a moment: a border between batches.
    fn border(&self, at_ns: i64) -> Option<i64> {
        self.0.iter().copied().find(|first_ns| *first_ns >= at_ns)
    }

    fn forget_before(&mut self, time_ns: i64) {
        while self.0.front().is_some_and(|first_ns| *first_ns < time_ns) {
            self.0.pop_front();
        }
    }
}

/// Writes and checks.
pub(super) struct Readings {
    door: Door,
    shared: Arc<Shared>,
    ttl: Duration,
    written: Written,
    rng: fastrand::Rng,
}

/// Statement that makes the database.
pub(super) fn create(ttl: Duration) -> String {
    format!("CREATE DATABASE {DATABASE} WITH TTL '{}s' VNODE_DURATION '{}s'", ttl.as_secs(), PARTITION.as_secs())
}

fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| i64::try_from(now.as_nanos()).unwrap_or(i64::MAX))
}

impl Readings {
    /// `written` is what an earlier run of the server has acknowledged.
    pub(super) fn new(target: &Target, shared: &Arc<Shared>, ttl: Duration, written: Written) -> Self {
        let door = Door::new(target, shared);
        Self { door, shared: Arc::clone(shared), ttl, written, rng: fastrand::Rng::with_seed(1) }
    }

    /// Until the end of the run; returns what was written.
    pub(super) async fn run(mut self) -> Written {
        let mut checked = Instant::now();
        while !self.shared.is_stopped() {
            if let Err(error) = self.write_one().await {
                self.shared.error(&error);
            }
            if checked.elapsed() >= CHECK_EVERY {
                checked = Instant::now();
                if let Err(error) = self.check().await {
                    self.shared.error(&error);
                }
            }
            self.shared.pause(EVERY).await;
        }
        self.written
    }

    async fn write_one(&mut self) -> Result<()> {
        // A clock that is set back must not mix the batches.
        let first_ns = now_ns().max(self.written.0.back().map_or(0, |last| last + ROWS as i64));
        let mut lines = String::new();
        for row in 0..ROWS {
            let truck = (first_ns as u64 / 1_000_000 + row) % TRUCKS;
            let (speed, fuel) = (self.rng.u32(..1_000), self.rng.f64());
            let message = MESSAGES[self.rng.usize(..MESSAGES.len())];
            // Writing into a String cannot fail.
            let _ = writeln!(
                lines,
                "readings,truck=truck_{truck} speed={}.{},fuel={fuel},message=\"{message}\" {}",
                speed / 10,
                speed % 10,
                first_ns + row as i64
            );
        }
        self.door.write(DATABASE, lines.as_bytes()).await?;
        self.written.0.push_back(first_ns);
        self.shared.rows.fetch_add(ROWS, Ordering::Relaxed);
        Ok(())
    }

    /// What is young is there, what has expired is not seen.
    pub(super) async fn check(&mut self) -> Result<()> {
        let now = now_ns();
        let nanoseconds = |time: Duration| time.as_nanos() as i64;
        let expired = instant(now - nanoseconds(self.ttl + PARTITION + SLACK));
        let text = format!("SELECT count(*) FROM readings WHERE time < '{expired}'");
        let rows = self.door.count(DATABASE, &text).await?;
        self.shared.check(&text, &rows, &0);
        // The younger half of what lives.
        let young = now - nanoseconds(self.ttl) / 2;
        self.written.forget_before(young);
        let Some(from) = self.written.border(young) else { return Ok(()) };
        let to = self.written.0.back().map_or(from, |last| last + ROWS as i64);
        let text =
            format!("SELECT count(*) FROM readings WHERE time >= '{}' AND time < '{}'", instant(from), instant(to));
        let rows = self.door.count(DATABASE, &text).await?;
        self.shared.check(&text, &rows, &self.written.rows(from, to));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::door::lock;
    use crate::soak::fleet::{Fleet, Size};
    use crate::testing::{Mock, reply};

    #[test]
    fn windows_hold_whole_batches() {
        let mut written = Written([10, 5_000, 9_000].into());
        assert_eq!((written.rows(0, 9_000), written.rows(10, 9_001), written.rows(11, 12)), (2_000, 3_000, 0));
        assert_eq!((written.border(11), written.border(9_001)), (Some(5_000), None));
        written.forget_before(5_000);
        assert_eq!(written.rows(0, i64::MAX), 2_000);
        assert!(create(Duration::from_secs(90)).ends_with("WITH TTL '90s' VNODE_DURATION '60s'"));
    }

    #[test]
    fn what_is_missing_and_what_is_still_seen_are_found_out() {
        let run = |expired: &'static str, young: &'static str| {
            let mock = Mock::start(move |_, asked| match asked.body.as_str() {
                text if text.contains("AND time <") => reply("200 OK", "", &format!("count\n{young}\n")),
                text if text.starts_with("SELECT") => reply("200 OK", "", &format!("count\n{expired}\n")),
                _ => reply("200 OK", "", ""),
            });
            let shared = Arc::new(Shared::new(Fleet::new(Size { hosts: 1, ticks: 1, seed: 1 })));
            let mut readings = Readings::new(&mock.target, &shared, Duration::from_secs(60), Written::default());
            crate::http::runtime().unwrap().block_on(async {
                readings.write_one().await.unwrap();
                readings.write_one().await.unwrap();
                readings.check().await.unwrap();
            });
            lock(&shared.findings).len()
        };
        assert_eq!([run("0", "2000"), run("0", "1999"), run("1", "2000")], [0, 1, 1]);
    }
}
