//! Samples in a snappy block, in messages of version 1 or 2. Good samples are written although others are bad.

use tidewire_protocol::http::Head;
use tidewire_protocol::prometheus::{RemoteWrite, symbols, symbols_bytes};
use tidewire_protocol::row::BadRows;

use crate::api::body::{read_packed, unpack};
use crate::api::context::RequestContext;
use crate::api::counters::Door;
use crate::api::fault::Fault;
use crate::ingest::rows::{RowWriter, write_rows};
use crate::net::{Reply, Request};

/// Writes the samples of the body.
pub async fn write(context: &RequestContext<'_>, request: Request<'_>, reply: &mut Reply) -> Result<(), Fault> {
    context.check_parameters(&["db", "tenant", "precision"])?;
    // The format has milliseconds.
    if let Some(other) = context.parameter("precision")?.filter(|unit| !matches!(&**unit, "" | "ms" | "MS")) {
        return Err(Fault::ParameterValue { name: "precision", value: other.into_owned() });
    }
    let database = context.database()?;
    let is_second = is_second(request.head)?;
    let bytes_max = context.body_bytes_max();
    let block = read_packed(request, bytes_max).await?;
    let fill = async |rows: &mut RowWriter<'_>| {
        let mut remote = RemoteWrite::default();
        let mut message = context.core.recycled.take_message();
        unpack(rows, &block, bytes_max, &mut message)?;
        if is_second {
            rows.hold(block.len() + message.capacity() + symbols_bytes(&message)?);
            rows.account()?;
            let symbols = symbols(&message)?;
            let read = async |fields: &[u8], rows: &mut RowWriter<'_>| {
                Ok::<_, Fault>(remote.read_second(fields, &symbols, rows).await?)
            };
            rows.read_message(&message, read).await?;
        } else {
            let read =
                async |fields: &[u8], rows: &mut RowWriter<'_>| Ok::<_, Fault>(remote.read_first(fields, rows).await?);
            rows.read_message(&message, read).await?;
        }
        context.core.recycled.put_message(message);
        Ok::<_, Fault>(remote)
    };
    let (written, remote) = write_rows(context.core, context.row_target(&database, BadRows::KeepOthers), fill).await?;
    context.count_door(Door::Prometheus, &written);
    if !written.bad_rows.is_empty() {
        return Err(Fault::Partial(Box::new(written)));
    }
    let samples = remote.found().samples.to_string();
    match is_second {
        false => reply.send(200, |head| head, b""),
        true => reply.send(
            204,
            |head| {
                head.header("X-Prometheus-Remote-Write-Samples-Written", &samples)
                    .header("X-Prometheus-Remote-Write-Histograms-Written", "0")
                    .header("X-Prometheus-Remote-Write-Exemplars-Written", "0")
            },
            b"",
        ),
    }
    Ok(())
}

/// Whether the message is of version 2, as its type says. CnosDB takes any type for version 1, and so is it here for
/// what clients send who name none.
fn is_second(head: &Head<'_>) -> Result<bool, Fault> {
    let value = head.header("content-type").unwrap_or_default();
    let (kind, parameters) = value.split_once(';').unwrap_or((value, ""));
    match kind.trim() {
        "" | "application/x-protobuf" | "application/octet-stream" | "application/x-www-form-urlencoded" => {}
        _ => return Err(Fault::ContentType(value.to_owned())),
    }
    match parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("proto=")) {
        None | Some("prometheus.WriteRequest") => Ok(false),
        Some("io.prometheus.write.v2.Request") => Ok(true),
        Some(_) => Err(Fault::ContentType(value.to_owned())),
    }
}
