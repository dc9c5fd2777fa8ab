//! A log that fails: its folder is gone when the next file is to be made. The shard refuses writes and says which shard
//! it is and why, everything else goes on, and writes are taken again by themselves when the folder is back.

use std::fs;

use crate::common::{Server, fresh_folder};

/// Rows of a request, some 100 KiB of text that fills log files fast.
const ROWS: u64 = 16;
const TEXT_BYTES: usize = 6 << 10;

struct Load {
    random: fastrand::Rng,
    next: u64,
    acknowledged: u64,
    sum: u64,
}

impl Load {
    /// Writes a request; its status and text.
    fn write(&mut self, server: &Server, target: &str) -> (u16, String) {
        let mut body = String::new();
        let first = self.next;
        self.next += ROWS;
        for n in first..self.next {
            let text: String = std::iter::repeat_with(|| self.random.alphanumeric()).take(TEXT_BYTES).collect();
            body.push_str(&format!("m,host=h n={n}i,text=\"{text}\" {n}\n"));
        }
        let response = server.request("POST", target, &[], body.as_bytes());
        if matches!(response.status(), 200 | 204) {
            self.acknowledged += ROWS;
            self.sum += (first..self.next).sum::<u64>();
        } else {
            // What was refused may be there all the same; the same rows are sent again.
            self.next = first;
        }
        (response.status(), response.text())
    }

    /// Whether the acknowledged rows are there, and at most one request more.
    fn check(&self, server: &Server, when: &str) {
        let reply = server.sql("public", &format!("SELECT count(n) AS c, sum(n) AS s FROM m WHERE n < {}", self.next));
        assert_eq!(reply.text(), format!("c,s\n{},{}\n", self.acknowledged, self.sum), "{when}");
    }
}

#[test]
fn a_failed_log_is_told_refuses_writes_alone_and_heals() {
    let folder = fresh_folder();
    let variables = [
        ("TIDEWIRE_SHARDS", "1"),
        ("TIDEWIRE_WAL_FILE_BYTES", "1MiB"),
        ("TIDEWIRE_MEMTABLE_FLUSH_BYTES", "16MiB"),
        ("TIDEWIRE_MEMTABLE_FLUSH_IDLE_S", "3600"),
    ];
    let server = Server::start_in(&folder, false, &variables);
    let mut load = Load { random: fastrand::Rng::with_seed(1), next: 1, acknowledged: 0, sum: 0 };
    assert_eq!(load.write(&server, "/api/v1/write").0, 200);
    let (wal, away) = (folder.join("shard-000/wal"), folder.join("shard-000/away"));
    fs::rename(&wal, &away).expect("the folder can be moved");

    // The files that are there may take some more; then a new one is wanted.
    let (status, told) = (0..200)
        .map(|_| load.write(&server, "/api/v1/write"))
        .find(|(status, _)| *status != 200)
        .expect("the log cannot go on without its folder");
    assert_eq!(status, 500, "{told}");
    assert!(told.starts_with("{\"error_code\":\"050014\"") && told.contains("wal"), "{told}");
    let (status, told) = load.write(&server, "/write?db=public");
    assert_eq!(status, 500, "{told}");
    let says_why = told.contains("shard 0 takes no writes since its log failed") && told.contains("No such file");
    assert!(says_why && told.contains(&wal.display().to_string()), "{told}");
    assert_eq!(server.metric("tidewire_wal_failed", "shard=\"0\""), 1.0);
    load.check(&server, "while the log fails");

    fs::rename(&away, &wal).expect("the folder can be moved back");
    server.wait_until("writes are taken again", |server| load.write(server, "/api/v1/write").0 == 200);
    assert_eq!(server.metric("tidewire_wal_failed", ""), 0.0);
    (0..20).for_each(|_| assert_eq!(load.write(&server, "/write?db=public").0, 204));
    load.check(&server, "after the log was healed");
    server.kill();
    let server = Server::start_in(&folder, true, &variables);
    load.check(&server, "after a crash");
}
