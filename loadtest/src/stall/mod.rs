//! `loadtest stall`: is a heavy query felt by a one-row write?
//!
//! For each number of `--cores`: a server with a fresh folder (below `--data-dir`), `--rows` rows of one table, rest;
//! then each case in turn, for `--seconds`. In every case rows are written one a request at `--rate` in an open loop,
//! so the latency of a write counts from when it was due. What happens beside them (`beside`), until the last write is
//! due, is over and over on one connection of its own:
//!
//! | case | statement |
//! |---|---|
//! | nothing | |
//! | order by | `SELECT * … ORDER BY v` of all rows, the reply compressed with gzip |
//! | group by | `GROUP BY` with half as many groups as there are rows |
//! | long statement | a `SELECT` of one row `… AND g IN (…)`, of `--statement-mb` MB |
//!
//! Promised: the longest write beside each statement is at most `--slack-ms` longer than the longest beside nothing. A
//! statement of which no run ended while writes were measured has shown nothing, and breaks a promise too.

mod beside;

use std::ffi::OsString;
use std::fmt::Write;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use self::beside::{Beside, Runs};
use crate::csv;
use crate::error::{Error, Result};
use crate::http::{self, Target};
use crate::output;
use crate::own::{Own, ServerArgs, job};
use crate::promise::Promises;
use crate::tally::Latencies;
use crate::workload::{START_NS, TICK_NS, Workload};
use crate::write::{Api, RowArgs, duration};

/// The table that is asked, and the one that is written to.
const ASKED: &str = "stall_asked";
const WRITTEN: &str = "stall_written";
/// Rows of a request that loads the table.
const LOAD_ROWS: u64 = 50_000;
/// Hosts of either table.
const HOSTS: u64 = 100;
/// Keep-alive connections of the writes: some on each core of a server.
const CONNECTIONS: u32 = 4;
const REST_MAX: Duration = Duration::from_secs(300);
/// Pause after a 429.
const PAUSE: Duration = Duration::from_millis(300);

/// `loadtest stall`
#[derive(Debug, Args)]
pub(crate) struct StallArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Numbers of cores, one server each.
    #[arg(long, value_delimiter = ',', default_value = "1,2", value_parser = clap::value_parser!(u32).range(1..=1_024))]
    cores: Vec<u32>,
    /// Rows of the table that is asked.
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(2..))]
    rows: u64,
    /// How long writes are measured in each case.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Writes a second.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: u64,
    /// Size of the long statement.
    #[arg(long, default_value_t = 16.0)]
    statement_mb: f64,
    /// What the longest write may take beyond the longest beside nothing.
    #[arg(long, default_value_t = 20.0)]
    slack_ms: f64,
    /// Also write all figures as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What is asked beside the writes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Case {
    name: &'static str,
    /// `None` for nothing.
    statement: Option<String>,
    gzip: bool,
}

/// What was measured in a case.
#[derive(Debug, Clone, Serialize)]
struct Measured {
    cores: u32,
    case: &'static str,
    writes: u64,
    failed_writes: u64,
    latency: Latencies,
    statements: Runs,
}

#[derive(Debug, Serialize)]
struct Report {
    cases: Vec<Measured>,
    promises: Promises,
}

/// Runs the command.
pub(crate) fn command(args: &StallArgs) -> Result<()> {
    let cases = cases(args.rows, args.statement_mb);
    let mut measured = Vec::new();
    for &cores in &args.cores {
        let mut server = prepare(args, cores)?;
        server.start()?;
        load(&server.target(), args.rows)?;
        server.rest(REST_MAX)?;
        for (number, case) in (0..).zip(&cases) {
            let one = measure(args, &server, cores, case, number)?;
            eprintln!("--cores {cores}, beside {}: longest write {}", case.name, duration(one.latency.max_us));
            measured.push(one);
        }
        server.terminate()?;
    }
    let mut promises = Promises::default();
    judge(&measured, args.slack_ms, &mut promises);
    output::print(&format!("{}\n{}", table(&measured), promises.table()))?;
    let report = Report { cases: measured, promises };
    if let Some(path) = &args.json {
        output::write_json(path, &report)?;
    }
    report.promises.verdict()
}

fn prepare(args: &StallArgs, cores: u32) -> Result<Own> {
    let mut server = args.server.clone();
    server.server_arg.extend(["--cores".into(), OsString::from(cores.to_string())]);
    server.prepare_at(&args.server.data_dir.join(format!("cores-{cores}")), &[])
}

fn cases(rows: u64, statement_mb: f64) -> Vec<Case> {
    let case = |name, statement, gzip| Case { name, statement, gzip };
    let sorted = format!("SELECT * FROM {ASKED} ORDER BY v");
    let grouped = format!("SELECT g, count(*), max(v) FROM {ASKED} GROUP BY g");
    vec![
        case("nothing", None, false),
        case("order by", Some(sorted), true),
        case("group by", Some(grouped), false),
        case("long statement", Some(long_statement((statement_mb * 1e6) as usize, groups(rows))), false),
    ]
}

/// Different values of `g`.
fn groups(rows: u64) -> u64 {
    rows / 2
}

