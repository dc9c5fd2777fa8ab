//! Faults in the words of both APIs: CnosDB's members `error_code` and `error_message`, and Elasticsearch's `error` and
//! `status`.

use serde_json::{Value, json};
use tidewire_protocol::http::ResponseHead;

use crate::api::cnos;
use crate::api::fault::{Fault, FaultReply};
use crate::ingest::error::WriteError;
use crate::ingest::fault::{BadRow, RowFault};
use crate::net::Reply;

/// The body is no log.
const BAD_LOG: &str = "040016";

/// By which clients know that Elasticsearch answers.
const PRODUCT: (&str, &str) = ("X-Elastic-Product", "Elasticsearch");

/// The reply that says what went wrong.
pub fn reply(fault: &Fault) -> FaultReply {
    let mut reply = match fault {
        Fault::Write(WriteError::BadRow(row)) if matches!(row.fault, RowFault::Unread(_)) => {
            bad_log(422, &row.to_string())
        }
        Fault::Partial(written) => {
            let refused = written.bad_rows.unparsed + written.bad_rows.dropped;
            let first = written.bad_rows.kept.first().map(ToString::to_string).unwrap_or_default();
            bad_log(422, &format!("{refused} entries are not taken, the others are: {first}"))
        }
        Fault::Unreadable(error) => bad_log(422, &error.to_string()),
        Fault::ParameterMissing(_) | Fault::ParameterValue { .. } => bad_log(400, &fault.to_string()),
        _ => cnos::error::reply(fault),
    };
    if let Ok(Value::Object(mut body)) = serde_json::from_slice::<Value>(&reply.body) {
        let reason = body.get("error_message").cloned().unwrap_or_default();
        let kind = match reply.status {
            401 => "security_exception",
            _ if matches!(fault, Fault::Forbidden(_)) => "security_exception",
            429 => "es_rejected_execution_exception",
            400..=499 => "illegal_argument_exception",
            _ => "exception",
        };
        let cause = json!({ "type": kind, "reason": reason });
        body.insert("error".to_owned(), json!({ "root_cause": [&cause], "type": kind, "reason": reason }));
        body.insert("status".to_owned(), reply.status.into());
        reply.body = Value::Object(body).to_string().into_bytes();
    }
    reply.headers.push((PRODUCT.0, PRODUCT.1.to_owned()));
    reply
}

/// What kind of exception Elasticsearch would have for a document.
pub(super) fn reason_type(row: &BadRow) -> &'static str {
    match &row.fault {
        RowFault::Unread(_) | RowFault::ColumnConflict { .. } | RowFault::ReservedTime { .. } => {
            "mapper_parsing_exception"
        }
        _ => "illegal_argument_exception",
    }
}

/// The headers of every reply.
pub(super) fn headers<'h>(head: ResponseHead<'h>) -> ResponseHead<'h> {
    head.header(PRODUCT.0, PRODUCT.1)
}

/// Says that everything is durable, as CnosDB does.
pub(super) fn send_empty(reply: &mut Reply) {
    reply.send(200, headers, b"");
}

fn bad_log(status: u16, message: &str) -> FaultReply {
    let body = json!({ "error_code": BAD_LOG, "error_message": format!("Error parsing log message: {message}") });
    FaultReply {
        status,
        headers: Vec::new(),
        content_type: Some("application/json"),
        body: body.to_string().into_bytes(),
    }
}
