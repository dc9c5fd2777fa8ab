//! UNION ALL over HTTP: two scans, on one shard and on two.

use crate::common::{Server, fresh_folder};

/// Two tables of some hosts, which the shards share.
fn filled(shards: &str) -> Server {
    let server = Server::start_in(&fresh_folder(), true, &[("TIDEWIRE_SHARDS", shards)]);
    let cpu: String = (0..40).map(|i| format!("cpu,host=h{} v={i}i {}\n", i % 8, i + 1)).collect();
    let disk: String =
        (0..30).map(|i| format!("disk,host=h{},path=/{} used={i}.5 {}\n", i % 5, i % 2, i + 1)).collect();
    let response = server.request("POST", "/write?db=public", &[], (cpu + &disk).as_bytes());
    assert_eq!(response.status(), 204, "{}", response.text());
    server
}

fn lines(server: &Server, text: &str) -> Vec<String> {
    let response = server.sql("public", text);
    assert_eq!(response.status(), 200, "{text}: {}", response.text());
    response.text().lines().map(str::to_owned).collect()
}

fn both(check: impl Fn(&Server)) {
    for shards in ["1", "2"] {
        check(&filled(shards));
    }
}

#[test]
fn rows_of_two_tables_and_of_one_twice() {
    both(|server| {
        let mut found = lines(
            server,
            "SELECT host, v FROM cpu WHERE v >= 37 UNION ALL SELECT path, used FROM disk WHERE used < 2 \
             UNION ALL SELECT 'sum', sum(v) FROM cpu",
        );
        assert_eq!(found.remove(0), "host,v");
        found.sort();
        assert_eq!(found, ["/0,0.5", "/1,1.5", "h5,37.0", "h6,38.0", "h7,39.0", "sum,780.0"]);
        let twice = "SELECT v, host FROM cpu WHERE v > 36 UNION ALL SELECT v, host FROM cpu WHERE v < 2 \
                     ORDER BY v DESC LIMIT 4 OFFSET 1";
        assert_eq!(lines(server, twice), ["v,host", "38,h6", "37,h5", "1,h1", "0,h0"]);
    });
}

#[test]
fn aggregates_over_a_union() {
    both(|server| {
        let grouped = "SELECT h, count(*) AS n, max(x) AS m FROM (SELECT host AS h, v AS x FROM cpu WHERE v < 39 \
                       UNION ALL SELECT host, used FROM disk) u WHERE h < 'h2' GROUP BY h ORDER BY h";
        assert_eq!(lines(server, grouped), ["h,n,m", "h0,11,32.0", "h1,11,33.0"]);
        let counted = "SELECT count(*) AS n FROM (SELECT v FROM cpu UNION ALL SELECT v FROM cpu UNION ALL \
                       (SELECT v FROM cpu ORDER BY v LIMIT 3)) u";
        assert_eq!(lines(server, counted), ["n", "83"]);
    });
}

/// Tags are dictionaries and constants are not: every format takes batches of both forms.
#[test]
fn every_format_takes_batches_of_different_forms() {
    both(|server| {
        let text =
            "SELECT host FROM cpu WHERE v = 3 UNION ALL SELECT 'é' UNION ALL SELECT upper(host) FROM cpu WHERE v = 4";
        for format in ["csv", "tsv", "json", "nd-json"] {
            let accept = format!("application/{format}");
            let response = server.request("POST", "/api/v1/sql?db=public", &[("Accept", &accept)], text.as_bytes());
            assert_eq!(response.status(), 200, "{format}: {}", response.text());
            let found = response.text();
            for value in ["h3", "é", "H4"] {
                assert_eq!(found.matches(value).count(), 1, "{format}: {found}");
            }
        }
    });
}

#[test]
fn explain_shows_the_tree() {
    both(|server| {
        let text = "EXPLAIN ANALYZE SELECT host, v FROM cpu UNION ALL SELECT host, used FROM disk ORDER BY v LIMIT 2";
        let found = lines(server, text).join("\n");
        for part in [
            "    Union: [host, v]\n",
            "    Union\n      EveryShard: TopRows: fetch=2, scan=cpu",
            "\n      EveryShard: TopRows: fetch=2, scan=disk",
            "rows=2,",
            "shard 0: rows_scanned=",
        ] {
            assert!(found.contains(part), "{part} in\n{found}");
        }
    });
}

#[test]
fn columns_that_do_not_meet_are_an_error() {
    let server = filled("2");
    let response = server.sql("public", "SELECT host, v FROM cpu UNION ALL SELECT host FROM disk");
    assert_eq!(response.status(), 422);
    assert!(response.text().contains("the first has 2, number 2 has 1"), "{}", response.text());
    let response = server.sql("public", "SELECT v FROM cpu UNION ALL SELECT v > 1 FROM cpu");
    assert_eq!(response.status(), 422);
    assert!(response.text().contains("UNION, column 1 (v): types Int64 and Boolean"), "{}", response.text());
}
