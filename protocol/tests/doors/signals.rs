//! OpenTelemetry's logs and metrics: both forms of an export are the same rows, and anything gives rows or an error.

use prost::Message;
use serde_json::{Value, json};
use tidewire_protocol::otlp::{LogReader, MetricReader};
use tidewire_protocol::row::{Next, RowError};

use crate::definition::messages;
use crate::random::{damaged, generator};
use crate::recorder::{Recorder, now};

messages! {
    message Text {
        text: String = 1 string one,
    }
    message Attribute {
        key: String = 1 string one,
        value: Text = 2 message one,
    }
    message Resource {
        attributes: Vec<Attribute> = 1 message many,
    }
    message Scope {
        name: String = 1 string one,
    }
    message Record {
        time: u64 = 1 fixed64 one,
        severity: i32 = 2 int32 one,
        severity_text: String = 3 string one,
        body: Text = 5 message one,
        attributes: Vec<Attribute> = 6 message many,
        trace_id: Vec<u8> = 9 bytes one,
        span_id: Vec<u8> = 10 bytes one,
        observed: u64 = 11 fixed64 one,
    }
    message ScopeLogs {
        scope: Scope = 1 message one,
        records: Vec<Record> = 2 message many,
    }
    message ResourceLogs {
        resource: Resource = 1 message one,
        scopes: Vec<ScopeLogs> = 2 message many,
    }
    message Logs {
        resources: Vec<ResourceLogs> = 1 message many,
    }
    message NumberPoint {
        attributes: Vec<Attribute> = 7 message many,
        time: u64 = 3 fixed64 one,
        value: f64 = 4 double one,
        flags: u32 = 8 uint32 one,
    }
    message IntegerPoint {
        attributes: Vec<Attribute> = 7 message many,
        time: u64 = 3 fixed64 one,
        value: i64 = 6 sfixed64 one,
    }
    message HistogramPoint {
        attributes: Vec<Attribute> = 9 message many,
        time: u64 = 3 fixed64 one,
        count: u64 = 4 fixed64 one,
        sum: f64 = 5 double one,
        buckets: Vec<u64> = 6 fixed64 packed,
        bounds: Vec<f64> = 7 double packed,
        min: f64 = 11 double one,
        max: f64 = 12 double one,
    }
    message Gauge {
        points: Vec<NumberPoint> = 1 message many,
    }
    message Sum {
        points: Vec<IntegerPoint> = 1 message many,
    }
    message Histogram {
        points: Vec<HistogramPoint> = 1 message many,
    }
    message Metric {
        name: String = 1 string one,
        gauge: Vec<Gauge> = 5 message many,
        sum: Vec<Sum> = 7 message many,
        histogram: Vec<Histogram> = 9 message many,
    }
    message ScopeMetrics {
        scope: Scope = 1 message one,
        metrics: Vec<Metric> = 2 message many,
    }
    message ResourceMetrics {
        resource: Resource = 1 message one,
        scopes: Vec<ScopeMetrics> = 2 message many,
    }
    message Metrics {
        resources: Vec<ResourceMetrics> = 1 message many,
    }
}

type Read = fn(&[u8], &mut Recorder) -> Result<Next, RowError>;

fn told(body: &[u8], read: Read) -> Result<Vec<String>, RowError> {
    let mut recorder = Recorder::default();
    read(body, &mut recorder)?;
    Ok(recorder.told)
}

const LOGS: [Read; 2] = [
    |body, rows| now(LogReader::new("logs".to_owned(), 5).read_message(body, rows)),
    |body, rows| now(LogReader::new("logs".to_owned(), 5).read_json(body, rows)),
];
const METRICS: [Read; 2] = [
    |body, rows| now(MetricReader::default().read_message(body, rows)),
    |body, rows| now(MetricReader::default().read_json(body, rows)),
];

/// Of a refused id, only what it is: the two forms quote it differently.
fn plain(told: Vec<String>) -> Vec<String> {
    let cut = |told: String| match told.split_once("id cannot be read") {
        Some((place, _)) => place.to_owned(),
        None => told,
    };
    told.into_iter().map(cut).collect()
}

fn word(rng: &mut fastrand::Rng) -> String {
    ["a", "service.name", "é", "x y"][rng.usize(..4)].to_owned()
}

fn attributes(rng: &mut fastrand::Rng) -> (Vec<Attribute>, Vec<Value>) {
    let one = |rng: &mut fastrand::Rng| {
        let (key, text) = (word(rng), word(rng));
        let json = json!({ "key": key, "value": { "stringValue": text } });
        (Attribute { key, value: Text { text } }, json)
    };
    (0..rng.usize(..3)).map(|_| one(rng)).unzip()
}

fn time(rng: &mut fastrand::Rng) -> u64 {
    [0, 7, 7, u64::MAX, 1_700_000_000_000_000_000][rng.usize(..5)]
}

