//! Functions over windows against the oracle, which looks at every row of a partition for every other.

use tidewire_sql::exec::ExecError;

use crate::data::Rows;
use crate::{check, engine, oracle, seeds};

/// Orders that tell all rows of the table apart.
const WHOLE: &str = "time, host, rack, region";

fn check_windows(texts: &[&str]) {
    for seed in seeds() {
        for size in [0, 1, 60] {
            let rows = Rows::random(seed, size);
            for text in texts {
                check(text, &rows, seed);
            }
        }
    }
}

#[test]
fn numbers_of_rows() {
    check_windows(&[
        "SELECT host, i, row_number() OVER (PARTITION BY host ORDER BY time, rack, region) FROM m",
        "SELECT i, rank() OVER (ORDER BY i), dense_rank() OVER (ORDER BY i), percent_rank() OVER (ORDER BY i) FROM m",
        "SELECT f, cume_dist() OVER (PARTITION BY rack ORDER BY f DESC), rank() OVER (PARTITION BY b ORDER BY f) FROM m",
        "SELECT time, ntile(4) OVER (ORDER BY time, host, rack, region), ntile(1000) OVER (ORDER BY time, host, rack, \
         region) FROM m",
        "SELECT i, rank() OVER (ORDER BY i NULLS FIRST), dense_rank() OVER (ORDER BY i DESC NULLS LAST) FROM m",
        "SELECT host, rank() OVER (), dense_rank() OVER (PARTITION BY host), percent_rank() OVER () FROM m",
        "SELECT rank() OVER (PARTITION BY i % 3 ORDER BY i / 3) FROM m",
    ]);
}

#[test]
fn values_of_other_rows() {
    check_windows(&[
        "SELECT lag(i) OVER w, lead(i, 2, -1) OVER w, lag(s, 3, 'none') OVER w FROM m \
         WINDOW w AS (PARTITION BY host ORDER BY time, rack, region)",
        "SELECT lead(f, -1, 0) OVER (ORDER BY time, host, rack, region), lag(host, 0) OVER (ORDER BY time, host, rack, \
         region) FROM m",
        "SELECT first_value(i) OVER (PARTITION BY host ORDER BY i), last_value(i) OVER (PARTITION BY host ORDER BY i) \
         FROM m",
        "SELECT first_value(host) OVER (ORDER BY time, host, rack, region ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING), \
         last_value(host) OVER (ORDER BY time, host, rack, region ROWS BETWEEN CURRENT ROW AND 3 FOLLOWING), \
         nth_value(i, 2) OVER (ORDER BY time, host, rack, region) FROM m",
        "SELECT first_value('x') OVER (ORDER BY time), last_value(2.5) OVER (), first_value(NULL) OVER () FROM m",
    ]);
}

#[test]
fn values_of_other_rows_that_are_not_null() {
    check_windows(&[
        "SELECT i, lag(i) IGNORE NULLS OVER w, lead(i, 2, -1) IGNORE NULLS OVER w, lag(s, 3, 'none') RESPECT NULLS \
         OVER w, lead(f, 0) IGNORE NULLS OVER w FROM m WINDOW w AS (PARTITION BY host ORDER BY time, rack, region)",
        "SELECT first_value(i) IGNORE NULLS OVER w, last_value(i) IGNORE NULLS OVER w, nth_value(i, 2) IGNORE NULLS \
         OVER w, first_value(i IGNORE NULLS) OVER w AS other, last_value(s RESPECT NULLS) OVER w FROM m WINDOW w AS \
         (PARTITION BY host ORDER BY time, rack, region ROWS BETWEEN 3 PRECEDING AND 2 FOLLOWING)",
        "SELECT last_value(f) IGNORE NULLS OVER (ORDER BY time, host, rack, region), nth_value(f, 1000) IGNORE NULLS \
         OVER (ORDER BY time, host, rack, region), first_value(NULL) IGNORE NULLS OVER () FROM m",
    ]);
}

#[test]
fn the_first_row_of_each() {
    check_windows(&[
        "SELECT DISTINCT ON (host) host, time, i FROM m ORDER BY host, time, rack, region",
        "SELECT DISTINCT ON (host, b) i, f FROM m ORDER BY b DESC, host, time DESC, rack, region",
        "SELECT DISTINCT ON (2) time, host AS h FROM m ORDER BY h, time, rack, region LIMIT 2",
        "SELECT DISTINCT ON (i % 3) i % 3 AS rest, max(f) FROM m GROUP BY i ORDER BY rest, i",
        "SELECT DISTINCT ON (host) host FROM m",
        "SELECT DISTINCT ON (r) host, row_number() OVER (PARTITION BY host ORDER BY time, rack, region) AS r FROM m \
         QUALIFY r > 1 ORDER BY r, host",
        "SELECT count(*) FROM (SELECT DISTINCT ON (i) f FROM m) AS one",
    ]);
    let rows = Rows::random(7, 60);
    let answer = |text| oracle::run(&engine::bound(text).plan, &rows);
    assert_eq!(
        answer("SELECT DISTINCT ON (host) host, time FROM m ORDER BY host, time DESC"),
        answer("SELECT host, max(time) FROM m GROUP BY host ORDER BY host")
    );
}

