//! Deletes on the soak's main database, and checks of what must be there and what must not.
//!
//! One task does both, and looks only at settled batches: nobody else changes what it counts.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::door::{Door, Shared, lock};
use super::fleet::{Found, Hole, time_of};
use crate::csv::Cells;
use crate::error::Result;
use crate::http::Target;

/// The database of the fleet.
pub(super) const DATABASE: &str = "soak_fleet";
/// Between two turns of the audit.
const EVERY: Duration = Duration::from_secs(5);
/// Ticks that are deleted of one host. Fewer than the 360 of an hour: no query of the set then finds a host empty.
const HOLE_TICKS: u64 = 200;
/// Ticks that a check counts.
const SAMPLE_TICKS: u64 = 500;
/// Checks of a turn, and of the last one.
const SAMPLES: u32 = 3;
const SAMPLES_LAST: u32 = 100;

/// Deletes and checks.
pub(super) struct Audit {
    pub(super) door: Door,
    pub(super) shared: Arc<Shared>,
    pub(super) rng: fastrand::Rng,
    /// Batches that are kept; older ones are deleted.
    pub(super) keep_batches: u64,
    /// Whether to delete at all.
    pub(super) deletes: bool,
    /// Turns so far: every other hole is made through InfluxQL.
    turn: u64,
}

impl Audit {
    pub(super) fn new(target: &Target, shared: &Arc<Shared>, seed: u64, keep_batches: u64, deletes: bool) -> Self {
        let door = Door::new(target, shared);
        Self { door, shared: Arc::clone(shared), rng: fastrand::Rng::with_seed(seed), keep_batches, deletes, turn: 0 }
    }

    /// Turns until the end of the run.
    pub(super) async fn run(mut self) {
        while !self.shared.is_stopped() {
            self.shared.pause(EVERY).await;
            if let Err(error) = self.one_turn().await {
                self.shared.error(&error);
            }
        }
    }

    async fn one_turn(&mut self) -> Result<()> {
        self.turn += 1;
        if self.deletes {
            self.delete_old().await?;
            self.delete_of_one_host().await?;
        }
        for _ in 0..SAMPLES {
            self.check_host().await?;
        }
        self.check_stretch().await
    }

    /// Everything that is deleted is gone, everything else is there: samples of both.
    pub(super) async fn last_turn(&mut self) -> Result<()> {
        self.check_horizon().await?;
        let holes = lock(&self.shared.fleet).holes().to_vec();
        for hole in &holes {
            self.check_hole(hole).await?;
        }
        for _ in 0..SAMPLES_LAST {
            self.check_host().await?;
            self.check_stretch().await?;
        }
        Ok(())
    }

    /// Deletes what is older than what is kept.
    async fn delete_old(&mut self) -> Result<()> {
        let kept = lock(&self.shared.fleet).kept();
        if kept.end - kept.start <= self.keep_batches {
            return Ok(());
        }
        let horizon = kept.end - self.keep_batches;
        let end = time_of(horizon * lock(&self.shared.fleet).size.ticks);
        self.door.sql(DATABASE, &format!("DELETE FROM cpu WHERE time < '{}'", instant(end))).await?;
        lock(&self.shared.fleet).deleted_below(horizon);
        self.check_horizon().await
    }

    async fn check_horizon(&mut self) -> Result<()> {
        let horizon = lock(&self.shared.fleet).horizon_ns();
        let text = format!("SELECT count(*) FROM cpu WHERE time < '{}'", instant(horizon));
        let rows = self.door.count(DATABASE, &text).await?;
        self.shared.check(&text, &rows, &0);
        Ok(())
    }

    async fn delete_of_one_host(&mut self) -> Result<()> {
        let drawn = lock(&self.shared.fleet).draw_to_delete(HOLE_TICKS, &mut self.rng);
        let Some(hole) = drawn else { return Ok(()) };
        let text = format!("DELETE FROM cpu WHERE {}", condition(&hole));
        if self.turn.is_multiple_of(2) {
            self.door.influxql(DATABASE, &text).await?;
        } else {
            self.door.sql(DATABASE, &text).await?;
        }
        lock(&self.shared.fleet).deleted(hole.clone());
        self.check_hole(&hole).await
    }

    async fn check_hole(&mut self, hole: &Hole) -> Result<()> {
        let text = format!("SELECT count(*) FROM cpu WHERE {}", condition(hole));
        let rows = self.door.count(DATABASE, &text).await?;
        self.shared.check(&text, &rows, &0);
        Ok(())
    }

