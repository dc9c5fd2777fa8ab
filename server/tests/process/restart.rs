//! What was acknowledged is there after an orderly end and after a crash.

use crate::common::{Server, fresh_folder};

fn write(server: &Server, from: u32, rows: u32) {
    let lines: String = (from..from + rows).map(|i| format!("m,host=h{} v={i}i {}\n", i % 7, i + 1)).collect();
    let response = server.request("POST", "/api/v1/write?db=public", &[], lines.as_bytes());
    assert_eq!(response.status(), 200, "{}", response.text());
}

fn total(server: &Server) -> String {
    server.sql("public", "SELECT count(v) AS n, sum(v) AS s FROM m").text()
}

#[test]
fn rows_and_tables_survive_a_kill_and_a_shutdown() {
    let folder = fresh_folder();
    let server = Server::start_in(&folder, false, &[]);
    write(&server, 0, 1_000);
    assert_eq!(total(&server), "n,s\n1000,499500\n");
    server.kill();

    let server = Server::start_in(&folder, false, &[]);
    assert_eq!(total(&server), "n,s\n1000,499500\n", "after a kill");
    // The same rows again are the same rows; a new series and a new table come beside them.
    write(&server, 0, 1_000);
    write(&server, 1_000, 1_000);
    assert_eq!(total(&server), "n,s\n2000,1999000\n");
    server.terminate();

    let server = Server::start_in(&folder, true, &[]);
    assert_eq!(total(&server), "n,s\n2000,1999000\n", "after SIGTERM");
    assert_eq!(server.sql("public", "DROP TABLE m").status(), 200);
    drop(server);
}

#[test]
fn a_second_server_on_the_same_folder_is_refused() {
    let folder = fresh_folder();
    let first = Server::start_in(&folder, true, &[]);
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_tidewire"))
        .args(["--listen", "127.0.0.1:0", "--data-dir"])
        .arg(&folder)
        .output()
        .expect("the binary runs");
    assert!(!second.status.success());
    let told = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(told.contains("tidewire: ") && told.contains(&folder.display().to_string()), "{told}");
    drop(first);
}

#[test]
fn codecs_survive_a_restart() {
    let folder = fresh_folder();
    let server = Server::start_in(&folder, false, &[]);
    let create = "CREATE TABLE c (v BIGINT CODEC(NULL), w BIGINT, TAGS(host))";
    assert_eq!(server.sql("public", create).status(), 200);
    assert_eq!(server.sql("public", "ALTER TABLE c ALTER w SET CODEC(DELTA)").status(), 200);
    let refused = server.sql("public", "ALTER TABLE c ALTER w SET CODEC(GORILLA)");
    assert_eq!(refused.status(), 422);
    assert!(refused.text().contains("Unsupported encoding type Gorilla for BIGINT"), "{}", refused.text());
    let described = "column_name,data_type,column_type,compression_codec\ntime,TIMESTAMP(NANOSECOND),TIME,DEFAULT\n\
                     host,STRING,TAG,DEFAULT\nv,BIGINT,FIELD,NULL\nw,BIGINT,FIELD,DELTA\n";
    assert_eq!(server.sql("public", "DESCRIBE TABLE c").text(), described);
    server.terminate();

    let server = Server::start_in(&folder, true, &[("TIDEWIRE_MEMTABLE_FLUSH_IDLE_S", "1")]);
    assert_eq!(server.sql("public", "DESCRIBE TABLE c").text(), described, "after SIGTERM");
    let lines: String = (0..2000).map(|i| format!("c,host=a v=7i,w=7i {i}\n")).collect();
    assert_eq!(server.request("POST", "/api/v1/write?db=public", &[], lines.as_bytes()).status(), 200);
    let total = |name: &str| -> u64 {
        let text = server.request("GET", "/metrics", &[], b"").text();
        let of_shards = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        of_shards.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    };
    while total("tidewire_segment_rows") < 2000 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(total("tidewire_segment_bytes") > 2000 * 8, "constants, stored as they are");
    assert_eq!(server.sql("public", "ALTER TABLE c ALTER v SET CODEC(DEFAULT)").status(), 200);
    assert!(server.sql("public", "DESCRIBE TABLE c").text().contains("v,BIGINT,FIELD,DEFAULT\n"));
}
