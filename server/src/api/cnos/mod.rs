//! CnosDB's routes: `/api/v1/write`, `/api/v1/sql`, `/api/v1/ping`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{RecordBatch, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use tidewire_protocol::encode::Format;
use tidewire_protocol::http::{Encoding, Head, Query, negotiate};
use tidewire_protocol::line::Dialect;
use tidewire_sql::cut;
use tidewire_sql::exec::{ExecError, QueryContext};
use tidewire_sql::explain::{RunMetrics, explain};
use tidewire_sql::statement::{PlanStep, Session, Statement};

use super::Router;
use super::fault::{self, Failure};
use crate::admission::QueryPlace;
use crate::api::reply::RowsReply;
use crate::catalog::SchemaChange;
use crate::catalog::change::DEFAULT_DATABASE;
use crate::ingest::insert::insert;
use crate::ingest::write::{Precision, WriteRequest, write_lines};
use crate::memory::Level;
use crate::memory::pressure::RefusedWork;
use crate::net::{Reply, Request};
use crate::query::delete::delete;
use crate::query::run::{self, RowsOut};
use crate::runtime::clock::now_ns;

/// What `/api/v1/ping` calls the version: CnosDB's, whose API this is, and our own.
const VERSION: &str = concat!("2.4.3, revision: tidewire, build_time: ", env!("CARGO_PKG_VERSION"));

/// A URL parameter, or the refusal of one that is not text.
fn parameter(head: &Head<'_>, name: &str) -> Result<Option<String>, Failure> {
    match Query::new(head.query).get(name) {
        Ok(value) => Ok(value.map(std::borrow::Cow::into_owned)),
        Err(error) => Err(fault::cnos(400, "040005", &format!("bad query parameter {name}: {error}"))),
    }
}

fn database(head: &Head<'_>) -> Result<String, Failure> {
    Ok(parameter(head, "db")?.filter(|name| !name.is_empty()).unwrap_or_else(|| DEFAULT_DATABASE.to_owned()))
}

pub(super) async fn write(router: &Router, request: Request<'_>, reply: &mut Reply) -> Result<(), Failure> {
    let core = &router.core;
    let database = database(request.head)?;
    let precision = match parameter(request.head, "precision")? {
        Some(text) if text.eq_ignore_ascii_case("ms") => Precision::Millisecond,
        Some(text) if text.eq_ignore_ascii_case("us") => Precision::Microsecond,
        _ => Precision::Nanosecond,
    };
    request.body.limit(core.config.http.body_bytes_max_write).map_err(|e| fault::cnos_body(&e))?;
    let lines = WriteRequest { database: &database, policy: None, dialect: Dialect::Cnos, precision };
    let written = write_lines(core, lines, request.body).await.map_err(|e| fault::cnos_write(&e))?;
    router.rows_written.add(written.rows);
    reply.send(200, |head| head, b"");
    Ok(())
}

pub(super) fn ping(reply: &mut Reply) -> Result<(), Failure> {
    let body = format!("{{\"version\":\"{VERSION}\",\"status\":\"healthy\"}}");
    reply.send(200, |head| head.content_type("application/json"), body.as_bytes());
    Ok(())
}

