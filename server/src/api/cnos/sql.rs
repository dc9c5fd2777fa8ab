//! `/api/v1/sql`: one SQL statement.
//!
//! Its text is received as all bodies are. From there on it is a query's work, whatever the statement: it runs in the
//! queue of queries, and the connection waits.

use std::fmt::Display;
use std::sync::Arc;

use arrow_array::{RecordBatch, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use futures_lite::future::or;
use tidewire_protocol::encode::Format;
use tidewire_sql::exec::ExecError;
use tidewire_sql::explain::explain;
use tidewire_sql::facts::{self, RunningQuery, ServerFacts, Wanted};
use tidewire_sql::statement::{PlanStep, Statement};
use tidewire_sql::{Definition, Session, cut};
use tidewire_storage::schema::ExternalTable;

use super::files::{copy_in, copy_out, create_external};
use super::insert_rows::insert_query;
use super::update_tags::update_tags;
use super::{accept, error, tenants, users};
use crate::api::audit::is_administration;
use crate::api::body_length;
use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::api::patience::Patience;
use crate::api::queries::{bounds, gone, measured, query_place};
use crate::api::redact::without_password;
use crate::api::reply::{RowsForm, RowsReply};
use crate::core::message::CompactShards;
use crate::core::running::{Registered, Running, TEXT_BYTES_MAX};
use crate::core::state::CoreState;
use crate::ingest::insert::insert;
use crate::net::{Body, Reply, Request};
use crate::query::delete::delete;
use crate::query::prepare::{Kept, Prepared, prepare};
use crate::query::run::{self, RowsOut};
use crate::ring::{Queue, within};
use tidewire_base::catalog::SchemaChange;

/// Runs the statement of the body.
pub async fn sql(context: &RequestContext<'_>, request: Request<'_>, reply: &mut Reply) -> Result<(), Fault> {
    body_length::require(request.head, reply)?;
    let form = RowsForm {
        format: accept::format(request.head)?,
        encoding: accept::encoding(request.head)?,
        chunked: match context.parameter("chunked")?.as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => return Err(Fault::Chunked(other.to_owned())),
        },
        behind_rows: error::behind_rows,
    };
    let database = context.database_name()?.into_owned();
    let mut text = request.body.read_all(context.body_bytes_max()).await?;
    // Editors put a byte-order mark at the head of a file; it is no part of the statement.
    if text.starts_with(b"\xef\xbb\xbf") {
        text.drain(..3);
    }
    context.note_statement(&text);
    let user = context.user_name();
    // A statement of users may hold a password, in this text or in one that is cut.
    let shown = String::from_utf8_lossy(&text[..text.len().min(TEXT_BYTES_MAX)]);
    let running = &context.core.running;
    let registered = running.register(without_password(&shown).trim(), &context.tenant()?, &database, &user);
    let session = Session {
        tenant: context.tenant()?.into_owned(),
        database,
        user,
        rights: context.rights.clone(),
        now_ns: context.now_ns,
        facts: ServerFacts::default(),
    };
    within(Queue::Query, run_statement(context, request.body, reply, Asked { text, session, form, registered })).await
}

/// What a request asks for.
struct Asked {
    text: Vec<u8>,
    session: Session,
    form: RowsForm,
    /// Its place among the statements that run.
    registered: Registered,
}

async fn run_statement(
    context: &RequestContext<'_>,
    body: &mut Body,
    reply: &mut Reply,
    Asked { text, mut session, form, registered }: Asked,
) -> Result<(), Fault> {
    let core = context.core;
    session.facts = known(core, facts::wanted(&text));
    let prepared = match or(prepare(core, text, session), gone(body)).await {
        Ok(prepared) => prepared,
        Err(error) => {
            if error.is_forbidden() {
                context.audit(registered.text(), Some(&error));
            }
            return Err(error.into());
        }
    };
    let is_audited = is_administration(&prepared.statement);
    let outcome = carry_out(context, body, reply, prepared, form, &registered).await;
    if is_audited {
        context.audit(registered.text(), outcome.as_ref().err().map(|fault| fault as &dyn Display));
    }
    outcome
}