#[test]
fn aggregates_over_frames() {
    let mut texts = Vec::new();
    for frame in [
        "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
        "ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
        "ROWS BETWEEN 3 PRECEDING AND 1 FOLLOWING",
        "ROWS BETWEEN 5 FOLLOWING AND 7 FOLLOWING",
        "ROWS 2 PRECEDING",
        "ROWS BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING",
        "GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW",
        "GROUPS BETWEEN 1 FOLLOWING AND 2 FOLLOWING",
        "GROUPS CURRENT ROW",
        "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
        "RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
        "",
    ] {
        texts.push(format!(
            "SELECT sum(i) OVER w, count(*) OVER w, min(s) OVER w, max(host) OVER w FROM m \
             WINDOW w AS (PARTITION BY rack ORDER BY {WHOLE} {frame})"
        ));
        texts.push(
            format!("SELECT i, count(i) OVER w, avg(n) OVER w FROM m WINDOW w AS (ORDER BY i DESC {frame})")
                .replace("ROWS", "GROUPS"),
        );
    }
    for frame in [
        "BETWEEN 5 PRECEDING AND 3 FOLLOWING",
        "BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING",
        "BETWEEN 2 FOLLOWING AND UNBOUNDED FOLLOWING",
        "BETWEEN 4 FOLLOWING AND 9 FOLLOWING",
        "BETWEEN CURRENT ROW AND 10 FOLLOWING",
    ] {
        for order in ["i", "i DESC", "i NULLS FIRST", "i DESC NULLS LAST"] {
            texts.push(format!("SELECT i, sum(n) OVER (PARTITION BY b ORDER BY {order} RANGE {frame}) FROM m"));
        }
    }
    texts.push(
        "SELECT sum(i) OVER (ORDER BY time RANGE BETWEEN INTERVAL '30 minutes' PRECEDING AND INTERVAL '1 hour' \
         FOLLOWING) FROM m"
            .to_owned(),
    );
    texts.push(
        "SELECT sum(i) FILTER (WHERE b) OVER (PARTITION BY host), sum(i + 1) OVER (ORDER BY host) FROM m".to_owned(),
    );
    check_windows(&texts.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn windows_beside_the_rest_of_a_query() {
    check_windows(&[
        "SELECT host, sum(sum(i)) OVER (ORDER BY host), rank() OVER (ORDER BY count(*) DESC) FROM m GROUP BY host",
        "SELECT host, i FROM m QUALIFY row_number() OVER (PARTITION BY host ORDER BY time DESC, rack, region) = 1",
        "SELECT host, rank() OVER (PARTITION BY host ORDER BY i) AS r FROM m QUALIFY r < 3 ORDER BY host, r",
        "SELECT i FROM m WHERE i > 0 ORDER BY row_number() OVER (ORDER BY time, host, rack, region) DESC LIMIT 5",
        "SELECT DISTINCT host, count(*) OVER (PARTITION BY host) FROM m",
        "SELECT * FROM (SELECT host, rack, row_number() OVER (PARTITION BY host ORDER BY time, rack, region) AS n \
         FROM m) w WHERE host = 'h1' AND n < 4",
        "SELECT n FROM (SELECT host, i, count(*) OVER (PARTITION BY host) AS n, sum(i) OVER () AS unread FROM m) w",
        "SELECT i + sum(i) OVER (PARTITION BY host) - 1, count(*) OVER (PARTITION BY host) FROM m",
        "SELECT sum(i) OVER a, sum(i) OVER (a ROWS 1 PRECEDING) FROM m WINDOW a AS (b ORDER BY time, rack, region), \
         b AS (PARTITION BY host)",
        "SELECT host, count(*) OVER () FROM m UNION ALL SELECT rack, sum(1) OVER (PARTITION BY rack) FROM m",
        "SELECT a.host, rank() OVER (ORDER BY c.i) FROM m a JOIN m c ON a.i = c.i",
        "SELECT count(*) FROM (SELECT row_number() OVER () FROM m) w",
    ]);
}

/// Partitions larger than a batch go through in steps, and their memory is bounded and given back.
#[test]
fn large_partitions_work_in_steps_and_are_bounded() {
    let rows = Rows::random(7, 20_000);
    let text = "SELECT sum(i) OVER (ORDER BY time, host, rack, region), count(*) OVER (PARTITION BY host ORDER BY i \
                ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING), rank() OVER (ORDER BY i), lag(i) OVER (ORDER BY i, \
                time, host, rack, region) FROM m";
    let plan = engine::bound(text).plan;
    let all = rows.rows.len();
    let found = engine::run(&plan, &rows, 2, 1).unwrap();
    assert_eq!(found.len(), all);
    let context = engine::context(256 << 20);
    engine::run_within(&plan, &rows, context.clone()).unwrap();
    assert_eq!(context.memory_used(), 0, "everything is given back");
    let error = engine::run_within(&plan, &rows, engine::context(1 << 20)).unwrap_err();
    assert!(matches!(error, ExecError::Memory { .. }), "{error}");
}
