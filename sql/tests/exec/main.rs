//! Execution against an oracle: every query runs over shards in memory, cut and merged, and once more row at a time by
//! an interpreter of the plan that knows neither batches nor shards.

#![expect(clippy::unwrap_used, reason = "helpers of tests stop at the first surprise")]

mod data;
mod engine;
mod fills;
mod functions;
mod grouping;
mod limits;
mod memory;
mod oracle;
mod relations;
mod series_limits;
mod shard;
mod special;
mod subqueries;
mod texts;
mod windows;

use data::{Cell, Rows};

/// The seeds of random tests: `TIDEWIRE_SEED`, or a fixed list.
fn seeds() -> Vec<u64> {
    match std::env::var("TIDEWIRE_SEED") {
        Ok(text) => vec![text.parse().unwrap()],
        Err(_) => vec![1, 2, 20_261_121],
    }
}

/// Runs `text` over the rows spread on 1, 2 and 5 shards and compares with the oracle.
fn check(text: &str, rows: &Rows, seed: u64) {
    let query = engine::bound(text);
    let expected = oracle::run(&query.plan, rows);
    for shards in [1, 2, 5] {
        let found = engine::run(&query.plan, rows, shards, seed)
            .unwrap_or_else(|error| panic!("{text}\n{error}\nTIDEWIRE_SEED={seed} shards={shards}"));
        if let Err(difference) = data::compare(&found, &expected, &query.plan) {
            panic!("{text}\n{}\n{difference}\nTIDEWIRE_SEED={seed} shards={shards}", query.plan);
        }
    }
}

fn check_all(texts: &[&str]) {
    for seed in seeds() {
        let rows = Rows::random(seed, 900);
        for text in texts {
            check(text, &rows, seed);
        }
    }
}

#[test]
fn plain_selects() {
    check_all(&[
        "SELECT * FROM m",
        "SELECT time, host, i FROM m WHERE i > 10",
        "SELECT host, rack, f FROM m WHERE region = 'east' AND f < 0",
        "SELECT i + 1, i * 2 - 3, f / 4, n + 1, -i, -f FROM m",
        "SELECT i / 7, i % 7, f % 2 FROM m WHERE i IS NOT NULL",
        "SELECT s || '!' || host, length(s), upper(s), lower(host) FROM m",
        "SELECT b, NOT b, b AND i > 0, b OR i > 0, i > 0 AND b IS NULL FROM m",
        "SELECT count(*) FROM m WHERE b",
        "SELECT time, host FROM m WHERE time >= '1970-01-01T00:00:00Z' AND time < '1970-01-01T02:00:00Z'",
        "SELECT i FROM m WHERE i IN (1, 2, 3, -4) OR i IS NULL",
        "SELECT i FROM m WHERE i NOT IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)",
        "SELECT i FROM m WHERE i IN (0, 1, 2, 3, 4, 5, 6, 7, 8, NULL)",
        "SELECT s FROM m WHERE s IN ('a', 'bb', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'ccc')",
        "SELECT s FROM m WHERE s LIKE 'b%' OR s LIKE '%c_'",
        "SELECT s FROM m WHERE s NOT LIKE '%b%'",
        "SELECT s FROM m WHERE s ILIKE 'B%'",
        "SELECT s FROM m WHERE s ~ '^b+$' OR s !~ 'c|b'",
        "SELECT s FROM m WHERE s ~* '^B' AND NOT s !~* 'B$'",
        "SELECT s ~ 'b', host !~ '1', host || s ~ '1b', 'abc' ~ '^a' FROM m",
        "SELECT s FROM m WHERE s ~ NULL OR s ~ ('b' || 'b')",
        "SELECT f FROM m WHERE f BETWEEN -10 AND 10.5",
        "SELECT n FROM m WHERE n NOT BETWEEN 3 AND 30",
        "SELECT CASE WHEN i = 0 THEN 0 WHEN i > 0 THEN 100 / i ELSE -1 END FROM m",
        "SELECT CASE WHEN b THEN host END, CASE host WHEN 'h1' THEN 'one' ELSE 'other' END FROM m",
        "SELECT coalesce(rack, 'none'), coalesce(i, 0), coalesce(f, 0.5) FROM m",
        "SELECT abs(f), ceil(f), floor(f), round(f), sqrt(abs(f)), power(f, 2) FROM m",
        "SELECT round(f, 1), power(n, 2) FROM m WHERE n < 100",
        "SELECT cast(i AS DOUBLE) AS a, cast(f AS BIGINT) AS b, cast(i AS STRING) AS c, cast(b AS BIGINT) AS d FROM m",
        "SELECT date_part('hour', time), date_part('dow', time), extract(year FROM time) FROM m",
        "SELECT time + INTERVAL '1 hour', time - INTERVAL '1 minute' FROM m",
        "SELECT 1, 'x', 2.5, true, NULL FROM m",
        "SELECT host FROM m WHERE 1 = 2",
        "SELECT i FROM none",
        "SELECT 1 + 1, 'a' || 'b'",
    ]);
}

