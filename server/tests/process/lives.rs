//! A write that is under way while what it writes to is dropped and made again: its rows come under their own names
//! into what has the name now, or it is refused and leaves nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::common::Server;

const ROUTES: [(&str, u16); 2] = [("/api/v1/write", 200), ("/write", 204)];

/// A write whose body is sent when the test says so.
struct SlowWrite(BufReader<TcpStream>);

impl SlowWrite {
    /// Begins a write of `length` bytes; returns when its handler asks for the body, and so has chosen its caches.
    fn begin(server: &Server, target: &str, length: usize) -> Self {
        let mut stream = BufReader::new(TcpStream::connect(&server.address).expect("the server listens"));
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: \
             {length}\r\n\r\n"
        );
        stream.get_mut().write_all(head.as_bytes()).expect("the server reads");
        let mut line = String::new();
        stream.read_line(&mut line).expect("a line");
        assert_eq!(line, "HTTP/1.1 100 Continue\r\n");
        stream.read_line(&mut line).expect("a line");
        Self(stream)
    }

    fn send(&mut self, piece: &str) {
        self.0.get_mut().write_all(piece.as_bytes()).expect("the server reads");
    }

    /// The status and the body of the reply.
    fn end(mut self, piece: &str) -> (u16, String) {
        self.send(piece);
        let mut reply = String::new();
        self.0.read_to_string(&mut reply).expect("UTF-8");
        let status = reply.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, reply.split_once("\r\n\r\n").expect("an end of the head").1.to_owned())
    }
}

fn write(server: &Server, target: &str, body: &str) -> u16 {
    server.request("POST", target, &[], body.as_bytes()).status()
}

fn define(server: &Server, statements: &[&str]) {
    for statement in statements {
        let reply = server.sql("public", statement);
        assert_eq!(reply.status(), 200, "{statement}: {}", reply.text());
    }
}

fn rows(server: &Server, query: &str) -> String {
    server.sql("public", query).text()
}

/// Both cores have met the table's series, and know their ids.
fn warm_up(server: &Server, target: &str) {
    let body: String = "abcdefgh".chars().map(|host| format!("z,h={host} v=1i 1\n")).collect();
    for _ in 0..8 {
        assert_eq!(write(server, target, &body) / 100, 2);
    }
}

#[test]
fn ids_of_one_life_of_a_table_are_of_no_use_in_the_next() {
    let server = Server::start();
    for (route, good) in ROUTES {
        let target = format!("{route}?db=public");
        for field in ["w", "v"] {
            define(&server, &["DROP TABLE IF EXISTS z", "CREATE TABLE z (v BIGINT, TAGS(h))"]);
            warm_up(&server, &target);
            let known: String =
                "abcdefgh".chars().zip(70..).map(|(h, v)| format!("z,h={h} v={v}i {}\n", v + 130)).collect();
            let body = format!("z,h=OTHER0 {field}=5i,n=1i 100\n{known}");
            let slow = SlowWrite::begin(&server, &target, body.len());
            define(&server, &["DROP TABLE z", &format!("CREATE TABLE z ({field} BIGINT, TAGS(h))")]);
            let others: String = (0..16).map(|host| format!("z,h=OTHER{host} {field}=1i 50\n")).collect();
            assert_eq!(write(&server, &target, &others) / 100, 2);
            assert_eq!(slow.end(&body).0, good);
            let mut expected = "h,v\n".to_owned();
            "abcdefgh".chars().zip(70..).for_each(|(host, value)| expected.push_str(&format!("{host},{value}\n")));
            assert_eq!(
                rows(&server, "SELECT h, v FROM z WHERE time >= 200 ORDER BY time"),
                expected,
                "{route} {field}"
            );
            let others = rows(&server, &format!("SELECT count({field}) AS n, max(n) AS m FROM z WHERE time <= 100"));
            assert_eq!(others, "n,m\n17,1\n");
        }
    }
}

