//! Remote read: series by their labels, in a snappy block or as a stream of chunks. Each query of a request is a
//! statement for every table that may have such series, run as all statements are.

use futures_lite::future::or;
use tidewire_protocol::http::Head;
use tidewire_protocol::prometheus::{ReadForm, ReadRequest};
use tidewire_protocol::protobuf::{decode_snappy_block, snappy_block_bytes};
use tidewire_sql::exec::{QueryContext, Reservation};

use super::found::Found;
use super::send::Sending;
use super::wanted::{Asked, Wanted, patterns};
use crate::api::body::read_packed;
use crate::api::body_length;
use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::api::patience::Patience;
use crate::api::queries::{bounds, gone, query_place, run_text};
use crate::net::{Body, Reply, Request};
use crate::query::prepare;
use crate::ring::{Queue, within, yield_if_needed};

/// A request is some labels and times; more is no question of a client's.
const BYTES_MAX: u64 = 1 << 20;

/// A message that is read on the core: its patterns are few, and compiled in a millisecond unless they are large.
const HERE_BYTES_MAX: usize = 1 << 10;

/// What reading a message takes for each byte, and what a pattern may take.
const BYTES_PER_BYTE: u64 = 16;
const PATTERN_BYTES: u64 = 3 << 19;

/// Tables that are looked at before others get the core.
const TABLES_STEP: usize = 64;

/// Sends the series that the body asks for.
pub async fn read(context: &RequestContext<'_>, request: Request<'_>, reply: &mut Reply) -> Result<(), Fault> {
    body_length::require(request.head, reply)?;
    context.check_parameters(&["db", "tenant"])?;
    check_type(request.head)?;
    let Request { peer, head, body } = request;
    let bytes_max = BYTES_MAX.min(context.body_bytes_max());
    let block = read_packed(Request { peer, head, body: &mut *body }, bytes_max).await?;
    within(Queue::Query, answer(context, body, reply, block)).await
}

fn check_type(head: &Head<'_>) -> Result<(), Fault> {
    let value = head.header("content-type").unwrap_or_default();
    match value.split(';').next().unwrap_or_default().trim() {
        "" | "application/x-protobuf" | "application/octet-stream" | "application/x-www-form-urlencoded" => Ok(()),
        _ => Err(Fault::ContentType(value.to_owned())),
    }
}

async fn answer(context: &RequestContext<'_>, body: &mut Body, reply: &mut Reply, block: Vec<u8>) -> Result<(), Fault> {
    let core = context.core;
    let (asked, _held) = asked(context, block).await?;
    let shown = asked.to_string();
    context.note_statement(shown.as_bytes());
    let (tenant, database) = (context.tenant()?, context.database_name()?);
    let registered = core.running.register(&shown, &tenant, &database, &context.user_name());
    let run = async {
        let (place, bounds) = (query_place(core)?, bounds(core));
        registered.runs(&bounds);
        let sending = Sending::new(reply, Patience::new(bounds.clone(), core.admission.clone(), place));
        // A client that leaves ends its query.
        or(run_all(context, &asked, &bounds, sending), gone(body)).await
    };
    context.queries.count(run).await
}

/// What a block asks for, and what that holds.
async fn asked(context: &RequestContext<'_>, block: Vec<u8>) -> Result<(Asked, Option<Reservation>), Fault> {
    let core = context.core;
    let bytes = snappy_block_bytes(&block, BYTES_MAX)?;
    let is_quick = bytes <= HERE_BYTES_MAX && {
        let message = decode_snappy_block(&block, BYTES_MAX)?;
        memchr::memchr2(b'{', b'\\', &message).is_none()
    };
    let account = core.memory.shared().queries().clone();
    let read = move |block: &[u8]| -> Result<(Asked, Option<Reservation>), Fault> {
        let message = decode_snappy_block(block, BYTES_MAX)?;
        let request = ReadRequest::read(&message)?;
        let patterns = patterns(&request)? as u64;
        let held = match patterns > 0 && !is_quick {
            true => Some(prepare::reserve(account, patterns * PATTERN_BYTES)?),
            false => None,
        };
        Ok((Asked::of(&request)?, held))
    };
    let (asked, _reading) = prepare::read(core, block, is_quick, bytes as u64 * BYTES_PER_BYTE, read).await?;
    asked
}

async fn run_all(
    context: &RequestContext<'_>,
    asked: &Asked,
    bounds: &QueryContext,
    mut sending: Sending<'_>,
) -> Result<(), Fault> {
    let mut results = Vec::new();
    for (number, query) in asked.queries.iter().enumerate() {
        let mut found = Found::new(bounds.reservation());
        find(context, query, bounds, &mut found).await?;
        found.end().await?;
        context.rows.read.add(found.rows);
        match asked.form {
            ReadForm::Samples => results.push(found),
            ReadForm::XorChunks => sending.chunks(&found, number).await?,
        }
    }
    match asked.form {
        ReadForm::Samples => sending.samples(&results).await,
        ReadForm::XorChunks => sending.end().await,
    }
}

/// Finds what a query wants in all tables of the request's database.
async fn find(
    context: &RequestContext<'_>,
    query: &Wanted,
    bounds: &QueryContext,
    found: &mut Found,
) -> Result<(), Fault> {
    let catalog = context.core.catalog();
    let Some(database) = catalog.databases.get(&context.database()?) else {
        return Err(Fault::DatabaseUnknown(context.database_name()?.into_owned()));
    };
    let Some(policy) = database.policy(&database.default_policy) else { return Ok(()) };
    // A table that is called as the metric is the one; else some may come to the name.
    if let Some(table) = query.table().and_then(|name| policy.tables.get(name)) {
        return match query.of(table) {
            Some(selected) => run_text(context, selected.sql.clone(), bounds, &mut found.rows_of(&selected)).await,
            None => Ok(()),
        };
    }
    for (at, table) in policy.tables.values().enumerate() {
        if at % TABLES_STEP == TABLES_STEP - 1 {
            bounds.check()?;
            yield_if_needed().await;
        }
        if let Some(selected) = query.of(table) {
            run_text(context, selected.sql.clone(), bounds, &mut found.rows_of(&selected)).await?;
        }
    }
    Ok(())
}
