//! What a client sees of connections: framing, limits, timeouts, spreading over cores, the end of the server.
#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

mod harness;

use std::collections::HashMap;
use std::io::Write;
use std::net::Shutdown;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use harness::{Client, run};
use tidewire_base::placement::Cores;
use tidewire_server::runtime::start::{Stopper, start_stoppable};

/// Waits for something that another thread does soon.
fn eventually(mut is_so: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        if is_so() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

#[test]
fn keep_alive_head_and_old_clients() {
    let server = run("keep-alive", |_| {});
    let mut client = server.client();
    for _ in 0..3 {
        let answer = client.get("/core");
        assert_eq!(answer.status, 200);
        assert!(answer.header("date").is_some());
        assert_eq!(answer.header("connection"), None);
    }
    client.send("HEAD /core HTTP/1.1\r\nHost: t\r\n\r\n");
    let head = client.head();
    assert_eq!((head.status, head.header("content-length")), (200, Some("1")));
    assert_eq!(client.get("/empty").status, 204);
    assert_eq!(client.get("/missing").text(), "no such path\n");
    assert_eq!(client.get("/nothing").status, 500);
    assert!(client.is_closed());

    let mut client = server.client();
    client.send("GET /core HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(client.is_closed());

    let mut old = server.client();
    old.send("GET /core HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(old.answer().header("connection"), Some("keep-alive"));
    old.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let stream = old.answer();
    assert_eq!((stream.header("transfer-encoding"), stream.header("connection")), (None, Some("close")));
    assert_eq!(stream.text(), "piece 0\npiece 1\npiece 2\n");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = run("pipeline", |_| {});
    let mut client = server.client();
    let mut requests = String::new();
    for number in 0..200 {
        requests.push_str(&format!("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\n{number:03}"));
        if number == 100 {
            requests.push_str("GET /slow HTTP/1.1\r\nHost: t\r\n\r\n");
        }
    }
    client.send(requests);
    for number in 0..200 {
        assert_eq!(client.answer().text(), format!("{number:03}"));
        if number == 100 {
            assert_eq!(client.answer().text(), "slow");
        }
    }
}

#[test]
fn a_reply_does_not_wait_for_the_next_request() {
    let server = run("no-wait", |_| {});
    let mut client = server.client();
    client.send("GET /core HTTP/1.1\r\nHost: t\r\n\r\nGET /wait HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    client.socket.shutdown(Shutdown::Both).unwrap();
    assert!(eventually(|| server.watch.cancelled.load(Ordering::SeqCst) == 1));
}

#[test]
fn a_client_that_closes_its_sending_side_alone_is_answered() {
    let server = run("half-closed", |_| {});
    // Some of the reply is sent ahead while the work lasts, or nothing, or all that can be.
    for (time_ms, version) in [(1, "1.1"), (150, "1.1"), (900, "1.1"), (900, "1.0")] {
        let mut client = server.client();
        client.send(format!("GET /wait?{time_ms} HTTP/{version}\r\nHost: t\r\nConnection: close\r\n\r\n"));
        client.socket.shutdown(Shutdown::Write).unwrap();
        let answer = client.answer();
        assert_eq!((answer.status, answer.text()), (200, "waited"), "after {time_ms} ms, HTTP/{version}");
        assert!(client.is_closed());
    }
    // With requests behind, which are more than there is room for while the first is worked on.
    let mut client = server.client();
    client.send("GET /wait?900 HTTP/1.1\r\nHost: t\r\n\r\n");
    client.send("GET /core HTTP/1.1\r\nHost: t\r\n\r\n".repeat(1000));
    client.socket.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.answer().text(), "waited");
    for _ in 0..1000 {
        assert_eq!(client.answer().status, 200);
    }
    assert_eq!(server.watch.cancelled.load(Ordering::SeqCst), 0);
}

#[test]
fn a_client_that_has_gone_ends_its_work_whatever_it_has_sent_before() {
    let server = run("gone", |_| {});
    let request = "GET /wait HTTP/1.1\r\nHost: t\r\n\r\n";
    // Nothing, more than the buffer takes, more than the kernel takes: then its end does not arrive at all.
    for (number, behind) in [(1, 0), (2, 10 << 10), (3, usize::MAX)] {
        let mut client = server.client();
        client.send(request);
        client.socket.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while sent < behind {
            match client.socket.write(&request.as_bytes().repeat(100)) {
                Ok(count) => sent += count,
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                    break;
                }
            }
        }
        drop(client);
        let is_cancelled = || server.watch.cancelled.load(Ordering::SeqCst) == number;
        assert!(eventually(is_cancelled), "{sent} bytes behind the request");
    }
}

#[test]
fn bodies_in_any_pieces() {
    let server = run("bodies", |_| {});
    let mut client = server.client();
    let numbers: Vec<u64> = (0..200_000).map(|number| number * 7919 % 1_000_003).collect();
    let body: String = numbers.iter().map(|number| format!("{number}\n")).collect();
    let expected = format!("{} lines, sum {}, true", numbers.len(), numbers.iter().sum::<u64>());

    // With a length, in one go, followed at once by another request.
    client.send(format!(
        "POST /lines HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{body}GET /core HTTP/1.1\r\nHost: t\r\n\r\n",
        body.len()
    ));
    assert_eq!(client.answer().text(), expected);
    assert_eq!(client.answer().status, 200);

    // Chunked, in chunks of all sizes, sent in pieces that fit nothing.
    for seed in [1, 2, 3] {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut chunked = String::from("POST /lines HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut rest = body.as_str();
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(rest.len().min(1 << random.u32(0..18)));
            chunked.push_str(&format!("{:x}\r\n{chunk}\r\n", chunk.len()));
            rest = after;
        }
        chunked.push_str("0\r\nTrailer: x\r\n\r\n");
        let mut rest = chunked.as_bytes();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(1 << random.u32(8..20)));
            client.send(piece);
            rest = after;
        }
        assert_eq!(client.answer().text(), expected, "seed {seed}");
    }
    assert_eq!(client.get("/core").status, 200);
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn compressed_bodies() {
    let server = run("compressed", |_| {});
    let mut client = server.client();
    let numbers: Vec<u64> = (0..300_000).map(|number| number % 1000).collect();
    let body: String = numbers.iter().map(|number| format!("{number}\n")).collect();
    let expected = format!("{} lines, sum {}, true", numbers.len(), numbers.iter().sum::<u64>());
    for (token, coded) in [("gzip", gzip(&body)), ("zstd", zstd::encode_all(body.as_bytes(), 1).unwrap())] {
        let head = format!("POST /lines HTTP/1.1\r\nHost: t\r\nContent-Encoding: {token}\r\n");
        client.send(format!("{head}Content-Length: {}\r\n\r\n", coded.len()));
        client.send(&coded);
        assert_eq!(client.answer().text(), expected, "{token}");
        client.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n"));
        for chunk in coded.chunks(777) {
            client.send(format!("{:x}\r\n", chunk.len()));
            client.send(chunk);
            client.send("\r\n");
        }
        client.send("0\r\n\r\n");
        assert_eq!(client.answer().text(), expected, "{token}, chunked");
    }

    // A few bytes that become too many, a stream that is cut, one that is none.
    let bomb = gzip(&"0".repeat(1 << 20));
    let cut = &gzip("12345")[..12];
    for (path, coded, status) in [("/small", bomb.as_slice(), 413), ("/echo", cut, 400), ("/echo", b"plain", 400)] {
        let mut client = server.client();
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: t\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
            coded.len()
        ));
        client.send(coded);
        assert_eq!(client.answer().status, status);
    }
}

