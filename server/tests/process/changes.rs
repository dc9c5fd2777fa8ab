//! INSERT of queries, UPDATE, SHOW of series and tag values, and COMPACT over HTTP: on one shard and on two, from
//! memory and from segments, and after a start.

use crate::common::{Server, fresh_folder};

fn lines(server: &Server, text: &str) -> Vec<String> {
    let response = server.sql("public", text);
    assert_eq!(response.status(), 200, "{text}: {}", response.text());
    response.text().lines().skip(1).map(str::to_owned).collect()
}

fn done(server: &Server, text: &str) {
    let response = server.sql("public", text);
    assert_eq!((response.status(), response.text().as_str()), (200, ""), "{text}");
}

fn refused(server: &Server, text: &str) -> String {
    let response = server.sql("public", text);
    assert_eq!(response.status(), 422, "{text}: {}", response.text());
    response.text()
}

/// In all settings: shards, and rows in memory or in segments.
fn in_all_settings(check: impl Fn(&Server, &dyn Fn())) {
    for shards in ["1", "2"] {
        for is_compacted in [false, true] {
            let server = Server::start_in(&fresh_folder(), true, &[("TIDEWIRE_SHARDS", shards)]);
            done(&server, "CREATE TABLE m (i BIGINT, f DOUBLE, s STRING, TAGS(host, rack))");
            let settle = || {
                if is_compacted {
                    done(&server, "COMPACT DATABASE public");
                }
            };
            let values = "(1, 'a', 'r1', 1, 0.5, 'x'), (2, 'a', 'r1', 2, NULL, 'y'), (1, 'b', 'r1', 3, 1.5, NULL), \
                          (3, 'c', NULL, 4, 2.5, 'z')";
            let inserted = format!("INSERT INTO TABLE m (time, host, rack, i, f, s) VALUES {values}");
            assert_eq!(lines(&server, &inserted), ["4"]);
            settle();
            check(&server, &settle);
        }
    }
}

const ALL: &str = "SELECT CAST(time AS BIGINT) AS at, host, rack, i, f, s FROM m ORDER BY host, at";

#[test]
fn rows_of_queries_are_inserted() {
    in_all_settings(|server, settle| {
        done(server, "CREATE TABLE n (v DOUBLE, w BIGINT, TAGS(host))");
        let text = "INSERT INTO n (time, host, v, w) SELECT time, host, i, f FROM m WHERE f IS NOT NULL";
        assert_eq!(lines(server, text), ["3"]);
        assert_eq!(lines(server, "INSERT n SELECT 9, 'd', sum(i), count(*) FROM m"), ["1"]);
        settle();
        let all = "SELECT host, v, w FROM n ORDER BY host";
        assert_eq!(lines(server, all), ["a,1.0,0", "b,3.0,1", "c,4.0,2", "d,10.0,4"]);
        // A query does not see what it inserts.
        assert_eq!(lines(server, "INSERT m (time, host, i) SELECT time, host || 'x', i FROM m"), ["4"]);
        assert_eq!(lines(server, "SELECT count(*) FROM m"), ["8"]);
        assert!(refused(server, "INSERT n (time, v) SELECT 1").contains("010045"));
        assert!(refused(server, "INSERT n (time, v) SELECT 1, NULL").contains("050034"));
        assert!(refused(server, "INSERT n (time, v) SELECT i, s FROM m").contains("Cannot cast"));
        assert!(refused(server, "INSERT n (time, v) VALUES (1, 1), (2, 2.5)").contains("row 1 column 1"));
    });
}

#[test]
fn fields_are_updated_where_a_condition_holds() {
    in_all_settings(|server, settle| {
        assert_eq!(lines(server, "UPDATE m SET i = i * 10, s = host || '!' WHERE f > 1 OR rack IS NULL"), ["2"]);
        settle();
        let expected = ["1,a,r1,1,0.5,x", "2,a,r1,2,,y", "1,b,r1,30,1.5,b!", "3,c,,40,2.5,c!"];
        assert_eq!(lines(server, ALL), expected);
        assert_eq!(lines(server, "UPDATE m SET f = 7 WHERE time = 2"), ["1"]);
        assert_eq!(lines(server, "SELECT f FROM m WHERE i = 2"), ["7.0"]);
        assert_eq!(lines(server, "UPDATE m SET f = 7 WHERE host = 'none'"), ["0"]);
        for (text, code) in [
            ("UPDATE m SET i = 1", "010010"),
            ("UPDATE m SET i = 1, host = 'a' WHERE i = 2", "010010"),
            ("UPDATE m SET time = 1 WHERE i = 2", "010010"),
            ("UPDATE m SET i = NULL WHERE i = 2", "010010"),
            ("UPDATE m SET nosuch = 1 WHERE i = 2", "010001"),
            ("UPDATE nosuch SET i = 1 WHERE i = 2", "030019"),
        ] {
            assert!(refused(server, text).contains(code), "{text}: {}", refused(server, text));
        }
    });
}

