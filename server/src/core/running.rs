//! Statements that run now, of all cores: what SHOW QUERIES lists and KILL QUERY ends.
//!
//! A request's text is entered when its first statement begins and taken out when its last has ended, whatever ends it.
//! The list is behind a lock that is held for a moment at both ends of a request, never while one runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tidewire_sql::exec::QueryContext;

/// Bytes of a text that are kept.
pub const TEXT_BYTES_MAX: usize = 4 << 10;

/// The statements that run.
#[derive(Debug, Default)]
pub struct RunningQueries {
    last_id: AtomicU64,
    queries: Mutex<BTreeMap<u64, Arc<Running>>>,
}

/// One request's statements.
#[derive(Debug)]
pub struct Running {
    /// Its number, which no other of this process has.
    pub id: u64,
    /// Its text, or the beginning.
    pub text: String,
    /// The tenant that it is run in.
    pub tenant: String,
    /// The database that it works with.
    pub database: String,
    /// Who runs it.
    pub user: String,
    /// When it began.
    pub started: Instant,
    killed: AtomicBool,
    /// The query at hand.
    context: Mutex<Option<QueryContext>>,
}

/// A place in the list; given back when dropped.
#[derive(Debug)]
pub struct Registered {
    all: Arc<RunningQueries>,
    running: Arc<Running>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&self.all.queries).remove(&self.running.id);
    }
}

impl RunningQueries {
    /// Enters a text.
    pub fn register(self: &Arc<Self>, text: &str, tenant: &str, database: &str, user: &str) -> Registered {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let running = Arc::new(Running {
            id,
            text: text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned(),
            tenant: tenant.to_owned(),
            database: database.to_owned(),
            user: user.to_owned(),
            started: Instant::now(),
            killed: AtomicBool::new(false),
            context: Mutex::new(None),
        });
        lock(&self.queries).insert(id, running.clone());
        Registered { all: self.clone(), running }
    }

    /// All, by number.
    pub fn list(&self) -> Vec<Arc<Running>> {
        lock(&self.queries).values().cloned().collect()
    }

    /// Ends one at its next chance; false where there is none of the number.
    pub fn kill(&self, id: u64) -> bool {
        let found = lock(&self.queries).get(&id).cloned();
        found.inspect(|running| running.kill()).is_some()
    }
}

impl Running {
    /// Whether it was killed.
    pub fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }

    fn kill(&self) {
        // In this order: a context that is set later sees the flag.
        self.killed.store(true, Ordering::Release);
        if let Some(context) = &*lock(&self.context) {
            context.cancel();
        }
    }
}

impl Registered {
    /// The statement's text, as it is shown.
    pub fn text(&self) -> &str {
        &self.running.text
    }

    /// What KILL QUERY ends from now on.
    pub fn runs(&self, context: &QueryContext) {
        *lock(&self.running.context) = Some(context.clone());
        if self.is_killed() {
            context.cancel();
        }
    }

    /// Whether it was killed.
    pub fn is_killed(&self) -> bool {
        self.running.is_killed()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_killed_is_cancelled_whenever_its_context_comes() {
        let all = Arc::new(RunningQueries::default());
        let (one, other) = (all.register("one", "t", "d", "u"), all.register("other", "t", "", "u"));
        let context = QueryContext::new(1, None);
        one.runs(&context);
        assert!(all.kill(1) && one.is_killed() && !other.is_killed());
        assert!(context.check().is_err());
        let next = QueryContext::new(1, None);
        one.runs(&next);
        assert!(next.check().is_err());
        let texts = || all.list().iter().map(|running| (running.id, running.text.clone())).collect::<Vec<_>>();
        assert_eq!(texts(), [(1, "one".to_owned()), (2, "other".to_owned())]);
        drop(one);
        assert_eq!(texts(), [(2, "other".to_owned())]);
        assert!(!all.kill(1));
    }

    #[test]
    fn a_long_text_is_cut() {
        let all = Arc::new(RunningQueries::default());
        let text = format!("x{}", "é".repeat(TEXT_BYTES_MAX));
        let _registered = all.register(&text, "t", "d", "u");
        assert_eq!(all.list()[0].text.len(), TEXT_BYTES_MAX - 1);
    }
}
