//! Text that grows while a query runs: what is far more of a chunk's rows than of the chunk is made a few rows at a
//! time, the answer is the same, and the query's memory bounds it before it is made.

use tidewire_sql::exec::ExecError;

use crate::data::Rows;
use crate::{check, engine, seeds};

/// More for each of a few dozen rows than is made at once.
const LONG: usize = 120 << 10;

#[test]
fn long_texts_answer_as_short_ones_do() {
    for seed in seeds().into_iter().take(1) {
        let rows = Rows::random(seed, 150);
        let long = "x".repeat(LONG);
        for text in [
            "SELECT length('LONG' || host) AS n, i FROM m",
            "SELECT i FROM m WHERE 'LONG' || s > 'LONG' || host",
            "SELECT host, count(*) FROM m WHERE upper('LONG' || host) LIKE '%1' GROUP BY host",
            "SELECT length(x || x) AS n FROM (SELECT 'LONG' || s AS x FROM m)",
            "SELECT length(CASE WHEN i > 5 THEN 'LONG' || s WHEN b THEN 'LONG' ELSE host END) AS n FROM m",
            "SELECT length(coalesce(s, 'LONG' || host, 'LONG')) AS n FROM m",
            "SELECT host, max(length(lower('LONG' || s))) FROM m GROUP BY host",
            "SELECT length(max('LONG' || s)) AS n FROM m",
            "SELECT host, length(min('LONG' || s)) AS n FROM m GROUP BY host",
            "SELECT date_bin(INTERVAL '1 hour', time) AS t, length(first(time, 'LONG' || s)) AS n FROM m GROUP BY t",
            "SELECT length('LONG' || host) AS k, count(*) FROM m GROUP BY k",
            "SELECT count(*) FROM (SELECT i, 'LONG' || s AS x FROM m) WHERE x LIKE '%a' OR i > 3",
            "SELECT 'LONG' || s IS NULL, host || 'LONG' = 'LONG' || host, 'LONG' || s IN ('LONGa', 'LONGb') FROM m",
            "SELECT count(*) FROM m WHERE length('LONG' || host) IN (1, 2, 3)",
            "SELECT DISTINCT length('LONG' || host) AS n FROM m ORDER BY n LIMIT 3",
            "SELECT length(x) FROM (SELECT 'LONG' AS x FROM m UNION ALL SELECT host FROM m)",
            "SELECT length(x), i FROM (SELECT 'LONG' || host AS x, i FROM m) WHERE length(x) > 5 ORDER BY i LIMIT 7",
        ] {
            check(&text.replace("LONG", &long), &rows, seed);
        }
        // What the client reads comes in parts.
        let some = "é".repeat(10 << 10);
        let rows = Rows::random(seed, 500);
        for text in [
            "SELECT 'LONG' || host AS x, i FROM m",
            "SELECT upper('LONG' || host) AS x FROM m WHERE i > 2",
            "SELECT 'LONG' AS x, host FROM m",
            "SELECT x || 'y' AS x, i FROM (SELECT s || 'LONG' AS x, i FROM m)",
            "SELECT 'LONG' || host AS k, count(*) AS n FROM m GROUP BY k",
        ] {
            check(&text.replace("LONG", &some), &rows, seed);
        }
    }
}

#[test]
fn text_that_doubles_is_refused_before_it_fills_the_memory() {
    const BYTES_MAX: u64 = 32 << 20;
    let rows = Rows::random(seeds()[0], 300);
    let doubled = |levels: usize, of: &str| {
        (0..levels).fold("m".to_owned(), |inner, _| format!("(SELECT {of} AS s, host, i FROM {inner})"))
    };
    for of in [
        "s || s",
        "host || s || s",
        "upper(s) || lower(s)",
        "CASE WHEN i IS NULL THEN s ELSE s || s END",
        "coalesce(s || s, s, host)",
    ] {
        for query in [
            "SELECT s FROM {}",
            "SELECT length(s) FROM {}",
            "SELECT count(*) FROM {} WHERE s > 'a'",
            "SELECT max(s) FROM {}",
        ] {
            let text = query.replace("{}", &doubled(20, of));
            let context = engine::context(BYTES_MAX);
            let error = engine::run_within(&engine::bound(&text).plan, &rows, context.clone()).unwrap_err();
            assert!(matches!(error, ExecError::Memory { .. }), "{of}, {query}: {error}");
            assert!(context.memory_peak() <= BYTES_MAX);
            assert_eq!(context.memory_used(), 0, "{of}, {query}");
            // As long as there is room, it runs.
            let text = query.replace("{}", &doubled(8, of));
            let context = engine::context(BYTES_MAX);
            engine::run_within(&engine::bound(&text).plan, &rows, context.clone()).unwrap();
            assert_eq!(context.memory_used(), 0, "{of}, {query}");
        }
    }
}

/// A chunk is cut where each of its rows costs thousands of comparisons, on the shards and on the core that asks.
#[test]
fn conditions_of_many_parts_answer_as_short_ones_do() {
    for seed in seeds().into_iter().take(1) {
        let rows = Rows::random(seed, 1_700);
        let parts: Vec<String> = (0..400).map(|at| format!("i % 997 = {at} OR s = 'x{at}'")).collect();
        let many = parts.join(" OR ");
        for text in [
            "SELECT host, i, s FROM m WHERE MANY",
            "SELECT count(*), min(i) FROM m WHERE MANY",
            "SELECT host, count(*) FROM m WHERE b OR MANY GROUP BY host",
            "SELECT i FROM m WHERE MANY ORDER BY i LIMIT 9",
            "SELECT n, i FROM (SELECT i, s, count(*) AS n FROM m GROUP BY i, s) WHERE MANY",
            "SELECT (MANY) AS found, i FROM m",
        ] {
            check(&text.replace("MANY", &many), &rows, seed);
        }
    }
}
