//! `/api/v1/es/_bulk` and `/api/v1/es/{index}/_bulk`.

use tidewire_protocol::document::{Bulk, Numbers};
use tidewire_protocol::http::decode_segment;
use tidewire_protocol::row::BadRows;

use super::items::send_items;
use super::ndjson::write_lines;
use super::rule::{PARAMETERS, document_rule, table};
use crate::api::context::RequestContext;
use crate::api::counters::Door;
use crate::api::fault::Fault;
use crate::api::loki;
use crate::ingest::rows::write_body;
use crate::net::{Reply, Request};

/// Parameters of Elasticsearch's bulk that ask for nothing that would be done otherwise here.
const PASSED_OVER: [&str; 17] = [
    "refresh",
    "timeout",
    "routing",
    "pipeline",
    "wait_for_active_shards",
    "require_alias",
    "require_data_stream",
    "_source",
    "_source_includes",
    "_source_excludes",
    "filter_path",
    "pretty",
    "human",
    "error_trace",
    "format",
    "list_executed_pipelines",
    "include_source_on_error",
];

/// Writes the documents of the body.
pub async fn bulk(context: &RequestContext<'_>, request: Request<'_>, reply: &mut Reply) -> Result<(), Fault> {
    let known: Vec<&str> = [&PARAMETERS[..], &PASSED_OVER, &["log_type"]].concat();
    context.check_parameters(&known)?;
    let index = decode_segment(context.segments.get("index"), "index")
        .map_err(|error| Fault::Parameter { name: "index", error })?;
    let named = table(context)?.or_else(|| Some(index.into_owned()).filter(|index| !index.is_empty()));
    match context.parameter("log_type")?.as_deref() {
        None | Some("" | "bulk") => write_bulk(context, request, named, reply).await,
        Some("ndjson") => {
            write_lines(context, request, named.ok_or(Fault::ParameterMissing("table"))?).await?;
            super::error::send_empty(reply);
            Ok(())
        }
        Some("loki") => {
            loki::write(context, request, named.ok_or(Fault::ParameterMissing("table"))?).await?;
            super::error::send_empty(reply);
            Ok(())
        }
        Some(other) => Err(Fault::ParameterValue { name: "log_type", value: other.to_owned() }),
    }
}

async fn write_bulk(
    context: &RequestContext<'_>,
    request: Request<'_>,
    table: Option<String>,
    reply: &mut Reply,
) -> Result<(), Fault> {
    let database = context.database()?;
    let rule = document_rule(context, Numbers::Floats)?;
    request.body.limit(context.body_bytes_max())?;
    let (written, bulk) = write_body(
        context.core,
        context.row_target(&database, BadRows::KeepOthers),
        request.body,
        || Bulk::new(table.clone(), rule.clone()),
        |bulk, text, last, rows| {
            let consumed = bulk.read(text, last, rows)?;
            rows.hold(bulk.bytes());
            Ok::<_, Fault>(consumed)
        },
    )
    .await?;
    context.count_door(Door::Elasticsearch, &written);
    send_items(context, &bulk, &written, reply).await;
    Ok(())
}