#[test]
fn tag_filters() {
    check_all(&[
        "SELECT count(*) FROM m WHERE host = 'h1'",
        "SELECT count(*) FROM m WHERE host = 'absent'",
        "SELECT count(*) FROM m WHERE host <> 'h1'",
        "SELECT count(*) FROM m WHERE host IN ('h1', 'h2', 'h7', 'nope')",
        "SELECT count(*) FROM m WHERE host NOT IN ('h1', 'h2')",
        "SELECT count(*) FROM m WHERE rack IS NULL",
        "SELECT count(*) FROM m WHERE rack IS NOT NULL AND region = 'west'",
        "SELECT count(*) FROM m WHERE rack IS NULL OR host LIKE 'h1%'",
        "SELECT count(*) FROM m WHERE host ~ '^h[12]$'",
        "SELECT count(*) FROM m WHERE host != 'h1'",
        "SELECT count(*) FROM m WHERE rack !~ '1' AND host ~* 'H'",
        "SELECT count(*) FROM m WHERE coalesce(rack, '') ~ '^(r1)?$' OR host || region ~ '2e'",
        "SELECT count(*) FROM m WHERE NOT (rack = 'r1' OR host = 'h3')",
        "SELECT count(*) FROM m WHERE host > region",
        "SELECT count(*) FROM m WHERE host || coalesce(rack, '') LIKE '%1r%'",
        "SELECT count(*) FROM m WHERE rack > 'r1' AND (host < 'h5' OR region = 'east')",
        "SELECT count(*) FROM m WHERE host = 'h1' OR i > 0",
        "SELECT host, rack, region, i FROM m WHERE length(host) = 2 AND upper(region) = 'EAST'",
        "SELECT count(*) FROM m WHERE coalesce(rack, 'r9') = 'r9' AND host = host",
    ]);
}

#[test]
fn aggregates() {
    check_all(&[
        "SELECT count(*), count(i), count(f), count(s), count(b), count(n), count(rack) FROM m",
        "SELECT sum(i), sum(n), sum(f), avg(i), avg(n), avg(f) FROM m",
        "SELECT min(i), max(i), min(n), max(n), min(f), max(f), min(s), max(s), min(time), max(time) FROM m",
        "SELECT first(time, i), last(time, i), first(time, s), last(time, f), last(time, b), first(time, n) FROM m",
        "SELECT host, first(time, i), last(time, s), last(time, f) FROM m GROUP BY host",
        "SELECT host, last(time, i) FROM m GROUP BY host",
        "SELECT host, rack, max(time), last(time, n) FROM m GROUP BY host, rack",
        "SELECT region, first(time, i), min(time) FROM m GROUP BY region",
        "SELECT host, sum(i), avg(f), min(n), max(s), count(*) FROM m GROUP BY host",
        "SELECT region, rack, count(*), sum(f) FROM m GROUP BY region, rack",
        "SELECT host, sum(i), avg(f) FROM m WHERE i > 0 GROUP BY host",
        "SELECT host, sum(i + n % 5), max(f * 2) FROM m WHERE n < 40 GROUP BY host",
        "SELECT b, count(*), sum(i), min(s) FROM m GROUP BY b",
        "SELECT s, count(*) FROM m GROUP BY s",
        "SELECT n % 3, i > 0, count(*), max(f) FROM m GROUP BY n % 3, i > 0",
        "SELECT host || 'x', count(*), last(time, i) FROM m GROUP BY host || 'x'",
        "SELECT count(*), sum(i), min(f), first(time, s) FROM m WHERE i > 1000000",
        "SELECT host, count(*) FROM m WHERE i > 1000000 GROUP BY host",
        "SELECT count(*), max(i) FROM none",
        "SELECT count(DISTINCT host), count(DISTINCT i), sum(DISTINCT i), count(*), avg(DISTINCT f) FROM m",
        "SELECT host, count(DISTINCT s), count(s), count(DISTINCT b), min(DISTINCT i) FROM m GROUP BY host",
        "SELECT rack, count(DISTINCT host) FROM m GROUP BY rack",
        "SELECT host, sum(i) AS total FROM m GROUP BY host HAVING sum(i) > 0 AND count(*) > 2",
        "SELECT max(i) - min(i), sum(f) / count(f), avg(i) * 2 FROM m",
        "SELECT sum(total), count(*), max(c) FROM (SELECT host, sum(i) AS total, count(*) AS c FROM m GROUP BY host) x",
        "SELECT c, count(*) FROM (SELECT host, count(*) AS c FROM m GROUP BY host) x GROUP BY c",
        "SELECT sum(d) FROM (SELECT i * 2 AS d FROM m WHERE i > 3) x WHERE d < 40",
    ]);
}

