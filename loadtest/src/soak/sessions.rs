//! The soak's database of short-lived series: they are written, deleted by every door there is, and come back.
//!
//! One task does all of it, so after each step the rows of each series are known exactly. A cycle:
//!
//! 1. every series gets rows at the next times;
//! 2. `DROP SERIES` (InfluxQL) takes one series;
//! 3. `DELETE … AND time <` (SQL, then InfluxQL) takes the older rows of one series each;
//! 4. `DELETE … time <` (SQL) takes what is older than a few cycles, of all;
//! 5. every [`TABLE_CYCLES`] cycles the whole table goes.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::audit::instant;
use super::door::{Door, Shared};
use crate::error::{Error, Result};
use crate::http::Target;
use crate::workload::START_NS;

/// The database.
pub(super) const DATABASE: &str = "soak_sessions";
const SERIES: u64 = 200;
/// Rows of a series in a cycle.
const ROWS: u64 = 20;
/// Rows older than this many cycles are deleted.
const KEPT_CYCLES: u64 = 5;
/// The table is dropped once in this many cycles.
const TABLE_CYCLES: u64 = 20;
const STEP_NS: i64 = 1_000_000_000;
/// Between two cycles.
const EVERY: Duration = Duration::from_secs(3);

/// Times of the rows of each series that must be there, as numbers of steps.
#[derive(Debug, Default)]
pub(super) struct Kept(BTreeMap<u64, Vec<u64>>);

impl Kept {
    fn write(&mut self, cycle: u64) {
        for series in 0..SERIES {
            self.0.entry(series).or_default().extend(cycle * ROWS..(cycle + 1) * ROWS);
        }
    }

    fn delete(&mut self, series: Option<u64>, before: u64) {
        for (number, steps) in &mut self.0 {
            if series.is_none_or(|series| series == *number) {
                steps.retain(|step| *step >= before);
            }
        }
        self.0.retain(|_, steps| !steps.is_empty());
    }

    fn rows(&self) -> BTreeMap<String, u64> {
        self.0.iter().map(|(series, steps)| (format!("s{series}"), steps.len() as u64)).collect()
    }
}

fn time(step: u64) -> String {
    instant(START_NS + step as i64 * STEP_NS)
}

/// Writes, deletes, checks.
pub(super) struct Sessions {
    door: Door,
    shared: Arc<Shared>,
    rng: fastrand::Rng,
    kept: Kept,
    deletes: bool,
}

impl Sessions {
    /// `kept` is what an earlier run of the server has left.
    pub(super) fn new(target: &Target, shared: &Arc<Shared>, deletes: bool, kept: Kept) -> Self {
        let door = Door::new(target, shared);
        Self { door, shared: Arc::clone(shared), rng: fastrand::Rng::with_seed(1), kept, deletes }
    }

    /// Until the end of the run, or the first failure: then it is not known any more what must be there. Returns what
    /// must be there.
    pub(super) async fn run(mut self) -> Option<Kept> {
        // Without deletes the table would only grow: it is then written for as long as it would be kept.
        let cycles = if self.deletes { u64::MAX } else { KEPT_CYCLES };
        let mut cycle = 0;
        while !self.shared.is_stopped() && cycle < cycles {
            if let Err(error) = self.one_cycle(cycle).await {
                self.shared.error(&error);
                return None;
            }
            cycle += 1;
            self.shared.pause(EVERY).await;
        }
        Some(self.kept)
    }

    async fn one_cycle(&mut self, cycle: u64) -> Result<()> {
        let mut lines = String::new();
        for series in 0..SERIES {
            for step in cycle * ROWS..(cycle + 1) * ROWS {
                let time_ns = START_NS + step as i64 * STEP_NS;
                // Writing into a String cannot fail.
                let _ = writeln!(lines, "sessions,sid=s{series},site=site_{} hits={step}i {time_ns}", series % 7);
            }
        }
        self.door.write(DATABASE, lines.as_bytes()).await?;
        self.kept.write(cycle);
        self.shared.rows.fetch_add(SERIES * ROWS, Ordering::Relaxed);
        if self.deletes {
            self.delete(cycle).await?;
        }
        self.check().await
    }