#[test]
fn a_body_whose_beginning_was_read_for_an_earlier_life_is_refused_whole() {
    let server = Server::start();
    // Longer than what one look at the socket gives, so that it comes in pieces.
    let beginning: String = (0..20_000).map(|row| format!("z,h=a v=1i {row}\nother,h=a v=1i {row}\n")).collect();
    for (route, good) in ROUTES {
        let target = format!("{route}?db=public");
        for (case, change) in [
            ["DROP TABLE z", "CREATE TABLE z (v BIGINT, TAGS(h))"],
            ["DROP TABLE z", "CREATE TABLE z (v STRING, TAGS(h))"],
            ["ALTER TABLE z DROP v", "ALTER TABLE z ADD FIELD v BIGINT"],
            ["ALTER TABLE z DROP v", "ALTER TABLE z ADD FIELD v STRING"],
            ["DROP TABLE z", "SELECT 1"],
        ]
        .into_iter()
        .enumerate()
        {
            // Its own values suit what has the name now.
            let value = if change[1].contains("STRING") { "\"two\"" } else { "2i" };
            let rest = &format!("z,h=a v={value} 999999\nother,h=a v=2i 999999\n");
            define(&server, &["DROP TABLE IF EXISTS z", "CREATE TABLE z (v BIGINT, k BIGINT, TAGS(h))"]);
            define(&server, &["DROP TABLE IF EXISTS other", "CREATE TABLE other (v BIGINT, TAGS(h))"]);
            warm_up(&server, &target);
            let mut slow = SlowWrite::begin(&server, &target, beginning.len() + rest.len());
            slow.send(&beginning);
            server.wait_until("the beginning is read", |server| {
                server.metric("tidewire_memory_bytes", "part=\"requests\"") > 500_000.0
            });
            define(&server, &change);
            let (status, reply) = slow.end(rest);
            assert_eq!(status, 503, "{route} {change:?}: {reply}");
            assert!(reply.contains("a table changed while it was being written; send the request again"), "{reply}");
            assert_eq!(rows(&server, "SELECT count(*) AS n FROM other"), "n\n0\n", "nothing of it is there");
            if case < 4 {
                assert_eq!(rows(&server, "SELECT count(v) AS n FROM z"), "n\n0\n");
            }
            if matches!(case, 0 | 2 | 4) {
                assert_eq!(write(&server, &target, &format!("{beginning}{rest}")), good);
                assert_eq!(rows(&server, "SELECT count(v) AS n, sum(v) AS s FROM z"), "n,s\n20001,20002\n");
            }
        }
    }
}

#[test]
fn a_column_that_comes_again_gets_the_values_that_are_sent_to_it() {
    let server = Server::start();
    for (route, good) in ROUTES {
        let target = format!("{route}?db=public");
        for (kind, value) in [("BIGINT", "5i"), ("STRING", "\"five\"")] {
            define(&server, &["DROP TABLE IF EXISTS z", "CREATE TABLE z (v BIGINT, k BIGINT, TAGS(h))"]);
            warm_up(&server, &target);
            let body = format!("z,h=a v={value} 7\n");
            let slow = SlowWrite::begin(&server, &target, body.len());
            define(&server, &["ALTER TABLE z DROP v", &format!("ALTER TABLE z ADD FIELD v {kind}")]);
            assert_eq!(slow.end(&body).0, good);
            let shown = value.trim_end_matches('i').trim_matches('"');
            assert_eq!(rows(&server, "SELECT h, v FROM z WHERE time = 7"), format!("h,v\na,{shown}\n"));
        }
    }
}

