//! `loadtest recovery`: how fast does a server come back?
//!
//! Starts the server itself, on two folders below `--data-dir`:
//!
//! 1. `log`: memtables so large that nothing is flushed. Rows are loaded, so that all of them are in the log; then
//!    SIGKILL and a restart, several times over. Rows replayed per second are reported twice: over the time the slowest
//!    shard took to open (`tidewire_recovery_duration_seconds`: manifest and log), and over the whole time from the
//!    start of the process to its first answer. The promise is about the second, which is the longer one.
//! 2. `data`: 17-digit floats until the segments are as large as `--gb`; then SIGTERM, the page cache is dropped where
//!    that is permitted, and the time until the first answer is taken.
//!
//! After each restart all rows are counted.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::csv;
use crate::error::{Error, Result};
use crate::metrics::{Recovered, Work};
use crate::output;
use crate::own::{Own, ServerArgs};
use crate::promise::Promises;
use crate::tally::median;
use crate::workload::{START_NS, TICK_NS, Workload};
use crate::write::{RowArgs, duration};

const DATABASE: &str = "recovery";
const HOSTS: u64 = 4_000;
/// Most rows of one load of floats: about 350 MB of segments.
const CHUNK_ROWS_MAX: u64 = 5_000_000;
/// What a row of ten floats takes, about: with it the folder is filled in about four loads.
const ROW_BYTES: f64 = 70.0;
/// Loads after which the folder must have become large enough.
const CHUNKS_MAX: u64 = 100;
const REST_MAX: Duration = Duration::from_secs(300);

/// `loadtest recovery`
#[derive(Debug, Args)]
pub(crate) struct RecoveryArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Rows in the log.
    #[arg(long, default_value_t = 4_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    rows: u64,
    /// Restarts after SIGKILL; their median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Least rate of the replay, of the rate of ingest.
    #[arg(long, default_value_t = 300.0)]
    rate_percent_min: f64,
    /// Size of the segments of the second folder.
    #[arg(long, default_value_t = 1.0)]
    gb: f64,
    /// Longest time from the start to the first answer on the second folder.
    #[arg(long, default_value_t = 2.0)]
    open_s_max: f64,
    /// Also write all figures as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Restart {
    ready_s: f64,
    recovered: Recovered,
}

#[derive(Debug, Serialize)]
struct Report {
    ingest_rows_per_s: f64,
    replays: Vec<Restart>,
    segment_bytes: u64,
    page_cache: String,
    open: Restart,
    promises: Promises,
}

/// Runs the command.
pub(crate) fn command(args: &RecoveryArgs) -> Result<()> {
    let mut promises = Promises::default();
    let (ingest_rows_per_s, replays) = replay(args, &mut promises)?;
    let (segment_bytes, page_cache, open) = reopen(args, &mut promises)?;
    output::print(&format!("ingest: {ingest_rows_per_s:.0} rows/s\n\n{}\n", replay_table(&replays)))?;
    output::print(&format!(
        "{:.2} GB of segments, {page_cache}: ready after {}, shards open after {}\n\n{}",
        segment_bytes as f64 / 1e9,
        duration(open.ready_s * 1e6),
        duration(open.recovered.open_us_max as f64),
        promises.table()
    ))?;
    let report = Report { ingest_rows_per_s, replays, segment_bytes, page_cache, open, promises };
    if let Some(path) = &args.json {
        output::write_json(path, &report)?;
    }
    report.promises.verdict()
}

/// The first folder: everything is in the log.
fn replay(args: &RecoveryArgs, promises: &mut Promises) -> Result<(f64, Vec<Restart>)> {
    // Several times what four million rows take, and little enough that two shards fit the bound of a machine of 16 GB.
    let unflushed = [
        ("memtable.flush_bytes", "1GiB".to_owned()),
        ("memtable.bytes_max", "2GiB".to_owned()),
        ("memtable.flush_idle_s", "86400".to_owned()),
        ("memtable.flush_log_bytes", "64GiB".to_owned()),
    ];
    let mut server = args.server.prepare_at(&args.server.data_dir.join("log"), &unflushed)?;
    server.start()?;
    let load = server.load(DATABASE, RowArgs::of(Workload::Devops, HOSTS, args.rows))?;
    promises.none("flushes while the log was filled", Work::read(&server.target())?.flushes);
    let mut restarts = Vec::new();
    for _ in 0..args.rounds {
        server.kill()?;
        restarts.push(restart(&mut server)?);
        let rows = count(&server)?;
        promises.check("rows after SIGKILL", &rows, &args.rows, rows == args.rows);
    }
    server.terminate()?;
    let replayed = restarts.iter().map(|restart| restart.recovered.rows).min().unwrap_or(0);
    promises.check("rows replayed from the log", &replayed, &args.rows, replayed == args.rows);
    let ready_s = median(restarts.iter().map(|restart| restart.ready_s)).unwrap_or(f64::NAN);
    let name = "replay, start of the process included, of the rate of ingest";
    promises.share_at_least(name, args.rows as f64 / ready_s, load.rows_per_s, args.rate_percent_min);
    Ok((load.rows_per_s, restarts))
}

