//! `loadtest highcard`: what does a million series cost?
//!
//! Starts the server itself and shows, on one server in one run:
//!
//! 1. memory of a server without data, in a folder of its own;
//! 2. the *reference*: a database with few series of the same shape, all its series known to the server;
//! 3. the *first row* of every series: all of them are new;
//! 4. the *steady* rows after it, in turns with steady rows of the reference, so that a slow spell of the machine meets
//!    both;
//! 5. a restart after SIGTERM, and one after SIGKILL with rows in the log: time, rows replayed, memory of each series.
//!
//! Promised: steady rows at least at `--rate-percent-min` of the reference's rate, memory of a series at most
//! `--series-bytes-max` after either restart, nothing lost.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::csv;
use crate::error::{Context, Error, Result};
use crate::metrics::Recovered;
use crate::output;
use crate::own::{Own, ServerArgs};
use crate::promise::Promises;
use crate::tally::median;
use crate::workload::{HIGHCARD_PASS_NS, START_NS, Workload};
use crate::write::{RowArgs, Summary, duration};

/// The database under test and the one it is compared with.
const MANY: &str = "highcard";
const FEW: &str = "reference";
/// Time for memtables and merges.
const REST_MAX: Duration = Duration::from_secs(300);
/// An allocator gives freed memory back to the kernel after about ten seconds.
const MEMORY_REST: Duration = Duration::from_secs(15);

/// `loadtest highcard`
#[derive(Debug, Args)]
pub(crate) struct HighcardArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Series.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    hosts: u64,
    /// Series of the reference.
    #[arg(long, default_value_t = 4_000, value_parser = clap::value_parser!(u64).range(1..))]
    reference_hosts: u64,
    /// Rows of a steady round, of either: enough for several flushes, one of which makes a short round slow by chance.
    #[arg(long, default_value_t = 8_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    steady_rows: u64,
    /// Steady rounds of either; their median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Rows in one request.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    batch: u64,
    /// Least rate of steady rows, of the reference's.
    #[arg(long, default_value_t = 60.0)]
    rate_percent_min: f64,
    /// Most memory of a series after a restart.
    #[arg(long, default_value_t = 1_024.0)]
    series_bytes_max: f64,
    /// Also write all figures as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// One load.
#[derive(Debug, Clone, Serialize)]
struct Phase {
    name: &'static str,
    summary: Summary,
}

/// One restart.
#[derive(Debug, Serialize)]
struct Restart {
    after: &'static str,
    /// From the start of the process to the first answer.
    ready_s: f64,
    recovered: Recovered,
    rss_ready_bytes: u64,
    /// When it had come to rest.
    rss_bytes: u64,
    bytes_per_series: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    phases: Vec<Phase>,
    rss_empty_bytes: u64,
    rss_loaded_bytes: u64,
    restarts: Vec<Restart>,
    promises: Promises,
}

/// A database that is loaded pass after pass.
struct Load {
    database: &'static str,
    hosts: u64,
    rows: u64,
}

impl Load {
    /// The next rows: they begin with a pass of their own, so that no row is written twice.
    fn next(&mut self, rows: u64, batch: u64) -> RowArgs {
        let passes = self.rows.div_ceil(self.hosts);
        self.rows = passes * self.hosts + rows;
        let start = i128::from(START_NS + passes as i64 * HIGHCARD_PASS_NS);
        let start = jiff::Timestamp::from_nanosecond(start).ok();
        RowArgs { batch, start, ..RowArgs::of(Workload::Highcard, self.hosts, rows) }
    }
}

/// Runs the command.
pub(crate) fn command(args: &HighcardArgs) -> Result<()> {
    let rss_empty_bytes = empty_server(args)?;
    let mut server = args.server.prepare(&[])?;
    server.start()?;
    let mut phases = Vec::new();
    let mut few = Load { database: FEW, hosts: args.reference_hosts, rows: 0 };
    let mut many = Load { database: MANY, hosts: args.hosts, rows: 0 };
    let (mut few_rows, mut many_rows) = (0, 0);
    let mut phase = |name, load: &mut Load, rows, server: &Own, total: &mut u64| {
        let summary = server.load(load.database, load.next(rows, args.batch))?;
        eprintln!("{name}: {:.0} rows/s", summary.rows_per_s);
        *total += rows;
        phases.push(Phase { name, summary });
        Ok::<_, Error>(())
    };
    phase("reference, first rows", &mut few, args.reference_hosts.max(args.steady_rows / 4), &server, &mut few_rows)?;
    phase("first row of every series", &mut many, args.hosts, &server, &mut many_rows)?;
    for _ in 0..args.rounds {
        phase("reference, steady", &mut few, args.steady_rows, &server, &mut few_rows)?;
        phase("steady", &mut many, args.steady_rows, &server, &mut many_rows)?;
    }
    server.rest(REST_MAX)?;
    let rss_loaded_bytes = server.process()?.memory()?.resident_bytes;
    let mut restarts = Vec::new();
    server.terminate()?;
    restarts.push(restart("SIGTERM", &mut server, args, rss_empty_bytes)?);
    phase("steady, after a restart", &mut many, args.hosts, &server, &mut many_rows)?;
    server.kill()?;
    restarts.push(restart("SIGKILL", &mut server, args, rss_empty_bytes)?);
    let series = server.rest(REST_MAX)?.series;

    let mut promises = Promises::default();
    let steady = |name: &str| median(phases.iter().filter(|p| p.name == name).map(|p| p.summary.rows_per_s));
    let (reference, measured) = (steady("reference, steady").unwrap_or(f64::NAN), steady("steady").unwrap_or(f64::NAN));
    promises.share_at_least("rate of steady rows, of the reference's", measured, reference, args.rate_percent_min);
    for restart in &restarts {
        let (bytes, bound) = (restart.bytes_per_series, args.series_bytes_max);
        let name = format!("memory of a series after {}", restart.after);
        promises.check(&name, &format!("{bytes:.0} bytes"), &format!("at most {bound:.0} bytes"), bytes <= bound);
    }
    let wanted = args.hosts + args.reference_hosts;
    promises.check("series", &series, &wanted, series == wanted);
    for (database, rows) in [(MANY, many_rows), (FEW, few_rows)] {
        let found: u64 = match csv::ask(&server.target(), database, "SELECT count(*) FROM sensor")?.first() {
            Some(row) => row.number(0)?,
            None => 0,
        };
        promises.check(&format!("rows of {database} at the end"), &found, &rows, found == rows);
    }
    server.terminate()?;
    output::print(&phase_table(&phases, reference))?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    output::print(&format!(
        "\nRSS: {:.1} MiB without data, {:.1} MiB loaded\n\n{}\n{}",
        mib(rss_empty_bytes),
        mib(rss_loaded_bytes),
        restart_table(&restarts),
        promises.table()
    ))?;
    let report = Report { phases, rss_empty_bytes, rss_loaded_bytes, restarts, promises };
    if let Some(path) = &args.json {
        output::write_json(path, &report)?;
    }
    report.promises.verdict()
}

