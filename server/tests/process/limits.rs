//! Bounds of a request: at least as wide as InfluxDB's, and what is refused before a route sees it is refused in the
//! words of the API that was asked.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::common::{Response, Server, fresh_folder};

/// Sends bytes as they are, and reads to the end of the connection.
fn exchange(server: &Server, bytes: &[u8]) -> Response {
    let mut stream = TcpStream::connect(&server.address).expect("the server accepts");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout can be set");
    stream.write_all(bytes).expect("the request is sent");
    stream.shutdown(std::net::Shutdown::Write).expect("the sending side can be closed");
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).expect("a reply to its end");
    let end = reply.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(reply[..end].to_vec()).expect("a head of text");
    let mut lines = head.split("\r\n");
    let status_line = lines.next().expect("a status line").to_owned();
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
    Response { status_line, headers: lines.filter_map(header).collect(), body: reply[end + 4..].to_vec() }
}

fn get(server: &Server, target: &str, headers: &str) -> Response {
    let request = format!("GET {target} HTTP/1.1\r\nHost: t\r\n{headers}Connection: close\r\n\r\n");
    exchange(server, request.as_bytes())
}

#[test]
fn statements_of_many_kilobytes_fit_into_a_url() {
    let server = Server::start();
    for size in [12_000, 60_000, 900_000] {
        let hosts: String = (0..size / 40).map(|n| format!("%20OR%20host%3D%27server-{n:06}%27")).collect();
        let target = format!("/query?db=public&q=DELETE%20FROM%20m%20WHERE%20host%3D%27a%27{hosts}");
        let reply = get(&server, &target, "");
        assert_eq!(reply.status(), 200, "{} bytes: {}", target.len(), reply.text());
    }
    let hops: String = (0..1_000).map(|n| format!("X-Hop-{n}: v\r\n")).collect();
    assert_eq!(get(&server, "/ping", &hops).status(), 204);
}

#[test]
fn a_head_that_comes_in_small_pieces_is_read_once() {
    let server = Server::start();
    let mut stream = TcpStream::connect(&server.address).expect("the server accepts");
    stream.set_nodelay(true).expect("a socket takes that");
    let head = format!("GET /ping?x={} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", "y".repeat(400_000));
    for piece in head.as_bytes().chunks(997) {
        stream.write_all(piece).expect("a piece is sent");
    }
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("a reply");
    assert!(reply.starts_with("HTTP/1.1 204 "), "{reply}");
}

#[test]
fn bytes_that_are_no_text_pass_in_headers_that_nobody_reads() {
    let server = Server::start();
    let request = |name: &str, target: &str| {
        [
            format!("GET {target} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n{name}: Andr").as_bytes(),
            b"\xe9 \xff\r\n\r\n",
        ]
        .concat()
    };
    for name in ["X-Forwarded-User", "User-Agent", "Cookie"] {
        assert_eq!(exchange(&server, &request(name, "/ping")).status(), 204, "{name}");
    }
    let refused = exchange(&server, &request("Accept", "/query"));
    assert_eq!(
        (refused.status(), refused.text().as_str()),
        (400, "{\"error\":\"a header that is read is not UTF-8\"}\n")
    );
    // It says where rows go, so that it is not passed over.
    let head = b"POST /v1/logs HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 2\r\ntable: \xff\r\n\r\n{}";
    let refused = exchange(&server, head);
    assert_eq!(refused.status(), 400);
    assert!(refused.text().contains("the header table is not UTF-8"), "{}", refused.text());
}

