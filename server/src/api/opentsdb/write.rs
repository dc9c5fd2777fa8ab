//! `/api/v1/opentsdb/write`: points as text, all or none.

use tidewire_protocol::opentsdb::TextPoints;
use tidewire_protocol::row::{BadRows, TimeScale};

use crate::api::context::RequestContext;
use crate::api::counters::Door;
use crate::api::fault::Fault;
use crate::api::precision::time_scale;
use crate::ingest::rows::RowWriter;
use crate::net::{Reply, Request};

/// Writes the points of the body.
pub async fn write(context: &RequestContext<'_>, request: Request<'_>, reply: &mut Reply) -> Result<(), Fault> {
    context.check_parameters(&["db", "tenant", "precision"])?;
    let database = context.database()?;
    let mut points = TextPoints::new(time_scale(context, TimeScale::Digits)?);
    request.body.limit(context.body_bytes_max())?;
    let mut rows = RowWriter::begin(context.core, &database, BadRows::RefuseAll, context.now_ns)?;
    rows.read(request.body, |text, last, rows| Ok::<_, Fault>(points.read(text, last, rows))).await?;
    let written = rows.commit().await?;
    context.rows.count(Door::OpenTsdb, &written);
    reply.send(200, |head| head, b"");
    Ok(())
}
