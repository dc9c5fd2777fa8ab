//! OpenTelemetry's spans: the reader of protobuf, fed by another decoder's encoder, beside the reader of JSON.

use prost::Message;
use serde_json::{Value, json};
use tidewire_protocol::otlp::SpanReader;
use tidewire_protocol::protobuf::split;
use tidewire_protocol::row::RowError;

use crate::definition::messages;
use crate::random::{damaged, generator};
use crate::recorder::{Recorder, now};

messages! {
    message Text {
        text: String = 1 string one,
    }
    message Flag {
        flag: bool = 2 bool one,
    }
    message Integer {
        value: i64 = 3 int64 one,
    }
    message Float {
        value: f64 = 4 double one,
    }
    message Attribute {
        key: String = 1 string one,
        value: Vec<u8> = 2 bytes one,
    }
    message Resource {
        attributes: Vec<Attribute> = 1 message many,
        dropped: u32 = 2 uint32 one,
    }
    message Scope {
        name: String = 1 string one,
        version: String = 2 string one,
        attributes: Vec<Attribute> = 3 message many,
        dropped: u32 = 4 uint32 one,
    }
    message Event {
        time: u64 = 1 fixed64 one,
        name: String = 2 string one,
        attributes: Vec<Attribute> = 3 message many,
        dropped: u32 = 4 uint32 one,
    }
    message Link {
        trace_id: Vec<u8> = 1 bytes one,
        span_id: Vec<u8> = 2 bytes one,
        state: String = 3 string one,
        attributes: Vec<Attribute> = 4 message many,
        dropped: u32 = 5 uint32 one,
        flags: u32 = 6 fixed32 one,
    }
    message Status {
        message: String = 2 string one,
        code: i32 = 3 int32 one,
    }
    message Span {
        trace_id: Vec<u8> = 1 bytes one,
        span_id: Vec<u8> = 2 bytes one,
        state: String = 3 string one,
        parent: Vec<u8> = 4 bytes one,
        name: String = 5 string one,
        kind: i32 = 6 int32 one,
        start: u64 = 7 fixed64 one,
        end: u64 = 8 fixed64 one,
        attributes: Vec<Attribute> = 9 message many,
        dropped: u32 = 10 uint32 one,
        events: Vec<Event> = 11 message many,
        dropped_events: u32 = 12 uint32 one,
        links: Vec<Link> = 13 message many,
        dropped_links: u32 = 14 uint32 one,
        status: Status = 15 message one,
        flags: u32 = 16 fixed32 one,
    }
    message ScopeSpans {
        scope: Scope = 1 message one,
        spans: Vec<Span> = 2 message many,
        schema: String = 3 string one,
    }
    message ResourceSpans {
        resource: Resource = 1 message one,
        scopes: Vec<ScopeSpans> = 2 message many,
        schema: String = 3 string one,
    }
    message Export {
        resources: Vec<ResourceSpans> = 1 message many,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// An attribute, as both have it.
fn attribute(rng: &mut fastrand::Rng) -> (Attribute, Value) {
    let key = ["service.name", "a", "http.method", "é"][rng.usize(..4)].to_owned();
    let (value, json) = match rng.u8(..4) {
        0 => (Text { text: "x \"y\"".to_owned() }.encode_to_vec(), json!({ "stringValue": "x \"y\"" })),
        1 => (Flag { flag: true }.encode_to_vec(), json!({ "boolValue": true })),
        2 => (Integer { value: -7 }.encode_to_vec(), json!({ "intValue": "-7" })),
        _ => (Float { value: 0.25 }.encode_to_vec(), json!({ "doubleValue": 0.25 })),
    };
    (Attribute { key: key.clone(), value }, json!({ "key": key, "value": json }))
}

fn attributes(rng: &mut fastrand::Rng) -> (Vec<Attribute>, Vec<Value>) {
    (0..rng.usize(..3)).map(|_| attribute(rng)).unzip()
}

fn word(rng: &mut fastrand::Rng) -> String {
    ["", "op", "lib", "1.0"][rng.usize(..4)].to_owned()
}

fn id(rng: &mut fastrand::Rng, bytes: usize) -> Vec<u8> {
    // Seldom one of another length, which is refused.
    let bytes = if rng.u8(..) < 8 { bytes - 1 } else { bytes };
    (0..bytes).map(|_| rng.u8(..)).collect()
}

fn span(rng: &mut fastrand::Rng) -> (Span, Value) {
    let (attributes_, json_attributes) = attributes(rng);
    let (events, json_events): (Vec<_>, Vec<_>) = (0..rng.usize(..3))
        .map(|_| {
            let (attributes, json) = attributes(rng);
            let event = Event { time: rng.u64(..), name: word(rng), attributes, dropped: rng.u32(..9) };
            let json = json!({
                "timeUnixNano": event.time.to_string(), "name": event.name, "attributes": json,
                "droppedAttributesCount": event.dropped,
            });
            (event, json)
        })
        .unzip();
    let (links, json_links): (Vec<_>, Vec<_>) = (0..rng.usize(..3))
        .map(|_| {
            let (attributes, json) = attributes(rng);
            let (trace_id, span_id) = (id(rng, 16), id(rng, 8));
            let link =
                Link { trace_id, span_id, state: word(rng), attributes, dropped: rng.u32(..9), flags: rng.u32(..) };
            let json = json!({
                "traceId": hex(&link.trace_id), "spanId": hex(&link.span_id), "traceState": link.state,
                "attributes": json, "droppedAttributesCount": link.dropped, "flags": link.flags,
            });
            (link, json)
        })
        .unzip();
    let span = Span {
        trace_id: id(rng, 16),
        span_id: id(rng, 8),
        state: word(rng),
        parent: if rng.bool() { Vec::new() } else { id(rng, 8) },
        name: word(rng),
        kind: rng.i32(0..8),
        start: if rng.u8(..) < 8 { rng.u64(..) } else { rng.u64(..1 << 62) },
        end: rng.u64(..),
        attributes: attributes_,
        dropped: rng.u32(..9),
        events,
        dropped_events: rng.u32(..9),
        links,
        dropped_links: rng.u32(..9),
        status: Status { message: word(rng), code: rng.i32(0..4) },
        flags: rng.u32(..),
    };
    let kind = match span.kind {
        2 if rng.bool() => json!("SPAN_KIND_SERVER"),
        kind => json!(kind),
    };
    let json = json!({
        "traceId": hex(&span.trace_id), "spanId": hex(&span.span_id), "parentSpanId": hex(&span.parent),
        "traceState": span.state, "name": span.name, "kind": kind, "flags": span.flags,
        "startTimeUnixNano": span.start, "endTimeUnixNano": span.end.to_string(), "attributes": json_attributes,
        "droppedAttributesCount": span.dropped, "events": json_events, "droppedEventsCount": span.dropped_events,
        "links": json_links, "droppedLinksCount": span.dropped_links,
        "status": { "message": span.status.message, "code": span.status.code },
    });
    (span, json)
}

fn export(rng: &mut fastrand::Rng) -> (Export, Value) {
    let scope = |rng: &mut fastrand::Rng| {
        let (attributes, json) = attributes(rng);
        let scope = Scope { name: word(rng), version: word(rng), attributes, dropped: rng.u32(..9) };
        let (spans, json_spans): (Vec<_>, Vec<_>) = (0..rng.usize(..3)).map(|_| span(rng)).unzip();
        let json = json!({
            "scope": {
                "name": scope.name, "version": scope.version, "attributes": json,
                "droppedAttributesCount": scope.dropped,
            },
            "spans": json_spans, "schemaUrl": "s",
        });
        (ScopeSpans { scope, spans, schema: "s".to_owned() }, json)
    };
    let resource = |rng: &mut fastrand::Rng| {
        let (attributes, json) = attributes(rng);
        let resource = Resource { attributes, dropped: rng.u32(..9) };
        let (scopes, json_scopes): (Vec<_>, Vec<_>) = (0..rng.usize(..3)).map(|_| scope(rng)).unzip();
        let json = json!({
            "resource": { "attributes": json, "droppedAttributesCount": resource.dropped },
            "scopeSpans": json_scopes, "schemaUrl": "r", "unknown": [1, {}],
        });
        (ResourceSpans { resource, scopes, schema: "r".to_owned() }, json)
    };
    let (resources, json): (Vec<_>, Vec<_>) = (0..rng.usize(..3)).map(|_| resource(rng)).unzip();
    (Export { resources }, json!({ "resourceSpans": json }))
}

fn message(body: &[u8], part_bytes: usize) -> Result<Vec<String>, RowError> {
    let mut spans = SpanReader::new("t".to_owned());
    let mut recorder = Recorder::default();
    let mut rest = body;
    while !rest.is_empty() {
        let (part, behind) = rest.split_at(split(rest, part_bytes)?);
        rest = behind;
        now(spans.read_message(part, &mut recorder))?;
    }
    Ok(recorder.told)
}

#[test]
fn spans_like_one_before_are_read_as_by_the_book() {
    let mut rng = generator();
    for round in 0..300 {
        let spans = |rng: &mut fastrand::Rng| -> Vec<Span> {
            let like = |rng: &mut fastrand::Rng| {
                let keys = [&["a", "http.method", "a"][..], &["a", "b"], &[]][rng.usize(..3)];
                let attributes =
                    keys.iter().map(|key| Attribute { key: (*key).to_owned(), ..attribute(rng).0 }).collect();
                let (events, links) = Default::default();
                let span = span(rng).0;
                match rng.u8(..8) {
                    0 => Span { attributes, ..span },
                    _ => Span { attributes, events, links, ..span },
                }
            };
            (0..12).map(|_| like(rng)).collect()
        };
        let scope = |rng: &mut fastrand::Rng| {
            let scope = Scope { name: word(rng), attributes: attributes(rng).0, ..Scope::default() };
            ScopeSpans { scope, spans: spans(rng), schema: String::new() }
        };
        let resource = |rng: &mut fastrand::Rng| {
            let resource = Resource { attributes: attributes(rng).0, dropped: 0 };
            ResourceSpans { resource, scopes: vec![scope(rng), scope(rng)], schema: String::new() }
        };
        let body = Export { resources: vec![resource(&mut rng), resource(&mut rng)] }.encode_to_vec();
        let body = if rng.bool() { damaged(&mut rng, &[&body]) } else { body };
        let told = |mut spans: SpanReader| {
            let mut recorder = Recorder::default();
            let read = now(spans.read_message(&body, &mut recorder));
            (recorder.told, read)
        };
        let reader = || SpanReader::new("t".to_owned());
        assert_eq!(told(reader()), told(reader().by_the_book()), "round {round}: {}", body.escape_ascii());
    }
}

fn json(body: &[u8]) -> Result<Vec<String>, RowError> {
    let mut recorder = Recorder::default();
    now(SpanReader::new("t".to_owned()).read_json(body, &mut recorder))?;
    Ok(recorder.told)
}

/// Fields sorted, and what an id that is wrong looks like left out: the two have its bytes in different forms.
fn plain(told: Vec<String>) -> Vec<String> {
    let plain = |told: String| match told.split_once("cannot be read") {
        Some((place, _)) => place.to_owned(),
        None => {
            let mut words: Vec<&str> = told.split([' ', ',']).collect();
            words.sort_unstable();
            words.join(",")
        }
    };
    told.into_iter().map(plain).collect()
}

#[test]
fn a_span_has_the_columns_of_the_reference() {
    let body = json!({ "resourceSpans": [{
        "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "svc" } }] },
        "scopeSpans": [{
            "scope": { "name": "lib", "version": "1.0" },
            "spans": [{
                "traceId": "01010101010101010101010101010101", "spanId": "0202020202020202", "name": "op1",
                "kind": 2, "startTimeUnixNano": "1667456411000000000", "endTimeUnixNano": 1667456411005000000_u64,
                "attributes": [
                    { "key": "list", "value": { "arrayValue": { "values": [
                        { "intValue": 1 }, { "stringValue": "x\"" }, { "kvlistValue": { "values": [
                            { "key": "k", "value": { "boolValue": false } }, { "key": "n", "value": {} }] } }] } } }],
                "events": [{ "name": "ev", "timeUnixNano": 7 }],
                "status": { "code": "STATUS_CODE_OK" },
            }],
        }],
    }] });
    let mut told = json(body.to_string().as_bytes()).expect("an export");
    let row = told.pop().expect("a row");
    let row = row
        .replace("ResourceSpans/", "R/")
        .replace("R/ScopeSpans/", "S/")
        .replace("S/InstrumentationScope/", "I/")
        .replace("S/Span/", "P/");
    assert_eq!(
        row,
        "t,R/Resource/attributes/service.name=svc,I/name=lib,I/version=1.0,P/Status/code=STATUS_CODE_OK,P/name=op1,\
         P/span_id=0202020202020202,P/trace_id=01010101010101010101010101010101 \
         R/schema_url=\"\",R/Resource/dropped_attributes_count=0.0,S/schema_url=\"\",I/dropped_attributes_count=0.0,\
         P/attributes/list=\"[1,\\\"x\\\\\\\"\\\",{\\\"k\\\":false,\\\"n\\\":null}]\",P/Event_0/name=\"ev\",\
         P/Event_0/time_unix_nano=7.0,P/Event_0/dropped_attributes_count=0.0,P/Status/message=\"\",\
         P/kind=\"SPAN_KIND_SERVER\",P/flags=0.0,P/end_time_unix_nano=1.667456411005e18,P/duration_nano=5000000.0,\
         P/dropped_attributes_count=0.0,P/dropped_events_count=0.0,P/dropped_links_count=0.0 1667456411000000000"
    );
}

#[test]
fn both_forms_of_an_export_are_the_same_rows() {
    let mut rng = generator();
    let mut rows = 0;
    for round in 0..1_500 {
        let (export, value) = export(&mut rng);
        let found = message(&export.encode_to_vec(), rng.usize(..200) + 1).map(plain);
        assert_eq!(json(value.to_string().as_bytes()).map(plain), found, "round {round}: {value}");
        rows += found.map_or(0, |found| found.len());
    }
    assert!(rows > 500, "{rows}");
}

#[test]
fn any_bytes_give_rows_or_an_error() {
    let mut rng = generator();
    for round in 0..3_000 {
        let (export, value) = export(&mut rng);
        let body = damaged(&mut rng, &[&export.encode_to_vec()]);
        let (whole, parts) = (message(&body, usize::MAX), message(&body, 1));
        assert_eq!(parts.is_ok(), whole.is_ok(), "round {round}: {}", body.escape_ascii());
        if let (Ok(whole), Ok(parts)) = (whole, parts) {
            assert_eq!(parts, whole, "round {round}: {}", body.escape_ascii());
        }
        // It says something of anything.
        let _ = json(&damaged(&mut rng, &[value.to_string().as_bytes()]));
    }
}
