//! Continuous queries at work: one core looks every second which of them are due, and runs them one after the other.
//!
//! A query that fails is tried again for the same times, at most once a minute or as often as it would run. What was
//! run last is not kept over a restart: a query then begins with the window at hand. One with LATE also computes
//! windows again that rows came late for (`late.rs`).

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tidewire_sql::influxql::ContinuousQuery;

use super::into::Writing;
use super::late::Late;
use super::scope::Scope;
use super::{error, select};
use crate::core::late::LateWatch;
use crate::core::message::CollectLate;
use crate::core::state::CoreState;
use crate::metrics::registry::Counter;
use crate::ring::sleep;
use crate::runtime::clock::now_ns;

/// How often queries are looked at.
const TICK: Duration = Duration::from_secs(1);

/// What failed is left alone for so long.
const PAUSE_NS: i64 = 60_000_000_000;

/// Database and name.
type Key = (Arc<str>, Arc<str>);

/// What is known of a query.
struct Known {
    text: Arc<str>,
    /// `None` for a text of a build that knew more.
    query: Option<ContinuousQuery>,
    ran_ns: Option<i64>,
    paused_until_ns: i64,
    late: Late,
}

/// What is known of all queries.
#[derive(Default)]
struct Queries {
    known: BTreeMap<Key, Known>,
    /// The id of the next one.
    next_id: u64,
    /// Whether they were looked at before.
    has_looked: bool,
    /// Whether cores watch for late rows.
    is_watching: bool,
}

/// Runs the continuous queries of all databases. Rows that they write are counted in `written`.
pub async fn run_continuous(core: Rc<CoreState>, written: Rc<Counter>) {
    let mut queries = Queries::default();
    // Those of now were there before the start.
    queries.look(&core);
    loop {
        sleep(TICK).await;
        let keys = queries.look(&core);
        // The watches hold up to where queries run that are due now.
        let now_ns = now_ns();
        queries.collect(&core, now_ns).await;
        for key in keys {
            if let Some(known) = queries.known.get_mut(&key) {
                let running = Running { core: &core, written: &written, key: &key, now_ns };
                running.run_due(known).await;
                running.run_late(known).await;
            }
        }
    }
}

impl Queries {
    /// Takes in what has changed in the catalog, and says which queries there are.
    fn look(&mut self, core: &CoreState) -> Vec<Key> {
        let was_there = !std::mem::replace(&mut self.has_looked, true);
        let catalog = core.catalog();
        let mut keys = Vec::new();
        for of in catalog.databases.values() {
            for query in &of.continuous_queries {
                let key = (of.name.clone(), query.name.clone());
                keys.push(key.clone());
                if self.known.get(&key).is_none_or(|known| known.text != query.text) {
                    let parsed = ContinuousQuery::of_text(&query.text);
                    if parsed.is_none() {
                        log::warn!("continuous query {} of database {} is not understood", query.name, of.name);
                    }
                    self.next_id += 1;
                    let new = Known {
                        text: query.text.clone(),
                        query: parsed,
                        ran_ns: None,
                        paused_until_ns: i64::MIN,
                        late: Late::new(self.next_id, was_there),
                    };
                    self.known.insert(key, new);
                }
            }
        }
        if self.known.len() > keys.len() {
            self.known.retain(|key, _| keys.contains(key));
        }
        keys
    }

    /// Has the cores watch for rows that come late, and takes in which did.
    async fn collect(&mut self, core: &CoreState, now_ns: i64) {
        let catalog = core.catalog();
        let watch = |known: &mut Known| {
            let query = known.query.as_ref()?;
            let end_ns = query.due(now_ns, known.ran_ns).and_then(|due| Some(due.range_ns?.1));
            known.late.watch(query, &catalog, (now_ns, end_ns))
        };
        let watches: Arc<[LateWatch]> = self.known.values_mut().filter_map(watch).collect();
        let is_watching = !watches.is_empty();
        if !std::mem::replace(&mut self.is_watching, is_watching) && !is_watching {
            return;
        }
        for (id, spans) in core.peers.ask_all(CollectLate(watches)).await.into_iter().flatten() {
            let of = self.known.values_mut().find(|known| known.late.id() == id);
            of.into_iter().for_each(|known| known.late.note(&spans));
        }
    }
}

/// A query whose turn it is.
struct Running<'a> {
    core: &'a CoreState,
    written: &'a Counter,
    key: &'a Key,
    now_ns: i64,
}

impl Running<'_> {
    /// Runs it if it is due.
    async fn run_due(&self, known: &mut Known) {
        let Some(query) = known.query.as_ref().filter(|_| self.now_ns >= known.paused_until_ns) else { return };
        let Some(due) = query.due(self.now_ns, known.ran_ns) else { return };
        if let Some(range_ns) = due.range_ns {
            if !self.run(query, range_ns).await {
                known.paused_until_ns = now_ns().saturating_add(PAUSE_NS);
                return;
            }
            known.late.has_run(range_ns);
        }
        known.ran_ns = Some(due.ran_ns);
    }

    /// Computes some of what rows came late for.
    async fn run_late(&self, known: &mut Known) {
        let Some(query) = known.query.as_ref().filter(|_| self.now_ns >= known.paused_until_ns) else { return };
        let Some((span, range_ns)) = known.late.next(query) else { return };
        if let Some(range_ns) = range_ns
            && !self.run(query, range_ns).await
        {
            known.late.put_back(span);
            known.paused_until_ns = now_ns().saturating_add(PAUSE_NS);
        }
    }

    /// Runs it over these times; whether that went well.
    async fn run(&self, query: &ContinuousQuery, range_ns: (i64, i64)) -> bool {
        let (database, name) = self.key;
        let writing = Writing { core: self.core, written: self.written, now_ns: self.now_ns };
        let scope = Scope { database: database.to_string(), ..Scope::default() };
        match select::run_into(writing, &query.over(range_ns), &scope).await {
            Ok(_) => true,
            Err(fault) => {
                log::warn!("continuous query {name} of database {database} failed: {}", error::message(&fault));
                false
            }
        }
    }
}
