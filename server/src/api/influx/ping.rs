//! `/ping`.

use super::headers::{VERSION, send};
use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::net::Reply;

/// Says that the server is there, and with `verbose` which version it is.
pub fn ping(context: &RequestContext<'_>, reply: &mut Reply) -> Result<(), Fault> {
    let verbose = context.parameter("verbose")?;
    if verbose.is_some_and(|value| !matches!(&*value, "" | "0" | "false")) {
        send(context, 200, format!("{{\"version\":\"{VERSION}\"}}").as_bytes(), reply);
    } else {
        send(context, 204, b"", reply);
    }
    Ok(())
}
