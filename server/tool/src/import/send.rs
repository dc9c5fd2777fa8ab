//! Batches on their way: a bounded queue, and threads that each have one request open.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use tidewire_sql::PolicyOptions;

use super::patience::Patience;
use super::server::{Refusal, Server};
use super::{Target, expired};
use crate::progress::Progress;
use crate::tables::TableTerms;

/// Rows for one target, as lines.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) target: Arc<Target>,
    /// Where they come from.
    pub(super) file: Arc<str>,
    /// What `places` counts: `line` or `row`.
    pub(super) unit: &'static str,
    pub(super) text: Vec<u8>,
    /// End of each row in `text`.
    pub(super) ends: Vec<usize>,
    /// Which line or row of the file each is, from 1.
    pub(super) places: Vec<u64>,
}

impl Batch {
    pub(super) fn new(target: &Arc<Target>, file: &Arc<str>, unit: &'static str) -> Self {
        let (target, file) = (target.clone(), file.clone());
        Self { target, file, unit, text: Vec::new(), ends: Vec::new(), places: Vec::new() }
    }

    /// Ends a row whose text was appended, with its newline.
    pub(super) fn end_row(&mut self, place: u64) {
        self.ends.push(self.text.len());
        self.places.push(place);
    }

    /// The text of some rows, one after the other.
    fn text_of(&self, rows: &[usize]) -> Cow<'_, [u8]> {
        let start = |row: usize| if row == 0 { 0 } else { self.ends[row - 1] };
        match rows {
            [first, .., last] if rows.is_sorted() && last - first + 1 == rows.len() => {
                Cow::Borrowed(&self.text[start(*first)..self.ends[*last]])
            }
            rows => Cow::Owned(rows.iter().flat_map(|row| &self.text[start(*row)..self.ends[*row]]).copied().collect()),
        }
    }
}

/// The way to the senders.
pub(super) struct Sender<'a> {
    queue: SyncSender<Batch>,
    way: &'a Way<'a>,
}

/// The way to the server.
struct Way<'a> {
    server: &'a Server,
    patience: Patience<'a>,
}

/// What became of an import.
#[derive(Debug)]
pub(super) struct Sent {
    /// Rows that the server has written.
    pub(super) rows: u64,
    /// Rows that were too old for it.
    pub(super) expired: u64,
    pub(super) outcome: Result<(), String>,
}

/// The senders have stopped; why, they know.
const STOPPED: &str = "stopped";

impl Sender<'_> {
    /// Hands a batch over; waits while enough are on their way.
    pub(super) fn send(&self, batch: Batch) -> Result<(), String> {
        if batch.ends.is_empty() {
            return Ok(());
        }
        self.queue.send(batch).map_err(|_| STOPPED.to_owned())
    }

    /// Makes the database and the retention policy of a target, unless they are there, and what else statements of the
    /// file that is read say of the database.
    pub(super) fn prepare(&self, target: &Target, declared: &[(String, PolicyOptions)]) -> Result<(), String> {
        self.way
            .patience
            .with(|| self.way.server.prepare(target, declared))
            .map_err(|refusal| refusal.text().to_owned())
    }
}

impl Sender<'_> {
    /// Makes a table, unless it is there.
    pub(super) fn create_table(&self, target: &Target, terms: &TableTerms) -> Result<(), String> {
        self.way
            .patience
            .with(|| self.way.server.create_table(target, terms))
            .map_err(|refusal| refusal.text().to_owned())
    }
}