#[test]
fn tags_are_updated_and_series_move_whole() {
    in_all_settings(|server, settle| {
        assert_eq!(lines(server, "UPDATE m SET host = 'q', rack = NULL WHERE host = 'a'"), ["2"]);
        settle();
        let moved = ["1,b,r1,3,1.5,", "3,c,,4,2.5,z", "1,q,,1,0.5,x", "2,q,,2,,y"];
        assert_eq!(lines(server, ALL), moved);
        assert_eq!(
            lines(server, "SHOW SERIES FROM m ORDER BY key"),
            ["\"m,host=b,rack=r1\"", "\"m,host=c\"", "\"m,host=q\""]
        );
        // Two would become one, or one that is there; and one that stays as it is does not move.
        for text in ["UPDATE m SET host = 'x', rack = 'x' WHERE host > 'a'", "UPDATE m SET host = 'q' WHERE host = 'c'"]
        {
            assert!(refused(server, text).contains("already exists"), "{text}");
            assert_eq!(lines(server, ALL), moved);
        }
        assert_eq!(lines(server, "UPDATE m SET host = 'q' WHERE host = 'q'"), ["0"]);
        for text in [
            "UPDATE m SET host = 'x' WHERE host = 'q' AND time > 1",
            "UPDATE m SET host = 'x' WHERE i = 1",
            "UPDATE m SET host = rack WHERE host = 'q'",
        ] {
            refused(server, text);
        }
        // Back again, and it stays so over a start.
        assert_eq!(lines(server, "UPDATE m SET host = 'a', rack = 'r1' WHERE host = 'q'"), ["2"]);
        settle();
        assert_eq!(lines(server, "SELECT host, rack, i FROM m WHERE host = 'a' ORDER BY i"), ["a,r1,1", "a,r1,2"]);
    });
    let folder = fresh_folder();
    let server = Server::start_in(&folder, false, &[]);
    done(&server, "CREATE TABLE m (i BIGINT, TAGS(host))");
    assert_eq!(lines(&server, "INSERT m (time, host, i) VALUES (1, 'a', 1), (2, 'b', 2)"), ["2"]);
    assert_eq!(lines(&server, "UPDATE m SET host = 'c' WHERE host = 'a'"), ["1"]);
    server.terminate();
    let server = Server::start_in(&folder, true, &[]);
    assert_eq!(lines(&server, "SELECT host, i FROM m ORDER BY i"), ["c,1", "b,2"]);
}

/// Rows of the past and of the present come to series while these move, some of them at the times of rows that are
/// copied. Whatever becomes of the UPDATE, each row is there once.
#[test]
fn rows_that_are_written_while_series_move_are_kept() {
    const ROUNDS: i64 = 6;
    const ROWS: i64 = 20_000;
    const LATE: i64 = 60;
    for shards in ["1", "2"] {
        let server = Server::start_in(&fresh_folder(), true, &[("TIDEWIRE_SHARDS", shards)]);
        let write = |lines: &str| {
            let response = server.request("POST", "/api/v1/write?db=public", &[], lines.as_bytes());
            assert_eq!(response.status(), 200, "{}", response.text());
        };
        let line = |place: i64, row: i64, time: i64| format!("m,host=h{},place=p{place} i={row}i {time}\n", row % 8);
        write(&(0..ROWS).map(|row| line(0, row, 2 * row)).collect::<String>());
        for round in 0..ROUNDS {
            let late = ROWS + round * LATE;
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    for row in late..late + LATE {
                        let time = if row % 3 == 0 { 4 * ROWS + row } else { 2 * (row * 7_919 % ROWS) + 1 };
                        write(&line(round, row, time));
                    }
                });
                let text = format!("UPDATE m SET place = 'p{}' WHERE place = 'p{round}'", round + 1);
                let response = server.sql("public", &text);
                let is_written = response.text().contains("were written while they moved");
                assert!(response.status() == 200 || is_written, "{}", response.text());
            });
            let rows = late + LATE;
            let counted = lines(&server, "SELECT count(*), count(DISTINCT i), min(i), max(i) FROM m");
            assert_eq!(counted, [format!("{rows},{rows},0,{}", rows - 1)], "{shards} shards, round {round}");
            // All into one place again: what moves next is whole.
            if lines(&server, &format!("SELECT count(*) FROM m WHERE place = 'p{}'", round + 1)) == ["0"] {
                let text = format!("UPDATE m SET place = 'p{}' WHERE place = 'p{round}'", round + 1);
                lines(&server, &text);
            }
        }
    }
}

#[test]
fn series_and_values_of_tags_are_shown() {
    in_all_settings(|server, _| {
        let series = ["\"m,host=a,rack=r1\"", "\"m,host=b,rack=r1\"", "\"m,host=c\""];
        assert_eq!(lines(server, "SHOW SERIES FROM m ORDER BY key"), series);
        assert_eq!(
            lines(server, "SHOW SERIES ON public FROM m WHERE time > 2"),
            ["m,host=c".to_owned()].map(|key| format!("\"{key}\""))
        );
        assert_eq!(
            lines(server, "SHOW SERIES FROM m WHERE rack = 'r1' ORDER BY key DESC LIMIT 1 OFFSET 1"),
            [series[0]]
        );
        assert!(refused(server, "SHOW SERIES FROM m WHERE i > 1").contains("010046"));
        let values = |rest: &str| lines(server, &format!("SHOW TAG VALUES FROM m WITH KEY {rest} ORDER BY key, value"));
        assert_eq!(values("= host"), ["host,a", "host,b", "host,c"]);
        assert_eq!(values("!= host"), ["rack,r1"]);
        assert_eq!(values("IN (host, rack) WHERE host > 'b'"), ["host,c"]);
        assert_eq!(values("NOT IN (host, rack)"), [""; 0]);
        assert!(refused(server, "SHOW TAG VALUES FROM m WITH KEY = i").contains("010029"));
        assert!(refused(server, "COMPACT DATABASE nosuch").contains("030017"));
        assert_eq!(lines(server, "SELECT count(@@server_version), @@deployment_mode"), ["1,singleton"]);
    });
}
