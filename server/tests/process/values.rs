//! What is written comes back as it was: by every door, in every format, from memory and from segments.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::common::{Response, Server, fresh_folder};

/// A server that flushes what is in memory soon.
fn flushing_server() -> Server {
    Server::start_in(&fresh_folder(), true, &[("TIDEWIRE_MEMTABLE_FLUSH_IDLE_S", "1")])
}

fn flushed(server: &Server) {
    server.wait_until("all rows are in segments", |server| server.metric("tidewire_memtable_rows", "") == 0.0);
}

/// What arrives for these bytes, the connection's end included.
fn raw(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(&server.address).expect("the server accepts");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout can be set");
    stream.write_all(bytes).expect("the request is sent");
    stream.shutdown(Shutdown::Write).expect("the sending side closes");
    let mut text = Vec::new();
    // A reset behind the reply says no more than its end.
    let _ = stream.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn write_influx(server: &Server, target: &str, lines: &str) -> Response {
    server.request("POST", &format!("/write?{target}"), &[], lines.as_bytes())
}

fn write_cnos(server: &Server, target: &str, lines: &str) -> Response {
    server.request("POST", &format!("/api/v1/write?{target}"), &[], lines.as_bytes())
}

fn told(response: &Response) -> String {
    let body: serde_json::Value = serde_json::from_slice(&response.body).expect("JSON");
    body["error"].as_str().or(body["error_message"].as_str()).unwrap_or_default().to_owned()
}

#[test]
fn both_zeros_are_one_number() {
    let server = flushing_server();
    let lines = "t,s=a temp=-0.0 1\nt,s=a temp=0.0 2\nt,s=a temp=1 3\nt,s=a temp=-1 4\nt,s=b temp=-0 5";
    assert_eq!(write_influx(&server, "db=public", lines).status(), 204);
    for _ in 0..2 {
        for (condition, count) in [
            ("temp = 0", 3),
            ("temp <> 0", 2),
            ("temp < 0", 1),
            ("temp > -0.0", 1),
            ("temp >= 0", 4),
            ("temp IN (0, 1)", 4),
            ("temp BETWEEN 0 AND 1", 4),
            ("s = 'b' AND temp >= 0", 1),
            ("CASE temp WHEN 0 THEN true ELSE false END", 3),
            ("nullif(temp, 0) IS NULL", 3),
        ] {
            let found = server.sql("public", &format!("SELECT count(*) AS n FROM t WHERE {condition}")).text();
            assert_eq!(found, format!("n\n{count}\n"), "{condition}");
        }
        let groups = server.sql("public", "SELECT temp, count(*) AS n FROM t GROUP BY temp ORDER BY temp").text();
        assert_eq!(groups, "temp,n\n-1.0,1\n0.0,3\n1.0,1\n");
        assert_eq!(server.sql("public", "SELECT count(DISTINCT temp) AS n FROM t").text(), "n\n3\n");
        flushed(&server);
    }
    assert_eq!(server.sql("public", "SELECT 0.0 = -0.0 AS x").text(), "x\ntrue\n");
}

#[test]
fn an_overflow_names_what_overflows() {
    let server = Server::start();
    let lines = format!("g,h=a i={}i,n=1u 1\ng,h=b i=1i,n={}u 2\ng,h=c i=5i,n=1u 3", i64::MAX, u64::MAX);
    assert_eq!(write_cnos(&server, "db=public", &lines).status(), 200);
    for (text, part) in [
        ("SELECT sum(i) FROM g", "SUM(g.i)"),
        ("SELECT sum(n) AS total FROM g", "SUM(g.n)"),
        ("SELECT i + 1 FROM g", "i + 1"),
        ("SELECT i FROM g WHERE i * 2 > 4", "i * 2"),
        ("SELECT max(n + 1) FROM g", "CAST(n AS Int64) + 1"),
        ("SELECT -n FROM g", "n"),
        ("SELECT 9223372036854775807 + 1", "9223372036854775807 + 1"),
    ] {
        let response = server.sql("public", text);
        assert_eq!(response.status(), 422, "{text}");
        let words = told(&response);
        assert!(words.starts_with("Arrow error: Arithmetic overflow: ") && words.contains(part), "{text}: {words}");
    }
    assert_eq!(server.sql("public", "SELECT sum(i) AS s FROM g WHERE h <> 'a'").text(), "s\n6\n");
}

#[test]
fn quotes_inside_a_string_are_kept() {
    let server = Server::start();
    let lines = "log,h=a msg=\"{\"k\":\"v\",\"n\":1}\" 5\nlog,h=a msg=\"<a href=\"x\">y</a>\" 6\nlog,h=a msg=\"a\"b\"c\" 7\n\
                 log,h=a msg=\"a\"\"b\" 8";
    assert_eq!(write_influx(&server, "db=public", lines).status(), 204);
    let format = [("Accept", "application/nd-json")];
    let found = server.request("POST", "/api/v1/sql", &format, b"SELECT msg FROM log ORDER BY time").text();
    let expected = [r#"{"k":"v","n":1}"#, r#"<a href="x">y</a>"#, r#"a"b"c"#, r#"a""b"#];
    let expected: String = expected.iter().map(|text| format!("{}\n", serde_json::json!({ "msg": text }))).collect();
    assert_eq!(found.trim_end(), expected.trim_end());
    // What stands behind the last quote has no place; the line is named and the others are written.
    for (line, reason) in [
        ("log msg=\"a\"b 9", "invalid field format"),
        ("log msg=\"a\"\r", "invalid field format"),
        ("log msg=\"a\"b\" 9", "unbalanced quotes"),
    ] {
        let response = write_influx(&server, "db=public", &format!("ok v=1 1\n{line}"));
        assert_eq!(response.status(), 400);
        assert_eq!(told(&response), format!("partial write: unable to parse '{line}': {reason} dropped=0"));
    }
    // CnosDB's route refuses the whole body.
    assert_eq!(write_cnos(&server, "db=public", "log2 msg=\"a\"b\"c\" 7").status(), 422);
}

#[test]
fn two_values_of_one_name_are_refused_by_their_place() {
    let server = Server::start();
    let response = write_influx(&server, "db=public", "m v=1 1\nm v=2,w=1,v=3 2\nm v=4,v=4 3");
    assert_eq!(response.status(), 400);
    let reason = "unable to parse 'm v=2,w=1,v=3 2': field \"v\" has two values, the second at column 11";
    assert_eq!(told(&response), format!("partial write: {reason} dropped=0"));
    assert_eq!(server.sql("public", "SELECT v FROM m ORDER BY time").text(), "v\n1.0\n4.0\n");
    for (body, place) in
        [("m v=1 5\nm v=1,v=2 6", "field 'v' has two values at 14"), ("m,t=a,t=b v=1 7", "tag 't' has two values at 9")]
    {
        let response = write_cnos(&server, "db=public", body);
        assert_eq!((response.status(), told(&response)), (422, format!("Error parsing message: {place}")), "{body}");
    }
    assert_eq!(server.sql("public", "SELECT count(*) AS n FROM m").text(), "n\n2\n");
}

#[test]
fn a_write_without_a_length_is_refused() {
    let server = Server::start();
    for head in [
        "POST /write?db=public HTTP/1.0\r\n",
        "POST /write?db=public HTTP/1.1\r\nHost: x\r\nConnection: close\r\n",
        "POST /write?db=public HTTP/1.1\r\nHost: x\r\n",
        "POST /api/v1/write HTTP/1.0\r\n",
        "POST /api/v1/sql HTTP/1.1\r\nHost: x\r\n",
        "POST /query HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n",
    ] {
        let reply = raw(&server, format!("{head}\r\nm v=1 1\n").as_bytes());
        assert_eq!(reply.split(' ').nth(1), Some("411"), "{head}: {reply}");
        // What follows the head is not taken for another request.
        assert_eq!(reply.matches("HTTP/1.1 ").count(), 1, "{head}: {reply}");
    }
    // No body is an answer too, and the statement may stand in the URL.
    let reply = raw(&server, b"POST /query?q=SHOW+DATABASES HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    let reply =
        raw(&server, b"POST /write?db=public HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert!(reply.starts_with("HTTP/1.1 204"), "{reply}");
    assert_eq!(server.sql("public", "SHOW TABLES").text(), "table_name\n");
}

/// A body that breaks off is none, whatever of it has arrived.
#[test]
fn of_a_body_that_breaks_off_nothing_is_written() {
    let server = Server::start();
    let compressed = {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let lines: String = (0..2_000).map(|time| format!("m,h=a v={time} {time}\n")).collect();
        encoder.write_all(lines.as_bytes()).expect("memory takes it");
        encoder.finish().expect("memory takes it")
    };
    let half = &compressed[..compressed.len() / 2];
    for route in ["/write?db=public", "/api/v1/write"] {
        let head = format!("POST {route} HTTP/1.1\r\nHost: x\r\n");
        let plain = format!("{head}Content-Length: 100\r\n\r\nm v=1 1\nm v=2 2\n");
        let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n10\r\nm v=1 1\nm v=2 2\n\r\n");
        let within_chunk = format!("{head}Transfer-Encoding: chunked\r\n\r\nff\r\nm v=1 1\nm v=2 2\n");
        for request in [plain, chunked, within_chunk] {
            let reply = raw(&server, request.as_bytes());
            assert!(!reply.contains(" 200 ") && !reply.contains(" 204 "), "{reply}");
        }
        let mut request =
            format!("{head}Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", half.len()).into_bytes();
        request.extend_from_slice(half);
        let reply = raw(&server, &request);
        assert!(reply.starts_with("HTTP/1.1 4"), "{reply}");
    }
    assert_eq!(server.sql("public", "SHOW TABLES").text(), "table_name\n");
}

/// Bytes that mean something to somebody, in tags and strings.
#[test]
fn odd_bytes_come_back() {
    let server = flushing_server();
    let texts = ["a\\b", "a\\", "\\", "nul\0inside", "tab\there", "cr\rlf", "ü☃", "'q'", "=,", "a\u{7f}b"];
    let escape_tag = |text: &str| text.replace(',', "\\,").replace('=', "\\=").replace(' ', "\\ ");
    let escape_string = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut lines = String::new();
    for (time, text) in texts.iter().enumerate() {
        // InfluxDB cannot say a backslash that ends a tag.
        if !text.ends_with('\\') {
            lines.push_str(&format!("o,t={} k=\"tag\",v={time}i {time}\n", escape_tag(text)));
        }
        lines.push_str(&format!("o,u=x k=\"{}\",v={time}i {}\n", escape_string(text), 100 + time));
    }
    let response = write_influx(&server, "db=public", &lines);
    assert_eq!(response.status(), 204, "{}", response.text());
    for _ in 0..2 {
        let format = [("Accept", "application/json")];
        let found = server.request("POST", "/api/v1/sql", &format, b"SELECT t, k, v, u FROM o ORDER BY time");
        let rows: Vec<serde_json::Value> = serde_json::from_slice(&found.body).expect("JSON");
        let back = |of: &str| -> Vec<&str> {
            let rows = rows.iter().filter(|row| (row.get("u").is_some()) == (of == "k"));
            rows.filter_map(|row| row[of].as_str()).collect()
        };
        assert_eq!(back("k"), texts);
        let tags: Vec<&str> = texts.into_iter().filter(|text| !text.ends_with('\\')).collect();
        assert_eq!(back("t"), tags);
        flushed(&server);
    }
}

#[test]
fn times_before_1970_are_rounded_down_by_every_door() {
    let server = Server::start();
    server.sql("public", "CREATE DATABASE ms WITH PRECISION 'ms'");
    server.sql("public", "CREATE DATABASE us WITH PRECISION 'us'");
    let nanoseconds: [i64; 8] = [-1_999_999, -1_000_001, -1_000_000, -999_999, -1, 0, 1, 999_999];
    let lines = |table: &str| -> String {
        let lines = nanoseconds.iter().enumerate().map(|(at, time)| format!("{table},n=n{at} v={at}i {time}\n"));
        lines.collect()
    };
    for (database, unit) in [("ms", 1_000_000), ("us", 1_000)] {
        assert_eq!(write_cnos(&server, &format!("db={database}&precision=ns"), &lines("c")).status(), 200);
        assert_eq!(write_influx(&server, &format!("db={database}&precision=ns"), &lines("i")).status(), 204);
        server.sql(database, "CREATE TABLE s (v BIGINT, TAGS(n))");
        let values: Vec<String> = nanoseconds
            .iter()
            .enumerate()
            .map(|(at, time)| {
                let second = if *time < 0 { "1969-12-31T23:59:59" } else { "1970-01-01T00:00:00" };
                format!("('{second}.{:09}', 'n{at}', {at})", time.rem_euclid(1_000_000_000))
            })
            .collect();
        let inserted = server.sql(database, &format!("INSERT INTO s (time, n, v) VALUES {}", values.join(", ")));
        assert_eq!(inserted.status(), 200, "{}", inserted.text());
        let expected: String = nanoseconds.iter().map(|time| format!("{}\n", time.div_euclid(unit))).collect();
        let points = nanoseconds.iter().enumerate().map(|(at, time)| format!("o {time} {at} n=n{at}\n"));
        let target = format!("/api/v1/opentsdb/write?db={database}&precision=ns");
        let written = server.request("POST", &target, &[], points.collect::<String>().as_bytes());
        assert!(written.status() < 300, "{}", written.text());
        for (table, field) in [("c", "v"), ("i", "v"), ("s", "v"), ("o", "value")] {
            let text = format!("SELECT CAST(time AS BIGINT) AS t FROM {table} ORDER BY {field}");
            assert_eq!(server.sql(database, &text).text(), format!("t\n{expected}"), "{database} {table}");
        }
    }
}

/// A time that is taken can be shown in every format; one that is not is refused by every door.
#[test]
fn a_time_is_shown_or_refused() {
    const FIRST_MS: i64 = -62_135_596_800_000;
    const LAST_MS: i64 = 253_402_300_799_999;
    let server = flushing_server();
    server.sql("public", "CREATE DATABASE ms WITH PRECISION 'ms'");
    server.sql("public", "CREATE DATABASE us WITH PRECISION 'us'");
    for (database, scale) in [("ms", 1), ("us", 1_000)] {
        let (first, last) = (FIRST_MS * scale, LAST_MS * scale + scale - 1);
        let outside = [first - 1, last + 1, 1_566_086_400_000_000_000, i64::MAX, i64::MIN + 2, i64::MIN];
        for time in outside {
            let line = format!("census,site=k bees=23 5\ncensus,site=m bees=30 {time}");
            let response = write_cnos(&server, &format!("db={database}&precision={database}"), &line);
            assert_eq!(response.status(), 422, "{time}");
            assert!(response.text().contains("timestamp overflow"), "{}", response.text());
            let response = write_influx(
                &server,
                &format!("db={database}&precision={database}"),
                &format!("census,site=m bees=30 {time}"),
            );
            assert_eq!(response.status(), 400, "{time}");
            assert!(told(&response).contains("time outside range"), "{}", response.text());
            server.sql(database, "CREATE TABLE IF NOT EXISTS hive (bees BIGINT)");
            let response = server.sql(database, &format!("INSERT INTO hive (time, bees) VALUES ({time}, 1)"));
            assert_eq!((response.status(), told(&response)), (422, "timestamp overflow".to_owned()), "{time}");
        }
        let line = format!("census,site=k bees=23i {first}\ncensus,site=k bees=24i {last}\ncensus,site=k bees=25i 0");
        assert_eq!(write_cnos(&server, &format!("db={database}&precision={database}"), &line).status(), 200);
        let fraction = if scale == 1 { "999" } else { "999999" };
        for _ in 0..2 {
            for accept in
                ["application/csv", "application/tsv", "application/json", "application/nd-json", "application/table"]
            {
                let target = format!("/api/v1/sql?db={database}");
                let response =
                    server.request("POST", &target, &[("Accept", accept)], b"SELECT * FROM census ORDER BY time");
                assert_eq!(response.status(), 200, "{accept}");
                let text = response.text();
                assert!(!text.contains("rror"), "{accept}: {text}");
                for time in [
                    "0001-01-01T00:00:00".to_owned(),
                    "1970-01-01T00:00:00".to_owned(),
                    format!("9999-12-31T23:59:59.{fraction}"),
                ] {
                    assert!(text.contains(&time), "{accept}: {time} is not in {text}");
                }
            }
            // Times that are computed have a text, too, or the query fails.
            let far =
                server.sql(database, "SELECT time + INTERVAL '3000 years' AS t FROM census ORDER BY time DESC LIMIT 1");
            assert!(far.text().contains("+12999-12-31T23:59:59.999") || far.status() == 422, "{}", far.text());
            flushed(&server);
        }
    }
}

/// The ends of time in nanoseconds, and of integers.
#[test]
fn extremes_come_back() {
    let server = flushing_server();
    let (min, max) = (i64::MIN, i64::MAX);
    let lines = format!(
        "e,h=a v=1i {min}\ne,h=a v=2i {}\ne,h=a v=3i -1\ne,h=a v=4i 0\ne,h=a v=5i {}\ne,h=a v=6i {max}",
        min + 1,
        max - 1
    );
    assert_eq!(write_cnos(&server, "db=public", &lines).status(), 200);
    server.sql("public", "CREATE TABLE g (a DOUBLE, n BIGINT UNSIGNED, i BIGINT, TAGS(h))");
    let values = "(1, 'NaN', 18446744073709551615, -1, 'x'), (2, 'inf', 9223372036854775808, 1, 'x'), \
                  (3, '-inf', 0, 9223372036854775807, '')";
    for (values, rows) in [(values, 3), ("(4, -0.0, 1, -9223372036854775808, NULL)", 1)] {
        let inserted = server.sql("public", &format!("INSERT INTO g (time, a, n, i, h) VALUES {values}"));
        assert_eq!(inserted.text(), format!("rows\n{rows}\n"));
    }
    for _ in 0..2 {
        for (text, expected) in [
            ("SELECT v FROM e ORDER BY time", "v\n1\n2\n3\n4\n5\n6\n"),
            ("SELECT v FROM e ORDER BY time DESC LIMIT 2", "v\n6\n5\n"),
            ("SELECT v FROM e WHERE time <= CAST(-9223372036854775808 AS TIMESTAMP)", "v\n1\n"),
            ("SELECT last(time, v) AS l, first(time, v) AS f FROM e", "l,f\n6,1\n"),
            ("SELECT a FROM g WHERE a = 0", "a\n-0.0\n"),
            ("SELECT count(*) AS n FROM g WHERE a > 1e308", "n\n2\n"),
            ("SELECT max(a) AS x, min(a) AS y, count(a) AS n FROM g", "x,y,n\nNaN,-inf,4\n"),
            (
                "SELECT n FROM g WHERE n > 9223372036854775807 ORDER BY n",
                "n\n9223372036854775808\n18446744073709551615\n",
            ),
            ("SELECT i FROM g WHERE i < n ORDER BY i", "i\n-9223372036854775808\n-1\n1\n"),
            ("SELECT sum(i) AS s, max(n) AS x FROM g", "s,x\n-1,18446744073709551615\n"),
        ] {
            assert_eq!(server.sql("public", text).text(), expected, "{text}");
        }
        assert_eq!(server.sql("public", "SELECT sum(n) FROM g").status(), 422);
        flushed(&server);
    }
}
