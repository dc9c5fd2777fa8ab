//! `/metrics`: the counters of all cores as Prometheus text.

use crate::api::context::RequestContext;
use crate::core::message::ReadMetrics;
use crate::metrics::registry::write_text;
use crate::net::Reply;

/// Sends the text.
pub async fn metrics(context: &RequestContext<'_>, reply: &mut Reply) {
    let snapshots = context.core.peers.ask_all(ReadMetrics).await;
    let mut text = String::new();
    write_text(&snapshots, &mut text);
    reply.send(200, |head| head.content_type("text/plain; version=0.0.4; charset=utf-8"), text.as_bytes());
}
