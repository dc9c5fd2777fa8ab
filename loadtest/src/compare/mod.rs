//! `loadtest compare`: the same rows into Tidewire, InfluxDB and VictoriaMetrics, in one go on one machine.
//!
//! In each round every contender gets a fresh folder and a spare port, is started, loaded, left to come to rest, asked
//! the query set if it can be asked, ended and removed. Contenders take turns, so that a slow spell of the machine
//! meets all of them. The tables show medians over the rounds, and how much more a peer costs than Tidewire. Tidewire
//! is asked in SQL and in InfluxQL, InfluxDB in InfluxQL.

mod contender;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::door::Door;
use crate::error::{Context, Error, Result};
use crate::output;
use crate::process::Process;
use crate::query::tsbs::{CASES, Data, Language};
use crate::query::{Figure, Format, Session};
use crate::tally::median;
use crate::workload::{TICK_NS, Workload};
use crate::write::{Job, RowArgs, Summary, duration};
use contender::{Contender, FLUSH_IDLE_S, Programs};

const DATABASE: &str = "benchmark";
/// InfluxDB takes some seconds to start on a loaded machine.
const START_MAX: Duration = Duration::from_secs(60);
const END_MAX: Duration = Duration::from_secs(60);
/// Folders of runs carry this name and the process id.
const FOLDER_PREFIX: &str = "tidewire-compare-";

/// `loadtest compare`
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    #[command(flatten)]
    rows: RowArgs,
    /// Rounds; the table shows medians.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Tidewire's binary.
    #[arg(long, default_value = "target/release/tidewire")]
    tidewire: PathBuf,
    /// InfluxDB's binary.
    #[arg(long, default_value = "influxd")]
    influxdb: PathBuf,
    /// VictoriaMetrics' binary.
    #[arg(long, default_value = "victoria-metrics")]
    victoria_metrics: PathBuf,
    /// Only contenders whose name is this; may be repeated.
    #[arg(long)]
    only: Vec<String>,
    /// Ask each query of the set this many times after the load (0: none).
    #[arg(long, default_value_t = 0)]
    query_runs: u32,
    /// A server is at rest after this many idle seconds. Servers write out what rests in memory after 2 s.
    #[arg(long, default_value_t = 5.0)]
    settle: f64,
    /// Folder for the servers' data, on the disk that is meant.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Also write all rounds as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// One contender in one round.
#[derive(Debug, Clone, Serialize)]
struct Outcome {
    contender: &'static str,
    durability: &'static str,
    write: Summary,
    queries: Vec<Asked>,
}

/// A query of the set in a language.
#[derive(Debug, Clone, Serialize)]
struct Asked {
    language: &'static str,
    #[serde(flatten)]
    figure: Figure,
}

/// Runs the command.
pub(crate) fn command(args: &CompareArgs) -> Result<()> {
    let programs = Programs {
        tidewire: args.tidewire.clone(),
        influxdb: args.influxdb.clone(),
        victoria_metrics: args.victoria_metrics.clone(),
    };
    let (mut contenders, missing) = contender::installed(&programs);
    for sentence in &missing {
        eprintln!("loadtest: {sentence}");
    }
    if !args.only.is_empty() {
        contenders.retain(|contender| args.only.iter().any(|name| name == contender.name));
    }
    if contenders.is_empty() {
        return Err(Error::Usage("nothing to compare".to_owned()));
    }
    if args.settle <= f64::from(FLUSH_IDLE_S) {
        return Err(Error::Usage(format!("--settle must be more than {FLUSH_IDLE_S}, or the last flush is missed")));
    }
    if args.query_runs > 0 && args.rows.workload != Workload::Devops {
        return Err(Error::Usage("--query-runs: the query set is for --workload devops".to_owned()));
    }
    let base = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    fs::create_dir_all(&base).context(|| format!("make {}", base.display()))?;
    warn_of_memory_disk(&base);
    remove_leftovers(&base);
    let mut outcomes = Vec::new();
    for round in 1..=args.rounds {
        for contender in &contenders {
            let folder = Folder::make(&base)?;
            let outcome = run(args, contender, &folder.path)?;
            eprintln!(
                "round {round}: {:<17} {:>9.0} rows/s, {}",
                contender.name,
                outcome.write.rows_per_s,
                cpu_us(&outcome.write).map_or("-".to_owned(), |us| format!("{us:.3} µs CPU/row"))
            );
            outcomes.push(outcome);
        }
    }
    output::print(&write_table(&contenders, &outcomes))?;
    if args.query_runs > 0 {
        let answers: Vec<_> = outcomes.iter().map(|outcome| (outcome.contender, &*outcome.queries)).collect();
        output::print(&format!("\n{}", query_table(&contenders, &answers)))?;
    }
    if let Some(path) = &args.json {
        output::write_json(path, &outcomes)?;
    }
    Ok(())
}

