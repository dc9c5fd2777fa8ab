//! `/api/v1/opentsdb/put` and `/api/put`: points as JSON.
//!
//! CnosDB takes all points or none; OpenTSDB takes the good ones. With `summary` or `details` both do as OpenTSDB, and
//! the reply counts them.

use serde_json::{Value, json};
use tidewire_protocol::opentsdb::JsonPoints;
use tidewire_protocol::row::{BadRows, TimeScale};

use super::error::reason;
use crate::api::context::RequestContext;
use crate::api::counters::Door;
use crate::api::fault::Fault;
use crate::api::precision::time_scale;
use crate::ingest::rows::{RowWriter, write_body};
use crate::ingest::session::Written;
use crate::net::{Reply, Request};

/// Whose endpoint was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// All points or none, 200; numbers are numbers.
    Cnos,
    /// The good points, 204; numbers may stand in quotes.
    OpenTsdb,
}

/// Writes the points of the body.
pub async fn put(
    context: &RequestContext<'_>,
    request: Request<'_>,
    manner: Manner,
    reply: &mut Reply,
) -> Result<(), Fault> {
    context.check_parameters(&["db", "tenant", "precision", "summary", "details", "sync", "sync_timeout"])?;
    let database = context.database()?;
    let has = |name| context.parameter(name).map(|value| value.is_some_and(|value| value != "false"));
    let (summary, details) = (has("summary")?, has("details")?);
    let keeps_others = manner == Manner::OpenTsdb || summary || details;
    let bad_rows = if keeps_others { BadRows::KeepOthers } else { BadRows::RefuseAll };
    let scale = time_scale(context, TimeScale::Digits)?;
    request.body.limit(context.body_bytes_max())?;
    let begin = || {
        let mut points = JsonPoints::new(scale, manner == Manner::OpenTsdb);
        points.keep_refused(details);
        points
    };
    let target = context.row_target(&database, bad_rows);
    let read = |points: &mut JsonPoints, text: &[u8], last: bool, rows: &mut RowWriter<'_>| {
        Ok::<_, Fault>(points.read(text, last, rows)?)
    };
    let (written, points) = write_body(context.core, target, request.body, begin, read).await?;
    context.count_door(Door::OpenTsdb, &written);
    if summary || details {
        let status = if written.bad_rows.is_empty() { 200 } else { 400 };
        let body = counts(&written, details.then_some(&points)).to_string();
        reply.send(status, |head| head.content_type("application/json"), body.as_bytes());
        return Ok(());
    }
    if !written.bad_rows.is_empty() {
        return Err(Fault::Partial(Box::new(written)));
    }
    let status = if manner == Manner::Cnos { 200 } else { 204 };
    reply.send(status, |head| head, b"");
    Ok(())
}

/// How many points were taken and how many were not; with `points` also which were not.
fn counts(written: &Written, points: Option<&JsonPoints>) -> Value {
    let failed = written.bad_rows.unparsed + written.bad_rows.dropped;
    let mut counts = json!({ "success": written.rows, "failed": failed });
    if let Some(points) = points {
        let errors = written.bad_rows.kept.iter().map(|row| {
            let text = points.refused(row.position).unwrap_or_default();
            let point = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
            json!({ "datapoint": point, "error": reason(row) })
        });
        counts["errors"] = errors.collect();
    }
    counts
}
