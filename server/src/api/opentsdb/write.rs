//! `/api/v1/opentsdb/write`: points as text, all or none.

use tidewire_protocol::opentsdb::TextPoints;
use tidewire_protocol::row::{BadRows, TimeScale};

use crate::api::context::RequestContext;
use crate::api::counters::Door;
use crate::api::fault::Fault;
use crate::api::precision::time_scale;
use crate::ingest::rows::write_body;
use crate::net::{Reply, Request};

/// Writes the points of the body.
pub async fn write(context: &RequestContext<'_>, request: Request<'_>, reply: &mut Reply) -> Result<(), Fault> {
    context.check_parameters(&["db", "tenant", "precision"])?;
    let database = context.database()?;
    let scale = time_scale(context, TimeScale::Digits)?;
    request.body.limit(context.body_bytes_max())?;
    let (written, _) = write_body(
        context.core,
        context.row_target(&database, BadRows::RefuseAll),
        request.body,
        || TextPoints::new(scale),
        |points, text, last, rows| Ok::<_, Fault>(points.read(text, last, rows)),
    )
    .await?;
    context.count_door(Door::OpenTsdb, &written);
    reply.send(200, |head| head, b"");
    Ok(())
}
