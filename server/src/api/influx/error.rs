//! Faults in InfluxDB's words: `{"error":"…"}` with the text again in a header, and plain text where there is no
//! endpoint.

use tidewire_protocol::encode::influx::{Options, write_error};
use tidewire_protocol::http::UnknownEncoding;
use tidewire_sql::exec::ExecError;
use tidewire_storage::Error;

use super::forbidden::{NO_ADMIN, REALM, denied, denied_status, forbidden};
use super::{catalog_error, line_error};
use crate::api::fault::{Fault, FaultReply, allow, challenge};
use crate::ingest::error::WriteError;
use crate::net::BodyError;
use tidewire_base::catalog::CatalogError;

/// Bytes of an error that go into a header.
const ERROR_HEADER_BYTES_MAX: usize = 1024;

/// The reply that says what went wrong.
pub fn reply(fault: &Fault) -> FaultReply {
    let plain = |status, text: &str, headers| FaultReply {
        status,
        headers,
        content_type: Some("text/plain; charset=utf-8"),
        body: text.as_bytes().to_vec(),
    };
    if status(fault) == 401 {
        let mut body = Vec::new();
        write_error(&mut body, &message(fault), None, Options::default());
        let headers = challenge(fault, REALM);
        return FaultReply { status: 401, headers, content_type: Some("application/json"), body };
    }
    match fault {
        Fault::PathUnknown => plain(404, "404 page not found\n", Vec::new()),
        Fault::MethodUnknown { allowed } => plain(405, "Method Not Allowed\n", vec![allow(allowed)]),
        _ => {
            let message = message(fault);
            let mut body = Vec::new();
            write_error(&mut body, &message, line(fault), Options::default());
            FaultReply {
                status: status(fault),
                headers: vec![("X-Influxdb-Error", error_header(&message))],
                content_type: Some("application/json"),
                body,
            }
        }
    }
}

/// The text of a fault, also for one statement of several.
pub fn message(fault: &Fault) -> String {
    match fault {
        Fault::Denied(denial) => denied(denial),
        Fault::Forbidden(what) => forbidden(what),
        Fault::AdminMissing => NO_ADMIN.to_owned(),
        Fault::Consistency(_) => "invalid consistency level".to_owned(),
        Fault::Precision(text) => format!("invalid precision {text:?} (use n, u, ms, s, m or h)"),
        Fault::DatabaseMissing => "database is required".to_owned(),
        Fault::DatabaseUnnamed => "database name required".to_owned(),
        Fault::DatabaseUnknown(name) => format!("database not found: {name}"),
        Fault::StatementMissing => "missing required parameter \"q\"".to_owned(),
        Fault::Influxql { error, .. } => format!("error parsing query: {error}"),
        Fault::Unfit(error) => error.to_string(),
        Fault::Catalog(refusal) | Fault::DropTable(refusal) => catalog_error::message(refusal),
        Fault::Body(error) => body_message(error),
        Fault::Write(error) => write_message(error),
        Fault::Partial(written) => line_error::message(written),
        Fault::TooManyQueries { queries_max } => {
            format!("max-concurrent-queries limit exceeded({queries_max}, {queries_max})")
        }
        Fault::Query(ExecError::Timeout { .. }) => "query-timeout limit exceeded".to_owned(),
        Fault::Query(ExecError::TooManySeries { series, series_max }) => {
            format!("max-select-series limit exceeded: ({series}/{series_max})")
        }
        // With InfluxDB's own spelling.
        Fault::Query(ExecError::TooManyRows { rows, rows_max }) => {
            format!("max-select-point limit exceeed: ({rows}/{rows_max})")
        }
        other => other.to_string(),
    }
}

/// The status of a reply that is the fault.
pub(super) fn status(fault: &Fault) -> u16 {
    match fault {
        Fault::Refused { status, .. } => *status,
        Fault::Denied(denial) => denied_status(denial),
        Fault::Forbidden(_) | Fault::AdminMissing => 403,
        Fault::Body(error) => error.status(),
        Fault::Write(error) => write_status(error),
        Fault::TooManyQueries { .. } | Fault::QueryShortOfMemory(_) | Fault::OverLimit { .. } => 429,
        Fault::Query(ExecError::ServerMemory { .. }) => 429,
        Fault::Query(ExecError::Storage(error)) if error.is_no_space() => 507,
        Fault::Delete(error) if error.is_no_space() => 507,
        Fault::Query(_) | Fault::Delete(_) | Fault::Compress(_) | Fault::Rows(_) => 500,
        Fault::Catalog(CatalogError::NoSpace(_)) => 507,
        _ => 400,
    }
}

