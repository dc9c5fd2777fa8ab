//! `loadtest scale`: do queries become slower than the data they touch becomes more?
//!
//! Starts the server itself, loads `--rows` of TSBS cpu-only, waits until nothing is left to flush or merge, asks the
//! set; then loads up to `--rows-large`, waits again, asks again. Windows of the set are cut to the data, so of many
//! queries the window grows too: what a query may take at the larger size is its time at the smaller one, times the
//! growth of the rows that its condition selects (at least 1), with `--slack-percent` on top. Each set is asked twice,
//! and the second time counts: what is compared is the work on cached blocks. Answers are held against what the data
//! must give, as `query` does it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::error::Result;
use crate::output;
use crate::own::{Own, ServerArgs};
use crate::promise::Promises;
use crate::query::tsbs::{CASES, Data, Language};
use crate::query::{Figure, Format, Session};
use crate::workload::{START_NS, TICK_NS, Workload};
use crate::write::{RowArgs, duration};

const DATABASE: &str = "scale";
const REST_MAX: Duration = Duration::from_secs(600);

/// `loadtest scale`
#[derive(Debug, Args)]
pub(crate) struct ScaleArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Hosts.
    #[arg(long, default_value_t = 4_000, value_parser = clap::value_parser!(u64).range(1..))]
    hosts: u64,
    /// Rows at first; cut to whole ticks of all hosts.
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    rows: u64,
    /// Rows in the end.
    #[arg(long, default_value_t = 20_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    rows_large: u64,
    /// Runs of each query.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    runs: u32,
    /// What the larger size may take beyond its share, for the unrest of the machine.
    #[arg(long, default_value_t = 15.0)]
    slack_percent: f64,
    /// Also write all figures as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// One query at both sizes.
#[derive(Debug, Serialize)]
struct Pair {
    small: Figure,
    large: Figure,
    /// Rows that the condition selects, on average.
    small_rows: f64,
    large_rows: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    pairs: Vec<Pair>,
    promises: Promises,
}

/// Runs the command.
pub(crate) fn command(args: &ScaleArgs) -> Result<()> {
    let (small, large) = (args.data(args.rows)?, args.data(args.rows_large)?);
    let mut server = args.server.prepare(&[])?;
    server.start()?;
    let at_small = args.load_and_ask(&server, small.start_ns, &small)?;
    let at_large = args.load_and_ask(&server, small.end_ns, &large)?;
    server.terminate()?;
    let pairs: Vec<Pair> = CASES
        .iter()
        .zip(at_small.into_iter().zip(at_large))
        .map(|(case, (of_small, of_large))| Pair {
            small: of_small,
            large: of_large,
            small_rows: case.selected(&small),
            large_rows: case.selected(&large),
        })
        .collect();
    let mut promises = Promises::default();
    pairs.iter().for_each(|pair| judge(pair, args.slack_percent, &mut promises));
    output::print(&format!("{}\n{}", table(&pairs), promises.table()))?;
    let report = Report { pairs, promises };
    if let Some(path) = &args.json {
        output::write_json(path, &report)?;
    }
    report.promises.verdict()
}

impl ScaleArgs {
    fn data(&self, rows: u64) -> Result<Data> {
        let ticks = rows / self.hosts;
        if ticks == 0 || self.rows_large <= self.rows {
            let why = "--rows must be a tick of all hosts at least, and --rows-large more".to_owned();
            return Err(crate::error::Error::Usage(why));
        }
        Ok(Data { hosts: self.hosts, start_ns: START_NS, end_ns: START_NS + ticks as i64 * TICK_NS, dense: true })
    }

