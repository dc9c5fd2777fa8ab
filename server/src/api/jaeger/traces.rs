//! Traces: those that a search finds, or those of given ids.

use std::sync::Arc;

use arrow_array::RecordBatch;
use futures_lite::future::or;
use tidewire_protocol::encode::influx::Value;
use tidewire_sql::exec::{ExecError, QueryContext};
use tidewire_storage::schema::TableSchema;

use super::envelope::Envelope;
use super::found::Found;
use super::question::{SEARCH, Search, spans_sql, table, trace_id, trace_ids};
use crate::api::cells::Cells;
use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::api::patience::Patience;
use crate::api::queries::{bounds, gone, query_place, run_text};
use crate::net::{Reply, Request};
use crate::query::run::RowsOut;
use crate::ring::{Queue, within};

/// The table called `name` in the request's database; `None` where nothing was written to it yet.
pub(super) fn schema(context: &RequestContext<'_>, name: &str) -> Result<Option<Arc<TableSchema>>, Fault> {
    let catalog = context.core.catalog();
    let Some(database) = catalog.databases.get(&context.database()?) else {
        return Err(Fault::DatabaseUnknown(context.database_name()?.into_owned()));
    };
    let policy = database.policy(&database.default_policy);
    Ok(policy.and_then(|policy| policy.tables.get(name)).cloned())
}

/// Runs what answers a request as a query: `shown` is its text among those that run.
pub(super) async fn answered(
    context: &RequestContext<'_>,
    request: Request<'_>,
    reply: &mut Reply,
    shown: &str,
    run: impl AsyncFnOnce(&QueryContext, Envelope<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let core = context.core;
    context.note_statement(shown.as_bytes());
    let (tenant, database) = (context.tenant()?, context.database_name()?);
    let registered = core.running.register(shown, &tenant, &database, &context.user_name());
    let body = request.body;
    let query = async {
        let (place, bounds) = (query_place(core)?, bounds(core));
        registered.runs(&bounds);
        let envelope = Envelope::new(reply, Patience::new(bounds.clone(), core.admission.clone(), place));
        or(run(&bounds, envelope), gone(body)).await
    };
    within(Queue::Query, context.queries.count(query)).await
}

/// Ids in the order in which they come.
#[derive(Default)]
struct Ids(Vec<String>);

impl RowsOut for Ids {
    async fn rows(&mut self, batch: &RecordBatch) -> Result<(), ExecError> {
        let Some(cells) = batch.columns().first().map(Cells::of) else { return Ok(()) };
        // A search has a bound on how many there are.
        self.0.extend((0..batch.num_rows()).filter_map(|row| match cells.value(row, None) {
            Value::Text(text) => Some(text.to_owned()),
            _ => None,
        }));
        Ok(())
    }
}

async fn find(
    context: &RequestContext<'_>,
    table: &TableSchema,
    ids: &[String],
    bounds: &QueryContext,
) -> Result<Found, Fault> {
    let mut found = Found::new(bounds.reservation());
    if !ids.is_empty() {
        run_text(context, spans_sql(table, ids), bounds, &mut found).await?;
    }
    context.rows.read.add(found.spans);
    Ok(found)
}

/// `/api/traces`
pub async fn search(context: &RequestContext<'_>, request: Request<'_>, reply: &mut Reply) -> Result<(), Fault> {
    let known: Vec<&str> = SEARCH.into_iter().chain(["traceID"]).collect();
    context.check_parameters(&known)?;
    let table = schema(context, &table(context)?)?;
    let mut ids = trace_ids(context)?;
    let sql = match ids.is_empty() {
        true => {
            let search = Search::of(context)?;
            table.as_ref().and_then(|table| search.sql(table))
        }
        false => None,
    };
    let shown = sql.clone().unwrap_or_else(|| format!("traces {}", ids.join(", ")));
    answered(context, request, reply, &shown, async |bounds, mut envelope| {
        if let Some(sql) = sql {
            let mut found = Ids::default();
            run_text(context, sql, bounds, &mut found).await?;
            ids = found.0;
        }
        if let Some(table) = &table {
            let found = find(context, table, &ids, bounds).await?;
            for id in &ids {
                found.send(id, &mut envelope).await?;
            }
        }
        let total = envelope.items();
        envelope.end(total).await
    })
    .await
}

/// `/api/traces/{id}`
pub async fn trace(context: &RequestContext<'_>, request: Request<'_>, reply: &mut Reply) -> Result<(), Fault> {
    context.check_parameters(&["db", "tenant", "table", "start", "end", "raw", "prettyPrint"])?;
    let text = context.segments.get("id");
    let id = trace_id(text).ok_or_else(|| Fault::ParameterValue { name: "id", value: text.to_owned() })?;
    let table = schema(context, &table(context)?)?.ok_or(Fault::TraceUnknown)?;
    let shown = format!("trace {id}");
    answered(context, request, reply, &shown, async |bounds, mut envelope| {
        let found = find(context, &table, std::slice::from_ref(&id), bounds).await?;
        found.send(&id, &mut envelope).await?;
        match envelope.items() {
            0 => Err(Fault::TraceUnknown),
            _ => envelope.end(0).await,
        }
    })
    .await
}
