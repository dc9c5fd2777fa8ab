//! GROUPING SETS, ROLLUP and CUBE against the oracle, and beside the same groups written out one by one.

use crate::data::Rows;
use crate::{check, engine, oracle, seeds};

/// Queries with sets, and the same without them.
const SAME: &[(&str, &str)] = &[
    (
        "SELECT host, rack, sum(i), grouping(host, rack) FROM m GROUP BY ROLLUP(host, rack)",
        "SELECT host, rack, sum(i), 0 FROM m GROUP BY host, rack UNION ALL SELECT host, NULL, sum(i), 1 FROM m \
         GROUP BY host UNION ALL SELECT NULL AS a, NULL AS b, sum(i), 3 FROM m",
    ),
    (
        "SELECT host AS h, b, count(*), grouping(b), grouping(host) AS g FROM m GROUP BY CUBE(h, b)",
        "SELECT host, b, count(*), 0 AS x, 0 FROM m GROUP BY host, b UNION ALL SELECT host, NULL, count(*), 1, 0 FROM m \
         GROUP BY host UNION ALL SELECT NULL, b, count(*), 0, 1 FROM m GROUP BY b UNION ALL SELECT NULL AS x, NULL AS \
         y, count(*), 1 AS z, 1 FROM m",
    ),
    (
        "SELECT i % 3, rack, max(f), min(s) FROM m GROUP BY GROUPING SETS ((1, rack), rack, (), ())",
        "SELECT i % 3, rack, max(f), min(s) FROM m GROUP BY 1, 2 UNION ALL SELECT NULL, rack, max(f), min(s) FROM m GROUP \
         BY rack UNION ALL SELECT NULL AS x, NULL, max(f), min(s) FROM m UNION ALL SELECT NULL AS x, NULL, max(f), min(s) FROM m",
    ),
    (
        "SELECT host, rack, region, count(i) FROM m GROUP BY host, ROLLUP(rack), GROUPING SETS (region, ())",
        "SELECT host, rack, region, count(i) FROM m GROUP BY host, rack, region UNION ALL SELECT host, rack, NULL, \
         count(i) FROM m GROUP BY host, rack UNION ALL SELECT host, NULL, region, count(i) FROM m GROUP BY host, region \
         UNION ALL SELECT host, NULL AS x, NULL, count(i) FROM m GROUP BY host",
    ),
    (
        "SELECT host, rack, count(DISTINCT i) FROM m GROUP BY ROLLUP((host, rack))",
        "SELECT host, rack, count(DISTINCT i) FROM m GROUP BY host, rack UNION ALL SELECT NULL AS x, NULL, count(DISTINCT i) \
         FROM m",
    ),
    (
        "SELECT host, sum(i) AS total FROM m WHERE b GROUP BY ROLLUP(host) HAVING sum(i) > 10 AND grouping(host) < 1",
        "SELECT host, sum(i) FROM m WHERE b GROUP BY host HAVING sum(i) > 10",
    ),
    (
        "SELECT host, rank() OVER (PARTITION BY grouping(host) ORDER BY count(*) DESC, host) FROM m GROUP BY ROLLUP(host)",
        "SELECT host, rank() OVER (ORDER BY count(*) DESC, host) FROM m GROUP BY host UNION ALL SELECT NULL, \
         rank() OVER () FROM (SELECT count(*) FROM m) AS one",
    ),
    ("SELECT host, grouping(host) FROM m GROUP BY host", "SELECT host, 0 FROM m GROUP BY host"),
    ("SELECT count(*) FROM m GROUP BY ()", "SELECT count(*) FROM m"),
    ("SELECT 1 FROM m GROUP BY GROUPING SETS (())", "SELECT 1"),
    ("SELECT host, rack FROM m GROUP BY (host, rack)", "SELECT DISTINCT host, rack FROM m"),
    (
        "SELECT count(*) FROM (SELECT host, i FROM m GROUP BY CUBE(host, i)) AS groups WHERE host = 'h1' AND i IS NULL",
        "SELECT count(*) FROM (SELECT host, i FROM m GROUP BY host, i UNION ALL SELECT host, NULL FROM m GROUP BY host) \
         AS groups WHERE host = 'h1' AND i IS NULL",
    ),
];

#[test]
fn sets_are_the_union_of_their_groups() {
    for seed in seeds() {
        for size in [0, 1, 90] {
            let rows = Rows::random(seed, size);
            for (sets, written_out) in SAME {
                check(sets, &rows, seed);
                let answers = [sets, written_out].map(|text| {
                    let rows = oracle::run(&engine::bound(text).plan, &rows);
                    let mut rows: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
                    rows.sort();
                    rows
                });
                assert_eq!(answers[0], answers[1], "{sets}\nTIDEWIRE_SEED={seed} rows={size}");
            }
        }
    }
}

#[test]
fn groups_of_sets_are_ordered_and_limited_together() {
    for seed in seeds() {
        let rows = Rows::random(seed, 90);
        check(
            "SELECT host, rack, sum(i) AS total FROM m GROUP BY ROLLUP(host, rack) \
             ORDER BY grouping(host), grouping(rack) DESC, host, rack LIMIT 7 OFFSET 1",
            &rows,
            seed,
        );
    }
}
