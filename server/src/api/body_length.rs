//! Requests whose body must be there and whose head does not say how long it is.
//!
//! Without a length HTTP has no body, so what such a client sends behind the head would be dropped, or taken for the
//! next request, under a reply that calls it a success. (A body that goes on to the end of the connection, as HTTP/1.0
//! knows it in replies, cannot be told from one that broke off.)

use tidewire_protocol::http::{BodyLength, Head};

use super::fault::Fault;
use crate::net::{BodyError, Reply};

/// Refuses a request that says neither Content-Length nor Transfer-Encoding.
pub fn require(head: &Head<'_>, reply: &mut Reply) -> Result<(), Fault> {
    if head.body != BodyLength::None {
        return Ok(());
    }
    // What comes behind the head is no request.
    reply.close();
    let reason = "the request must say how long its body is: Content-Length or Transfer-Encoding".to_owned();
    Err(BodyError::Refused { status: 411, reason }.into())
}
