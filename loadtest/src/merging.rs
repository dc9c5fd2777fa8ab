//! `loadtest compaction`: what does ingest lose while segments are merged?
//!
//! Both sides do the same on the same data folder, in turns: a start, a warm-up, a load of integers. Only one key
//! differs: on the *idle* side `compaction.bytes_per_s_max` is at its least (1 MiB/s), on the *busy* side at
//! `--bytes-per-s`. Before each pair of turns a backlog of floats is written in many small segments, on the idle side
//! and outside of the measurement, so that the busy side finds much to merge from its first moment.
//!
//! While a side is measured its metrics are read all the time: how often a merge was going on is shown and judged, or a
//! rate that was measured after the merges had ended would pass for one during them. The rate of the busy side must be
//! at least `--rate-percent-min` of the idle one's; medians over the rounds.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::error::{Context, Error, Result};
use crate::http::Target;
use crate::metrics::Work;
use crate::output;
use crate::own::{Own, ServerArgs};
use crate::promise::Promises;
use crate::tally::median;
use crate::workload::{START_NS, TICK_NS, Workload};
use crate::write::{RowArgs, Summary, duration};

const HOSTS: u64 = 4_000;
/// The backlog and the rows that are measured lie in databases of their own.
const BACKLOG: &str = "backlog";
const INGEST: &str = "ingest";
/// What the two sides differ in.
const KEY: &str = "compaction.bytes_per_s_max";
/// The least that the server accepts.
const IDLE_BYTES_PER_S: &str = "1MiB";
/// Small memtables make many small segments.
const FLUSH_BYTES: &str = "8MiB";
const FLUSH_MAX: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// `loadtest compaction`
#[derive(Debug, Args)]
pub(crate) struct MergingArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Pairs of turns; medians count.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Rows of a measured load.
    #[arg(long, default_value_t = 4_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    rows: u64,
    /// Rows of floats that are written to be merged, before each round.
    #[arg(long, default_value_t = 6_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    backlog_rows: u64,
    /// `compaction.bytes_per_s_max` of the busy side.
    #[arg(long, default_value = "200MiB")]
    bytes_per_s: String,
    /// Least rate of the busy side, of the idle side's.
    #[arg(long, default_value_t = 80.0)]
    rate_percent_min: f64,
    /// Least share of looks at the busy side that found a merge going on.
    #[arg(long, default_value_t = 80.0)]
    merging_percent_min: f64,
    /// Also write all figures as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// One turn of a side.
#[derive(Debug, Serialize)]
struct Turn {
    side: &'static str,
    round: u32,
    summary: Summary,
    seen: Seen,
    /// What was due when the load began.
    debt_bytes: u64,
    /// Read and written by merges during the load.
    merge_bytes: u64,
}

/// Looks at the metrics during a load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
struct Seen {
    looks: u64,
    merging: u64,
}

impl Seen {
    fn add(&mut self, work: &Work) {
        self.looks += 1;
        self.merging += u64::from(work.merging > 0);
    }
}

#[derive(Debug, Serialize)]
struct Report {
    turns: Vec<Turn>,
    promises: Promises,
}

/// Where the next rows of a database begin.
#[derive(Default)]
struct Clock {
    rows: u64,
}

impl Clock {
    fn next(&mut self, workload: Workload, rows: u64, warmup: u64) -> RowArgs {
        let start_ns = START_NS + (self.rows / HOSTS) as i64 * TICK_NS;
        self.rows += (rows + warmup).next_multiple_of(HOSTS);
        let start = jiff::Timestamp::from_nanosecond(i128::from(start_ns)).ok();
        RowArgs { start, warmup, ..RowArgs::of(workload, HOSTS, rows) }
    }
}

/// Runs the command.
pub(crate) fn command(args: &MergingArgs) -> Result<()> {
    if args.server.settings.iter().any(|(key, _)| key == KEY) {
        return Err(Error::Usage(format!("--set {KEY}: it is what the two sides differ in; see --bytes-per-s")));
    }
    let keys = |bytes_per_s: &str| [(KEY, bytes_per_s.to_owned()), ("memtable.flush_bytes", FLUSH_BYTES.to_owned())];
    let mut idle = args.server.prepare(&keys(IDLE_BYTES_PER_S))?;
    let mut busy = idle.with(&keys(&args.bytes_per_s));
    let (mut backlog, mut ingest) = (Clock::default(), Clock::default());
    let mut turns = Vec::new();
    for round in 1..=args.rounds {
        idle.start()?;
        idle.load(BACKLOG, backlog.next(Workload::Float, args.backlog_rows, 0))?;
        stop(&mut idle)?;
        for (side, server) in [("idle", &mut idle), ("busy", &mut busy)] {
            server.start()?;
            let turn = measure(side, round, server, ingest.next(Workload::Devops, args.rows, args.rows / 10))?;
            eprintln!("round {round}, {side}: {:.0} rows/s", turn.summary.rows_per_s);
            turns.push(turn);
            stop(server)?;
        }
    }
    let mut promises = Promises::default();
    judge(args, &turns, &mut promises);
    output::print(&format!("{}\n{}", table(&turns), promises.table()))?;
    let report = Report { turns, promises };
    if let Some(path) = &args.json {
        output::write_json(path, &report)?;
    }
    report.promises.verdict()
}

