//! Doors whose bodies are protobuf in a snappy block.

use super::{json, post, rows};
use crate::common::Server;

pub(super) const PROTOBUF: (&str, &str) = ("Content-Type", "application/x-protobuf");
pub(super) const SNAPPY: (&str, &str) = ("Content-Encoding", "snappy");

/// A field that has a length.
pub(super) fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    field.extend(varint(bytes.len() as u64));
    field.extend_from_slice(bytes);
    field
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

pub(super) fn number(number: u8, value: u64) -> Vec<u8> {
    [vec![number << 3], varint(value)].concat()
}

pub(super) fn sample(value: f64, time_ms: i64) -> Vec<u8> {
    [vec![1 << 3 | 1], value.to_bits().to_le_bytes().to_vec(), number(2, time_ms.cast_unsigned())].concat()
}

pub(super) fn pair(name: &str, value: &str) -> Vec<u8> {
    [field(1, name.as_bytes()), field(2, value.as_bytes())].concat()
}

pub(super) fn packed(message: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(message).expect("a message")
}

const TIME_MS: i64 = 1_667_456_411_000;

#[test]
fn samples_of_version_1_are_rows() {
    let server = Server::start();
    let stale = f64::from_bits(0x7ff0_0000_0000_0002);
    let series = |labels: &[(&str, &str)], samples: &[(f64, i64)]| {
        let labels = labels.iter().map(|(name, value)| field(1, &pair(name, value)));
        let samples = samples.iter().map(|(value, time)| field(2, &sample(*value, *time)));
        field(1, &labels.chain(samples).collect::<Vec<_>>().concat())
    };
    let message = [
        series(&[("__name__", "up"), ("job", "j")], &[(1.5, TIME_MS), (2.5, TIME_MS + 1000), (stale, TIME_MS + 2000)]),
        series(&[("job", "nameless")], &[(-1.0, TIME_MS)]),
    ]
    .concat();
    let target = "/api/v1/prom/write";
    assert!(post(&server, target, &[PROTOBUF, SNAPPY], &packed(&message), 200).body.is_empty());
    assert_eq!(
        rows(&server, "SELECT * FROM up ORDER BY time"),
        "time,__name__,job,__stale__,value\n2022-11-03T06:20:11.000000000,up,j,,1.5\n\
         2022-11-03T06:20:12.000000000,up,j,,2.5\n2022-11-03T06:20:13.000000000,up,j,true,\n"
    );
    assert_eq!(rows(&server, "SELECT count(value), sum(value) AS s FROM up").lines().nth(1), Some("2,4.0"));
    assert_eq!(rows(&server, "SELECT value FROM prom_metric_not_specified"), "value\n-1.0\n");

    // A histogram is refused, and its series named; the others are written.
    let histogram = field(1, &[field(1, &pair("__name__", "h")), field(4, b"")].concat());
    let more = [histogram, series(&[("__name__", "up"), ("job", "k")], &[(7.0, TIME_MS)])].concat();
    let told = post(&server, target, &[PROTOBUF, SNAPPY], &packed(&more), 400).text();
    assert!(told.contains("item 1: a native histogram is not supported"), "{told}");
    assert_eq!(rows(&server, "SELECT value FROM up WHERE job = 'k'"), "value\n7.0\n");

    for (body, status) in [(b"junk".to_vec(), 400), (packed(b"\xff"), 400), (message.clone(), 400)] {
        assert!(!post(&server, target, &[PROTOBUF, SNAPPY], &body, status).body.is_empty());
    }
    post(&server, target, &[("Content-Type", "text/csv"), SNAPPY], &packed(&message), 415);
    post(&server, &format!("{target}?table=x"), &[PROTOBUF], &packed(&message), 400);
    // A block that promises what it cannot hold.
    post(&server, target, &[PROTOBUF, SNAPPY], b"\xff\xff\xff\xff\x0f\x00", 400);
}

