//! Streams of log lines, as JSON or as protobuf in a snappy block. Good entries are written although others are bad.

use tidewire_protocol::json::reading_bytes_max;
use tidewire_protocol::loki::LokiPush;
use tidewire_protocol::row::BadRows;

use crate::api::body::{is_protobuf, read_json, read_packed, unpack};
use crate::api::context::RequestContext;
use crate::api::counters::Door;
use crate::api::fault::Fault;
use crate::ingest::rows::{RowWriter, write_rows};
use crate::net::{Reply, Request};

/// The table of entries where the request names none.
const TABLE: &str = "loki";

/// Writes the entries of the body.
pub async fn push(context: &RequestContext<'_>, request: Request<'_>, reply: &mut Reply) -> Result<(), Fault> {
    context.check_parameters(&["db", "tenant", "table"])?;
    let table = context.parameter("table")?.filter(|table| !table.is_empty());
    write(context, request, table.map_or_else(|| TABLE.to_owned(), Into::into)).await?;
    reply.send(204, |head| head, b"");
    Ok(())
}

/// Writes the entries of the body into `table`.
pub async fn write(context: &RequestContext<'_>, request: Request<'_>, table: String) -> Result<(), Fault> {
    let database = context.database()?;
    let is_protobuf = is_protobuf(request.head)?;
    let bytes_max = context.body_bytes_max();
    let body = match is_protobuf {
        true => read_packed(request, bytes_max).await?,
        false => read_json(request, bytes_max).await?,
    };
    let fill = async |rows: &mut RowWriter<'_>| {
        let mut push = LokiPush::new(table.clone());
        if is_protobuf {
            let mut message = context.core.recycled.take_message();
            unpack(rows, &body, bytes_max, &mut message)?;
            let read =
                async |fields: &[u8], rows: &mut RowWriter<'_>| Ok::<_, Fault>(push.read_message(fields, rows).await?);
            rows.read_message(&message, read).await?;
            context.core.recycled.put_message(message);
        } else {
            rows.hold(reading_bytes_max(&body));
            rows.account()?;
            push.read_json(&body, rows).await?;
        }
        Ok::<_, Fault>(())
    };
    let (written, ()) = write_rows(context.core, context.row_target(&database, BadRows::KeepOthers), fill).await?;
    context.count_door(Door::Loki, &written);
    match written.bad_rows.is_empty() {
        true => Ok(()),
        false => Err(Fault::Partial(Box::new(written))),
    }
}