fn run(args: &CompareArgs, contender: &Contender, folder: &Path) -> Result<Outcome> {
    let data_dir = contender.data_dir(folder);
    fs::create_dir_all(&data_dir).context(|| format!("make {}", data_dir.display()))?;
    let (server, _) = contender.launch(folder)?.start_ready(START_MAX)?;
    let target = server.target();
    if let Some(api) = contender.creates_databases() {
        api.create_database(&target, DATABASE)?;
    }
    let process = Process::new(server.pid())?;
    let job = Job {
        rows: args.rows.clone(),
        target: target.clone(),
        path: contender.write_path(DATABASE),
        door: Door::Line,
        rate: None,
        process: Some(process),
        data_dir: Some(data_dir),
        settle: Some(Duration::from_secs_f64(args.settle)),
    };
    let (write, tally) = job.run()?;
    write
        .verdict(&tally)
        .map_err(|error| Error::Failed(format!("{}: {error}\n{}", contender.name, server.log_tail())))?;
    let mut queries = Vec::new();
    for &language in contender.languages().iter().filter(|_| args.query_runs > 0) {
        let shape = args.rows.shape();
        let all_rows = args.rows.rows + args.rows.warmup.div_ceil(args.rows.batch) * args.rows.batch;
        let session = Session {
            target: target.clone(),
            database: DATABASE.to_owned(),
            language,
            format: Format::of(language),
            data: Data {
                hosts: shape.hosts,
                start_ns: shape.start_ns,
                end_ns: shape.start_ns + all_rows.div_ceil(shape.hosts) as i64 * TICK_NS,
                dense: all_rows.is_multiple_of(shape.hosts),
            },
            runs: args.query_runs,
            warmup: 1,
            connections: 1,
            seed: shape.seed,
            process: Some(process),
        };
        for figure in session.measure(&CASES)? {
            if let Some(why) = &figure.failure {
                eprintln!("loadtest: {} in {}: {}: {why}", contender.name, language.name(), figure.query);
            }
            queries.push(Asked { language: language.name(), figure });
        }
    }
    let status = server.terminate(END_MAX)?;
    // A Go program that ends by the signal's default action is as orderly as one that exits with 0.
    if status.code().is_some_and(|code| code != 0) {
        eprintln!("loadtest: {} ended with {status} after SIGTERM", contender.name);
    }
    Ok(Outcome { contender: contender.name, durability: contender.durability.label(), write, queries })
}

/// A temporary folder, removed when dropped.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn make(base: &Path) -> Result<Self> {
        let path = base.join(format!("{FOLDER_PREFIX}{}", std::process::id()));
        fs::create_dir_all(&path).context(|| format!("make {}", path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("loadtest: cannot remove {}: {error}", self.path.display());
        }
    }
}

