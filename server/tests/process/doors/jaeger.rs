//! Jaeger's query API over spans that OpenTelemetry's door has stored.

use serde_json::{Value, json};

use super::{json as parsed, post};
use crate::common::Server;

const JSON: (&str, &str) = ("Content-Type", "application/json");
/// 2022-11-03T06:20:11Z in microseconds.
const START_US: i64 = 1_667_456_411_000_000;

fn attribute(name: &str, value: &Value) -> Value {
    let kind = match value {
        Value::Bool(_) => "boolValue",
        Value::Number(_) => "intValue",
        _ => "stringValue",
    };
    json!({ "key": name, "value": { kind: value } })
}

fn resource(service: &str, spans: &[Value]) -> Value {
    let attributes = [attribute("service.name", &service.into()), attribute("host", &format!("{service}-1").into())];
    json!({
        "resource": { "attributes": attributes },
        "scopeSpans": [{ "scope": { "name": "lib", "version": "1.0" }, "spans": spans }],
    })
}

/// A span of the trace `trace`, `at` milliseconds after the start and `ms` long.
fn span(trace: u8, id: u8, parent: u8, name: &str, at: i64, ms: i64) -> Value {
    let start = (START_US + at * 1000) * 1000;
    let mut span = json!({
        "traceId": format!("{trace:032x}"), "spanId": format!("{id:016x}"), "name": name, "kind": 1 + parent % 3,
        "startTimeUnixNano": start.to_string(), "endTimeUnixNano": (start + ms * 1_000_000 + 999).to_string(),
    });
    if parent > 0 {
        span["parentSpanId"] = format!("{parent:016x}").into();
    }
    span
}

/// A server with three traces: two of a shop that asks a store, and one of the store alone, which failed.
fn filled() -> Server {
    let server = Server::start();
    let mut buy = span(1, 1, 0, "buy", 0, 100);
    buy["attributes"] = json!([attribute("user", &"ann".into()), attribute("items", &2.into())]);
    buy["events"] = json!([
        { "timeUnixNano": (START_US * 1000 + 5_000_000).to_string(), "name": "paid",
          "attributes": [attribute("by", &"card".into())] },
    ]);
    let mut look = span(1, 2, 1, "look", 10, 20);
    look["links"] = json!([{ "traceId": format!("{:032x}", 3), "spanId": format!("{:016x}", 6) }]);
    look["traceState"] = "a=b".into();
    let mut failed = span(3, 6, 0, "look", 2000, 1);
    failed["status"] = json!({ "code": 2, "message": "gone" });
    let spans = json!({ "resourceSpans": [
        resource("shop", &[buy, span(2, 3, 0, "buy", 1000, 300)]),
        resource("store", &[look, span(2, 4, 3, "look", 1010, 20), failed]),
    ] });
    post(&server, "/v1/traces", &[JSON], spans.to_string().as_bytes(), 200);
    server
}

fn get(server: &Server, target: &str, status: u16) -> Value {
    let reply = server.request("GET", target, &[], b"");
    assert_eq!(reply.status(), status, "{target}: {}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/json"));
    parsed(&reply)
}

fn envelope(data: &Value, total: usize) -> Value {
    json!({ "data": data, "total": total, "limit": 0, "offset": 0, "errors": null })
}

#[test]
fn services_and_their_operations_are_listed() {
    let server = filled();
    assert_eq!(get(&server, "/api/services", 200), envelope(&json!(["shop", "store"]), 2));
    assert_eq!(get(&server, "/api/services/store/operations", 200), envelope(&json!(["look"]), 1));
    assert_eq!(get(&server, "/api/services/s%74ore/operations?table=traces", 200), envelope(&json!(["look"]), 1));
    assert_eq!(get(&server, "/api/services/other/operations", 200), envelope(&json!([]), 0));
    let look = |kind: &str| json!({ "name": "look", "spanKind": kind });
    let found = get(&server, "/api/operations?service=store", 200);
    assert_eq!(found, envelope(&json!([look("internal"), look("server")]), 2));
    let of_kind = get(&server, "/api/operations?service=store&spanKind=server", 200);
    assert_eq!(of_kind, envelope(&json!([look("server")]), 1));
    assert_eq!(get(&server, "/api/operations", 400)["errors"][0]["code"], 400);
    // What is not there yet is empty, and a database that is missing is an error.
    assert_eq!(get(&server, "/api/services?table=nothing", 200), envelope(&json!([]), 0));
    let told = get(&server, "/api/services?db=nowhere", 422);
    assert_eq!((&told["data"], &told["error_code"]), (&Value::Null, &json!("030017")));
}

