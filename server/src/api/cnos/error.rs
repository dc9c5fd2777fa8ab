//! Faults in CnosDB's words and codes: `{"error_code":"NNNNNN","error_message":"…"}`, and an empty body where there
//! is no endpoint.

use serde_json::json;
use tidewire_protocol::encode::EncodeError;
use tidewire_protocol::http::UnknownEncoding;
use tidewire_sql::exec::ExecError;
use tidewire_storage::Error;

use super::catalog_error::{self, EXHAUSTED};
use super::forbidden::{denied, forbidden as words_of_forbidden};
use super::sql_error::{execution_words, words};
use super::{encode_error, line_error};
use crate::api::fault::{Fault, FaultReply, REALM, allow, challenge};
use crate::auth::denial::Denial;
use crate::ingest::error::WriteError;
use crate::net::BodyError;
use crate::query::delete::DeleteError;
use tidewire_base::catalog::CatalogError;

/// A header or a parameter is wrong.
const BAD_REQUEST: &str = "040005";
/// The body cannot be decoded.
const BAD_BODY: &str = "040013";
/// The rows cannot be sent.
const FETCH: &str = "040007";
/// The reply cannot be encoded.
const ENCODE: &str = "040014";
/// The tenant has used what it may.
const OVER_LIMIT: &str = "030024";
/// As many queries run as may.
const TOO_MANY_QUERIES: &str = "010012";
/// The query failed while it ran.
const EXECUTION: &str = "010001";
/// Arrow failed.
const ARROW: &str = "010002";
/// Storage cannot apply the rows.
const APPLY: &str = "050014";

/// The reply that says what went wrong.
pub fn reply(fault: &Fault) -> FaultReply {
    match fault {
        Fault::PathUnknown => FaultReply { status: 404, ..FaultReply::default() },
        Fault::MethodUnknown { allowed } => {
            FaultReply { status: 405, headers: vec![allow(allowed)], ..FaultReply::default() }
        }
        Fault::Refused { status, reason } => json_reply(*status, BAD_REQUEST, reason),
        Fault::AcceptType(accept) => {
            let message = format!("Invalid header: Invalid header: accept type not support: {accept}");
            json_reply(400, BAD_REQUEST, &message)
        }
        Fault::AcceptFormat(format) => {
            json_reply(400, BAD_REQUEST, &format!("Invalid header: Invalid header: invalid variant: {format}"))
        }
        Fault::AcceptEncoding(accepted) => {
            let known = "gzip, deflate, br, zstd, identity";
            let message = format!("Invalid header: accept encoding not support: {accepted}, only support: {known}");
            json_reply(400, BAD_REQUEST, &message)
        }
        Fault::Denied(denial) => {
            let (status, code, message) = denied(denial);
            FaultReply { headers: challenge(fault, REALM), ..json_reply(status, code, &message) }
        }
        Fault::AdminMissing => {
            let (status, code, message) = denied(&Denial::NoUsers);
            json_reply(status, code, &message)
        }
        Fault::Forbidden(forbidden) => {
            let (code, message) = words_of_forbidden(&forbidden.need);
            json_reply(422, code, &message)
        }
        Fault::OverLimit { .. } => json_reply(429, OVER_LIMIT, &fault.to_string()),
        Fault::Parameter { .. }
        | Fault::ParameterMissing(_)
        | Fault::ParameterUnknown(_)
        | Fault::HeaderOpaque(_)
        | Fault::ParameterValue { .. }
        | Fault::Chunked(_)
        | Fault::Precision(_)
        | Fault::Consistency(_)
        | Fault::DatabaseMissing
        | Fault::DatabaseUnnamed
        | Fault::StatementMissing => json_reply(400, BAD_REQUEST, &fault.to_string()),
        Fault::Body(error) => body(error),
        Fault::Unreadable(_) => json_reply(400, BAD_BODY, &fault.to_string()),
        Fault::ContentType(_) => json_reply(415, BAD_REQUEST, &fault.to_string()),
        Fault::Statement(error) => {
            let (code, message) = words(error);
            json_reply(422, code, &message)
        }
        Fault::Influxql { .. } | Fault::QueryParameters(_) | Fault::Unfit(_) => {
            json_reply(422, "010009", &fault.to_string())
        }
        Fault::TraceUnknown => json_reply(404, BAD_REQUEST, &fault.to_string()),
        Fault::DatabaseUnknown(name) => json_reply(422, "030017", &format!("Database not found: {name:?}")),
        Fault::Catalog(refusal) => catalog(refusal, &catalog_error::message(refusal)),
        Fault::DropTable(refusal) => catalog(refusal, &catalog_error::drop_table_message(refusal)),
        Fault::Write(error) => write(error),
        Fault::Partial(_) => json_reply(422, APPLY, &fault.to_string()),
        Fault::TooManyQueries { .. } | Fault::QueryShortOfMemory(_) => {
            json_reply(429, TOO_MANY_QUERIES, &fault.to_string())
        }
        Fault::Delete(error) => delete(error),
        Fault::Query(ExecError::Storage(error)) if error.is_no_space() => storage(error),
        Fault::Query(error) => query(error),
        Fault::Unshown(error) => json_reply(422, FETCH, &format!("Fetch result: {}", encode_error::words(error))),
        Fault::Unwritten(error) => json_reply(422, EXECUTION, &unwritten(error)),
        Fault::UnshownValue(error) => json_reply(422, FETCH, &format!("Fetch result: {error}")),
        Fault::Compress(_) => json_reply(500, ENCODE, &fault.to_string()),
        Fault::Rows(error) => json_reply(500, ARROW, &format!("Arrow: {error}")),
    }
}

