//! InfluxQL that wants the first rows of each series: what shards and sorts leave out must not show. An answer under a
//! limit is the first rows of each series of the answer without, over rows in memory and over real shards.

use tidewire_sql::exec::QueryContext;
use tidewire_sql::influxql::{Scope, Statement, bind_select, parse};
use tidewire_sql::plan::Plan;
use tidewire_sql::stage::cut;

use crate::data::{self, Cell, Rows, order_rows};
use crate::engine;
use crate::shard::Shards;

/// A SELECT over table `m`, and its number of tags in GROUP BY.
pub(crate) fn bound(text: &str) -> (Plan, usize) {
    let catalog = data::catalog();
    let scope = Scope { catalog: &catalog, database: "public", policy: "", now_ns: 1_000_000_000, windows_max: None };
    let statements = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let [Statement::Select(select)] = statements.as_slice() else { panic!("{text}: {statements:?}") };
    let mut bound = bind_select(select, scope, &QueryContext::new(64 << 20, None)).unwrap();
    assert_eq!(bound.parts.len(), 1, "{text}");
    (bound.parts.remove(0).1.plan, bound.tags.len())
}

/// The first rows of each series.
fn first_of(rows: Vec<Vec<Cell>>, keys: usize, skip: usize, fetch: usize) -> Vec<Vec<Cell>> {
    let mut found: Vec<Vec<Cell>> = Vec::new();
    let mut series: Option<(Vec<Cell>, usize)> = None;
    for row in rows {
        let at = match &series {
            Some((of, count)) if *of == row[..keys] => *count + 1,
            _ => 0,
        };
        series = Some((row[..keys].to_vec(), at));
        if (skip..skip + fetch).contains(&at) {
            found.push(row);
        }
    }
    found
}

/// Compares the answer of `text` in all settings.
pub(crate) fn expect(text: &str, rows: &Rows, shards: &[Shards], expected: &[Vec<Cell>], seed: u64) {
    let (plan, _) = bound(text);
    let mut settings: Vec<(String, Vec<Vec<Cell>>)> = Vec::new();
    for count in [1, 3] {
        settings.push((format!("{count} shards in memory"), engine::run(&plan, rows, count, seed).unwrap()));
    }
    settings.extend(shards.iter().map(|shards| (shards.to_string(), shards.run_plan(&plan).unwrap())));
    for (setting, found) in settings {
        let at = found.iter().zip(expected).position(|(a, b)| order_rows(a, b).is_ne());
        assert!(
            at.is_none() && found.len() == expected.len(),
            "{text}\n{plan}\n{setting}, TIDEWIRE_SEED={seed}: {} rows for {}, row {at:?}: {:?} for {:?}",
            found.len(),
            expected.len(),
            at.map(|at| &found[at]),
            at.map(|at| &expected[at]),
        );
    }
}

pub(crate) fn settings(rows: &Rows, seed: u64) -> Vec<Shards> {
    [(1, 1), (2, 3)].map(|(count, parts)| Shards::new(rows, count, parts, seed)).into()
}

const RANGE: &str = "time >= '1970-01-01T00:10:00Z' AND time < '1970-01-01T03:00:00Z'";

