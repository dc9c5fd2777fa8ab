//! Text to a statement, without holding the core.
//!
//! sqlparser reads a text in one go, and binding follows it in one go: some 300 ns a byte. So a text of more than
//! [`HERE_BYTES_MAX`] is prepared on the core's thread for calculations, one after the other, and the core goes on. The
//! memory that this takes is many times the text's and is reserved first, in the account of all queries: a text for
//! which it is not there is not read. What binding and the rules make beyond what the text is long they reserve there
//! too, as they go on, and they stop when the client leaves or the time of a query is over.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use memchr::memchr2_iter;
use tidewire_sql::exec::{ExecError, QueryContext, QueryMemory, Reservation};
use tidewire_sql::{Session, SqlError, SqlErrorKind, Statement, TableRows, bytes_to_prepare, prepare_within};
use tidewire_storage::schema::TableId;

use crate::core::message::CountRows;
use crate::core::state::CoreState;
use crate::ring::{calculate, drop_beside};

/// Longer texts leave the core: this one takes it a millisecond, and handing it over costs some ten microseconds.
pub const HERE_BYTES_MAX: usize = 4 << 10;

/// Ends the preparing that goes on beside the core when nobody waits for it any more.
struct EndWork(QueryContext);

impl Drop for EndWork {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// What of the reservation a statement needs until it is done. Rows of INSERT keep less, lists of IN about so much.
const KEPT_FRACTION: u64 = 8;

/// A statement that can be run.
#[derive(Debug)]
pub struct Prepared {
    /// The statement.
    pub statement: Statement,
    /// What it holds, if that is much.
    pub held: Option<Reservation>,
}

/// A part of a statement, and what it holds. Where that is much, it is dropped beside the core, however its scope is
/// left: a list of a million constants takes tens of milliseconds to drop.
#[derive(Debug)]
pub struct Kept<T: Send + 'static> {
    /// Always there until this is dropped.
    part: Option<T>,
    held: Option<Reservation>,
}

impl<T: Send + 'static> Kept<T> {
    /// Keeps `part` of a statement that holds `held`.
    pub fn new(part: T, held: Option<Reservation>) -> Self {
        Self { part: Some(part), held }
    }
}

impl<T: Send + 'static> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.part {
            Some(part) => part,
            None => unreachable!("invariant: the part goes only when this is dropped"),
        }
    }
}

impl<T: Send + 'static> Drop for Kept<T> {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            drop_beside((self.part.take(), held));
        }
    }
}

/// Why there is no statement to run.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The text is none.
    #[error(transparent)]
    Statement(#[from] SqlError),
    /// The text takes more memory than one query can have.
    #[error(
        "the statement takes about {bytes} bytes of memory while it is read, of what all queries have together \
         {bytes_max} can be one's"
    )]
    TooLarge {
        /// What it takes.
        bytes: u64,
        /// What there is at most.
        bytes_max: u64,
    },
    /// There is no memory for it now, or no time; or it was not read, for a fault of ours.
    #[error(transparent)]
    Query(#[from] ExecError),
}

impl PrepareError {
    /// Whether the statement is one that who asks may not run.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Statement(error) if matches!(*error.kind, SqlErrorKind::Forbidden(_)))
    }
}

impl From<tidewire_sql::PrepareError> for PrepareError {
    fn from(error: tidewire_sql::PrepareError) -> Self {
        match error {
            tidewire_sql::PrepareError::Statement(error) => error.into(),
            tidewire_sql::PrepareError::Stopped(error) => error.into(),
        }
    }
}

/// Prepares `text`.
pub async fn prepare(core: &CoreState, text: Vec<u8>, session: Session) -> Result<Prepared, PrepareError> {
    let Prepared { statement, held } = read_and_bound(core, text, session).await?;
    Ok(Prepared { statement: with_joins_ordered(core, statement).await, held })
}

/// A statement whose joins run in an order that suits the tables' sizes. A shard that is offline counts as empty.
async fn with_joins_ordered(core: &CoreState, statement: Statement) -> Statement {
    let tables = statement.joined_tables();
    if tables.is_empty() {
        return statement;
    }
    let tables: Arc<[TableId]> = tables.into();
    let mut rows: TableRows = tables.iter().map(|table| (*table, 0)).collect();
    for of_core in core.peers.ask_all(CountRows { tables: tables.clone() }).await {
        for (table, more) in tables.iter().zip(of_core) {
            *rows.entry(*table).or_default() += more;
        }
    }
    statement.with_joins_ordered(&rows)
}

async fn read_and_bound(core: &CoreState, text: Vec<u8>, session: Session) -> Result<Prepared, PrepareError> {
    let catalog = core.catalog();
    let account = core.memory.shared().queries().clone();
    let timeout_s = core.config.query.timeout_s;
    let time_limit = (timeout_s > 0).then(|| Duration::from_secs(timeout_s));
    // What it makes beyond its text is the query's to be; the text itself only what all may have bounds.
    let context = QueryContext::of_server(core.config.query.memory_bytes_max, time_limit, account.clone());
    if is_quick(&[&text]) && !core.may_name_wide_tables(&text) {
        let (statement, held) = prepare_within(&String::from_utf8_lossy(&text), &catalog, &session, &context)?;
        return Ok(Prepared { statement, held: (held.bytes() > 0).then_some(held) });
    }
    let _end = EndWork(context.clone());
    beside(move || {
        let bytes = bytes_to_prepare(&text);
        let mut held = reserve(account, bytes)?;
        let (statement, made) = prepare_within(&String::from_utf8_lossy(&text), &catalog, &session, &context)?;
        let kept = made.bytes();
        drop(made);
        held.resize(usize::try_from(bytes / KEPT_FRACTION + kept).unwrap_or(usize::MAX))?;
        Ok(Prepared { statement, held: Some(held) })
    })
    .await?
}

