//! `loadtest verify`: does the server keep what it acknowledged when it is killed?
//!
//! A round, on one data folder that grows from round to round:
//!
//! 1. Start the server, wait until it answers (the time is the recovery time).
//! 2. Several connections write batches of 1 to 5,000 rows; every value follows from the seed (`ledger`). One more
//!    deletes batches of earlier rounds. Beside them some connections write to tables of a second database, which two
//!    more drop and make again, with other columns and types, as they do with the database; its TTL changes, too. There
//!    every value says where it belongs (`lives`).
//!    Meanwhile the server's clock is set ahead and back (`clock`).
//! 3. At a seeded random moment the process gets SIGKILL. Batches whose reply came are acknowledged, at most one batch
//!    of each connection is in flight.
//! 4. Restart. One time in four it is killed once more while it recovers.
//! 5. Check through `/api/v1/sql`: sums of every batch ever written, rows of every series, and every value of a sample
//!    of batches, those in flight among them; and every value of the second database.
//!
//! Memtables and log files are small (unless `--set` says otherwise), so that flushes, merges and the reuse of log
//! files go on between the kills; a long run in which none was seen fails.
//!
//! After the last round the server ends on SIGTERM (it must exit with 0), starts again and is checked once more, and
//! again when it takes its clock for settled, so that nothing has expired by a clock that was wrong.
//!
//! With `--catalog` the storms are of changes of the catalog alone (`catalog`).
//!
//! Footnote: SIGKILL leaves the page cache alive, so this shows recovery after a crash of the process, not after a loss
//! of power.

mod catalog;
mod changer;
mod check;
mod client;
mod clock;
mod ledger;
mod lives;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use crate::error::{Context, Error, Result};
use crate::metrics::Work;
use crate::output;
use crate::own::{Own, ServerArgs};
use crate::promise::Promises;
use crate::write::{Api, duration};
use check::Checker;
use client::{Deleter, Writer, load};
use clock::Clock;
use ledger::{Batch, Ledger, State, Verdict};
use lives::Lives;

/// The database that is written.
const DATABASE: &str = "verify";
/// A kill during recovery comes at most this late.
const RECOVERY_KILL_MS_MAX: u64 = 300;
/// One round in this many is killed again while it recovers.
const RECOVERY_KILL_ONE_IN: u32 = 4;

/// A run of at least this many kills must have met flushes and merges.
const KILLS_MANY: u32 = 10;
/// Small, so that a round of a second flushes and reuses log files several times.
const FLUSH_BYTES: &str = "2MiB";
const WAL_FILE_BYTES: &str = "4MiB";

/// `loadtest verify`
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Storms of changes of users, tenants, roles, grants, databases and tables, in place of rows.
    #[arg(long)]
    catalog: bool,
    /// Rounds, each with a kill.
    #[arg(long, default_value_t = 20)]
    kills: u32,
    /// Connections that write.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256))]
    connections: u32,
    /// Earliest moment of a kill after the first write.
    #[arg(long, default_value_t = 50)]
    kill_ms_min: u64,
    /// Latest moment of a kill.
    #[arg(long, default_value_t = 1_000)]
    kill_ms_max: u64,
    /// Most rows written in a round; the connections then wait for the kill.
    #[arg(long, default_value_t = 1_000_000)]
    round_rows_max: u64,
    /// Durability mode passed to the server as --wal-sync.
    #[arg(long, default_value = "always")]
    wal_sync: String,
    /// Batches that are deleted in each round.
    #[arg(long, default_value_t = 10)]
    deletes: u32,
    /// Same seed, same rows and the same moments of the kills.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Batches of each round whose every value is read back.
    #[arg(long, default_value_t = 40)]
    sample: usize,
    /// Also write the rounds as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// One round as it is reported.
#[derive(Debug, Serialize)]
struct Round {
    name: String,
    killed_after_ms: u64,
    killed_in_recovery: bool,
    batches: u64,
    rows: u64,
    recovery_ms: f64,
    verdict: Verdict,
}

