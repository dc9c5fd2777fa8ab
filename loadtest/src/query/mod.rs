//! `loadtest query`: latencies of a fixed query set over HTTP.
//!
//! All texts are drawn from the seed before the clock starts. Latency runs from the first byte of the request to the
//! last byte of the reply; rows are counted and held against what the data must give outside of it.

mod answer;
pub(crate) mod tsbs;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;

use crate::error::{Context, Error, Result};
use crate::http::{self, Connection, Target};
use crate::output;
use crate::process::Process;
use crate::tally::Latencies;
use crate::workload::{START_NS, TICK_NS};
use crate::write::{duration, encode};
use tsbs::{CASES, Case, Data, Language, Query};

/// Encoding of the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// `application/csv`
    Csv,
    /// `application/json`
    Json,
}

impl Format {
    /// What is asked for in a language by default. What is held against InfluxQL comes in its format.
    pub(crate) const fn of(language: Language) -> Self {
        match language {
            Language::Sql => Self::Csv,
            Language::SqlInFull | Language::Influxql => Self::Json,
        }
    }
}

/// A set of queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Set {
    /// TSBS cpu-only, for the rows of `loadtest write --workload devops`.
    Tsbs,
}

/// `loadtest query`
#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// The query set.
    #[arg(long, value_enum, default_value = "tsbs")]
    set: Set,
    /// Only this query; may be repeated.
    #[arg(long)]
    query: Vec<String>,
    /// Hosts that were loaded.
    #[arg(long, default_value_t = 4_000, value_parser = clap::value_parser!(u64).range(1..))]
    hosts: u64,
    /// Rows that were loaded; they say where the data ends.
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    rows: u64,
    /// Time of the first row [default: 2016-01-01T00:00:00Z].
    #[arg(long)]
    start: Option<Timestamp>,
    /// End of the data, exclusive, instead of --rows.
    #[arg(long)]
    end: Option<Timestamp>,
    /// Language of the queries, and with it the route.
    #[arg(long, value_enum, default_value = "sql")]
    lang: Language,
    /// Encoding of the answers [default: csv for sql, json for the others].
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Measured runs of each query, each with parameters of its own.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    runs: u32,
    /// Runs of each query before the measured ones.
    #[arg(long, default_value_t = 3)]
    warmup: u32,
    /// Connections that ask at the same time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    connections: u32,
    /// Same seed, same parameters.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:8902")]
    url: String,
    /// Database.
    #[arg(long, default_value = "benchmark")]
    db: String,
    /// Process of the server: its CPU time per query is reported.
    #[arg(long)]
    pid: Option<u32>,
    /// Also write the figures as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Print the first text drawn for each query and its answer instead of measuring.
    #[arg(long)]
    show: bool,
}

/// Runs the command.
pub(crate) fn command(args: QueryArgs) -> Result<()> {
    let Set::Tsbs = args.set;
    let cases = if args.query.is_empty() {
        CASES.to_vec()
    } else {
        let find = |name: &String| {
            let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
            let unknown = || Error::Usage(format!("--query {name}: the set has {}", names.join(", ")));
            Case::find(name).ok_or_else(unknown)
        };
        args.query.iter().map(find).collect::<Result<Vec<_>>>()?
    };
    let start_ns = args.start.map_or(START_NS, nanoseconds);
    let end_ns = match args.end {
        Some(end) => nanoseconds(end),
        None => start_ns + args.rows.div_ceil(args.hosts) as i64 * TICK_NS,
    };
    if end_ns <= start_ns {
        return Err(Error::Usage("--end: the data must end after it starts".to_owned()));
    }
    let dense = args.end.is_some() || args.rows.is_multiple_of(args.hosts);
    let session = Session {
        target: Target::parse(&args.url)?,
        database: args.db,
        language: args.lang,
        format: args.format.unwrap_or(Format::of(args.lang)),
        data: Data { hosts: args.hosts, start_ns, end_ns, dense },
        runs: args.runs,
        warmup: args.warmup,
        connections: args.connections,
        seed: args.seed,
        process: args.pid.map(Process::new).transpose()?,
    };
    if args.show {
        return session.show(&cases);
    }
    let figures = session.measure(&cases)?;
    output::print(&table(&figures))?;
    if let Some(path) = &args.json {
        output::write_json(path, &figures)?;
    }
    let failed: Vec<String> = figures
        .iter()
        .filter_map(|figure| figure.failure.as_ref().map(|why| format!("{}: {why}", figure.query)))
        .collect();
    if failed.is_empty() { Ok(()) } else { Err(Error::Failed(failed.join("\n  "))) }
}

fn nanoseconds(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX)
}

