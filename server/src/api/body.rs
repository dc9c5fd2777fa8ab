//! Bodies that are one message: their type, and those whose compression is the protocol's own.

use tidewire_protocol::http::{Encoding, Head};

use super::fault::Fault;
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

/// A body that is a snappy block, whole, at most `bytes_max` long. Clients call the block `Content-Encoding: snappy`,
/// which elsewhere means frames; any other coding is taken off first.
pub(super) async fn read_packed(request: Request<'_>, bytes_max: u64) -> Result<Vec<u8>, Fault> {
    if request.head.content_encoding() == Ok(Encoding::Snappy) {
        request.body.as_sent();
    }
    Ok(request.body.read_all(bytes_max).await?)
}
