//! File systems that lack something: one in memory has neither direct I/O nor a device.

use std::fs::{self, File};
use std::path::Path;

use crate::common::{Server, fresh_folder};

/// A file system in memory that every Linux has.
const IN_MEMORY: &str = "/dev/shm";

#[test]
fn a_file_system_without_direct_io_keeps_rows_over_kills_and_ends() {
    let folder = Path::new(IN_MEMORY).join(fresh_folder().file_name().expect("a name"));
    let log = fresh_folder();
    let variables = [("TIDEWIRE_MEMTABLE_FLUSH_IDLE_S", "1"), ("TIDEWIRE_WAL_FILE_BYTES", "1MiB")];
    let start = |owns_folder| {
        Server::start_with_log(&folder, owns_folder, &variables, File::create(&log).expect("a log can be made"))
    };
    let write = |server: &Server, table: &str| {
        let lines: String = (0..500).map(|row| format!("{table},h=h{} v={row}i {}\n", row % 9, row + 1)).collect();
        let reply = server.request("POST", "/api/v1/write?db=public", &[], lines.as_bytes());
        assert_eq!(reply.status(), 200, "{}", reply.text());
    };
    let total = |server: &Server, table: &str| {
        server.sql("public", &format!("SELECT count(v) AS n, sum(v) AS s FROM {table}")).text()
    };
    let server = start(false);
    write(&server, "flushed");
    server.wait_until("rows are in segments", |server| server.metric("tidewire_segment_rows", "") >= 500.0);
    write(&server, "logged");
    server.kill();
    assert!(fs::read_to_string(&log).expect("the log is text").contains("buffered I/O"));
    let server = start(false);
    for table in ["flushed", "logged"] {
        assert_eq!(total(&server, table), "n,s\n500,124750\n", "{table}, after a kill");
    }
    server.terminate();
    let server = start(true);
    for table in ["flushed", "logged"] {
        assert_eq!(total(&server, table), "n,s\n500,124750\n", "{table}, after an end");
    }
    drop(server);
    let _ = fs::remove_file(&log);
}
