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

use std::path::Path;

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

/// An error that comes after the first rows: told behind them where chunks were asked for, as CnosDB does, and in place
/// of them where not.
#[test]
fn an_error_behind_rows_is_told_behind_them() {
    const ROWS: usize = 20_000;
    let server = Server::start();
    let mut lines: String = (0..ROWS).map(|time| format!("m s=\"{time}\" {time}\n")).collect();
    lines.push_str(&format!("m s=\"x\" {ROWS}\n"));
    assert_eq!(server.request("POST", "/api/v1/write", &[], lines.as_bytes()).status(), 200);
    let ask = |chunked: bool| {
        let target = format!("/api/v1/sql?chunked={chunked}");
        server.request("POST", &target, &[], b"SELECT CAST(s AS BIGINT) AS n FROM m")
    };
    let told = "Arrow error: Cast error: Cannot cast string 'x' to value of Int64 type";
    let (behind, instead) = (ask(true), ask(false));
    assert_eq!((behind.status(), behind.header("transfer-encoding")), (200, Some("chunked")));
    let text = behind.text();
    assert!(text.starts_with("n\n0\n1\n2\n"), "{}", &text[..20]);
    let late = format!("\n{{\"error_code\": \"040007\", \"error_message\": \"Fetch result: {told}\"}}");
    assert!(text.ends_with(&late), "{}", &text[text.len() - 200..]);
    assert_eq!(instead.status(), 422);
    assert_eq!(instead.text(), format!("{{\"error_code\":\"010001\",\"error_message\":\"{told}\"}}"));
}