    async fn delete(&mut self, cycle: u64) -> Result<()> {
        let [dropped, by_sql, by_influxql] = [(); 3].map(|()| self.rng.u64(..SERIES));
        self.door.influxql(DATABASE, &format!("DROP SERIES FROM sessions WHERE sid = 's{dropped}'")).await?;
        self.kept.delete(Some(dropped), u64::MAX);
        let middle = cycle * ROWS + ROWS / 2;
        let older = |series: u64| format!("DELETE FROM sessions WHERE sid = 's{series}' AND time < '{}'", time(middle));
        self.door.sql(DATABASE, &older(by_sql)).await?;
        self.kept.delete(Some(by_sql), middle);
        self.door.influxql(DATABASE, &older(by_influxql)).await?;
        self.kept.delete(Some(by_influxql), middle);
        if let Some(oldest) = cycle.checked_sub(KEPT_CYCLES) {
            let text = format!("DELETE FROM sessions WHERE time < '{}'", time(oldest * ROWS));
            self.door.sql(DATABASE, &text).await?;
            self.kept.delete(None, oldest * ROWS);
        }
        if (cycle + 1).is_multiple_of(TABLE_CYCLES) {
            self.door.sql(DATABASE, "DROP TABLE sessions").await?;
            self.kept.delete(None, u64::MAX);
        }
        Ok(())
    }

    /// All series and their rows.
    pub(super) async fn check(&mut self) -> Result<()> {
        if self.kept.0.is_empty() {
            // The table is dropped: a query would be refused.
            return Ok(());
        }
        let text = "SELECT sid, count(*) FROM sessions GROUP BY sid";
        let mut found = BTreeMap::new();
        for row in self.door.sql(DATABASE, text).await? {
            if found.insert(row.text(0)?.to_owned(), row.number(1)?).is_some() {
                return Err(Error::Reply(format!("{text}\n  returned a group twice: {row:?}")));
            }
        }
        self.shared.check(text, &found, &self.kept.rows());
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
    fn deletes_take_what_they_name() {
        let mut kept = Kept::default();
        kept.write(0);
        kept.write(1);
        kept.delete(Some(3), 25);
        kept.delete(None, 10);
        assert_eq!((kept.rows()["s3"], kept.rows()["s4"]), (15, 30));
        kept.delete(Some(4), u64::MAX);
        assert!(!kept.rows().contains_key("s4"));
        kept.delete(None, u64::MAX);
        assert!(kept.0.is_empty());
    }

    #[test]
    fn a_server_that_keeps_a_dropped_series_is_found_out() {
        let mock = Mock::start(|_, asked| match asked.body.as_str() {
            text if text.starts_with("SELECT") => {
                let rows: String = (0..SERIES).map(|series| format!("s{series},{ROWS}\n")).collect();
                reply("200 OK", "", &format!("sid,count\n{rows}"))
            }
            _ if asked.path.starts_with("/query") => reply("200 OK", "", "{\"results\":[{\"statement_id\":0}]}"),
            _ => reply("200 OK", "", ""),
        });
        let findings = |deletes| {
            let shared = Arc::new(Shared::new(Fleet::new(Size { hosts: 1, ticks: 1, seed: 1 })));
            let mut sessions = Sessions::new(&mock.target, &shared, deletes, Kept::default());
            crate::http::runtime().unwrap().block_on(async { sessions.one_cycle(0).await.unwrap() });
            lock(&shared.findings).len()
        };
        assert_eq!((findings(false), findings(true)), (0, 1));
        let texts: Vec<String> = mock.asked().into_iter().map(|asked| asked.body + &asked.path).collect();
        assert!(texts.iter().any(|text| text.contains("DROP%20SERIES%20FROM%20sessions")), "{texts:?}");
    }
}
