//! Set operations, joins, VALUES and WITH against the oracle, which takes every row against every other.

use std::rc::Rc;

use tidewire_sql::exec::ExecError;

use crate::data::Rows;
use crate::{check, engine, seeds};

/// Rows of a size for an oracle that takes them pair by pair.
fn check_pairs(texts: &[&str]) {
    for seed in seeds() {
        let rows = Rows::random(seed, 90);
        for text in texts {
            check(text, &rows, seed);
        }
    }
}

#[test]
fn set_operations() {
    check_pairs(&[
        "SELECT host FROM m UNION SELECT rack FROM m",
        "SELECT host, i FROM m UNION DISTINCT SELECT host, i FROM m",
        "SELECT host FROM m UNION SELECT rack FROM m UNION ALL SELECT host FROM m",
        "SELECT host FROM m UNION ALL SELECT rack FROM m UNION SELECT host FROM m",
        "SELECT host FROM m INTERSECT SELECT host FROM m WHERE i > 20",
        "SELECT host, i % 3 FROM m INTERSECT ALL SELECT host, i % 3 FROM m WHERE i > 5",
        "SELECT rack FROM m EXCEPT SELECT rack FROM m WHERE host = 'h1'",
        "SELECT host, b FROM m EXCEPT ALL SELECT host, b FROM m WHERE i > 5",
        "SELECT host, f FROM m EXCEPT SELECT host, i FROM m WHERE i IS NOT NULL",
        "SELECT f FROM m EXCEPT ALL SELECT i FROM m",
        "SELECT host FROM m MINUS SELECT host FROM m WHERE b",
        "SELECT s FROM m UNION SELECT host FROM m INTERSECT SELECT 'h2' EXCEPT SELECT 'a'",
        "(SELECT host FROM m UNION SELECT rack FROM m) EXCEPT (SELECT 'h1' UNION ALL SELECT NULL)",
        "SELECT host FROM m EXCEPT SELECT host FROM m",
        "SELECT time, host FROM m INTERSECT SELECT time, host FROM m WHERE b ORDER BY time DESC, host LIMIT 4",
        "SELECT count(*), max(a) FROM (SELECT host AS a FROM m INTERSECT ALL SELECT host FROM m WHERE i < 9) u",
        "SELECT a FROM (SELECT host AS a, b FROM m EXCEPT ALL SELECT host, b FROM m WHERE b) u WHERE a > 'h2'",
        "SELECT NULL EXCEPT SELECT NULL",
        "SELECT NULL, 1 INTERSECT ALL SELECT NULL, 1",
        "SELECT time, i FROM m EXCEPT SELECT time, i FROM ms.m",
    ]);
}

#[test]
fn values_and_names() {
    check_pairs(&[
        "VALUES (1, 'a'), (2, NULL), (NULL, 'c')",
        "VALUES (1), (2.5), (1 + 2) ORDER BY 1 DESC LIMIT 2",
        "SELECT b, a + 1 FROM (VALUES (1, 'x'), (5, 'y')) AS t(a, b) WHERE a > 2",
        "SELECT column1, count(*) FROM (VALUES (1), (2), (1)) t GROUP BY column1",
        "VALUES ('h1'), ('h2') UNION SELECT host FROM m",
        "(SELECT host, i FROM m) ORDER BY i, host LIMIT 3",
        "WITH a AS (SELECT host, sum(i) AS s FROM m GROUP BY host) SELECT host FROM a WHERE s > 3",
        "WITH a AS (SELECT host AS h, i FROM m), b AS (SELECT h, max(i) AS x FROM a GROUP BY h) \
         SELECT * FROM b UNION ALL SELECT h, i FROM a WHERE i > 40",
        "WITH m AS (SELECT host FROM m WHERE b) SELECT count(*) FROM m",
        "WITH a(x, y) AS (SELECT host, i FROM m) SELECT x, q.y FROM a AS q WHERE y > 7",
        "SELECT * FROM (WITH a AS (SELECT 1 AS x) SELECT x + 1 AS y FROM a) t",
        "WITH a AS (SELECT 1 AS x) SELECT * FROM (WITH a AS (SELECT 2 AS x) SELECT x FROM a) q UNION ALL SELECT x FROM a",
        "SELECT t.h, t.n FROM (SELECT host, i FROM m) AS t(h, n) WHERE n = 3",
    ]);
}

