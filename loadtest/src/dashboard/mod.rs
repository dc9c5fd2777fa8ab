//! `loadtest dashboard`: is a dashboard quick while rows come in?
//!
//! 1. A server of its own gets `--hours` of rows of `--hosts` hosts, one every ten seconds.
//! 2. Rows are written into a second database in a closed loop for about `--peak-seconds`: the peak rate. (Not into the
//!    one that is asked: at that rate its six hours would be full of rows within a second.)
//! 3. For `--seconds` rows are written at `--share` of that rate in an open loop, while `--clients` dashboards refresh
//!    every `--refresh-ms`. A refresh asks for twenty panels (`panels`) over `--connections` connections, as browsers
//!    do; each client looks at a host of its own, and the view ends with the data.
//!
//! Promised: no panel fails, nothing is answered 5xx, no write fails, and 99 of 100 panels are there within
//! `--p99-ms-max`.

mod panels;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use self::panels::{PANELS, View};
use crate::error::{Context, Error, Result};
use crate::http::{self, Connection, Reply, Target};
use crate::output;
use crate::own::{Own, ServerArgs, job};
use crate::pace::Pacer;
use crate::promise::Promises;
use crate::tally::Latencies;
use crate::workload::{START_NS, TICK_NS, Workload};
use crate::write::{Api, Job, RowArgs, duration};

/// The database that is asked, and the one that is written to.
const ASKED: &str = "dashboard";
const WRITTEN: &str = "dashboard_live";
/// Hosts of the rows that come in.
const LIVE_HOSTS: u64 = 4_000;
/// Rows of the first look at the rate, by which the measured one is sized.
const PROBE_ROWS: u64 = 200_000;
const HOUR_TICKS: u64 = 360;
/// How many failed panels are shown.
const FAILURES_SHOWN: usize = 5;

/// `loadtest dashboard`
#[derive(Debug, Args)]
pub(crate) struct DashboardArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Hosts that are shown.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    hosts: u64,
    /// Hours of rows that are shown.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    hours: u64,
    /// Dashboards that are open.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    clients: u32,
    /// Connections of a dashboard.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=20))]
    connections: u32,
    /// Time from one refresh to the next.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    refresh_ms: u64,
    /// How long dashboards are watched.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// About how long the peak rate is measured.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    peak_seconds: u64,
    /// Share of the peak rate that comes in meanwhile; 0 for nothing.
    #[arg(long, default_value_t = 0.5)]
    share: f64,
    /// Bound of the 99th percentile of the panels.
    #[arg(long, default_value_t = 50.0)]
    p99_ms_max: f64,
    /// Also write all figures as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What became of the answers to one panel.
#[derive(Debug, Clone, Default, Serialize)]
struct Panel {
    #[serde(skip)]
    latencies_ns: Vec<u64>,
    latency: Latencies,
    reply_bytes: u64,
    statement: String,
}

