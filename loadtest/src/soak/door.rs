//! What the tasks of a soak share, and how each of them talks to the server.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::course::Seen;
use super::fleet::Fleet;
use crate::csv::{self, Cells};
use crate::error::{Context, Error, Result};
use crate::http::{Connection, Reply, Target};
use crate::tally::Tally;
use crate::write::{Api, encode};

/// A soak in which this many requests failed has shown what it can: it stops.
const ERRORS_MAX: u64 = 20;
/// A reply 429 that does not say how long to wait.
const RETRY_AFTER_S: u64 = 1;

/// What all tasks share with the thread that watches.
pub(super) struct Shared {
    pub(super) stop: AtomicBool,
    /// Rows acknowledged, over all databases.
    pub(super) rows: AtomicU64,
    pub(super) throttled: AtomicU64,
    pub(super) seen: Mutex<Seen>,
    pub(super) fleet: Mutex<Fleet>,
    /// Failed requests.
    pub(super) tally: Mutex<Tally>,
    /// What was found and should not have been, or the other way round.
    pub(super) findings: Mutex<Vec<String>>,
    /// Checks made.
    pub(super) checks: AtomicU64,
}

/// The data behind a lock; nothing here is left half done by a panic.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(fleet: Fleet) -> Self {
        Self {
            stop: AtomicBool::new(false),
            rows: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
            seen: Mutex::default(),
            fleet: Mutex::new(fleet),
            tally: Mutex::default(),
            findings: Mutex::default(),
            checks: AtomicU64::new(0),
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Counts a failed request.
    pub(super) fn error(&self, error: &Error) {
        let mut tally = lock(&self.tally);
        tally.error(error.to_string());
        if tally.errors >= ERRORS_MAX {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn errors(&self) -> u64 {
        lock(&self.tally).errors
    }

    /// Counts a check, and what it found if that is not what must be.
    pub(super) fn check<T: PartialEq + std::fmt::Debug>(&self, what: &str, found: &T, expected: &T) {
        self.checks.fetch_add(1, Ordering::Relaxed);
        if found != expected {
            lock(&self.findings).push(format!("{what}\n    found {found:?}, expected {expected:?}"));
        }
    }

    /// Sleeps in small pieces, so that the end of the run is not missed by long.
    pub(super) async fn pause(&self, time: Duration) {
        const PIECE: Duration = Duration::from_millis(200);
        let until = std::time::Instant::now() + time;
        while !self.is_stopped() && std::time::Instant::now() < until {
            monoio::time::sleep(PIECE.min(until.saturating_duration_since(std::time::Instant::now()))).await;
        }
    }
}

/// One keep-alive connection.
pub(super) struct Door {
    target: Target,
    connection: Option<Connection>,
    shared: Arc<Shared>,
}

impl Door {
    pub(super) fn new(target: &Target, shared: &Arc<Shared>) -> Self {
        Self { target: target.clone(), connection: None, shared: Arc::clone(shared) }
    }

    /// Sends a request until it is answered by something else than 429; its buffer always comes back.
    pub(super) async fn send(&mut self, request: Vec<u8>) -> (Result<Reply>, Vec<u8>) {
        let mut request = request;
        loop {
            let (reply, bytes) = self.exchange(request).await;
            request = bytes;
            match reply {
                Ok(reply) if reply.status == 429 => {
                    self.shared.throttled.fetch_add(1, Ordering::Relaxed);
                    monoio::time::sleep(Duration::from_secs(reply.retry_after_s.unwrap_or(RETRY_AFTER_S))).await;
                }
                other => return (other, request),
            }
        }
    }

    async fn exchange(&mut self, request: Vec<u8>) -> (Result<Reply>, Vec<u8>) {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => match Connection::open(self.target.address).await {
                Ok(connection) => connection,
                Err(error) => return (Err(error).context(|| format!("connect to {}", self.target.host)), request),
            },
        };
        let (reply, request) = connection.exchange(request).await;
        if reply.as_ref().is_ok_and(|reply| !reply.close) {
            self.connection = Some(connection);
        }
        (reply.context(|| format!("call {}", self.target.host)), request)
    }

    /// Writes lines.
    pub(super) async fn write(&mut self, database: &str, lines: &[u8]) -> Result<()> {
        let request = self.target.request(&Api::Cnos.write_path(database), None, Some(lines));
        let reply = self.send(request).await.0?;
        if reply.is_success() {
            return Ok(());
        }
        Err(Error::Reply(format!("a write to {database} was answered {}", reply.excerpt())))
    }

    /// Runs a statement of SQL.
    pub(super) async fn sql(&mut self, database: &str, text: &str) -> Result<Vec<Cells>> {
        let request = self.target.request(&csv::path(database), Some(csv::ACCEPT), Some(text.as_bytes()));
        csv::rows(text, self.send(request).await.0?)
    }

    /// The one number that a query answers with.
    pub(super) async fn count(&mut self, database: &str, text: &str) -> Result<u64> {
        match self.sql(database, text).await?.as_slice() {
            [row] => row.number(0),
            // A table without rows in the window may have no row to answer with.
            [] => Ok(0),
            rows => Err(Error::Reply(format!("{text}\n  gave {} rows instead of one", rows.len()))),
        }
    }

    /// Runs a statement of InfluxQL that answers nothing. Its errors come with status 200 too.
    pub(super) async fn influxql(&mut self, database: &str, text: &str) -> Result<()> {
        let path = format!("/query?db={}&q={}", encode(database), encode(text));
        let reply = self.send(self.target.request(&path, None, Some(b""))).await.0?;
        if reply.status == 200 && !has_error(&reply.body) {
            return Ok(());
        }
        Err(Error::Reply(format!("{text}\n  was answered {}", reply.excerpt())))
    }
}

fn has_error(body: &[u8]) -> bool {
    let Ok(answer) = serde_json::from_slice::<serde_json::Value>(body) else { return true };
    let results = answer.get("results").and_then(serde_json::Value::as_array);
    answer.get("error").is_some() || results.is_none_or(|all| all.iter().any(|one| one.get("error").is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::fleet::Size;
    use crate::testing::{Mock, reply};

    #[test]
    fn errors_of_influxql() {
        assert!(!has_error(br#"{"results":[{"statement_id":0}]}"#));
        for bad in [&br#"{"results":[{"statement_id":0,"error":"no"}]}"#[..], br#"{"error":"no"}"#, b"x", b"{}"] {
            assert!(has_error(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_429_is_waited_out_and_a_closed_connection_opened_again() {
        let mock = Mock::start(|number, asked| match number {
            0 => reply("429 Too Many Requests", "Retry-After: 0\r\n", "slow down"),
            1 => reply("200 OK", "Connection: close\r\n", "count\n7\n"),
            2 => reply("200 OK", "", "count\n8\n"),
            _ if asked.path.starts_with("/query") => reply("200 OK", "", "{\"results\":[{\"error\":\"no\"}]}"),
            _ => reply("422 No", "", "refused"),
        });
        let shared = Arc::new(Shared::new(Fleet::new(Size { hosts: 1, ticks: 1, seed: 1 })));
        let mut door = Door::new(&mock.target, &shared);
        crate::http::runtime().unwrap().block_on(async {
            assert_eq!(door.count("d", "SELECT 1").await.unwrap(), 7);
            assert_eq!(door.count("d", "SELECT 1").await.unwrap(), 8);
            let text = door.write("d", b"m v=1 1").await.unwrap_err().to_string();
            assert!(text.contains("422 refused"), "{text}");
            assert!(door.influxql("d", "DROP SERIES FROM m").await.is_err());
        });
        assert_eq!(shared.throttled.load(Ordering::Relaxed), 1);
        shared.check("what", &1, &2);
        assert_eq!((lock(&shared.findings).len(), shared.checks.load(Ordering::Relaxed)), (1, 1));
    }

    #[test]
    fn twenty_errors_end_the_run() {
        let shared = Shared::new(Fleet::new(Size { hosts: 1, ticks: 1, seed: 1 }));
        (1..ERRORS_MAX).for_each(|_| shared.error(&Error::Reply("no".to_owned())));
        assert!(!shared.is_stopped());
        shared.error(&Error::Reply("no".to_owned()));
        assert!(shared.is_stopped() && shared.errors() == ERRORS_MAX);
    }
}
