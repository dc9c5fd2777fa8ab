//! `loadtest write`: rows over HTTP, closed loop or at a fixed rate.
//!
//! 1. The database is created and the requests are encoded (`deck`), outside the clock.
//! 2. Client threads, pinned if asked, open their connections and send the warm-up rows (`client`).
//! 3. All threads meet; server CPU time is read, the clock starts, the measured rows are sent.
//! 4. Server CPU time is read again; with `--settle` once more when the server has come to rest, so that flush and
//!    merge work is counted in.

mod client;
mod summary;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use crate::chart;
use crate::deck::{Deck, DeckSize};
use crate::door::Door;
use crate::error::{Error, Result};
use crate::http::{self, Target};
use crate::output;
use crate::process::{DiskUse, Process};
use crate::tally::Tally;
use crate::workload::{START_NS, Shape, Workload};

pub(crate) use summary::{Summary, duration};

/// Which HTTP interface is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Api {
    /// `/api/v1/write` and `/api/v1/sql`.
    Cnos,
    /// `/write` and `/query`.
    Influx,
}

impl Api {
    /// Where rows of a database are posted.
    pub(crate) fn write_path(self, database: &str) -> String {
        let database = encode(database);
        match self {
            Self::Cnos => format!("/api/v1/write?db={database}"),
            Self::Influx => format!("/write?db={database}"),
        }
    }

    /// Creates a database; one that exists is left as it is.
    pub(crate) fn create_database(self, target: &Target, database: &str) -> Result<()> {
        let quoted = database.replace('"', "\"\"");
        let reply = match self {
            Self::Cnos => {
                let statement = format!("CREATE DATABASE IF NOT EXISTS \"{quoted}\"");
                http::call(target, "/api/v1/sql", None, Some(statement.as_bytes()))?
            }
            Self::Influx => {
                let statement = encode(&format!("CREATE DATABASE \"{}\"", database.replace('"', "\\\"")));
                http::call(target, &format!("/query?q={statement}"), None, Some(b""))?
            }
        };
        if reply.is_success() {
            Ok(())
        } else {
            Err(Error::Reply(format!("CREATE DATABASE {database} was answered {}", reply.excerpt())))
        }
    }
}

/// Percent-encodes everything that is not a letter or digit.
pub(crate) fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Flags that say which rows are written; shared by `write` and `compare`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RowArgs {
    /// Shape of the rows.
    #[arg(long, value_enum, default_value = "devops")]
    pub(crate) workload: Workload,
    /// Hosts, trucks or sensors: the number of series (of each table).
    #[arg(long, default_value_t = 4_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) hosts: u64,
    /// Fields of a `wide` row.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) fields: u32,
    /// Rows in the measured phase.
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rows: u64,
    /// Rows in one request.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) batch: u64,
    /// Rows before the clock starts.
    #[arg(long, default_value_t = 0)]
    pub(crate) warmup: u64,
    /// Same seed, same rows.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Time of the first row, RFC 3339 [default: 2016-01-01T00:00:00Z].
    #[arg(long)]
    pub(crate) start: Option<Timestamp>,
    /// Memory for encoded requests; a longer run sends them again with later times.
    #[arg(long, default_value_t = 2_048, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) memory_mib: u64,
    /// Keep-alive connections.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) connections: u32,
    /// Client threads.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub(crate) threads: u32,
    /// Cores the client threads are pinned to, in turn, such as 0,1 (default: not pinned).
    #[arg(long, value_delimiter = ',')]
    pub(crate) pin: Vec<usize>,
}

impl RowArgs {
    /// The defaults of the flags for other rows.
    pub(crate) fn of(workload: Workload, hosts: u64, rows: u64) -> Self {
        Self {
            workload,
            hosts,
            fields: 300,
            rows,
            batch: 10_000,
            warmup: 0,
            seed: 1,
            start: None,
            memory_mib: 2_048,
            connections: 8,
            threads: 1,
            pin: Vec::new(),
        }
    }

    pub(crate) fn shape(&self) -> Shape {
        Shape {
            workload: self.workload,
            hosts: self.hosts,
            fields: self.fields as usize,
            seed: self.seed,
            start_ns: self.start_ns(),
        }
    }

    fn start_ns(&self) -> i64 {
        let start = self.start.map(|start| i64::try_from(start.as_nanosecond()).unwrap_or(i64::MAX));
        start.unwrap_or(START_NS)
    }
}

