//! `tidewire-tuning probe`: measures what the server's I/O will meet and writes `tuning.toml`.
//!
//! 1. `disk`: the time of one durable 4 KiB write, and throughput of large direct writes and reads with 1 to 16 of
//!    them in flight.
//! 2. `ring`: whether an io_uring can be made, how deep, and what a trip through it costs.
//! 3. `choose`: the least depth that reaches nearly the best throughput; more would only add latency.
//! 4. `toml`: the settings, with the measurements beside them as comments.

mod disk;
mod ring;
mod toml;

use std::fmt::Display;
use std::fs;
use std::io;
use std::path::PathBuf;

use clap::Args;

pub(crate) use disk::DiskFigures;
pub(crate) use ring::RingFigures;

/// `tidewire-tuning probe`
#[derive(Debug, Args)]
pub(crate) struct ProbeArgs {
    /// Folder on the disk that will hold the data; made if it is missing.
    #[arg(long, default_value = "data")]
    data_dir: PathBuf,
    /// Where to write the settings [default: tuning.toml in the data folder, where the server looks].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Size of the file that is written and read, in MiB.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u64).range(16..=65_536))]
    file_mib: u64,
}

/// What failed, and the system's answer.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action}: {source}")]
pub(crate) struct ProbeError {
    action: String,
    source: io::Error,
}

impl ProbeError {
    pub(crate) fn new(action: impl Display, source: impl Into<io::Error>) -> Self {
        Self { action: action.to_string(), source: source.into() }
    }
}

/// What was measured of the host.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figures {
    pub(crate) disk: DiskFigures,
    /// The reason, if there can be no ring.
    pub(crate) ring: Result<RingFigures, String>,
}

/// Runs the command and returns what to print.
pub(crate) fn command(args: &ProbeArgs) -> Result<String, ProbeError> {
    let folder = &args.data_dir;
    fs::create_dir_all(folder).map_err(|error| ProbeError::new(format!("make {}", folder.display()), error))?;
    let figures = Figures { disk: disk::measure(folder, args.file_mib << 20)?, ring: ring::measure() };
    let text = toml::render(&figures);
    let out = args.out.clone().unwrap_or_else(|| folder.join("tuning.toml"));
    fs::write(&out, &text).map_err(|error| ProbeError::new(format!("write {}", out.display()), error))?;
    Ok(format!("{text}\nwritten to {}\n", out.display()))
}
