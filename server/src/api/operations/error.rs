//! Faults on the endpoints of operators. They have no form of their own; a person reads CnosDB's as well as any. The
//! status of what somebody may not do is HTTP's.

use crate::api::cnos;
use crate::api::fault::{Fault, FaultReply};

/// The reply that says what went wrong.
pub fn reply(fault: &Fault) -> FaultReply {
    let mut reply = cnos::error::reply(fault);
    if matches!(fault, Fault::Forbidden(_)) {
        reply.status = 403;
    }
    reply
}
