//! `loadtest soak`: does a server stay as it is for half an hour of everything at once?
//!
//! Starts the server itself, with three databases:
//!
//! - the *fleet* (`fleet`, `tasks`, `audit`): rows as of TSBS cpu-only, written as fast as the server takes them (or at
//!   `--rate`), some late, some over others; queries over the newest hours and over all that is kept; deletes of what
//!   is old and of stretches of single hosts, through SQL and InfluxQL;
//! - *readings* (`readings`): a TTL of minutes, whose partitions expire while the run goes on;
//! - *sessions* (`sessions`): series that are dropped and come back;
//! - *burdens* (`burdens`): long strings, new tables, wide lines, bombs, sorts, large statements and single deletes,
//!   one after another, to find out who keeps a core for long (`slices`).
//!
//! What must be there and what must be gone is known exactly, and counted all the time. Every minute a line is printed.
//! At the end the server gets SIGTERM, starts again, everything is counted once more, and the promises are judged:
//! see [`judge`].

mod audit;
mod burdens;
mod course;
mod door;
mod fleet;
mod lines;
mod readings;
mod sessions;
mod slices;
mod tasks;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use crate::chart;
use crate::error::{Context, Error, Result};
use crate::http::{self, Target};
use crate::metrics::Work;
use crate::output;
use crate::own::{Own, ServerArgs};
use crate::promise::Promises;
use crate::tally::Latencies;
use crate::write::duration;
use audit::Audit;
use burdens::Burdens;
use course::{Minute, Point};
use door::{Shared, lock};
use fleet::{Fleet, Size};
use lines::Lines;
use readings::{Readings, Written};
use sessions::{Kept, Sessions};
use slices::Slices;
use tasks::{Asker, Writer};

/// Ticks of a batch of the fleet.
const BATCH_TICKS: u64 = 2;
/// What is kept of the fleet must be more than queries of the newest hours look at.
const KEEP_TICKS_MIN: u64 = 2_000;
/// Between two looks at the server's memory.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Time for merges after the run; what is left of them is done after the next start.
const REST_MAX: Duration = Duration::from_secs(120);

/// `loadtest soak`
#[derive(Debug, Args)]
pub(crate) struct SoakArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Length of the run.
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// Open loop: rows per second of the fleet, over all its writers (default: as fast as the server takes them).
    #[arg(long)]
    rate: Option<f64>,
    /// Hosts of the fleet.
    #[arg(long, default_value_t = 4_000, value_parser = clap::value_parser!(u64).range(10..=1_000_000))]
    hosts: u64,
    /// Connections that write the fleet.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=256))]
    writers: u32,
    /// Rows of the fleet that are kept; older ones are deleted.
    #[arg(long, default_value_t = 300_000_000)]
    keep_rows: u64,
    /// Pause after each query, milliseconds.
    #[arg(long, default_value_t = 50)]
    query_pause_ms: u64,
    /// Delete nothing but what expires: what a run costs without deletes. Its disk then grows.
    #[arg(long)]
    no_deletes: bool,
    /// No burdens: what a run is without them.
    #[arg(long)]
    no_burdens: bool,
    /// Bound of the time that a task of the server may keep a core, by the time that it has the processor.
    #[arg(long, default_value_t = 50.0)]
    slice_ms_max: f64,
    /// Bound of the server's memory.
    #[arg(long, default_value_t = 2_048)]
    rss_mib_max: u64,
    /// Bound of the data folder.
    #[arg(long, default_value_t = 20.0)]
    disk_gb_max: f64,
    /// Same seed, same rows.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also write all minutes and promises as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Also draw rate, latency, memory and disk over time into this folder (SVG).
    #[arg(long)]
    charts: Option<PathBuf>,
}

/// Everything a run has shown.
#[derive(Debug, Serialize)]
struct Report {
    minutes: Vec<Minute>,
    points: Vec<Point>,
    restart_s: f64,
    slices: Vec<Slices>,
    promises: Promises,
}

impl SoakArgs {
    fn length(&self) -> Result<Duration> {
        if self.minutes.is_finite() && self.minutes >= 0.1 {
            return Ok(Duration::from_secs_f64(self.minutes * 60.0));
        }
        Err(Error::Usage(format!("--minutes {}: at least 0.1", self.minutes)))
    }