#[test]
fn samples_of_version_2_name_symbols() {
    let server = Server::start();
    let symbols = ["", "__name__", "up", "job", "j"].map(|symbol| field(4, symbol.as_bytes())).concat();
    let series = |labels: &[u8]| field(5, &[field(1, labels), field(2, &sample(1.5, TIME_MS))].concat());
    let kind = ("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request");
    let message = [symbols.clone(), series(&[1, 2, 3, 4])].concat();
    let told = post(&server, "/api/v1/prom/write", &[kind, SNAPPY], &packed(&message), 204);
    assert_eq!(told.header("x-prometheus-remote-write-samples-written"), Some("1"));
    assert_eq!(rows(&server, "SELECT * FROM up"), "time,__name__,job,value\n2022-11-03T06:20:11.000000000,up,j,1.5\n");
    for labels in [&[1, 9][..], &[1, 2, 3]] {
        let message = [symbols.clone(), series(labels)].concat();
        post(&server, "/api/v1/prom/write", &[kind, SNAPPY], &packed(&message), 400);
    }
    let other = ("Content-Type", "application/x-protobuf;proto=other");
    post(&server, "/api/v1/prom/write", &[other, SNAPPY], &packed(&message), 415);
}

#[test]
fn streams_come_as_protobuf_and_as_json() {
    let server = Server::start();
    let time = [number(1, 1_667_456_411), number(2, 7)].concat();
    let entry =
        |line: &str| field(2, &[field(1, &time), field(2, line.as_bytes()), field(3, &pair("trace", "abc"))].concat());
    let stream = field(1, &[entry("one"), field(1, b"{job=\"app\"}"), entry("two")].concat());
    post(&server, "/loki/api/v1/push", &[PROTOBUF], &packed(&stream), 204);
    post(&server, "/loki/api/v1/push?table=other", &[PROTOBUF, SNAPPY], &packed(&stream), 204);
    let expected = "time,job,metadata.trace,msg\n2022-11-03T06:20:11.000000007,app,abc,one\n\
                    2022-11-03T06:20:11.000000008,app,abc,two\n";
    for table in ["loki", "other"] {
        assert_eq!(rows(&server, &format!("SELECT * FROM {table} ORDER BY time")), expected);
    }
    let body = r#"{"streams":[{"stream":{"job":"app"},"values":[["1667456411000000007","one",{"trace":"abc"}],
                   ["1667456411000000007","two",{"trace":"abc"}]]}]}"#;
    post(&server, "/loki/api/v1/push?table=third", &[("Content-Type", "application/json")], body.as_bytes(), 204);
    assert_eq!(rows(&server, "SELECT * FROM third ORDER BY time"), expected);

    // Seed 002's example.
    let seed = r#"
{"streams": [{ "stream": { "instance": "host123", "job": "app42" }, "values": [ [ "0", "foo fizzbuzz bar" ] ] }]}"#;
    assert!(post(&server, "/api/v1/es/_bulk?table=t1&log_type=loki", &[], seed.as_bytes(), 200).body.is_empty());
    assert_eq!(
        rows(&server, "SELECT * FROM t1"),
        "time,instance,job,msg\n1970-01-01T00:00:00.000000000,host123,app42,foo fizzbuzz bar\n"
    );

    let bad = body.replace("\"1667456411000000007\",\"two\"", "\"x\",\"two\"").replace("one", "three");
    let told = post(&server, "/loki/api/v1/push?table=third", &[], bad.as_bytes(), 400).text();
    assert!(told.contains("item 2: the time of an entry cannot be read: \"x\""), "{told}");
    for body in ["", "{}", "{\"streams\":1}", "{\"streams\":[{}]}", "{\"streams\":[{\"stream\":{},\"values\":{}}]}"] {
        post(&server, "/loki/api/v1/push", &[], body.as_bytes(), 400);
    }
    let told = json(&post(&server, "/api/v1/es/_bulk?log_type=loki&table=t1", &[], b"[]", 422));
    assert_eq!(told["error_code"], "040016");
    assert_eq!(server.metric("tidewire_door_rows_total", "loki"), 8.0);
}