/// The line of the request's body that a fault is about. It is a member of its own, since clients match the text.
fn line(fault: &Fault) -> Option<u64> {
    match fault {
        Fault::Partial(written) => line_error::line(written),
        _ => None,
    }
}

fn write_status(error: &WriteError) -> u16 {
    match error {
        WriteError::DatabaseNotFound(_) => 404,
        WriteError::Body(body) => body.status(),
        WriteError::TooLarge { .. }
        | WriteError::TooManyPartitions { .. }
        | WriteError::Storage(Error::RecordTooLarge { .. }) => 413,
        WriteError::PolicyNotFound(_) | WriteError::Catalog(CatalogError::PolicyNotFound(_)) => 500,
        WriteError::BadRow(_) => 400,
        WriteError::TableChanged => 503,
        WriteError::Catalog(CatalogError::DatabaseNotFound(_)) => 404,
        WriteError::Storage(
            Error::Overloaded { .. } | Error::Crowded { .. } | Error::Closed | Error::ShardOffline { .. },
        ) => 503,
        WriteError::Storage(error) if error.is_no_space() => 507,
        WriteError::Catalog(CatalogError::NoSpace(_)) => 507,
        WriteError::Catalog(CatalogError::NotSaved(_)) | WriteError::Storage(_) => 500,
        WriteError::Catalog(_) => 400,
        WriteError::Overloaded { .. }
        | WriteError::TooMuchInFlight
        | WriteError::ShortOfMemory(_)
        | WriteError::SeriesRefused { .. } => 429,
    }
}

fn body_message(error: &BodyError) -> String {
    match error {
        BodyError::UnknownEncoding(UnknownEncoding { token }) => format!("content encoding not support: {token}"),
        BodyError::Refused { status: 413, .. } => "Request Entity Too Large".to_owned(),
        other => other.to_string(),
    }
}

fn write_message(error: &WriteError) -> String {
    match error {
        WriteError::Body(error) => body_message(error),
        WriteError::DatabaseNotFound(name) | WriteError::Catalog(CatalogError::DatabaseNotFound(name)) => {
            format!("database not found: {name:?}")
        }
        WriteError::Catalog(
            refusal @ (CatalogError::PolicyNotFound(_) | CatalogError::NotSaved(_) | CatalogError::NoSpace(_)),
        ) => catalog_error::message(refusal),
        WriteError::Catalog(refusal) => format!("partial write: {} dropped=0", catalog_error::message(refusal)),
        WriteError::BadRow(row) => line_error::reason(row),
        other => other.to_string(),
    }
}

