//! `/query` with parameters, headers and bodies that nobody means: each is answered, errors are JSON, and the server
//! lives.

use std::time::Duration;

use serde_json::Value;

use crate::common::{Response, Server};

/// Values that parameters do not have, and some that they have.
const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "-1",
    "true",
    "false",
    "TRUE",
    "yes",
    "s",
    "ms",
    "u",
    "%C2%B5",
    "ns",
    "h",
    "xx",
    "db",
    "nope",
    "a/b",
    "..",
    "99999999999999999999",
    "1e9",
    "%00",
    "%",
    "%zz",
    "%FF%FE",
    "+",
    "%7B%7D",
    "%7B",
    "null",
    "[]",
    "%22x%22",
    "%7B%22v%22%3A1%7D",
    "%7B%22v%22%3A%22x%22%7D",
    "%7B%22v%22%3A1e999%7D",
    "%7B%22v%22%3A%5B1%5D%7D",
    "autogen",
];

/// Statements, as they stand in a URL.
const STATEMENTS: &[&str] = &[
    "SELECT%20v%20FROM%20m",
    "SELECT%20mean(v)%20FROM%20m%20WHERE%20time%20%3E%200%20AND%20time%20%3C%201h%20GROUP%20BY%20time(1m)",
    "SELECT%20v%20FROM%20m%20WHERE%20v%20%3E%20%24v",
    "SELECT%20*%20FROM%20%2F.*%2F%20LIMIT%202",
    "SELECT%20v%20FROM%20m%20WHERE%20h%20%3D~%20%2F(a%7Cb)*%2F",
    "SELECT%20v%20FROM%20m%3BSELECT%20v%20FROM%20nope..m%3BSHOW%20MEASUREMENTS",
    "SHOW%20TAG%20VALUES%20WITH%20KEY%20%3D%20h",
    "SHOW%20SERIES",
    "SHOW%20SHARDS",
    "SHOW%20STATS",
    "EXPLAIN%20ANALYZE%20SELECT%20v%20FROM%20m",
    "SELECT",
    "%3B%3B%3B",
    "%FF",
    "DROP%20SHARD%2099",
];

const NAMES: [&str; 12] =
    ["db", "rp", "epoch", "pretty", "chunked", "chunk_size", "params", "async", "q", "u", "p", "nothing"];

const ACCEPTS: [&str; 6] =
    ["*/*", "application/json", "application/csv", "text/csv", "application/x-msgpack", ";;,q=x"];

/// Whether an answer is one that clients can read: rows or an error in JSON, or the format that was asked for.
fn check(response: &Response, accept: &str, what: &str) {
    let status = response.status();
    assert!(matches!(status, 200 | 204 | 400 | 404 | 411 | 413 | 415 | 429), "{what}: {}", response.status_line);
    let content_type = response.header("content-type").unwrap_or_default().to_owned();
    if status == 204 || response.body.is_empty() {
        // CSV without rows has no heading either.
        assert!(status != 200 || content_type.contains("csv"), "{what}: no body");
        return;
    }
    if content_type.contains("csv") || content_type.contains("msgpack") {
        assert!(accept.contains("csv") || accept.contains("msgpack"), "{what}: {content_type}");
        return;
    }
    let text = response.text();
    // One document a chunk.
    for value in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
        let value = value.unwrap_or_else(|error| panic!("{what}: {error}: {text}"));
        // InfluxDB's `{}` is the answer to no statement at all.
        let is_empty = value.as_object().is_some_and(serde_json::Map::is_empty);
        let is_answer = is_empty || value["error"].is_string() || value["results"].is_array();
        assert!(is_answer, "{what}: {text}");
        assert!(status == 200 || value["error"].is_string(), "{what}: {text}");
    }
}

#[test]
fn whatever_the_parameters_are_there_is_an_answer() {
    let seed = std::env::var("TIDEWIRE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7_u64);
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let server = Server::start();
    let created = server.request("POST", "/query?q=CREATE%20DATABASE%20db", &[], b"");
    assert_eq!(created.status(), 200);
    let lines: String = (0..500).map(|time| format!("m,h=h{} v={time} {time}\n", time % 7)).collect();
    assert_eq!(server.request("POST", "/write?db=db", &[], lines.as_bytes()).status(), 204);
    for step in 0..800 {
        let mut parameters = Vec::new();
        for _ in 0..random.usize(0..5) {
            let (name, value) = (NAMES[random.usize(0..NAMES.len())], VALUES[random.usize(0..VALUES.len())]);
            parameters.push(format!("{name}={value}"));
        }
        if random.u8(0..8) > 0 {
            parameters.push(format!("q={}", STATEMENTS[random.usize(0..STATEMENTS.len())]));
        }
        if random.bool() {
            parameters.push("db=db".to_owned());
        }
        random.shuffle(&mut parameters);
        let text = parameters.join("&");
        let accept = ACCEPTS[random.usize(0..ACCEPTS.len())];
        let form = ("Content-Type", "application/x-www-form-urlencoded");
        let (method, target, headers, body) = match random.u8(0..4) {
            0 => ("POST", "/query".to_owned(), vec![("Accept", accept), form], text.clone()),
            1 => {
                let kind = ["multipart/form-data; boundary=x", "multipart/form-data", "text/plain"][random.usize(0..3)];
                let body = "--x\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\nSHOW DATABASES\r\n--x--\r\n";
                let body = body[..random.usize(0..=body.len())].to_owned();
                ("POST", format!("/query?{text}"), vec![("Accept", accept), ("Content-Type", kind)], body)
            }
            2 => ("POST", format!("/query?{text}"), vec![("Accept", accept)], String::new()),
            _ => ("GET", format!("/query?{text}"), vec![("Accept", accept)], String::new()),
        };
        let response = server.request(method, &target, &headers, body.as_bytes());
        check(&response, accept, &format!("seed {seed}, step {step}: {method} {target} {accept} {body:?}"));
    }
    std::thread::sleep(Duration::from_millis(10));
    assert_eq!(server.metric("tidewire_panics_total", ""), 0.0);
    let rows = server.request("GET", "/query?db=db&q=SELECT%20count(v)%20FROM%20m", &[], b"").text();
    assert!(rows.contains("[\"1970-01-01T00:00:00Z\",500]"), "{rows}");
    server.terminate();
}
