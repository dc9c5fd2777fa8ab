//! Faults as Jaeger's clients read them, an error in the envelope, with CnosDB's members beside it.

use serde_json::{Value, json};

use crate::api::cnos;
use crate::api::fault::{Fault, FaultReply};

/// The reply that says what went wrong.
pub fn reply(fault: &Fault) -> FaultReply {
    let mut reply = cnos::error::reply(fault);
    if matches!(fault, Fault::Forbidden(_)) {
        reply.status = 403;
    }
    if matches!(fault, Fault::MethodUnknown { .. } | Fault::PathUnknown) {
        return reply;
    }
    let mut body = match serde_json::from_slice::<Value>(&reply.body) {
        Ok(Value::Object(body)) => body,
        _ => serde_json::Map::new(),
    };
    body.insert("data".to_owned(), Value::Null);
    for member in ["total", "limit", "offset"] {
        body.insert(member.to_owned(), 0.into());
    }
    body.insert("errors".to_owned(), json!([{ "code": reply.status, "msg": fault.to_string() }]));
    reply.content_type = Some("application/json");
    reply.body = Value::Object(body).to_string().into_bytes();
    reply
}
