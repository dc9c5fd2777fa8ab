//! `loadtest drain`: does every request get a whole reply when the server gets SIGTERM?
//!
//! A round, on one data folder that grows from round to round:
//!
//! 1. Start the server. Connections write, send uploads in two halves with a pause between, ask small queries and large
//!    ones whose replies stream, make and drop tables, all as fast as they are answered (`client`).
//! 2. At a seeded random moment the process gets SIGTERM. It must end with status 0.
//! 3. A request that was sent must have had a whole reply: its result, or a refusal. One that finds nobody who listens
//!    was not sent, and its connection is at its end. A connection that the server closes is made anew.
//! 4. Restart. Rows of each write must be there all or not at all, of an acknowledged one all (`ledger`).
//!
//! All rounds run for each number of cores: what one core has under way, others may be needed for.

mod client;
mod ledger;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use crate::csv;
use crate::error::{Context, Error, Result};
use crate::output;
use crate::own::{Own, ServerArgs};
use crate::promise::Promises;
use crate::write::{Api, duration};
use client::{Load, Outcomes};
use ledger::{Finding, Ledger};

/// The database that is written.
const DATABASE: &str = "drain";

/// The first writes of a round may take this long to be answered.
const WARM_UP_MAX: Duration = Duration::from_secs(60);

/// `loadtest drain`
#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Rounds for each number of cores, each with a SIGTERM.
    #[arg(long, default_value_t = 200)]
    terms: u32,
    /// Numbers of cores of the server.
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    cores: Vec<u32>,
    /// Connections, of all kinds of requests in turn.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=256))]
    connections: u32,
    /// Earliest moment of a signal after the first acknowledged write.
    #[arg(long, default_value_t = 10)]
    term_ms_min: u64,
    /// Latest moment of a signal.
    #[arg(long, default_value_t = 500)]
    term_ms_max: u64,
    /// Longest time from a signal to the end of the process.
    #[arg(long, default_value_t = 5_000)]
    end_ms_max_promised: u64,
    /// Same seed, same moments of the signals.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also write the rounds as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// One round as it is reported.
#[derive(Debug, Serialize)]
struct Round {
    cores: u32,
    number: u32,
    term_after_ms: u64,
    end_ms: u64,
    in_flight: u64,
    outcomes: Outcomes,
    finding: Finding,
}

/// Runs the command.
pub(crate) fn command(args: &DrainArgs) -> Result<()> {
    if args.term_ms_min > args.term_ms_max {
        return Err(Error::Usage("--term-ms-min is above --term-ms-max".to_owned()));
    }
    let mut rounds = Vec::new();
    for cores in &args.cores {
        let folder = args.server.data_dir.join(format!("cores-{cores}"));
        let mut server = args.server.prepare_at(&folder, &[("cores", cores.to_string())])?;
        for number in 1..=args.terms {
            let round = run(args, &mut server, *cores, number)?;
            eprintln!(
                "{cores} cores, round {number}: SIGTERM after {} ms with {} requests in flight, ended after {}; {} \
                 answered, {} of them refused, {} without a whole reply; writes {}",
                round.term_after_ms,
                round.in_flight,
                duration(round.end_ms as f64 * 1e3),
                round.outcomes.answered,
                round.outcomes.refused,
                round.outcomes.cut,
                round.finding
            );
            rounds.push(round);
        }
    }
    if let Some(path) = &args.json {
        output::write_json(path, &rounds)?;
    }
    let promises = judge(&rounds, args);
    output::print(&promises.table())?;
    for reason in rounds.iter().flat_map(|round| &round.outcomes.reasons).take(20) {
        eprintln!("  {reason}");
    }
    promises.verdict()
}

fn run(args: &DrainArgs, server: &mut Own, cores: u32, number: u32) -> Result<Round> {
    let mut rng = fastrand::Rng::with_seed(args.seed.wrapping_mul(1_000_003) ^ u64::from(number));
    let term_after_ms = rng.u64(args.term_ms_min..=args.term_ms_max);
    server.start()?;
    let target = server.target();
    Api::Cnos.create_database(&target, DATABASE)?;
    let table = format!("round_{number}");
    let load = Load::new(target, DATABASE, &table, rng.fork());
    let state = Arc::clone(load.state());
    let connections = args.connections;
    let client = thread::Builder::new().name("clients".to_owned()).spawn(move || load.run(connections));
    let client = client.context(|| "start a client thread")?;
    let begun = Instant::now();
    while state.acknowledged() == 0 && begun.elapsed() < WARM_UP_MAX && !client.is_finished() {
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(Duration::from_millis(term_after_ms));
    let in_flight = state.begin_end();
    let begun = Instant::now();
    let ended = server.terminate();
    let end_ms = begun.elapsed().as_millis() as u64;
    let loaded = client.join().map_err(|_| Error::Failed("a client thread panicked".to_owned()))?;
    ended?;
    let (outcomes, ledger) = loaded?;
    server.start()?;
    let finding = check(server, &table, &ledger)?;
    server.terminate()?;
    Ok(Round { cores, number, term_after_ms, end_ms, in_flight, outcomes, finding })
}

/// Compares what is there with what was acknowledged, and drops the table.
fn check(server: &Own, table: &str, ledger: &Ledger) -> Result<Finding> {
    let target = server.target();
    let text = format!("SELECT write, count(*) AS n FROM {table} GROUP BY write");
    let rows = csv::ask(&target, DATABASE, &text)?;
    let found = rows.iter().map(|row| Ok((row.number(0)?, row.number(1)?)));
    let finding = ledger.check(found.collect::<Result<Vec<(u64, u64)>>>()?);
    csv::ask(&target, DATABASE, &format!("DROP TABLE {table}"))?;
    Ok(finding)
}

fn judge(rounds: &[Round], args: &DrainArgs) -> Promises {
    let sum = |count: fn(&Round) -> u64| rounds.iter().map(count).sum::<u64>();
    let mut promises = Promises::default();
    promises.some("rounds", rounds.len() as u64);
    promises.some("requests in flight at a signal", sum(|round| round.in_flight));
    promises.some("requests answered", sum(|round| round.outcomes.answered));
    promises.none("requests without a whole reply", sum(|round| round.outcomes.cut));
    promises.some("writes acknowledged", sum(|round| round.finding.acknowledged));
    promises.none("acknowledged writes lost", sum(|round| round.finding.lost));
    promises.none("writes done in part", sum(|round| round.finding.partial));
    promises.none("refused writes done, and writes never sent", sum(|round| round.finding.wrong));
    for cores in &args.cores {
        let longest = rounds.iter().filter(|round| round.cores == *cores).map(|round| round.end_ms).max().unwrap_or(0);
        promises.check(
            &format!("longest end on {cores} cores, ms"),
            &longest,
            &format!("at most {}", args.end_ms_max_promised),
            longest <= args.end_ms_max_promised,
        );
    }
    promises
}
