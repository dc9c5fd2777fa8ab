//! `/metrics`: the counters of all cores as Prometheus text.

use super::fault::Failure;
use crate::core::message::ReadMetrics;
use crate::core::state::CoreState;
use crate::metrics::registry::write_text;
use crate::net::Reply;

pub(super) async fn send(core: &CoreState, reply: &mut Reply) -> Result<(), Failure> {
    let snapshots = core.peers.ask_all(ReadMetrics).await;
    let mut text = String::new();
    write_text(&snapshots, &mut text);
    reply.send(200, |head| head.content_type("text/plain; version=0.0.4; charset=utf-8"), text.as_bytes());
    Ok(())
}