/// Latencies of one query.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub(crate) query: &'static str,
    pub(crate) runs: u32,
    #[serde(flatten)]
    pub(crate) latency: Latencies,
    /// Rows and bytes of the last answer.
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server_cpu_us: Option<f64>,
    /// The first answer that was not as it must be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<String>,
}

/// The figures for people.
pub(crate) fn table(figures: &[Figure]) -> String {
    let head = ["query", "p50", "p90", "p99", "mean", "rows", "bytes", "server CPU", ""];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for figure in figures {
        let latency = &figure.latency;
        rows.push(vec![
            figure.query.to_owned(),
            duration(latency.p50_us),
            duration(latency.p90_us),
            duration(latency.p99_us),
            duration(latency.mean_us),
            figure.rows.to_string(),
            figure.bytes.to_string(),
            figure.server_cpu_us.map_or("-".to_owned(), duration),
            figure.failure.as_ref().map_or("", |_| "FAILED").to_owned(),
        ]);
    }
    output::table(&rows)
}

/// Everything that a run of queries needs.
pub(crate) struct Session {
    pub(crate) target: Target,
    pub(crate) database: String,
    pub(crate) language: Language,
    pub(crate) format: Format,
    pub(crate) data: Data,
    pub(crate) runs: u32,
    pub(crate) warmup: u32,
    pub(crate) connections: u32,
    pub(crate) seed: u64,
    pub(crate) process: Option<Process>,
}

/// What the connections share while one query is measured.
struct Round {
    requests: Vec<Mutex<Vec<u8>>>,
    queries: Vec<Query>,
    next: AtomicUsize,
    warmup: usize,
    language: Language,
    format: Format,
}

#[derive(Default)]
struct Seen {
    latencies_ns: Vec<u64>,
    rows: u64,
    bytes: u64,
    failure: Option<String>,
}

impl Session {
    /// Measures the queries one after the other.
    pub(crate) fn measure(&self, cases: &[Case]) -> Result<Vec<Figure>> {
        let mut runtime = http::runtime().context(|| "start the io_uring runtime")?;
        cases.iter().map(|case| runtime.block_on(self.measure_one(case))).collect()
    }

