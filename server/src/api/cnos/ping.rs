//! `/api/v1/ping`.

use crate::net::Reply;

/// What the reply calls the version: CnosDB's, whose API this is, and our own.
const VERSION: &str = concat!("2.4.3, revision: tidewire, build_time: ", env!("CARGO_PKG_VERSION"));

/// Says that the server is there.
pub fn ping(reply: &mut Reply) {
    let body = format!("{{\"version\":\"{VERSION}\",\"status\":\"healthy\"}}");
    reply.send(200, |head| head.content_type("application/json"), body.as_bytes());
}
