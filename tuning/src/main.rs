//! `tidewire-tuning`: what a host offers a Tidewire server.
//!
//! `check` reads settings of the running system and says which ones cost the server something, why, and which command
//! mends them. It changes nothing. `probe` measures the disk under a data folder and the ring, and writes what the
//! server should use into `tuning.toml`.

mod check;
mod host;
mod probe;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Probes a host and shows how to tune it for Tidewire.
#[derive(Debug, Parser)]
#[command(name = "tidewire-tuning", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compare host settings with what the server wants.
    Check {
        /// Read below this folder instead of `/`.
        #[arg(long, default_value = "/")]
        root: PathBuf,
        /// Exit with 1 when there is a warning.
        #[arg(long)]
        strict: bool,
    },
    /// Measure disk and ring, write tuning.toml.
    Probe(probe::ProbeArgs),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Check { root, strict } => {
            let findings = check::all(&host::Host::new(root));
            let warned = findings.iter().any(|finding| finding.level == check::Level::Warn);
            print(&check::report(&findings)).map(|()| !(strict && warned)).map_err(|error| error.to_string())
        }
        Command::Probe(args) => probe::command(&args)
            .and_then(|text| print(&text).map(|()| true).map_err(|error| probe::ProbeError::new("print", error)))
            .map_err(|error| error.to_string()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tidewire-tuning: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A closed pipe is no failure.
fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
