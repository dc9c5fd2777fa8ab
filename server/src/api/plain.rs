//! Faults as plain text, for APIs whose clients print what they get: the neutral words, and the status that CnosDB's
//! API has for them. What is wrong with rows is 400 there.

use super::cnos;
use super::fault::{Fault, FaultReply, REALM, allow, challenge};
use crate::ingest::error::WriteError;

/// The reply that says what went wrong.
pub(super) fn reply(fault: &Fault) -> FaultReply {
    let status = match fault {
        Fault::MethodUnknown { allowed } => {
            return FaultReply { status: 405, headers: vec![allow(allowed)], ..FaultReply::default() };
        }
        Fault::Forbidden(_) => 403,
        Fault::Write(WriteError::BadRow(_)) | Fault::Partial(_) | Fault::Unreadable(_) => 400,
        Fault::Write(WriteError::DatabaseNotFound(_)) | Fault::DatabaseUnknown(_) => 404,
        _ => cnos::error::reply(fault).status,
    };
    let message = match fault {
        Fault::Partial(written) => {
            let refused = written.bad_rows.unparsed + written.bad_rows.dropped;
            let first = written.bad_rows.kept.first().map(ToString::to_string).unwrap_or_default();
            format!("{refused} rows are not taken, {} are: {first}", written.rows)
        }
        _ => fault.to_string(),
    };
    FaultReply {
        status,
        headers: challenge(fault, REALM),
        content_type: Some("text/plain; charset=utf-8"),
        body: format!("{message}\n").into_bytes(),
    }
}
