//! OpenTSDB's points.

use std::io::Write;

use serde_json::json;

use super::{json, post, rows};
use crate::common::Server;

const TEXT: &str = "/api/v1/opentsdb/write";
const POINT: &str = r#"{"metric":"nice","timestamp":1667456411,"value":18,"tags":{"host":"web01"}}"#;

#[test]
fn text_is_taken_whole_or_not_at_all() {
    let server = Server::start();
    let body = "sys.if 1666165200290401000 1 host=web01 interface=eth0\nsys.if 1666165200 2.5 host=web02\n";
    assert!(post(&server, TEXT, &[], body.as_bytes(), 200).body.is_empty());
    assert_eq!(
        rows(&server, "SELECT * FROM \"sys.if\" ORDER BY time"),
        "time,host,interface,value\n2022-10-19T07:40:00.000000000,web02,,2.5\n\
         2022-10-19T07:40:00.290401000,web01,eth0,1.0\n"
    );
    let refused = post(&server, TEXT, &[], b"other 1 1 a=b\nother 2 1\n", 400);
    assert_eq!(json(&refused)["error_code"], "040010");
    assert_eq!(json(&refused)["error_message"], "Error parsing message: line 2: a tag is missing");
    assert_eq!(server.sql("public", "SELECT * FROM other").status(), 422);
    // A tag of one row is a field of another table's, and of this one.
    post(&server, "/api/v1/write", &[], b"m,a=b value=1i 1\n", 200);
    let refused = post(&server, TEXT, &[], b"m 1 1 a=b\n", 422);
    assert!(refused.text().contains("found F64 expected I64 in table 'm' at line 1"), "{}", refused.text());
    assert!(server.metric("tidewire_door_rows_total", "opentsdb") > 1.5);
}

#[test]
fn parameters_are_checked() {
    let server = Server::start();
    let body = b"m 1667456411001 1 a=b\n";
    post(&server, &format!("{TEXT}?precision=ms"), &[], body, 200);
    for (target, status) in [
        (format!("{TEXT}?precision=days"), 400),
        (format!("{TEXT}?table=x"), 400),
        ("/api/put?detail".to_owned(), 400),
        (format!("{TEXT}?db=missing"), 422),
    ] {
        assert_ne!(json(&post(&server, &target, &[], body, status))["error_message"], "");
    }
    assert_eq!(server.request("GET", TEXT, &[], b"").status(), 405);
    assert_eq!(rows(&server, "SELECT * FROM m"), "time,a,value\n2022-11-03T06:20:11.001000000,b,1.0\n");
}

#[test]
fn json_comes_in_both_manners() {
    let server = Server::start();
    let bad = format!("[{POINT},{}]", POINT.replace("18", "\"x\""));
    let refused = post(&server, "/api/v1/opentsdb/put", &[], bad.as_bytes(), 400);
    assert_eq!(json(&refused)["error_code"], "040011");
    assert_eq!(json(&refused)["error_message"], "Error parsing message: item 2: value is a string, not a number");
    assert_eq!(server.sql("public", "SELECT * FROM nice").status(), 422);

    assert_eq!(json(&post(&server, "/api/put?summary", &[], bad.as_bytes(), 400)), json!({"success":1,"failed":1}));
    let told = json(&post(&server, "/api/put?details", &[], bad.as_bytes(), 400));
    assert_eq!((&told["success"], &told["failed"]), (&json!(1), &json!(1)));
    assert_eq!(told["errors"][0]["datapoint"]["value"], "x");
    assert_eq!(told["errors"][0]["error"], "item 2: the value cannot be read: \"x\"");
    let told = json(&post(&server, "/api/put", &[], bad.as_bytes(), 400));
    assert!(told["error"]["message"].as_str().is_some_and(|text| text.contains("item 2")), "{told}");

    assert!(post(&server, "/api/v1/opentsdb/put", &[], POINT.as_bytes(), 200).body.is_empty());
    post(&server, "/api/put", &[], POINT.replace("18", "\"18\"").as_bytes(), 204);
    assert_eq!(rows(&server, "SELECT * FROM nice"), "time,host,value\n2022-11-03T06:20:11.000000000,web01,18.0\n");
    for body in ["", "nothing", "[", "{} {}"] {
        post(&server, "/api/v1/opentsdb/put", &[], body.as_bytes(), 400);
    }
    assert_eq!(server.metric("tidewire_door_rows_refused_total", "opentsdb"), 3.0);
}

#[test]
fn bodies_of_many_points_are_read_as_they_arrive() {
    let server = Server::start();
    let points: Vec<String> = (0..20_000)
        .map(|at| {
            let time = 1_667_456_411 + at;
            format!(r#"{{"metric":"many","timestamp":{time},"value":{at},"tags":{{"host":"h{}"}}}}"#, at % 50)
        })
        .collect();
    let body = format!("[{}]", points.join(",\n"));
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body.as_bytes()).expect("memory");
    let packed = encoder.finish().expect("memory");
    let told = post(&server, "/api/put?summary", &[("Content-Encoding", "gzip")], &packed, 200);
    assert_eq!(json(&told), json!({"success":20_000,"failed":0}));
    let found = rows(&server, "SELECT count(*), sum(value), count(DISTINCT host) FROM many");
    assert_eq!(found.lines().nth(1), Some("20000,199990000.0,50"));
}

#[test]
fn points_that_repeat_what_was_sent_before_are_rows_of_the_tables_that_there_are_now() {
    let server = Server::start();
    let lines: String = (0..300).map(|at| format!("p{} {at} {at} host=h{}\n", at % 3, at % 5)).collect();
    let point = |at: usize| {
        let (metric, host) = (at % 3, at % 5);
        format!(r#"{{"metric":"p{metric}","tags":{{"host":"h{host}"}},"timestamp":{},"value":{at}}}"#, 1000 + at)
    };
    let points: Vec<String> = (0..300).map(point).collect();
    let points = format!("[{}]", points.join(","));
    for _ in 0..3 {
        for _ in 0..2 {
            post(&server, TEXT, &[], lines.as_bytes(), 200);
            post(&server, "/api/put", &[], points.as_bytes(), 204);
        }
        for metric in 0..3 {
            let sum: usize = (metric..300).step_by(3).map(|at| 2 * at).sum();
            let sql = format!("SELECT count(*), sum(value), count(DISTINCT host), max(time) FROM p{metric}");
            let found = rows(&server, &sql);
            let found = found.lines().nth(1).expect("a row");
            let last = 1000 + 297 + metric;
            assert_eq!(found, format!("200,{sum}.0,5,1970-01-01T00:{:02}:{:02}.000000000", last / 60, last % 60));
        }
        rows(&server, "DROP TABLE p1");
    }
    // The last rows are of a table that has another type of value now.
    post(&server, "/api/v1/write", &[], b"p1,host=h0 value=1i 1\n", 200);
    assert!(post(&server, TEXT, &[], lines.as_bytes(), 422).text().contains("found F64 expected I64 in table 'p1'"));
}
