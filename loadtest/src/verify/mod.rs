//! `loadtest verify`: does the server keep what it acknowledged when it is killed?
//!
//! A round, on one data folder that grows from round to round:
//!
//! 1. Start the server, wait until it answers (the time is the recovery time).
//! 2. Several connections write batches of 1 to 5,000 rows; every value follows from the seed (`ledger`).
//! 3. At a seeded random moment the process gets SIGKILL. Batches whose reply came are acknowledged, at most one batch
//!    of each connection is in flight.
//! 4. Restart. One time in four it is killed once more while it recovers.
//! 5. Check through `/api/v1/sql`: sums of every batch ever written, rows of every series, and every value of a sample
//!    of batches, those in flight among them.
//!
//! After the last round the server ends on SIGTERM (it must exit with 0), starts again and is checked once more.
//!
//! Footnote: SIGKILL leaves the page cache alive, so this shows recovery after a crash of the process, not after a loss
//! of power.

mod check;
mod ledger;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use crate::child::{Child, Launch, find_program, spare_port};
use crate::error::{Context, Error, Result};
use crate::http::{self, Connection, Target};
use crate::output;
use crate::write::{Api, duration};
use check::Checker;
use ledger::{Batch, Ledger, State, Verdict};

/// The database that is written.
const DATABASE: &str = "verify";
/// Sizes of batches; small ones are frequent.
const BATCH_ROWS: [u64; 8] = [1, 1, 1, 2, 10, 100, 1_000, 5_000];
/// A kill during recovery comes at most this late.
const RECOVERY_KILL_MS_MAX: u64 = 300;
/// One round in this many is killed again while it recovers.
const RECOVERY_KILL_ONE_IN: u32 = 4;

/// `loadtest verify`
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The server's binary.
    #[arg(long)]
    server: PathBuf,
    /// Its data folder; must be empty or missing. It is left for inspection.
    #[arg(long)]
    data_dir: PathBuf,
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
    /// Another argument for the server; may be repeated.
    #[arg(long, allow_hyphen_values = true)]
    server_arg: Vec<OsString>,
    /// Same seed, same rows and the same moments of the kills.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Batches of each round whose every value is read back.
    #[arg(long, default_value_t = 40)]
    sample: usize,
    /// Longest time a start may take.
    #[arg(long, default_value_t = 60)]
    start_s_max: u64,
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
    let program = find_program(&args.server)
        .ok_or_else(|| Error::Usage(format!("--server {}: no such program", args.server.display())))?;
    let used = std::fs::read_dir(&args.data_dir).is_ok_and(|mut entries| entries.next().is_some());
    if used {
        return Err(Error::Usage(format!("--data-dir {}: not empty", args.data_dir.display())));
    }
    std::fs::create_dir_all(&args.data_dir).context(|| format!("make {}", args.data_dir.display()))?;
    let port = spare_port()?;
    let mut arguments: Vec<OsString> = vec!["--data-dir".into(), args.data_dir.clone().into()];
    arguments.extend(["--listen".into(), format!("127.0.0.1:{port}").into()]);
    arguments.extend(["--wal-sync".into(), args.wal_sync.clone().into()]);
    arguments.extend(args.server_arg.iter().cloned());
    let launch = Launch {
        program,
        arguments,
        environment: Vec::new(),
        log: args.data_dir.with_extension("log"),
        port,
        ready_path: "/api/v1/ping".to_owned(),
    };
    let mut run = Run { args, launch, ledger: Ledger::default(), round_number: 0 };
    let rounds = run.all()?;
    let bad = rounds.iter().filter(|round| !round.verdict.is_good()).count();
    output::print(&table(&rounds))?;
    if let Some(path) = &run.args.json {
        output::write_json(path, &rounds)?;
    }
    if bad == 0 {
        return Ok(());
    }
    let findings: Vec<&str> =
        rounds.iter().flat_map(|round| &round.verdict.findings).map(String::as_str).take(20).collect();
    Err(Error::Failed(format!("{bad} checks failed:\n  {}", findings.join("\n  "))))
}

struct Run {
    args: VerifyArgs,
    launch: Launch,
    ledger: Ledger,
    round_number: u64,
}