/// Runs the command.
pub(crate) fn command(args: VerifyArgs) -> Result<()> {
    if args.kill_ms_min > args.kill_ms_max {
        return Err(Error::Usage("--kill-ms-min is above --kill-ms-max".to_owned()));
    }
    if args.catalog {
        return catalog::command(&args);
    }
    let keys = [
        ("wal.sync", args.wal_sync.clone()),
        ("wal.file_bytes", WAL_FILE_BYTES.to_owned()),
        ("memtable.flush_bytes", FLUSH_BYTES.to_owned()),
    ];
    let clock = Clock::new(&args.server.data_dir)?;
    let clock_keys = [
        ("retention.clock_settle_s", clock::SETTLE_S.to_string()),
        ("retention.clock_offset_file", clock.path().display().to_string()),
    ];
    let server = args.server.prepare(&[&keys[..], &clock_keys].concat())?;
    let (ledger, lives) = (Ledger::default(), Lives::default());
    let mut run = Run { args, server, clock, ledger, lives, round_number: 0, work: Work::default() };
    let rounds = run.all()?;
    let bad = rounds.iter().filter(|round| !round.verdict.is_good()).count();
    output::print(&table(&rounds))?;
    let work = run.work;
    output::print(&format!(
        "\nbetween the kills: {} flushes, {} merges that read and wrote {:.1} MB, {:.1} MB of log, {} deletes\n",
        work.flushes,
        work.merges,
        (work.merge_read_bytes + work.merge_written_bytes) as f64 / 1e6,
        work.log_bytes as f64 / 1e6,
        work.deletes
    ))?;
    let (written, taken) = run.lives.counts();
    output::print(&format!("beside drops and re-creations: {written} writes, {taken} drops and deletes\n"))?;
    output::print(&format!("the server's clock was wrong {} times\n", run.clock.jumps()))?;
    if let Some(path) = &run.args.json {
        output::write_json(path, &rounds)?;
    }
    if bad == 0 {
        return enough(&run.args, &work);
    }
    let findings: Vec<&str> =
        rounds.iter().flat_map(|round| &round.verdict.findings).map(String::as_str).take(20).collect();
    Err(Error::Failed(format!("{bad} checks failed:\n  {}", findings.join("\n  "))))
}

/// A run of many kills must have met flushes and merges, or it has shown less than it says.
fn enough(args: &VerifyArgs, work: &Work) -> Result<()> {
    let mut promises = Promises::default();
    promises.none("flushes and merges that failed", work.failures);
    if args.kills >= KILLS_MANY {
        promises.some("flushes", work.flushes);
        promises.some("merges", work.merges);
    }
    promises.verdict()
}

struct Run {
    args: VerifyArgs,
    server: Own,
    clock: Clock,
    ledger: Ledger,
    lives: Lives,
    round_number: u64,
    /// What the server did between the kills.
    work: Work,
}

impl Run {
    fn all(&mut self) -> Result<Vec<Round>> {
        let mut rounds = Vec::new();
        self.server.start()?;
        Api::Cnos.create_database(&self.server.target(), DATABASE)?;
        changer::create(&self.server.target())?;
        for _ in 0..self.args.kills {
            self.round_number += 1;
            let mut rng = fastrand::Rng::with_seed(self.args.seed.wrapping_mul(1_000_003) ^ self.round_number);
            let killed_after_ms = rng.u64(self.args.kill_ms_min..=self.args.kill_ms_max);
            let batches = self.write_until_killed(killed_after_ms, &mut rng)?;
            let killed_in_recovery = rng.u32(..RECOVERY_KILL_ONE_IN) == 0;
            if killed_in_recovery {
                self.server.start_and_kill(Duration::from_millis(rng.u64(..RECOVERY_KILL_MS_MAX)))?;
            }
            let recovery = self.server.start()?;
            self.clock.put_right()?;
            let rows = batches.iter().map(|batch| batch.rows).sum();
            let count = batches.len() as u64;
            let sample = self.sample(&batches, &mut rng);
            self.ledger.batches.extend(batches.into_iter().map(|batch| ((batch.connection, batch.id), batch)));
            let verdict = self.check(&sample)?;
            let round = Round {
                name: self.round_number.to_string(),
                killed_after_ms,
                killed_in_recovery,
                batches: count,
                rows,
                recovery_ms: recovery.as_secs_f64() * 1e3,
                verdict,
            };
            eprintln!(
                "round {}: killed after {killed_after_ms} ms, {} rows acknowledged in all, recovery {}, {}",
                round.name,
                round.verdict.acknowledged_rows,
                duration(round.recovery_ms * 1e3),
                if round.verdict.is_good() { "ok" } else { "FAILED" }
            );
            let good = round.verdict.is_good();
            rounds.push(round);
            if !good {
                return Ok(rounds);
            }
        }
        let begun = Instant::now();
        let ended = self.server.terminate();
        let recovery = self.server.start()?;
        let mut verdict = self.check(&[])?;
        // What may expire by a clock that has been wrong would be gone now.
        clock::wait_until_settled(&self.server.target())?;
        let settled = self.check(&[])?;
        settled.findings.into_iter().for_each(|finding| verdict.find(finding));
        if let Err(error) = ended {
            verdict.find(error.to_string());
        }
        rounds.push(Round {
            name: "SIGTERM".to_owned(),
            killed_after_ms: (begun.elapsed().saturating_sub(recovery)).as_millis() as u64,
            killed_in_recovery: false,
            batches: 0,
            rows: 0,
            recovery_ms: recovery.as_secs_f64() * 1e3,
            verdict,
        });
        Ok(rounds)
    }

