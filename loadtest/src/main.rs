//! `loadtest`: the load generator of Tidewire, a black-box client that knows only HTTP.
//!
//! Each command is a module: `write` (rows), and what it needs from `workload` (seeded rows), `deck` (requests encoded
//! in advance), `http` (client), `tally` (latencies), `process` (what the server costs) and `chart`.

mod chart;
mod child;
mod deck;
mod error;
mod http;
mod output;
mod pace;
mod process;
mod query;
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
    /// Kill a server again and again and prove that it keeps what it acknowledged.
    Verify(verify::VerifyArgs),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Write(args) => write::command(args),
        Command::Query(args) => query::command(args),
        Command::Verify(args) => verify::command(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loadtest: {error}");
            ExitCode::FAILURE
        }
    }
}
