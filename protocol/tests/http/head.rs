//! Request heads: a table of what is accepted, a table of what is refused, every split point, random bytes.

use tidewire_protocol::http::{BodyLength, Head, HeadError, Limits, Method, Version, parse_head, path_of_refused};

fn parse(text: &str) -> Result<Option<Head<'_>>, HeadError> {
    parse_head(text.as_bytes(), &Limits::default())
}

fn complete(text: &str) -> Head<'_> {
    parse(text)
        .unwrap_or_else(|error| panic!("{text:?} refused: {error}"))
        .unwrap_or_else(|| panic!("{text:?} incomplete"))
}

#[test]
fn curl_write() {
    let text = "POST /api/v1/write?db=example&precision=ms HTTP/1.1\r\nHost: localhost:8902\r\nAuthorization: Basic cm9vdDo=\r\n\
                User-Agent: curl/8.5.0\r\nAccept: */*\r\nContent-Length: 23\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\nt1,foo=a,bar=b v=1 3\r\n";
    let head = complete(text);
    assert_eq!(head.method, Method::Post);
    assert_eq!(head.method_text, "POST");
    assert_eq!(head.path, "/api/v1/write");
    assert_eq!(head.query, "db=example&precision=ms");
    assert_eq!(head.host, "localhost:8902");
    assert_eq!(head.version, Version::Http11);
    assert_eq!(head.body, BodyLength::Length(23));
    assert!(head.keep_alive);
    assert!(!head.expect_continue);
    assert_eq!(&text[head.length..], "t1,foo=a,bar=b v=1 3\r\n");
    assert_eq!(head.header("AUTHORIZATION"), Some("Basic cm9vdDo="));
    assert_eq!(head.header("user-agent"), Some("curl/8.5.0"));
    assert_eq!(head.header("accept"), Some("*/*"));
    assert_eq!(head.header("Cookie"), None);
    assert_eq!(head.header("Accept-Encoding"), None);
    let headers: Vec<_> = head.headers().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        headers,
        [
            "Host=localhost:8902",
            "Authorization=Basic cm9vdDo=",
            "User-Agent=curl/8.5.0",
            "Accept=*/*",
            "Content-Length=23",
            "Content-Type=application/x-www-form-urlencoded"
        ]
    );
}

#[test]
fn methods_and_versions() {
    for (text, method) in [
        ("GET", Method::Get),
        ("HEAD", Method::Head),
        ("POST", Method::Post),
        ("PUT", Method::Put),
        ("DELETE", Method::Delete),
        ("OPTIONS", Method::Options),
        ("PATCH", Method::Other),
        ("get", Method::Other),
        ("M-SEARCH", Method::Other),
    ] {
        let request = format!("{text} / HTTP/1.1\r\nHost: a\r\n\r\n");
        let head = complete(&request);
        assert_eq!((head.method, head.method_text), (method, text));
        assert!(method == Method::Other || method.token() == text);
        assert_eq!(head.body, BodyLength::None);
    }
    assert_eq!(complete("GET / HTTP/1.0\r\n\r\n").version, Version::Http10);
    assert_eq!(complete("GET / HTTP/1.3\r\nHost: a\r\n\r\n").version, Version::Http11);
}