#[test]
fn time_buckets() {
    check_all(&[
        "SELECT date_bin(INTERVAL '10 minutes', time) AS t, count(*), sum(i) FROM m GROUP BY t",
        "SELECT date_bin(INTERVAL '7 minutes', time, '1970-01-01T00:03:00Z') AS t, max(f) FROM m GROUP BY t",
        "SELECT date_bin(INTERVAL '1 hour', time) AS t, host, avg(f), avg(i) FROM m GROUP BY t, host",
        "SELECT host, date_bin(INTERVAL '1 minute', time) AS t, rack, last(time, i), min(n) FROM m GROUP BY host, t, rack",
        "SELECT date_trunc('hour', time) AS t, count(f) FROM m GROUP BY t",
        "SELECT date_trunc('week', time) AS t, count(f), min(s) FROM m GROUP BY t",
        "SELECT date_trunc('month', time) AS t, region, sum(n), first(time, s) FROM m GROUP BY t, region",
        "SELECT date_trunc('year', time) AS t, date_trunc('month', time) AS u, count(*) FROM m GROUP BY t, u",
        "SELECT date_bin(INTERVAL '10 minutes', time) AS t, sum(i) FROM m WHERE i > 5 GROUP BY t",
        "SELECT date_bin(INTERVAL '10 minutes', time) AS t, sum(i) FROM m WHERE b AND host <> 'h2' GROUP BY t",
        "SELECT date_bin(INTERVAL '1 second', time) AS t, count(*) FROM m GROUP BY t",
        "SELECT time, count(*), sum(i) FROM m GROUP BY time",
        "SELECT host, date_bin(INTERVAL '5 minutes', time) AS t, count(DISTINCT s) FROM m GROUP BY host, t",
        "SELECT date_bin(INTERVAL '1 hour', time) FROM m",
        "SELECT date_trunc('month', time), date_trunc('quarter', time) FROM m",
    ]);
}

#[test]
fn more_groups_than_a_batch_holds() {
    let rows = Rows::random(1, 80_000);
    let mut expected = std::collections::HashMap::<(Option<String>, i64), i64>::new();
    for row in &rows.rows {
        *expected.entry((row.tags[0].clone(), row.time)).or_default() += 1;
    }
    assert!(expected.len() > 2 * 8_192, "{} groups", expected.len());
    // By series and time, by hash on the shards, and by hash over all rows.
    for text in [
        "SELECT host, time, count(*) AS n FROM m GROUP BY host, time",
        "SELECT host || '' AS host, time, count(*) AS n FROM m GROUP BY host || '', time",
        "SELECT host, time, count(*) AS n FROM (SELECT host, time FROM m LIMIT 1000000) x GROUP BY host, time",
    ] {
        let mut left = expected.clone();
        for row in engine::run(&engine::bound(text).plan, &rows, 2, 1).unwrap() {
            let [host, Cell::Time(time, _), Cell::Int(count)] = row.as_slice() else { panic!("{text}: {row:?}") };
            let host = if let Cell::Str(host) = host { Some(host.clone()) } else { None };
            assert_eq!(left.remove(&(host, *time)), Some(*count), "{text}: {row:?}");
        }
        assert!(left.is_empty(), "{text}: {} groups are missing", left.len());
    }
}

