//! Requests that few clients send, and what many send at once.

use std::sync::Barrier;

use crate::common::{Client, Response, Server, fresh_folder};

fn error(response: &Response) -> String {
    let body: serde_json::Value = serde_json::from_slice(&response.body).expect("JSON");
    body["error"].as_str().unwrap_or_default().to_owned()
}

/// The line that an error of InfluxDB's route names.
fn line_told(response: &Response) -> Option<u64> {
    let body: serde_json::Value = serde_json::from_slice(&response.body).expect("JSON");
    body["line"].as_u64()
}

fn query(server: &Server, text: &str) -> Response {
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    server.request("POST", "/query", &form, format!("q={text}").as_bytes())
}

/// A line with more fields than a table may have columns.
fn line_of_too_many_fields(measurement: &str) -> String {
    let fields: Vec<String> = (0..17_000).map(|i| format!("f{i}=1")).collect();
    format!("{measurement} {} 1\n", fields.join(","))
}

#[test]
fn a_line_that_the_catalog_refuses_does_not_take_the_others_along() {
    let server = Server::start();
    let body = format!("m,h=a v=1 1\n{}m,h=a v=2 2\nw v=1 1\n", line_of_too_many_fields("w"));
    let response = server.request("POST", "/write?db=public", &[], body.as_bytes());
    assert_eq!(response.status(), 400);
    let told = error(&response);
    assert!(told.starts_with("partial write: table w would have 17000 columns"), "{told}");
    assert!(told.ends_with("dropped=1"), "{told}");
    assert_eq!(server.sql("public", "SELECT sum(v) AS s FROM m").text(), "s\n3.0\n");
    assert_eq!(server.sql("public", "SELECT v FROM w").text(), "v\n1.0\n");

    // CnosDB's route takes all lines or none.
    let body = format!("n v=1 1\n{}", line_of_too_many_fields("n"));
    let response = server.request("POST", "/api/v1/write", &[], body.as_bytes());
    assert_eq!(response.status(), 422, "{}", response.text());
    assert!(response.text().contains("\"050014\""), "{}", response.text());
    assert_eq!(server.sql("public", "SHOW TABLES").text(), "table_name\nm\nw\n");
}

#[test]
fn a_conflict_in_a_request_is_the_lines_own() {
    let server = Server::start();
    assert_eq!(server.request("POST", "/write?db=public", &[], b"m,t=a v=1 1").status(), 204);
    let body = b"m,t=a v=2 2\nm,t=a v=3i 3\nm,v=x w=1 4\nm,t=a t2=1,v=5 5\nm,t=a,t2=b v=6 6\nm,t=a v=7 7";
    let response = server.request("POST", "/write?db=public", &[], body);
    assert_eq!(response.status(), 400);
    let told = "partial write: field type conflict: input field \"v\" on measurement \"m\" is type integer, \
                already exists as type float dropped=1";
    assert_eq!(error(&response), told);
    assert_eq!(line_told(&response), Some(2));
    assert_eq!(server.sql("public", "SELECT sum(v) AS s FROM m").text(), "s\n21.0\n", "tags and fields share names");
}

/// Each conflict on both routes: fields with another type, and on CnosDB's a tag where a field is and the other way
/// round, within one request too. Comments, blank lines and lines that the fast parser took count as lines.
#[test]
fn a_conflict_names_its_line() {
    let server = Server::start();
    assert_eq!(server.request("POST", "/write?db=public", &[], b"m,t=a v=1 1").status(), 204);
    let many: String = (0..70_000).map(|time| format!("m,t=a v=1 {time}\n")).collect();
    let integer = ("v", "I64", "F64", "integer", "float");
    let text = ("v", "STRING", "F64", "string", "float");
    let field = ("t", "F64", "TAG", "", "");
    let tag = ("v", "TAG", "F64", "", "");
    let cases = [
        ("m,t=a v=2i 2".to_owned(), 1, "m", integer),
        ("# a comment\n\nm,t=a v=1 1\nm,t=a v=\"2\" 2\nm,t=a v=3i 3".to_owned(), 4, "m", text),
        ("m,t=b v=1 1\nm t=2 2\n".to_owned(), 2, "m", field),
        ("m,t=b v=1 1\nm,v=x w=2 2\n".to_owned(), 2, "m", tag),
        // Longer than a piece of a body.
        (format!("{many}m,t=a v=2i 2\n{many}"), 70_001, "m", integer),
        // The line before it makes the table.
        ("n,t=a v=1 1\nn,t=a v=2i 2".to_owned(), 2, "n", integer),
    ];
    for (body, line, table, (column, wanted, found, influx_wanted, influx_found)) in cases {
        let response = server.request("POST", "/api/v1/write", &[], body.as_bytes());
        assert_eq!(response.status(), 422);
        let told = format!(
            "Apply engine failed: DataSchemaError: Column '{column}' type error, found {wanted} expected {found} \
             in table '{table}' at line {line}"
        );
        let expected = serde_json::json!({ "error_code": "050014", "error_message": told });
        let body_of_reply: serde_json::Value = serde_json::from_slice(&response.body).expect("JSON");
        assert_eq!(body_of_reply, expected);

        let response = server.request("POST", "/write?db=public", &[], body.as_bytes());
        if influx_wanted.is_empty() {
            assert_eq!(response.status(), 204, "InfluxDB's tags and fields may share a name");
            continue;
        }
        assert_eq!(response.status(), 400);
        let reason = format!(
            "field type conflict: input field \"{column}\" on measurement \"{table}\" is type {influx_wanted}, already \
             exists as type {influx_found}"
        );
        let dropped = body.matches("m,t=a v=3i").count() + 1;
        assert_eq!(error(&response), format!("partial write: {reason} dropped={dropped}"));
        assert_eq!(line_told(&response), Some(line));
    }
    // No line is named where a row is refused for its age, and where none is refused.
    server.sql("public", "CREATE DATABASE short WITH TTL '1d'");
    let response = server.request("POST", "/write?db=short", &[], b"m v=1 1");
    assert_eq!(error(&response), "partial write: points beyond retention policy dropped=1");
    assert_eq!(line_told(&response), None);
}