pub(super) async fn sql(router: &Router, request: Request<'_>, reply: &mut Reply) -> Result<(), Failure> {
    let core = &router.core;
    let head = request.head;
    let bad_header = |text: String| fault::cnos(400, "040005", &text);
    let format = Format::from_accept(head.header("accept").unwrap_or("")).map_err(bad_header)?;
    let encoding = match head.header("accept-encoding") {
        None => None,
        Some(accepted) => Some(negotiate(accepted).ok_or_else(|| {
            bad_header(format!(
                "Invalid header: accept encoding not support: {accepted}, only support: gzip, deflate, br, zstd, identity"
            ))
        })?),
    };
    let chunked = match parameter(head, "chunked")?.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => return Err(fault::cnos(400, "040005", &format!("chunked is true or false, not {other:?}"))),
    };
    let database = database(head)?;
    let bytes_max = core.config.http.body_bytes_max_sql;
    let text = request.body.read_all(bytes_max).await.map_err(|e| fault::cnos_body(&e))?;
    let session = Session {
        tenant: parameter(head, "tenant")?.unwrap_or_else(|| "cnosdb".to_owned()),
        database,
        user: "root".to_owned(),
        now_ns: now_ns(),
    };
    let catalog = core.catalog();
    let statement = tidewire_sql::prepare(&String::from_utf8_lossy(&text), &catalog, &session)
        .map_err(|e| fault::cnos(422, e.code, &e.message))?;
    let out = Out { format, encoding, chunked };
    match statement {
        Statement::Empty => {
            send_nothing(reply, format);
            Ok(())
        }
        Statement::Query(query) => {
            let _place = query_place(router)?;
            let mut rows = out.rows(reply, query.schema.clone())?;
            let gone = async {
                request.body.peer_gone().await;
                Err(ExecError::Cancelled)
            };
            // A client that leaves ends its query: dropping it cancels what the shards run.
            let outcome =
                futures_lite::future::or(run::run(&core.peers, &query, context(router), &mut rows), gone).await;
            router.rows_read.add(rows.rows);
            rows.end(outcome.map(drop)).await
        }
        Statement::Explain { query, analyze, steps, .. } => {
            let batch = explained(router, &query, analyze, &steps).await?;
            let mut rows = out.rows(reply, batch.schema())?;
            let outcome = rows.rows(&batch).await;
            rows.end(outcome).await
        }
        Statement::Insert(rows) => {
            let count = insert(core, &rows).await.map_err(|e| fault::cnos_write(&e))?;
            router.rows_written.add(count);
            let schema = Arc::new(Schema::new(vec![Field::new("rows", DataType::UInt64, false)]));
            let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(UInt64Array::from(vec![count]))])
                .map_err(|e| fault::cnos(500, "040007", &e.to_string()))?;
            let mut rows = out.rows(reply, schema)?;
            let outcome = rows.rows(&batch).await;
            rows.end(outcome).await
        }
        Statement::Delete(deletion) => {
            delete(core, deletion).await.map_err(fault::cnos_delete)?;
            send_nothing(reply, format);
            Ok(())
        }
        Statement::Define(definition) => {
            core.peers
                .change(SchemaChange::Define(definition))
                .await
                .map_err(|refusal| fault::cnos_schema(&refusal))?;
            send_nothing(reply, format);
            Ok(())
        }
    }
}

/// How the client wants its rows.
struct Out {
    format: Format,
    encoding: Option<Encoding>,
    chunked: bool,
}

impl Out {
    fn rows<'r>(&self, reply: &'r mut Reply, schema: arrow_schema::SchemaRef) -> Result<RowsReply<'r>, Failure> {
        RowsReply::new(reply, self.format, schema, self.encoding, self.chunked)
    }
}

fn query_place(router: &Router) -> Result<QueryPlace, Failure> {
    let core = &router.core;
    if let Some(shortage) = core.memory.shared().shortage(Level::Sparing) {
        core.count_refused(RefusedWork::Queries);
        return Err(fault::cnos(429, "010012", &format!("no query is begun now: {shortage}; try again later")));
    }
    let queries_max = core.config.query.concurrent_max;
    core.admission
        .query(queries_max)
        .ok_or_else(|| fault::cnos(429, "010012", &format!("{queries_max} queries run already; try again later")))
}

fn context(router: &Router) -> QueryContext {
    let (query, memory) = (&router.core.config.query, router.core.memory.shared());
    let timeout = (query.timeout_s > 0).then(|| Duration::from_secs(query.timeout_s));
    QueryContext::of_server(query.memory_bytes_max, timeout, memory.queries().clone())
}

fn send_nothing(reply: &mut Reply, format: Format) {
    reply.send(200, |head| head.content_type(format.content_type()), b"");
}

/// Answers EXPLAIN; ANALYZE runs the query and throws its rows away.
async fn explained(
    router: &Router,
    query: &tidewire_sql::Query,
    analyze: bool,
    steps: &[PlanStep],
) -> Result<RecordBatch, Failure> {
    let physical = cut(&query.plan).to_string();
    let mut metrics = None;
    if analyze {
        let _place = query_place(router)?;
        let (context, started) = (context(router), Instant::now());
        let mut rows = CountRows::default();
        let shards =
            run::run(&router.core.peers, query, context.clone(), &mut rows).await.map_err(|e| fault::exec(&e))?;
        metrics = Some(RunMetrics {
            elapsed: started.elapsed(),
            rows: rows.0,
            memory_bytes_max: context.memory_peak(),
            shards,
        });
    }
    explain(query, steps, Some(&physical), metrics.as_ref())
        .map_err(|e| fault::cnos(500, "010002", &format!("Arrow: {e}")))
}

/// Counts the rows of a query that is only explained.
#[derive(Default)]
struct CountRows(u64);

impl RowsOut for CountRows {
    async fn rows(&mut self, batch: &RecordBatch) -> Result<(), ExecError> {
        self.0 += batch.num_rows() as u64;
        Ok(())
    }
}