#[test]
fn a_limit_leaves_the_first_rows_of_each_series() {
    let selects = [
        "SELECT * FROM m",
        "SELECT i, s FROM m WHERE host = 'h1'",
        "SELECT i, f FROM m WHERE f > 0",
        "SELECT i + f FROM m WHERE RANGE",
        "SELECT * FROM m GROUP BY host",
        "SELECT * FROM m GROUP BY *",
        "SELECT i FROM m GROUP BY region, rack",
        "SELECT mean(f) FROM m WHERE RANGE GROUP BY time(10m)",
        "SELECT count(i), max(n) FROM m WHERE RANGE GROUP BY time(10m) fill(none)",
        "SELECT max(f), count(s) FROM m WHERE RANGE GROUP BY time(7m), host fill(previous)",
        "SELECT sum(i) FROM m WHERE RANGE AND f > 100 GROUP BY time(5m) fill(0)",
        "SELECT min(i) FROM m WHERE RANGE GROUP BY time(5m), host, rack fill(linear)",
        "SELECT stddev(f), last(i) FROM m WHERE RANGE GROUP BY time(20m), region",
        "SELECT difference(mean(f)) FROM m WHERE RANGE GROUP BY time(10m)",
        "SELECT mode(i) FROM m WHERE time < '1970-01-01T02:00:00Z' GROUP BY time(10m)",
        "SELECT max(i) FROM m WHERE time < '1970-01-01T02:00:00Z' GROUP BY time(10m)",
    ];
    for seed in crate::seeds() {
        let mut random = fastrand::Rng::with_seed(seed);
        let rows = Rows::random(seed, 500);
        let shards = settings(&rows, seed);
        for select in selects {
            let select = select.replace("RANGE", RANGE);
            for order in ["", " ORDER BY time DESC"] {
                let whole = format!("{select}{order}");
                let (plan, keys) = bound(&whole);
                let answer = engine::run(&plan, &rows, 1, seed).unwrap();
                expect(&whole, &rows, &shards, &answer, seed);
                for (fetch, skip) in [(1, 0), (random.usize(2..30), random.usize(0..5))] {
                    let text = format!("{whole} LIMIT {fetch} OFFSET {skip}");
                    expect(&text, &rows, &shards, &first_of(answer.clone(), keys, skip, fetch), seed);
                }
            }
        }
    }
}

#[test]
fn shards_leave_out_what_no_series_wants() {
    let stages = |text: &str| cut(&bound(text).0).to_string();
    let last = stages("SELECT * FROM m GROUP BY host ORDER BY time DESC LIMIT 1");
    assert!(last.contains("Rows: Leaders: group=1, fetch=1") && last.contains("last rows of series"), "{last}");
    let first = stages("SELECT * FROM m GROUP BY host LIMIT 1");
    assert!(first.contains("first rows of series"), "{first}");
    let some = stages("SELECT i FROM m GROUP BY host LIMIT 3 OFFSET 2");
    assert!(some.contains("Rows: Leaders: group=1, fetch=5") && some.contains("reads=rows"), "{some}");
    let top = stages("SELECT top(i, host, 3) FROM m");
    assert!(top.contains("Rows: Leaders: group=2, fetch=1"), "{top}");
    let newest = stages("SELECT max(i) FROM m WHERE time < 0 GROUP BY time(1m) ORDER BY time DESC LIMIT 5");
    assert!(newest.contains("top=5, newest first"), "{newest}");
    let on_lines = stages("SELECT max(i) FROM m WHERE time < 0 GROUP BY time(1m), host fill(linear) LIMIT 5");
    assert!(!on_lines.contains("Leaders"), "{on_lines}");
}

#[test]
fn top_and_bottom_tell_tags_apart() {
    for seed in crate::seeds() {
        let rows = Rows::random(seed, 1_500);
        let shards = settings(&rows, seed);
        for (call, is_top) in [("top", true), ("bottom", false)] {
            for count in [1, 3, 50] {
                // Host, time and value of every row.
                let (plan, _) = bound("SELECT i FROM m GROUP BY host");
                let all = engine::run(&plan, &rows, 1, seed).unwrap();
                let mut best: Vec<Vec<Cell>> = Vec::new();
                let before = |a: &[Cell], b: &[Cell]| {
                    let by_value = data::order(&a[2], &b[2]);
                    let by_value = if is_top { by_value.reverse() } else { by_value };
                    by_value.then_with(|| data::order(&a[1], &b[1]))
                };
                for row in all {
                    match best.iter_mut().find(|best| best[0] == row[0]) {
                        Some(best) if before(&row, best).is_lt() => *best = row,
                        Some(_) => {}
                        None => best.push(row),
                    }
                }
                best.sort_by(|a, b| before(a, b));
                best.truncate(count);
                best.sort_by(|a, b| {
                    let by_value = data::order(&a[2], &b[2]);
                    data::order(&a[1], &b[1]).then(if is_top { by_value.reverse() } else { by_value })
                });
                let expected: Vec<Vec<Cell>> =
                    best.into_iter().map(|row| vec![row[1].clone(), row[2].clone(), row[0].clone()]).collect();
                expect(&format!("SELECT {call}(i, host, {count}) FROM m"), &rows, &shards, &expected, seed);
            }
        }
    }
}
