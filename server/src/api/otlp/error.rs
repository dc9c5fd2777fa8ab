//! Faults as OTLP has them: a `google.rpc.Status` with a code and a message, as JSON with CnosDB's members beside them,
//! or as protobuf.

use serde_json::{Value, json};
use tidewire_protocol::otlp::status_message;

use crate::api::cnos;
use crate::api::fault::{Fault, FaultReply};
use crate::ingest::error::WriteError;

/// CnosDB's code of a body that is no log.
const BAD_LOG: &str = "040016";

/// gRPC's codes.
const INVALID_ARGUMENT: u32 = 3;
const NOT_FOUND: u32 = 5;
const PERMISSION_DENIED: u32 = 7;
const RESOURCE_EXHAUSTED: u32 = 8;
const INTERNAL: u32 = 13;
const UNAVAILABLE: u32 = 14;
const UNAUTHENTICATED: u32 = 16;

/// The reply to a client that sent JSON, or nothing of either type.
pub fn reply(fault: &Fault) -> FaultReply {
    let mut reply = cnos::error::reply(fault);
    reply.status = status(fault, reply.status);
    let (code, message) = (code(reply.status), fault.to_string());
    if let Ok(Value::Object(mut body)) = serde_json::from_slice::<Value>(&reply.body) {
        if matches!(fault, Fault::Unreadable(_) | Fault::ParameterMissing(_) | Fault::ContentType(_)) {
            body.insert("error_code".to_owned(), BAD_LOG.into());
            body.insert("error_message".to_owned(), format!("Error parsing log message: {message}").into());
        }
        body.insert("code".to_owned(), code.into());
        body.insert("message".to_owned(), message.into());
        reply.body = Value::Object(body).to_string().into_bytes();
    } else if !matches!(fault, Fault::MethodUnknown { .. } | Fault::PathUnknown) {
        reply.content_type = Some("application/json");
        reply.body = json!({ "code": code, "message": message }).to_string().into_bytes();
    }
    reply
}

/// The reply to a client that sent protobuf.
pub(super) fn protobuf(fault: &Fault) -> FaultReply {
    let status = status(fault, cnos::error::reply(fault).status);
    FaultReply {
        status,
        headers: Vec::new(),
        content_type: Some("application/x-protobuf"),
        body: status_message(code(status), &fault.to_string()),
    }
}

/// Clients try again after 429, 502, 503 and 504, and after nothing else.
fn status(fault: &Fault, otherwise: u16) -> u16 {
    match fault {
        Fault::Write(WriteError::BadRow(_)) => 400,
        Fault::Forbidden(_) => 403,
        // A full disk: it may have space later.
        _ if otherwise == 507 => 503,
        _ => otherwise,
    }
}

fn code(status: u16) -> u32 {
    match status {
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 => NOT_FOUND,
        413 | 429 => RESOURCE_EXHAUSTED,
        400..=499 => INVALID_ARGUMENT,
        503 => UNAVAILABLE,
        _ => INTERNAL,
    }
}