/// An error's text as a header: one line, bounded.
pub(super) fn error_header(text: &str) -> String {
    text[..text.floor_char_boundary(ERROR_HEADER_BYTES_MAX)].replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use tidewire_protocol::line::Dialect;
    use tidewire_protocol::row::Position;
    use tidewire_storage::schema::ColumnKind;

    use super::*;
    use crate::ingest::fault::{BadRow, RowFault};
    use crate::ingest::session::Written;
    use crate::ingest::testing::first_bad_line;
    use crate::memory::account::Shortage;

    fn text(reply: &FaultReply) -> &str {
        std::str::from_utf8(&reply.body).unwrap()
    }

    #[test]
    fn bodies_are_escaped_as_go_does_and_headers_are_not() {
        let row = first_bad_line(Dialect::Influx, b"a<b>&");
        let told = reply(&Fault::Write(WriteError::BadRow(Box::new(row))));
        assert_eq!(text(&told), "{\"error\":\"unable to parse 'a\\u003cb\\u003e\\u0026': missing fields\"}\n");
        let header = "unable to parse 'a<b>&': missing fields".to_owned();
        assert_eq!((told.status, &told.headers), (400, &vec![("X-Influxdb-Error", header)]));
    }

    #[test]
    fn rows_that_do_not_fit_are_told_with_the_line_of_the_first() {
        let mut written = Written::default();
        for line in [7, 9] {
            let fault = RowFault::ReservedTime { table: "m".to_owned(), kind: ColumnKind::Tag };
            written.bad_rows.dropped(BadRow { position: Position::Line(line), fault });
        }
        let told = reply(&Fault::Partial(Box::new(written)));
        let words =
            "partial write: invalid tag key: input tag \\\"time\\\" on measurement \\\"m\\\" is invalid dropped=2";
        assert_eq!(text(&told), format!("{{\"error\":\"{words}\",\"line\":7}}\n"));
    }

    #[test]
    fn an_error_header_is_one_bounded_line() {
        assert_eq!(error_header("a\nb"), "a b");
        assert_eq!(error_header(&"é".repeat(1000)).len(), 1024);
        assert_eq!(error_header(&format!("x{}", "é".repeat(1000))).len(), 1023);
    }

    #[test]
    fn a_full_disk_is_507_and_a_failing_one_500() {
        let full = Error::NoSpace { shard: 3, reason: "the reserve is used up".to_owned() };
        let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let no_file = Error::Io { operation: "allocate".into(), path: "wal".into(), source };
        for error in [full, no_file] {
            let told = reply(&WriteError::Storage(error).into());
            assert_eq!((told.status, told.is_for_now()), (507, false));
            assert!(text(&told).starts_with(r#"{"error":"#), "{}", text(&told));
        }
        let failed = Error::LogFailed { shard: 3, reason: "a sync failed".to_owned() };
        assert_eq!(reply(&WriteError::Storage(failed).into()).status, 500);
    }

    #[test]
    fn what_passes_is_429_or_503_and_may_be_tried_again() {
        let shortage = Shortage::Series { used: 2, bytes_max: 1 };
        let cases = [
            (WriteError::ShortOfMemory(shortage), 429, "memory.bytes_max"),
            (WriteError::SeriesRefused { count: 3, shortage }, 429, "3 of the request's series are new"),
            (WriteError::Overloaded { shard: 3 }, 429, "shard 3 holds as many rows as it may; try again later"),
            (WriteError::TooMuchInFlight, 429, "too many rows are being received; try again later"),
            (WriteError::TableChanged, 503, "a table changed while it was being written; send the request again"),
            (WriteError::Storage(Error::Closed), 503, ""),
        ];
        for (error, status, words) in cases {
            let told = reply(&error.into());
            assert_eq!((told.status, told.is_for_now()), (status, true));
            assert!(text(&told).contains(words), "{}", text(&told));
        }
        let row = WriteError::Storage(Error::RecordTooLarge { bytes: 2, bytes_max: 1 });
        for error in [WriteError::TooLarge { bytes: 2, bytes_max: 1 }, row] {
            let large = reply(&error.into());
            assert_eq!((large.status, large.is_for_now()), (413, false));
        }
    }

    #[test]
    fn the_catalogs_refusals_of_a_write() {
        let of = |refusal| reply(&WriteError::Catalog(refusal).into());
        let gone = of(CatalogError::DatabaseNotFound("d".to_owned()));
        assert_eq!((gone.status, text(&gone)), (404, "{\"error\":\"database not found: \\\"d\\\"\"}\n"));
        let policy = of(CatalogError::PolicyNotFound("p".to_owned()));
        assert_eq!((policy.status, text(&policy)), (500, "{\"error\":\"retention policy not found: p\"}\n"));
        let unsaved = of(CatalogError::NotSaved("disk full".to_owned()));
        assert_eq!((unsaved.status, text(&unsaved)), (500, "{\"error\":\"the catalog cannot be saved: disk full\"}\n"));
        let no_space = of(CatalogError::NoSpace("x".to_owned()));
        let words = "{\"error\":\"the catalog cannot be saved for want of space: x\"}\n";
        assert_eq!((no_space.status, text(&no_space)), (507, words));
        let full = of(CatalogError::TooManyColumns { table: "m".to_owned(), columns: 17_000 });
        let words = "partial write: table m would have 17000 columns, the bound is 16384 dropped=0";
        assert_eq!((full.status, text(&full)), (400, format!("{{\"error\":\"{words}\"}}\n").as_str()));
    }

    #[test]
    fn a_request_that_is_refused_before_its_handler_says_why() {
        let told = reply(&Fault::Refused { status: 503, reason: "the server is stopping".to_owned() });
        assert_eq!((told.status, text(&told)), (503, "{\"error\":\"the server is stopping\"}\n"));
        assert!(told.is_for_now());
    }
}
