//! Every example of the REST documents, as a client sends it: status line, headers and body are compared with what the
//! document shows. The Python program of 002 is in `tests/clients/doors.py`.
//!
//! The documents' curl lines send `Authorization: Basic`, `Content-Type: application/x-www-form-urlencoded` (curl's
//! default for `-d`) and what the line says besides. Where a document shows `... ...` or a length of data that it does
//! not show, the comparison is with what the request before has written.

use crate::common::{Response, Server};

/// `-u "username:password"`
const AUTHORIZATION: (&str, &str) = ("Authorization", "Basic dXNlcm5hbWU6cGFzc3dvcmQ=");
/// What curl says of a body given with `-d`.
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

fn curl(server: &Server, target: &str, more: &[(&str, &str)], body: &str) -> Response {
    let mut headers = vec![AUTHORIZATION, ("User-Agent", "curl/7.88.1"), FORM];
    if !more.iter().any(|(name, _)| *name == "Accept") {
        headers.push(("Accept", "*/*"));
    }
    headers.extend_from_slice(more);
    server.request("POST", target, &headers, body.as_bytes())
}

/// `HTTP/1.1 200 OK`, `content-length: 0`, `date: Sat, 08 Oct 2022 06:59:38 GMT`, and no body.
fn is_written(response: &Response) {
    assert_eq!(response.status_line, "HTTP/1.1 200 OK", "{}", response.text());
    assert_eq!(response.header("content-length"), Some("0"));
    has_date(response);
    assert!(response.body.is_empty());
}

fn has_date(response: &Response) {
    let date = response.header("date").expect("a date header");
    let parts: Vec<&str> = date.split([' ', ':']).collect();
    assert_eq!(parts.len(), 8, "{date}");
    assert!(parts[0].ends_with(',') && parts[7] == "GMT" && date.len() == 29, "{date}");
}

fn example() -> Server {
    let server = Server::start();
    let created = server.sql("public", "CREATE DATABASE example");
    assert_eq!(created.status(), 200, "{}", created.text());
    server
}

