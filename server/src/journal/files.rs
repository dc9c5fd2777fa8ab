//! Where lines go: into files of their own, or into the server's log.
//!
//! 1. The files are opened before the server serves; one that cannot be ends the start.
//! 2. A core hands its lines to a thread and goes on: a disk that stands still must not stop it. Beyond
//!    [`LINES_WAITING_MAX`] lines that wait, those of requests are dropped and counted; those of administration, which
//!    are few, never.
//! 3. On SIGHUP the thread opens the files anew by their names, so that who rotates them can move them away first.
//!    Until then, and where the new one cannot be opened, lines go into the old one.
//! 4. What cannot be written is said in the server's log; a line of administration goes there whole.
//!
//! There is one such journal a process, as there is one log.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use log::Level;
use tidewire_base::config::{self, LogFormat};

use super::record::{Kind, Record};
use super::server::WHOLE_LINE;

/// Lines that may wait to be written: some megabytes.
const LINES_WAITING_MAX: usize = 16 << 10;

/// How often a file that cannot be written is spoken of.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// The group of the server may read them, and nobody else beside it: statements stand in them.
const MODE: u32 = 0o640;

static JOURNAL: OnceLock<Journal> = OnceLock::new();

/// Lines that wait to be written.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// What every core knows of the files.
#[derive(Debug)]
struct Journal {
    format: LogFormat,
    /// By [`Kind`], whether it has a file.
    has_file: [bool; Kind::ALL.len()],
    orders: Sender<Order>,
}

enum Order {
    Line(Kind, String),
    Reopen,
    /// Everything before it is written when the receiver hears of it.
    Flush(SyncSender<()>),
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// It is written, or soon will be.
    Taken,
    /// Too many wait.
    Dropped,
}

/// Opens the files that the configuration names, and starts the thread that writes them.
///
/// # Errors
///
/// Which file cannot be opened, and why.
pub fn open(log: &config::Log) -> Result<(), String> {
    let paths = [&log.access_file, &log.audit_file, &log.slow_query_file];
    let mut outputs = Vec::new();
    for (kind, path) in Kind::ALL.into_iter().zip(paths) {
        if !path.as_os_str().is_empty() {
            let output = Output::open(kind, path);
            outputs.push(output.map_err(|error| format!("cannot open {} for the log: {error}", path.display()))?);
        }
    }
    let (orders, receiver) = channel();
    let has_file = Kind::ALL.map(|kind| outputs.iter().any(|output| output.kind == kind));
    if !outputs.is_empty() {
        let thread = std::thread::Builder::new().name("tidewire-log".to_owned());
        thread
            .spawn(move || write_all(&receiver, &mut outputs))
            .map_err(|error| format!("cannot start a thread: {error}"))?;
    }
    // Another server in this process (tests start several) has its own already.
    let _ = JOURNAL.set(Journal { format: log.format, has_file, orders });
    Ok(())
}

/// Opens the files anew by their names.
pub fn reopen() {
    order(Order::Reopen);
}

/// Waits until everything that was noted is written.
pub fn flush() {
    let (done, wait) = sync_channel(1);
    if JOURNAL.get().is_some_and(|journal| journal.has_file.contains(&true)) && order(Order::Flush(done)) {
        // An error is a thread that has ended: there is nobody to wait for.
        let _ = wait.recv();
    }
}

fn order(order: Order) -> bool {
    JOURNAL.get().is_some_and(|journal| journal.orders.send(order).is_ok())
}

/// Notes a line.
pub fn note(record: &Record) -> Noted {
    let journal = JOURNAL.get();
    let format = journal.map_or(LogFormat::Text, |journal| journal.format);
    let Some(journal) = journal.filter(|journal| journal.has_file[record.kind as usize]) else {
        say(record, format);
        return Noted::Taken;
    };
    if record.kind != Kind::Audit && WAITING.load(Ordering::Relaxed) >= LINES_WAITING_MAX {
        return Noted::Dropped;
    }
    WAITING.fetch_add(1, Ordering::Relaxed);
    match journal.orders.send(Order::Line(record.kind, record.line(format, SystemTime::now()))) {
        Ok(()) => Noted::Taken,
        // The thread has ended.
        Err(_) => {
            WAITING.fetch_sub(1, Ordering::Relaxed);
            say(record, format);
            Noted::Taken
        }
    }
}

