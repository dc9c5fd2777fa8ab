//! Statements so long that they are read beside the core: they do what short ones do, and what there is no memory for
//! is not read at all.

use crate::common::{Client, Server, fresh_folder};

const ROWS: usize = 5_000;

fn insert() -> String {
    let rows: Vec<String> = (0..ROWS).map(|row| format!("({row}, 'h{}', {row})", row % 7)).collect();
    format!("INSERT INTO t (time, host, n) VALUES {}", rows.join(", "))
}

#[test]
fn long_statements_do_what_short_ones_do() {
    let server = Server::start();
    assert_eq!(server.sql("public", "CREATE TABLE t (n BIGINT, TAGS(host))").status(), 200);
    let written = server.sql("public", &insert());
    assert_eq!((written.status(), written.text().contains(&ROWS.to_string())), (200, true), "{}", written.text());

    let list = (0..ROWS).step_by(2).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let counted = server.sql("public", &format!("SELECT count(n) AS c FROM t WHERE n IN ({list})"));
    assert!(counted.text().contains("2500"), "{}", counted.text());

    // A mistake has the same words, wherever it was found.
    let spaces = " ".repeat(10_000);
    let short = server.sql("public", "SELECT missing FROM t");
    let long = server.sql("public", &format!("SELECT missing FROM t{spaces}"));
    assert_eq!((short.status(), short.text()), (long.status(), long.text()));

    let form = format!("q={}", "SHOW+DATABASES%3B".repeat(1_000));
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let shown = server.request("POST", "/query?db=public", &headers, form.as_bytes());
    assert_eq!((shown.status(), shown.text().matches("\"statement_id\"").count()), (200, 1_000));
    server.terminate();
}

#[test]
fn a_statement_that_there_is_no_memory_for_is_not_read() {
    let folder = fresh_folder();
    let server = Server::start_in(&folder, true, &[("TIDEWIRE_MEMORY_BYTES_MAX", "96MiB")]);
    let before = server.peak_memory_bytes();
    // A syntax tree of gigabytes.
    let text = format!("SELECT 1 IN ({}1)", "1,".repeat(4_000_000));
    let refused = server.sql("public", &text);
    assert_eq!(refused.status(), 413, "{}", refused.text());
    assert!(refused.text().contains("of what all queries have together"), "{}", refused.text());
    let took = server.peak_memory_bytes() - before;
    assert!(took < 64 << 20, "{took} bytes for a text of {}", text.len());
    assert_eq!(server.sql("public", "SELECT 1").status(), 200);
    server.terminate();
}

#[test]
fn clients_that_leave_while_their_statements_are_read_leave_nothing_behind() {
    let server = Server::start();
    for _ in 0..3 {
        let mut client = Client::connect(&server.address);
        let text = format!("SELECT 1 IN ({}1)", "1,".repeat(50_000));
        client.send("POST", "/api/v1/sql?db=public", &[], text.as_bytes());
    }
    server.wait_until("queries to hold nothing", |server| {
        server.metric("tidewire_memory_bytes", "part=\"queries\"") == 0.0
    });
    assert_eq!(server.sql("public", "SELECT 1").status(), 200);
    server.terminate();
}