#[test]
fn a_database_that_comes_again_is_written_to_by_its_own_terms() {
    let server = Server::start();
    for (route, good) in ROUTES {
        let target = format!("{route}?db=d&precision=ms");
        define(&server, &["DROP DATABASE IF EXISTS d", "CREATE DATABASE d WITH PRECISION 'ms'"]);
        warm_up(&server, &target);
        let body = "z,h=b v=5i 7\nnew,h=b v=5i 7\n";
        let slow = SlowWrite::begin(&server, &target, body.len());
        define(&server, &["DROP DATABASE d", "CREATE DATABASE d WITH PRECISION 'ns'"]);
        assert_eq!(write(&server, &format!("{route}?db=d"), "z,h=x v=1i 1\n"), good);
        assert_eq!(slow.end(body).0, good);
        for table in ["z", "new"] {
            let found = server.sql("d", &format!("SELECT time, h, v FROM {table} WHERE h = 'b'")).text();
            assert_eq!(found, "time,h,v\n1970-01-01T00:00:00.007000000,b,5\n", "{route} {table}");
        }
        // What was read by the terms of the one before cannot be written into the next.
        let beginning: String = (0..40_000).map(|row| format!("late,h=a v=1i {row}\n")).collect();
        define(&server, &["DROP DATABASE d", "CREATE DATABASE d WITH PRECISION 'ms'"]);
        let mut slow = SlowWrite::begin(&server, &target, beginning.len() + 1);
        slow.send(&beginning);
        server.wait_until("the beginning is read", |server| {
            server.metric("tidewire_memory_bytes", "part=\"requests\"") > 500_000.0
        });
        define(&server, &["DROP DATABASE d", "CREATE DATABASE d WITH PRECISION 'ns'"]);
        assert_eq!(slow.end("\n").0, 503);
        assert_eq!(server.sql("d", "SHOW TABLES").text(), "table_name\n");
    }
}

#[test]
fn a_retention_policy_that_comes_again_has_tables_of_its_own() {
    let server = Server::start();
    let target = "/write?db=public&rp=p";
    let influx = |statement: &str| {
        let target = format!("/query?db=public&q={}", statement.replace(' ', "%20"));
        let reply = server.request("POST", &target, &[], b"");
        assert!(!reply.text().contains("error"), "{statement}: {}", reply.text());
        reply.text()
    };
    influx("CREATE RETENTION POLICY p ON public DURATION 0s REPLICATION 1");
    warm_up(&server, target);
    let body = "z,h=OTHER v=4i 100\nz,h=a v=5i 7\nz,h=b v=6i 8\n";
    let slow = SlowWrite::begin(&server, target, body.len());
    influx("DROP RETENTION POLICY p ON public");
    influx("CREATE RETENTION POLICY p ON public DURATION 0s REPLICATION 1");
    let others: String = (0..16).map(|host| format!("z,h=OTHER{host} w=1i 50\n")).collect();
    assert_eq!(write(&server, target, &others), 204);
    assert_eq!(slow.end(body).0, 204);
    let body = b"z,h=a check=1i 9\n";
    assert_eq!(server.request("POST", target, &[], body).status(), 204);
    server.request("POST", "/query?q=ALTER%20RETENTION%20POLICY%20p%20ON%20public%20DEFAULT", &[], b"");
    let found = rows(&server, "SELECT h, v, w FROM z WHERE time < 50 OR time = 100 ORDER BY time");
    assert_eq!(found, "h,v,w\na,5,\nb,6,\na,,\nOTHER,4,\n");
}

#[test]
fn a_series_that_was_deleted_is_written_again_under_its_own_name() {
    let server = Server::start();
    for (route, good) in ROUTES {
        let target = format!("{route}?db=public");
        define(&server, &["DROP TABLE IF EXISTS z"]);
        warm_up(&server, &target);
        let body: String = "hgfedcba".chars().zip(70..).map(|(host, v)| format!("z,h={host} v={v}i {v}\n")).collect();
        let slow = SlowWrite::begin(&server, &target, body.len());
        define(&server, &["DELETE FROM z WHERE time < 1000"]);
        let others: String = (0..16).map(|host| format!("z,h=OTHER{host} v=1i 50\n")).collect();
        assert_eq!(write(&server, &target, &others), good);
        assert_eq!(slow.end(&body).0, good);
        let expected: String = "hgfedcba".chars().zip(70..).map(|(host, v)| format!("{host},{v}\n")).collect();
        assert_eq!(rows(&server, "SELECT h, v FROM z WHERE time > 60 ORDER BY time"), format!("h,v\n{expected}"));
        assert_eq!(rows(&server, "SELECT count(*) AS n FROM z"), "n\n24\n");
    }
}
