//! `/health` and `/ready` say whether the server does all that it is there for, and DELETE says what is true when only
//! a part of it is done.

use std::fs;

use crate::common::{Response, Server, flip, fresh_folder};

fn both(server: &Server) -> [Response; 2] {
    ["/health", "/ready"].map(|path| server.request("GET", path, &[], b""))
}

/// A shard whose log fails when it needs another file: its folder is gone. Gives the shard that has failed.
fn break_log(server: &Server, folder: &std::path::Path) {
    fs::rename(folder.join("shard-001/wal"), folder.join("shard-001/away")).expect("the folder can be moved");
    let text = "x".repeat(4_000);
    for n in 0..2_000 {
        let line: String = (0..32).map(|host| format!("m,host=h{host} n={n}i,text=\"{text}\" {n}\n")).collect();
        server.request("POST", "/write?db=public", &[], line.as_bytes());
        if server.metric("tidewire_wal_failed", "shard=\"1\"") == 1.0 {
            return;
        }
    }
    panic!("the log never failed");
}

const VARIABLES: [(&str, &str); 4] = [
    ("TIDEWIRE_SHARDS", "2"),
    ("TIDEWIRE_WAL_FILE_BYTES", "1MiB"),
    ("TIDEWIRE_MEMTABLE_FLUSH_BYTES", "64MiB"),
    ("TIDEWIRE_MEMTABLE_FLUSH_IDLE_S", "3600"),
];

#[test]
fn a_healthy_server_answers_as_influxdb_does() {
    let server = Server::start();
    let [health, ready] = both(&server);
    assert_eq!((health.status(), ready.status()), (200, 200));
    assert_eq!(
        health.text(),
        "{\"checks\":[],\"message\":\"ready for queries and writes\",\"name\":\"influxdb\",\"status\":\"pass\",\
         \"version\":\"1.7.10\"}"
    );
    assert_eq!(health.header("content-type"), Some("application/json"));
    assert_eq!(ready.text(), "{\"reasons\":[],\"status\":\"ready\"}");
    assert_eq!(server.request("HEAD", "/health", &[], b"").status(), 200);
    assert_eq!(server.request("POST", "/health", &[], b"").status(), 405);
}

#[test]
fn an_offline_shard_is_a_reason() {
    let folder = fresh_folder();
    let server = Server::start_in(&folder, false, &[("TIDEWIRE_SHARDS", "2")]);
    assert_eq!(server.request("POST", "/api/v1/write", &[], b"m,host=a v=1 1").status(), 200);
    server.terminate();
    for name in ["MANIFEST", "MANIFEST.copy"] {
        flip(&folder.join("shard-001").join(name), 20);
    }
    let server = Server::start_in(&folder, true, &[]);
    for told in both(&server) {
        assert_eq!(told.status(), 503);
        assert!(told.header("Retry-After").is_some());
        assert!(told.text().contains("shard 1 is offline: ") && told.text().contains("MANIFEST"), "{}", told.text());
    }
    assert_eq!(server.metric("tidewire_shard_refusing", "reason=\"offline\""), 1.0);
}

#[test]
fn a_delete_that_one_shard_refuses_is_reported_as_partly_done() {
    let folder = fresh_folder();
    let server = Server::start_in(&folder, true, &VARIABLES);
    let rows: String = (0..32).map(|host| format!("m,host=h{host} n=0i 0\ncpu,host=h{host} n=0i 0\n")).collect();
    assert_eq!(server.request("POST", "/api/v1/write", &[], rows.as_bytes()).status(), 200);
    break_log(&server, &folder);
    for told in both(&server) {
        assert_eq!(told.status(), 503);
        assert!(told.text().contains("shard 1 takes no writes since its log failed"), "{}", told.text());
    }
    assert_eq!(server.metric("tidewire_shard_refusing", "reason=\"log_failed\""), 1.0);

    let count = |server: &Server, table: &str| {
        let text = server.sql("public", &format!("SELECT count(n) AS c FROM {table} WHERE time = 0")).text();
        text.lines().nth(1).and_then(|line| line.parse::<u64>().ok()).expect("a count")
    };
    let before = count(&server, "cpu");
    let deleted = server.sql("public", "DELETE FROM cpu");
    let told = deleted.text();
    assert_eq!(deleted.status(), 500, "{told}");
    let said = told.contains("not all rows are deleted: shard 0 has deleted its part; shard 1 has deleted nothing; ");
    assert!(told.starts_with("{\"error_code\":\"050014\"") && said && told.contains("its log failed"), "{told}");
    // And that is true.
    let left = count(&server, "cpu");
    assert!(left > 0 && left < before, "{left} of {before}");

    let target = "/query?db=public&q=DELETE%20FROM%20m";
    let told = server.request("POST", target, &[], b"").text();
    let start =
        "{\"results\":[{\"statement_id\":0,\"error\":\"not all rows are deleted: shard 0 has deleted its part; ";
    assert!(told.starts_with(start), "{told}");

    fs::rename(folder.join("shard-001/away"), folder.join("shard-001/wal")).expect("the folder can be moved back");
    server.wait_until("health", |server| both(server).iter().all(|told| told.status() == 200));
    // Sent again, the statement does the rest.
    assert_eq!(server.sql("public", "DELETE FROM cpu").status(), 200);
    assert_eq!(count(&server, "cpu"), 0);
}