#[test]
fn joins() {
    check_pairs(&[
        "SELECT a.host, a.i, c.i FROM m a JOIN m c ON a.host = c.host AND a.i < c.i",
        "SELECT a.host, a.i, c.s FROM m a JOIN m c ON a.time = c.time AND a.host = c.host",
        "SELECT a.rack, c.rack FROM m a LEFT JOIN m c ON a.rack = c.rack AND c.i > 30",
        "SELECT a.i, c.i FROM m a LEFT JOIN m c ON a.i = c.i AND a.b",
        "SELECT a.i, c.n FROM m a RIGHT JOIN m c ON a.i = c.n WHERE c.n < 50",
        "SELECT a.s, c.host FROM m a FULL JOIN m c ON a.s = c.rack",
        "SELECT a.i, c.i FROM m a FULL OUTER JOIN m c ON a.i = c.i AND a.f < c.f",
        "SELECT a.f, c.i FROM m a JOIN m c ON a.f = c.i",
        "SELECT a.f, c.f FROM m a JOIN m c ON a.f = -c.f",
        "SELECT count(*) FROM m a CROSS JOIN m c",
        "SELECT count(*) FROM m, m c, (VALUES (1), (2)) v",
        "SELECT a.i, c.i FROM m a, m c WHERE a.host = c.host AND a.i = c.i + 1",
        "SELECT a.i, c.i FROM m a JOIN m c ON a.i > c.i + 50",
        "SELECT a.i, c.i FROM m a LEFT JOIN m c ON a.i > c.i + 60",
        "SELECT a.i, c.i FROM m a FULL JOIN m c ON a.i > c.i + 70 AND c.b",
        "SELECT a.host, c.total FROM m a JOIN (SELECT host, sum(i) AS total FROM m GROUP BY host) c USING (host)",
        "SELECT host, a.i, c.i FROM (SELECT host, i FROM m WHERE i > 40) a FULL JOIN (SELECT host, i FROM m WHERE i < -10) c \
         USING (host)",
        "SELECT host, c.i FROM (SELECT host, i FROM m WHERE i > 50) a RIGHT JOIN m c USING (host)",
        "SELECT * FROM (SELECT host, max(i) AS x FROM m GROUP BY host) a NATURAL JOIN \
         (SELECT host, min(i) AS y FROM m GROUP BY host) c",
        "SELECT * FROM (SELECT host, max(i) AS x FROM m GROUP BY host) a FULL JOIN \
         (SELECT rack AS host, min(i) AS y FROM m GROUP BY rack) c USING (host)",
        "SELECT a.host, c.host, d.host FROM (SELECT DISTINCT host FROM m) a LEFT JOIN (SELECT DISTINCT host FROM m WHERE b) c \
         ON a.host = c.host LEFT JOIN (SELECT DISTINCT host FROM m WHERE i > 40) d ON c.host = d.host",
        "SELECT host, count(*), sum(c.i) FROM (SELECT host AS h, i FROM m) c JOIN m ON h = host GROUP BY host",
        "SELECT a.host FROM m a LEFT SEMI JOIN (SELECT host FROM m WHERE i > 50) c ON a.host = c.host",
        "SELECT a.host, i FROM m a LEFT ANTI JOIN (SELECT host FROM m WHERE i > 50) c ON a.host = c.host WHERE a.i > 0",
        "SELECT a.time, c.time FROM m a JOIN ms.m c ON a.time = c.time",
        "SELECT count(a.i) FROM m a LEFT JOIN none c ON a.host = c.host",
        "SELECT a.i, c.i FROM none a RIGHT JOIN m c ON a.host = c.host",
        "SELECT a.i, c.i FROM m a LEFT JOIN m c ON a.i = c.i WHERE c.i IS NULL",
        "SELECT a.i, c.i FROM m a FULL JOIN m c ON a.i = c.n WHERE coalesce(a.i, c.i) > 3",
        "SELECT a.i, c.i FROM (SELECT i FROM m ORDER BY time, host, rack, region LIMIT 5) a JOIN m c ON a.i = c.i",
        "SELECT a.i, c.i FROM m a JOIN (SELECT i FROM m ORDER BY time, host, rack, region LIMIT 5) c ON a.i = c.i",
        "SELECT 1 FROM m a JOIN m c ON 1 = 2",
        "SELECT a.i FROM m a LEFT JOIN m c ON 1 = 2",
        "SELECT a.i, c.i FROM m a JOIN m c ON a.i = c.i ORDER BY a.i DESC, c.i LIMIT 3",
        "WITH a AS (SELECT host, i FROM m) SELECT x.i, y.i FROM a x JOIN a y ON x.host = y.host WHERE x.i > 30 AND y.i < 0",
        "SELECT a.s || c.s, a.b AND c.b FROM m a JOIN m c ON a.host = c.host AND a.s = c.s",
        "SELECT a.i FROM (m a JOIN m c ON a.i = c.i)",
    ]);
}