    fn keep_batches(&self) -> Result<u64> {
        let ticks = self.keep_rows / self.hosts;
        if ticks < KEEP_TICKS_MIN {
            let rows = KEEP_TICKS_MIN * self.hosts;
            return Err(Error::Usage(format!("--keep-rows: at least {rows} with --hosts {}", self.hosts)));
        }
        Ok(ticks / BATCH_TICKS)
    }

    /// Time between two requests of one writer.
    fn interval(&self, rows: u64) -> Result<Option<Duration>> {
        match self.rate {
            None => Ok(None),
            Some(rate) if rate.is_finite() && rate > 0.0 => {
                Ok(Some(Duration::from_secs_f64(rows as f64 * f64::from(self.writers) / rate)))
            }
            Some(rate) => Err(Error::Usage(format!("--rate {rate}: rows per second must be positive"))),
        }
    }

    /// A sixth of the run, so that most of it sees partitions expire.
    fn ttl(&self) -> Duration {
        Duration::from_secs((self.minutes * 10.0) as u64).clamp(Duration::from_secs(60), Duration::from_secs(300))
    }
}

/// Runs the command.
pub(crate) fn command(args: &SoakArgs) -> Result<()> {
    let size = Size { hosts: args.hosts, ticks: BATCH_TICKS, seed: args.seed };
    let (length, keep_batches, interval) = (args.length()?, args.keep_batches()?, args.interval(size.rows())?);
    // The cold rule of compaction shall be seen at work too; by default it waits for an hour.
    let mut server = args.server.prepare(&[("compaction.cold_after_s", "300".to_owned())])?;
    server.start()?;
    let target = server.target();
    for statement in [
        format!("CREATE DATABASE {} WITH VNODE_DURATION '1d'", audit::DATABASE),
        readings::create(args.ttl()),
        format!("CREATE DATABASE {}", sessions::DATABASE),
    ] {
        crate::csv::ask(&target, "public", &statement)?;
    }
    let shared = Arc::new(Shared::new(Fleet::new(size)));
    let plan = Plan { target: target.clone(), shared: Arc::clone(&shared), interval, keep_batches };
    let lines = Arc::new(Lines::make(size));
    let (minutes, points, aftermath) = thread::scope(|scope| {
        let client = thread::Builder::new()
            .name("client".to_owned())
            .spawn_scoped(scope, || load(args, &plan, &lines))
            .context(|| "start a client thread")?;
        let watched = watch(&server, &shared, length);
        shared.stop.store(true, Ordering::Relaxed);
        let aftermath = client.join().map_err(|_| Error::Failed("the client thread panicked".to_owned()))??;
        let (minutes, points) = watched?;
        Ok::<_, Error>((minutes, points, aftermath))
    })?;
    let ended = Work::read(&target)?;
    let slices = slices::read(&target, &server.log())?;
    // Merges are done in the run; how much was left is reported, not judged.
    if let Err(error) = server.rest(REST_MAX) {
        eprintln!("loadtest: {error}");
    }
    server.terminate()?;
    let restart = server.start()?;
    aftermath.check(&server.target(), &shared, args)?;
    server.terminate()?;

    let mut promises = Promises::default();
    judge(args, &shared, &minutes, &points, ended, &mut promises);
    // The generator and whatever else runs on the machine take the processor from the server; what is promised is what
    // the server does with it.
    let longest_ms = slices::processor_longest_ms(&slices);
    let (measured, bound) = (format!("{longest_ms:.1} ms"), format!("at most {:.0} ms", args.slice_ms_max));
    promises.check(
        "longest slice of a core, by the processor's time",
        &measured,
        &bound,
        longest_ms <= args.slice_ms_max,
    );
    output::print(&format!("\n{}\n{}\n", course::query_table(&minutes), slices::table(&slices)))?;
    {
        let fleet = lock(&shared.fleet);
        output::print(&format!(
            "{} rows, {} batches late, {} written over; {} checks; restart after SIGTERM {}\n\n",
            shared.rows.load(Ordering::Relaxed),
            fleet.late,
            fleet.rewritten,
            shared.checks.load(Ordering::Relaxed),
            duration(restart.as_secs_f64() * 1e6)
        ))?;
    }
    output::print(&promises.table())?;
    if let Some(folder) = &args.charts {
        draw(folder, &minutes, &points)?;
    }
    let report = Report { minutes, points, restart_s: restart.as_secs_f64(), slices, promises };
    if let Some(path) = &args.json {
        output::write_json(path, &report)?;
    }
    for text in lock(&shared.tally).error_texts.iter().chain(lock(&shared.findings).iter().take(10)) {
        eprintln!("loadtest: {text}");
    }
    report.promises.verdict()
}

