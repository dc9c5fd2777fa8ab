//! Queries inside of expressions against the oracle, which runs the joins that they become pair by pair; and against
//! queries that say the same without them.

use tidewire_sql::exec::ExecError;

use crate::data::{Cell, Rows, order};
use crate::{check, engine, seeds};

fn check_queries(texts: &[&str]) {
    for seed in seeds() {
        let rows = Rows::random(seed, 60);
        for text in texts {
            check(text, &rows, seed);
        }
    }
}

/// Two texts that must have the same rows, in whatever order.
fn agree(pairs: &[(&str, &str)]) {
    for seed in seeds() {
        let rows = Rows::random(seed, 60);
        for (text, plain) in pairs {
            let sorted = |text: &str| {
                let mut found = engine::run(&engine::bound(text).plan, &rows, 2, seed).unwrap();
                found.sort_by(|a, b| {
                    a.iter().zip(b).map(|(a, b)| by_null(a, b)).find(|o| o.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
                });
                found
            };
            assert_eq!(sorted(text), sorted(plain), "{text}\n{}\nTIDEWIRE_SEED={seed}", engine::bound(text).plan);
        }
    }
}

fn by_null(a: &Cell, b: &Cell) -> std::cmp::Ordering {
    match (a == &Cell::Null, b == &Cell::Null) {
        (false, false) => order(a, b),
        (a, b) => a.cmp(&b),
    }
}

#[test]
fn values() {
    check_queries(&[
        "SELECT i, (SELECT max(i) FROM m) FROM m",
        "SELECT i FROM m WHERE i = (SELECT max(i) FROM m)",
        "SELECT i - (SELECT avg(i) FROM m) AS off FROM m ORDER BY off, i LIMIT 5",
        "SELECT (SELECT count(*) FROM m WHERE b), (SELECT s FROM m WHERE 1 = 2)",
        "SELECT host, sum(i) FROM m GROUP BY host HAVING sum(i) > (SELECT avg(i) FROM m)",
        "SELECT host, count(*) + (SELECT 1) FROM m GROUP BY host",
        "SELECT i FROM m ORDER BY (SELECT 1), i, host LIMIT 3",
        "WITH a AS (SELECT max(n) AS x FROM m) SELECT i FROM m WHERE n = (SELECT x FROM a)",
        "SELECT i FROM m WHERE i > (SELECT min(i) FROM m WHERE i > (SELECT avg(i) FROM m))",
        "SELECT host FROM m WHERE time = (SELECT max(time) FROM ms.m)",
        "SELECT rank() OVER (ORDER BY i + (SELECT 1)) FROM m",
    ]);
}

#[test]
fn values_that_read_columns_around_them() {
    agree(&[
        (
            "SELECT host, i FROM m a WHERE i = (SELECT max(i) FROM m c WHERE c.host = a.host)",
            "SELECT a.host, i FROM m a JOIN (SELECT host AS h, max(i) AS x FROM m GROUP BY host) c ON h = a.host AND x = i",
        ),
        (
            "SELECT host, i, (SELECT count(*) FROM m c WHERE c.i = a.i + 1 AND c.b) FROM m a",
            "SELECT host, a.i, coalesce(z, 0) FROM m a LEFT JOIN (SELECT i, count(*) AS z FROM m WHERE b GROUP BY i) c \
             ON c.i = a.i + 1",
        ),
        (
            "SELECT host, (SELECT sum(n) FROM m c WHERE c.rack = a.rack AND c.host = a.host) FROM m a",
            "SELECT a.host, x FROM m a LEFT JOIN (SELECT rack AS r, host AS h, sum(n) AS x FROM m GROUP BY rack, host) c \
             ON r = a.rack AND h = a.host",
        ),
        (
            "SELECT host, sum(i) FROM m a GROUP BY host HAVING sum(i) >= (SELECT max(i) FROM m c WHERE c.host = a.host)",
            "SELECT a.host, s FROM (SELECT host, sum(i) AS s FROM m GROUP BY host) a JOIN (SELECT host AS h, max(i) AS x \
             FROM m GROUP BY host) c ON h = a.host AND s >= x",
        ),
        (
            "SELECT host FROM (SELECT DISTINCT host FROM m) a WHERE 0 < (SELECT count(i) FROM m c WHERE a.host = c.host)",
            "SELECT host FROM m WHERE i IS NOT NULL AND host IS NOT NULL GROUP BY host",
        ),
    ]);
    check_queries(&[
        "SELECT host, i FROM m a WHERE i = (SELECT max(i) FROM m c WHERE c.host = a.host)",
        "SELECT host, (SELECT count(*) FROM m c WHERE c.rack = a.rack AND c.i > 3) FROM m a",
    ]);
}

#[test]
fn exists() {
    check_queries(&[
        "SELECT i FROM m WHERE EXISTS (SELECT * FROM m WHERE i > 1000)",
        "SELECT i FROM m WHERE NOT EXISTS (SELECT 1 FROM m WHERE 1 = 2)",
        "SELECT a.i, EXISTS (SELECT * FROM m c WHERE c.i = a.i AND c.host <> a.host) FROM m a",
        "SELECT a.i FROM m a WHERE EXISTS (SELECT c.s FROM m c WHERE c.i > a.i + 40 LIMIT 1)",
        "SELECT a.i FROM m a WHERE i > 0 OR NOT EXISTS (SELECT 1 FROM m c WHERE c.host = a.host AND c.b)",
        "SELECT count(*) FROM m a WHERE EXISTS (SELECT 1 FROM m c JOIN m d ON c.i = d.i WHERE c.rack = a.rack AND d.f < a.f)",
    ]);
    agree(&[
        (
            "SELECT host, i FROM m a WHERE EXISTS (SELECT * FROM m c WHERE c.i = a.i + 1)",
            "SELECT host, i FROM m a LEFT SEMI JOIN m c ON c.i = a.i + 1",
        ),
        (
            "SELECT host, i FROM m a WHERE NOT EXISTS (SELECT * FROM m c WHERE c.rack = a.rack AND c.i > a.i)",
            "SELECT host, i FROM m a LEFT ANTI JOIN m c ON c.rack = a.rack AND c.i > a.i",
        ),
        (
            "SELECT host FROM m a WHERE EXISTS (SELECT host FROM m c WHERE c.host = a.host GROUP BY host HAVING count(*) > 9)",
            "SELECT host FROM m a LEFT SEMI JOIN (SELECT host AS h FROM m GROUP BY host HAVING count(*) > 9) c ON h = host",
        ),
    ]);
}

#[test]
fn membership() {
    check_queries(&[
        "SELECT i, i IN (SELECT n FROM m), i NOT IN (SELECT n FROM m WHERE n IS NOT NULL) FROM m",
        "SELECT host FROM m WHERE host IN (SELECT host FROM m GROUP BY host HAVING sum(i) > 0)",
        "SELECT host FROM m WHERE rack NOT IN (SELECT rack FROM m WHERE i > 40)",
        "SELECT i IN (SELECT 1 FROM m WHERE 1 = 2), NULL IN (SELECT i FROM m) FROM m",
        "SELECT f FROM m WHERE f IN (SELECT i FROM m UNION SELECT 2.5)",
        "SELECT i FROM m WHERE i IN (VALUES (1), (2), (3))",
        "SELECT i FROM m WHERE i + 1 IN (SELECT i FROM m WHERE i IN (SELECT n FROM m))",
        "SELECT a.i, a.i IN (SELECT c.n FROM m c WHERE c.host = a.host) FROM m a",
        "SELECT a.i FROM m a WHERE a.i NOT IN (SELECT c.i FROM m c WHERE c.host <> a.host)",
    ]);
    agree(&[
        (
            "SELECT host, i FROM m a WHERE i IN (SELECT n FROM m c WHERE c.host = a.host)",
            "SELECT host, i FROM m a LEFT SEMI JOIN m c ON c.host = a.host AND c.n = a.i",
        ),
        (
            "SELECT host, i FROM m a WHERE i NOT IN (SELECT n FROM m c WHERE c.host = a.host)",
            "SELECT host, i FROM m a LEFT ANTI JOIN m c ON c.host = a.host AND (c.n = a.i OR c.n IS NULL OR a.i IS NULL)",
        ),
    ]);
}

#[test]
fn a_value_of_two_rows_is_an_error_of_the_query() {
    let rows = Rows::random(3, 60);
    let plan = engine::bound("SELECT (SELECT i FROM m) FROM m").plan;
    let error = engine::run(&plan, &rows, 2, 1).unwrap_err();
    assert!(matches!(error, ExecError::Execution(_)), "{error}");
}