#[test]
fn fused_and_hashed_groups_agree() {
    // A key that is no tag sends the same aggregate down the general path.
    for seed in seeds() {
        let rows = Rows::random(seed, 400);
        for calls in
            ["count(*), sum(i), avg(i)", "min(f), max(f), avg(f)", "first(time, i), last(time, s)", "max(s), min(n)"]
        {
            for keys in ["host", "date_bin(INTERVAL '10 minutes', time)", "region, date_trunc('hour', time)"] {
                for filter in ["", "WHERE n > 20"] {
                    let fused = format!("SELECT {keys}, {calls} FROM m {filter} GROUP BY {keys}");
                    let hashed =
                        format!("SELECT {keys}, {calls} FROM m {filter} GROUP BY {keys}, coalesce(f, 0.5) IS NULL");
                    let [fused, hashed] = [fused, hashed].map(|text| {
                        check(&text, &rows, seed);
                        let mut rows = engine::run(&engine::bound(&text).plan, &rows, 2, seed).unwrap();
                        rows.sort_by(|a, b| data::order_rows(a, b));
                        rows
                    });
                    assert_eq!(fused, hashed, "{calls} by {keys} {filter} TIDEWIRE_SEED={seed}");
                }
            }
        }
    }
}

#[test]
fn order_limit_distinct() {
    check_all(&[
        "SELECT time, host, rack, region, i FROM m ORDER BY time DESC, host, rack, region LIMIT 7",
        "SELECT time, host, rack, region, i FROM m ORDER BY time, host DESC, rack, region LIMIT 5 OFFSET 3",
        "SELECT time, host, rack, region FROM m WHERE i > 0 ORDER BY time DESC, host, rack, region LIMIT 3",
        "SELECT i, f, host, time, rack, region FROM m ORDER BY i DESC, f, time, host, rack, region",
        "SELECT i, time, host, rack, region FROM m ORDER BY i NULLS FIRST, time, host, rack, region LIMIT 20",
        "SELECT i, time, host, rack, region FROM m ORDER BY i DESC NULLS LAST, time, host, rack, region LIMIT 20",
        "SELECT DISTINCT host FROM m",
        "SELECT DISTINCT region, rack FROM m ORDER BY region DESC, rack",
        "SELECT DISTINCT b, n % 2 FROM m",
        "SELECT DISTINCT date_bin(INTERVAL '1 hour', time) AS t FROM m ORDER BY t LIMIT 3",
        "SELECT DISTINCT host FROM m ORDER BY host LIMIT 2 OFFSET 1",
        "SELECT date_trunc('minute', time) AS t, max(i) FROM m GROUP BY t ORDER BY t DESC LIMIT 5",
        "SELECT date_trunc('minute', time) AS t, max(i) FROM m WHERE i > 3 GROUP BY t ORDER BY t DESC LIMIT 5",
        "SELECT date_trunc('minute', time) AS t, host, max(i) FROM m GROUP BY t, host ORDER BY t DESC, host LIMIT 5",
        "SELECT date_trunc('hour', time) AS t, host, count(*) AS c FROM m GROUP BY t, host ORDER BY t, host LIMIT 4 OFFSET 2",
        "SELECT date_trunc('minute', time) AS t, max(i) AS x FROM m GROUP BY t HAVING max(i) > 10 ORDER BY t DESC LIMIT 5",
        "SELECT date_trunc('minute', time) AS t, count(DISTINCT host) FROM m GROUP BY t ORDER BY t DESC LIMIT 3",
        "SELECT host, max(i) AS x FROM m GROUP BY host ORDER BY x DESC, host LIMIT 3",
        "SELECT i FROM m LIMIT 0",
        "SELECT time FROM m ORDER BY time DESC LIMIT 0",
        "SELECT count(*) FROM (SELECT i FROM m LIMIT 10) x",
        "SELECT count(*) FROM (SELECT i FROM m LIMIT 10 OFFSET 5) x",
        "SELECT sum(i) FROM (SELECT time, host, rack, region, i FROM m ORDER BY time, host, rack, region LIMIT 10) x",
    ]);
}