/// Puts a line into the server's log. One of administration is said at the level that the log has, whatever that is.
fn say(record: &Record, format: LogFormat) {
    let level = match record.kind {
        Kind::Access => Level::Info,
        Kind::Slow => Level::Warn,
        Kind::Audit => log::max_level().to_level().map_or(Level::Error, |level| level.min(Level::Info)),
    };
    if level > log::max_level() {
        return;
    }
    match format {
        LogFormat::Text => log::log!(level, "{}", record.text()),
        LogFormat::Json => log::log!(target: WHOLE_LINE, level, "{}", record.line(format, SystemTime::now())),
    }
}

/// A file.
struct Output {
    kind: Kind,
    path: PathBuf,
    file: BufWriter<File>,
    /// When a failure was last spoken of.
    told: Option<Instant>,
}

impl Output {
    fn open(kind: Kind, path: &Path) -> io::Result<Self> {
        Ok(Self { kind, path: path.to_owned(), file: BufWriter::new(opened(path)?), told: None })
    }

    fn line(&mut self, line: &str) {
        let mut written = writeln!(self.file, "{line}");
        if self.kind == Kind::Audit {
            // Whether it is written must be known before the next one.
            written = written.and_then(|()| self.file.flush());
        }
        self.tell(&written);
        if written.is_err() && self.kind == Kind::Audit {
            log::warn!("not in {}: {line}", self.path.display());
        }
    }

    fn flush(&mut self) {
        let flushed = self.file.flush();
        self.tell(&flushed);
    }

    fn reopen(&mut self) {
        self.flush();
        match opened(&self.path) {
            Ok(file) => self.file = BufWriter::new(file),
            Err(error) => log::error!("the old file stays in use, cannot open {}: {error}", self.path.display()),
        }
    }

    fn tell(&mut self, outcome: &io::Result<()>) {
        if let Err(error) = outcome
            && self.told.is_none_or(|told| told.elapsed() >= TELL_AGAIN)
        {
            self.told = Some(Instant::now());
            log::error!("cannot write {}: {error}", self.path.display());
        }
    }
}

fn opened(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(MODE).open(path)
}

/// Carries out orders until nobody can give any.
fn write_all(orders: &Receiver<Order>, outputs: &mut [Output]) {
    while let Ok(first) = orders.recv() {
        // What has come meanwhile is written together.
        for order in std::iter::once(first).chain(orders.try_iter().take(LINES_WAITING_MAX)) {
            match order {
                Order::Line(kind, line) => {
                    WAITING.fetch_sub(1, Ordering::Relaxed);
                    outputs.iter_mut().filter(|output| output.kind == kind).for_each(|output| output.line(&line));
                }
                Order::Reopen => outputs.iter_mut().for_each(Output::reopen),
                Order::Flush(done) => {
                    outputs.iter_mut().for_each(Output::flush);
                    // Who asked may have gone.
                    let _ = done.send(());
                }
            }
        }
        outputs.iter_mut().for_each(Output::flush);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_moved_away_is_made_anew() {
        let folder = std::env::temp_dir().join(format!("tidewire-journal-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (path, moved) = (folder.join("access.log"), folder.join("access.log.1"));
        let mut outputs = [Output::open(Kind::Access, &path).unwrap()];
        let (orders, receiver) = channel();
        WAITING.fetch_add(3, Ordering::Relaxed);
        let line = |text: &str| orders.send(Order::Line(Kind::Access, text.to_owned())).unwrap();
        let flush = |outputs: &mut [Output]| {
            let (done, wait) = sync_channel(1);
            orders.send(Order::Flush(done)).unwrap();
            let (again, all) = channel();
            receiver.try_iter().for_each(|order| again.send(order).unwrap());
            drop(again);
            write_all(&all, outputs);
            wait.recv().unwrap();
        };
        line("one");
        flush(&mut outputs);
        std::fs::rename(&path, &moved).unwrap();
        line("two");
        flush(&mut outputs);
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "one\ntwo\n");
        orders.send(Order::Reopen).unwrap();
        line("three");
        flush(&mut outputs);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "one\ntwo\n");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