/// What clients saw.
#[derive(Debug, Default, Serialize)]
struct Seen {
    panels: Vec<Panel>,
    all: Latencies,
    refreshes: u64,
    /// Refreshes that began later than they should, since the one before took longer than the pause.
    late_refreshes: u64,
    failures: u64,
    server_errors: u64,
    #[serde(skip)]
    failure_texts: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Report {
    peak_rows_per_s: f64,
    written_rows_per_s: f64,
    write_p99_us: f64,
    failed_writes: u64,
    seen: Seen,
    promises: Promises,
}

/// Runs the command.
pub(crate) fn command(args: &DashboardArgs) -> Result<()> {
    if !(0.0..=1.0).contains(&args.share) {
        return Err(Error::Usage(format!("--share {}: wanted is a number from 0 to 1", args.share)));
    }
    let mut server = args.server.prepare(&[])?;
    server.start()?;
    let target = server.target();
    let ticks = args.hours * HOUR_TICKS;
    server.load(ASKED, RowArgs::of(Workload::Devops, args.hosts, args.hosts * ticks))?;
    let to_ms = (START_NS + (ticks as i64 - 1) * TICK_NS) / 1_000_000;
    let view = View { from_ms: START_NS / 1_000_000, to_ms, host: 0, hosts: args.hosts };

    Api::Cnos.create_database(&target, WRITTEN)?;
    let peak_rows_per_s = peak(&server, args.peak_seconds)?;
    eprintln!("peak: {peak_rows_per_s:.0} rows/s");
    let rate = peak_rows_per_s * args.share;
    let watching = {
        let (target, watch) = (target.clone(), Watch::of(args, view));
        let work = move || watch.run(&target);
        thread::Builder::new().name("dashboards".to_owned()).spawn(work).context(|| "start a thread")?
    };
    let written = match rate > 0.0 {
        true => Some(live(&target, rate, args.seconds).run()?),
        false => None,
    };
    let seen = watching.join().map_err(|_| Error::Failed("a thread panicked".to_owned()))??;
    for text in &seen.failure_texts {
        eprintln!("a panel failed: {text}");
    }
    if seen.failures > 0 {
        eprintln!("{}", server.log_tail());
    }
    let mut promises = Promises::default();
    let failed_writes = written.as_ref().map_or(0, |(_, tally)| tally.errors);
    judge(&seen, failed_writes, args.p99_ms_max, &mut promises);
    server.terminate()?;
    let report = Report {
        peak_rows_per_s,
        written_rows_per_s: written.as_ref().map_or(0.0, |(summary, _)| summary.rows_per_s),
        write_p99_us: written.as_ref().map_or(0.0, |(summary, _)| summary.latency.p99_us),
        failed_writes,
        seen,
        promises,
    };
    output::print(&format!("{}\n{}", table(&report), report.promises.table()))?;
    if let Some(path) = &args.json {
        output::write_json(path, &report)?;
    }
    report.promises.verdict()
}

/// The rate of a closed loop.
fn peak(server: &Own, seconds: u64) -> Result<f64> {
    let probe = server.load(WRITTEN, RowArgs::of(Workload::Devops, LIVE_HOSTS, PROBE_ROWS))?;
    let rows = (probe.rows_per_s * seconds as f64) as u64;
    Ok(server.load(WRITTEN, RowArgs::of(Workload::Devops, LIVE_HOSTS, rows.max(PROBE_ROWS)))?.rows_per_s)
}

/// Rows at a rate.
fn live(target: &Target, rate: f64, seconds: u64) -> Job {
    let rows = ((rate * seconds as f64) as u64).max(1);
    Job { rate: Some(rate), ..job(target, WRITTEN, RowArgs::of(Workload::Devops, LIVE_HOSTS, rows)) }
}

/// What dashboards do.
#[derive(Debug, Clone, Copy)]
struct Watch {
    view: View,
    clients: u32,
    connections: u32,
    refresh: Duration,
    refreshes: u64,
}

impl Watch {
    fn of(args: &DashboardArgs, view: View) -> Self {
        Self {
            view,
            clients: args.clients,
            connections: args.connections,
            refresh: Duration::from_millis(args.refresh_ms),
            refreshes: (args.seconds * 1_000).div_ceil(args.refresh_ms),
        }
    }

    /// Watches on the calling thread.
    fn run(self, target: &Target) -> Result<Seen> {
        let mut runtime = http::runtime().context(|| "start the io_uring runtime")?;
        let parts = runtime.block_on(async {
            let begun = Instant::now();
            let mut tasks = Vec::new();
            for client in 0..self.clients {
                for connection in 0..self.connections {
                    // Clients do not refresh all at one moment.
                    let first = begun + self.refresh * client / self.clients;
                    let asker = Asker { watch: self, client, connection, first };
                    let opened = Connection::open(target.address).await.context(|| "connect for a dashboard")?;
                    let requests = Arc::new(asker.requests(target));
                    tasks.push(monoio::spawn(asker.run(requests, opened)));
                }
            }
            let mut parts = Vec::new();
            for task in tasks {
                parts.push(task.await?);
            }
            Ok::<_, Error>(parts)
        })?;
        let view = View { host: 0, ..self.view };
        let mut seen = Seen { panels: vec![Panel::default(); PANELS], ..Seen::default() };
        parts.into_iter().for_each(|part| seen.merge(part));
        let mut all = Vec::new();
        for (number, panel) in seen.panels.iter_mut().enumerate() {
            panel.statement = panels::statement(number, &view);
            panel.latency = Latencies::of(panel.latencies_ns.iter().copied());
            all.extend_from_slice(&panel.latencies_ns);
        }
        seen.all = Latencies::of(all.into_iter());
        Ok(seen)
    }
}

impl Seen {
    fn merge(&mut self, other: Self) {
        for (panel, other) in self.panels.iter_mut().zip(other.panels) {
            panel.latencies_ns.extend(other.latencies_ns);
            panel.reply_bytes = panel.reply_bytes.max(other.reply_bytes);
        }
        self.refreshes += other.refreshes;
        self.late_refreshes += other.late_refreshes;
        self.failures += other.failures;
        self.server_errors += other.server_errors;
        self.failure_texts.extend(other.failure_texts);
        self.failure_texts.truncate(FAILURES_SHOWN);
    }
}

/// One connection of a dashboard.
#[derive(Debug, Clone, Copy)]
struct Asker {
    watch: Watch,
    client: u32,
    connection: u32,
    /// When the first refresh is due.
    first: Instant,
}

impl Asker {
    /// Its panels of each refresh, with their requests.
    fn requests(&self, target: &Target) -> Vec<(usize, Vec<u8>)> {
        let view = View { host: u64::from(self.client) % self.watch.view.hosts, ..self.watch.view };
        let panels = (self.connection as usize..PANELS).step_by(self.watch.connections as usize);
        panels.map(|panel| (panel, panels::request(target, ASKED, panel, &view))).collect()
    }