/// A statement of that many bytes, or a few less, that names numbers in and beyond the range of `g`.
fn long_statement(bytes: usize, groups: u64) -> String {
    // Of one row: the text is the work, not the answer.
    let mut text = format!("SELECT count(*) FROM {ASKED} WHERE time <= '2016-01-01T00:00:00Z' AND g IN (0");
    for number in groups / 2.. {
        let length = text.len();
        // Writing into a String cannot fail.
        let _ = write!(text, ",{number}");
        if text.len() >= bytes {
            text.truncate(length);
            break;
        }
    }
    text.push(')');
    text
}

/// Lines of the table that is asked.
fn lines(first: u64, rows: u64, all: u64) -> String {
    let mut rng = fastrand::Rng::with_seed(first);
    let mut lines = String::new();
    for number in first..first + rows {
        let (host, group, value) = (number % HOSTS, number % groups(all), rng.f64());
        let time_ns = START_NS + number as i64 * 1_000_000;
        // Writing into a String cannot fail.
        let _ = writeln!(lines, "{ASKED},host=h{host} v={value:.9},g={group}i,s=\"row {number} of all\" {time_ns}");
    }
    lines
}

fn load(target: &Target, rows: u64) -> Result<()> {
    Api::Cnos.create_database(target, ASKED)?;
    Api::Cnos.create_database(target, WRITTEN)?;
    let path = Api::Cnos.write_path(ASKED);
    let mut first = 0;
    while first < rows {
        let count = LOAD_ROWS.min(rows - first);
        let reply = http::call(target, &path, None, Some(lines(first, count, rows).as_bytes()))?;
        match reply.status {
            200 => first += count,
            429 => thread::sleep(PAUSE),
            _ => return Err(Error::Reply(format!("loading {ASKED} was answered {}", reply.excerpt()))),
        }
    }
    Ok(())
}

/// Writes for `--seconds` beside a statement. `number` keeps the rows of the cases apart.
fn measure(args: &StallArgs, server: &Own, cores: u32, case: &Case, number: i64) -> Result<Measured> {
    let target = server.target();
    let path = csv::path(ASKED);
    let request = case.statement.as_ref().map(|text| {
        let encoding = if case.gzip { "gzip" } else { "identity" };
        target.compressed(&path, csv::ACCEPT, encoding, text.as_bytes())
    });
    let rows = args.rate * args.seconds;
    // One tick more than the rows of a case take.
    let case_ns = (rows / HOSTS + 2) as i64 * TICK_NS;
    let start = jiff::Timestamp::from_nanosecond(i128::from(START_NS + number * case_ns)).ok();
    let rows = RowArgs { start, batch: 1, connections: CONNECTIONS, ..RowArgs::of(Workload::Devops, HOSTS, rows) };
    // So that neither table nor columns are made in the measured time.
    job(&target, WRITTEN, RowArgs { rows: HOSTS, ..rows.clone() }).run()?;
    let writes = crate::write::Job { rate: Some(args.rate as f64), ..job(&target, WRITTEN, rows) };
    // Writes that are late then come to their end without it, however late they are.
    let beside = Beside::start(&target, request, Duration::from_secs(args.seconds))?;
    let measured = writes.run();
    let statements = beside.end()?;
    let (summary, tally) = measured?;
    if let Some(text) = tally.error_texts.first() {
        eprintln!("--cores {cores}, beside {}: a write failed: {text}", case.name);
    }
    if let Some(text) = &statements.failure {
        eprintln!("--cores {cores}, beside {}: the statement failed: {text}\n{}", case.name, server.log_tail());
    }
    let (writes, failed_writes, latency) = (summary.requests, tally.errors, summary.latency);
    Ok(Measured { cores, case: case.name, writes, failed_writes, latency, statements })
}

fn judge(measured: &[Measured], slack_ms: f64, promises: &mut Promises) {
    let longest_ms = |one: &Measured| one.latency.max_us / 1e3;
    for one in measured {
        let name = |what: &str| format!("--cores {}, {what} beside {}", one.cores, one.case);
        promises.none(&name("failed writes"), one.failed_writes);
        let Some(alone) = measured.iter().find(|other| other.cores == one.cores) else { continue };
        if alone.case == one.case {
            continue;
        }
        promises.none(&name("failed statements"), u64::from(one.statements.failure.is_some()));
        promises.some(&name("statements answered"), one.statements.answered);
        let bound_ms = longest_ms(alone) + slack_ms;
        let (measured_text, bound) =
            (format!("{:.1} ms", longest_ms(one)), format!("at most {slack_ms:.0} ms above {:.1}", longest_ms(alone)));
        promises.check(&name("longest write"), &measured_text, &bound, longest_ms(one) <= bound_ms);
    }
}

fn table(measured: &[Measured]) -> String {
    let head = ["cores", "beside", "writes", "p50", "p99", "longest", "statements", "longest statement", "MB replied"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for Measured { cores, case, writes, latency, statements, .. } in measured {
        let of_statements = |text: String| if statements.answered == 0 { "-".to_owned() } else { text };
        rows.push(vec![
            cores.to_string(),
            (*case).to_owned(),
            writes.to_string(),
            duration(latency.p50_us),
            duration(latency.p99_us),
            duration(latency.max_us),
            of_statements(statements.answered.to_string()),
            of_statements(duration(statements.longest_us)),
            of_statements(format!("{:.1}", statements.reply_bytes as f64 / 1e6)),
        ]);
    }
    output::table(&rows)
}

#[cfg(test)]
mod tests;