/// What the client thread needs.
struct Plan {
    target: Target,
    shared: Arc<Shared>,
    interval: Option<Duration>,
    keep_batches: u64,
}

/// What is checked once more after the restart.
struct Aftermath {
    written: Written,
    /// Not known if the task that knew has failed.
    kept: Option<Kept>,
    keep_batches: u64,
}

/// The client thread: all tasks on one ring.
fn load(args: &SoakArgs, plan: &Plan, lines: &Arc<Lines>) -> Result<Aftermath> {
    let Plan { target, shared, interval, keep_batches } = plan;
    let mut runtime = http::runtime().context(|| "start the io_uring runtime")?;
    let deletes = !args.no_deletes;
    runtime.block_on(async {
        let writers: Vec<_> = (0..args.writers)
            .map(|_| {
                let (target, shared, lines) = (target.clone(), Arc::clone(shared), Arc::clone(lines));
                monoio::spawn(Writer { target, shared, lines, interval: *interval }.run())
            })
            .collect();
        let asker = Asker {
            target: target.clone(),
            shared: Arc::clone(shared),
            pause: Duration::from_millis(args.query_pause_ms),
            rng: fastrand::Rng::with_seed(args.seed),
        };
        let asker = monoio::spawn(asker.run());
        let audit = monoio::spawn(Audit::new(target, shared, args.seed, *keep_batches, deletes).run());
        let readings = monoio::spawn(Readings::new(target, shared, args.ttl(), Written::default()).run());
        let sessions = monoio::spawn(Sessions::new(target, shared, deletes, Kept::default()).run());
        let burdens = Burdens::new(target, shared, args.seed, deletes);
        let burdens = (!args.no_burdens).then(|| monoio::spawn(burdens.run()));
        for writer in writers {
            writer.await;
        }
        if let Some(burdens) = burdens {
            let rounds = burdens.await;
            eprintln!("loadtest: {rounds} rounds of burdens");
        }
        asker.await;
        audit.await;
        lock(&shared.fleet).end();
        Ok(Aftermath { written: readings.await, kept: sessions.await, keep_batches: *keep_batches })
    })
}

impl Aftermath {
    fn check(self, target: &Target, shared: &Arc<Shared>, args: &SoakArgs) -> Result<()> {
        let mut runtime = http::runtime().context(|| "start the io_uring runtime")?;
        runtime.block_on(async {
            Audit::new(target, shared, !args.seed, self.keep_batches, false).last_turn().await?;
            Readings::new(target, shared, args.ttl(), self.written).check().await?;
            match self.kept {
                Some(kept) => Sessions::new(target, shared, false, kept).check().await,
                None => Ok(()),
            }
        })
    }
}

/// Looks at the server until the time is over or the run is stopped, and prints a line a minute.
fn watch(server: &Own, shared: &Shared, length: Duration) -> Result<(Vec<Minute>, Vec<Point>)> {
    let process = server.process()?;
    output::print(course::HEAD)?;
    let begun = Instant::now();
    let (mut minutes, mut points) = (Vec::new(), Vec::new());
    // Short runs have shorter minutes: ten of them at least.
    let minute = Duration::from_secs(60).min(length / 10).max(LOOK_EVERY);
    let (mut since, mut rows, mut cpu_s, mut rss_max) = (begun, 0, process.cpu_seconds()?, 0);
    while !shared.is_stopped() {
        let rss_bytes = process.memory()?.resident_bytes;
        rss_max = rss_bytes.max(rss_max);
        let now_rows = shared.rows.load(Ordering::Relaxed);
        points.push(Point { at_s: begun.elapsed().as_secs_f64(), rows: now_rows, rss_bytes });
        let over = begun.elapsed() >= length;
        if over || since.elapsed() >= minute {
            let seen = std::mem::take(&mut *lock(&shared.seen));
            let (time_s, now_cpu_s) = (since.elapsed().as_secs_f64(), process.cpu_seconds()?);
            let line = Minute {
                at_s: begun.elapsed().as_secs_f64(),
                rows_per_s: (now_rows - rows) as f64 / time_s,
                write: Latencies::of(seen.write_ns.into_iter()),
                queries: seen.query_ns.into_iter().map(|(name, ns)| (name, Latencies::of(ns.into_iter()))).collect(),
                rss_bytes_max: rss_max,
                cpu_cores: (now_cpu_s - cpu_s) / time_s,
                disk_bytes: server.disk_glance().allocated_bytes,
                work: Work::read(&server.target())?,
                throttled: shared.throttled.load(Ordering::Relaxed),
                errors: shared.errors(),
            };
            (since, rows, cpu_s, rss_max) = (Instant::now(), now_rows, now_cpu_s, 0);
            output::print(&line.line())?;
            minutes.push(line);
        }
        if over {
            break;
        }
        thread::sleep(LOOK_EVERY);
    }
    Ok((minutes, points))
}

