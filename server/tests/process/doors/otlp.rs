//! OpenTelemetry's spans.

use std::io::Write;

use serde_json::{Value, json};

use super::{json as parsed, post, rows};
use crate::common::Server;

const JSON: (&str, &str) = ("Content-Type", "application/json");
const PROTOBUF: (&str, &str) = ("Content-Type", "application/x-protobuf");

fn export(spans: &[Value]) -> String {
    let service = json!({ "key": "service.name", "value": { "stringValue": "svc" } });
    json!({ "resourceSpans": [{
        "resource": { "attributes": [service] },
        "scopeSpans": [{ "scope": { "name": "lib", "version": "1.0" }, "spans": spans }],
    }] })
    .to_string()
}

fn span(id: u8, name: &str) -> Value {
    json!({
        "traceId": "01010101010101010101010101010101", "spanId": format!("{id:016x}"), "name": name, "kind": 2,
        "startTimeUnixNano": "1667456411000000000", "endTimeUnixNano": "1667456411005000000",
        "status": { "code": 1 },
    })
}

#[test]
fn spans_are_rows_of_the_table_that_a_header_names() {
    let server = Server::start();
    assert_eq!(server.sql("public", "CREATE DATABASE facts").status(), 200);
    let body = export(&[span(1, "op1"), span(2, "op2")]);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body.as_bytes()).expect("memory");
    let packed = encoder.finish().expect("memory");
    let named = [JSON, ("tenant", "cnosdb"), ("db", "facts"), ("table", "tr"), ("Content-Encoding", "gzip")];
    assert_eq!(parsed(&post(&server, "/api/v1/traces", &named, &packed, 200)), json!({}));
    let found = server.sql(
        "facts",
        "SELECT time, \"ResourceSpans/Resource/attributes/service.name\" AS s, \
         \"ResourceSpans/ScopeSpans/Span/name\" AS n, \"ResourceSpans/ScopeSpans/Span/kind\" AS k, \
         \"ResourceSpans/ScopeSpans/Span/duration_nano\" AS d, \"ResourceSpans/ScopeSpans/Span/Status/code\" AS c \
         FROM tr ORDER BY n",
    );
    assert_eq!(
        found.text(),
        "time,s,n,k,d,c\n2022-11-03T06:20:11.000000000,svc,op1,SPAN_KIND_SERVER,5000000.0,STATUS_CODE_OK\n\
         2022-11-03T06:20:11.000000000,svc,op2,SPAN_KIND_SERVER,5000000.0,STATUS_CODE_OK\n"
    );
    // By its own path a request need not name a table.
    post(&server, "/v1/traces", &[JSON], body.as_bytes(), 200);
    assert_eq!(rows(&server, "SELECT count(*) AS n FROM traces"), "n\n2\n");
    assert_eq!(server.metric("tidewire_door_rows_total", "otlp"), 4.0);
}

#[test]
fn a_span_is_refused_alone_and_reported() {
    let server = Server::start();
    let mut bad = span(3, "bad");
    bad["traceId"] = "xyz".into();
    let told = parsed(&post(&server, "/v1/traces", &[JSON], export(&[span(1, "op"), bad]).as_bytes(), 200));
    assert_eq!(told["partialSuccess"]["rejectedSpans"], "1");
    assert_eq!(told["partialSuccess"]["errorMessage"], "span 2: the trace id cannot be read: \"xyz\"");
    assert_eq!(rows(&server, "SELECT count(*) AS n FROM traces"), "n\n1\n");
}

#[test]
fn what_is_no_export_is_refused_in_the_type_it_came_in() {
    let server = Server::start();
    let table = ("table", "t");
    for (target, headers, body, status) in [
        ("/api/v1/traces", vec![JSON], "{}", 400),
        ("/api/v1/traces", vec![JSON, table], "nonsense", 400),
        ("/api/v1/traces", vec![JSON, table], "[]", 400),
        ("/api/v1/traces", vec![JSON, table, ("db", "missing")], "{}", 422),
        ("/api/v1/traces", vec![("Content-Type", "text/csv"), table], "{}", 415),
        ("/api/v1/traces?tabel=t", vec![JSON], "{}", 400),
        ("/v1/traces", vec![JSON], "{\"resourceSpans\":{}}", 400),
    ] {
        let told = parsed(&post(&server, target, &headers, body.as_bytes(), status));
        assert!(told["code"].is_u64() && told["message"].is_string() && told["error_code"].is_string(), "{told}");
    }
    let told = post(&server, "/api/v1/traces", &[PROTOBUF, table], b"garbage", 400);
    assert_eq!(told.header("content-type"), Some("application/x-protobuf"));
    // Code 3, and a text.
    assert_eq!(told.body[..3], [1 << 3, 3, 2 << 3 | 2]);
    assert!(post(&server, "/api/v1/traces", &[PROTOBUF, table], b"", 200).body.is_empty());
}

#[test]
fn records_and_points_have_tables_of_their_own() {
    let server = Server::start();
    let resource = json!({ "attributes": [{ "key": "service.name", "value": { "stringValue": "svc" } }] });
    let logs = json!({ "resourceLogs": [{ "resource": resource, "scopeLogs": [{ "logRecords": [
        { "timeUnixNano": "9", "severityNumber": 9, "body": { "stringValue": "one" } },
        { "timeUnixNano": "9", "body": { "stringValue": "two" } },
        { "timeUnixNano": "9", "body": { "stringValue": "bad" }, "traceId": "x" },
    ] }] }] });
    let told = parsed(&post(&server, "/v1/logs", &[JSON], logs.to_string().as_bytes(), 200));
    assert_eq!(told["partialSuccess"]["rejectedLogRecords"], "1");
    assert_eq!(
        rows(&server, "SELECT time, \"service.name\", body, severity_number FROM logs ORDER BY time"),
        "time,service.name,body,severity_number\n1970-01-01T00:00:00.000000009,svc,one,9\n\
         1970-01-01T00:00:00.000000010,svc,two,\n"
    );
    let metrics = json!({ "resourceMetrics": [{ "resource": resource, "scopeMetrics": [{ "metrics": [
        { "name": "http.requests", "sum": { "dataPoints": [
            { "timeUnixNano": "9", "asInt": "3" },
            { "timeUnixNano": "9" },
        ] } },
    ] }] }] });
    let told = parsed(&post(&server, "/v1/metrics", &[JSON], metrics.to_string().as_bytes(), 200));
    assert_eq!(told["partialSuccess"]["rejectedDataPoints"], "1");
    assert_eq!(
        rows(&server, "SELECT * FROM \"http.requests\""),
        "time,service.name,value\n1970-01-01T00:00:00.000000009,svc,3.0\n"
    );
    post(&server, "/v1/metrics?table=x", &[JSON], b"{}", 400);
    assert!(post(&server, "/v1/logs", &[PROTOBUF], b"", 200).body.is_empty());
}
