//! Tables and columns that writes make: one change for all that a body needs, and nothing of a request that fails.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::sync::Barrier;

use crate::common::{Server, fresh_folder};

fn write(server: &Server, body: &str) -> u16 {
    server.request("POST", "/api/v1/write?db=public", &[], body.as_bytes()).status()
}

fn tables(server: &Server) -> String {
    server.sql("public", "SHOW TABLES").text()
}

/// Announces more than it sends.
fn break_off(server: &Server, body: &str) {
    let mut socket = TcpStream::connect(&server.address).expect("the server listens");
    let head =
        format!("POST /api/v1/write?db=public HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len() + 50);
    socket.write_all(head.as_bytes()).and_then(|()| socket.write_all(body.as_bytes())).expect("the server reads");
    socket.shutdown(Shutdown::Write).expect("it is open");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).expect("the server closes");
}

#[test]
fn a_request_that_fails_leaves_no_table_and_no_type() {
    let server = Server::start();
    assert_eq!(write(&server, "known,h=a v=1 1"), 200);
    let piece = "fill,h=a v=1 1\n".repeat(20_000);
    for (refused, mended) in [
        ("pump v=1 1\npump v=2i 2".to_owned(), "pump v=1i 1\npump v=2i 2"),
        ("fan v=1 1\nthis is not a line".to_owned(), "fan v=1i 1"),
        ("lamp v=1 1\nlamp v=x 2".to_owned(), "lamp v=\"on\" 1"),
        ("known,t=b w=1 2\nknown v=1i 3".to_owned(), "known w=1i,t=2 4"),
        // Longer than a piece of a body.
        (format!("{piece}long v=1 1\n{piece}not a line"), "long v=1i 1\nfill v=1i 2"),
    ] {
        let before = tables(&server);
        assert_eq!(write(&server, &refused), 422);
        assert_eq!(tables(&server), before);
        assert_eq!(write(&server, mended), 200, "{mended}");
    }
    let before = tables(&server);
    break_off(&server, "valve v=1 1\nvalve w=2i 2\n");
    assert_eq!(tables(&server), before);
    assert_eq!(write(&server, "valve v=1i,w=2 1"), 200);
    // InfluxDB's route keeps the rows that are good, and makes what they need.
    let body = b"gauge v=1 1\ngauge v=2i 2\ngauge,t=a w=3 x\nbad line";
    assert_eq!(server.request("POST", "/write?db=public", &[], body).status(), 400);
    assert_eq!(server.sql("public", "SELECT * FROM gauge").text(), "time,v\n1970-01-01T00:00:00.000000001,1.0\n");
}

#[test]
fn all_that_a_body_needs_is_one_change() {
    let folder = fresh_folder();
    let server = Server::start_in(&folder, false, &[]);
    let lines = |number: std::ops::Range<u32>, value: u32| -> String {
        number.map(|number| format!("site.{number},h=a,h{number}=b v={value},f{number}=1i {value}\n")).collect()
    };
    assert_eq!(write(&server, &lines(0..200, 1)), 200);
    assert_eq!(write(&server, &lines(0..300, 2)), 200);
    assert_eq!(write(&server, &lines(0..300, 3)), 200, "nothing is new");
    let fields: String = (0..300).map(|field| format!("wide,h=a f{field}={field} {field}\n")).collect();
    assert_eq!(write(&server, &fields), 200);
    server.kill();
    let inspected = Command::new(env!("CARGO_BIN_EXE_tidewire"))
        .args(["inspect", "--json", "--data-dir"])
        .arg(&folder)
        .output()
        .expect("the binary runs");
    let report: serde_json::Value = serde_json::from_slice(&inspected.stdout).expect("JSON");
    assert_eq!(report["catalog_version"], 1 + 3);
    let server = Server::start_in(&folder, true, &[]);
    let asked = "SELECT count(v) AS n, sum(f7) AS f, max(h7) AS h FROM \"site.7\"";
    assert_eq!(server.sql("public", asked).text(), "n,f,h\n3,3,b\n");
    assert_eq!(
        server.sql("public", "SELECT f299, f0 FROM wide ORDER BY time DESC LIMIT 1").text(),
        "f299,f0\n299.0,\n"
    );
    assert_eq!(server.sql("public", "DROP DATABASE IF EXISTS nosuch").status(), 200);
}

#[test]
fn requests_that_bring_the_same_tables_at_once_keep_their_values_apart() {
    const CLIENTS: usize = 4;
    const ROUNDS: usize = 12;
    let server = Server::start();
    let barrier = Barrier::new(CLIENTS);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (server, barrier) = (&server, &barrier);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    barrier.wait();
                    // Each has columns of its own, whose names say the value, beside one that all have.
                    let line = |table: usize| {
                        format!("r{round}_{table},t{client}=t{client},all=x f{client}={client}i,v={client}i {client}\n")
                    };
                    let body: String = (0..5).map(|table| line((table + client) % 5)).collect();
                    assert_eq!(write(server, &body), 200);
                }
            });
        }
    });
    for (round, table) in (0..ROUNDS).flat_map(|round| (0..5).map(move |table| (round, table))) {
        let columns = "t0, f0, t1, f1, t2, f2, t3, f3, \"all\", v";
        let rows = server.sql("public", &format!("SELECT {columns} FROM r{round}_{table} ORDER BY time")).text();
        let expected =
            "t0,f0,t1,f1,t2,f2,t3,f3,all,v\nt0,0,,,,,,,x,0\n,,t1,1,,,,,x,1\n,,,,t2,2,,,x,2\n,,,,,,t3,3,x,3\n";
        assert_eq!(rows, expected, "r{round}_{table}");
    }
}