#[test]
fn seed_000_and_001_write_then_sql() {
    let server = example();
    is_written(&curl(&server, "/api/v1/write?db=example", &[], "t1,foo=a,bar=b v=1 3"));

    let rows = curl(&server, "/api/v1/sql?db=example", &[("Accept", "application/json")], "SELECT * from t1");
    assert_eq!(rows.status_line, "HTTP/1.1 200 OK", "{}", rows.text());
    assert_eq!(rows.header("content-type"), Some("application/json"));
    assert_eq!(rows.header("content-length"), Some(rows.body.len().to_string().as_str()));
    has_date(&rows);
    assert_eq!(rows.text(), r#"[{"bar":"b","foo":"a","time":"1970-01-01T00:00:00.000000003","v":1.0}]"#);
}

#[test]
fn seed_002_write_without_a_time_takes_the_present() {
    let server = example();
    is_written(&curl(&server, "/api/v1/write?db=example", &[], "t1,foo=a,bar=b v=1"));
    let rows = curl(&server, "/api/v1/sql?db=example", &[("Accept", "application/json")], "SELECT * from t1");
    let rows: serde_json::Value = serde_json::from_slice(&rows.body).unwrap();
    let row = &rows[0];
    assert_eq!((&row["foo"], &row["bar"], &row["v"]), (&"a".into(), &"b".into(), &1.0.into()));
    let time = row["time"].as_str().unwrap();
    assert!(time.starts_with("20") && time.len() > "2022-10-08T06:59:38".len(), "{time}");
}

#[test]
fn seed_002_a_point_of_opentsdb() {
    let server = example();
    let point = "sys.if.bytes.out 1666165200290401000 1 host=web01 interface=eth0";
    is_written(&curl(&server, "/api/v1/opentsdb/write?db=example", &[], point));
    let rows = curl(&server, "/api/v1/sql?db=example", &[], "SELECT * FROM \"sys.if.bytes.out\"");
    assert_eq!(rows.text(), "time,host,interface,value\n2022-10-19T07:40:00.290401000,web01,eth0,1.0\n");
}

#[test]
fn seed_002_logs_in_each_form() {
    let server = Server::start();
    let bulk = r#"{"create":{}}
{"date":"2024-03-27T02:51:11.687Z", "node_id":"1001", "operator_system":"linux", "msg":"test"}
{"index":{}}
{"date":"2024-03-28T02:51:11.688Z", "node_id":"2001", "operator_system":"linux", "msg":"test"}"#;
    let target = "/api/v1/es/_bulk?table=t1&time_column=date&tag_columns=node_id,operator_system";
    let told = curl(&server, target, &[], bulk);
    assert_eq!(told.status_line, "HTTP/1.1 200 OK", "{}", told.text());
    let told: serde_json::Value = serde_json::from_slice(&told.body).unwrap();
    let item = |action: &str| serde_json::json!({ action: { "_index": "t1", "result": "created", "status": 201 } });
    assert_eq!(
        (&told["errors"], &told["items"][0], &told["items"][1]),
        (&false.into(), &item("create"), &item("index"))
    );
    let found = |sql: &str| curl(&server, "/api/v1/sql?db=public", &[], sql).text();
    let rows = "time,node_id,operator_system,msg\n2024-03-27T02:51:11.687000000,1001,linux,test\n\
                2024-03-28T02:51:11.688000000,2001,linux,test\n";
    assert_eq!(found("SELECT * FROM t1 ORDER BY time"), rows);
    assert_eq!(found("DROP TABLE t1"), "");

    let loki = r#"
{"streams": [{ "stream": { "instance": "host123", "job": "app42" }, "values": [ [ "0", "foo fizzbuzz bar" ] ] }]}"#;
    is_written(&curl(&server, "/api/v1/es/_bulk?table=t1&log_type=loki", &[], loki));
    let row = "time,instance,job,msg\n1970-01-01T00:00:00.000000000,host123,app42,foo fizzbuzz bar\n";
    assert_eq!(found("SELECT * FROM t1"), row);
    assert_eq!(found("DROP TABLE t1"), "");

    let lines = r#"{"date":"2024-03-27T02:51:11.687Z", "node_id":"1001", "operator_system":"linux", "msg":"test"}
{"date":"2024-03-28T02:51:11.688Z", "node_id":"2001", "operator_system":"linux", "msg":"test"}"#;
    let target = "/api/v1/es/_bulk?table=t1&log_type=ndjson&time_column=date&tag_columns=node_id,operator_system";
    is_written(&curl(&server, target, &[], lines));
    assert_eq!(found("SELECT * FROM t1 ORDER BY time"), rows);
}

#[test]
fn the_documents_parameters_are_taken() {
    let server = example();
    // 001 and 002: tenant and precision; 000 to 002: Accept-Encoding.
    is_written(&curl(&server, "/api/v1/write?db=example&tenant=cnosdb&precision=ms", &[], "t1,foo=a v=1 3"));
    let sql = "SELECT time, v FROM t1";
    let target = "/api/v1/sql?db=example&tenant=cnosdb";
    let plain = curl(&server, target, &[("Accept", "application/csv")], sql);
    assert_eq!(plain.text(), "time,v\n1970-01-01T00:00:00.003000000,1.0\n");
    assert_eq!(plain.header("content-type"), Some("text/csv"));
    let lines = curl(&server, target, &[("Accept", "application/nd-json")], sql);
    assert_eq!(lines.text(), "{\"time\":\"1970-01-01T00:00:00.003\",\"v\":1.0}\n");
    assert_eq!(lines.header("content-type"), Some("application/nd-json"));
    for encoding in ["identity", "gzip", "deflate", "br", "*"] {
        let packed = curl(&server, target, &[("Accept-Encoding", encoding)], sql);
        assert_eq!(packed.status_line, "HTTP/1.1 200 OK", "{encoding}");
        match packed.header("content-encoding") {
            None | Some("identity") => assert_eq!(packed.text(), plain.text(), "{encoding}"),
            Some(token) => {
                assert!(encoding == "*" || encoding == token, "{encoding} gave {token}");
                assert_ne!(packed.body, plain.body);
            }
        }
    }
    let chunked = curl(&server, "/api/v1/sql?db=example&chunked=true", &[], sql);
    assert_eq!(chunked.header("transfer-encoding"), Some("chunked"));
    assert_eq!(chunked.text(), plain.text());
}

#[test]
fn failures_are_4xx_or_5xx_with_the_documents_meaning() {
    let server = example();
    let is = |response: Response, status: u16, code: &str| {
        assert_eq!(response.status(), status, "{}", response.text());
        if status == 422 || status == 400 {
            assert_eq!(response.header("content-type"), Some("application/json"));
            let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
            assert_eq!(body["error_code"], code, "{body}");
            assert!(!body["error_message"].as_str().unwrap().is_empty());
        }
        has_date(&response);
    };
    is(curl(&server, "/api/v1/write?db=missing", &[], "t1,foo=a,bar=b v=1 3"), 422, "030017");
    is(curl(&server, "/api/v1/write?db=example", &[], "t1,foo=a"), 422, "040004");
    is(curl(&server, "/api/v1/sql?db=example", &[], "SELEC"), 422, "010009");
    is(curl(&server, "/api/v1/sql?db=example", &[("Accept", "text/html")], "SELECT 1"), 400, "040005");
    is(curl(&server, "/api/v1/nothing", &[], ""), 404, "");
    is(server.request("DELETE", "/api/v1/sql", &[], b""), 405, "");
}

#[test]
fn ping_by_get_and_head() {
    let server = Server::start();
    let get = server.request("GET", "/api/v1/ping", &[("User-Agent", "curl/7.88.1"), ("Accept", "*/*")], b"");
    assert_eq!(get.status_line, "HTTP/1.1 200 OK");
    let body: serde_json::Value = serde_json::from_slice(&get.body).unwrap();
    assert_eq!(body["status"], "healthy");
    assert!(body["version"].as_str().unwrap().starts_with("2."), "{body}");
    assert_eq!(body.as_object().unwrap().len(), 2);
    let head = server.request("HEAD", "/api/v1/ping", &[], b"");
    assert_eq!(head.status_line, "HTTP/1.1 200 OK");
    assert_eq!(head.header("content-length"), get.header("content-length"));
    assert!(head.body.is_empty());
}