/// Patterns that are compiled on the core: each takes it some thirty microseconds, if it is simple.
const HERE_PATTERNS_MAX: usize = 16;

/// Whether texts are read in a millisecond, as they stand or in the form of URLs: they are short and have few patterns,
/// none of which is large, as those are that repeat a part (`{9}`) or name a class of characters (`\w`).
pub fn is_quick(texts: &[&[u8]]) -> bool {
    if texts.iter().map(|text| text.len()).sum::<usize>() > HERE_BYTES_MAX {
        return false;
    }
    let (mut marks, mut has_large) = (0, false);
    for text in texts {
        let escaped = text.windows(3).filter(|part| part[0] == b'%').filter_map(|part| {
            let digits = std::str::from_utf8(&part[1..]).ok()?;
            u8::from_str_radix(digits, 16).ok()
        });
        for byte in text.iter().copied().chain(escaped) {
            // SQL's operators, and what InfluxQL's patterns stand between.
            marks += usize::from(matches!(byte, b'~' | b'/'));
            has_large |= matches!(byte, b'{' | b'\\');
        }
        // SQL's functions.
        let is_named = |at: &usize| text[*at..].get(..6).is_some_and(|name| name.eq_ignore_ascii_case(b"regexp"));
        marks += memchr2_iter(b'r', b'R', text).filter(is_named).count();
    }
    marks == 0 || marks <= HERE_PATTERNS_MAX && !has_large
}

/// Reads a text of another language with `read`: at once where that is quick, as [`is_quick`] says. What comes of it
/// and its reading take some `bytes` of memory at most.
pub async fn read<T: Send + 'static>(
    core: &CoreState,
    text: Vec<u8>,
    is_quick: bool,
    bytes: u64,
    read: impl FnOnce(&[u8]) -> T + Send + 'static,
) -> Result<(T, Option<Reservation>), PrepareError> {
    if is_quick {
        return Ok((read(&text), None));
    }
    let account = core.memory.shared().queries().clone();
    beside(move || {
        let held = reserve(account, bytes)?;
        Ok((read(&text), Some(held)))
    })
    .await?
}

/// Runs `work` on the thread for calculations.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, PrepareError> {
    calculate(work).await.map_err(|error| ExecError::Internal(format!("a statement was not read: {error}")).into())
}

/// Takes `bytes` from the account of all queries. They are of no query yet, so that only what all have bounds them.
pub fn reserve(account: Arc<QueryMemory>, bytes: u64) -> Result<Reservation, PrepareError> {
    let bytes_max = account.query_bytes_max();
    if bytes > bytes_max {
        return Err(PrepareError::TooLarge { bytes, bytes_max });
    }
    let mut held = QueryContext::of_server(u64::MAX, None, account).reservation();
    held.resize(usize::try_from(bytes).unwrap_or(usize::MAX))?;
    Ok(held)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread::{self, ThreadId};
    use std::time::Duration;

    use super::*;
    use crate::ring::testing::on_a_core_in_slices;

    #[test]
    fn what_holds_memory_is_dropped_beside_the_core_and_the_rest_on_it() {
        struct Seen(mpsc::Sender<ThreadId>);
        impl Drop for Seen {
            fn drop(&mut self) {
                self.0.send(thread::current().id()).unwrap();
            }
        }
        let account = QueryMemory::new(1_000);
        let (sender, dropped) = mpsc::channel();
        let shared = account.clone();
        let core = on_a_core_in_slices(Duration::from_millis(1), async move || {
            drop(Kept::new(Seen(sender.clone()), None));
            drop(Kept::new(Seen(sender), Some(reserve(shared, 700).unwrap())));
            thread::current().id()
        });
        assert_eq!(dropped.recv().unwrap(), core);
        assert_ne!(dropped.recv().unwrap(), core);
        // The sender is gone with the second, and what that held goes after it.
        while account.used() > 0 {
            thread::yield_now();
        }
    }

    #[test]
    fn short_texts_are_quick_unless_their_patterns_are_many_or_large() {
        let quick = |text: &str| is_quick(&[text.as_bytes()]);
        assert!(
            quick("SELECT a FROM t WHERE s LIKE '%{x}%'") && quick("SELECT a / 2 FROM t") && quick(r"SELECT '\w{50}'")
        );
        assert!(quick("q=SELECT%20mean(v)%20FROM%20m%20WHERE%20h%3D~%2F%5Ehost_%5B0-9%5D%2F"));
        assert!(!quick("q=SELECT+v+FROM+m+WHERE+h=~%2F%5cw%7B50%7D%2F") && !quick(r"SELECT v FROM m WHERE h =~ /\w+/"));
        assert!(!quick(r"SELECT Regexp_Like(s, '[a-z]{9}') FROM t"));
        assert!(!quick(&"s ~ 'a' OR ".repeat(HERE_PATTERNS_MAX + 1)) && !quick(&"x".repeat(HERE_BYTES_MAX + 1)));
        assert!(!is_quick(&[&[b'x'; HERE_BYTES_MAX], b"y"]));
    }

    #[test]
    fn what_never_fits_is_too_large_and_what_does_not_fit_now_is_not() {
        let account = QueryMemory::new(1_000);
        let all = reserve(account.clone(), 1_000).unwrap();
        assert_eq!(account.used(), 1_000);
        assert!(matches!(reserve(account.clone(), 1), Err(PrepareError::Query(ExecError::ServerMemory { .. }))));
        let too_large = reserve(account.clone(), 1_001).unwrap_err();
        assert!(matches!(too_large, PrepareError::TooLarge { bytes: 1_001, bytes_max: 1_000 }));
        drop(all);
        assert_eq!(account.used(), 0);
    }
}
