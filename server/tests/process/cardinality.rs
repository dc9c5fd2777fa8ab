//! How many series and measurements there are, as InfluxDB's statements ask for it.

use crate::common::Server;

fn query(server: &Server, text: &str) -> String {
    let text = text.replace(' ', "%20");
    let response = server.request("GET", &format!("/query?db=db&q={text}"), &[], b"");
    assert_eq!(response.status(), 200, "{}", response.text());
    response.text().trim().to_owned()
}

fn rows(columns: &str, series: &[(&str, u64)]) -> String {
    let series = series.iter().map(|(name, count)| {
        let name = if name.is_empty() { String::new() } else { format!("\"name\":\"{name}\",") };
        format!("{{{name}\"columns\":[\"{columns}\"],\"values\":[[{count}]]}}")
    });
    let series: Vec<_> = series.collect();
    format!("{{\"results\":[{{\"statement_id\":0,\"series\":[{}]}}]}}", series.join(","))
}

#[test]
fn series_are_counted_over_all_shards() {
    let server = Server::start();
    server.request("POST", "/query?q=CREATE%20DATABASE%20db", &[], b"");
    let lines: String = (0..3_000)
        .map(|id| format!("cpu,host=h{id} v=1 1\ncpu,host=h{id} v=1 2\n"))
        .chain((0..20).map(|id| format!("mem,host=h{id} v=1 1\n")))
        .collect();
    for _ in 0..2 {
        assert_eq!(server.request("POST", "/write?db=db", &[], lines.as_bytes()).status(), 204);
    }
    assert_eq!(query(&server, "SHOW SERIES EXACT CARDINALITY"), rows("count", &[("cpu", 3_000), ("mem", 20)]));
    assert_eq!(query(&server, "SHOW SERIES CARDINALITY ON db FROM mem, none"), rows("count", &[("mem", 20)]));
    assert_eq!(query(&server, "SHOW MEASUREMENT EXACT CARDINALITY"), rows("count", &[("", 2)]));
    assert_eq!(query(&server, "SHOW MEASUREMENT CARDINALITY"), rows("cardinality estimation", &[("", 2)]));
    let estimated = query(&server, "SHOW SERIES CARDINALITY");
    let count = estimated.split("[[").nth(1).and_then(|rest| rest.split(']').next()).expect("a row");
    let count: u64 = count.parse().expect("a number");
    // Three standard errors.
    assert!(count.abs_diff(3_020) < 3_020 * 5 / 100, "{estimated}");
    assert_eq!(query(&server, "SHOW SERIES CARDINALITY ON none"), rows("cardinality estimation", &[("", 0)]));
    assert!(query(&server, "SHOW SERIES EXACT CARDINALITY ON none").contains("database not found: none"));
    server.terminate();
}
