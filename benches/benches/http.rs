//! Request head parser against `httparse`, on a write as curl sends it (about 250 bytes) and a query as a browser or
//! Grafana sends it (about 700 bytes). Both parsers must agree on every header before they are timed.
//!
//! `httparse` splits a head into slices and checks bytes; ours also decides body length, keep-alive and host, and
//! splits the target. The table of `httparse` is on the stack, as its users have it.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to measure")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidewire_protocol::http::{BodyLength, Limits, parse_head};

const WRITE: &str = "POST /api/v1/write?db=benchmark&precision=ns HTTP/1.1\r\n\
    Host: 127.0.0.1:8902\r\n\
    Authorization: Basic cm9vdDo=\r\n\
    User-Agent: telegraf/1.29.1 Go/1.21.5\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 3470000\r\n\
    Accept-Encoding: gzip\r\n\r\n";

const QUERY: &str = "GET /query?db=telegraf&epoch=ms&q=SELECT%20mean(%22usage_user%22)%20FROM%20%22cpu%22%20WHERE%20time%20%3E%3D%20now()%20-%206h%20GROUP%20BY%20time(1m)%20fill(null) HTTP/1.1\r\n\
    Host: influx.example.org:8086\r\n\
    Connection: keep-alive\r\n\
    X-Grafana-Org-Id: 1\r\n\
    Accept: application/json, text/plain, */*\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36\r\n\
    Authorization: Basic cm9vdDpyb290cGFzc3dvcmQ=\r\n\
    Referer: https://grafana.example.org/d/000000127/telegraf-system-dashboard?orgId=1&refresh=1m\r\n\
    Accept-Encoding: gzip, deflate, br\r\n\
    Accept-Language: en-US,en;q=0.9,de;q=0.8\r\n\r\n";

fn check(request: &str, body: BodyLength) {
    let head = parse_head(request.as_bytes(), &Limits::default()).expect("valid").expect("complete");
    let mut table = [httparse::EMPTY_HEADER; 64];
    let mut theirs = httparse::Request::new(&mut table);
    let length = theirs.parse(request.as_bytes()).expect("valid").unwrap();
    assert_eq!((head.length, head.body, head.keep_alive), (length, body, true));
    assert_eq!(theirs.method, Some(head.method_text));
    assert_eq!(theirs.path, Some(&*format!("{}?{}", head.path, head.query)));
    let headers: Vec<_> = head.headers().map(|(name, value)| (name, value.as_bytes())).collect();
    let their_headers: Vec<_> = theirs.headers.iter().map(|header| (header.name, header.value)).collect();
    assert_eq!(headers, their_headers);
}

fn heads(criterion: &mut Criterion) {
    for (name, request, body) in [("write", WRITE, BodyLength::Length(3_470_000)), ("query", QUERY, BodyLength::None)] {
        check(request, body);
        let mut group = criterion.benchmark_group(format!("http head {name} {} bytes", request.len()));
        group.throughput(Throughput::Bytes(request.len() as u64));
        let limits = Limits::default();
        group.bench_function("tidewire", |bencher| {
            bencher.iter(|| {
                let head = parse_head(black_box(request.as_bytes()), &limits).expect("valid").expect("complete");
                head.length
            });
        });
        group.bench_function("httparse", |bencher| {
            bencher.iter(|| {
                let mut table = [httparse::EMPTY_HEADER; 64];
                let mut theirs = httparse::Request::new(&mut table);
                theirs.parse(black_box(request.as_bytes())).expect("valid").unwrap()
            });
        });
        group.finish();
    }
}

criterion_group!(benches, heads);
criterion_main!(benches);
