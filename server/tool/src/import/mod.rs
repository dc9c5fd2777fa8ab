//! `tidewire import`: files of line protocol or Parquet, sent to a running server.
//!
//! 1. A file is read as a stream, decompressed where its first bytes say so, and cut into batches of whole rows
//!    ([`lp`], [`parquet`]). Comments in line protocol say where its lines belong; statements say how databases and
//!    retention policies are to be that are missing.
//! 2. Several batches are on their way at once ([`send`]). A server that is busy says when to come again, and is
//!    obeyed ([`patience`]). A batch that is refused is halved until the first row that is refused is known. Rows
//!    that have expired by now are no failure: they are left out and counted ([`expired`]).
//! 3. The first failure ends it all. Rows that were sent before it are written; sent again they change nothing.

mod expired;
mod lp;
mod parquet;
mod patience;
mod send;
mod server;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidewire_protocol::line::Dialect;

use super::progress::{Progress, Unit, say};
use send::Sender;
use server::Server;
use tidewire_base::cli::{ImportArguments, ImportDialect, ImportPrecision};

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
    /// The statement that rows stand behind as values of SQL, for those that no line can say; `None` for lines.
    insert: Option<Arc<str>>,
}

/// Runs the tool.
pub fn run(arguments: &ImportArguments) -> Result<(), String> {
    let server = Server::new(&arguments.url, arguments.user.as_deref(), &arguments.tenant)?;
    let (mut files, mut total) = (Vec::new(), 0);
    for path in &arguments.files {
        total += gather(path, &mut files)?;
    }
    let total = if files.iter().any(|path| path == Path::new("-")) { 0 } else { total };
    let progress = Progress::new("importing", Unit::Bytes, total);
    let began = std::time::Instant::now();
    let sent = send::with_senders(&server, arguments.parallel, &progress, |sender| {
        for path in &files {
            import(path, arguments, &progress, sender)?;
        }
        Ok(())
    });
    progress.finish();
    let (rows, seconds) = (sent.rows, began.elapsed().as_secs_f64());
    say(&format!("written: {rows} rows, {:.0} a second", rows as f64 / seconds.max(1e-3)));
    if sent.expired > 0 {
        say(&format!("left out: {} rows that are older than their retention policy keeps rows", sent.expired));
    }
    sent.outcome
}

/// Adds a file, or all files below a folder in the order of their names, but hidden ones and those that an export has
/// not finished; gives their bytes.
fn gather(path: &Path, files: &mut Vec<PathBuf>) -> Result<u64, String> {
    let failed = |error: io::Error| format!("cannot read {}: {error}", path.display());
    if path == Path::new("-") {
        files.push(path.to_owned());
        return Ok(0);
    }
    let found = path.metadata().map_err(failed)?;
    if !found.is_dir() {
        files.push(path.to_owned());
        return Ok(found.len());
    }
    let (before, mut bytes, mut below) = (files.len(), 0, Vec::new());
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?.path();
        let name = entry.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if !name.starts_with('.') && !name.ends_with(".part") {
            below.push(entry);
        }
    }
    below.sort();
    for entry in below {
        bytes += gather(&entry, files)?;
    }
    match files.len() > before {
        true => Ok(bytes),
        false => Err(format!("{} holds no file to import", path.display())),
    }
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
    let (start, input) = begun(input)?;
    let input = BufReader::with_capacity(READ_BYTES, input);
    if start.starts_with(&[0x1f, 0x8b]) {
        return text(flate2::bufread::MultiGzDecoder::new(input));
    }
    if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return text(zstd::Decoder::with_buffer(input)?);
    }
    text(input)
}

/// A text without the byte-order mark that some programs put at its head.
fn text<'a>(input: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let (start, mut input) = begun(input)?;
    if start.starts_with(b"\xef\xbb\xbf") {
        input.read_exact(&mut [0; 3])?;
    }
    Ok(Box::new(input))
}

/// The first bytes of a stream, which still come from it.
fn begun<'a>(mut input: impl Read + 'a) -> io::Result<(Vec<u8>, impl Read + 'a)> {
    let mut start = Vec::new();
    input.by_ref().take(4).read_to_end(&mut start)?;
    Ok((start.clone(), io::Cursor::new(start).chain(input)))
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

/// The rules of a dialect that the command line names.
fn rules(dialect: ImportDialect) -> Dialect {
    match dialect {
        ImportDialect::Cnosdb => Dialect::Cnos,
        ImportDialect::Influxdb => Dialect::Influx,
    }
}
