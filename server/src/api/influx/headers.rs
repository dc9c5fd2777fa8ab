//! What every reply on InfluxDB's endpoints bears.

use tidewire_protocol::http::ResponseHead;

use crate::api::context::RequestContext;
use crate::api::request_id::RequestId;
use crate::net::Reply;

/// The version whose API this is; clients switch features by it.
pub const VERSION: &str = "1.7.10";

/// The headers of a reply: build and version, and the request's id where there is an endpoint for it.
pub fn headers<'o>(head: ResponseHead<'o>, id: Option<&RequestId<'_>>) -> ResponseHead<'o> {
    let head = head.header("X-Influxdb-Build", "OSS").header("X-Influxdb-Version", VERSION);
    match id {
        Some(id) => id.headers(head),
        None => head,
    }
}

/// Sends a reply that is no fault.
pub(super) fn send(context: &RequestContext<'_>, status: u16, body: &[u8], reply: &mut Reply) {
    reply.send(status, |head| headers(head, Some(&context.id)).content_type("application/json"), body);
}

/// Answers a browser that asks before it sends.
pub fn options(context: &RequestContext<'_>, reply: &mut Reply) {
    send(context, 200, b"", reply);
}
