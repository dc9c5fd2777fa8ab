//! The connections of a round: closed loops of all kinds of requests, until nobody listens any more.

use std::cell::RefCell;
use std::fmt::Write;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use super::ledger::{Heard, Ledger, WRITE_ROWS};
use crate::csv;
use crate::error::{Context, Error, Result};
use crate::http::{self, Connection, Reply, Target};
use crate::write::Api;

/// Longest pause between the two halves of an upload.
const HALVES_MS_MAX: u64 = 60;

/// Reasons that are kept.
const REASONS_MAX: usize = 10;

/// What became of the requests of a round.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Outcomes {
    /// Whole replies, refusals among them.
    pub(super) answered: u64,
    /// Replies 429 and 503.
    pub(super) refused: u64,
    /// Sent, and the connection ended before a whole reply.
    pub(super) cut: u64,
    /// The first of those in words.
    pub(super) reasons: Vec<String>,
}

/// What the thread that sends the signal sees of the clients, and says to them.
#[derive(Debug, Default)]
pub(super) struct LoadState {
    is_ending: AtomicBool,
    in_flight: AtomicU64,
    acknowledged: AtomicU64,
}

impl LoadState {
    /// Writes acknowledged so far.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// From now on nobody may listen any more. Gives the requests in flight.
    pub(super) fn begin_end(&self) -> u64 {
        self.is_ending.store(true, Ordering::SeqCst);
        self.in_flight.load(Ordering::Relaxed)
    }
}

/// The clients of a round, before they run.
pub(super) struct Load {
    target: Target,
    database: String,
    table: String,
    rng: fastrand::Rng,
    state: Arc<LoadState>,
}

impl Load {
    pub(super) fn new(target: Target, database: &str, table: &str, rng: fastrand::Rng) -> Self {
        Self { target, database: database.to_owned(), table: table.to_owned(), rng, state: Arc::default() }
    }

    pub(super) fn state(&self) -> &Arc<LoadState> {
        &self.state
    }

    /// Runs all connections until nobody listens. An error is a reply that nothing explains, or a server that was not
    /// there before the signal.
    pub(super) fn run(mut self, connections: u32) -> Result<(Outcomes, Ledger)> {
        let mut runtime = http::runtime().context(|| "start the io_uring runtime")?;
        runtime.block_on(async {
            let shared = Rc::new(RefCell::new((Outcomes::default(), Ledger::default())));
            let tasks: Vec<_> = (0..connections)
                .map(|number| {
                    let client = Client {
                        number,
                        target: self.target.clone(),
                        write_path: Api::Cnos.write_path(&self.database),
                        sql_path: csv::path(&self.database),
                        table: self.table.clone(),
                        rng: self.rng.fork(),
                        state: Arc::clone(&self.state),
                        shared: Rc::clone(&shared),
                        connection: None,
                    };
                    monoio::spawn(client.run())
                })
                .collect();
            let mut strange = Ok(());
            for task in tasks {
                strange = strange.and(task.await);
            }
            strange?;
            Ok(shared.take())
        })
    }
}

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Write,
    /// In two halves with a pause between.
    Upload,
    Query,
    /// With a reply that streams.
    LargeQuery,
    CreateTable,
    DropTable,
}

/// What became of a request.
enum Sent {
    Answered(Reply),
    /// Nobody listens.
    Unsent,
    Cut(io::Error),
}

struct Client {
    number: u32,
    target: Target,
    write_path: String,
    sql_path: String,
    table: String,
    rng: fastrand::Rng,
    state: Arc<LoadState>,
    shared: Rc<RefCell<(Outcomes, Ledger)>>,
    /// `None` before the first request, and after the server has closed it.
    connection: Option<Connection>,
}