/// What stands behind rows that are sent already when the query fails after them. The spacing is CnosDB's.
pub fn behind_rows(fault: &Fault) -> Vec<u8> {
    let message = match fault {
        Fault::Query(error) => execution_words(error).1,
        Fault::Unwritten(error) => unwritten(error),
        other => other.to_string(),
    };
    let message = json!(format!("Fetch result: {message}"));
    format!("{{\"error_code\": \"{FETCH}\", \"error_message\": {message}}}").into_bytes()
}

fn json_reply(status: u16, code: &str, message: &str) -> FaultReply {
    FaultReply {
        status,
        headers: Vec::new(),
        content_type: Some("application/json"),
        body: json!({ "error_code": code, "error_message": message }).to_string().into_bytes(),
    }
}

/// A body that cannot be had.
fn body(error: &BodyError) -> FaultReply {
    let message = match error {
        BodyError::UnknownEncoding(UnknownEncoding { token }) => format!("content encoding not support: {token}"),
        other => other.to_string(),
    };
    json_reply(error.status(), BAD_BODY, &message)
}

/// A result that the format cannot show, found while the query ran.
fn unwritten(error: &EncodeError) -> String {
    format!("Execution error: cannot write the result: {}", encode_error::words(error))
}

fn write(error: &WriteError) -> FaultReply {
    let message = error.to_string();
    match error {
        WriteError::DatabaseNotFound(name) => json_reply(422, "030017", &format!("Database not found: {name:?}")),
        WriteError::PolicyNotFound(_) => json_reply(422, APPLY, &message),
        WriteError::Body(error) => body(error),
        WriteError::BadRow(row) => {
            let (code, words) = line_error::words(row);
            json_reply(422, code, &words)
        }
        WriteError::TableChanged => json_reply(503, APPLY, &message),
        WriteError::Catalog(refusal) => catalog(refusal, &catalog_error::message(refusal)),
        WriteError::Overloaded { .. }
        | WriteError::TooMuchInFlight
        | WriteError::ShortOfMemory(_)
        | WriteError::SeriesRefused { .. } => json_reply(429, EXHAUSTED, &message),
        WriteError::TooLarge { .. } | WriteError::TooManyPartitions { .. } => json_reply(413, EXHAUSTED, &message),
        WriteError::Storage(error) => storage(error),
    }
}

