//! Faults in the words of both APIs: CnosDB's members `error_code` and `error_message`, and OpenTSDB's `error`.

use serde_json::{Value, json};
use tidewire_protocol::row::Position;

use crate::api::cnos;
use crate::api::fault::{Fault, FaultReply};
use crate::ingest::error::WriteError;
use crate::ingest::fault::{BadRow, RowFault};

/// Text that is no point.
const BAD_TEXT: &str = "040010";
/// JSON that is no point.
const BAD_JSON: &str = "040011";

/// The reply that says what went wrong.
pub fn reply(fault: &Fault) -> FaultReply {
    match fault {
        Fault::Write(WriteError::BadRow(row)) if matches!(row.fault, RowFault::Unread(_)) => {
            let code = if matches!(row.position, Position::Line(_)) { BAD_TEXT } else { BAD_JSON };
            told(400, code, &format!("Error parsing message: {}", reason(row)))
        }
        Fault::Unreadable(error) => told(400, BAD_JSON, &format!("Error parsing message: {error}")),
        Fault::Partial(written) => {
            let first = written.bad_rows.kept.first().map(reason).unwrap_or_default();
            let failed = written.bad_rows.unparsed + written.bad_rows.dropped;
            told(400, BAD_JSON, &format!("{failed} of the points are not taken, the others are: {first}"))
        }
        _ => {
            let mut reply = cnos::error::reply(fault);
            if let Ok(Value::Object(mut body)) = serde_json::from_slice::<Value>(&reply.body) {
                let message = body.get("error_message").cloned().unwrap_or_default();
                body.insert("error".to_owned(), json!({ "code": reply.status, "message": message }));
                reply.body = Value::Object(body).to_string().into_bytes();
            }
            reply
        }
    }
}

/// What is wrong with a point, and with which.
pub(super) fn reason(row: &BadRow) -> String {
    row.to_string()
}

fn told(status: u16, code: &str, message: &str) -> FaultReply {
    let body = json!({
        "error_code": code,
        "error_message": message,
        "error": { "code": status, "message": message },
    });
    FaultReply {
        status,
        headers: Vec::new(),
        content_type: Some("application/json"),
        body: body.to_string().into_bytes(),
    }
}