/// Memory of a server that holds nothing.
fn empty_server(args: &HighcardArgs) -> Result<u64> {
    let folder = args.server.data_dir.with_extension("empty");
    let mut server = args.server.prepare_at(&folder, &[])?;
    server.start()?;
    thread::sleep(MEMORY_REST);
    let memory = server.process()?.memory()?;
    server.terminate()?;
    fs::remove_dir_all(&folder).context(|| format!("remove {}", folder.display()))?;
    Ok(memory.resident_bytes)
}

fn restart(after: &'static str, server: &mut Own, args: &HighcardArgs, rss_empty: u64) -> Result<Restart> {
    let ready = server.start()?;
    let recovered = Recovered::read(&server.target())?;
    let rss_ready_bytes = server.process()?.memory()?.resident_bytes;
    server.rest(REST_MAX)?;
    thread::sleep(MEMORY_REST);
    let rss_bytes = server.process()?.memory()?.resident_bytes;
    let series = (args.hosts + args.reference_hosts) as f64;
    Ok(Restart {
        after,
        ready_s: ready.as_secs_f64(),
        recovered,
        rss_ready_bytes,
        rss_bytes,
        bytes_per_series: rss_bytes.saturating_sub(rss_empty) as f64 / series,
    })
}

fn phase_table(phases: &[Phase], reference: f64) -> String {
    let head = ["phase", "rows", "rows/s", "of reference", "CPU µs/row", "p50", "p99", "429s"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for Phase { name, summary } in phases {
        rows.push(vec![
            (*name).to_owned(),
            summary.rows.to_string(),
            format!("{:.0}", summary.rows_per_s),
            format!("{:.0} %", 100.0 * summary.rows_per_s / reference),
            summary.server.as_ref().map_or("-".to_owned(), |server| format!("{:.3}", server.load_cpu_us_per_row)),
            duration(summary.latency.p50_us),
            duration(summary.latency.p99_us),
            summary.throttled.to_string(),
        ]);
    }
    output::table(&rows)
}

fn restart_table(restarts: &[Restart]) -> String {
    let head = ["restart after", "ready", "shards open", "rows replayed", "rows/s", "RSS ready", "at rest", "a series"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    for restart in restarts {
        let recovered = &restart.recovered;
        rows.push(vec![
            restart.after.to_owned(),
            duration(restart.ready_s * 1e6),
            duration(recovered.open_us_max as f64),
            recovered.rows.to_string(),
            format!("{:.0}", recovered.rows_per_s()),
            mib(restart.rss_ready_bytes),
            mib(restart.rss_bytes),
            format!("{:.0} bytes", restart.bytes_per_series),
        ]);
    }
    output::table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Mock, reply};
    use std::collections::BTreeSet;

    #[test]
    fn loads_follow_each_other_without_a_row_written_twice() {
        let mock = Mock::start(|_, _| reply("200 OK", "", ""));
        let mut load = Load { database: "d", hosts: 10, rows: 0 };
        for rows in [10, 25, 10] {
            crate::own::job(&mock.target, "d", load.next(rows, 7)).run().unwrap();
        }
        let bodies: Vec<String> = mock.asked().into_iter().map(|asked| asked.body).collect();
        let lines: Vec<&str> = bodies.iter().flat_map(|body| body.lines()).collect();
        let keys: BTreeSet<(&str, &str)> =
            lines.iter().map(|line| (line.split(' ').next().unwrap(), line.rsplit(' ').next().unwrap())).collect();
        assert_eq!((lines.len(), keys.len()), (45, 45));
        assert_eq!(keys.iter().map(|key| key.0).collect::<BTreeSet<_>>().len(), 10);
    }
}