    /// Loads from a time to the end of the data, then asks about all of it.
    fn load_and_ask(&self, server: &Own, from_ns: i64, data: &Data) -> Result<Vec<Figure>> {
        let rows = (data.end_ns - from_ns) as u64 / TICK_NS as u64 * self.hosts;
        let start = jiff::Timestamp::from_nanosecond(i128::from(from_ns)).ok();
        let load = server.load(DATABASE, RowArgs { start, ..RowArgs::of(Workload::Devops, self.hosts, rows) })?;
        let work = server.rest(REST_MAX)?;
        eprintln!(
            "{rows} rows loaded at {:.0} rows/s; at rest with {} segments of {:.1} MB, {} merges",
            load.rows_per_s,
            work.segments,
            work.segment_bytes as f64 / 1e6,
            work.merges
        );
        let session = Session {
            target: server.target(),
            database: DATABASE.to_owned(),
            language: Language::Sql,
            format: Format::Csv,
            data: *data,
            runs: self.runs,
            warmup: 3,
            connections: 1,
            seed: 1,
            process: Some(server.process()?),
        };
        // The same queries twice, since the seed is the same: the larger data would otherwise be read from the disk
        // where the smaller was in the cache after a few.
        session.measure(&CASES)?;
        session.measure(&CASES)
    }
}

impl Pair {
    fn growth(&self) -> f64 {
        (self.large_rows / self.small_rows).max(1.0)
    }

    /// Time at the larger size, over what it may be.
    fn share(&self) -> f64 {
        self.large.latency.p50_us / (self.small.latency.p50_us * self.growth())
    }
}

fn judge(pair: &Pair, slack_percent: f64, promises: &mut Promises) {
    let name = pair.small.query;
    if let Some(why) = pair.small.failure.as_ref().or(pair.large.failure.as_ref()) {
        promises.check(name, why, &"the right answer", false);
        return;
    }
    let (percent, bound) = (100.0 * pair.share(), 100.0 + slack_percent);
    let measured = format!("{percent:.0} % of its share");
    promises.check(name, &measured, &format!("at most {bound:.0} %"), percent <= bound);
}

fn table(pairs: &[Pair]) -> String {
    let head = ["query", "p50", "rows selected", "p50 large", "rows selected", "times slower", "times more rows"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for pair in pairs {
        rows.push(vec![
            pair.small.query.to_owned(),
            duration(pair.small.latency.p50_us),
            format!("{:.0}", pair.small_rows),
            duration(pair.large.latency.p50_us),
            format!("{:.0}", pair.large_rows),
            format!("{:.2}", pair.large.latency.p50_us / pair.small.latency.p50_us),
            format!("{:.2}", pair.large_rows / pair.small_rows),
        ]);
    }
    output::table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Latencies;

    fn figure(p50_us: f64, failure: Option<&str>) -> Figure {
        Figure {
            query: "q",
            runs: 1,
            latency: Latencies { p50_us, ..Latencies::default() },
            rows: 1,
            bytes: 1,
            server_cpu_us: None,
            failure: failure.map(str::to_owned),
        }
    }

    #[test]
    fn a_query_may_take_as_much_longer_as_it_selects_more() {
        let kept = |small: f64, large: f64, rows: (f64, f64), failure: Option<&str>| {
            let pair = Pair {
                small: figure(small, None),
                large: figure(large, failure),
                small_rows: rows.0,
                large_rows: rows.1,
            };
            assert!(table(std::slice::from_ref(&pair)).contains('q'));
            let mut promises = Promises::default();
            judge(&pair, 10.0, &mut promises);
            promises.verdict().is_ok()
        };
        assert!(kept(100.0, 109.0, (50.0, 50.0), None));
        assert!(!kept(100.0, 111.0, (50.0, 50.0), None));
        assert!(kept(100.0, 870.0, (50.0, 400.0), None));
        assert!(!kept(100.0, 890.0, (50.0, 400.0), None));
        // Selecting less is no reason to be faster.
        assert!(kept(100.0, 100.0, (50.0, 25.0), None));
        assert!(!kept(100.0, 100.0, (50.0, 50.0), Some("2 rows instead of 3")));
    }
}
