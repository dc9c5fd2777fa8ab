//! Replies as they are on the wire: status line, headers in their order, body. `replies.txt` is a dialogue with one
//! server, requests and what they are answered; a test sends the requests and compares the whole text.
//!
//! ```text
//!   > POST /write?db=d          a request; its headers and its body, if it has any, follow
//!   > Content-Type: text/plain
//!   | m v=1 1                   a line of the body (without the last line's end); `|70000*x` is a line of many x
//!   < 400 Bad Request           the reply, in the same form; `Date` is left out, an id that the server made is UUID
//!   < Content-Length: 31
//!   | {"error":"…"}
//! ```
//!
//! A line of a reply's body that ends with `\` has no end of its own. Lines with `#` and empty ones structure the text.
//! When a reply differs, the text as it would be now is left beside the test's other files.

use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use crate::common::{Client, Response, Server, fresh_folder};

const DIALOGUE: &str = include_str!("replies.txt");

/// A request of the dialogue.
#[derive(Default)]
struct Asked<'t> {
    method: &'t str,
    target: &'t str,
    headers: Vec<(&'t str, &'t str)>,
    body: Vec<String>,
}

fn body_line(text: &str) -> String {
    match text.split_once('*') {
        Some((count, unit)) if !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit()) => {
            unit.repeat(count.parse().expect("a count"))
        }
        _ => text.strip_prefix(' ').unwrap_or(text).to_owned(),
    }
}

/// Whether an id looks as those that the server makes: a UUID that holds its time.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            14 => byte == b'1',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

fn show(response: &Response) -> String {
    let status = response.status_line.strip_prefix("HTTP/1.1 ").expect("a version");
    let mut text = format!("< {status}\n");
    for (name, value) in response.headers.iter().filter(|(name, _)| name != "Date") {
        let value = if name.ends_with("Request-Id") && is_uuid(value) { "UUID" } else { value };
        text.push_str(&format!("< {name}: {value}\n"));
    }
    for line in response.text().split_inclusive('\n') {
        match line.strip_suffix('\n') {
            Some(whole) => text.push_str(&format!("| {whole}\n")),
            None => text.push_str(&format!("| {line}\\\n")),
        }
    }
    text
}

fn answer(server: &Server, asked: &Asked<'_>) -> String {
    let mut client = Client::connect(&server.address);
    client.send(asked.method, asked.target, &asked.headers, asked.body.join("\n").as_bytes());
    show(&client.read(asked.method == "HEAD"))
}

#[test]
fn every_reply_is_as_it_was() {
    let folder = fresh_folder();
    let variables = [("TIDEWIRE_HTTP_BODY_BYTES_MAX_WRITE", "64KiB"), ("TIDEWIRE_HTTP_BODY_BYTES_MAX_SQL", "32KiB")];
    let server = Server::start_in(&folder, true, &variables);
    let (mut said, mut asked) = (String::new(), None::<Asked<'_>>);
    let settle = |said: &mut String, asked: &mut Option<Asked<'_>>| {
        if let Some(asked) = asked.take() {
            said.push_str(&answer(&server, &asked));
        }
    };
    let mut is_reply = false;
    for line in DIALOGUE.lines() {
        if line.starts_with('<') || (is_reply && line.starts_with('|')) {
            is_reply = true;
            continue;
        }
        is_reply = false;
        match (line.strip_prefix("> "), line.strip_prefix('|'), &mut asked) {
            (Some(request), _, None) => {
                let (method, target) = request.split_once(' ').expect("a method and a target");
                asked = Some(Asked { method, target, ..Asked::default() });
            }
            (Some(header), _, Some(asked)) => asked.headers.push(header.split_once(": ").expect("a header")),
            (None, Some(body), Some(asked)) => asked.body.push(body_line(body)),
            _ => settle(&mut said, &mut asked),
        }
        said.push_str(line);
        said.push('\n');
    }
    settle(&mut said, &mut asked);
    if said != DIALOGUE {
        let left = Path::new(env!("CARGO_TARGET_TMPDIR")).join("replies.txt");
        std::fs::write(&left, &said).expect("the text can be left");
        let differs = said.lines().zip(DIALOGUE.lines()).enumerate().find(|(_, (now, before))| now != before);
        panic!("line {differs:#?} (now, before); all of it as it is now: {}", left.display());
    }
}