/// A few bytes ask for a window that the decoder would hold for as long as its client stalls.
#[test]
fn stalled_bodies_hold_no_more_windows_than_there_is_memory_for() {
    // A sixteenth, less what is left to small decoders, is 2 MiB; a window of 512 KiB takes almost one.
    let server = run("windows", |config| {
        config.cores = Cores::Count(1);
        config.memory.bytes_max = 48 << 20;
    });
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, 9 << 3, 0x02, 0, 0x10, b'\n'];
    let head = "POST /lines HTTP/1.1\r\nHost: t\r\nContent-Encoding: zstd\r\nContent-Length: ";
    let mut clients: Vec<Client> = (0..6).map(|_| server.client()).collect();
    for client in &mut clients {
        client.send(format!("{head}1000\r\n\r\n"));
        client.send(frame);
    }
    let is_answered = |client: &Client| {
        client.socket.set_nonblocking(true).unwrap();
        let peeked = client.socket.peek(&mut [0]);
        client.socket.set_nonblocking(false).unwrap();
        peeked.is_ok()
    };
    assert!(eventually(|| clients.iter().filter(|client| is_answered(client)).count() == 4));
    let (mut refused, stalled): (Vec<_>, Vec<_>) = clients.into_iter().partition(is_answered);
    for client in &mut refused {
        let answer = client.answer();
        assert_eq!(answer.status, 429, "{}", answer.text());
        assert!(answer.text().contains("decoder"), "{}", answer.text());
    }
    // Meanwhile others are served, those whose bodies are compressed as usual among them.
    let mut client = server.client();
    let coded = gzip("1\n2\n");
    client.send(format!(
        "POST /lines HTTP/1.1\r\nHost: t\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        coded.len()
    ));
    client.send(&coded);
    assert_eq!(client.answer().text(), "2 lines, sum 3, true");
    // What was taken is given back.
    drop(stalled);
    let whole = [&frame[..6], &[0x03, 0, 0x10, b'\n']].concat();
    assert!(eventually(|| {
        let mut client = server.client();
        client.send(format!("{head}{}\r\n\r\n", whole.len()));
        client.send(&whole);
        client.answer().status == 200
    }));
    // More than there ever is.
    let mut client = server.client();
    client.send(format!("{head}1000\r\n\r\n"));
    client.send([0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3, 0x02, 0, 0x10, b'\n']);
    assert_eq!(client.answer().status, 413);
}

