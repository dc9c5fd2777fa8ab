//! Statements that mean harm: each has an answer, none ends the process or takes more memory than the bound allows, and
//! the next client is served.

use crate::common::{Client, Server, fresh_folder};

const MIB: u64 = 1 << 20;

/// `around` about `of`, `levels` times.
fn nested(levels: usize, of: &str, around: &str) -> String {
    (0..levels).fold(of.to_owned(), |inner, _| around.replacen('#', &inner, 1))
}

#[test]
fn statements_that_grow_are_answered_within_the_memory_and_the_server_lives() {
    let variables = [("TIDEWIRE_MEMORY_BYTES_MAX", "512MiB"), ("TIDEWIRE_MEMTABLE_FLUSH_IDLE_S", "1")];
    let server = Server::start_in(&fresh_folder(), true, &variables);
    let lines: String = (0..5_000).map(|at| format!("h,host=h{} s=\"x\",b=true,v={at} {at}\n", at % 10)).collect();
    assert_eq!(server.request("POST", "/write?db=public", &[], lines.as_bytes()).status(), 204);
    server.wait_until("all rows are in segments", |server| server.metric("tidewire_memtable_rows", "") == 0.0);
    let sums = format!("(SELECT v{} AS v FROM #)", "+1".repeat(120));
    let long = "ΐ".repeat(50 << 10);
    for (what, statement, statuses) in [
        ("sums", format!("SELECT max(v) FROM {}", nested(30, "h", &sums)), &[200][..]),
        (
            "doubled",
            format!("SELECT v FROM {} WHERE v > 0 LIMIT 3", nested(20, "h", "(SELECT v+v AS v FROM #)")),
            &[200],
        ),
        ("texts", format!("SELECT length(s) FROM {}", nested(30, "h", "(SELECT s||s AS s FROM #)")), &[422]),
        ("distinct", format!("SELECT v FROM h WHERE b{}", " IS DISTINCT FROM b".repeat(100)), &[422]),
        ("between", format!("SELECT v FROM h WHERE {}", nested(25, "b", "(# BETWEEN false AND true)")), &[422]),
        ("cases", format!("SELECT {} FROM h", nested(25, "1*v", "(CASE # WHEN 1 THEN 2 WHEN 2 THEN 3 END)")), &[422]),
        ("a sum", format!("SELECT 1{}", "+1".repeat(1_900)), &[422]),
        ("set operations", vec!["SELECT 1, 2"; 3_000].join(" UNION ALL "), &[422]),
        ("more of them", vec!["SELECT 1, 2"; 160_000].join(" UNION ALL "), &[413]),
        ("a constant of each row", format!("SELECT count(*) FROM h WHERE length('{long}' || host) > 5"), &[200]),
        ("growing text", format!("SELECT max(length(upper('{long}' || host))) FROM h"), &[200]),
        ("a list", format!("SELECT v FROM h WHERE v IN ({})", vec!["1"; 1_000_000].join(",")), &[413]),
        ("grouping sets", format!("SELECT 1 FROM h GROUP BY ROLLUP({})", vec!["v"; 20_000].join(",")), &[422]),
        ("stars", format!("SELECT {} FROM h", vec!["*"; 100_000].join(",")), &[413]),
    ] {
        let answer = server.sql("public", &statement);
        assert!(
            statuses.contains(&answer.status()),
            "{what}: {} {}",
            answer.status(),
            &answer.text()[..answer.text().len().min(300)]
        );
        assert_eq!(server.sql("public", "SELECT count(*) FROM h").status(), 200, "after {what}");
    }
    let chain = format!("q=SELECT {} FROM h", nested(60, "v", &format!("(#{})", "%2Bv".repeat(200))));
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let answer = server.request("POST", "/query?db=public", &form, chain.as_bytes());
    assert!(answer.text().contains("512 levels"), "{}", answer.text());
    assert_eq!(server.metric("tidewire_panics_total", ""), 0.0);
    let peak = server.peak_memory_bytes();
    assert!(peak < 700 * MIB, "{} MiB", peak / MIB);
}

/// Each query that scans rows in memory copies them, and many do so at once.
#[test]
fn many_queries_over_rows_in_memory_stay_within_the_memory_of_all() {
    let variables = [("TIDEWIRE_MEMORY_BYTES_MAX", "256MiB"), ("TIDEWIRE_MEMTABLE_FLUSH_IDLE_S", "86400")];
    let server = Server::start_in(&fresh_folder(), true, &variables);
    for batch in 0..20 {
        let line = |at: usize| format!("h,host=h{} s=\"row {at} of the table\",v={at} {at}\n", at % 10);
        let lines: String = (batch * 5_000..(batch + 1) * 5_000).map(line).collect();
        assert_eq!(server.request("POST", "/write?db=public", &[], lines.as_bytes()).status(), 204);
    }
    assert!(server.metric("tidewire_memtable_rows", "") > 50_000.0, "most rows are in memory");
    let before = server.peak_memory_bytes();
    let statement = "SELECT count(*) FROM h WHERE s ~ '(r|o|w)*.*17.*8.*17x'";
    let mut clients: Vec<Client> = (0..60).map(|_| Client::connect(&server.address)).collect();
    for client in &mut clients {
        client.send("POST", "/api/v1/sql?db=public", &[], statement.as_bytes());
    }
    let statuses: Vec<u16> = clients.iter_mut().map(|client| client.read(false).status()).collect();
    assert!(statuses.iter().all(|status| matches!(status, 200 | 429)), "{statuses:?}");
    // Which of them have room is a matter of moments; alone it has.
    let alone = server.sql("public", statement);
    assert_eq!(alone.status(), 200, "{}", alone.text());
    let grown = server.peak_memory_bytes() - before;
    assert!(grown < 160 * MIB, "{} MiB for the copies of all", grown / MIB);
}
