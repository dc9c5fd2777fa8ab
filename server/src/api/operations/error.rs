//! Faults on the endpoints of operators. They have no form of their own; a person reads CnosDB's as well as any.

use crate::api::cnos;
use crate::api::fault::{Fault, FaultReply};

/// The reply that says what went wrong.
pub fn reply(fault: &Fault) -> FaultReply {
    cnos::error::reply(fault)
}
