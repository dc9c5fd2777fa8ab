//! How a failure is told: CnosDB's routes answer `{"error_code","error_message"}`, InfluxDB's `{"error"}`.
//!
//! Which status a failure has is decided here, for both systems, in one place each.

use serde_json::json;
use tidewire_protocol::encode::influx::write_error;
use tidewire_sql::exec::ExecError;
use tidewire_storage::Error;

use crate::catalog::SchemaError;
use crate::ingest::error::WriteError;
use crate::net::BodyError;

/// A reply that says what went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// HTTP status.
    pub status: u16,
    /// JSON, or empty.
    pub body: String,
    /// Text for InfluxDB's `X-Influxdb-Error` header; empty on CnosDB's routes.
    pub influx_error: String,
    /// Trying again later makes sense: the reply says `Retry-After`.
    pub retry: bool,
}

/// CnosDB's form.
pub fn cnos(status: u16, code: &str, message: &str) -> Failure {
    Failure {
        status,
        body: json!({ "error_code": code, "error_message": message }).to_string(),
        influx_error: String::new(),
        retry: status == 429 || status == 503,
    }
}

/// InfluxDB's form: JSON as Go writes it, a newline behind.
pub fn influx(status: u16, message: &str) -> Failure {
    influx_line(status, message, None)
}

/// The same with the line of the request's body that it is about. It is a member of its own, since clients match the
/// text of InfluxDB's errors.
pub fn influx_line(status: u16, message: &str, line: Option<u64>) -> Failure {
    let mut body = Vec::new();
    write_error(&mut body, message, line, false);
    Failure {
        status,
        body: String::from_utf8_lossy(&body).into_owned(),
        influx_error: message.to_owned(),
        retry: status == 429 || status == 503,
    }
}

/// A failed write on CnosDB's routes.
pub fn cnos_write(error: &WriteError) -> Failure {
    let message = error.to_string();
    match error {
        WriteError::DatabaseNotFound(name) => cnos(422, "030017", &format!("Database not found: {name:?}")),
        WriteError::Expired => cnos(422, "030034", &message),
        WriteError::PolicyNotFound(_) => cnos(422, "050014", &message),
        WriteError::Body(body) => cnos_body(body),
        WriteError::Syntax { code, message } => cnos(422, code, message),
        WriteError::Schema(_) => cnos(422, "050014", &message),
        WriteError::TableChanged => cnos(503, "050014", &message),
        WriteError::Catalog(refusal) => cnos(catalog_status(refusal), refusal.code(), &message),
        WriteError::Overloaded { .. }
        | WriteError::TooMuchInFlight
        | WriteError::ShortOfMemory(_)
        | WriteError::SeriesRefused { .. } => cnos(429, "050033", &message),
        WriteError::TooLarge { .. } | WriteError::Storage(Error::RecordTooLarge { .. }) => {
            cnos(413, "050033", &message)
        }
        // Other owners may have taken their part: not the 429 that promises that nothing was written.
        WriteError::Storage(Error::Overloaded { .. } | Error::Closed) => cnos(503, "050033", &message),
        WriteError::Storage(Error::ShardOffline { .. }) => cnos(503, "050014", &message),
        // CnosDB has no status of its own for it; its error for what storage could not apply.
        WriteError::Storage(error) if error.is_no_space() => cnos(422, "050014", &message),
        WriteError::Storage(_) => cnos(500, "050014", &message),
    }
}

/// A failed write on InfluxDB's routes.
pub fn influx_write(error: &WriteError) -> Failure {
    let message = error.to_string();
    match error {
        WriteError::DatabaseNotFound(_) => influx(404, &message),
        WriteError::Body(body) => influx_body(body),
        WriteError::TooLarge { .. } | WriteError::Storage(Error::RecordTooLarge { .. }) => influx(413, &message),
        WriteError::PolicyNotFound(_) | WriteError::Catalog(SchemaError::PolicyNotFound(_)) => influx(500, &message),
        WriteError::Syntax { .. } | WriteError::Schema(_) | WriteError::Expired => influx(400, &message),
        WriteError::TableChanged => influx(503, &message),
        WriteError::Catalog(SchemaError::DatabaseNotFound(name)) => {
            influx(404, &format!("database not found: {name:?}"))
        }
        WriteError::Storage(Error::Overloaded { .. } | Error::Closed | Error::ShardOffline { .. }) => {
            influx(503, &message)
        }
        WriteError::Storage(error) if error.is_no_space() => influx(507, &message),
        WriteError::Catalog(SchemaError::NotSaved(_)) | WriteError::Storage(_) => influx(500, &message),
        WriteError::Catalog(_) => influx(400, &format!("partial write: {message} dropped=0")),
        WriteError::Overloaded { .. }
        | WriteError::TooMuchInFlight
        | WriteError::ShortOfMemory(_)
        | WriteError::SeriesRefused { .. } => influx(429, &message),
    }
}