fn logs(rng: &mut fastrand::Rng) -> (Logs, Value) {
    let record = |rng: &mut fastrand::Rng| {
        let (list, json) = attributes(rng);
        let record = Record {
            time: time(rng),
            severity: rng.i32(0..25),
            severity_text: word(rng),
            body: Text { text: word(rng) },
            attributes: list,
            trace_id: vec![0xAB; [0, 16, 16, 15][rng.usize(..4)]],
            span_id: vec![0x01; [0, 8][rng.usize(..2)]],
            observed: time(rng),
        };
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let json = json!({
            "timeUnixNano": record.time.to_string(), "observedTimeUnixNano": record.observed.to_string(),
            "severityNumber": record.severity, "severityText": record.severity_text, "attributes": json,
            "body": { "stringValue": record.body.text },
            "traceId": hex(&record.trace_id), "spanId": hex(&record.span_id),
        });
        (record, json)
    };
    let scope = |rng: &mut fastrand::Rng| {
        let scope = Scope { name: word(rng) };
        let (records, json): (Vec<_>, Vec<_>) = (0..rng.usize(..4)).map(|_| record(rng)).unzip();
        let json = json!({ "scope": { "name": scope.name }, "logRecords": json });
        (ScopeLogs { scope, records }, json)
    };
    let (list, json) = attributes(rng);
    let (scopes, json_scopes): (Vec<_>, Vec<_>) = (0..rng.usize(..3)).map(|_| scope(rng)).unzip();
    let json = json!({ "resourceLogs": [{ "resource": { "attributes": json }, "scopeLogs": json_scopes }] });
    (Logs { resources: vec![ResourceLogs { resource: Resource { attributes: list }, scopes }] }, json)
}

fn metrics(rng: &mut fastrand::Rng) -> (Metrics, Value) {
    let metric = |rng: &mut fastrand::Rng| {
        let mut metric = Metric { name: word(rng), ..Metric::default() };
        let mut json = json!({ "name": metric.name });
        let (list, attributes) = attributes(rng);
        match rng.u8(..3) {
            0 => {
                let (value, flags) = (f64::from(rng.i32(..)) / 4.0, rng.u32(..4));
                let point = NumberPoint { attributes: list, time: time(rng), value, flags };
                json["gauge"] = json!({ "dataPoints": [{
                    "attributes": attributes, "timeUnixNano": point.time.to_string(), "asDouble": value, "flags": flags,
                }] });
                metric.gauge.push(Gauge { points: vec![point] });
            }
            1 => {
                let point = IntegerPoint { attributes: list, time: time(rng), value: i64::from(rng.i32(..)) };
                json["sum"] = json!({ "dataPoints": [{
                    "attributes": attributes, "timeUnixNano": point.time.to_string(), "asInt": point.value.to_string(),
                }] });
                metric.sum.push(Sum { points: vec![point] });
            }
            _ => {
                let point = HistogramPoint {
                    attributes: list,
                    time: time(rng),
                    count: rng.u64(..100),
                    sum: 1.5,
                    buckets: (0..rng.usize(..4)).map(|_| rng.u64(..)).collect(),
                    bounds: vec![0.5, 10.0],
                    min: -1.0,
                    max: 2.0,
                };
                let words = |counts: &[u64]| counts.iter().map(u64::to_string).collect::<Vec<_>>();
                json["histogram"] = json!({ "dataPoints": [{
                    "attributes": attributes, "timeUnixNano": point.time.to_string(), "count": point.count.to_string(),
                    "sum": 1.5, "bucketCounts": words(&point.buckets), "explicitBounds": [0.5, 10],
                    "min": -1.0, "max": 2.0,
                }] });
                metric.histogram.push(Histogram { points: vec![point] });
            }
        }
        (metric, json)
    };
    let scope = |rng: &mut fastrand::Rng| {
        let scope = Scope { name: word(rng) };
        let (metrics, json): (Vec<_>, Vec<_>) = (0..rng.usize(..4)).map(|_| metric(rng)).unzip();
        let json = json!({ "scope": { "name": scope.name }, "metrics": json });
        (ScopeMetrics { scope, metrics }, json)
    };
    let (list, json) = attributes(rng);
    let (scopes, json_scopes): (Vec<_>, Vec<_>) = (0..rng.usize(..3)).map(|_| scope(rng)).unzip();
    let json = json!({ "resourceMetrics": [{ "resource": { "attributes": json }, "scopeMetrics": json_scopes }] });
    (Metrics { resources: vec![ResourceMetrics { resource: Resource { attributes: list }, scopes }] }, json)
}

