//! `/api/v1/traces` and `/v1/traces`: spans, as protobuf or as JSON. Good spans are written although others are bad.

use std::borrow::Cow;

use serde_json::json;
use tidewire_protocol::http::Head;
use tidewire_protocol::otlp::{SpanReader, partial_success};
use tidewire_protocol::row::BadRows;

use super::error;
use crate::api::body::is_protobuf;
use crate::api::context::RequestContext;
use crate::api::counters::Door;
use crate::api::fault::Fault;
use crate::ingest::rows::RowWriter;
use crate::ingest::session::Written;
use crate::net::{Reply, Request};

/// Whether a request must name the table of its spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// It must, as CnosDB has it.
    Table,
    /// Spans of requests that do not go into one table.
    Default,
}

/// The table of spans where the request names none.
const TABLE: &str = "traces";

/// The type of protobuf, by the specification.
const PROTOBUF: &str = "application/x-protobuf";

/// Writes the spans of the body.
pub async fn traces(
    context: &RequestContext<'_>,
    request: Request<'_>,
    named: Named,
    reply: &mut Reply,
) -> Result<(), Fault> {
    let is_protobuf = is_protobuf(request.head)?;
    match write(context, request, named, is_protobuf).await {
        Ok(written) => {
            context.rows.count(Door::Otlp, &written);
            send(&written, is_protobuf, reply);
            Ok(())
        }
        // Its client reads one type only.
        Err(fault) if is_protobuf => {
            let told = error::protobuf(&fault);
            let retry_after = told.is_for_now().then(|| context.core.config.admission.retry_after_s.to_string());
            let content_type = told.content_type.unwrap_or(PROTOBUF);
            reply.send(
                told.status,
                |head| match &retry_after {
                    Some(seconds) => head.content_type(content_type).header("Retry-After", seconds),
                    None => head.content_type(content_type),
                },
                &told.body,
            );
            Ok(())
        }
        Err(fault) => Err(fault),
    }
}

async fn write(
    context: &RequestContext<'_>,
    request: Request<'_>,
    named: Named,
    is_protobuf: bool,
) -> Result<Written, Fault> {
    context.check_parameters(&["db", "tenant", "table"])?;
    let database = match header(request.head, "db") {
        Some(name) => Cow::Borrowed(name),
        None => context.database()?,
    };
    let table = match (header(request.head, "table"), context.parameter("table")?) {
        (Some(table), _) => table.to_owned(),
        (None, Some(table)) if !table.is_empty() => table.into_owned(),
        _ if named == Named::Default => TABLE.to_owned(),
        _ => return Err(Fault::ParameterMissing("table")),
    };
    let body = request.body.read_all(context.body_bytes_max()).await?;
    let mut spans = SpanReader::new(table);
    let mut rows = RowWriter::begin(context.core, &database, BadRows::KeepOthers, context.now_ns)?;
    if is_protobuf {
        rows.read_message(&body, |fields, rows| Ok::<_, Fault>(spans.read_message(fields, rows)?)).await?;
    } else {
        spans.read_json(&body, &mut rows)?;
    }
    Ok(rows.commit().await?)
}

/// A header that is there and not empty.
fn header<'h>(head: &Head<'h>, name: &'static str) -> Option<&'h str> {
    head.header(name).map(str::trim).filter(|value| !value.is_empty())
}

/// Says that the spans are durable, or which are not: a partial success has the status of a whole one.
fn send(written: &Written, is_protobuf: bool, reply: &mut Reply) {
    let refused = written.bad_rows.unparsed + written.bad_rows.dropped;
    let reason = written.bad_rows.kept.first().map(ToString::to_string).unwrap_or_default();
    if is_protobuf {
        let body = partial_success(refused, &reason);
        reply.send(200, |head| head.content_type(PROTOBUF), &body);
        return;
    }
    let body = match refused {
        0 => json!({}),
        // An int64 is a string in protobuf's JSON.
        _ => json!({ "partialSuccess": { "rejectedSpans": refused.to_string(), "errorMessage": reason } }),
    };
    reply.send(200, |head| head.content_type("application/json"), body.to_string().as_bytes());
}