/// A body that could not be received, on CnosDB's routes.
pub fn cnos_body(error: &BodyError) -> Failure {
    cnos(error.status(), "040013", &error.to_string())
}

/// A body that could not be received, on InfluxDB's routes.
pub fn influx_body(error: &BodyError) -> Failure {
    influx(error.status(), &error.to_string())
}

/// A refused schema change on CnosDB's routes.
pub fn cnos_schema(refusal: &SchemaError) -> Failure {
    cnos(catalog_status(refusal), refusal.code(), &refusal.to_string())
}

/// A deletion that failed, on CnosDB's routes: what storage refuses is told as for a write.
pub fn cnos_delete(error: ExecError) -> Failure {
    match error {
        ExecError::Storage(error) => cnos_write(&WriteError::Storage(error)),
        other => exec(&other),
    }
}

/// A query that failed while it ran.
pub fn exec(error: &ExecError) -> Failure {
    let status = match error {
        ExecError::Storage(Error::ShardOffline { .. }) => 503,
        // The query may fit when others have ended.
        ExecError::ServerMemory { .. } => 429,
        ExecError::Timeout { .. } | ExecError::Storage(_) | ExecError::Internal(_) => 500,
        _ => 422,
    };
    cnos(status, error.code(), &error.to_string())
}

/// The status of a refused schema change on CnosDB's routes.
fn catalog_status(refusal: &SchemaError) -> u16 {
    match refusal {
        SchemaError::NotSaved(_) => 500,
        _ => 422,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::account::Shortage;

    #[test]
    fn bodies_have_the_keys_and_escapes_of_their_system() {
        let failure = cnos(422, "030017", "Database not found: \"x\"");
        assert_eq!(failure.body, r#"{"error_code":"030017","error_message":"Database not found: \"x\""}"#);
        let failure = influx(400, "unable to parse 'a<b>&': missing fields");
        assert_eq!(failure.body, "{\"error\":\"unable to parse 'a\\u003cb\\u003e\\u0026': missing fields\"}\n");
        assert_eq!(failure.influx_error, "unable to parse 'a<b>&': missing fields");
    }

    #[test]
    fn a_full_disk_is_507_on_influx_and_422_on_cnos_and_a_failing_one_is_500() {
        let full = Error::NoSpace { shard: 3, reason: "the reserve is used up".to_owned() };
        let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let no_file = Error::Io { operation: "allocate".into(), path: "wal".into(), source };
        for error in [full, no_file] {
            let error = WriteError::Storage(error);
            let (cnos, influx) = (cnos_write(&error), influx_write(&error));
            assert_eq!((cnos.status, influx.status), (422, 507));
            assert!(cnos.body.starts_with(r#"{"error_code":"050014","error_message":"#), "{}", cnos.body);
            assert!(influx.body.starts_with(r#"{"error":"#) && !influx.retry, "{}", influx.body);
        }
        let error = WriteError::Storage(Error::LogFailed { shard: 3, reason: "a sync failed".to_owned() });
        assert_eq!((cnos_write(&error).status, influx_write(&error).status), (500, 500));
    }

    #[test]
    fn memory_that_is_short_is_429_and_a_querys_own_bound_is_422() {
        let shortage = Shortage::Series { used: 2, bytes_max: 1 };
        for error in [WriteError::ShortOfMemory(shortage), WriteError::SeriesRefused { count: 3, shortage }] {
            for failure in [cnos_write(&error), influx_write(&error)] {
                assert_eq!((failure.status, failure.retry), (429, true));
                assert!(failure.body.contains("memory.bytes_max"), "{}", failure.body);
            }
        }
        let all = exec(&ExecError::ServerMemory { used_bytes: 1, limit_bytes: 2 });
        assert_eq!((all.status, all.retry), (429, true));
        assert_eq!(exec(&ExecError::Memory { limit_bytes: 2 }).status, 422);
    }

    #[test]
    fn an_overloaded_shard_is_429_with_retry_after_on_both() {
        let error = WriteError::Overloaded { shard: 3 };
        for failure in [cnos_write(&error), influx_write(&error)] {
            assert_eq!((failure.status, failure.retry), (429, true));
            assert!(failure.body.contains("shard 3"), "{}", failure.body);
        }
    }
}
