//! `/api/v1/ndjson`: a document a line, or an array of them; all or none.

use tidewire_protocol::document::{JsonLines, Numbers};
use tidewire_protocol::row::BadRows;

use super::rule::{PARAMETERS, document_rule, table};
use crate::api::context::RequestContext;
use crate::api::counters::Door;
use crate::api::fault::Fault;
use crate::ingest::rows::write_body;
use crate::net::{Reply, Request};

/// Writes the documents of the body.
pub async fn ndjson(context: &RequestContext<'_>, request: Request<'_>, reply: &mut Reply) -> Result<(), Fault> {
    context.check_parameters(&PARAMETERS)?;
    write_lines(context, request, table(context)?.ok_or(Fault::ParameterMissing("table"))?).await?;
    super::error::send_empty(reply);
    Ok(())
}

/// Writes the documents of the body into `table`.
pub(super) async fn write_lines(
    context: &RequestContext<'_>,
    request: Request<'_>,
    table: String,
) -> Result<(), Fault> {
    let database = context.database()?;
    let rule = document_rule(context, Numbers::Typed)?;
    request.body.limit(context.body_bytes_max())?;
    let (written, _) = write_body(
        context.core,
        context.row_target(&database, BadRows::RefuseAll),
        request.body,
        || JsonLines::new(table.clone(), rule.clone()),
        |lines, text, last, rows| Ok::<_, Fault>(lines.read(text, last, rows)?),
    )
    .await?;
    context.count_door(Door::Ndjson, &written);
    Ok(())
}