#[test]
fn rows_on_more_days_than_one_request_may_bring_are_refused_and_fewer_are_taken() {
    let server = Server::start();
    server.sql("public", "CREATE DATABASE daily WITH VNODE_DURATION '1d'");
    let body = |days: i64| -> String {
        (0..days).map(|day| format!("m,t=a v={day} {}\n", day * 86_400_000_000_000)).collect()
    };
    for target in ["/write?db=daily", "/api/v1/write?db=daily"] {
        let response = server.request("POST", target, &[], body(4097).as_bytes());
        assert_eq!(response.status(), 413, "{}", response.text());
        assert!(response.text().contains("rows of m lie in more than 4096 time partitions"), "{}", response.text());
    }
    assert_eq!(server.sql("daily", "SHOW TABLES").text(), "table_name\n", "nothing of it was written");
    assert_eq!(server.request("POST", "/write?db=daily", &[], body(4096).as_bytes()).status(), 204);
    assert_eq!(server.sql("daily", "SELECT count(v) FROM m").text(), "COUNT(m.v)\n4096\n");
}

/// Its shard would refuse the row, and others have taken theirs: so it is refused before any of them is asked.
#[test]
fn a_row_longer_than_a_log_file_refuses_its_request_on_all_shards() {
    let server = Server::start_in(&fresh_folder(), true, &[("TIDEWIRE_WAL_FILE_BYTES", "1MiB")]);
    let hosts: String = (0..40).map(|host| format!("m,h=h{host} t=\"short\" 1\n")).collect();
    let (long, fits) = ("x".repeat(1 << 20), "x".repeat(1_000_000));
    for target in ["/api/v1/write?db=public", "/write?db=public"] {
        let body = format!("{hosts}m,h=long t=\"{long}\" 1\n");
        let response = server.request("POST", target, &[], body.as_bytes());
        assert_eq!(response.status(), 413, "{}", response.text());
        assert!(response.text().contains("do not fit into a log file of 1048576 bytes"), "{}", response.text());
        assert_eq!(server.sql("public", "SHOW TABLES").text(), "table_name\n", "nothing of it was written");
    }
    let documents: String = (0..40).map(|host| format!("{{\"h\":\"h{host}\",\"t\":\"short\",\"time\":1}}\n")).collect();
    let body = format!("{documents}{{\"h\":\"long\",\"t\":\"{long}\",\"time\":1}}\n");
    let response = server.request("POST", "/api/v1/ndjson?db=public&table=m&tag_columns=h", &[], body.as_bytes());
    assert_eq!(response.status(), 413, "{}", response.text());
    assert_eq!(server.sql("public", "SHOW TABLES").text(), "table_name\n", "nothing of it was written");

    let body = format!("{hosts}m,h=long t=\"{fits}\" 1\n");
    assert_eq!(server.request("POST", "/write?db=public", &[], body.as_bytes()).status(), 204);
    assert_eq!(server.sql("public", "SELECT count(t) AS n FROM m").text(), "n\n41\n");
}

#[test]
fn a_series_that_is_known_gets_a_column_in_the_middle_of_a_request() {
    let server = Server::start();
    // Often enough for both cores to know the series and the layout.
    for time in 0..8 {
        let body = format!("m,t=a v=1 {time}");
        assert_eq!(server.request("POST", "/write?db=public", &[], body.as_bytes()).status(), 204);
    }
    for (number, column) in ["x", "y", "z"].into_iter().enumerate() {
        let body = format!("m,t=a v=1 8\nm,t=a v=1,{column}=2 9\nm,t=a v=1 1{number}");
        assert_eq!(server.request("POST", "/write?db=public", &[], body.as_bytes()).status(), 204, "{column}");
    }
    assert_eq!(
        server.sql("public", "SELECT count(v) AS n, count(x) AS x, count(y) AS y, count(z) AS z FROM m").text(),
        "n,x,y,z\n13,1,1,1\n"
    );
}