#[test]
fn targets() {
    for (target, path, query, host) in [
        ("/", "/", "", "h"),
        ("/a?", "/a", "", "h"),
        ("/a?b=c?d=/e", "/a", "b=c?d=/e", "h"),
        ("/%41%20b", "/%41%20b", "", "h"),
        ("/query?q=\"é\"", "/query", "q=\"é\"", "h"),
        ("//x//y", "//x//y", "", "h"),
        ("http://example.org:8086/ping?verbose=1", "/ping", "verbose=1", "example.org:8086"),
        ("HTTPS://[::1]:8086", "/", "", "[::1]:8086"),
        ("http://example.org?x=1", "/", "x=1", "example.org"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        let head = complete(&request);
        assert_eq!((head.path, head.query, head.host), (path, query, host), "{target}");
    }
    assert_eq!(complete("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").path, "*");
}

#[test]
fn hosts() {
    for host in [
        "",
        "a",
        "a:",
        "a:1",
        "a_b.c-d~:8086",
        "127.0.0.1:1",
        "[::1]",
        "[::ffff:1.2.3.4]:1",
        "[fe80::1%25e0]",
        "a%2fb",
        "a!$&'()*+,;=",
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(complete(&request).host, host);
    }
}

#[test]
fn values_are_trimmed_and_may_be_empty() {
    let head = complete(
        "GET / HTTP/1.1\r\nHost:\th \t\r\nAccept:\r\nX-Tab: a\tb\r\nX-Text: h\u{e9}llo\r\nACCEPT: second\r\n\
         X-REQUEST-ID: a b\r\nrequest-id: c\r\n\r\n",
    );
    assert_eq!(head.host, "h");
    assert_eq!(head.header("accept"), Some(""));
    assert_eq!(head.header("x-tab"), Some("a\tb"));
    assert_eq!(head.header("x-text"), Some("h\u{e9}llo"));
    assert_eq!((head.header("x-request-id"), head.header("Request-Id")), (Some("a b"), Some("c")));
    assert_eq!(head.headers().count(), 7);
}

#[test]
fn connection_and_version_decide_keep_alive() {
    for (version, connection, keep_alive) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: Keep-Alive\r\n", true),
        ("1.1", "Connection: upgrade, CLOSE\r\n", false),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: keep-alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ] {
        let request = format!("GET / HTTP/{version}\r\nHost: a\r\n{connection}\r\n");
        assert_eq!(complete(&request).keep_alive, keep_alive, "{request:?}");
    }
}

#[test]
fn expectations() {
    assert!(
        complete("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n").expect_continue
    );
    let twice = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue,, 100-continue\r\nContent-Length: 1\r\n\r\n";
    assert!(complete(twice).expect_continue);
    assert!(!complete("GET / HTTP/1.1\r\nHost: a\r\nExpect:\r\n\r\n").expect_continue);
    assert!(!complete("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n").expect_continue);
}

#[test]
fn body_lengths() {
    for (headers, body) in [
        ("", BodyLength::None),
        ("Content-Length: 0\r\n", BodyLength::Length(0)),
        ("content-length: 18446744073709551615\r\n", BodyLength::Length(u64::MAX)),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", BodyLength::Length(5)),
        ("Content-Length: 5, 5\r\n", BodyLength::Length(5)),
        ("Content-Length: 007\r\n", BodyLength::Length(7)),
        ("Transfer-Encoding: chunked\r\n", BodyLength::Chunked),
        ("TRANSFER-ENCODING: Chunked\r\n", BodyLength::Chunked),
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        assert_eq!(complete(&request).body, body, "{headers:?}");
    }
}

