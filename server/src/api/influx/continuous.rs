//! Continuous queries at work: one core looks every second which of them are due, and runs them one after the other.
//!
//! A query that fails is tried again for the same times, at most once a minute or as often as it would run. What was
//! run last is not kept over a restart: a query then begins with the window at hand.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tidewire_sql::influxql::ContinuousQuery;

use super::into::Writing;
use super::scope::Scope;
use super::{error, select};
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
}

/// Runs the continuous queries of all databases. Rows that they write are counted in `written`.
pub async fn run_continuous(core: Rc<CoreState>, written: Rc<Counter>) {
    let mut known: BTreeMap<Key, Known> = BTreeMap::new();
    loop {
        sleep(TICK).await;
        let keys = look(&core, &mut known);
        for key in keys {
            if let Some(known) = known.get_mut(&key) {
                run_due(&core, &written, &key, known).await;
            }
        }
    }
}

/// Takes in what has changed in the catalog, and says which queries there are.
fn look(core: &CoreState, known: &mut BTreeMap<Key, Known>) -> Vec<Key> {
    let catalog = core.catalog();
    let mut keys = Vec::new();
    for of in catalog.databases.values() {
        for query in &of.continuous_queries {
            let key = (of.name.clone(), query.name.clone());
            keys.push(key.clone());
            if known.get(&key).is_none_or(|known| known.text != query.text) {
                let parsed = ContinuousQuery::of_text(&query.text);
                if parsed.is_none() {
                    log::warn!("continuous query {} of database {} is not understood", query.name, of.name);
                }
                let new = Known { text: query.text.clone(), query: parsed, ran_ns: None, paused_until_ns: i64::MIN };
                known.insert(key, new);
            }
        }
    }
    if known.len() > keys.len() {
        known.retain(|key, _| keys.contains(key));
    }
    keys
}

async fn run_due(core: &CoreState, written: &Counter, (database, name): &Key, known: &mut Known) {
    let now_ns = now_ns();
    let Some(query) = known.query.as_ref().filter(|_| now_ns >= known.paused_until_ns) else { return };
    let Some(due) = query.due(now_ns, known.ran_ns) else { return };
    if let Some(range_ns) = due.range_ns {
        let writing = Writing { core, written, now_ns };
        let scope = Scope { database: database.to_string(), ..Scope::default() };
        if let Err(fault) = select::run_into(writing, &query.over(range_ns), &scope).await {
            log::warn!("continuous query {name} of database {database} failed: {}", error::message(&fault));
            known.paused_until_ns = now_ns.saturating_add(PAUSE_NS);
            return;
        }
    }
    known.ran_ns = Some(due.ran_ns);
}