async fn carry_out(
    context: &RequestContext<'_>,
    body: &mut Body,
    reply: &mut Reply,
    Prepared { statement, held }: Prepared,
    form: RowsForm,
    registered: &Registered,
) -> Result<(), Fault> {
    let core = context.core;
    match statement {
        Statement::Empty => {
            send_nothing(reply, form.format);
            Ok(())
        }
        Statement::Query(query) => {
            let query = Kept::new(query, held);
            let run = async {
                let (place, bounds) = (query_place(core)?, bounds(core));
                registered.runs(&bounds);
                let patience = Patience::new(bounds.clone(), core.admission.clone(), place);
                let rows = RowsReply::new(reply, form, query.schema.clone())?;
                let mut rows = rows.with_patience(patience).within(&bounds);
                // A client that leaves ends its query: dropping it cancels what the shards run.
                let outcome = or(run::run(&core.peers, &query, bounds, &mut rows), gone(body)).await;
                context.count_read(rows.rows);
                rows.end(outcome.map(drop)).await
            };
            context.queries.count(run).await
        }
        Statement::Explain { query, analyze, steps, .. } => {
            let query = Kept::new(query, held);
            let batch = or(explained(core, &query, analyze, &steps), gone(body)).await?;
            send_batch(reply, form, &batch).await
        }
        Statement::Insert(rows) => {
            let rows = Kept::new(rows, held);
            let count = insert(core, &rows).await?;
            context.count_written(count);
            send_count(reply, form, count).await
        }
        Statement::InsertQuery { query, target } => {
            let query = Kept::new(query, held);
            let count = or(insert_query(context, &query, &target), gone(body)).await?;
            send_count(reply, form, count).await
        }
        Statement::UpdateTags(update) => {
            let update = Kept::new(update, held);
            let count = update_tags(context, &update).await?;
            send_count(reply, form, count).await
        }
        Statement::User(statement) => {
            users::change(context, statement).await?;
            send_nothing(reply, form.format);
            Ok(())
        }
        Statement::Tenant(statement) => {
            tenants::change(context, statement).await?;
            send_nothing(reply, form.format);
            Ok(())
        }
        Statement::CreateExternal { database, if_not_exists, table } => {
            create_external(context, database, if_not_exists, table).await?;
            send_nothing(reply, form.format);
            Ok(())
        }
        Statement::CopyOut(copy) => {
            let copy = Kept::new(copy, held);
            let count = or(copy_out(context, &copy), gone(body)).await?;
            send_count(reply, form, count).await
        }
        Statement::CopyIn(copy) => {
            let count = or(copy_in(context, &copy), gone(body)).await?;
            send_count(reply, form, count).await
        }
        Statement::Define(Definition::CreateExternal { database, if_not_exists, table }) => {
            create_external(context, database, if_not_exists, ExternalTable::clone(&table)).await?;
            send_nothing(reply, form.format);
            Ok(())
        }
        Statement::Compact { database } => {
            core.offline.check_all().map_err(ExecError::from)?;
            let catalog = core.catalog();
            let found = catalog.databases.get(&database);
            let tables = found.iter().flat_map(|found| found.all_tables()).map(|table| table.id).collect();
            for outcome in core.peers.ask_all(CompactShards { tables: Arc::new(tables) }).await {
                outcome.map_err(ExecError::from)?;
            }
            send_nothing(reply, form.format);
            Ok(())
        }
        Statement::Delete(deletion) => {
            delete(core, deletion).await?;
            send_nothing(reply, form.format);
            Ok(())
        }
        Statement::Define(definition) => {
            let fault = match definition {
                Definition::DropTable { .. } => Fault::DropTable,
                _ => Fault::Catalog,
            };
            core.peers.change(SchemaChange::Define(definition)).await.map_err(fault)?;
            send_nothing(reply, form.format);
            Ok(())
        }
    }
}

/// What a statement wants to know of the server now.
fn known(core: &CoreState, wanted: Wanted) -> ServerFacts {
    let query = |running: &Arc<Running>| RunningQuery {
        id: running.id,
        text: without_password(&running.text).into_owned(),
        user: running.user.clone(),
        tenant: running.tenant.clone(),
        database: running.database.clone(),
        elapsed_ns: u64::try_from(running.started.elapsed().as_nanos()).unwrap_or(u64::MAX),
    };
    ServerFacts {
        queries: if wanted.queries { core.running.list().iter().map(query).collect() } else { Vec::new() },
        usage: if wanted.usage { core.usage.list() } else { Vec::new() },
    }
}

fn send_nothing(reply: &mut Reply, format: Format) {
    reply.send(200, |head| head.content_type(format.content_type()), b"");
}

/// The answer to a statement that writes rows.
async fn send_count(reply: &mut Reply, form: RowsForm, count: u64) -> Result<(), Fault> {
    let schema = Arc::new(Schema::new(vec![Field::new("rows", DataType::UInt64, false)]));
    let batch = RecordBatch::try_new(schema, vec![Arc::new(UInt64Array::from(vec![count]))])?;
    send_batch(reply, form, &batch).await
}

async fn send_batch(reply: &mut Reply, form: RowsForm, batch: &RecordBatch) -> Result<(), Fault> {
    let mut rows = RowsReply::new(reply, form, batch.schema())?;
    let outcome = rows.rows(batch).await;
    rows.end(outcome).await
}

/// Answers EXPLAIN; ANALYZE runs the query and throws its rows away.
async fn explained(
    core: &CoreState,
    query: &tidewire_sql::Query,
    analyze: bool,
    steps: &[PlanStep],
) -> Result<RecordBatch, Fault> {
    let physical = cut(&query.plan).to_string();
    let mut metrics = None;
    if analyze {
        metrics = Some(measured(core, query).await?);
    }
    Ok(explain(query, steps, Some(&physical), metrics.as_ref())?)
}