    fn check(&mut self, sample: &[(u32, u64)]) -> Result<Verdict> {
        let target = &self.server.target();
        let checker = Checker { target, seed: self.args.seed, connections: self.args.connections };
        let mut verdict = checker.check(&mut self.ledger, sample)?;
        // It may have been dropped when the server was killed.
        changer::create(target)?;
        match changer::found(target) {
            Ok(found) => self.lives.check(&found, &mut verdict),
            Err(strange) => verdict.find(strange.to_string()),
        }
        Ok(verdict)
    }

    /// The batches whose every value is read back: all in flight, and acknowledged ones at random.
    fn sample(&self, batches: &[Batch], rng: &mut fastrand::Rng) -> Vec<(u32, u64)> {
        let key = |batch: &Batch| (batch.connection, batch.id);
        let mut sample: Vec<_> = batches.iter().filter(|batch| batch.state == State::InFlight).map(key).collect();
        let mut rest: Vec<_> = batches.iter().filter(|batch| batch.state != State::InFlight).map(key).collect();
        rng.shuffle(&mut rest);
        rest.truncate(self.args.sample);
        sample.extend(rest);
        sample
    }

    /// Batches of earlier rounds, to be deleted in this one.
    fn doomed(&self, rng: &mut fastrand::Rng) -> Vec<Batch> {
        let mut settled: Vec<&Batch> = self.ledger.batches.values().filter(|b| b.settled().is_some()).collect();
        rng.shuffle(&mut settled);
        settled.into_iter().take(self.args.deletes as usize).cloned().collect()
    }

    /// Writes on all connections, deletes on one, kills the server, returns the batches of the round. What became of
    /// those that were deleted is in the ledger.
    fn write_until_killed(&mut self, after_ms: u64, rng: &mut fastrand::Rng) -> Result<Vec<Batch>> {
        let target = self.server.target();
        let budget = Arc::new(AtomicU64::new(self.args.round_rows_max));
        let doomed = self.doomed(rng);
        let pause = Duration::from_millis(after_ms) / (self.args.deletes + 1);
        let deleter = Deleter { target: target.clone(), pause };
        let writers: Vec<Writer> = (0..self.args.connections)
            .map(|connection| {
                let last = self.ledger.batches.range((connection, 0)..=(connection, u64::MAX)).next_back();
                Writer {
                    target: target.clone(),
                    seed: self.args.seed,
                    connection,
                    next_id: last.map_or(0, |(_, batch)| batch.id + 1),
                    next_row: last.map_or(0, |(_, batch)| batch.first + batch.rows),
                    budget: Arc::clone(&budget),
                    rng: fastrand::Rng::with_seed(
                        self.args.seed ^ (self.round_number << 32) ^ u64::from(connection).wrapping_mul(0x51_7C_C1),
                    ),
                }
            })
            .collect();
        let client = thread::Builder::new().name("writers".to_owned());
        let lives = (std::mem::take(&mut self.lives), rng.fork());
        let client = client.spawn(move || load(writers, deleter, doomed, lives)).context(|| "start a client thread")?;
        let moving = self.clock.begin(rng.fork())?;
        thread::sleep(Duration::from_millis(after_ms));
        // A server that is too busy to say what it did is killed all the same.
        let work = Work::read(&target);
        let killed = self.server.kill();
        self.clock.end(moving)?;
        let loaded = client.join().map_err(|_| Error::Failed("a client thread panicked".to_owned()))?;
        killed?;
        self.work = self.work.then(work?);
        let (batches, deleted, lives) = loaded?;
        self.lives = lives;
        for (key, is_acknowledged) in deleted {
            if let Some(batch) = self.ledger.batches.get_mut(&key) {
                batch.delete(is_acknowledged);
            }
        }
        Ok(batches)
    }
}

fn table(rounds: &[Round]) -> String {
    let head = [
        "round",
        "killed after",
        "in recovery",
        "batches",
        "rows",
        "acked rows in all",
        "in flight: whole/none/part",
        "recovery",
        "lost",
        "twice",
        "undeleted",
        "wrong",
        "",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for round in rounds {
        let verdict = &round.verdict;
        rows.push(vec![
            round.name.clone(),
            format!("{} ms", round.killed_after_ms),
            if round.killed_in_recovery { "too" } else { "-" }.to_owned(),
            round.batches.to_string(),
            round.rows.to_string(),
            verdict.acknowledged_rows.to_string(),
            format!("{}/{}/{}", verdict.in_flight_whole, verdict.in_flight_absent, verdict.in_flight_partial),
            duration(round.recovery_ms * 1e3),
            verdict.lost_rows.to_string(),
            verdict.duplicated_rows.to_string(),
            format!("{} of {} batches", verdict.undeleted_rows, verdict.deleted_batches),
            verdict.wrong_batches.to_string(),
            if verdict.is_good() { "ok" } else { "FAILED" }.to_owned(),
        ]);
    }
    output::table(&rows)
}