#[test]
fn refused() {
    let host = "Host: a\r\n";
    let cases: &[(u16, String)] = &[
        // Two ways to tell the length, or none that is sure.
        (400, format!("POST / HTTP/1.1\r\n{host}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n")),
        (400, format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n")),
        (400, format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\n")),
        (400, format!("POST / HTTP/1.1\r\n{host}Content-Length: 5\r\nContent-Length: 6\r\n\r\n")),
        (400, format!("POST / HTTP/1.1\r\n{host}Content-Length: 5, 6\r\n\r\n")),
        (400, format!("POST / HTTP/1.1\r\n{host}Content-Length: 5,\r\n\r\n")),
        (400, format!("POST / HTTP/1.1\r\n{host}Content-Length:\r\n\r\n")),
        (400, format!("POST / HTTP/1.1\r\n{host}Content-Length: +5\r\n\r\n")),
        (400, format!("POST / HTTP/1.1\r\n{host}Content-Length: -5\r\n\r\n")),
        (400, format!("POST / HTTP/1.1\r\n{host}Content-Length: 5 5\r\n\r\n")),
        (400, format!("POST / HTTP/1.1\r\n{host}Content-Length: 0x5\r\n\r\n")),
        (400, format!("POST / HTTP/1.1\r\n{host}Content-Length: 5.0\r\n\r\n")),
        (413, format!("POST / HTTP/1.1\r\n{host}Content-Length: 18446744073709551616\r\n\r\n")),
        (400, format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: gzip\r\n\r\n")),
        (400, format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: xchunked\r\n\r\n")),
        (400, format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked, gzip\r\n\r\n")),
        (400, format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked, chunked\r\n\r\n")),
        (400, format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n")),
        (400, format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n")),
        (400, format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: \"chunked\"\r\n\r\n")),
        (400, format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked;q=1\r\n\r\n")),
        (400, format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: \x0bchunked\r\n\r\n")),
        (400, format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding:\r\n\r\n")),
        (400, format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: , chunked\r\n\r\n")),
        (400, format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked,\r\n\r\n")),
        (501, format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: gzip, chunked\r\n\r\n")),
        (400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned()),
        // Line ends and control characters.
        (400, format!("POST / HTTP/1.1\r\n{host}X: a\nTransfer-Encoding: chunked\r\n\r\n")),
        (400, format!("POST / HTTP/1.1\r\n{host}X: a\rTransfer-Encoding: chunked\r\n\r\n")),
        (400, format!("POST / HTTP/1.1\r\n{host}X: a\r\rY: b\r\n\r\n")),
        (400, "GET / HTTP/1.1\nHost: a\n\n".to_owned()),
        (400, "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (400, "\r\rGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (400, format!("GET / HTTP/1.1\r\n{host}\r\r\n")),
        (400, format!("GET / HTTP/1.1\r\n{host}\n")),
        (400, format!("GET / HTTP/1.1\r\n{host}X: a\0b\r\n\r\n")),
        (400, format!("GET / HTTP/1.1\r\n{host}X: a\x7fb\r\n\r\n")),
        (400, format!("GET / HTTP/1.1\r\n{host}X: a\x1b[0m\r\n\r\n")),
        // Header names.
        (400, format!("GET / HTTP/1.1\r\n{host}X : a\r\n\r\n")),
        (400, format!("GET / HTTP/1.1\r\n{host}Content-Length : 5\r\n\r\n")),
        (400, format!("GET / HTTP/1.1\r\n{host}Content-Length\t: 5\r\n\r\n")),
        (400, format!("GET / HTTP/1.1\r\n{host}: a\r\n\r\n")),
        (400, format!("GET / HTTP/1.1\r\n{host}no colon\r\n\r\n")),
        (400, format!("GET / HTTP/1.1\r\n{host}nocolon\r\n\r\n")),
        (400, format!("GET / HTTP/1.1\r\n{host}X\u{e9}: a\r\n\r\n")),
        (400, format!("GET / HTTP/1.1\r\n{host}X(y): a\r\n\r\n")),
        // Folding.
        (400, format!("GET / HTTP/1.1\r\n{host}X: a\r\n b\r\n\r\n")),
        (400, format!("GET / HTTP/1.1\r\n{host}X: a\r\n\tb\r\n\r\n")),
        (400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n".to_owned()),
        // Host.
        (400, "GET / HTTP/1.1\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: a:8o\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: ::1\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: []\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: a%2\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: a%zz\r\n\r\n".to_owned()),
        // What must not be said twice.
        (400, format!("GET / HTTP/1.1\r\n{host}Authorization: a\r\nauthorization: a\r\n\r\n")),
        (400, format!("GET / HTTP/1.1\r\n{host}Content-Type: a/b\r\nContent-Type: a/b\r\n\r\n")),
        // Request line.
        (400, format!("GET  / HTTP/1.1\r\n{host}\r\n")),
        (400, format!("GET /  HTTP/1.1\r\n{host}\r\n")),
        (400, format!(" GET / HTTP/1.1\r\n{host}\r\n")),
        (400, format!("GET / HTTP/1.1 \r\n{host}\r\n")),
        (400, format!("GET /\tHTTP/1.1\r\n{host}\r\n")),
        (400, format!("GET\t/ HTTP/1.1\r\n{host}\r\n")),
        (400, format!("GET /q?q=SHOW DATABASES HTTP/1.1\r\n{host}\r\n")),
        (400, format!("GET /\0 HTTP/1.1\r\n{host}\r\n")),
        (400, format!("GET /a#b HTTP/1.1\r\n{host}\r\n")),
        (400, format!("GET a HTTP/1.1\r\n{host}\r\n")),
        (400, format!("GET * HTTP/1.1\r\n{host}\r\n")),
        (400, format!("GET a:443 HTTP/1.1\r\n{host}\r\n")),
        (400, format!("CONNECT a:b HTTP/1.1\r\n{host}\r\n")),
        (501, format!("CONNECT a:443 HTTP/1.1\r\n{host}\r\n")),
        (400, format!("GET ftp://a/ HTTP/1.1\r\n{host}\r\n")),
        (400, format!("GET http:///x HTTP/1.1\r\n{host}\r\n")),
        (400, format!("GET http://:80/x HTTP/1.1\r\n{host}\r\n")),
        (400, format!("GET http://u:p@a/x HTTP/1.1\r\n{host}\r\n")),
        (400, format!("G{{}}T / HTTP/1.1\r\n{host}\r\n")),
        (400, "GET /\r\n".to_owned()),
        (501, format!("{} / HTTP/1.1\r\n{host}\r\n", "A".repeat(40))),
        (400, format!("GET / HTTP/1.1x\r\n{host}\r\n")),
        (400, format!("GET / HTTP/11\r\n{host}\r\n")),
        (400, format!("GET / http/1.1\r\n{host}\r\n")),
        (400, format!("GET / HTP/1.1\r\n{host}\r\n")),
        (505, format!("GET / HTTP/2.0\r\n{host}\r\n")),
        (505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        (400, "\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (400, "\x16\x03\x01\x02\x00\x01\x00\x01".to_owned()),
        (417, format!("GET / HTTP/1.1\r\n{host}Expect: 200-ok\r\n\r\n")),
        (417, format!("GET / HTTP/1.1\r\n{host}Expect: 100-continue, x\r\n\r\n")),
    ];
    for (status, request) in cases {
        match parse(request) {
            Err(error) => assert_eq!(error.status, *status, "{request:?}: {error}"),
            Ok(head) => panic!("{request:?} accepted: {head:?}"),
        }
    }
}

#[test]
fn bytes_that_are_not_utf8_are_refused_where_they_are_read_and_passed_over_elsewhere() {
    let refused: [&[u8]; 4] = [
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\xff\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nAccept: \xe9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic \xff\r\n\r\n",
    ];
    for request in refused {
        assert_eq!(parse_head(request, &Limits::default()).unwrap_err().status, 400, "{}", request.escape_ascii());
    }
    // Latin-1, as old proxies and browsers send it; a name is a token still.
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nX-User: Andr\xe9\r\nUser-Agent: a \xff b\r\nx-user: \t b \r\n\r\n";
    let head = parse_head(request, &Limits::default()).unwrap().unwrap();
    assert_eq!((head.length, head.header("user-agent"), head.header("x-user")), (request.len(), None, Some("b")));
    assert_eq!(head.headers().collect::<Vec<_>>(), [("Host", "a"), ("x-user", "b")]);
    assert!(head.has_opaque("X-USER") && head.has_opaque("User-Agent") && !head.has_opaque("host"));
    let name = b"GET / HTTP/1.1\r\nHost: a\r\nX-\xe9: b\r\n\r\n";
    assert_eq!(parse_head(name, &Limits::default()).unwrap_err().status, 400);
}

#[test]
fn the_path_of_a_refused_head_is_told_when_it_arrived_to_its_end() {
    let cases: [(&[u8], Option<&str>); 15] = [
        (b"GET /query?q=", Some("/query")),
        (b"\r\nGET /query?q=\xff", Some("/query")),
        (b"GET /write HTTP/9.9\r\n", Some("/write")),
        (b"POST /write\r\n", Some("/write")),
        (b"GET /a#b", Some("/a")),
        (b"GET http://h:1/ping HTTP/1.1\r\n", Some("/ping")),
        (b"GET http://h:1/pi", None),
        (b"GET http://h:1?x ", None),
        (b"GET http://h:1?x/a HTTP/1.0\r\n", None),
        (b"GET /que", None),
        (b"GET /\xff ", None),
        (b"GE\x00T /query ", None),
        (b" /query ", None),
        (b"\x16\x03\x01\x02", None),
        (b"", None),
    ];
    for (bytes, path) in cases {
        assert_eq!(path_of_refused(bytes), path, "{}", bytes.escape_ascii());
    }
}

#[test]
fn empty_lines_before_the_request_are_skipped() {
    let text = "\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\nrest";
    let head = complete(text);
    assert_eq!(head.path, "/x");
    assert_eq!(head.header("host"), Some("a"));
    assert_eq!(&text[head.length..], "rest");
}

#[test]
fn limits() {
    let limits = Limits { head_bytes_max: 64, headers_max: 2 };
    let status =
        |text: &str| parse_head(text.as_bytes(), &limits).map(|head| head.is_some()).map_err(|error| error.status);
    let exact = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(32));
    assert_eq!(exact.len(), 64);
    assert_eq!(status(&exact), Ok(true));
    assert_eq!(status(&exact[..63]), Ok(false));
    assert_eq!(status(&exact.replace("X: y", "X: yy")), Err(431));
    assert_eq!(status(&format!("GET /{} HTTP/1.1\r\n", "a".repeat(64))), Err(414));
    assert_eq!(status(&format!("GET /{}", "a".repeat(50))), Ok(false));
    assert_eq!(status("GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nC: d\r\n\r\n"), Err(431));
    assert_eq!(status("GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n"), Ok(true));
}

#[test]
fn every_prefix_is_incomplete_and_the_rest_does_not_matter() {
    let request = "POST /write?db=a HTTP/1.1\r\nHost: a:1\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\n";
    for end in 0..request.len() {
        assert!(parse(&request[..end]).unwrap().is_none(), "complete at {end}");
    }
    for tail in ["", "abc", "\r\n", "\0\n\r", "GET / HTTP/1.1\r\n\r\n"] {
        assert_eq!(complete(&format!("{request}{tail}")).length, request.len());
    }
}

#[test]
fn random_bytes_never_panic() {
    let pieces: &[&[u8]] = &[
        b"GET ",
        b"POST ",
        b"/",
        b"/api/v1/sql?db=x",
        b" HTTP/1.1",
        b" HTTP/1.0",
        b"\r\n",
        b"\r",
        b"\n",
        b"Host: a\r\n",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b":",
        b" ",
        b"\t",
        b"\0",
        b"\xff",
        b"X: y\r\n",
        b"http://",
        b"Connection: close\r\n",
        b"\r\n\r\n",
    ];
    for seed in super::seeds() {
        let mut random = fastrand::Rng::with_seed(seed);
        for round in 0..20_000 {
            let mut request = Vec::new();
            for _ in 0..random.usize(0..14) {
                if random.u8(0..8) == 0 {
                    request.push(random.u8(..));
                } else {
                    request.extend_from_slice(random.choice(pieces).expect("not empty"));
                }
            }
            let limits = Limits { head_bytes_max: random.usize(0..200), headers_max: random.usize(0..5) };
            if let Ok(Some(head)) = parse_head(&request, &limits) {
                // What is accepted is consistent: the same bytes alone give the same answer, headers can be walked.
                assert!(head.length <= limits.head_bytes_max, "seed {seed} round {round}");
                assert!(head.headers().count() <= limits.headers_max, "seed {seed} round {round}");
                let again = parse_head(&request[..head.length], &limits).expect("accepted before").expect("complete");
                assert_eq!(again.length, head.length, "seed {seed} round {round}");
                for (name, _) in head.headers() {
                    assert!(head.header(name).is_some(), "seed {seed} round {round}: {name:?}");
                }
                for end in 0..head.length {
                    let prefix = parse_head(&request[..end], &limits);
                    assert!(matches!(prefix, Ok(None)), "seed {seed} round {round}: prefix {end} gave {prefix:?}");
                }
            }
        }
    }
}