/// A shard that cannot take rows, or take them away.
fn storage(error: &Error) -> FaultReply {
    let (status, code) = storage_code(error);
    json_reply(status, code, &error.to_string())
}

fn storage_code(error: &Error) -> (u16, &'static str) {
    match error {
        Error::RecordTooLarge { .. } => (413, EXHAUSTED),
        // Other owners may have taken their part: not the 429 that promises that nothing was written.
        Error::Overloaded { .. } | Error::Crowded { .. } | Error::Closed => (503, EXHAUSTED),
        Error::ShardOffline { .. } => (503, APPLY),
        error if error.is_no_space() => (507, EXHAUSTED),
        _ => (500, APPLY),
    }
}

/// A deletion has the status and the code of its first failure: those of a write that storage refuses, or else of a
/// query.
fn delete(error: &DeleteError) -> FaultReply {
    let (status, code, message) = match error.cause() {
        ExecError::Storage(cause) => {
            let (status, code) = storage_code(cause);
            (status, code, cause.to_string())
        }
        cause => {
            let (code, message) = execution_words(cause);
            (query_status(cause), code, message)
        }
    };
    match error {
        DeleteError::Refused(_) => json_reply(status, code, &message),
        DeleteError::Partly(_) => json_reply(status, code, &error.to_string()),
    }
}

fn catalog(refusal: &CatalogError, message: &str) -> FaultReply {
    json_reply(catalog_error::status(refusal), catalog_error::code(refusal), message)
}

/// A query that failed while it ran.
fn query(error: &ExecError) -> FaultReply {
    let (code, message) = execution_words(error);
    json_reply(query_status(error), code, &message)
}

