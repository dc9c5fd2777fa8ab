use std::collections::BTreeSet;

use super::*;
use crate::testing::{Mock, reply};

fn job(mock: &Mock, rows: u64, batch: u64) -> Job {
    let args = RowArgs {
        workload: Workload::Devops,
        hosts: 10,
        fields: 1,
        rows,
        batch,
        warmup: 0,
        seed: 3,
        start: None,
        memory_mib: 64,
        connections: 3,
        threads: 2,
        pin: Vec::new(),
    };
    Job {
        rows: args,
        target: mock.target.clone(),
        path: Api::Influx.write_path("x"),
        door: Door::Line,
        rate: None,
        process: None,
        data_dir: None,
        settle: None,
    }
}

fn lines(mock: &Mock) -> Vec<String> {
    mock.asked().iter().flat_map(|asked| asked.body.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn every_row_arrives_once() {
    let mock = Mock::start(|_, _| "HTTP/1.1 204 No Content\r\n\r\n".to_owned());
    let job = job(&mock, 1_005, 50);
    let (summary, tally) = job.run().unwrap();
    assert_eq!((summary.rows, summary.values, summary.requests, summary.laps), (1_005, 10_050, 21, 1));
    summary.verdict(&tally).unwrap();
    let lines = lines(&mock);
    assert_eq!(lines.len(), 1_005);
    assert_eq!(lines.iter().collect::<BTreeSet<_>>().len(), 1_005);
    assert!(mock.asked().iter().all(|asked| asked.path == "/write?db=x"));
}

#[test]
fn warm_up_rows_are_sent_but_not_counted() {
    let mock = Mock::start(|_, _| reply("200 OK", "", ""));
    let mut job = job(&mock, 200, 10);
    job.rows.warmup = 95;
    let (summary, _) = job.run().unwrap();
    assert_eq!((summary.rows, summary.requests), (200, 20));
    assert_eq!(lines(&mock).len(), 300);
}

#[test]
fn a_throttled_request_is_sent_again() {
    let mock = Mock::start(|number, _| match number {
        2 | 5 => reply("429 Too Many Requests", "Retry-After: 0\r\n", "slow down"),
        _ => reply("200 OK", "", ""),
    });
    let (summary, tally) = job(&mock, 500, 50).run().unwrap();
    assert_eq!((summary.rows, summary.throttled, summary.errors), (500, 2, 0));
    summary.verdict(&tally).unwrap();
    assert_eq!(lines(&mock).iter().collect::<BTreeSet<_>>().len(), 500);
    assert_eq!(mock.asked().len(), 12);
}

#[test]
fn errors_are_counted_with_their_text_and_fail_the_run() {
    let mock = Mock::start(|number, _| match number {
        3 => reply("422 Unprocessable Entity", "", "{\"error_code\":\"030017\"}"),
        4 => reply("500 Internal Server Error", "Connection: close\r\n", "broken"),
        _ => reply("200 OK", "", ""),
    });
    let (summary, tally) = job(&mock, 500, 50).run().unwrap();
    assert_eq!((summary.rows, summary.errors), (400, 2));
    let text = summary.verdict(&tally).unwrap_err().to_string();
    assert!(text.contains("2 requests failed") && text.contains("030017") && text.contains("500 broken"), "{text}");
}

#[test]
fn a_hopeless_run_stops_early() {
    let mock = Mock::start(|_, _| reply("404 Not Found", "", "no"));
    let (summary, tally) = job(&mock, 10_000, 10).run().unwrap();
    assert!(summary.verdict(&tally).is_err());
    assert!(mock.asked().len() < 50, "{} requests were sent", mock.asked().len());
}

#[test]
fn an_open_loop_counts_from_the_intended_start() {
    let mock = Mock::start(|_, _| {
        std::thread::sleep(Duration::from_millis(5));
        reply("200 OK", "", "")
    });
    let mut job = job(&mock, 40, 1);
    job.rows.connections = 1;
    // Asked for every millisecond, answered every five: the queue grows, and the last request is late by about 160 ms.
    job.rate = Some(1_000.0);
    let (summary, _) = job.run().unwrap();
    assert_eq!(summary.rows, 40);
    assert!(summary.latency.max_us >= 150_000.0, "{}", summary.latency.max_us);
    assert!(summary.latency.p50_us >= 60_000.0, "{}", summary.latency.p50_us);
}

#[test]
fn costs_of_a_process_and_a_folder() {
    let mock = Mock::start(|_, _| reply("200 OK", "", ""));
    let mut job = job(&mock, 100, 10);
    job.process = Some(Process::own());
    let folder = std::env::temp_dir().join(format!("tidewire-write-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    job.data_dir = Some(folder.clone());
    let (summary, _) = job.run().unwrap();
    let text = summary.to_string();
    assert!(text.contains("µs/row during the load") && text.contains("bytes/value"), "{text}");
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["rows"], 100);
    assert_eq!(json["disk"]["apparent_bytes"], 0);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn databases_are_created_by_either_interface() {
    let mock =
        Mock::start(|number, _| if number < 2 { reply("200 OK", "", "") } else { reply("422 No", "", "denied") });
    Api::Cnos.create_database(&mock.target, "a b").unwrap();
    Api::Influx.create_database(&mock.target, "a b").unwrap();
    let asked = mock.asked();
    assert_eq!(asked[0].body, "CREATE DATABASE IF NOT EXISTS \"a b\"");
    assert_eq!(asked[1].path, "/query?q=CREATE%20DATABASE%20%22a%20b%22");
    let text = Api::Cnos.create_database(&mock.target, "x").unwrap_err().to_string();
    assert!(text.contains("422 denied"), "{text}");
}
