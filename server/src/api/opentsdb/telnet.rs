//! OpenTSDB's commands, line by line on a connection of their own (`opentsdb.telnet_listen`).
//!
//! `put` writes a point and says nothing unless something is wrong; the puts that have arrived together are one batch,
//! of which good points are written although others are bad. With `auth.enabled` a connection begins with
//! `auth basic user password`: without it nothing is written.

use std::borrow::Cow;
use std::fmt::Write as _;

use tidewire_protocol::opentsdb::TextPoints;
use tidewire_protocol::row::{BadRows, RowError, TimeScale};
use tidewire_storage::schema::{Access, DEFAULT_TENANT, Need};

use crate::api::counters::{Door, RowCounters};
use crate::auth::credentials::Credentials;
use crate::auth::logins::Logins;
use crate::auth::principal::Principal;
use crate::core::state::CoreState;
use crate::ingest::error::WriteError;
use crate::ingest::fault::RowFault;
use crate::ingest::rows::{RowTarget, RowWriter, write_rows};
use crate::net::{Goes, LineSession};
use crate::ring::yield_if_needed;
use crate::runtime::clock::now_ns;

/// The commands, as `help` tells them.
const HELP: &str = "available commands: auth exit help put version\n";

/// What lines are about: one core, and where it counts.
pub(in crate::api) struct Telnet<'a> {
    pub(in crate::api) core: &'a CoreState,
    pub(in crate::api) logins: &'a Logins,
    pub(in crate::api) rows: &'a RowCounters,
}

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Command<'l> {
    Put,
    Auth(&'l str),
    Version,
    Help,
    Exit,
    Nothing,
    Unknown(Cow<'l, str>),
}

impl<'l> Command<'l> {
    fn of(line: &'l [u8]) -> Self {
        let line = line.trim_ascii();
        let end = line.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(line.len());
        let (word, rest) = line.split_at(end);
        match word {
            b"" => Self::Nothing,
            b"put" => Self::Put,
            b"auth" => std::str::from_utf8(rest).map_or(Self::Unknown(Cow::Borrowed("auth")), Self::Auth),
            b"version" => Self::Version,
            b"help" => Self::Help,
            b"exit" | b"quit" => Self::Exit,
            _ => Self::Unknown(String::from_utf8_lossy(&word[..word.len().min(WORD_BYTES_MAX)])),
        }
    }
}

/// Commands between two looks at the time.
const COMMANDS_STEP: usize = 64;

/// What may be said to lines that have come together. Who asks for more means no good, or speaks something else.
const REPLY_BYTES_MAX: usize = 256 << 10;

/// Bytes of an unknown command that are repeated.
const WORD_BYTES_MAX: usize = 64;

impl Telnet<'_> {
    /// Carries out whole lines; what is said to them is added to `reply`.
    pub(in crate::api) async fn lines(&self, session: &mut LineSession, lines: &[u8], reply: &mut Vec<u8>) -> Goes {
        let (mut rest, mut commands) = (lines, 0_usize);
        while !rest.is_empty() {
            commands += 1;
            if commands.is_multiple_of(COMMANDS_STEP) {
                yield_if_needed().await;
            }
            if reply.len() > REPLY_BYTES_MAX {
                reply.extend_from_slice(b"error: too much to answer\n");
                return Goes::Away;
            }
            // Puts that follow each other are one batch.
            let puts = puts(rest);
            if puts > 0 {
                let (batch, behind) = rest.split_at(puts);
                rest = behind;
                self.put(session, batch, reply).await;
                continue;
            }
            let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
            let (line, behind) = rest.split_at(end);
            rest = behind;
            match Command::of(line) {
                Command::Put | Command::Nothing => {}
                Command::Auth(words) => {
                    let told: &[u8] = match self.login(session, words).await {
                        true => b"AUTH_SUCCESS\r\n",
                        false => b"AUTH_FAIL\r\n",
                    };
                    reply.extend_from_slice(told);
                }
                Command::Version => {
                    let version = env!("CARGO_PKG_VERSION");
                    reply.extend_from_slice(format!("Tidewire {version}, with OpenTSDB's put\n").as_bytes());
                }
                Command::Help => reply.extend_from_slice(HELP.as_bytes()),
                Command::Exit => return Goes::Away,
                Command::Unknown(word) => {
                    reply.extend_from_slice(format!("unknown command: {word}.  Try `help'.\n").as_bytes());
                }
            }
        }
        Goes::On
    }

    /// `basic user password`, the password up to the end of the line.
    async fn login(&self, session: &mut LineSession, words: &str) -> bool {
        session.user = None;
        let mut words = words.trim().splitn(3, ' ');
        let (Some("basic"), Some(user), Some(password)) = (words.next(), words.next(), words.next()) else {
            return false;
        };
        if !self.core.config.auth.enabled {
            return true;
        }
        let given = Credentials::Password(Cow::Borrowed(user), Cow::Borrowed(password));
        let address = session.peer.map(|peer| peer.ip());
        session.user = self.logins.user(given, &self.core.catalog(), address).await.ok();
        session.user.is_some()
    }

    /// Whether the session may write now: what its user may do may have changed since, and so may the user.
    fn may_write(&self, session: &LineSession, database: &str) -> Result<(), &'static str> {
        if !self.core.config.auth.enabled {
            return Ok(());
        }
        let Some(user) = &session.user else {
            return Err("authentication is required: auth basic USER PASSWORD");
        };
        self.core.with_catalog(|catalog| {
            let known = catalog.users.get(&user.name).filter(|known| known.password == user.password);
            let known = known.ok_or("authentication is required: the user has changed")?;
            let rights = Principal::User(known.clone()).rights(catalog, DEFAULT_TENANT);
            let is_allowed = rights.is_ok_and(|rights| rights.allow(&Need::of(database, Access::WRITE)));
            if is_allowed { Ok(()) } else { Err("the user may not write into the database") }
        })
    }

    /// Writes the points of lines that are all puts.
    async fn put(&self, session: &LineSession, lines: &[u8], reply: &mut Vec<u8>) {
        let database = &self.core.config.opentsdb.telnet_database;
        if let Err(reason) = self.may_write(session, database) {
            reply.extend_from_slice(format!("put: {reason}\n").as_bytes());
            return;
        }
        let target = RowTarget { database, bad_rows: BadRows::KeepOthers, now_ns: now_ns() };
        let fill = async |rows: &mut RowWriter<'_>| {
            let mut points = TextPoints::of_puts(TimeScale::Digits);
            let read = |text: &[u8], last, rows: &mut RowWriter<'_>| Ok::<_, WriteError>(points.read(text, last, rows));
            rows.read_piece(lines, true, read).await.map(drop)
        };
        match write_rows(self.core, target, fill).await {
            Ok((written, ())) => {
                self.rows.count(Door::OpenTsdb, &written);
                let bad_rows = &written.bad_rows;
                let mut told = String::new();
                for row in &bad_rows.kept {
                    say(&mut told, &row.fault);
                }
                let untold = (bad_rows.unparsed + bad_rows.dropped).saturating_sub(bad_rows.kept.len() as u64);
                if untold > 0 {
                    let _ = writeln!(told, "put: {untold} more points are not taken");
                }
                reply.extend_from_slice(told.as_bytes());
            }
            Err(error) => {
                self.rows.count_refused(&error);
                reply.extend_from_slice(format!("put: {error}\n").as_bytes());
            }
        }
    }
}