#[test]
fn unions() {
    check_all(&[
        "SELECT host, i FROM m WHERE i > 0 UNION ALL SELECT rack, i FROM m WHERE i < 0",
        "SELECT host, i FROM m UNION ALL SELECT host, i FROM none UNION ALL SELECT s, f FROM m WHERE b",
        "SELECT time, i FROM m UNION ALL SELECT time, i FROM ms.m WHERE host = 'h1'",
        "SELECT host, i FROM m UNION ALL SELECT 'constant', 7 UNION ALL SELECT NULL, 1",
        "SELECT 1 AS a, 'x' AS b UNION ALL SELECT 2.5, NULL ORDER BY a DESC",
        "SELECT i, host FROM m UNION ALL SELECT i, rack FROM m ORDER BY i, host NULLS FIRST",
        "SELECT i AS a, host AS b FROM m UNION ALL SELECT i, rack FROM m ORDER BY 1 DESC, b DESC LIMIT 7 OFFSET 3",
        "SELECT time, host FROM m UNION ALL SELECT time, rack FROM m ORDER BY time DESC, host LIMIT 5",
        "SELECT a FROM (SELECT i AS a FROM m UNION ALL SELECT i + 1 FROM m) u WHERE a > 10 AND a % 2 = 1",
        "SELECT count(*) FROM (SELECT i FROM m WHERE b UNION ALL SELECT i FROM m WHERE NOT b) u",
        "SELECT a, count(*), sum(c), min(c), avg(c) FROM (SELECT host AS a, i AS c, f FROM m UNION ALL \
         SELECT rack, i, f FROM m WHERE i > 3) u GROUP BY a",
        "SELECT a, count(DISTINCT c), count(DISTINCT d), max(d) FROM (SELECT host AS a, s AS c, i AS d FROM m \
         UNION ALL SELECT region, host, n % 5 FROM m) u GROUP BY a",
        "SELECT date_bin(INTERVAL '10 minutes', t) AS b, max(v), last(t, v) FROM (SELECT time AS t, i AS v FROM m \
         WHERE host = 'h1' UNION ALL SELECT time, i FROM m WHERE i > 0) u GROUP BY b ORDER BY b DESC LIMIT 4",
        "SELECT DISTINCT a FROM (SELECT host AS a FROM m UNION ALL SELECT rack FROM m UNION ALL SELECT s FROM m) u",
        "SELECT host, sum(i) AS v FROM m GROUP BY host UNION ALL SELECT 'all', sum(i) FROM m ORDER BY host, v",
        "SELECT host, count(*) AS c FROM m GROUP BY host HAVING count(*) > 2 UNION ALL \
         (SELECT rack, i FROM m ORDER BY time, host, rack, region LIMIT 3)",
        "SELECT a, sum(c) FROM (SELECT host AS a, count(*) AS c FROM m GROUP BY host UNION ALL \
         SELECT host, i FROM m) u GROUP BY a",
        "SELECT max(a) FROM ((SELECT i AS a FROM m ORDER BY i LIMIT 9) UNION ALL SELECT i FROM m WHERE i < 5) u",
        "SELECT count(a) FROM (SELECT host AS a FROM m UNION ALL SELECT DISTINCT host FROM m UNION ALL \
         SELECT 'x' WHERE 1 = 2) u",
        "SELECT host FROM m WHERE 1 = 2 UNION ALL SELECT rack FROM m WHERE rack IS NOT NULL",
        "SELECT host AS a FROM m WHERE 1 = 2 UNION ALL SELECT rack FROM m WHERE 2 = 3",
    ]);
}

#[test]
fn a_union_with_a_limit_reads_no_more_than_it_needs() {
    let rows = Rows::random(3, 900);
    let read = |text: &str| engine::rows_read(&engine::bound(text).plan, &rows);
    let all = read("SELECT i FROM m UNION ALL SELECT n % 9 FROM m");
    assert_eq!(all, 2 * read("SELECT i FROM m"));
    let some = read("SELECT i FROM m UNION ALL SELECT i FROM m LIMIT 2");
    assert!(some * 4 < all, "{some} of {all}");
}

