//! `/api/v1/traces` and `/v1/traces`, `/v1/logs`, `/v1/metrics`: an export, as protobuf or as JSON. Good items are
//! written although others are bad.

use serde_json::{Value, json};
use tidewire_protocol::json::reading_bytes_max;
use tidewire_protocol::otlp::{LogReader, MetricReader, SpanReader, partial_success};
use tidewire_protocol::row::BadRows;

use super::error;
use crate::api::body::{is_protobuf, read_json};
use crate::api::context::RequestContext;
use crate::api::counters::Door;
use crate::api::fault::Fault;
use crate::ingest::rows::{RowWriter, write_rows};
use crate::ingest::session::Written;
use crate::net::{Reply, Request};

/// What is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Spans, into a table that the request must name, as CnosDB has it.
    NamedTraces,
    /// Spans.
    Traces,
    /// Log records.
    Logs,
    /// Data points, a table a metric.
    Metrics,
}

impl Signal {
    /// The table of a request that names none.
    fn table(self) -> Option<&'static str> {
        match self {
            Self::NamedTraces => None,
            Self::Traces => Some("traces"),
            Self::Logs => Some("logs"),
            Self::Metrics => Some(""),
        }
    }

    /// What a reply in JSON calls the items that were refused.
    fn refused_name(self) -> &'static str {
        match self {
            Self::NamedTraces | Self::Traces => "rejectedSpans",
            Self::Logs => "rejectedLogRecords",
            Self::Metrics => "rejectedDataPoints",
        }
    }

    /// The parameters that it has.
    fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Metrics => &["db", "tenant"],
            _ => &["db", "tenant", "table"],
        }
    }
}

/// The type of protobuf, by the specification.
const PROTOBUF: &str = "application/x-protobuf";

/// Writes the items of the body.
pub async fn export(
    context: &RequestContext<'_>,
    request: Request<'_>,
    signal: Signal,
    reply: &mut Reply,
) -> Result<(), Fault> {
    let is_protobuf = is_protobuf(request.head)?;
    match write(context, request, signal, is_protobuf).await {
        Ok(written) => {
            context.count_door(Door::Otlp, &written);
            send(signal, &written, is_protobuf, reply);
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
    signal: Signal,
    is_protobuf: bool,
) -> Result<Written, Fault> {
    context.check_parameters(signal.parameters())?;
    let database = context.database()?;
    let table = match (context.text_header("table")?, context.parameter("table")?) {
        (Some(table), _) => table.to_owned(),
        (None, Some(table)) if !table.is_empty() => table.into_owned(),
        _ => signal.table().ok_or(Fault::ParameterMissing("table"))?.to_owned(),
    };
    let body = match is_protobuf {
        true => request.body.read_all(context.body_bytes_max()).await?,
        false => read_json(request, context.body_bytes_max()).await?,
    };
    let target = context.row_target(&database, BadRows::KeepOthers);
    macro_rules! write {
        ($reader:expr) => {{
            let fill = async |rows: &mut RowWriter<'_>| {
                let mut reader = $reader;
                match is_protobuf {
                    true => {
                        let read = async |fields: &[u8], rows: &mut RowWriter<'_>| {
                            Ok::<_, Fault>(reader.read_message(fields, rows).await?)
                        };
                        rows.read_message(&body, read).await?;
                    }
                    false => {
                        rows.hold(reading_bytes_max(&body));
                        rows.account()?;
                        reader.read_json(&body, rows).await?;
                    }
                }
                Ok::<_, Fault>(())
            };
            Ok(write_rows(context.core, target, fill).await?.0)
        }};
    }
    match signal {
        Signal::NamedTraces | Signal::Traces => write!(SpanReader::new(table.clone())),
        Signal::Logs => write!(LogReader::new(table.clone(), context.now_ns)),
        Signal::Metrics => write!(MetricReader::default()),
    }
}

/// Says that everything is durable, or what is not: a partial success has the status of a whole one.
fn send(signal: Signal, written: &Written, is_protobuf: bool, reply: &mut Reply) {
    let refused = written.bad_rows.unparsed + written.bad_rows.dropped;
    let reason = written.bad_rows.kept.first().map(ToString::to_string).unwrap_or_default();
    if is_protobuf {
        let body = partial_success(refused, &reason);
        reply.send(200, |head| head.content_type(PROTOBUF), &body);
        return;
    }
    let mut body = json!({});
    if refused > 0 {
        // An int64 is a string in protobuf's JSON.
        let count = Value::from(refused.to_string());
        body["partialSuccess"] = json!({ signal.refused_name(): count, "errorMessage": reason });
    }
    reply.send(200, |head| head.content_type("application/json"), body.to_string().as_bytes());
}