/// Removes folders of earlier runs that were interrupted: their process is gone.
fn remove_leftovers(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid =
            name.to_str().and_then(|name| name.strip_prefix(FOLDER_PREFIX)).and_then(|pid| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// On a disk in memory a sync costs nothing, and the comparison of durable modes would mean nothing.
fn warn_of_memory_disk(base: &Path) {
    const TMPFS_MAGIC: i64 = 0x0102_1994;
    if rustix::fs::statfs(base).is_ok_and(|disk| disk.f_type == TMPFS_MAGIC) {
        eprintln!("loadtest: {} is a disk in memory; name a real one with --dir", base.display());
    }
}

fn cpu_us(summary: &Summary) -> Option<f64> {
    summary.server.as_ref().and_then(|server| server.all_cpu_us_per_row)
}

fn write_table(contenders: &[Contender], outcomes: &[Outcome]) -> String {
    let medians = |name: &str, value: fn(&Summary) -> Option<f64>| {
        let of_name = outcomes.iter().filter(|outcome| outcome.contender == name);
        median(of_name.filter_map(|outcome| value(&outcome.write)))
    };
    let rate = |name: &str| medians(name, |summary| Some(summary.rows_per_s));
    let cpu = |name: &str| medians(name, cpu_us);
    let first = contenders.first().map_or("", |contender| contender.name);
    let ratio = |theirs: Option<f64>, ours: Option<f64>| {
        theirs
            .zip(ours)
            .filter(|(_, ours)| *ours > 0.0)
            .map_or("-".to_owned(), |(theirs, ours)| format!("{:.2}", theirs / ours))
    };
    let number = |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
    let head = [
        "contender",
        "an ack survives",
        "rows/s",
        "p50",
        "p99",
        "CPU µs/row",
        "rows per CPU s",
        "CPU of first",
        "rate of first",
        "RSS MiB",
        "bytes/value",
        "with log",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for contender in contenders {
        let name = contender.name;
        let latency = |value: fn(&Summary) -> Option<f64>| medians(name, value).map_or("-".to_owned(), duration);
        rows.push(vec![
            name.to_owned(),
            contender.durability.label().to_owned(),
            number(rate(name), 0),
            latency(|summary| Some(summary.latency.p50_us)),
            latency(|summary| Some(summary.latency.p99_us)),
            number(cpu(name), 3),
            number(cpu(name).filter(|us| *us > 0.0).map(|us| 1e6 / us), 0),
            ratio(cpu(name), cpu(first)),
            ratio(rate(name), rate(first)),
            number(
                medians(name, |s| s.server.as_ref().map(|server| server.rss_bytes_max as f64 / f64::from(1 << 20))),
                0,
            ),
            number(medians(name, |s| s.disk.as_ref().map(|disk| disk.bytes_per_value)), 3),
            number(medians(name, |s| s.disk.as_ref().map(|disk| disk.bytes_per_value_with_wal)), 3),
        ]);
    }
    let what = outcomes.first().map_or(String::new(), |outcome| outcome.write.title());
    let rounds = outcomes.iter().filter(|outcome| outcome.contender == first).count();
    format!("{what}; medians over rounds: {rounds}\n{}", output::table(&rows))
}

/// Times of the queries by server and language, and what the languages and servers are to each other: what ours takes
/// in InfluxQL over what it takes in SQL for the same answer, and what each other server takes over ours in its
/// language.
fn query_table(contenders: &[Contender], answers: &[(&str, &[Asked])]) -> String {
    let asked: Vec<(&str, &str)> = contenders
        .iter()
        .flat_map(|contender| contender.languages().iter().map(|language| (contender.name, language.name())))
        .collect();
    let first = asked.first().map_or("", |(name, _)| *name);
    let in_full = Language::SqlInFull.name();
    let ratios: Vec<[(&str, &str); 2]> = asked
        .iter()
        .flat_map(|&(name, language)| {
            let in_sql = (name == first && language == Language::Influxql.name()).then_some((name, in_full));
            let ours = (name != first).then_some((first, language));
            in_sql.into_iter().chain(ours).map(move |under| [(name, language), under])
        })
        .filter(|[_, under]| asked.contains(under))
        .collect();
    let name = |(name, language): &(&str, &str)| format!("{name} {language}");
    let mut rows = vec![vec!["query, p50".to_owned()]];
    rows[0].extend(asked.iter().map(name));
    rows[0].extend(ratios.iter().map(|[over, under]| format!("{} / {}", name(over), name(under))));
    for case in CASES {
        let p50 = |(name, language): &(&str, &str)| {
            let of_name = answers.iter().filter(|(contender, _)| contender == name);
            let figures = of_name.flat_map(|(_, asked)| *asked).filter(|asked| {
                asked.language == *language && asked.figure.query == case.name && asked.figure.failure.is_none()
            });
            median(figures.map(|asked| asked.figure.latency.p50_us))
        };
        let mut row = vec![case.name.to_owned()];
        row.extend(asked.iter().map(|of| p50(of).map_or("-".to_owned(), duration)));
        row.extend(ratios.iter().map(|[over, under]| match (p50(over), p50(under)) {
            (Some(over), Some(under)) if under > 0.0 => format!("{:.2}", over / under),
            _ => "-".to_owned(),
        }));
        rows.push(row);
    }
    output::table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_stand_by_language_with_their_ratios() {
        let figure = |p50_us| Figure {
            query: CASES[0].name,
            runs: 1,
            latency: crate::tally::Latencies { p50_us, ..crate::tally::Latencies::default() },
            rows: 1,
            bytes: 1,
            server_cpu_us: None,
            failure: None,
        };
        let contender =
            |name, kind| Contender { name, program: PathBuf::new(), kind, durability: contender::Durability::Power };
        let contenders =
            [contender("ours", contender::Kind::Tidewire("always")), contender("theirs", contender::Kind::InfluxDb)];
        let asked = |language, p50_us| Asked { language, figure: figure(p50_us) };
        let (ours, theirs) =
            ([asked("SQL", 50.0), asked("SQL in full", 100.0), asked("InfluxQL", 110.0)], [asked("InfluxQL", 5_500.0)]);
        let text = query_table(&contenders, &[("ours", &ours), ("theirs", &theirs)]);
        let heads = text.lines().next().unwrap();
        assert!(
            heads.contains("ours InfluxQL / ours SQL in full") && heads.contains("theirs InfluxQL / ours InfluxQL"),
            "{text}"
        );
        let row = text.lines().find(|line| line.starts_with(CASES[0].name)).unwrap();
        assert!(row.contains("1.10") && row.contains("50.00"), "{text}");
    }

    #[test]
    fn folders_go_and_leftovers_too() {
        let base = std::env::temp_dir().join(format!("tidewire-compare-test-{}", std::process::id()));
        // No process has this id: Linux ends at 4,194,304.
        let leftover = base.join(format!("{FOLDER_PREFIX}4194305"));
        fs::create_dir_all(&leftover).unwrap();
        fs::create_dir_all(base.join("other")).unwrap();
        remove_leftovers(&base);
        assert!(!leftover.exists() && base.join("other").exists());
        let folder = Folder::make(&base).unwrap();
        let path = folder.path.clone();
        remove_leftovers(&base);
        assert!(path.exists(), "the folder of a living process stays");
        drop(folder);
        assert!(!path.exists());
        fs::remove_dir_all(&base).unwrap();
    }
}