impl Run {
    fn all(&mut self) -> Result<Vec<Round>> {
        let limit = Duration::from_secs(self.args.start_s_max);
        let mut rounds = Vec::new();
        let (mut server, _) = self.launch.start_ready(limit)?;
        Api::Cnos.create_database(&server.target(), DATABASE)?;
        for _ in 0..self.args.kills {
            self.round_number += 1;
            let mut rng = fastrand::Rng::with_seed(self.args.seed.wrapping_mul(1_000_003) ^ self.round_number);
            let killed_after_ms = rng.u64(self.args.kill_ms_min..=self.args.kill_ms_max);
            let batches = self.write_until_killed(server, killed_after_ms)?;
            let killed_in_recovery = rng.u32(..RECOVERY_KILL_ONE_IN) == 0;
            if killed_in_recovery {
                let again = self.launch.start()?;
                thread::sleep(Duration::from_millis(rng.u64(..RECOVERY_KILL_MS_MAX)));
                again.kill()?;
            }
            let (restarted, recovery) = self.launch.start_ready(limit)?;
            server = restarted;
            let rows = batches.iter().map(|batch| batch.rows).sum();
            let count = batches.len() as u64;
            let sample = self.sample(&batches, &mut rng);
            self.ledger.batches.extend(batches.into_iter().map(|batch| ((batch.connection, batch.id), batch)));
            let verdict = self.check(&server.target(), &sample)?;
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
        let status = server.terminate(limit)?;
        let (server, recovery) = self.launch.start_ready(limit)?;
        let mut verdict = self.check(&server.target(), &[])?;
        if !status.success() {
            verdict.find(format!("after SIGTERM the server ended with {status}, not with 0"));
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

    fn check(&mut self, target: &Target, sample: &[(u32, u64)]) -> Result<Verdict> {
        Checker { target, seed: self.args.seed, connections: self.args.connections }.check(&mut self.ledger, sample)
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

    /// Writes on all connections, kills the server, returns the batches of the round.
    fn write_until_killed(&self, server: Child, after_ms: u64) -> Result<Vec<Batch>> {
        let budget = Arc::new(AtomicU64::new(self.args.round_rows_max));
        let writers: Vec<Writer> = (0..self.args.connections)
            .map(|connection| {
                let last = self.ledger.batches.range((connection, 0)..=(connection, u64::MAX)).next_back();
                Writer {
                    target: server.target(),
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
        let client = thread::Builder::new().name("writers".to_owned()).spawn(move || write_all(writers));
        let client = client.context(|| "start a client thread")?;
        thread::sleep(Duration::from_millis(after_ms));
        let killed = server.kill();
        let batches = client.join().map_err(|_| Error::Failed("a client thread panicked".to_owned()))?;
        killed?;
        batches
    }
}

fn write_all(writers: Vec<Writer>) -> Result<Vec<Batch>> {
    let mut runtime = http::runtime().context(|| "start the io_uring runtime")?;
    runtime.block_on(async {
        let tasks: Vec<_> = writers.into_iter().map(|writer| monoio::spawn(writer.run())).collect();
        let mut batches = Vec::new();
        let mut refused = None;
        for task in tasks {
            match task.await {
                Ok(part) => batches.extend(part),
                Err(error) => refused = Some(error),
            }
        }
        refused.map_or(Ok(batches), Err)
    })
}

/// One connection of a round.
struct Writer {
    target: Target,
    seed: u64,
    connection: u32,
    next_id: u64,
    next_row: u64,
    /// Rows left for the round, over all connections.
    budget: Arc<AtomicU64>,
    rng: fastrand::Rng,
}

impl Writer {
    /// Ends when the server is gone. A refused write is an error: nothing here is wrong with the rows.
    async fn run(mut self) -> Result<Vec<Batch>> {
        let path = Api::Cnos.write_path(DATABASE);
        let mut batches = Vec::new();
        // A kill may come before the connection stands.
        let Ok(mut connection) = Connection::open(self.target.address).await else { return Ok(batches) };
        let mut lines = Vec::new();
        loop {
            let rows = BATCH_ROWS[self.rng.usize(..BATCH_ROWS.len())];
            let left = self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(rows));
            if left.is_err() {
                // Enough for this round: wait for the kill, which the connection shows as its end.
                wait_for_end(&mut connection, &self.target).await;
                return Ok(batches);
            }
            lines.clear();
            let batch = Batch::make(self.seed, self.connection, self.next_id, self.next_row, rows, &mut lines);
            self.next_id += 1;
            self.next_row += rows;
            batches.push(batch);
            let mut request = self.target.request(&path, None, Some(&lines));
            loop {
                let (reply, bytes) = connection.exchange(request).await;
                request = bytes;
                match reply {
                    Ok(reply) if reply.is_success() => {
                        if let Some(batch) = batches.last_mut() {
                            batch.state = State::Acknowledged;
                        }
                        break;
                    }
                    Ok(reply) if reply.status == 429 => {
                        monoio::time::sleep(Duration::from_secs(reply.retry_after_s.unwrap_or(1).min(1))).await;
                    }
                    Ok(reply) => return Err(Error::Reply(format!("a write was answered {}", reply.excerpt()))),
                    Err(_) => return Ok(batches),
                }
            }
        }
    }
}

async fn wait_for_end(connection: &mut Connection, target: &Target) {
    const ASK_EVERY: Duration = Duration::from_millis(20);
    while connection.exchange(target.request("/api/v1/ping", None, None)).await.0.is_ok() {
        monoio::time::sleep(ASK_EVERY).await;
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
            verdict.wrong_batches.to_string(),
            if verdict.is_good() { "ok" } else { "FAILED" }.to_owned(),
        ]);
    }
    output::table(&rows)
}