/// A relation of columns `k`, `v` (BIGINT) and `t` (STRING).
fn relation(random: &mut fastrand::Rng) -> String {
    let filter = ["", " WHERE i > 10", " WHERE b", " WHERE host <> 'h3' AND f > 0", " WHERE 1 = 2"][random.usize(0..5)];
    match random.usize(0..5) {
        0 => format!("(SELECT i % 7 AS k, i AS v, host AS t FROM m{filter})"),
        1 => format!("(SELECT i % 5 AS k, count(*) AS v, min(s) AS t FROM m{filter} GROUP BY i % 5)"),
        2 => "(VALUES (1, 10, 'h1'), (2, NULL, 'h2'), (NULL, 3, NULL), (1, 11, 'a'))".to_owned(),
        3 => format!("(SELECT DISTINCT i % 3 AS k, i % 2 AS v, rack AS t FROM m{filter})"),
        _ => format!("(SELECT i AS k, i + 1 AS v, s AS t FROM m{filter} UNION ALL SELECT 3, 4, host FROM m{filter})"),
    }
}

#[test]
fn random_joins_and_set_operations() {
    for seed in seeds() {
        let mut random = fastrand::Rng::with_seed(seed);
        for round in 0..60 {
            let rows = Rows::random(seed + round, random.usize(0..60));
            let one = |random: &mut fastrand::Rng, of: &[&str]| of[random.usize(0..of.len())].to_owned();
            let (a, c) = (relation(&mut random), relation(&mut random));
            let text = if random.u8(0..3) == 0 {
                let operation =
                    one(&mut random, &["UNION", "UNION ALL", "INTERSECT", "INTERSECT ALL", "EXCEPT", "EXCEPT ALL"]);
                let third = if random.bool() { String::new() } else { format!(" EXCEPT ALL SELECT * FROM {a} AS d") };
                let all = format!("SELECT * FROM {a} AS a {operation} SELECT * FROM {c} AS c{third}");
                match random.bool() {
                    true => all,
                    false => format!("SELECT x, count(*), max(z) FROM ({all}) AS u(x, y, z) WHERE y > 2 GROUP BY x"),
                }
            } else {
                let way = one(&mut random, &["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
                let conditions = [
                    "a.k = c.k",
                    "a.t = c.t",
                    "a.v < c.v",
                    "a.k = c.v + 1",
                    "a.v > 3",
                    "c.t IS NOT NULL",
                    "a.k % 2 = c.k % 2",
                    "coalesce(a.t, 'x') = c.t",
                    "a.v <> c.k",
                ];
                let on: Vec<String> = (0..random.usize(1..4)).map(|_| one(&mut random, &conditions)).collect();
                let filter = match random.bool() {
                    true => format!(" WHERE {}", one(&mut random, &conditions)),
                    false => String::new(),
                };
                let columns = "AS a(k, v, t)";
                let list =
                    one(&mut random, &["a.k, a.v, a.t, c.k, c.v, c.t", "a.t, c.v", "count(*), sum(a.v), max(c.t)"]);
                format!("SELECT {list} FROM {a} {columns} {way} {c} AS c(k, v, t) ON {}{filter}", on.join(" AND "))
            };
            check(&text, &rows, seed);
        }
    }
}

/// A join of many rows with many goes through all its chunks, and its memory is given back.
#[test]
fn large_joins_work_in_chunks_and_are_bounded() {
    let rows = Rows::random(5, 3_000);
    let count = |text: &str| engine::run(&engine::bound(text).plan, &rows, 2, 1).unwrap();
    let all = rows.rows.len() as i64;
    let pairs = count("SELECT count(*), count(a.i) FROM m a, (SELECT host FROM m) c");
    assert_eq!(pairs[0][0], crate::data::Cell::Int(all * all));
    let full = count("SELECT count(*) FROM m a FULL JOIN (SELECT host AS h FROM m) c ON h = host || 'x'");
    assert_eq!(full[0][0], crate::data::Cell::Int(2 * all));
    let plan = engine::bound("SELECT a.i, c.s FROM m a JOIN m c ON a.host = c.host ORDER BY a.i, c.s LIMIT 3").plan;
    let context = engine::context(64 << 20);
    engine::run_within(&plan, &rows, context.clone()).unwrap();
    assert_eq!(context.memory_used(), 0, "everything is given back");
    assert!(context.memory_peak() > 0);
    let error = engine::run_within(&plan, &rows, engine::context(64 << 10)).unwrap_err();
    assert!(matches!(error, ExecError::Memory { .. }), "{error}");
}

#[test]
fn a_limit_ends_a_join_early() {
    let rows = Rc::new(Rows::random(3, 900));
    let plan = engine::bound("SELECT a.i FROM m a, m c, m d, m e LIMIT 5").plan;
    assert_eq!(engine::run(&plan, &rows, 2, 1).unwrap().len(), 5);
}