/// `loadtest write`
#[derive(Debug, Args)]
pub(crate) struct WriteArgs {
    #[command(flatten)]
    rows: RowArgs,
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:8902")]
    url: String,
    /// Which HTTP interface to use.
    #[arg(long, value_enum, default_value = "cnos")]
    api: Api,
    /// In what form rows are sent, all of them from memory. The others are posted to the routes of Tidewire.
    #[arg(long, value_enum, default_value = "line")]
    door: Door,
    /// Post to this path instead (VictoriaMetrics has its remote write at /api/v1/write).
    #[arg(long)]
    path: Option<String>,
    /// Database; created first.
    #[arg(long, default_value = "benchmark")]
    db: String,
    /// Do not create the database (VictoriaMetrics has none).
    #[arg(long)]
    no_create: bool,
    /// Open loop: rows per second over all connections; latencies count from the intended start.
    #[arg(long)]
    rate: Option<f64>,
    /// Process of the server: its CPU time and memory are read from /proc.
    #[arg(long)]
    pid: Option<u32>,
    /// Data folder of the server: its size is measured.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// After the load, wait until the server has been idle this many seconds, and count its CPU time until then.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "5")]
    settle: Option<f64>,
    /// Also write the summary as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Also draw rate and latency over time into this folder (SVG).
    #[arg(long)]
    charts: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn command(args: WriteArgs) -> Result<()> {
    let target = Target::parse(&args.url)?;
    if !args.no_create {
        args.api.create_database(&target, &args.db)?;
    }
    if args.settle.is_some() && args.pid.is_none() {
        return Err(Error::Usage("--settle needs --pid, the process to watch".to_owned()));
    }
    let job = Job {
        rows: args.rows,
        path: args.path.or_else(|| args.door.path(&args.db)).unwrap_or_else(|| args.api.write_path(&args.db)),
        door: args.door,
        target,
        rate: args.rate,
        process: args.pid.map(Process::new).transpose()?,
        data_dir: args.data_dir,
        settle: args.settle.map(Duration::from_secs_f64),
    };
    let (summary, tally) = job.run()?;
    output::print(&summary.to_string())?;
    if let Some(path) = &args.json {
        output::write_json(path, &summary)?;
    }
    if let Some(folder) = &args.charts {
        chart::draw(folder, &summary.title(), &tally.course())?;
    }
    summary.verdict(&tally)
}

/// How long a server may take to come to rest.
const SETTLE_MAX: Duration = Duration::from_secs(180);

/// One measured load.
pub(crate) struct Job {
    pub(crate) rows: RowArgs,
    pub(crate) target: Target,
    /// Where rows are posted.
    pub(crate) path: String,
    /// In what form.
    pub(crate) door: Door,
    pub(crate) rate: Option<f64>,
    pub(crate) process: Option<Process>,
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) settle: Option<Duration>,
}

impl Job {
    /// Encodes, sends, measures.
    pub(crate) fn run(&self) -> Result<(Summary, Tally)> {
        let rows = &self.rows;
        if let Some(rate) = self.rate
            && (!rate.is_finite() || rate <= 0.0)
        {
            return Err(Error::Usage(format!("--rate {rate}: rows per second must be positive")));
        }
        let warmup_requests = rows.warmup.div_ceil(rows.batch);
        let size = DeckSize {
            rows: warmup_requests * rows.batch + rows.rows,
            batch: rows.batch,
            bytes_max: rows.memory_mib << 20,
            requests_min: u64::from(rows.connections) + 1,
        };
        let deck = Deck::encode(&rows.shape(), size, &self.target, &self.path, self.door)?;
        let disk_before = self.disk_use()?;
        let load = client::run(self, deck, warmup_requests)?;
        let settled = match (&self.process, self.settle) {
            (Some(process), Some(quiet)) => Some(process.settle(quiet, SETTLE_MAX)?),
            _ => None,
        };
        let disk = match (self.disk_use()?, disk_before) {
            (Some(after), before) => Some((before.unwrap_or_default(), after)),
            _ => None,
        };
        let summary = Summary::new(self, &load, settled, disk);
        Ok((summary, load.tally))
    }

    fn disk_use(&self) -> Result<Option<DiskUse>> {
        self.data_dir.as_deref().map(DiskUse::measure).transpose()
    }
}

#[cfg(test)]
mod tests;