#[test]
fn milliseconds_tables() {
    for seed in seeds() {
        let rows = Rows::random(seed, 400).in_milliseconds();
        for text in [
            "SELECT * FROM ms.m",
            "SELECT date_bin(INTERVAL '10 minutes', time) AS t, sum(i) FROM ms.m GROUP BY t",
            "SELECT host, date_trunc('month', time) AS t, last(time, f) FROM ms.m GROUP BY host, t",
            "SELECT date_trunc('minute', time) AS t, max(i) FROM ms.m GROUP BY t ORDER BY t DESC LIMIT 5",
            "SELECT time, host, rack, region FROM ms.m ORDER BY time DESC, host, rack, region LIMIT 4",
        ] {
            check(text, &rows, seed);
        }
    }
}

#[test]
fn empty_tables_have_empty_answers() {
    let rows = Rows::default();
    for text in [
        "SELECT * FROM m",
        "SELECT count(*), sum(i), avg(f), first(time, s) FROM m",
        "SELECT host, count(*) FROM m GROUP BY host",
        "SELECT DISTINCT host FROM m",
        "SELECT time FROM m ORDER BY time DESC LIMIT 3",
    ] {
        check(text, &rows, 0);
    }
    let counted = engine::run(&engine::bound("SELECT count(*), sum(i) FROM m").plan, &rows, 3, 0).unwrap();
    assert_eq!(counted, [vec![Cell::Int(0), Cell::Null]]);
}

#[test]
fn random_queries() {
    for seed in seeds() {
        let rows = Rows::random(seed, 600);
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..40 {
            check(&data::random_query(&mut random), &rows, seed);
        }
    }
}

#[test]
fn data_errors_are_errors_of_the_query() {
    let rows = Rows::random(1, 300);
    for (text, part) in [
        ("SELECT i / 0 FROM m", "Divide by zero"),
        ("SELECT i % (n - n) FROM m", "ivide by zero"),
        ("SELECT i + 9223372036854775807 FROM m WHERE i > 0", "verflow"),
        ("SELECT cast(s AS BIGINT) FROM m", "Cannot cast string"),
        ("SELECT sum(1 / (i - i)) FROM m", "ivide by zero"),
    ] {
        let error = engine::run(&engine::bound(text).plan, &rows, 2, 1).unwrap_err();
        assert!(error.to_string().contains(part), "{text}: {error}");
    }
    // A guarded branch never sees the rows that its guard keeps away.
    check("SELECT CASE WHEN i <> 0 THEN 10 / i END FROM m", &rows, 1);
    check("SELECT f / 0 FROM m", &rows, 1);
}

#[test]
fn limits_stop_a_query() {
    let rows = Rows::random(1, 900);
    let plan = engine::bound("SELECT time, host, count(*) FROM m GROUP BY time, host").plan;
    let error = engine::run_within(&plan, &rows, engine::context(4_096)).unwrap_err();
    assert!(error.to_string().contains("4096"), "{error}");
    let cancelled = engine::context(1 << 30);
    cancelled.cancel();
    assert!(engine::run_within(&plan, &rows, cancelled).unwrap_err().to_string().contains("cancelled"));
    let context = engine::context(1 << 30);
    engine::run_within(&plan, &rows, context.clone()).unwrap();
    assert_eq!(context.memory_used(), 0, "everything is given back");
    assert!(context.memory_peak() > 0);
}

#[test]
fn a_limit_stops_the_shards() {
    let rows = Rows::random(2, 900);
    let read = engine::chunks_read(&engine::bound("SELECT i FROM m LIMIT 1").plan, &rows);
    let all = engine::chunks_read(&engine::bound("SELECT i FROM m").plan, &rows);
    assert!(read < all, "{read} of {all}");
    for text in [
        "SELECT time, i FROM m ORDER BY time DESC LIMIT 200",
        "SELECT time, i FROM m ORDER BY time LIMIT 200",
        "SELECT count(i) FROM m",
    ] {
        let taken = engine::snapshots_taken(&engine::bound(text).plan, &rows);
        assert_eq!(taken, 1, "one moment, however many spans are read: {text}");
    }
    let newest = engine::rows_read(&engine::bound("SELECT time, i FROM m ORDER BY time DESC LIMIT 2").plan, &rows);
    let minute = engine::rows_read(
        &engine::bound("SELECT date_trunc('minute', time) AS t, max(i) FROM m GROUP BY t ORDER BY t DESC LIMIT 2").plan,
        &rows,
    );
    assert!(newest * 4 < 900 && minute * 4 < 900, "{newest}, {minute} of 900");
}