#[test]
fn what_is_told_of_bad_lines_is_bounded() {
    let server = Server::start();
    let mut body = "x".repeat(1 << 20);
    body.push_str("\nm v=1 1\n");
    body.extend((0..1_000).map(|i| format!("bad{i}\n")));
    let response = server.request("POST", "/write?db=public", &[], body.as_bytes());
    assert_eq!(response.status(), 400);
    assert!(response.body.len() < 300 << 10, "{} bytes", response.body.len());
    let told = error(&response);
    assert!(told.starts_with("partial write: unable to parse 'xxx"), "{}", &told[..100]);
    assert!(told.ends_with("\n1000 more lines dropped=0"), "{}", &told[told.len() - 100..]);
    assert!(response.header("x-influxdb-error").is_some_and(|text| text.len() <= 1024));
    let response = server.request("POST", "/api/v1/write", &[], body.as_bytes());
    assert_eq!((response.status(), response.body.len() < 300 << 10), (422, true));
}

#[test]
fn text_that_is_not_utf8_is_refused_and_breaks_nothing() {
    let server = Server::start();
    for body in [&b"m,t=\xff v=1 1"[..], b"m v=\"\xfe\" 1", b"\xc3 v=1 1", b"m \x80=1 1"] {
        let response = server.request("POST", "/write?db=public", &[], body);
        assert!(matches!(response.status(), 204 | 400), "{body:?}: {}", response.status());
        let response = server.request("POST", "/api/v1/write", &[], body);
        assert!(matches!(response.status(), 200 | 422), "{body:?}: {}", response.status());
    }
    let response = server.request("POST", "/api/v1/sql", &[], b"SELECT '\xff'");
    assert!(matches!(response.status(), 200 | 400 | 422), "{}", response.status());
    for target in ["/write?db=%zz", "/write?db=%ff", "/query?q=%zz"] {
        let method = if target.starts_with("/query") { "GET" } else { "POST" };
        let response = server.request(method, target, &[], b"m v=1 1");
        assert_eq!(response.status(), 400, "{target}");
        assert!(error(&response).starts_with("bad query parameter"), "{}", response.text());
    }
    assert_eq!(server.sql("public", "SELECT 1 AS a").text(), "a\n1\n");
}

#[test]
fn statements_of_influxdbs_query() {
    let server = Server::start();
    let nothing = query(&server, "%3B");
    assert_eq!((nothing.status(), nothing.text().as_str()), (200, "{}\n"));
    let missing = query(&server, "+");
    assert_eq!((missing.status(), error(&missing).as_str()), (400, "missing required parameter \"q\""));
    // A body of another type is not looked at.
    let response = server.request("POST", "/query", &[("Content-Type", "text/plain")], b"q=CREATE DATABASE x");
    assert_eq!(response.status(), 400);
    let made = query(&server, "CREATE DATABASE a; CREATE DATABASE \"b c\"; CREATE DATABASE a");
    assert_eq!(made.text(), "{\"results\":[{\"statement_id\":0},{\"statement_id\":1},{\"statement_id\":2}]}\n");
    let shown = query(&server, "SHOW DATABASES").text();
    assert!(shown.contains("[[\"a\"],[\"b c\"],[\"public\"]]"), "{shown}");
    // Nothing of a text runs that does not parse as a whole.
    assert_eq!(query(&server, "CREATE DATABASE d; CREATE DATABASE").status(), 400);
    assert_eq!(query(&server, "SHOW DATABASES").text(), shown);
    // The database that requests without `db` mean stays.
    let refused = query(&server, "DROP DATABASE public").text();
    assert_eq!(refused, "{\"results\":[{\"statement_id\":0,\"error\":\"Database \\\"public\\\" forbid drop\"}]}\n");
    assert_eq!(query(&server, "DROP DATABASE a; DROP DATABASE \"b c\"; DROP DATABASE nothing").status(), 200);
    assert_eq!(server.request("POST", "/write?db=public", &[], b"m v=1 1").status(), 204);
}

/// Each query takes credits for 24 shards of the other core; together they want far more than its link has.
#[test]
fn many_queries_at_once_over_many_shards_all_end() {
    const CLIENTS: usize = 60;
    let folder = fresh_folder();
    let variables = [("TIDEWIRE_SHARDS", "48"), ("TIDEWIRE_WAL_FILE_BYTES", "1MiB")];
    let server = Server::start_in(&folder, true, &variables);
    let lines: String = (0..1_000).map(|i| format!("m,host=h{i} v={i}i 1\n")).collect();
    assert_eq!(server.request("POST", "/api/v1/write", &[], lines.as_bytes()).status(), 200);
    let together = Barrier::new(CLIENTS);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = Client::connect(&server.address);
                together.wait();
                for _ in 0..3 {
                    client.send("POST", "/api/v1/sql", &[], b"SELECT count(v) AS n, sum(v) AS s FROM m");
                    let response = client.read(false);
                    assert_eq!((response.status(), response.text().as_str()), (200, "n,s\n1000,499500\n"));
                }
            });
        }
    });
}