/// The second folder: everything is in segments.
fn reopen(args: &RecoveryArgs, promises: &mut Promises) -> Result<(u64, String, Restart)> {
    let mut server = args.server.prepare_at(&args.server.data_dir.join("data"), &[])?;
    server.start()?;
    let (mut chunks, mut work) = (0, Work::default());
    let chunk_rows = chunk_rows(args.gb);
    while (work.segment_bytes as f64) < args.gb * 1e9 {
        if chunks == CHUNKS_MAX {
            return Err(Error::Failed(format!("{} bytes of segments after {chunks} loads", work.segment_bytes)));
        }
        let start_ns = START_NS + (chunks * chunk_rows / HOSTS) as i64 * TICK_NS;
        let start = jiff::Timestamp::from_nanosecond(i128::from(start_ns)).ok();
        server.load(DATABASE, RowArgs { start, ..RowArgs::of(Workload::Float, HOSTS, chunk_rows) })?;
        chunks += 1;
        work = server.wait(REST_MAX, "nothing in memory", |work| work.memtable_rows == 0)?;
    }
    work = server.rest(REST_MAX)?;
    server.terminate()?;
    let page_cache = drop_page_cache();
    let open = restart(&mut server)?;
    let (ready, bound) = (open.ready_s, args.open_s_max);
    let segments = work.segment_bytes;
    let gb = segments as f64 / 1e9;
    promises.check("segments", &format!("{gb:.3} GB"), &format!("at least {} GB", args.gb), gb >= args.gb);
    promises.check(
        "time to the first answer",
        &format!("{ready:.3} s"),
        &format!("less than {bound} s"),
        ready < bound,
    );
    let (rows, wanted) = (count(&server)?, chunks * chunk_rows);
    promises.check("rows after SIGTERM", &rows, &wanted, rows == wanted);
    server.terminate()?;
    Ok((work.segment_bytes, page_cache, open))
}

/// A whole number of ticks: the next chunk begins where one ends.
fn chunk_rows(gb: f64) -> u64 {
    let rows = (gb * 1e9 / ROW_BYTES / 4.0) as u64;
    rows.clamp(HOSTS, CHUNK_ROWS_MAX).next_multiple_of(HOSTS)
}

fn restart(server: &mut Own) -> Result<Restart> {
    let ready_s = server.start()?.as_secs_f64();
    Ok(Restart { ready_s, recovered: Recovered::read(&server.target())? })
}

fn count(server: &Own) -> Result<u64> {
    let rows = csv::ask(&server.target(), DATABASE, "SELECT count(*) FROM cpu")?;
    rows.first().map_or(Ok(0), |row| row.number(0))
}

/// Needs to be root; says what it did.
fn drop_page_cache() -> String {
    rustix::fs::sync();
    match fs::write("/proc/sys/vm/drop_caches", "3\n") {
        Ok(()) => "page cache dropped".to_owned(),
        Err(error) => format!("page cache not dropped ({error})"),
    }
}

fn replay_table(restarts: &[Restart]) -> String {
    let head = ["restart", "ready", "shards open", "rows replayed", "log MB", "rows/s by shard", "rows/s all in"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (number, Restart { ready_s, recovered }) in restarts.iter().enumerate() {
        rows.push(vec![
            (number + 1).to_string(),
            duration(ready_s * 1e6),
            duration(recovered.open_us_max as f64),
            recovered.rows.to_string(),
            format!("{:.1}", recovered.log_bytes as f64 / 1e6),
            format!("{:.0}", recovered.rows_per_s()),
            format!("{:.0}", recovered.rows as f64 / ready_s),
        ]);
    }
    output::table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_of_a_replay() {
        let recovered = Recovered { records: 1, rows: 3_000, log_bytes: 2_000_000, open_us_max: 500_000 };
        let table = replay_table(&[Restart { ready_s: 1.0, recovered }]);
        assert!(table.contains("6000") && table.contains("3000") && table.contains("2.0"), "{table}");
    }

    #[test]
    fn chunks_end_with_a_tick() {
        for (gb, rows) in [(0.0, HOSTS), (1.0, 3_572_000), (100.0, CHUNK_ROWS_MAX)] {
            assert_eq!(chunk_rows(gb), rows);
        }
    }
}