#[test]
fn long_heads_are_held_within_the_bound_of_memory() {
    const CLIENTS: usize = 300;
    let server = Server::start_in(&fresh_folder(), true, &[("TIDEWIRE_MEMORY_BYTES_MAX", "64MiB")]);
    // Almost a megabyte each, and not the end of the head.
    let part = format!("GET /query?q={}", "y".repeat(900_000));
    let mut clients: Vec<TcpStream> = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = TcpStream::connect(&server.address).expect("the server accepts");
        client.set_write_timeout(Some(Duration::from_secs(5))).expect("a timeout can be set");
        // One that is refused is not read to its end.
        let _ = client.write_all(part.as_bytes());
        clients.push(client);
    }
    let held = server.metric("tidewire_memory_bytes", "part=\"connections\"");
    assert!(held < 130e6, "{held} bytes in buffers");
    assert_eq!(server.request("GET", "/ping", &[], b"").status(), 204);
    let mut refused = 0;
    for client in &mut clients {
        client.set_nonblocking(true).expect("a socket takes that");
        let mut reply = [0; 4096];
        if let Ok(length @ 1..) = client.read(&mut reply) {
            let text = String::from_utf8_lossy(&reply[..length]);
            assert!(text.starts_with("HTTP/1.1 429 ") && text.contains("\r\nRetry-After: "), "{text}");
            assert!(text.contains("{\"error\":\""), "{text}");
            refused += 1;
        }
    }
    assert!(refused > 0, "nobody is refused, {held} bytes in buffers");
}

/// How a family says that a request is refused.
fn is_in_words_of(family: &str, reply: &Response) -> bool {
    let text = reply.text();
    match family {
        "influx" => {
            text.starts_with("{\"error\":\"")
                && reply.header("X-Influxdb-Version").is_some()
                && reply.header("X-Request-Id").is_some()
        }
        "cnos" => text.starts_with("{\"error_code\":\"0"),
        "elastic" => text.contains("\"root_cause\"") && reply.header("X-Elastic-Product").is_some(),
        "otlp" => text.contains("\"code\":") && text.contains("\"message\":"),
        _ => !text.starts_with('{') && reply.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")),
    }
}

#[test]
fn what_is_refused_before_its_route_is_refused_in_the_words_of_its_api() {
    let variables = [("TIDEWIRE_HTTP_HEAD_BYTES_MAX", "2KiB"), ("TIDEWIRE_HTTP_HEADERS_MAX", "20")];
    let server = Server::start_in(&fresh_folder(), true, &variables);
    let paths = [
        ("/query", "influx"),
        ("/write", "influx"),
        ("/ping", "influx"),
        ("/nothing", "influx"),
        ("/api/v1/sql", "cnos"),
        ("/api/v1/nothing", "cnos"),
        ("/api/v1/es/_bulk", "elastic"),
        ("/v1/logs", "otlp"),
        ("/loki/api/v1/push", "plain"),
    ];
    for (path, family) in paths {
        let many: String = (0..21).map(|n| format!("X-{n}: v\r\n")).collect();
        let requests = [
            (414, format!("GET {path}?q={} HTTP/1.1\r\nHost: t\r\n\r\n", "x".repeat(3_000))),
            (414, format!("GET {path}?q={}", "x".repeat(3_000))),
            (431, format!("GET {path} HTTP/1.1\r\nHost: t\r\nA: {}\r\n\r\n", "x".repeat(3_000))),
            (431, format!("GET {path} HTTP/1.1\r\nHost: t\r\n{many}\r\n")),
            (400, format!("POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: x\r\n\r\n")),
            (413, format!("POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999999999999\r\n\r\n")),
            (400, format!("GET {path} HTTP/1.1\r\n\r\n")),
            (400, format!("GET {path} HTTP/1.1\r\nHost: t\r\n B: folded\r\n\r\n")),
            (505, format!("GET {path} HTTP/2.0\r\nHost: t\r\n\r\n")),
            (400, format!("GET {path} HTTP/1.1\r\nHost: t\r\nX: broke of")),
            (417, format!("POST {path} HTTP/1.1\r\nHost: t\r\nExpect: much\r\n\r\n")),
            (501, format!("POST {path} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip, chunked\r\n\r\n")),
        ];
        for (status, request) in requests {
            let reply = exchange(&server, request.as_bytes());
            let shown = &request[..request.len().min(90)];
            assert_eq!(reply.status(), status, "{shown:?}: {}", reply.text());
            assert!(is_in_words_of(family, &reply), "{shown:?}: {:?} {}", reply.headers, reply.text());
        }
    }
    // Nobody knows whose client this is.
    for request in ["\x16\x03\x01\x02\x00", "GET /que", "G{T /query HTTP/1.1\r\n\r\n", "\r\n\r\n\r\n\r\n\r\n\r\n"] {
        let reply = exchange(&server, request.as_bytes());
        assert!(
            (400..500).contains(&reply.status()) && is_in_words_of("plain", &reply),
            "{request:?}: {}",
            reply.text()
        );
    }
}

