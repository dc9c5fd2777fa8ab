//! What the log says of requests.
//!
//! 1. `log.access` chooses which requests have a line of their own.
//! 2. Of those that are refused or fail and have none, a line a second says what the last one was told: the operator
//!    sees that there are some, and a client that sends thousands cannot fill the disk with them.
//! 3. A statement that took longer than `log.slow_query_ms` is logged with its text.
//! 4. Statements of administration are logged always (`audit`).
//!
//! What comes from a client is cut and escaped, so that it cannot look like a line of the server, and what follows the
//! word PASSWORD in a statement is left out.

use std::fmt::Display;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tidewire_base::config::{self, AccessLog};

use super::context::RequestContext;
use super::redact::shown_statement;
use super::statement_kind::statement_kind;
use crate::journal::files::{Noted, note};
use crate::journal::record::{Kind, Record, Value};
use crate::journal::text::{TEXT_CHARS_MAX, plain};
use crate::metrics::pace::{Lines, others};
use crate::metrics::registry::{Counter, Registry};

/// A request that was answered.
pub(super) struct Answered<'a> {
    /// The client, if its connection still says.
    pub(super) peer: Option<SocketAddr>,
    /// Its method; empty where it did not arrive.
    pub(super) method: &'a str,
    /// Its path; empty where it did not arrive.
    pub(super) path: &'a str,
    /// What it was told.
    pub(super) status: u16,
    /// How long that took.
    pub(super) elapsed: Duration,
    /// What was wrong.
    pub(super) reason: Option<&'a dyn Display>,
    /// What more is known, of a request for an endpoint.
    pub(super) context: Option<&'a RequestContext<'a>>,
}

impl Display for Answered<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.peer {
            Some(peer) => write!(f, "{peer}")?,
            None => f.write_str("a client that has left")?,
        }
        let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { plain(text, TEXT_CHARS_MAX) };
        let ms = self.elapsed.as_secs_f64() * 1e3;
        write!(f, " {} {} {} in {ms:.1} ms", or_dash(self.method), or_dash(self.path), self.status)?;
        match self.reason {
            Some(reason) => write!(f, ": {}", plain(&reason.to_string(), TEXT_CHARS_MAX)),
            None => Ok(()),
        }
    }
}

impl Answered<'_> {
    /// The line of it.
    fn record(&self, kind: Kind) -> Record {
        let text = |text: &str| Value::Text(plain(text, TEXT_CHARS_MAX));
        let mut fields = self.context.map(RequestContext::who).unwrap_or_default();
        let peer = self.peer.map_or_else(String::new, |peer| peer.to_string());
        fields.extend([("address", Value::Text(peer)), ("method", text(self.method)), ("path", text(self.path))]);
        if let Some(context) = self.context {
            let statement = context.statement.as_ref().map(|statement| statement_kind(&statement.borrow()));
            fields.push(("kind", Value::Text(statement.unwrap_or_default())));
        }
        fields.extend([("status", Value::Number(self.status.into())), ("ms", Value::Milliseconds(self.elapsed))]);
        if let Some(context) = self.context {
            fields.push(("rows", Value::Number(context.moved.get())));
        }
        if let Some(reason) = self.reason {
            fields.push(("reason", text(&reason.to_string())));
        }
        Record { kind, fields }
    }
}

/// A core's log of requests.
pub(super) struct RequestLog {
    access: AccessLog,
    slow: Option<Duration>,
    /// Of requests that are refused for what the client sent, and of those that fail for what the server has.
    failing: [Lines; 2],
    dropped: Rc<Counter>,
}

impl RequestLog {
    /// As the configuration says.
    pub(super) fn new(log: &config::Log, registry: &Registry) -> Self {
        let slow = (log.slow_query_ms > 0).then(|| Duration::from_millis(log.slow_query_ms));
        let help = "Lines about requests that were not written to a file of the log, which did not keep up.";
        let dropped = registry.counter("tidewire_log_lines_dropped_total", help, &[]);
        Self { access: log.access, slow, failing: Default::default(), dropped }
    }

    /// Whether statements should be kept for the log.
    pub(super) fn wants_statements(&self) -> bool {
        self.slow.is_some() || self.access != AccessLog::Off
    }

    fn write(&self, record: &Record) {
        if note(record) == Noted::Dropped {
            self.dropped.increment();
        }
    }

    /// Says what there is to say of a request at `now`.
    pub(super) fn note(&self, answered: &Answered<'_>, now: Instant) {
        let is_failed = answered.status >= 400;
        let has_line = match self.access {
            AccessLog::Off => false,
            AccessLog::Errors => is_failed,
            AccessLog::All => true,
        };
        if has_line {
            self.write(&answered.record(Kind::Access));
        } else if is_failed {
            let is_ours = answered.status >= 500;
            if let Some(unsaid) = self.failing[usize::from(is_ours)].take_turn(now) {
                let level = if is_ours { log::Level::Warn } else { log::Level::Info };
                log::log!(level, "refused: {answered}{}", others(unsaid));
            }
        }
        let slow = self.slow.filter(|slow| answered.elapsed >= *slow);
        if let (Some(_), Some(statement)) = (slow, answered.context.and_then(|context| context.statement.as_ref())) {
            let statement = statement.borrow();
            if !statement.is_empty() {
                let mut record = answered.record(Kind::Slow);
                record.fields.push(("statement", Value::Text(shown_statement(&String::from_utf8_lossy(&statement)))));
                self.write(&record);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_what_there_is_and_no_text_of_a_client_breaks_it() {
        let peer = Some("10.0.0.7:5000".parse().unwrap());
        let (method, path, elapsed) = ("POST", "/write", Duration::from_micros(1_250));
        let mut answered = Answered { peer, method, path, status: 204, elapsed, reason: None, context: None };
        assert_eq!(answered.to_string(), "10.0.0.7:5000 POST /write 204 in 1.2 ms");
        let reason = "bad\n2026 ERROR forged \u{1b}[2J";
        answered.status = 400;
        answered.reason = Some(&reason);
        let line = "10.0.0.7:5000 POST /write 400 in 1.2 ms: bad 2026 ERROR forged \\u{1b}[2J";
        assert_eq!(answered.to_string(), line);
        let record = "access address=10.0.0.7:5000 method=POST path=/write status=400 ms=1.250 \
                      reason=\"bad 2026 ERROR forged \\\\u{1b}[2J\"";
        assert_eq!(answered.record(Kind::Access).text(), record);
        let long = "x".repeat(400);
        let answered = Answered { peer: None, method: "", path: &long, reason: None, ..answered };
        let line = format!("a client that has left - {}… 400 in 1.2 ms", "x".repeat(300));
        assert_eq!(answered.to_string(), line);
    }
}
