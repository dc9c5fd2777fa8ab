//! Nothing that a client sends can look like a line of the server's log, or do something to the terminal that shows it.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::common::{Client, Server, fresh_folder};

/// Texts that break lines, move cursors, ring bells, turn the direction of writing, or hide.
const TEXTS: [&str; 12] = [
    "a\n[2026-01-01T00:00:00.000Z ERROR] forged",
    "a\r[2026-01-01T00:00:00.000Z ERROR] forged",
    "a\u{1b}[2J\u{1b}]0;title\u{7}",
    "a\0b",
    "a\tb\u{b}c\u{c}d\u{8}e\u{7f}f",
    "a\u{9b}2Jb\u{85}c\u{90}d",
    "a\u{2028}[2026-01-01T00:00:00.000Z ERROR] forged",
    "a\u{2029}b",
    "a\u{202e}drowssap\u{202c}b",
    "a\u{2066}b\u{2069}c\u{200f}d\u{61c}e",
    "a\u{feff}b\u{200b}c",
    "{}%s%n$(id)`id`${jndi:ldap://t/x}",
];

/// Asserts that a log is made of the server's own lines alone, in plain text; then removes it.
pub(super) fn check(log: &Path) {
    let bytes = std::fs::read(log).expect("the log is there");
    let _ = std::fs::remove_file(log);
    let text = String::from_utf8(bytes).expect("the log is text");
    for line in text.lines() {
        assert!(line.starts_with("[20") && !line.starts_with("[2026-01-01"), "{line:?}");
        let bad = line.chars().find(|c| {
            c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
                || matches!(c, '\u{61c}' | '\u{feff}')
        });
        assert!(bad.is_none(), "{bad:?} in {line:?}");
    }
}

/// As it stands in a URL.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

#[test]
fn what_clients_send_does_not_break_the_lines_of_the_log() {
    let folder = fresh_folder();
    for is_asked in [false, true] {
        let log = folder.with_extension("log");
        let variables = [
            ("TIDEWIRE_LOG_ACCESS", "all"),
            ("TIDEWIRE_LOG_LEVEL", "trace"),
            ("TIDEWIRE_LOG_SLOW_QUERY_MS", "1"),
            ("TIDEWIRE_AUTH_ENABLED", if is_asked { "true" } else { "false" }),
        ];
        let server = Server::start_logged(&log, &fresh_folder(), true, &variables);
        let mut client = Client::connect(&server.address);
        let form = ("Content-Type", "application/x-www-form-urlencoded");
        for text in TEXTS {
            let url = encoded(text);
            let login = format!("Basic {}", STANDARD.encode(format!("{text}:{text}")));
            let token = format!("Token {}:{}", text.replace(char::is_control, "_"), "x");
            // What a header may hold: no ASCII control character.
            let id = text.replace(|c: char| c.is_ascii_control(), "_");
            let headers = [("Authorization", login.as_str()), ("X-Request-Id", id.as_str())];
            let statement = format!("CREATE USER \"{text}\" WITH PASSWORD '{text}'; DROP DATABASE \"{text}\"");
            let asked = [
                ("GET", format!("/{}?x={url}", text.replace(|c: char| c.is_ascii_control() || c == ' ', "_")), ""),
                ("GET", format!("/{url}"), ""),
                ("POST", format!("/write?db={url}&rp={url}&precision={url}"), text),
                ("POST", format!("/api/v1/write?db={url}&tenant={url}"), text),
                ("POST", format!("/api/v1/sql?db={url}&tenant={url}"), statement.as_str()),
                ("POST", format!("/query?db={url}&u={url}&p={url}&q={}", encoded(&statement)), ""),
                ("POST", format!("/api/v1/es/{url}/_bulk?table={url}"), text),
                ("GET", format!("/debug/pprof/{url}"), ""),
            ];
            for (method, target, body) in asked {
                for login in [headers[0], ("Authorization", token.as_str())] {
                    let headers = [login, headers[1], form];
                    client.send(method, &target, &headers, body.as_bytes());
                    let answer = client.read(false);
                    assert!(answer.status() >= 200, "{target}: {}", answer.status_line);
                    if answer.header("Connection") == Some("close") {
                        client = Client::connect(&server.address);
                    }
                }
            }
        }
        assert_eq!(server.metric("tidewire_panics_total", ""), 0.0);
        server.terminate();
        check(&log);
    }
}
