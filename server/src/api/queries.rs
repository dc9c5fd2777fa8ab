//! What a query is begun with, in whatever language it is written: its place among those that run, and its bounds; and
//! a run of one that is only explained.

use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use tidewire_sql::exec::{ExecError, QueryContext, ReadLimits};
use tidewire_sql::explain::RunMetrics;
use tidewire_sql::facts::ServerFacts;
use tidewire_sql::{Query, Session, Statement};

use super::context::RequestContext;
use super::fault::Fault;
use crate::admission::QueryPlace;
use crate::core::state::CoreState;
use crate::memory::Level;
use crate::memory::pressure::RefusedWork;
use crate::net::Body;
use crate::query::prepare::{Kept, Prepared, prepare};
use crate::query::run::{RowsOut, run};

/// A place among the queries that run; too many, or too little memory, are a fault.
pub(super) fn query_place(core: &CoreState) -> Result<QueryPlace, Fault> {
    if let Some(shortage) = core.memory.shared().shortage(Level::Sparing) {
        core.count_refused(RefusedWork::Queries);
        return Err(Fault::QueryShortOfMemory(shortage));
    }
    let queries_max = core.config.query.concurrent_max;
    core.admission.query(queries_max).ok_or(Fault::TooManyQueries { queries_max })
}

/// The bounds of a query.
pub(super) fn bounds(core: &CoreState) -> QueryContext {
    let (query, memory) = (&core.config.query, core.memory.shared());
    let timeout = (query.timeout_s > 0).then(|| Duration::from_secs(query.timeout_s));
    QueryContext::of_server(query.memory_bytes_max, timeout, memory.queries().clone())
}

/// The bounds of a SELECT of InfluxQL, which may read only so much.
pub(super) fn influx_bounds(core: &CoreState) -> QueryContext {
    let (query, memory, influxql) = (&core.config.query, core.memory.shared(), &core.config.influxql);
    let timeout = (query.timeout_s > 0).then(|| Duration::from_secs(query.timeout_s));
    let bound = |max: u64| Some(max).filter(|max| *max > 0);
    let limits = ReadLimits { series_max: bound(influxql.series_max), rows_max: bound(influxql.points_max) };
    QueryContext::limited(query.memory_bytes_max, timeout, memory.queries().clone(), limits)
}

/// What is waited for ends with when the client leaves.
pub(super) async fn gone<T, E: From<ExecError>>(body: &mut Body) -> Result<T, E> {
    body.peer_gone().await;
    Err(ExecError::Cancelled.into())
}

/// Runs a statement of SQL that a handler has made, with the rights of the request's principal.
pub(super) async fn run_text(
    context: &RequestContext<'_>,
    sql: String,
    bounds: &QueryContext,
    rows: &mut impl RowsOut,
) -> Result<(), Fault> {
    let session = Session {
        tenant: context.tenant()?.into_owned(),
        database: context.database_name()?.into_owned(),
        user: context.user_name(),
        rights: context.rights.clone(),
        now_ns: context.now_ns,
        facts: ServerFacts::default(),
    };
    let Prepared { statement, held } = prepare(context.core, sql.into_bytes(), session).await?;
    let Statement::Query(query) = statement else {
        return Err(ExecError::Internal("a statement that was made here is no query".to_owned()).into());
    };
    let query = Kept::new(query, held);
    run(&context.core.peers, &query, bounds.clone(), rows).await?;
    Ok(())
}

/// A name (`"`) or a text (`'`) as SQL has it.
pub(super) fn quoted(text: &str, quote: char) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push(quote);
    for c in text.chars() {
        if c == quote {
            quoted.push(quote);
        }
        quoted.push(c);
    }
    quoted.push(quote);
    quoted
}

/// Runs a query and throws its rows away: what it did.
pub(super) async fn measured(core: &CoreState, query: &Query) -> Result<RunMetrics, Fault> {
    let _place = query_place(core)?;
    let (bounds, started) = (bounds(core), Instant::now());
    let mut rows = CountRows::default();
    let shards = run(&core.peers, query, bounds.clone(), &mut rows).await?;
    Ok(RunMetrics { elapsed: started.elapsed(), rows: rows.0, memory_bytes_max: bounds.memory_peak(), shards })
}

/// Counts rows.
#[derive(Default)]
struct CountRows(u64);

impl RowsOut for CountRows {
    async fn rows(&mut self, batch: &RecordBatch) -> Result<(), ExecError> {
        self.0 += batch.num_rows() as u64;
        Ok(())
    }
}