/// Runs `body`, with `parallel` senders beside it, and waits until all is sent. `progress` says that a server is waited
/// for.
pub(super) fn with_senders(
    server: &Server,
    parallel: usize,
    progress: &Progress,
    body: impl FnOnce(&Sender<'_>) -> Result<(), String>,
) -> Sent {
    // One waiting for each that is on its way: a sender never waits for the reading of a file.
    let (queue, batches) = sync_channel::<Batch>(parallel);
    let (counts, failure) = (Counts::default(), Mutex::new(None));
    let way = Way { server, patience: Patience::new(progress) };
    let read = std::thread::scope(|scope| {
        let batches = Arc::new(Mutex::new(batches));
        for _ in 0..parallel {
            let (batches, way, counts, failure) = (batches.clone(), &way, &counts, &failure);
            scope.spawn(move || {
                while let Some(batch) = take(&batches) {
                    let all = (0..batch.ends.len()).collect::<Vec<_>>();
                    if let Err(reason) = deliver(way, &batch, &all, counts) {
                        lock(failure).get_or_insert(reason);
                        break;
                    }
                    if lock(failure).is_some() {
                        break;
                    }
                }
            });
        }
        // Only the senders hold the receiver: when all of them have stopped, the reader sees it.
        drop(batches);
        let sender = Sender { queue, way: &way };
        body(&sender)
    });
    let failure = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
    let outcome = failure.map_or(read, Err);
    Sent { rows: counts.written.into_inner(), expired: counts.expired.into_inner(), outcome }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take(batches: &Mutex<Receiver<Batch>>) -> Option<Batch> {
    lock(batches).recv().ok()
}

/// What became of rows.
#[derive(Debug, Default)]
struct Counts {
    written: AtomicU64,
    expired: AtomicU64,
}

impl Counts {
    fn add(&self, written: u64, expired: u64) {
        self.written.fetch_add(written, Ordering::Relaxed);
        self.expired.fetch_add(expired, Ordering::Relaxed);
    }
}

/// Writes rows of a batch. What is refused is halved, so that the first row that is refused is known in the end.
fn deliver(way: &Way<'_>, batch: &Batch, rows: &[usize], counts: &Counts) -> Result<(), String> {
    match way.patience.with(|| way.server.write(&batch.target, &batch.text_of(rows))) {
        Ok(()) => {
            counts.add(rows.len() as u64, 0);
            Ok(())
        }
        Err(Refusal::Expired(Some(expired), _)) => {
            counts.add((rows.len() as u64).saturating_sub(expired), expired);
            Ok(())
        }
        Err(Refusal::Expired(None, _)) => {
            let by_time = expired::by_time(rows, |row| batch.text_of(&[row]));
            let mut expired = 0;
            let divided = expired::divide(&by_time, &mut |rows| write_young(way, batch, rows, counts), &mut expired);
            counts.add(0, expired);
            divided
        }
        Err(Refusal::Rows(_)) if rows.len() > 1 => {
            let (first, second) = rows.split_at(rows.len() / 2);
            deliver(way, batch, first, counts)?;
            deliver(way, batch, second, counts)
        }
        Err(refusal) => Err(told(batch, rows, &refusal)),
    }
}

/// Writes rows; false where none is written, since one of them has expired.
fn write_young(way: &Way<'_>, batch: &Batch, rows: &[usize], counts: &Counts) -> Result<bool, String> {
    match way.patience.with(|| way.server.write(&batch.target, &batch.text_of(rows))) {
        Ok(()) => {
            counts.add(rows.len() as u64, 0);
            Ok(true)
        }
        Err(Refusal::Expired(..)) => Ok(false),
        Err(Refusal::Rows(_)) if rows.len() > 1 => {
            let (first, second) = rows.split_at(rows.len() / 2);
            deliver(way, batch, first, counts)?;
            deliver(way, batch, second, counts)?;
            Ok(true)
        }
        Err(refusal) => Err(told(batch, rows, &refusal)),
    }
}

fn told(batch: &Batch, rows: &[usize], refusal: &Refusal) -> String {
    let place = |row: Option<&usize>| row.and_then(|row| batch.places.get(*row)).copied().unwrap_or_default();
    let (first, last) = (place(rows.first()), place(rows.last()));
    let place = if first == last { format!("{first}") } else { format!("{first} to {last}") };
    format!("{}, {} {place}: {}", batch.file, batch.unit, refusal.text())
}

impl Refusal {
    fn text(&self) -> &str {
        match self {
            Self::Busy(_, text) | Self::Rows(text) | Self::Expired(_, text) | Self::Server(text) => text,
        }
    }
}
