//! `/api/v1/write`: line protocol, all lines or none.

use tidewire_protocol::line::Dialect;
use tidewire_protocol::row::BadRows;

use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::api::precision::unit;
use crate::ingest::session::Target;
use crate::ingest::sink::{RowRules, SharedNames, TimeField};
use crate::ingest::write::{Precision, WriteRequest, write_lines};
use crate::net::{Reply, Request};

/// Writes the lines of the body.
pub async fn write(context: &RequestContext<'_>, request: Request<'_>, reply: &mut Reply) -> Result<(), Fault> {
    let database = context.database()?;
    let precision = unit(context)?.unwrap_or(Precision::Nanosecond);
    request.body.limit(context.body_bytes_max())?;
    let target = Target {
        database: &database,
        policy: None,
        dialect: Dialect::Cnos,
        rules: RowRules {
            bad_rows: BadRows::RefuseAll,
            time_field: TimeField::Refused,
            shared_names: SharedNames::Refused,
        },
        now_ns: context.now_ns,
    };
    let lines = WriteRequest { target, precision };
    let written = write_lines(context.core, lines, request.body).await?;
    context.count_written(written.rows);
    reply.send(200, |head| head, b"");
    Ok(())
}