/// The promises of a soak.
fn judge(args: &SoakArgs, shared: &Shared, minutes: &[Minute], points: &[Point], ended: Work, promises: &mut Promises) {
    let mib = |bytes: u64| format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20));
    promises.none("failed requests (429s are not among them)", shared.errors());
    promises.none("rows lost, come back or seen after they expired", lock(&shared.findings).len() as u64);
    promises.some("checks made", shared.checks.load(Ordering::Relaxed));
    let (first, last) = course::rates(points).unwrap_or_default();
    promises.share_at_least(&format!("rate: last sixth of first ({first:.0} rows/s)"), last, first, 90.0);
    let (middle, late) = course::memory(points).unwrap_or_default();
    promises.check(
        "RSS: most in the last third, of the middle third",
        &format!("{} of {}", mib(late), mib(middle)),
        &"at most 110 %",
        middle > 0 && late as f64 <= middle as f64 * 1.1,
    );
    let rss_max = points.iter().map(|point| point.rss_bytes).max().unwrap_or(0);
    let bound = args.rss_mib_max << 20;
    promises.check("RSS: most of all", &mib(rss_max), &format!("at most {}", mib(bound)), rss_max <= bound);
    let disk_max = minutes.iter().map(|minute| minute.disk_bytes).max().unwrap_or(0) as f64 / 1e9;
    let bound = args.disk_gb_max;
    promises.check("disk", &format!("{disk_max:.2} GB"), &format!("at most {bound} GB"), disk_max <= bound);
    promises.some("flushes", ended.flushes);
    promises.some("merges", ended.merges);
    promises.none("flushes and merges that failed", ended.failures);
    if !args.no_deletes {
        promises.some("deletes", ended.deletes);
    }
    let expiry = args.ttl() + readings::PARTITION + readings::SLACK;
    if points.last().is_some_and(|point| point.at_s > expiry.as_secs_f64()) {
        promises.some("expired segments", ended.expired_segments);
    } else {
        eprintln!("loadtest: nothing can expire in a run of less than {} s", expiry.as_secs());
    }
}

fn draw(folder: &std::path::Path, minutes: &[Minute], points: &[Point]) -> Result<()> {
    let of_minutes = |value: &dyn Fn(&Minute) -> f64| minutes.iter().map(|m| (m.at_s, value(m))).collect::<Vec<_>>();
    let memory = points.iter().map(|point| (point.at_s, point.rss_bytes as f64 / f64::from(1 << 20))).collect();
    chart::curves(folder, "rate", "soak", vec![("thousand rows/s", of_minutes(&|m| m.rows_per_s / 1e3))])?;
    let latency = vec![
        ("p99 of writes, ms", of_minutes(&|m| m.write.p99_us / 1e3)),
        ("p50 of writes, ms", of_minutes(&|m| m.write.p50_us / 1e3)),
    ];
    chart::curves(folder, "latency", "soak", latency)?;
    chart::curves(folder, "memory", "soak", vec![("RSS, MiB", memory)])?;
    let disk = vec![
        ("data folder, MB", of_minutes(&|m| m.disk_bytes as f64 / 1e6)),
        ("merge debt, MB", of_minutes(&|m| m.work.merge_debt_bytes as f64 / 1e6)),
    ];
    chart::curves(folder, "disk", "soak", disk)
}

#[cfg(test)]
mod tests;