#[test]
fn a_head_that_is_late_is_refused_in_the_words_of_its_api() {
    let server = Server::start_in(&fresh_folder(), true, &[("TIDEWIRE_HTTP_HEAD_TIMEOUT_MS", "50")]);
    for (path, family) in [("/query", "influx"), ("/api/v1/sql", "cnos")] {
        let mut stream = TcpStream::connect(&server.address).expect("the server accepts");
        stream.write_all(format!("GET {path}?x HTTP/1.1\r\nHost: t\r\n").as_bytes()).expect("a part is sent");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("a reply");
        assert!(reply.starts_with("HTTP/1.1 408 "), "{reply}");
        let start = if family == "influx" { "{\"error\":" } else { "{\"error_code\":" };
        assert!(reply.contains(start) && reply.contains("did not arrive in time"), "{reply}");
    }
}

#[test]
fn a_precision_is_honoured_or_refused_on_every_door() {
    let server = Server::start();
    server.sql("public", "CREATE DATABASE d WITH PRECISION 'ms'");
    for (precision, time) in
        [("s", "1700000000"), ("ms", "1700000000000"), ("US", "1700000000000000"), ("", "1700000000000000000")]
    {
        let table = format!("c{}", precision.to_lowercase());
        let target = format!("/api/v1/write?db=d&precision={precision}");
        let line = format!("{table},h=a v=1i {time}");
        assert_eq!(server.request("POST", &target, &[], line.as_bytes()).status(), 200, "{precision}");
        let rows = server.sql("d", &format!("SELECT time FROM {table}")).text();
        assert!(rows.starts_with("time\n2023-11-14T22:13:20.000"), "{precision}: {rows}");
    }
    let doors = [
        ("/api/v1/write?db=d&precision=days", "m v=1 1", 400),
        ("/write?db=d&precision=days", "m v=1 1", 400),
        ("/write?db=d&precision=s", "m v=1 1700000000", 204),
        ("/api/v1/opentsdb/write?db=d&precision=days", "m 1 1 a=b", 400),
        ("/api/v1/opentsdb/put?db=d&precision=days", "[]", 400),
        ("/api/put?db=d&precision=days", "[]", 400),
        ("/api/v1/es/_bulk?db=d&table=t&precision=days", "{\"index\":{}}\n{\"a\":1}\n", 400),
        ("/api/v1/ndjson?db=d&table=t&precision=days", "{\"a\":1}\n", 400),
        ("/loki/api/v1/push?db=d&precision=s", "{\"streams\":[]}", 400),
        ("/v1/logs?db=d&precision=s", "{}", 400),
        ("/v1/traces?db=d&precision=s", "{}", 400),
        ("/v1/metrics?db=d&precision=s", "{}", 400),
    ];
    for (target, body, status) in doors {
        let reply = server.request("POST", target, &[("Content-Type", "application/json")], body.as_bytes());
        assert_eq!(reply.status(), status, "{target}: {}", reply.text());
    }
    let headers = [("Content-Type", "application/x-protobuf"), ("Content-Encoding", "snappy")];
    let samples = server.request("POST", "/api/v1/prom/write?db=d&precision=s", &headers, b"\0");
    assert_eq!(samples.status(), 400, "{}", samples.text());
    let told = server.request("POST", "/write?db=d&precision=days", &[], b"m v=1 1").text();
    assert_eq!(told, "{\"error\":\"invalid precision \\\"days\\\" (use n, u, ms, s, m or h)\"}\n");
}
