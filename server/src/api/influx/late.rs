//! What a continuous query with LATE knows: which times its rows came late for, and which of these are to be computed
//! again.
//!
//! 1. Every second the cores learn which tables such a query reads, and up to which time it has computed: up to where
//!    it will have, if it is due. They give back what they have noted (`core::late`).
//! 2. When the query has run, what was noted becomes what is to be done. From then on the query computes some of it
//!    every second, the latest times first, beside its runs.
//! 3. Of rows that came when nobody noted them, before the start of the server or for a table that was just made, no
//!    one knows: then all that LATE reaches is to be done.
//!
//! A query does not watch the tables that it writes itself, or it would never end.

use std::collections::BTreeSet;

use tidewire_sql::influxql::{ContinuousQuery, MeasurementName, Select, Source};
use tidewire_storage::schema::{Catalog, TableId};

use crate::core::late::{LateWatch, Spans};

/// Times from a first to before an end.
type Span = (i64, i64);

/// What is known of the late rows of a query.
pub(super) struct Late {
    id: u64,
    /// Everything before this was computed, or was over when the query was made.
    until_ns: i64,
    /// Nothing before this is computed again.
    from_ns: i64,
    /// Whether all that LATE reaches is to be done.
    is_new: bool,
    tables: BTreeSet<TableId>,
    /// What rows came for since the query ran.
    noted: Spans,
    /// What is to be computed.
    todo: Spans,
}

/// What a query watches at a moment.
struct Reach {
    width_ns: i64,
    from_ns: i64,
    over_ns: i64,
    tables: BTreeSet<TableId>,
}

impl Late {
    /// Of a query that was just made, or that was there when the server started.
    pub(super) fn new(id: u64, was_there: bool) -> Self {
        let (noted, todo) = Default::default();
        Self { id, until_ns: i64::MIN, from_ns: i64::MIN, is_new: was_there, tables: BTreeSet::new(), noted, todo }
    }

    /// What the cores are to watch for `query`, which will run over times up to `end_ns` if it is due; `None` where it
    /// wants to know nothing.
    pub(super) fn watch(
        &mut self,
        query: &ContinuousQuery,
        catalog: &Catalog,
        (now_ns, end_ns): (i64, Option<i64>),
    ) -> Option<LateWatch> {
        let Reach { width_ns, from_ns, over_ns, tables } = reach(query, catalog, now_ns)?;
        let is_first = self.until_ns == i64::MIN;
        if is_first {
            self.until_ns = over_ns;
        }
        let has_new_table = !is_first && tables.iter().any(|table| !self.tables.contains(table));
        if std::mem::take(&mut self.is_new) || has_new_table {
            self.noted.add((from_ns, self.until_ns));
        }
        (self.tables, self.from_ns) = (tables, from_ns);
        self.noted.clip(from_ns, i64::MAX);
        self.todo.clip(from_ns, i64::MAX);
        let before_ns = end_ns.map_or(self.until_ns, |end_ns| end_ns.max(self.until_ns));
        let tables = self.tables.iter().copied().collect();
        Some(LateWatch { id: self.id, tables, grain_ns: width_ns, from_ns, before_ns })
    }

    /// The name of its watch.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Takes in what a core has noted.
    pub(super) fn note(&mut self, spans: &Spans) {
        self.noted.merge(spans);
    }

    /// The query has run over these times.
    pub(super) fn has_run(&mut self, (first, end): Span) {
        self.until_ns = self.until_ns.max(end);
        let mut before = std::mem::take(&mut self.noted);
        before.clip(i64::MIN, first);
        self.todo.merge(&before);
    }

    /// Takes out what is to be done next, and the times to run the query over for that, if there are any.
    pub(super) fn next(&mut self, query: &ContinuousQuery) -> Option<(Span, Option<Span>)> {
        let span = self.todo.take_last(query.late_step_ns())?;
        Some((span, query.late_range(span, (self.from_ns, self.until_ns))))
    }

    /// Puts back what could not be done.
    pub(super) fn put_back(&mut self, span: Span) {
        self.todo.add(span);
    }
}

fn reach(query: &ContinuousQuery, catalog: &Catalog, now_ns: i64) -> Option<Reach> {
    query.late_ns?;
    let (mut tables, mut kept_ns) = (BTreeSet::new(), None);
    sources(&query.select, catalog, &mut |ttl_ns, read| {
        tables.extend(read);
        kept_ns = [kept_ns, ttl_ns].into_iter().flatten().min();
    });
    let into = query.select.into.as_ref()?;
    let database = into.database.as_deref().and_then(|name| catalog.databases.get(name));
    let policy = database.and_then(|database| database.policy(into.policy.as_deref()?));
    let is_target = |name: &str| into.name.as_deref().is_none_or(|target| target == name);
    for table in policy.into_iter().flat_map(|policy| policy.tables.values()).filter(|table| is_target(&table.name)) {
        tables.remove(&table.id);
    }
    let (width_ns, (from_ns, over_ns)) = query.late(now_ns, kept_ns)?;
    Some(Reach { width_ns, from_ns, over_ns, tables })
}

/// Calls `take` for each source with how long its rows are kept, and its tables. The query names databases and policies
/// of all of them.
fn sources(select: &Select, catalog: &Catalog, take: &mut impl FnMut(Option<i64>, Vec<TableId>)) {
    for source in &select.sources {
        let measurement = match source {
            Source::Subquery(inner) => {
                sources(inner, catalog, take);
                continue;
            }
            Source::Measurement(measurement) => measurement,
        };
        let database = measurement.database.as_deref().and_then(|name| catalog.databases.get(name));
        let Some(policy) = database.and_then(|database| database.policy(measurement.policy.as_deref()?)) else {
            continue;
        };
        let tables = match &measurement.name {
            MeasurementName::Name(name) => policy.tables.get(name.as_str()).map(|table| table.id).into_iter().collect(),
            MeasurementName::Regex(_) => {
                policy.tables.values().filter(|table| measurement.names(&table.name)).map(|table| table.id).collect()
            }
        };
        take(policy.ttl_ns, tables);
    }
}
