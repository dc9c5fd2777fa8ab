//! Joins over HTTP: they run in an order by what their tables hold, on one shard and on two.

use crate::common::{Server, fresh_folder};

fn write(server: &Server, table: &str, rows: std::ops::Range<u32>) {
    let lines: String = rows.map(|i| format!("{table},tag=t{} key={}i,v={i}i {}\n", i % 3, i % 50, i + 1)).collect();
    let response = server.request("POST", "/write?db=public", &[], lines.as_bytes());
    assert_eq!(response.status(), 204, "{}", response.text());
}

/// The scans of a plan, from the one that streams to the last that becomes a hash table.
fn scans(server: &Server, query: &str) -> Vec<String> {
    let response = server.sql("public", &format!("EXPLAIN {query}"));
    assert_eq!(response.status(), 200, "{}", response.text());
    let text = response.text();
    let scans = text.lines().filter_map(|line| line.split("Scan: public.").nth(1));
    scans.filter_map(|scan| scan.split(' ').next()).map(str::to_owned).collect()
}

fn answer(server: &Server, query: &str) -> String {
    let response = server.sql("public", query);
    assert_eq!(response.status(), 200, "{}", response.text());
    response.text()
}

#[test]
fn the_order_follows_the_sizes_of_the_tables() {
    for shards in ["1", "2"] {
        let server = Server::start_in(&fresh_folder(), true, &[("TIDEWIRE_SHARDS", shards)]);
        write(&server, "small", 0..20);
        write(&server, "middle", 0..200);
        write(&server, "large", 0..1000);
        let query =
            "SELECT count(*), sum(m.v) FROM small AS s, middle AS m, large AS l WHERE s.key = l.key AND l.v = m.v";
        assert_eq!(scans(&server, query), ["large", "small", "middle"]);
        // Of the first 200 of `large` those whose key, from 0 to 49, is below 20.
        let sum: u32 = (0..200).filter(|v| v % 50 < 20).sum();
        let expected = format!("COUNT(UInt8(1)),SUM(m.v)\n80,{sum}\n");
        assert_eq!(answer(&server, query), expected);
        write(&server, "small", 20..3000);
        assert_eq!(scans(&server, query), ["small", "large", "middle"]);
        // An outer join is as it is written.
        let outer = "SELECT count(*) FROM middle AS m LEFT JOIN large AS l ON m.v = l.v";
        assert_eq!(scans(&server, outer), ["middle", "large"]);
    }
}