/// Nothing in memory, then SIGTERM: both sides start without a log to replay.
fn stop(server: &mut Own) -> Result<()> {
    server.wait(FLUSH_MAX, "nothing in memory", |work| work.memtable_rows == 0)?;
    server.terminate()
}

fn measure(side: &'static str, round: u32, server: &Own, rows: RowArgs) -> Result<Turn> {
    let target = server.target();
    let before = Work::read(&target)?;
    let done = AtomicBool::new(false);
    let (summary, seen) = thread::scope(|scope| {
        let looker = thread::Builder::new()
            .name("looker".to_owned())
            .spawn_scoped(scope, || look(&target, &done))
            .context(|| "start a thread")?;
        let summary = server.load(INGEST, rows);
        done.store(true, Ordering::Relaxed);
        let seen = looker.join().map_err(|_| Error::Failed("a thread panicked".to_owned()))??;
        Ok::<_, Error>((summary?, seen))
    })?;
    let after = Work::read(&target)?;
    let moved = |work: &Work| work.merge_read_bytes + work.merge_written_bytes;
    let merge_bytes = moved(&after) - moved(&before);
    Ok(Turn { side, round, summary, seen, debt_bytes: before.merge_debt_bytes, merge_bytes })
}

fn look(target: &Target, done: &AtomicBool) -> Result<Seen> {
    let mut seen = Seen::default();
    while !done.load(Ordering::Relaxed) {
        seen.add(&Work::read(target)?);
        thread::sleep(LOOK_EVERY);
    }
    Ok(seen)
}

fn judge(args: &MergingArgs, turns: &[Turn], promises: &mut Promises) {
    let of = |side: &'static str| turns.iter().filter(move |turn| turn.side == side);
    let rate = |side| median(of(side).map(|turn| turn.summary.rows_per_s)).unwrap_or(f64::NAN);
    let name = "rate while segments are merged, of the rate while they are not";
    promises.share_at_least(name, rate("busy"), rate("idle"), args.rate_percent_min);
    let (looks, merging) =
        of("busy").fold((0, 0), |(looks, merging), turn| (looks + turn.seen.looks, merging + turn.seen.merging));
    let name = "looks at the busy side that found a merge";
    promises.share_at_least(name, merging as f64, looks as f64, args.merging_percent_min);
    promises.some("bytes that merges moved on the busy side", of("busy").map(|turn| turn.merge_bytes).sum());
}

fn table(turns: &[Turn]) -> String {
    let head = ["round", "side", "rows/s", "p50", "p99", "CPU µs/row", "429s", "merging", "due before MB", "merged MB"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for Turn { side, round, summary, seen, debt_bytes, merge_bytes } in turns {
        rows.push(vec![
            round.to_string(),
            (*side).to_owned(),
            format!("{:.0}", summary.rows_per_s),
            duration(summary.latency.p50_us),
            duration(summary.latency.p99_us),
            summary.server.as_ref().map_or("-".to_owned(), |server| format!("{:.3}", server.load_cpu_us_per_row)),
            summary.throttled.to_string(),
            format!("{} of {} looks", seen.merging, seen.looks),
            format!("{:.1}", *debt_bytes as f64 / 1e6),
            format!("{:.1}", *merge_bytes as f64 / 1e6),
        ]);
    }
    output::table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::own::job;
    use crate::testing::{Mock, reply};
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: MergingArgs,
    }

    fn turn(summary: &Summary, side: &'static str, rows_per_s: f64, seen: Seen) -> Turn {
        let summary = Summary { rows_per_s, ..summary.clone() };
        Turn { side, round: 1, summary, seen, debt_bytes: 5, merge_bytes: if side == "busy" { 7 } else { 0 } }
    }

    #[test]
    fn a_slow_side_and_one_that_does_not_merge_are_found_out() {
        let mock = Mock::start(|_, _| reply("200 OK", "", ""));
        let mut clock = Clock::default();
        let rows = clock.next(Workload::Devops, 10, 5);
        assert_eq!((rows.warmup, clock.rows), (5, 4_000));
        let (summary, _) = job(&mock.target, "d", RowArgs::of(Workload::Devops, 5, 10)).run().unwrap();
        let args = Cli::try_parse_from(["compaction", "--data-dir", "/x"]).unwrap().args;
        let judged = |rate: f64, merging: u64| {
            let turns = [
                turn(&summary, "idle", 100.0, Seen::default()),
                turn(&summary, "busy", rate, Seen { looks: 10, merging }),
            ];
            let mut promises = Promises::default();
            judge(&args, &turns, &mut promises);
            assert_eq!(table(&turns).lines().count(), 3);
            promises.verdict()
        };
        judged(80.0, 8).unwrap();
        assert!(judged(79.0, 8).unwrap_err().to_string().contains("rate while segments are merged"));
        assert!(judged(99.0, 7).unwrap_err().to_string().contains("found a merge"));
    }

    #[test]
    fn looks_are_counted() {
        let mut seen = Seen::default();
        seen.add(&Work { merging: 2, ..Work::default() });
        seen.add(&Work::default());
        assert_eq!(seen, Seen { looks: 2, merging: 1 });
    }
}
