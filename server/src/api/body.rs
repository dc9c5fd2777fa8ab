//! Bodies that are one message: their type, and those whose compression is the protocol's own.

use tidewire_protocol::http::{Encoding, Head};
use tidewire_protocol::protobuf::{decode_snappy_block_into, snappy_block_bytes};

use super::fault::Fault;
use crate::ingest::rows::RowWriter;
use crate::net::Request;

/// Whether the body is protobuf; the other type that is read is JSON. What a client does not name is JSON, for a
/// protobuf client names its type.
pub(super) fn is_protobuf(head: &Head<'_>) -> Result<bool, Fault> {
    let value = head.header("content-type").unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/x-protobuf" | "application/protobuf" | "application/vnd.google.protobuf" => Ok(true),
        "" | "application/json" | "text/json" | "text/plain" | "application/x-www-form-urlencoded" => Ok(false),
        _ => Err(Fault::ContentType(value.to_owned())),
    }
}

/// A document is read whole, into several times its memory; clients send batches far below this.
const JSON_BYTES_MAX: u64 = 16 << 20;

/// A body that is one JSON document, at most `bytes_max` long.
pub(super) async fn read_json(request: Request<'_>, bytes_max: u64) -> Result<Vec<u8>, Fault> {
    Ok(request.body.read_all(bytes_max.min(JSON_BYTES_MAX)).await?)
}

/// Takes the message out of a block into `message`, after its memory has been counted.
pub(super) fn unpack(
    rows: &mut RowWriter<'_>,
    block: &[u8],
    bytes_max: u64,
    message: &mut Vec<u8>,
) -> Result<(), Fault> {
    rows.hold(block.len() + snappy_block_bytes(block, bytes_max)?.max(message.capacity()));
    rows.account()?;
    Ok(decode_snappy_block_into(block, bytes_max, message)?)
}

/// A body that is a snappy block, whole, at most `bytes_max` long. Clients call the block `Content-Encoding: snappy`,
/// which elsewhere means frames; any other coding is taken off first.
pub(super) async fn read_packed(request: Request<'_>, bytes_max: u64) -> Result<Vec<u8>, Fault> {
    if request.head.content_encoding() == Ok(Encoding::Snappy) {
        request.body.as_sent();
    }
    Ok(request.body.read_all(bytes_max).await?)
}