    /// Rows and sums of one host.
    async fn check_host(&mut self) -> Result<()> {
        let asked = {
            let fleet = lock(&self.shared.fleet);
            fleet.draw(SAMPLE_TICKS, &mut self.rng).map(|drawn| (fleet.expected(&drawn), drawn))
        };
        let Some((expected, drawn)) = asked else { return Ok(()) };
        let condition = condition(&drawn);
        let text = format!("SELECT count(*), sum(usage_user), sum(usage_guest_nice) FROM cpu WHERE {condition}");
        let rows = self.door.sql(DATABASE, &text).await?;
        self.shared.check(&text, &found(&rows)?, &expected);
        Ok(())
    }

    /// Rows of all hosts.
    async fn check_stretch(&mut self) -> Result<()> {
        let asked = {
            let fleet = lock(&self.shared.fleet);
            fleet.draw(SAMPLE_TICKS, &mut self.rng).map(|drawn| (fleet.expected_rows(&drawn.ticks), drawn))
        };
        let Some((expected, drawn)) = asked else { return Ok(()) };
        let text = format!("SELECT count(*) FROM cpu WHERE {}", within(&drawn.ticks));
        let rows = self.door.count(DATABASE, &text).await?;
        self.shared.check(&text, &rows, &expected);
        Ok(())
    }
}

fn condition(hole: &Hole) -> String {
    format!("hostname = 'host_{}' AND {}", hole.host, within(&hole.ticks))
}

fn within(ticks: &Range<u64>) -> String {
    format!("time >= '{}' AND time < '{}'", instant(time_of(ticks.start)), instant(time_of(ticks.end)))
}

/// RFC 3339.
pub(super) fn instant(time_ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(time_ns)).map_or_else(|_| time_ns.to_string(), |time| time.to_string())
}

/// Sums over no rows are null, an empty cell.
fn found(rows: &[Cells]) -> Result<Found> {
    let Some(row) = rows.first() else { return Ok(Found::default()) };
    let rows = row.number(0)?;
    if rows == 0 { Ok(Found::default()) } else { Ok(Found { rows, first: row.number(1)?, last: row.number(2)? }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::fleet::{Fleet, Size};
    use crate::testing::{Mock, reply};

    fn audited(answer: impl Fn(&str) -> String + Send + Sync + 'static, turns: u64) -> (Arc<Shared>, Mock) {
        let mut fleet = Fleet::new(Size { hosts: 5, ticks: 2, seed: 1 });
        for _ in 0..2_000 {
            let batch = fleet.deal();
            fleet.acknowledged(batch);
        }
        let shared = Arc::new(Shared::new(fleet));
        let mock = Mock::start(move |_, asked| match asked.path.starts_with("/query") {
            true => reply("200 OK", "", "{\"results\":[{\"statement_id\":0}]}"),
            false => reply("200 OK", "", &answer(&asked.body)),
        });
        let mut audit = Audit::new(&mock.target, &shared, 1, 1_000, true);
        crate::http::runtime().unwrap().block_on(async {
            for _ in 0..turns {
                audit.one_turn().await.unwrap();
            }
        });
        (shared, mock)
    }

    #[test]
    fn a_server_that_forgets_everything_is_found_out() {
        let (shared, mock) = audited(|_| "count\n0\n".to_owned(), 2);
        let texts: Vec<String> = mock.asked().into_iter().map(|asked| asked.body + &asked.path).collect();
        assert!(texts.iter().any(|text| text.starts_with("DELETE FROM cpu WHERE time < '2016-01-01T")), "{texts:?}");
        assert!(texts.iter().any(|text| text.starts_with("DELETE FROM cpu WHERE hostname = 'host_")), "{texts:?}");
        assert!(texts.iter().any(|text| text.starts_with("/query?db=soak%5Ffleet&q=DELETE%20FROM%20cpu")), "{texts:?}");
        // The deleted is gone, as it must be; the rest is gone too.
        let findings = lock(&shared.findings);
        assert_eq!(findings.len(), 8, "{findings:?}");
        assert!(findings.iter().all(|finding| finding.contains("found")), "{findings:?}");
        assert_eq!(shared.checks.load(std::sync::atomic::Ordering::Relaxed), 11);
        assert!(lock(&shared.fleet).kept().start > 0);
    }

    #[test]
    fn rows_that_come_back_are_found_out() {
        let (shared, _) = audited(|text| format!("count\n{}\n", u8::from(!text.contains("sum("))), 1);
        let findings = lock(&shared.findings).join("\n");
        assert!(findings.contains("WHERE time < "), "{findings}");
    }
}
