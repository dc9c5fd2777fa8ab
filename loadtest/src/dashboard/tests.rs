use super::*;
use crate::testing::{Mock, reply};

fn watch() -> Watch {
    let view = View { from_ms: 0, to_ms: 1, host: 0, hosts: 2 };
    Watch { view, clients: 3, connections: 6, refresh: Duration::from_millis(2), refreshes: 2 }
}

#[test]
fn each_client_asks_for_every_panel_at_each_refresh() {
    let body = r#"{"results":[{"statement_id":0,"series":[{"values":[[1,2]]}]}]}"#;
    let mock = Mock::start(move |_, _| reply("200 OK", "", body));
    let seen = watch().run(&mock.target).unwrap();
    assert_eq!((seen.refreshes, seen.failures, mock.asked().len()), (3 * 6 * 2, 0, 3 * 2 * PANELS));
    for panel in &seen.panels {
        assert_eq!((panel.latencies_ns.len(), panel.reply_bytes), (3 * 2, body.len() as u64));
    }
    let of_host = |host: &str| mock.asked().iter().filter(|asked| asked.path.contains(host)).count();
    assert!(of_host("host%5F0") > of_host("host%5F1") && of_host("host%5F1") > 0, "three clients, two hosts");
    let mut promises = Promises::default();
    judge(&seen, 0, 1e6, &mut promises);
    promises.verdict().unwrap();
    judge(&seen, 2, 0.0, &mut promises);
    let text = promises.verdict().unwrap_err().to_string();
    assert!(text.contains("failed writes: 2") && text.contains("p99 of a panel"), "{text}");
}

#[test]
fn answers_without_rows_are_failures() {
    let mock = Mock::start(|number, _| match number % 3 {
        0 => reply("503 Busy", "", "{\"error\":\"busy\"}"),
        1 => reply("200 OK", "", r#"{"results":[{"statement_id":0}]}"#),
        _ => reply("200 OK", "", r#"{"results":[{"statement_id":0,"error":"x"}]}"#),
    });
    let seen = watch().run(&mock.target).unwrap();
    assert_eq!(seen.failures, (3 * 2 * PANELS) as u64);
    assert!(seen.server_errors > 0 && seen.server_errors < seen.failures);
    assert_eq!(seen.failure_texts.len(), FAILURES_SHOWN);
    let mut promises = Promises::default();
    judge(&seen, 0, 1e6, &mut promises);
    let text = promises.verdict().unwrap_err().to_string();
    assert!(text.contains("failed panels: 120") && text.contains("replies 5xx"), "{text}");
}