    fn draw(&self, case: &Case, count: u32) -> Vec<Query> {
        // Each query has its own stream of parameters, so that leaving one out does not change the others.
        let salt = case.name.bytes().fold(self.seed, |salt, byte| salt.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let mut rng = fastrand::Rng::with_seed(salt);
        (0..count).map(|_| case.draw(&self.data, self.language, &mut rng)).collect()
    }

    fn request(&self, query: &Query) -> Vec<u8> {
        let accept = match self.format {
            Format::Csv => "application/csv",
            Format::Json => "application/json",
        };
        let database = encode(&self.database);
        match self.language {
            Language::Sql | Language::SqlInFull => {
                let path = format!("/api/v1/sql?db={database}");
                self.target.request(&path, Some(accept), Some(query.text.as_bytes()))
            }
            Language::Influxql => {
                let path = format!("/query?db={database}&q={}", encode(&query.text));
                self.target.request(&path, Some(accept), None)
            }
        }
    }

    async fn measure_one(&self, case: &Case) -> Result<Figure> {
        let queries = self.draw(case, self.warmup + self.runs);
        let round = Arc::new(Round {
            requests: queries.iter().map(|query| Mutex::new(self.request(query))).collect(),
            queries,
            next: AtomicUsize::new(0),
            warmup: self.warmup as usize,
            language: self.language,
            format: self.format,
        });
        let mut tasks = Vec::new();
        for _ in 0..self.connections.min(self.warmup + self.runs) {
            let connection = Connection::open(self.target.address).await;
            let connection = connection.context(|| format!("connect to {}", self.target.host))?;
            tasks.push(monoio::spawn(ask(Arc::clone(&round), connection)));
        }
        let cpu_before = self.process.map(|process| process.cpu_seconds()).transpose()?;
        let mut seen = Seen::default();
        for task in tasks {
            let part = task.await;
            seen.latencies_ns.extend(part.latencies_ns);
            (seen.rows, seen.bytes) = (part.rows.max(seen.rows), part.bytes.max(seen.bytes));
            seen.failure = seen.failure.or(part.failure);
        }
        let cpu_after = self.process.map(|process| process.cpu_seconds()).transpose()?;
        let asked = f64::from(self.warmup + self.runs);
        Ok(Figure {
            query: case.name,
            runs: seen.latencies_ns.len() as u32,
            latency: Latencies::of(seen.latencies_ns.into_iter()),
            rows: seen.rows,
            bytes: seen.bytes,
            server_cpu_us: cpu_before.zip(cpu_after).map(|(before, after)| (after - before) * 1e6 / asked),
            failure: seen.failure,
        })
    }

    fn show(&self, cases: &[Case]) -> Result<()> {
        for case in cases {
            let mut runtime = http::runtime().context(|| "start the io_uring runtime")?;
            let queries = self.draw(case, 1);
            let Some(query) = queries.first() else { continue };
            let (request, address) = (self.request(query), self.target.address);
            let exchanged = runtime.block_on(async move { Connection::open(address).await?.exchange(request).await.0 });
            let reply = exchanged.context(|| format!("call {}", self.target.host))?;
            output::print(&format!("-- {} ({:?})\n{}\n{}\n", case.name, query.expected, query.text, reply.excerpt()))?;
        }
        Ok(())
    }
}

async fn ask(round: Arc<Round>, mut connection: Connection) -> Seen {
    let mut seen = Seen::default();
    loop {
        let number = round.next.fetch_add(1, Ordering::Relaxed);
        let Some(slot) = round.requests.get(number) else { return seen };
        let request = slot.lock().map(|mut slot| std::mem::take(&mut *slot)).unwrap_or_default();
        let begun = Instant::now();
        let (reply, _) = connection.exchange(request).await;
        let latency_ns = begun.elapsed().as_nanos() as u64;
        let query = &round.queries[number];
        let outcome = match reply {
            Err(error) => Err(error.to_string()),
            Ok(reply) if reply.status != 200 => Err(format!("answered {}", reply.excerpt())),
            Ok(reply) => answer::count_rows(round.language, round.format, &reply.body).and_then(|rows| {
                (seen.rows, seen.bytes) = (rows, reply.body.len() as u64);
                let wrong = || Err(format!("{rows} rows instead of {:?}", query.expected));
                if query.expected.holds(rows) { Ok(()) } else { wrong() }
            }),
        };
        if let Err(why) = outcome {
            seen.failure = Some(format!("{why}\n    {}", query.text));
            return seen;
        }
        if number >= round.warmup {
            seen.latencies_ns.push(latency_ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Mock, reply};

    fn session(mock: &Mock, language: Language) -> Session {
        Session {
            target: mock.target.clone(),
            database: "b d".to_owned(),
            language,
            format: if language == Language::Sql { Format::Csv } else { Format::Json },
            data: Data { hosts: 3, start_ns: START_NS, end_ns: START_NS + 100 * TICK_NS, dense: true },
            runs: 6,
            warmup: 2,
            connections: 2,
            seed: 1,
            process: Some(Process::own()),
        }
    }

    #[test]
    fn answers_are_checked_against_the_data() {
        let mock = Mock::start(|_, asked| {
            let full = reply("200 OK", "", "hostname,usage_user\nhost_0,1\nhost_1,2\nhost_2,3\n");
            let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na\n\r\n3\r\n1\n2\r\n0\r\n\r\n";
            if asked.body.contains("last(") { full } else { chunked.to_owned() }
        });
        let session = session(&mock, Language::Sql);
        let cases = [Case::find("lastpoint").unwrap(), Case::find("double-groupby-1").unwrap()];
        let figures = session.measure(&cases).unwrap();
        assert_eq!((figures[0].runs, figures[0].rows, figures[0].failure.as_ref()), (6, 3, None));
        assert!(figures[0].server_cpu_us.is_some());
        let why = figures[1].failure.as_ref().unwrap();
        assert!(why.contains("2 rows instead of Rows(3)"), "{why}");
        assert!(table(&figures).contains("FAILED"));
        let asked = mock.asked();
        assert_eq!(
            (asked[0].path.as_str(), asked[0].accept.as_deref()),
            ("/api/v1/sql?db=b%20d", Some("application/csv"))
        );
    }

    #[test]
    fn influxql_goes_to_query() {
        let body = r#"{"results":[{"series":[{"values":[[1]]}]}]}"#;
        let mock = Mock::start(move |_, _| reply("200 OK", "", body));
        let figures = session(&mock, Language::Influxql).measure(&CASES).unwrap();
        assert!(figures.iter().all(|figure| figure.failure.is_none() && figure.rows == 1));
        assert!(mock.asked()[0].path.starts_with("/query?db=b%20d&q=SELECT%20max%28usage%5Fuser%29"));
    }

    #[test]
    fn an_error_is_shown_with_its_query() {
        let mock = Mock::start(|_, _| reply("422 No", "", "{\"error_code\":\"010001\"}"));
        let figures = session(&mock, Language::Sql).measure(&CASES[..1]).unwrap();
        let why = figures[0].failure.as_ref().unwrap();
        assert!(why.contains("010001") && why.contains("SELECT date_bin"), "{why}");
    }
}
