//! `loadtest`: the load generator of Tidewire, a black-box client that knows only HTTP.
//!
//! Each command is a module: `write` loads rows, `query` asks a set of queries, `compare` runs both against several
//! servers. The others start a server of their own (`own`), read its metrics (`metrics`) and judge what they promise
//! (`promise`): `verify` kills it and counts what it kept, `drain` ends it under load, `soak` runs everything at
//! once, `highcard` loads a million series, `recovery` restarts it, `compaction` (`merging`) writes while it merges,
//! `scale` asks at two sizes, `full` fills its disk, `stall` writes beside heavy statements, `tables` makes, drops
//! and opens many tables, `hostile` attacks it, `idle` holds many connections open, `dashboard` looks at it as Grafana
//! does.
//!
//! They share `workload` (seeded rows), `deck` (requests encoded in advance), `http` (the client), `csv` (answers),
//! `pace` (open loop), `tally` (latencies), `process` (what a server costs), `child` (starting and ending servers),
//! `chart` and `output`.

mod chart;
mod child;
mod compare;
mod csv;
mod dashboard;
mod deck;
mod door;
mod drain;
mod error;
mod full;
mod highcard;
mod hostile;
mod http;
mod idle;
mod merging;
mod metrics;
mod output;
mod own;
mod pace;
mod process;
mod promise;
mod query;
mod recovery;
mod scale;
mod soak;
mod stall;
mod tables;
mod tally;
#[cfg(test)]
mod testing;
mod verify;
mod workload;
mod write;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Loads, queries and checks a time-series server over HTTP.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write rows and measure rate, latency, CPU, memory and disk space.
    Write(write::WriteArgs),
    /// Ask a query set and measure latencies.
    Query(query::QueryArgs),
    /// Load Tidewire, InfluxDB and VictoriaMetrics with the same rows and print one table.
    Compare(compare::CompareArgs),
    /// Kill a server again and again and prove that it keeps what it acknowledged.
    Verify(verify::VerifyArgs),
    /// End a server under load again and again and prove that every request gets a whole reply.
    Drain(drain::DrainArgs),
    /// Write, query, delete, expire and compact for half an hour and prove that nothing creeps.
    Soak(soak::SoakArgs),
    /// Load a million series and compare with few: rate, memory, restarts.
    Highcard(highcard::HighcardArgs),
    /// Measure the replay of a full log, and how long a large data folder takes to open.
    Recovery(recovery::RecoveryArgs),
    /// Measure ingest while segments are merged and while they are not.
    Compaction(merging::MergingArgs),
    /// Ask the TSBS set at two sizes and compare times with the rows selected.
    Scale(scale::ScaleArgs),
    /// Fill a small disk and prove that the server lives, and goes on when there is space.
    Full(full::FullArgs),
    /// Measure how long a one-row write waits for a heavy query.
    Stall(stall::StallArgs),
    /// Measure what it costs to make, drop and open many tables.
    Tables(tables::TablesArgs),
    /// Attack a server with statements and bodies that cost it much, and prove that it lives and serves others.
    Hostile(hostile::HostileArgs),
    /// Measure what idle connections cost, and prove that slow clients do not stop others.
    Idle(idle::IdleArgs),
    /// Refresh dashboards of twenty panels while rows come in.
    Dashboard(dashboard::DashboardArgs),
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let result = child::end_with_signals().and_then(|()| run(command));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loadtest: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> error::Result<()> {
    match command {
        Command::Write(args) => write::command(args),
        Command::Query(args) => query::command(args),
        Command::Compare(args) => compare::command(&args),
        Command::Verify(args) => verify::command(args),
        Command::Drain(args) => drain::command(&args),
        Command::Soak(args) => soak::command(&args),
        Command::Highcard(args) => highcard::command(&args),
        Command::Recovery(args) => recovery::command(&args),
        Command::Compaction(args) => merging::command(&args),
        Command::Scale(args) => scale::command(&args),
        Command::Full(args) => full::command(&args),
        Command::Stall(args) => stall::command(&args),
        Command::Tables(args) => tables::command(&args),
        Command::Hostile(args) => hostile::command(&args),
        Command::Idle(args) => idle::command(&args),
        Command::Dashboard(args) => dashboard::command(&args),
    }
}
