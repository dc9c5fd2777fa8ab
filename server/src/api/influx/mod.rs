//! InfluxDB's routes: `/write`, `/query`, `/ping`.

mod cardinality;
mod statements;

use tidewire_protocol::encode::influx::{Options, QueryWriter, Tail};
use tidewire_protocol::http::{Head, Method, Query, ResponseHead};
use tidewire_protocol::line::Dialect;
use tidewire_sql::influxql;

use super::Router;
use super::fault::{self, Failure};
use crate::ingest::write::{Precision, WriteRequest, Written, write_lines};
use crate::net::{Reply, Request};

/// The version whose API this is; clients switch features by it.
const VERSION: &str = "1.7.10";

/// Bytes of an error that go into a header.
const ERROR_HEADER_BYTES_MAX: usize = 1024;

/// The headers of every reply.
pub(super) fn version_headers(head: ResponseHead<'_>) -> ResponseHead<'_> {
    head.header("X-Influxdb-Build", "OSS").header("X-Influxdb-Version", VERSION)
}

/// An error's text as a header: one line, bounded.
pub(super) fn error_header(text: &str) -> String {
    let mut end = text.len().min(ERROR_HEADER_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].replace('\n', " ")
}

fn parameter(query: &Query<'_>, name: &str) -> Result<Option<String>, Failure> {
    match query.get(name) {
        Ok(value) => Ok(value.map(std::borrow::Cow::into_owned)),
        Err(error) => Err(fault::influx(400, &format!("bad query parameter {name}: {error}"))),
    }
}

pub(super) async fn write(router: &Router, request: Request<'_>, reply: &mut Reply) -> Result<(), Failure> {
    let core = &router.core;
    let query = Query::new(request.head.query);
    let Some(database) = parameter(&query, "db")?.filter(|name| !name.is_empty()) else {
        return Err(fault::influx(400, "database is required"));
    };
    let precision = match parameter(&query, "precision")?.as_deref() {
        Some("u" | "us" | "µ") => Precision::Microsecond,
        Some("ms") => Precision::Millisecond,
        Some("s") => Precision::Second,
        Some("m") => Precision::Minute,
        Some("h") => Precision::Hour,
        _ => Precision::Nanosecond,
    };
    if let Some(level) = parameter(&query, "consistency")?
        && !matches!(level.as_str(), "" | "any" | "one" | "quorum" | "all")
    {
        return Err(fault::influx(400, "invalid consistency level"));
    }
    let policy = parameter(&query, "rp")?.filter(|name| !name.is_empty());
    request.body.limit(core.config.http.body_bytes_max_write).map_err(|e| fault::influx_body(&e))?;
    let lines = WriteRequest { database: &database, policy: policy.as_deref(), dialect: Dialect::Influx, precision };
    let written = write_lines(core, lines, request.body).await.map_err(|e| fault::influx_write(&e))?;
    router.rows_written.add(written.rows);
    match refused_lines(&written) {
        Some(text) => Err(fault::influx_line(400, &text, written.dropped_line)),
        None => {
            reply.send(204, |head| version_headers(head).content_type("application/json"), b"");
            Ok(())
        }
    }
}

/// What to tell a client some of whose lines were not written.
fn refused_lines(written: &Written) -> Option<String> {
    if let Some(reason) = &written.dropped_reason {
        return Some(format!("partial write: {reason} dropped={}", written.dropped));
    }
    if written.unparsed_lines == 0 {
        return None;
    }
    let mut text = written.unparsed.join("\n");
    let untold = written.unparsed_lines - written.unparsed.len() as u64;
    if untold > 0 {
        text.push_str(&format!("\n{untold} more lines"));
    }
    Some(if written.rows == 0 { text } else { format!("partial write: {text} dropped=0") })
}

pub(super) fn ping(request: &Request<'_>, reply: &mut Reply) -> Result<(), Failure> {
    let verbose = parameter(&Query::new(request.head.query), "verbose")?;
    if verbose.is_some_and(|value| !matches!(value.as_str(), "" | "0" | "false")) {
        let body = format!("{{\"version\":\"{VERSION}\"}}");
        reply.send(200, |head| version_headers(head).content_type("application/json"), body.as_bytes());
    } else {
        reply.send(204, |head| version_headers(head).content_type("application/json"), b"");
    }
    Ok(())
}

pub(super) fn options(request: &Request<'_>, reply: &mut Reply) -> Result<(), Failure> {
    let _ = request;
    reply.send(200, |head| version_headers(head).content_type("application/json"), b"");
    Ok(())
}

pub(super) async fn query(router: &Router, request: Request<'_>, reply: &mut Reply) -> Result<(), Failure> {
    let head: &Head<'_> = request.head;
    let url = Query::new(head.query);
    let is_form = head.header("content-type").is_some_and(|t| t.starts_with("application/x-www-form-urlencoded"));
    let form = if head.method == Method::Post && is_form {
        let bytes_max = router.core.config.http.body_bytes_max_sql;
        request.body.read_all(bytes_max).await.map_err(|e| fault::influx_body(&e))?
    } else {
        Vec::new()
    };
    // What the form says wins over the URL.
    let text = match parameter(&Query::new(&form), "q")? {
        Some(text) => Some(text),
        None => parameter(&url, "q")?,
    };
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
        return Err(fault::influx(400, "missing required parameter \"q\""));
    };
    let database = match parameter(&Query::new(&form), "db")? {
        Some(name) => name,
        None => parameter(&url, "db")?.unwrap_or_default(),
    };
    let pretty = parameter(&url, "pretty")?.as_deref() == Some("true");
    let statements =
        influxql::parse(text.trim()).map_err(|error| fault::influx(400, &format!("error parsing query: {error}")))?;
    let mut body = Vec::new();
    let mut writer = QueryWriter::new(Options { pretty, epoch: None });
    for (id, statement) in statements.iter().enumerate() {
        writer.result(&mut body, id);
        let outcome = statements::run(router, statement, &database, &mut writer, &mut body).await;
        // With statements to come after a failed one, InfluxDB's reply shows them as not executed and hides the error.
        let error = match &outcome {
            Ok(()) => None,
            Err(_) if id + 1 < statements.len() => Some("not executed"),
            Err(error) => Some(error.as_str()),
        };
        writer.end_result(&mut body, Tail { error, ..Tail::default() });
        if outcome.is_err() {
            break;
        }
    }
    writer.end(&mut body);
    reply.send(200, |head| version_headers(head).content_type("application/json"), &body);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_lines_are_told_in_influxdbs_words() {
        let written = Written { rows: 2, ..Written::default() };
        assert_eq!(refused_lines(&written), None);
        let some = Written {
            rows: 1,
            unparsed: vec!["unable to parse 'x': missing fields".to_owned()],
            unparsed_lines: 1,
            ..Written::default()
        };
        assert_eq!(
            refused_lines(&some).as_deref(),
            Some("partial write: unable to parse 'x': missing fields dropped=0")
        );
        let none = Written { rows: 0, unparsed_lines: 3, ..some.clone() };
        assert_eq!(refused_lines(&none).as_deref(), Some("unable to parse 'x': missing fields\n2 more lines"));
        let both = Written { dropped: 4, dropped_reason: Some("conflict".to_owned()), ..some };
        assert_eq!(refused_lines(&both).as_deref(), Some("partial write: conflict dropped=4"));
    }

    #[test]
    fn an_error_header_is_one_bounded_line() {
        assert_eq!(error_header("a\nb"), "a b");
        assert_eq!(error_header(&"é".repeat(1000)).len(), 1024);
        assert_eq!(error_header(&format!("x{}", "é".repeat(1000))).len(), 1023);
    }
}