/// What is wrong with a point, in OpenTSDB's words where it has some.
fn say(told: &mut String, fault: &RowFault) {
    let _ = match fault {
        RowFault::Unread(RowError::Invalid { part: "the timestamp", text }) => {
            writeln!(told, "put: invalid timestamp: {}", text.escape_debug())
        }
        RowFault::Unread(RowError::Invalid { part: "the value", text }) => {
            writeln!(told, "put: invalid value: {}", text.escape_debug())
        }
        other => writeln!(told, "put: illegal argument: {other}"),
    };
}

/// Bytes of the lines at the start of `lines` that are puts.
fn puts(lines: &[u8]) -> usize {
    let mut end = 0;
    while let Some(rest) = lines.get(end..).filter(|rest| !rest.is_empty()) {
        let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        if Command::of(&rest[..length]) != Command::Put {
            break;
        }
        end += length;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_is_the_command() {
        assert_eq!(Command::of(b" put a\r\n"), Command::Put);
        assert_eq!(Command::of(b"put\t\n"), Command::Put);
        assert_eq!(Command::of(b"\r\n"), Command::Nothing);
        assert_eq!(Command::of(b"auth basic a b c\n"), Command::Auth(" basic a b c"));
        assert_eq!(Command::of(b"puts a\n"), Command::Unknown("puts".into()));
        assert_eq!(Command::of(b"\xff\n"), Command::Unknown("\u{fffd}".into()));
        let Command::Unknown(word) = Command::of(&[b'x'; 1000]) else { panic!("a command") };
        assert_eq!(word.len(), WORD_BYTES_MAX);
        assert_eq!(puts(b"put a\nput b\nversion\nput c\n"), 12);
        assert_eq!((puts(b"version\n"), puts(b"put a"), puts(b"")), (0, 5, 0));
    }

    #[test]
    fn faults_have_the_words_of_opentsdb() {
        let mut told = String::new();
        for error in [
            RowError::invalid("the timestamp", "x\u{1b}"),
            RowError::invalid("the value", "y"),
            RowError::Missing("a tag"),
        ] {
            say(&mut told, &RowFault::Unread(error));
        }
        assert_eq!(
            told,
            "put: invalid timestamp: x\\u{1b}\nput: invalid value: y\nput: illegal argument: a tag is missing\n"
        );
    }
}
