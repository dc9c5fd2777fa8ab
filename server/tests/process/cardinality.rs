//! How many series and measurements there are, as InfluxDB's statements ask for it.

use crate::common::{Server, fresh_folder};

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
    let few: String = (0..900).map(|id| format!("few,host=h{id} v=1 1\n")).collect();
    assert_eq!(server.request("POST", "/write?db=db", &[], few.as_bytes()).status(), 204);
    assert_eq!(query(&server, "SHOW SERIES CARDINALITY"), rows("cardinality estimation", &[("", 900)]));
    server.request("POST", "/query?db=db&q=DROP%20MEASUREMENT%20few", &[], b"");
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

/// The number in the reply to a statement that gives one.
fn number(server: &Server, text: &str) -> u64 {
    let reply = query(server, text);
    let number = reply.split("[[").nth(1).and_then(|rest| rest.split(']').next());
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{text}: {reply}"))
}

#[test]
fn emptied_series_count_no_more_until_they_are_written_again() {
    let folder = fresh_folder();
    let idle = [("TIDEWIRE_MEMTABLE_FLUSH_IDLE_S", "1")];
    let never = [("TIDEWIRE_MEMTABLE_FLUSH_IDLE_S", "86400")];
    let counted = |server: &Server, cpu: u64, mem: u64| {
        let counts = [("cpu", cpu), ("mem", mem)].into_iter().filter(|(_, count)| *count > 0);
        let counts: Vec<_> = counts.collect();
        let exact = query(server, "SHOW SERIES EXACT CARDINALITY");
        match counts.is_empty() {
            true => assert_eq!(exact, r#"{"results":[{"statement_id":0}]}"#),
            false => assert_eq!(exact, rows("count", &counts)),
        }
        let estimated = number(server, "SHOW SERIES CARDINALITY");
        // Three standard errors, and what rounding does to a few.
        assert!(estimated.abs_diff(cpu + mem) * 20 <= cpu + mem + 20, "{estimated} of {}", cpu + mem);
        server.wait_until("metrics say so", |server| server.metric("tidewire_series", "") == (cpu + mem) as f64);
        server.wait_until("metrics of hidden ones", |server| {
            server.metric("tidewire_series_hidden", "") == (600 - cpu - mem) as f64
        });
    };
    let flushed = |server: &Server| {
        server.wait_until("all is flushed", |server| {
            server.metric("tidewire_memtable_rows", "") + server.metric("tidewire_tombstones", "") == 0.0
        });
    };
    let server = Server::start_in(&folder, false, &never);
    server.request("POST", "/query?q=CREATE%20DATABASE%20db", &[], b"");
    let lines = |table: &str, hosts: std::ops::Range<u32>| -> String {
        hosts.map(|id| format!("{table},host=h{id},half=p{} v=1 {id}\n", id % 2)).collect()
    };
    let write = |server: &Server, lines: String| {
        assert_eq!(server.request("POST", "/write?db=db", &[], lines.as_bytes()).status(), 204);
    };
    write(&server, lines("cpu", 0..400) + &lines("mem", 0..200));
    counted(&server, 400, 200);
    query(&server, "DROP SERIES FROM cpu WHERE half='p0'");
    counted(&server, 200, 200);
    // Of some series all rows, of others none.
    query(&server, "DELETE FROM mem WHERE time >= 100");
    counted(&server, 200, 100);
    let deleted = server.sql("db", "DELETE FROM mem WHERE half = 'p1'");
    assert_eq!((deleted.status(), deleted.text().as_str()), (200, ""));
    counted(&server, 200, 50);
    server.kill();

    // From the log; then from the manifest, after a kill and after an orderly end.
    let server = Server::start_in(&folder, false, &idle);
    counted(&server, 200, 50);
    flushed(&server);
    counted(&server, 200, 50);
    server.kill();
    let server = Server::start_in(&folder, false, &never);
    counted(&server, 200, 50);
    write(&server, lines("cpu", 0..20) + &lines("mem", 1..2));
    counted(&server, 210, 51);
    server.terminate();
    let server = Server::start_in(&folder, false, &never);
    counted(&server, 210, 51);
    query(&server, "DELETE FROM mem");
    query(&server, "DROP SERIES WHERE host='h1'");
    counted(&server, 209, 0);
    server.terminate();
    let server = Server::start_in(&folder, true, &idle);
    counted(&server, 209, 0);
    flushed(&server);
    query(&server, "DELETE FROM cpu");
    counted(&server, 0, 0);
    write(&server, lines("cpu", 0..400) + &lines("mem", 0..200));
    counted(&server, 400, 200);
}
