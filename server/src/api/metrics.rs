//! `/metrics`: the counters of all cores as Prometheus text.

use std::rc::Rc;

use super::fault::Failure;
use crate::core::hub::Hub;
use crate::metrics::registry::write_text;
use crate::net::Reply;

pub(super) async fn send(hub: &Rc<Hub>, reply: &mut Reply) -> Result<(), Failure> {
    let snapshots = hub.gather_metrics().await;
    let mut text = String::new();
    write_text(&snapshots, &mut text);
    reply.send(200, |head| head.content_type("text/plain; version=0.0.4; charset=utf-8"), text.as_bytes());
    Ok(())
}