    async fn run(self, requests: Arc<Vec<(usize, Vec<u8>)>>, mut connection: Connection) -> Result<Seen> {
        let mut seen = Seen { panels: vec![Panel::default(); PANELS], ..Seen::default() };
        let pacer = Pacer::new().context(|| "make a timer")?;
        for refresh in 0..self.watch.refreshes {
            let due = self.first + self.watch.refresh * u32::try_from(refresh).unwrap_or(u32::MAX);
            seen.late_refreshes += u64::from(Instant::now() > due && refresh > 0);
            pacer.wait_until(due).await.context(|| "wait for a refresh")?;
            seen.refreshes += 1;
            for (panel, request) in &*requests {
                let begun = Instant::now();
                let (reply, _) = connection.exchange(request.clone()).await;
                let latency_ns = begun.elapsed().as_nanos() as u64;
                match judge_reply(reply) {
                    Ok(bytes) => {
                        let panel = &mut seen.panels[*panel];
                        panel.latencies_ns.push(latency_ns);
                        panel.reply_bytes = panel.reply_bytes.max(bytes);
                    }
                    Err(Wrong { is_server_error, is_broken, text }) => {
                        seen.failures += 1;
                        seen.server_errors += u64::from(is_server_error);
                        if seen.failure_texts.len() < FAILURES_SHOWN {
                            seen.failure_texts.push(format!("panel {panel}: {text}"));
                        }
                        if is_broken {
                            return Ok(seen);
                        }
                    }
                }
            }
        }
        Ok(seen)
    }
}

/// Why an answer is none.
#[derive(Debug)]
struct Wrong {
    is_server_error: bool,
    /// The connection cannot be used any more.
    is_broken: bool,
    text: String,
}

/// The bytes of an answer that has rows.
fn judge_reply(reply: std::io::Result<Reply>) -> std::result::Result<u64, Wrong> {
    let reply = reply.map_err(|error| Wrong { is_server_error: false, is_broken: true, text: error.to_string() })?;
    let wrong = |text| Wrong { is_server_error: reply.status >= 500, is_broken: reply.close, text };
    if reply.status != 200 {
        return Err(wrong(format!("answered {}", reply.excerpt())));
    }
    let has = |what: &str| memchr_of(&reply.body, what.as_bytes());
    if has("\"error\":") || !has("\"values\":[[") {
        return Err(wrong(format!("no rows: {}", reply.excerpt())));
    }
    if reply.close {
        return Err(wrong("the connection is closed".to_owned()));
    }
    Ok(reply.body.len() as u64)
}

fn memchr_of(body: &[u8], what: &[u8]) -> bool {
    body.windows(what.len()).any(|window| window == what)
}

fn judge(seen: &Seen, failed_writes: u64, p99_ms_max: f64, promises: &mut Promises) {
    promises.some("refreshes", seen.refreshes);
    promises.none("failed panels", seen.failures);
    promises.none("replies 5xx", seen.server_errors);
    promises.none("failed writes", failed_writes);
    let p99_ms = seen.all.p99_us / 1e3;
    let (measured, bound) = (format!("{p99_ms:.1} ms"), format!("at most {p99_ms_max:.0} ms"));
    promises.check("p99 of a panel", &measured, &bound, p99_ms <= p99_ms_max);
}

fn table(report: &Report) -> String {
    let head = ["panel", "answers", "p50", "p99", "longest", "bytes", "statement"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let row = |name: String, answers: usize, latency: &Latencies, bytes: String, statement: &str| {
        let durations = [latency.p50_us, latency.p99_us, latency.max_us].map(duration);
        let [p50, p99, longest] = durations;
        vec![name, answers.to_string(), p50, p99, longest, bytes, statement.chars().take(60).collect()]
    };
    let seen = &report.seen;
    for (number, panel) in seen.panels.iter().enumerate() {
        let bytes = panel.reply_bytes.to_string();
        rows.push(row(number.to_string(), panel.latencies_ns.len(), &panel.latency, bytes, &panel.statement));
    }
    let answers = seen.panels.iter().map(|panel| panel.latencies_ns.len()).sum();
    rows.push(row("all".to_owned(), answers, &seen.all, "-".to_owned(), ""));
    format!(
        "writes: {:.0} rows/s of a peak of {:.0}, p99 {}; {} refreshes by connection, {} of them late\n{}",
        report.written_rows_per_s,
        report.peak_rows_per_s,
        duration(report.write_p99_us),
        seen.refreshes,
        seen.late_refreshes,
        output::table(&rows)
    )
}

#[cfg(test)]
mod tests;
