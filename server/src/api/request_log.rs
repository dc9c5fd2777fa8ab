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

use std::fmt::{Display, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tidewire_base::config::{self, AccessLog};

use super::redact::without_password;
use crate::metrics::pace::{Lines, others};

/// Characters of a client's text, or of a reason, that a line has.
const TEXT_CHARS_MAX: usize = 300;

/// Characters of a slow statement.
const STATEMENT_CHARS_MAX: usize = 1_000;

/// Bytes of a statement that are kept for the log.
pub(super) const STATEMENT_BYTES_MAX: usize = 4 * STATEMENT_CHARS_MAX;

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

/// A core's log of requests.
pub(super) struct RequestLog {
    access: AccessLog,
    slow: Option<Duration>,
    /// Of requests that are refused for what the client sent, and of those that fail for what the server has.
    failing: [Lines; 2],
}

impl RequestLog {
    /// As the configuration says.
    pub(super) fn new(log: &config::Log) -> Self {
        let slow = (log.slow_query_ms > 0).then(|| Duration::from_millis(log.slow_query_ms));
        Self { access: log.access, slow, failing: Default::default() }
    }

    /// Whether statements should be kept for [`Self::note_statement`].
    pub(super) fn wants_statements(&self) -> bool {
        self.slow.is_some()
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
            log::info!("{answered}");
        } else if is_failed {
            let is_ours = answered.status >= 500;
            if let Some(unsaid) = self.failing[usize::from(is_ours)].take_turn(now) {
                let level = if is_ours { log::Level::Warn } else { log::Level::Info };
                log::log!(level, "refused: {answered}{}", others(unsaid));
            }
        }
    }

    /// Says of a statement that it was slow, if it was.
    pub(super) fn note_statement(&self, answered: &Answered<'_>, statement: &[u8]) {
        if !statement.is_empty() && self.slow.is_some_and(|slow| answered.elapsed >= slow) {
            log::warn!("slow: {answered}: {}", shown_statement(&String::from_utf8_lossy(statement)));
        }
    }
}

/// What the log shows of a statement.
pub(super) fn shown_statement(text: &str) -> String {
    plain(&without_password(text), STATEMENT_CHARS_MAX)
}

/// A text on one line, without control characters and such, cut.
pub(super) fn plain(text: &str, chars_max: usize) -> String {
    let mut chars = text.trim().chars();
    let mut out = String::new();
    for c in chars.by_ref().take(chars_max) {
        match c {
            '\n' | '\r' | '\t' => out.push(' '),
            c if is_hidden(c) => {
                // Writing to a String cannot fail.
                let _ = write!(out, "{}", c.escape_unicode());
            }
            c => out.push(c),
        }
    }
    if chars.next().is_some() {
        out.push('…');
    }
    out
}

/// Control characters, separators of lines, and what hides text or turns its direction.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{61c}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_text_or_turns_it_is_named() {
        assert_eq!(plain("a\u{202e}b\u{9b}c\u{2028}d\u{feff}", 100), r"a\u{202e}b\u{9b}c\u{2028}d\u{feff}");
    }

    #[test]
    fn a_line_has_what_there_is_and_no_text_of_a_client_breaks_it() {
        let peer = Some("10.0.0.7:5000".parse().unwrap());
        let (method, path, elapsed) = ("POST", "/write", Duration::from_micros(1_250));
        let mut answered = Answered { peer, method, path, status: 204, elapsed, reason: None };
        assert_eq!(answered.to_string(), "10.0.0.7:5000 POST /write 204 in 1.2 ms");
        let reason = "bad\n2026 ERROR forged \u{1b}[2J";
        answered.status = 400;
        answered.reason = Some(&reason);
        let line = "10.0.0.7:5000 POST /write 400 in 1.2 ms: bad 2026 ERROR forged \\u{1b}[2J";
        assert_eq!(answered.to_string(), line);
        let long = "x".repeat(400);
        let answered = Answered { peer: None, method: "", path: &long, reason: None, ..answered };
        let line = format!("a client that has left - {}… 400 in 1.2 ms", "x".repeat(300));
        assert_eq!(answered.to_string(), line);
    }

    #[test]
    fn statements_are_cut_and_passwords_are_not_said() {
        assert_eq!(shown_statement("SELECT *\n FROM m"), "SELECT *  FROM m");
        assert_eq!(shown_statement("CREATE USER u WITH Password 'secret'"), "CREATE USER u WITH Password …");
        assert_eq!(shown_statement(&"é".repeat(5_000)), format!("{}…", "é".repeat(1_000)));
    }
}