#[test]
fn both_forms_are_the_same_rows_and_any_bytes_give_rows_or_an_error() {
    let mut rng = generator();
    let mut rows = 0;
    for round in 0..1_500 {
        let (logs, logs_json) = logs(&mut rng);
        let (metrics, metrics_json) = metrics(&mut rng);
        for (message, json, reads) in
            [(logs.encode_to_vec(), logs_json, LOGS), (metrics.encode_to_vec(), metrics_json, METRICS)]
        {
            let found = told(&message, reads[0]).map(plain);
            assert_eq!(told(json.to_string().as_bytes(), reads[1]).map(plain), found, "round {round}: {json}");
            rows += found.map_or(0, |found| found.len());
            for (body, read) in [(message, reads[0]), (json.to_string().into_bytes(), reads[1])] {
                // It says something of anything.
                let _ = told(&damaged(&mut rng, &[&body]), read);
            }
        }
    }
    assert!(rows > 1_000, "{rows}");
}

#[test]
fn a_record_is_a_row() {
    let body = json!({ "resourceLogs": [{
        "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "svc" } },
                                     { "key": "host", "value": { "stringValue": "h" } }] },
        "scopeLogs": [{ "scope": { "name": "lib" }, "logRecords": [
            { "timeUnixNano": "9", "severityNumber": 9, "severityText": "INFO", "body": { "stringValue": "one" },
              "attributes": [{ "key": "n", "value": { "intValue": "1" } }] },
            { "timeUnixNano": "9", "body": { "kvlistValue": { "values": [
                { "key": "k", "value": { "doubleValue": 1.5 } }] } } },
            { "observedTimeUnixNano": "11", "body": { "stringValue": "x" }, "traceId": "xyz" },
            { "body": { "boolValue": true } },
        ] }],
    }] });
    assert_eq!(
        told(body.to_string().as_bytes(), LOGS[1]).expect("an export"),
        [
            "logs,scope.name=lib,service.name=svc resource.host=\"h\",attributes.n=\"1\",body=\"one\",\
             severity_text=\"INFO\",severity_number=9i 9",
            "logs,scope.name=lib,service.name=svc resource.host=\"h\",body=\"{\\\"k\\\":1.5}\" 10",
            "item 3: the trace id cannot be read: \"xyz\"",
            "logs,scope.name=lib,service.name=svc resource.host=\"h\",body=\"true\" 5",
        ]
    );
}

#[test]
fn a_point_is_a_row_of_its_metrics_table() {
    let point = |more: Value| {
        let mut point = json!({ "timeUnixNano": "9" });
        let members = more.as_object().expect("members").clone();
        point.as_object_mut().expect("members").extend(members);
        json!({ "dataPoints": [point] })
    };
    let body = json!({ "resourceMetrics": [{
        "resource": { "attributes": [{ "key": "host", "value": { "stringValue": "h" } }] },
        "scopeMetrics": [{ "scope": { "name": "lib" }, "metrics": [
            { "name": "g", "gauge": point(json!({ "asDouble": 1.5,
                "attributes": [{ "key": "host", "value": { "stringValue": "other" } }] })) },
            { "name": "s", "sum": point(json!({ "asInt": "-3",
                "attributes": [{ "key": "time", "value": { "stringValue": "t" } }] })) },
            { "name": "h", "histogram": point(json!({ "count": "6", "sum": 2.5, "min": 0, "max": 9,
                "bucketCounts": ["1", "2", "3"], "explicitBounds": [0.5, 10] })) },
            { "name": "e", "exponentialHistogram": point(json!({ "count": 2, "sum": 1, "zeroCount": "1" })) },
            { "name": "q", "summary": point(json!({ "count": 2, "sum": 1,
                "quantileValues": [{ "quantile": 0.5, "value": 7 }] })) },
            { "name": "none", "gauge": point(json!({ "flags": 1 })) },
            { "name": "bad", "gauge": point(json!({})) },
            { "name": "bad", "histogram": point(json!({ "bucketCounts": [1] , "explicitBounds": [1] })) },
            { "name": "", "gauge": point(json!({ "asInt": 1 })) },
        ] }],
    }] });
    assert_eq!(
        told(body.to_string().as_bytes(), METRICS[1]).expect("an export"),
        [
            "g,host=other,scope.name=lib value=1.5 9",
            "s,attribute.time=t,host=h,scope.name=lib value=-3.0 9",
            "h,host=h,scope.name=lib count=6.0,sum=2.5,min=0.0,max=9.0,le_0.5=1.0,le_10=3.0 9",
            "e,host=h,scope.name=lib count=2.0,sum=1.0,zero_count=1.0 9",
            "q,host=h,scope.name=lib count=2.0,sum=1.0,quantile_0.5=7.0 9",
            "item 7: the value of a point is missing",
            "item 8: the buckets cannot be read: \"1 for 1 bounds\"",
            "item 9: the table's name is missing",
        ]
    );
}
