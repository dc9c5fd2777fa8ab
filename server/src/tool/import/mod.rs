//! `tidewire import`: files of line protocol or Parquet, sent to a running server.
//!
//! 1. A file is read as a stream, decompressed where its first bytes say so, and cut into batches of whole rows
//!    ([`lp`], [`parquet`]). Comments in line protocol say where its lines belong; statements say how databases and
//!    retention policies are to be that are missing.
//! 2. Several batches are on their way at once ([`send`]). A server that is busy says when to come again, and is
//!    obeyed. A batch that is refused is halved until the first row that is refused is known.
//! 3. The first failure ends it all. Rows that were sent before it are written; sent again they change nothing.

mod lp;
mod parquet;
mod send;
mod server;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use tidewire_protocol::line::Dialect;

use super::progress::{Progress, Unit, say};
use crate::cli::{ImportArguments, ImportDialect, ImportPrecision};
use send::Sender;
use server::Server;

/// Read at once.
const READ_BYTES: usize = 1 << 20;

/// Where rows go.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    database: String,
    precision: ImportPrecision,
    dialect: Dialect,
    /// The retention policy; `None` for the default one, and always so in CnosDB's dialect, which cannot name one.
    policy: Option<String>,
}

/// Runs the tool.
pub fn run(arguments: &ImportArguments) -> Result<(), String> {
    let server = Server::new(&arguments.url, arguments.user.as_deref())?;
    let mut total = 0;
    for path in &arguments.files {
        if path != Path::new("-") {
            total += path.metadata().map_err(|error| format!("cannot read {}: {error}", path.display()))?.len();
        }
    }
    let total = if arguments.files.iter().any(|path| path == Path::new("-")) { 0 } else { total };
    let progress = Progress::new("importing", Unit::Bytes, total);
    let began = std::time::Instant::now();
    let sent = send::with_senders(&server, arguments.parallel, |sender| {
        for path in &arguments.files {
            import(path, arguments, &progress, sender)?;
        }
        Ok(())
    });
    progress.finish();
    let (rows, seconds) = (sent.rows, began.elapsed().as_secs_f64());
    say(&format!("written: {rows} rows, {:.0} a second", rows as f64 / seconds.max(1e-3)));
    sent.outcome
}

fn import(path: &Path, arguments: &ImportArguments, progress: &Progress, sender: &Sender<'_>) -> Result<(), String> {
    let failed = |error: io::Error| format!("cannot read {}: {error}", path.display());
    let name: Arc<str> = path.display().to_string().into();
    if path == Path::new("-") {
        let input = unpacked(Counted { input: io::stdin(), progress }).map_err(failed)?;
        return lp::import(input, &name, arguments, sender);
    }
    let mut file = File::open(path).map_err(failed)?;
    if parquet::is_parquet(&mut file).map_err(failed)? {
        return parquet::import(file, &name, arguments, progress, sender);
    }
    let input = unpacked(Counted { input: file, progress }).map_err(failed)?;
    lp::import(input, &name, arguments, sender)
}

/// A stream that is decompressed if its first bytes say that it is compressed.
fn unpacked<'a>(input: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut input = BufReader::with_capacity(READ_BYTES, input);
    let start = input.fill_buf()?;
    if start.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(flate2::bufread::MultiGzDecoder::new(input)));
    }
    if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Ok(Box::new(zstd::Decoder::with_buffer(input)?));
    }
    Ok(Box::new(input))
}

/// Moves the bar by what is read.
struct Counted<'a, R> {
    input: R,
    progress: &'a Progress,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.progress.add(read as u64);
        Ok(read)
    }
}

impl From<ImportDialect> for Dialect {
    fn from(dialect: ImportDialect) -> Self {
        match dialect {
            ImportDialect::Cnosdb => Self::Cnos,
            ImportDialect::Influxdb => Self::Influx,
        }
    }
}