/// Connections are many: what each has had at some time must not stay with it.
#[test]
fn long_heads_and_long_replies_are_given_back() {
    let server = run("given-back", |config| {
        config.cores = Cores::Count(1);
        config.http.head_bytes_max = 16 << 10;
    });
    let held = || {
        let mut client = server.client();
        client.get("/memory").text().parse::<u64>().unwrap()
    };
    let before = held();
    let long = "x".repeat(12 << 10);
    let body = "y".repeat(100 << 10);
    let mut clients: Vec<Client> = (0..50).map(|_| server.client()).collect();
    for client in &mut clients {
        client.send(format!("GET /core HTTP/1.1\r\nHost: t\r\nX-Long: {long}\r\n\r\n"));
        assert_eq!(client.answer().status, 200);
        client.send(format!("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        assert_eq!(client.answer().body.len(), body.len());
    }
    // A first buffer each, and what is kept of short replies; large buffers are kept by the core, a few of them.
    let most = before + 50 * (20 << 10) + 16 * (256 << 10);
    assert!(eventually(|| held() <= most), "{} now, {before} before", held());
}

#[test]
fn one_byte_at_a_time() {
    let server = run("bytes", |_| {});
    let mut client = server.client();
    for byte in
        b"POST /lines HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n12\n3\r\n2\r\n4\n\r\n0\r\n\r\n"
    {
        client.send([*byte]);
    }
    assert_eq!(client.answer().text(), "2 lines, sum 46, true");
}

#[test]
fn an_end_that_comes_alone_makes_a_half_line_the_last() {
    let server = run("end-alone", |_| {});
    let coded = gzip("1\n2");
    for (more, body) in [("", &b"1\n2"[..]), ("Content-Encoding: gzip\r\n", &coded)] {
        let mut client = server.client();
        client.send(format!("POST /lines HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n{more}\r\n"));
        client.send(format!("{:x}\r\n", body.len()));
        client.send(body);
        client.send("\r\n");
        // Long enough for the piece to be handed out before its end is known; if it is not, the answer is the same.
        std::thread::sleep(Duration::from_millis(100));
        client.send("0\r\n\r\n");
        assert_eq!(client.answer().text(), "2 lines, sum 3, true");
    }
}

#[test]
fn a_line_longer_than_the_buffer() {
    let server = run("long-line", |_| {});
    let mut client = server.client();
    let line = format!("{}42", "0".repeat(700_000));
    for framing in [false, true] {
        let body = format!("1\n{line}\n2\n");
        if framing {
            client.send(format!(
                "POST /lines HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                body.len()
            ));
        } else {
            client.send(format!("POST /lines HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        }
        assert_eq!(client.answer().text(), "3 lines, sum 45, true");
    }
}

#[test]
fn expect_continue_is_answered_only_when_the_body_is_wanted() {
    let server = run("expect", |_| {});
    let mut client = server.client();
    client.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.head().status, 100);
    client.send("hello");
    assert_eq!(client.answer().text(), "hello");

    client.send("POST /ignore HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.text(), answer.header("connection")), ("ignored", Some("close")));
    assert!(client.is_closed());

    let mut client = server.client();
    client.send("POST /small HTTP/1.1\r\nHost: t\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.answer().status, 413);
}

#[test]
fn unread_bodies_are_read_over_or_cut() {
    let server = run("unread", |_| {});
    let mut client = server.client();
    client.send(format!("POST /ignore HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n{}", " ".repeat(100_000)));
    assert_eq!(client.answer().text(), "ignored");
    assert_eq!(client.get("/core").status, 200);

    client.send("POST /ignore HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000000\r\n\r\nabc");
    assert_eq!(client.answer().header("connection"), Some("close"));
}

#[test]
fn bounds_and_bad_requests() {
    let server = run("bounds", |config| config.http.head_bytes_max = 1024);
    let refused = |request: &str| {
        let mut client = server.client();
        client.send(request);
        let answer = client.answer();
        assert_eq!(answer.header("connection"), Some("close"), "{request:?}");
        client.socket.shutdown(Shutdown::Write).unwrap();
        assert!(client.is_closed());
        answer.status
    };
    assert_eq!(refused(&format!("GET / HTTP/1.1\r\nHost: t\r\nA: {:2000}\r\n\r\n", "")), 431);
    assert_eq!(refused(&format!("GET / HTTP/1.1\r\nHost: t\r\nA: {:2000}", "")), 431);
    assert_eq!(refused("POST /small HTTP/1.1\r\nHost: t\r\nContent-Length: 11\r\n\r\n12345678901"), 413);
    let chunked = "POST /small HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(refused(&format!("{chunked}b\r\n12345678901\r\n0\r\n\r\n")), 413);
    assert_eq!(refused(&format!("{chunked}zz\r\n")), 400);
    assert_eq!(refused("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
    assert_eq!(refused("GET / HTTP/1.1\r\n\r\n"), 400);
    assert_eq!(refused("NOT\nHTTP\r\n\r\n"), 400);
    assert_eq!(refused("GET / HTTP/3.0\r\n\r\n"), 505);
    assert_eq!(refused("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Encoding: magic\r\nContent-Length: 1\r\n\r\nx"), 415);
}

#[test]
fn slow_and_idle_clients_are_let_go() {
    let server = run("slow", |config| {
        config.http.head_timeout_ms = 40;
        config.http.idle_timeout_ms = 80;
        config.http.body_timeout_ms = 40;
    });
    let mut idle = server.client();
    assert!(idle.is_closed());

    let mut slow_head = server.client();
    slow_head.send("GET / HTTP/1.1\r\n");
    let answer = slow_head.answer();
    assert_eq!((answer.status, answer.header("connection")), (408, Some("close")));

    let mut slow_body = server.client();
    slow_body.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhal");
    assert_eq!(slow_body.answer().status, 408);

    // A handler that takes its time is no slow client.
    let mut patient = server.client();
    assert_eq!(patient.get("/slow").text(), "slow");
}

#[test]
fn streams_and_those_that_break_off() {
    let server = run("stream", |config| config.http.send_timeout_ms = 50);
    let mut client = server.client();
    let answer = client.get("/stream?100000");
    assert_eq!(answer.text().lines().count(), 100_000);
    assert_eq!(answer.text().lines().last(), Some("piece 99999"));
    client.send("HEAD /stream HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.head().header("transfer-encoding"), Some("chunked"));
    client.send("GET /broken-stream HTTP/1.1\r\nHost: t\r\n\r\n");
    client.head();
    assert!(!client.is_closed(), "the half that was written arrives");

    // A client that takes nothing is cut, and the handler hears of it.
    let mut stuck = server.client();
    stuck.send("GET /stream?100000000 HTTP/1.1\r\nHost: t\r\n\r\n");
    assert!(eventually(|| server.watch.cancelled.load(Ordering::SeqCst) == 1));
}

#[test]
fn connections_spread_over_the_cores_and_are_bounded() {
    let server = run("spread", |config| config.http.connections_max = 8);
    let cores = server.server().report().cpus.len();
    let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
    let mut counts: HashMap<String, usize> = HashMap::new();
    for client in &mut clients {
        *counts.entry(client.get("/core").text().to_owned()).or_default() += 1;
    }
    assert_eq!(counts.len(), cores);
    assert!(counts.values().all(|count| *count == 8 / cores), "{counts:?}");

    let mut ninth = server.client();
    let answer = ninth.answer();
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    clients.pop();
    assert!(eventually(|| {
        let mut client = server.client();
        client.send("GET /core HTTP/1.1\r\nHost: t\r\n\r\n");
        client.answer().status == 200
    }));
}

#[test]
fn a_client_that_leaves_cancels_its_query() {
    let server = run("leave", |_| {});
    let mut client = server.client();
    client.send("GET /wait HTTP/1.1\r\nHost: t\r\n\r\n");
    drop(client);
    assert!(eventually(|| server.watch.cancelled.load(Ordering::SeqCst) == 1));
}

#[test]
fn the_end_finishes_what_is_in_flight() {
    let server = run("end", |_| {});
    let (mut busy, mut idle, mut late) = (server.client(), server.client(), server.client());
    assert_eq!(idle.get("/core").status, 200);
    assert_eq!(late.get("/core").status, 200);
    busy.send("GET /slow HTTP/1.1\r\nHost: t\r\n\r\n");
    // The request must be in flight before the end begins.
    std::thread::sleep(Duration::from_millis(100));
    let (address, watch) = (server.address, std::sync::Arc::clone(&server.watch));
    server.server().stopper().stop();
    late.send("GET /core HTTP/1.1\r\nHost: t\r\n\r\n");
    // Both requests share a core or not; the late one is refused as long as its core waits for one in flight, and cut
    // otherwise.
    let mut byte = [0; 1];
    if std::io::Read::read(&mut late.socket, &mut byte).is_ok_and(|count| count == 1) {
        assert_eq!(byte, *b"H");
    }
    let answer = busy.answer();
    assert_eq!((answer.text(), answer.header("connection")), ("slow", Some("close")));
    assert!(idle.is_closed());
    let cores = server.server().report().cpus.len();
    assert_eq!(server.end(), Ok(()));
    assert_eq!(watch.closed.load(Ordering::SeqCst), cores);
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn a_folder_in_use_refuses_the_second_server() {
    let server = run("locked", |_| {});
    let config = tidewire_base::config::Config {
        data_dir: server.folder.clone(),
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        ..tidewire_base::config::Config::default()
    };
    let second = tidewire_server::runtime::start::start::<harness::Echo>(config, &std::sync::Arc::default());
    assert!(second.unwrap_err().contains("in use by another server"));
}

#[test]
fn an_address_in_use_refuses_the_second_server() {
    let server = run("address", |_| {});
    let folder = server.folder.with_extension("second");
    let config = tidewire_base::config::Config {
        data_dir: folder.clone(),
        listen: vec![server.address],
        ..tidewire_base::config::Config::default()
    };
    let second = tidewire_server::runtime::start::start::<harness::Echo>(config, &std::sync::Arc::default());
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(second.unwrap_err().starts_with(&format!("cannot listen on {}: ", server.address)));
}

#[test]
fn a_panic_ends_its_request_and_nothing_else() {
    let server = run("panic", |_| {});
    let mut beside = server.client();
    assert_eq!(beside.get("/core").status, 200);
    let mut waiting = server.client();
    waiting.send("GET /slow HTTP/1.1\r\nHost: t\r\n\r\n");
    for path in ["/panic", "/panic-later", "/panic-in-a-task"] {
        for _ in 0..3 {
            let mut client = server.client();
            client.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n"));
            assert_eq!(client.answer().status, 500, "{path}");
            assert!(client.is_closed(), "{path}");
            assert_eq!(beside.get("/core").status, 200, "{path}");
        }
    }
    assert_eq!(waiting.answer().text(), "slow");
}

#[test]
fn a_server_that_is_stopped_before_it_serves_ends() {
    let folder = std::env::temp_dir().join(format!("tidewire-test-early-{}", std::process::id()));
    let config = tidewire_base::config::Config {
        data_dir: folder.clone(),
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        ..tidewire_base::config::Config::default()
    };
    let stopper = Stopper::new().unwrap();
    stopper.stop();
    // A core may have its app before it hears of the end.
    let started = start_stoppable::<harness::Echo>(config, &std::sync::Arc::default(), stopper.clone());
    assert!(started.is_err() || started.is_ok_and(|server| server.wait() == Ok(())));
    assert!(stopper.is_asked());
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn pipelined_requests_are_all_answered_at_the_end() {
    let server = run("pipelined-end", |_| {});
    let mut client = server.client();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n");
    let post = "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nbody";
    client.send([&get("/slow"), post, &get("/core"), post].concat());
    // The first must be in flight before the end begins.
    std::thread::sleep(Duration::from_millis(100));
    server.server().stopper().stop();
    let answers: Vec<_> = (0..4).map(|_| client.answer()).collect();
    assert_eq!(answers[0].text(), "slow");
    assert!(answers[1..].iter().all(|answer| answer.status == 503), "{answers:?}");
    let closing: Vec<_> = answers.iter().map(|answer| answer.header("connection")).collect();
    assert_eq!(closing, [None, None, None, Some("close")]);
    assert!(client.is_closed());
    assert_eq!(server.end(), Ok(()));
}