/// What arrives for a request: all bytes, and how the connection ended.
fn raw(server: &Server, version: &str, target: &str, body: &[u8]) -> (Vec<u8>, std::io::Result<()>) {
    let mut stream = std::net::TcpStream::connect(&server.address).expect("the server accepts");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout can be set");
    let head = format!("POST {target} {version}\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).expect("the request is sent");
    let mut bytes = Vec::new();
    let ended = stream.read_to_end(&mut bytes).map(drop);
    (bytes, ended)
}

/// A server with a table of texts, of which only the last is no number.
fn server_of_texts() -> Server {
    const ROWS: usize = 20_000;
    let server = Server::start();
    let mut lines: String = (0..ROWS).map(|time| format!("m s=\"{time}\" {time}\n")).collect();
    lines.push_str(&format!("m s=\"x\" {ROWS}\n"));
    assert_eq!(server.request("POST", "/api/v1/write", &[], lines.as_bytes()).status(), 200);
    server
}

const LATE_FAILURE: &str = "SELECT CAST(s AS BIGINT) AS n FROM m";
const LATE_REASON: &str = "Arrow error: Cast error: Cannot cast string 'x' to value of Int64 type";

/// An error that comes after the first rows: where chunks were asked for, it comes behind them, as CnosDB does it,
/// and then the reply breaks off, so that nobody takes it for whole; and in place of the rows where not.
#[test]
fn an_error_behind_rows_is_told_and_breaks_the_reply_off() {
    let server = server_of_texts();
    let late = format!("\n{{\"error_code\": \"040007\", \"error_message\": \"Fetch result: {LATE_REASON}\"}}");
    for (times, version) in [(1.0, "HTTP/1.1"), (2.0, "HTTP/1.0")] {
        let (bytes, ended) = raw(&server, version, "/api/v1/sql?chunked=true", LATE_FAILURE.as_bytes());
        let text = String::from_utf8_lossy(&bytes);
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(body.contains("n\n0\n1\n2\n"), "{}", &body[..40]);
        if version == "HTTP/1.1" {
            assert!(head.contains("Transfer-Encoding: chunked"), "{head}");
            assert!(
                body.ends_with(&format!("{late}\r\n")),
                "the text is the last chunk: {}",
                &body[body.len() - 200..]
            );
            ended.expect("the connection closes");
        } else {
            assert!(!head.contains("chunked"), "{head}");
            assert!(body.ends_with(&late), "{}", &body[body.len() - 200..]);
            let error = ended.expect_err("the end of the connection would be the end of the reply");
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
        let route = "route=\"/api/v1/sql\"";
        server.wait_until("the reply is counted", |server| {
            server.metric("tidewire_replies_broken_off_total", route) == times
        });
        let failed = format!("{route},status=\"4xx\"");
        assert_eq!(server.metric("tidewire_requests_total", &failed), times);
        assert_eq!(server.metric("tidewire_requests_total", &format!("{route},status=\"2xx\"")), 0.0);
    }
    let instead = server.request("POST", "/api/v1/sql", &[], LATE_FAILURE.as_bytes());
    assert_eq!(instead.status(), 422);
    assert_eq!(instead.text(), format!("{{\"error_code\":\"010001\",\"error_message\":\"{LATE_REASON}\"}}"));
    // What ends well is whole in both versions.
    let (bytes, ended) = raw(&server, "HTTP/1.0", "/api/v1/sql?chunked=true", b"SELECT s FROM m");
    ended.expect("the connection closes");
    assert!(bytes.ends_with(b"\n19999\nx\n"));
    let whole = server.request("POST", "/api/v1/sql?chunked=true", &[], b"SELECT s FROM m");
    assert!(whole.body.ends_with(b"\n19999\nx\n"));
}

/// A reply that streams because it is long breaks off without a word: nobody asked for text behind rows.
#[test]
fn a_long_reply_that_fails_breaks_off() {
    let server = Server::start();
    let padding = "p".repeat(300);
    let mut lines: String = (0..20_000).map(|time| format!("m s=\"{time}\",p=\"{padding}\" {time}\n")).collect();
    lines.push_str("m s=\"x\",p=\"\" 20000\n");
    assert_eq!(server.request("POST", "/api/v1/write", &[], lines.as_bytes()).status(), 200);
    let text = b"SELECT CAST(s AS BIGINT) AS n, p FROM m";
    let (bytes, ended) = raw(&server, "HTTP/1.1", "/api/v1/sql", text);
    ended.expect("the connection closes");
    assert!(bytes.starts_with(b"HTTP/1.1 200") && !bytes.ends_with(b"\r\n0\r\n\r\n"));
    let (_, ended) = raw(&server, "HTTP/1.0", "/api/v1/sql", text);
    assert_eq!(ended.expect_err("it breaks off").kind(), std::io::ErrorKind::ConnectionReset);
    server.wait_until("both are counted", |server| server.metric("tidewire_replies_broken_off_total", "sql") == 2.0);
}

/// A client that reads slowly: its query runs for no longer because of it, and keeps no other from running.
#[test]
fn a_slow_reader_spends_neither_time_nor_place() {
    const LIMIT_S: u64 = 10;
    const INFLUX_FRAME: &str =
        r#"{"results":[{"statement_id":0,"series":[{"name":"m","columns":["time","s"],"values":[]}]}]} "#;
    let variables = [("TIDEWIRE_QUERY_TIMEOUT_S", "10"), ("TIDEWIRE_QUERY_CONCURRENT_MAX", "1")];
    let server = Server::start_in(&fresh_folder(), true, &variables);
    // More than sockets hold.
    let text = "t".repeat(4_000);
    for part in 0..4 {
        let lines: String = (0..2_000).map(|row| format!("m s=\"{text}\" {}\n", part * 2_000 + row)).collect();
        assert_eq!(server.request("POST", "/api/v1/write", &[], lines.as_bytes()).status(), 200);
    }
    // One sleeps longer than the limit allows, the other shows that a long reply does as one that was asked for.
    let influx = "/query?db=public&epoch=ns&q=SELECT%20s%20FROM%20m";
    for (target, statement, seconds) in [
        ("/api/v1/sql?chunked=true", "SELECT s FROM m", LIMIT_S + 1),
        ("/api/v1/sql", "SELECT s FROM m", 0),
        (influx, "", 0),
    ] {
        // The query before may hold the only place for a moment after its client has all of the reply.
        let answered = (0..20).find_map(|_| {
            let mut slow = Client::connect(&server.address);
            slow.send("POST", target, &[], statement.as_bytes());
            // Its query is in, or refused.
            slow.wait_for_reply();
            let began = std::time::Instant::now();
            server.wait_until("another query has its place", |server| {
                let status = server.sql("public", "SELECT count(*) AS n FROM m").status();
                assert!(status == 200 || status == 429, "{status}");
                status == 200
            });
            std::thread::sleep(Duration::from_secs(seconds).saturating_sub(began.elapsed()));
            let reply = slow.read(false);
            (reply.status() != 429).then_some(reply)
        });
        let reply = answered.expect("a query is let in");
        let bytes = match target == influx {
            // A row has its time, too.
            true => {
                INFLUX_FRAME.len() + (0..8_000).map(|row: u32| format!(",[{row},\"\"]").len() + 4_000).sum::<usize>()
                    - 1
            }
            false => 2 + 8_000 * 4_001,
        };
        assert_eq!((reply.status(), reply.body.len()), (200, bytes), "{target}");
    }
    assert_eq!(server.metric("tidewire_replies_broken_off_total", ""), 0.0);
}

/// A client that stops reading for too long: the rest is lost, and what arrived is not to be taken for all.
#[test]
fn a_reply_that_nobody_takes_breaks_off() {
    let server = Server::start_in(&fresh_folder(), true, &[("TIDEWIRE_HTTP_SEND_TIMEOUT_MS", "1000")]);
    let text = "t".repeat(4_000);
    for part in 0..4 {
        let lines: String = (0..2_000).map(|row| format!("m s=\"{text}\" {}\n", part * 2_000 + row)).collect();
        assert_eq!(server.request("POST", "/api/v1/write", &[], lines.as_bytes()).status(), 200);
    }
    for (times, version) in [(1.0, "HTTP/1.0"), (2.0, "HTTP/1.1")] {
        let mut stream = std::net::TcpStream::connect(&server.address).expect("the server accepts");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout can be set");
        let request =
            format!("POST /api/v1/sql {version}\r\nHost: localhost\r\nContent-Length: 15\r\n\r\nSELECT s FROM m");
        stream.write_all(request.as_bytes()).expect("the request is sent");
        server.wait_until("the server gives up", |server| {
            server.metric("tidewire_replies_broken_off_total", "sql") == times
        });
        // The connection's end follows the count.
        server.wait_until("the connection is closed", |server| server.metric("tidewire_connections", "") <= 1.0);
        let mut bytes = Vec::new();
        let ended = stream.read_to_end(&mut bytes);
        assert!(bytes.len() < 8_000 * 4_001, "{version}");
        match version {
            "HTTP/1.0" => {
                assert_eq!(ended.expect_err("it breaks off").kind(), std::io::ErrorKind::ConnectionReset);
            }
            _ => assert!(!bytes.ends_with(b"\r\n0\r\n\r\n")),
        }
    }
}