#[test]
fn a_trace_has_what_its_spans_had() {
    let server = filled();
    let found = get(&server, "/api/traces/1", 200);
    let tag = |key: &str, value: &str| json!({ "key": key, "type": "string", "value": value });
    let process = |service: &str| json!({ "serviceName": service, "tags": [tag("host", &format!("{service}-1"))] });
    let trace = &found["data"][0];
    assert_eq!(trace["processes"], json!({ "p1": process("shop"), "p2": process("store") }));
    let id = format!("{:032x}", 1);
    let lib = [tag("otel.library.name", "lib"), tag("otel.library.version", "1.0")];
    let mut spans = trace["spans"].as_array().expect("spans").clone();
    for span in &mut spans {
        let tags = span["tags"].as_array_mut().expect("tags");
        tags.sort_by_key(|tag| tag["key"].to_string());
    }
    assert_eq!(
        spans[0],
        json!({
            "traceID": id, "spanID": format!("{:016x}", 1), "flags": 0, "operationName": "buy", "references": [],
            "startTime": START_US, "duration": 100_000, "processID": "p1", "warnings": null,
            "tags": [tag("items", "2"), lib[0], lib[1], tag("span.kind", "internal"), tag("user", "ann")],
            "logs": [{ "timestamp": START_US + 5_000, "fields": [tag("event", "paid"), tag("by", "card")] }],
        })
    );
    assert_eq!(
        spans[1],
        json!({
            "traceID": id, "spanID": format!("{:016x}", 2), "flags": 0, "operationName": "look",
            "references": [
                { "refType": "CHILD_OF", "traceID": id, "spanID": format!("{:016x}", 1) },
                { "refType": "FOLLOWS_FROM", "traceID": format!("{:032x}", 3), "spanID": format!("{:016x}", 6) },
            ],
            "startTime": START_US + 10_000, "duration": 20_000, "processID": "p2", "warnings": null,
            "tags": [lib[0], lib[1], tag("span.kind", "server"), tag("w3c.tracestate", "a=b")],
            "logs": [],
        })
    );
    assert_eq!((trace["traceID"].as_str(), &found["total"], spans.len()), (Some(id.as_str()), &json!(0), 2));
    let failed = get(&server, "/api/traces/00000000000000000000000000000003", 200)["data"][0]["spans"][0].clone();
    for wanted in [
        json!({ "key": "error", "type": "bool", "value": true }),
        tag("otel.status_code", "ERROR"),
        tag("otel.status_description", "gone"),
    ] {
        assert!(failed["tags"].as_array().expect("tags").contains(&wanted), "{failed}");
    }
    for missing in ["/api/traces/9", "/api/traces/1?table=nothing"] {
        assert_eq!(get(&server, missing, 404)["errors"], json!([{ "code": 404, "msg": "trace not found" }]));
    }
    get(&server, "/api/traces/xyz", 400);
}

#[test]
fn a_search_gives_the_latest_traces_that_fit() {
    let server = filled();
    let found = |parameters: &str| -> Vec<u64> {
        let found = get(&server, &format!("/api/traces?{parameters}"), 200);
        let traces = found["data"].as_array().expect("traces");
        assert_eq!(found["total"], traces.len());
        let id = |trace: &Value| u64::from_str_radix(trace["traceID"].as_str().expect("an id"), 16).expect("hex");
        traces.iter().map(id).collect()
    };
    let at = |ms: i64| START_US + ms * 1000;
    for (parameters, expected) in [
        ("service=store", &[3, 2, 1][..]),
        ("service=shop", &[2, 1]),
        ("service=shop&operation=look", &[]),
        ("service=nobody", &[]),
        ("service=store&limit=1", &[3]),
        (&format!("service=store&start={}&end={}", at(1), at(1010)), &[2, 1]),
        (&format!("service=store&end={}&lookback=custom", at(9)), &[]),
        ("service=shop&minDuration=200ms", &[2]),
        ("service=shop&maxDuration=0.2s&minDuration=", &[1]),
        ("service=shop&tag=user:ann", &[1]),
        ("service=shop&tag=user:ann,items:2", &[1]),
        ("service=shop&tag=user:ann&tag=items:3", &[]),
        ("service=shop&tags=%7B%22user%22%3A%22ann%22%2C%22items%22%3A2%7D", &[1]),
        ("service=store&tag=error:true", &[3]),
        ("service=store&tag=span.kind:server", &[1]),
        ("service=store&tag=otel.status_code:error", &[3]),
        ("service=store&tag=host:store-1&tag=otel.library.name:lib", &[3, 2, 1]),
        ("service=store&tag=nothing:x", &[]),
        ("traceID=1,3&traceID=2", &[1, 3, 2]),
        ("traceID=9&service=shop", &[]),
    ] {
        assert_eq!(found(parameters), expected, "{parameters}");
    }
    // A trace comes whole, whichever span was found.
    let whole = get(&server, "/api/traces?service=shop&tag=user:ann", 200);
    assert_eq!(whole["data"][0]["spans"].as_array().map(Vec::len), Some(2));
    for bad in [
        "",
        "service=",
        "service=a&limit=0",
        "service=a&limit=1501",
        "service=a&start=x",
        "service=a&minDuration=1",
        "service=a&tag=x",
        "service=a&tags=[]",
        "traceID=xyz",
        "service=a&serivce=b",
    ] {
        let told = get(&server, &format!("/api/traces?{bad}"), 400);
        assert!(told["errors"][0]["msg"].is_string() && told["error_code"].is_string(), "{told}");
    }
    // Headers say where spans are, as they do where these are written.
    let headers = [("db", "public"), ("table", "traces"), ("tenant", "cnosdb")];
    let reply = server.request("GET", "/api/services", &headers, b"");
    assert_eq!(parsed(&reply)["total"], 2);
}

#[test]
fn many_traces_stream() {
    let server = Server::start();
    let spans: Vec<Value> = (1..=100)
        .map(|at| {
            let mut span = span(at, at, 0, "wide", at.into(), 1);
            span["attributes"] = json!([attribute("text", &"x".repeat(20_000).into())]);
            span
        })
        .collect();
    let export = json!({ "resourceSpans": [resource("wide", &spans)] });
    post(&server, "/v1/traces", &[JSON], export.to_string().as_bytes(), 200);
    let reply = server.request("GET", "/api/traces?service=wide", &[], b"");
    assert_eq!((reply.status(), reply.header("transfer-encoding")), (200, Some("chunked")));
    let found = parsed(&reply);
    assert_eq!((&found["total"], found["data"].as_array().map(Vec::len)), (&json!(100), Some(100)));
    assert_eq!(found["data"][0]["traceID"], format!("{:032x}", 100));
}