fn query_status(error: &ExecError) -> u16 {
    match error {
        ExecError::Storage(Error::ShardOffline { .. }) => 503,
        // The query may fit when others have ended.
        ExecError::ServerMemory { .. } => 429,
        ExecError::Timeout { .. } | ExecError::Storage(_) | ExecError::Internal(_) => 500,
        _ => 422,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::account::Shortage;
    use crate::query::delete::PartlyDone;

    fn text(reply: &FaultReply) -> &str {
        std::str::from_utf8(&reply.body).unwrap()
    }

    fn told(status: u16, code: &str, message: &str) -> FaultReply {
        json_reply(status, code, message)
    }

    #[test]
    fn bodies_are_compact_json() {
        let found = reply(&Fault::DatabaseUnknown("x".to_owned()));
        assert_eq!(text(&found), r#"{"error_code":"030017","error_message":"Database not found: \"x\""}"#);
        assert_eq!((found.status, found.content_type), (422, Some("application/json")));
        assert_eq!(reply(&Fault::PathUnknown), FaultReply { status: 404, ..FaultReply::default() });
    }

    #[test]
    fn a_full_disk_is_507_and_a_failing_one_500() {
        let full = || Error::NoSpace { shard: 3, reason: "the reserve is used up".to_owned() };
        let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let no_file = Error::Io { operation: "allocate".into(), path: "wal".into(), source };
        for error in [full(), no_file] {
            let found = reply(&WriteError::Storage(error).into());
            assert_eq!(found.status, 507);
            assert!(text(&found).starts_with(r#"{"error_code":"050033","error_message":"#), "{}", text(&found));
        }
        let failed = || Error::LogFailed { shard: 3, reason: "a sync failed".to_owned() };
        assert_eq!(reply(&WriteError::Storage(failed()).into()).status, 500);
        // A deletion that storage refuses is answered as a write is, one that fails otherwise as a query.
        let deletion = |error| reply(&Fault::Delete(DeleteError::Refused(error)));
        assert_eq!(deletion(ExecError::Storage(full())), told(507, "050033", &full().to_string()));
        assert_eq!(deletion(ExecError::Storage(failed())), told(500, "050014", &failed().to_string()));
        let cancelled = deletion(ExecError::Cancelled);
        assert_eq!(cancelled, told(422, "010001", "the query was cancelled"));
        // One that some shards have done says so, with the code of what the others ran into.
        let cause = ExecError::Storage(full());
        let partly = DeleteError::Partly(Box::new(PartlyDone {
            measurements: Vec::new(),
            done: vec![0],
            failed: Vec::new(),
            cause,
        }));
        assert_eq!(reply(&Fault::Delete(partly)).status, 507);
        // A change of the catalog, and a query that finds no space for what it puts aside.
        let unsaved = reply(&CatalogError::NoSpace("x".to_owned()).into());
        assert_eq!(unsaved, told(507, "050033", "the catalog cannot be saved for want of space: x"));
        assert_eq!(reply(&ExecError::Storage(full()).into()).status, 507);
    }

    #[test]
    fn what_passes_is_429_or_503_and_may_be_tried_again() {
        let shortage = Shortage::Series { used: 2, bytes_max: 1 };
        let cases: [(Fault, u16, &str, &str); 8] = [
            (WriteError::ShortOfMemory(shortage).into(), 429, "050033", "memory.bytes_max"),
            (WriteError::SeriesRefused { count: 3, shortage }.into(), 429, "050033", "memory.bytes_max"),
            (WriteError::Overloaded { shard: 3 }.into(), 429, "050033", "shard 3"),
            (WriteError::TooMuchInFlight.into(), 429, "050033", "too many rows are being received"),
            (WriteError::TableChanged.into(), 503, "050014", "send the request again"),
            (WriteError::Storage(Error::Closed).into(), 503, "050033", ""),
            (Fault::TooManyQueries { queries_max: 4 }, 429, "010012", "4 queries run already; try again later"),
            (Fault::QueryShortOfMemory(shortage), 429, "010012", "no query is begun now: "),
        ];
        for (fault, status, code, words) in cases {
            let found = reply(&fault);
            assert_eq!((found.status, found.is_for_now()), (status, true), "{fault}");
            let body = text(&found);
            assert!(body.starts_with(&format!("{{\"error_code\":\"{code}\"")) && body.contains(words), "{body}");
        }
        let row = WriteError::Storage(Error::RecordTooLarge { bytes: 2, bytes_max: 1 });
        for error in [WriteError::TooLarge { bytes: 2, bytes_max: 1 }, row] {
            let large = reply(&error.into());
            assert_eq!((large.status, large.is_for_now()), (413, false));
        }
    }

    #[test]
    fn a_querys_own_bound_is_422_and_the_servers_429() {
        let all = reply(&ExecError::ServerMemory { used_bytes: 1, limit_bytes: 2 }.into());
        assert_eq!((all.status, all.is_for_now()), (429, true));
        assert_eq!(reply(&ExecError::Memory { limit_bytes: 2 }.into()).status, 422);
        assert_eq!(reply(&ExecError::Timeout { limit_ms: 2 }.into()).status, 500);
        let unknown = ExecError::NotImplemented("x".to_owned());
        assert_eq!(reply(&unknown.into()), told(422, "010005", "This feature is not implemented: x"));
        let behind = behind_rows(&Fault::Query(ExecError::Execution("say \"x\"".to_owned())));
        let words = r#"{"error_code": "040007", "error_message": "Fetch result: Execution error: say \"x\""}"#;
        assert_eq!(String::from_utf8_lossy(&behind), words);
    }

    #[test]
    fn the_catalogs_refusals() {
        let missing = || CatalogError::TableNotFound { database: "d".to_owned(), table: "t".to_owned() };
        let written = reply(&WriteError::Catalog(missing()).into());
        assert_eq!(written, told(422, "030019", "Table not found: \"cnosdb.d.t\""));
        assert_eq!(reply(&missing().into()), written);
        assert_eq!(reply(&Fault::DropTable(missing())), told(422, "030019", "Table not found: \"t\""));
        let unsaved = reply(&CatalogError::NotSaved("disk full".to_owned()).into());
        assert_eq!(unsaved, told(500, "050001", "the catalog cannot be saved: disk full"));
    }
}