impl Client {
    async fn run(mut self) -> Result<()> {
        loop {
            let kind = self.kind();
            let is_write = matches!(kind, Kind::Write | Kind::Upload);
            let write = is_write.then(|| self.shared.borrow_mut().1.begin());
            let (first, second) = self.request(kind, write);
            let sent = self.send(first, second).await;
            let (outcomes, ledger) = &mut *self.shared.borrow_mut();
            match sent {
                Sent::Unsent if self.state.is_ending.load(Ordering::SeqCst) => {
                    write.into_iter().for_each(|write| ledger.hear(write, Heard::Refused));
                    return Ok(());
                }
                Sent::Unsent => return Err(Error::Failed("nobody listens before the signal".to_owned())),
                Sent::Cut(error) => {
                    outcomes.cut += 1;
                    if outcomes.reasons.len() < REASONS_MAX {
                        outcomes.reasons.push(format!("{kind:?} of connection {}: {error}", self.number));
                    }
                }
                Sent::Answered(reply) => {
                    outcomes.answered += 1;
                    outcomes.refused += u64::from(matches!(reply.status, 429 | 503));
                    let heard = heard(&reply);
                    write.into_iter().for_each(|write| ledger.hear(write, heard));
                    self.state.acknowledged.fetch_add(u64::from(is_write && heard == Heard::Done), Ordering::Relaxed);
                    // Of two who make or drop a table one may be too late, and the round's is not there before a write.
                    let is_explained = matches!(reply.status, 429 | 503) || (reply.status == 422 && !is_write);
                    if !reply.is_success() && !is_explained {
                        return Err(Error::Reply(format!("{kind:?} was answered {}", reply.excerpt())));
                    }
                }
            }
        }
    }

    fn kind(&mut self) -> Kind {
        match self.number % 8 {
            0..=2 => Kind::Write,
            3 | 4 => Kind::Upload,
            5 => Kind::Query,
            6 => Kind::LargeQuery,
            _ if self.rng.bool() => Kind::CreateTable,
            _ => Kind::DropTable,
        }
    }

    /// A request, and its second half.
    fn request(&mut self, kind: Kind, write: Option<u64>) -> (Vec<u8>, Vec<u8>) {
        let table = &self.table;
        let sql = match kind {
            Kind::Write | Kind::Upload => {
                let lines = lines(table, write.unwrap_or_default());
                let mut whole = self.target.request(&self.write_path, None, Some(lines.as_bytes()));
                let middle = whole.len() - lines.len() / 2;
                let second = if kind == Kind::Upload { whole.split_off(middle) } else { Vec::new() };
                return (whole, second);
            }
            Kind::Query => format!("SELECT host, count(*) AS n FROM {table} GROUP BY host"),
            Kind::LargeQuery => format!("SELECT * FROM {table}"),
            Kind::CreateTable => format!("CREATE TABLE IF NOT EXISTS beside_{} (v BIGINT, TAGS(h))", self.rng.u8(..4)),
            Kind::DropTable => format!("DROP TABLE IF EXISTS beside_{}", self.rng.u8(..4)),
        };
        (self.target.request(&self.sql_path, Some(csv::ACCEPT), Some(sql.as_bytes())), Vec::new())
    }

    /// Sends a request over the connection, or a new one.
    async fn send(&mut self, first: Vec<u8>, second: Vec<u8>) -> Sent {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => match Connection::open(self.target.address).await {
                Ok(connection) => connection,
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Sent::Unsent,
                Err(error) => return Sent::Cut(error),
            },
        };
        self.state.in_flight.fetch_add(1, Ordering::Relaxed);
        let pause = Duration::from_millis(self.rng.u64(..HALVES_MS_MAX));
        let replied = async {
            if !second.is_empty() {
                // What the server says of a request that it does not want to its end is in its reply.
                let _ = connection.send(first).await;
                monoio::time::sleep(pause).await;
                return connection.exchange(second).await.0;
            }
            connection.exchange(first).await.0
        };
        let replied = replied.await;
        self.state.in_flight.fetch_sub(1, Ordering::Relaxed);
        match replied {
            Ok(reply) => {
                self.connection = (!reply.close).then_some(connection);
                Sent::Answered(reply)
            }
            Err(error) => Sent::Cut(error),
        }
    }
}

/// The lines of a write: a row for each series, with the write's number.
fn lines(table: &str, write: u64) -> String {
    let mut lines = String::new();
    for host in 0..WRITE_ROWS {
        // Writing into a String cannot fail.
        let _ = writeln!(lines, "{table},host=h{host} write={write}i {}", write * WRITE_ROWS + host + 1);
    }
    lines
}

/// What a reply says of a write.
fn heard(reply: &Reply) -> Heard {
    match reply.status {
        200..=299 => Heard::Done,
        // What was cut may have been done.
        503 => Heard::Nothing,
        _ => Heard::Refused,
    }
}
