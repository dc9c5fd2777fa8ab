//! Values at the edges of their types: both zeros, NaN and the infinities in DOUBLE; integers that overflow.

use tidewire_sql::exec::ExecError;

use crate::data::{self, Cell, Rows};
use crate::{check, engine, oracle, seeds, shard};

/// Rows whose floats are both zeros, NaN of both signs, the infinities and a few numbers.
fn rows_of_special_floats(seed: u64, count: usize) -> Rows {
    let mut rows = Rows::random(seed, count);
    let mut random = fastrand::Rng::with_seed(seed);
    let special = [0.0, -0.0, f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.5, -1.5];
    for row in &mut rows.rows {
        if random.u8(0..8) > 0 {
            row.fields[2] = Cell::Float(special[random.usize(0..special.len())]);
        }
    }
    rows
}

/// Every place that compares DOUBLE values.
const FLOAT_QUERIES: &[&str] = &[
    "SELECT f FROM m WHERE f = 0",
    "SELECT f FROM m WHERE f = -0.0",
    "SELECT f FROM m WHERE f <> 0",
    "SELECT f FROM m WHERE f < 0.0",
    "SELECT f FROM m WHERE f < -0.0",
    "SELECT f FROM m WHERE f <= 0",
    "SELECT f FROM m WHERE f > -0.0",
    "SELECT f FROM m WHERE f >= 0",
    "SELECT f FROM m WHERE 0.0 <= f AND NOT f > 0",
    "SELECT f FROM m WHERE f BETWEEN -0.0 AND 1.5",
    "SELECT f FROM m WHERE f NOT BETWEEN 0 AND 1.5",
    "SELECT f FROM m WHERE f IN (0, 1.5)",
    "SELECT f FROM m WHERE f NOT IN (-0.0, 7)",
    "SELECT f FROM m WHERE f IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)",
    "SELECT f FROM m WHERE f = 'NaN'",
    "SELECT f FROM m WHERE f < 'NaN'",
    "SELECT f FROM m WHERE f >= 'NaN' OR f = 'inf'",
    "SELECT f FROM m WHERE f IN (CAST('NaN' AS DOUBLE), 1.5)",
    "SELECT f FROM m WHERE f IS DISTINCT FROM 0",
    "SELECT f FROM m WHERE f IS NOT DISTINCT FROM -0.0",
    "SELECT f FROM m WHERE f = f",
    "SELECT f FROM m WHERE f < f * 2",
    "SELECT f FROM m WHERE sqrt(f) > 1",
    "SELECT f FROM m WHERE i = f OR i > f",
    "SELECT CASE f WHEN 0 THEN 'zero' WHEN 'NaN' THEN 'none' ELSE 'other' END FROM m",
    "SELECT CASE WHEN f < 0 THEN -1 WHEN f = 0 THEN 0 ELSE 1 END, nullif(f, 0), nullif(f, 'NaN') FROM m",
    "SELECT f, count(*) FROM m GROUP BY f",
    "SELECT host, f, count(*), min(i) FROM m GROUP BY host, f",
    "SELECT -f, count(*) FROM m GROUP BY -f",
    "SELECT DISTINCT f FROM m",
    "SELECT count(DISTINCT f) FROM m",
    "SELECT host, count(DISTINCT f), count(DISTINCT f * 0) FROM m GROUP BY host",
    "SELECT min(f), max(f), count(f) FROM m",
    "SELECT min(f), max(f) FROM m WHERE f <= 0",
    "SELECT min(f), max(f) FROM m WHERE f >= 0",
    "SELECT host, min(f), max(f) FROM m GROUP BY host",
    "SELECT date_bin(INTERVAL '10 minutes', time) AS t, min(f), max(f), count(f) FROM m GROUP BY t",
    "SELECT f, i, time, host, rack, region FROM m ORDER BY f, i, time, host, rack, region",
    "SELECT f, i, time, host, rack, region FROM m ORDER BY i DESC, f DESC, time, host, rack, region LIMIT 40",
    "SELECT a, count(*) FROM (SELECT f AS a FROM m UNION ALL SELECT 0.0 FROM m UNION ALL SELECT i FROM m) u GROUP BY a",
    "SELECT host FROM m GROUP BY host HAVING min(f) < 0 OR max(f) = 0",
];

#[test]
fn floats_compare_by_one_rule_everywhere() {
    for seed in seeds() {
        let rows = rows_of_special_floats(seed, 500);
        for text in FLOAT_QUERIES {
            check(text, &rows, seed);
        }
    }
}

/// From segments, whose statistics leave blocks out.
#[test]
fn floats_compare_by_the_same_rule_in_segments() {
    for seed in seeds() {
        for parts in [1, 3] {
            let rows = rows_of_special_floats(seed, 800);
            let shards = shard::Shards::new(&rows, 2, parts, seed);
            for text in FLOAT_QUERIES {
                shards.check(text, &rows, seed);
            }
        }
    }
}

#[test]
fn constants_compare_as_columns_do() {
    let special = ["0.0", "-0.0", "0", "1.5", "'NaN'", "(0.0 / 0.0)", "(-1.0 / 0.0)", "(1.0 / 0.0)"];
    let rows = rows_of_special_floats(1, 10);
    for a in special {
        for b in special {
            for op in ["=", "<>", "<", "<=", ">", ">="] {
                // The sum of a constant and of a column that is zero is none that folding could decide.
                let of = |text: &str| format!("CAST({text} AS DOUBLE)");
                let constant = format!("SELECT {} {op} {} AS x FROM m", of(a), of(b));
                let computed =
                    format!("SELECT {} + n * 0.0 {op} {} + n * 0.0 AS x FROM m WHERE n IS NOT NULL", of(a), of(b));
                let answer = |text: &str| engine::run(&engine::bound(text).plan, &rows, 1, 1).unwrap()[0].clone();
                assert_eq!(answer(&constant), answer(&computed), "{a} {op} {b}");
            }
        }
    }
    for (text, expected) in [
        ("SELECT 0.0 = -0.0", true),
        ("SELECT -0.0 < 0.0", false),
        ("SELECT 0.0 IN (5.0, -0.0)", true),
        ("SELECT sqrt(-1.0) > 1e300", true),
        ("SELECT sqrt(-1.0) = CAST('NaN' AS DOUBLE)", true),
    ] {
        let answer = engine::run(&engine::bound(text).plan, &rows, 1, 1).unwrap();
        assert_eq!(answer, [[Cell::Bool(expected)]], "{text}");
    }
}

/// Rows of one series whose `i` and `n` are these.
fn rows_of_integers(ints: &[i64], uints: &[u64]) -> Rows {
    let mut rows = Rows::random(1, 1);
    let first = rows.rows.remove(0);
    for at in 0..ints.len().max(uints.len()) {
        let mut row = first.clone();
        // Each in a series of its own, so that shards share them.
        row.tags[0] = Some(format!("h{at}"));
        row.time = at as i64;
        row.fields[0] = ints.get(at).map_or(Cell::Null, |value| Cell::Int(*value));
        row.fields[1] = uints.get(at).map_or(Cell::Null, |value| Cell::UInt(*value));
        rows.rows.push(row);
    }
    rows
}

/// The one cell that a query gives, or the overflow's words.
fn cell(text: &str, rows: &Rows, shards: usize) -> Result<Cell, String> {
    match engine::run(&engine::bound(text).plan, rows, shards, 1) {
        Ok(mut answer) => Ok(answer.remove(0).remove(0)),
        Err(error @ ExecError::Overflow { .. }) => Err(error.to_string()),
        Err(other) => panic!("{text}: {other}"),
    }
}

const INTS: [i64; 9] = [i64::MIN, i64::MIN + 1, -3_037_000_500, -1, 1, 2, 3_037_000_500, i64::MAX - 1, i64::MAX];
const UINTS: [u64; 6] = [1, 2, 1 << 32, 1 << 63, u64::MAX - 1, u64::MAX];

#[test]
fn integer_arithmetic_is_exact_or_an_error_that_names_the_operation() {
    let exact = |op: &str, a: i128, b: i128| match op {
        "+" => Some(a + b),
        "-" => Some(a - b),
        "*" => a.checked_mul(b),
        "/" => Some(a / b),
        _ => Some(a % b),
    };
    for op in ["+", "-", "*", "/", "%"] {
        for (a, b) in INTS.into_iter().flat_map(|a| INTS.map(|b| (a, b))) {
            let rows = rows_of_integers(&[a], &[]);
            let expected = exact(op, a.into(), b.into()).and_then(|exact| i64::try_from(exact).ok()).map(Cell::Int);
            let constant = format!("CAST('{b}' AS BIGINT)");
            for text in
                [format!("SELECT i {op} {constant} FROM m"), format!("SELECT CAST('{a}' AS BIGINT) {op} {constant}")]
            {
                let found = cell(&text, &rows, 1);
                assert_eq!(found.clone().ok(), expected, "{text}: {found:?}");
                if let Err(words) = found {
                    assert!(words.contains(&format!(" {op} ")), "{text}: {words}");
                    assert_eq!(words.starts_with("i "), text.starts_with("SELECT i"), "{text}: {words}");
                }
            }
        }
        for (a, b) in UINTS.into_iter().flat_map(|a| UINTS.map(|b| (a, b))) {
            let rows = rows_of_integers(&[], &[a]);
            let expected = exact(op, a.into(), b.into()).and_then(|exact| u64::try_from(exact).ok()).map(Cell::UInt);
            let constant = format!("CAST('{b}' AS BIGINT UNSIGNED)");
            for text in [
                format!("SELECT n {op} {constant} FROM m"),
                format!("SELECT CAST('{a}' AS BIGINT UNSIGNED) {op} {constant}"),
            ] {
                let found = cell(&text, &rows, 1);
                assert_eq!(found.clone().ok(), expected, "{text}: {found:?}");
                assert!(found.err().is_none_or(|words| words.contains(&format!(" {op} "))), "{text}");
            }
        }
    }
}

#[test]
fn signs_and_mixed_integers_follow_the_same_rule() {
    for (text, int, uint, expected) in [
        ("SELECT -i FROM m", i64::MIN, 0, None),
        ("SELECT -i FROM m", i64::MAX, 0, Some(-i64::MAX)),
        ("SELECT -n FROM m", 0, u64::MAX, None),
        ("SELECT -n FROM m", 0, 1 << 63, None),
        ("SELECT -n FROM m", 0, 7, Some(-7)),
        ("SELECT i + n FROM m", 1, u64::MAX, None),
        ("SELECT n - i FROM m", 1, 1 << 63, None),
        ("SELECT i * n FROM m", 3, 5, Some(15)),
        ("SELECT power(i, 2) FROM m", i64::MAX, 0, None),
    ] {
        let rows = rows_of_integers(&[int], &[uint]);
        let found = cell(text, &rows, 1);
        assert_eq!(found.clone().ok(), expected.map(Cell::Int), "{text} of {int}, {uint}: {found:?}");
        if let Err(words) = found {
            assert!(
                words.contains(if text.contains('i') && !text.contains("-n") { "i" } else { "n" }),
                "{text}: {words}"
            );
        }
    }
    // The magnitude is a DOUBLE, which has room for all of them.
    let rows = rows_of_integers(&[i64::MIN], &[]);
    assert_eq!(cell("SELECT abs(i) FROM m", &rows, 1), Ok(Cell::Float(9_223_372_036_854_775_808.0)));
}

#[test]
fn a_sum_is_exact_or_an_error_that_names_it_however_rows_are_spread() {
    const MAX: i64 = i64::MAX;
    for (ints, expected) in [
        (vec![MAX, 1, -1], Some(MAX)),
        (vec![MAX, MAX, i64::MIN, i64::MIN, 2], Some(0)),
        (vec![i64::MIN, MAX, -MAX, MAX], Some(-1)),
        (vec![MAX, 1], None),
        (vec![i64::MIN, -1, 0, 0, 0], None),
        (vec![MAX; 40], None),
    ] {
        let rows = rows_of_integers(&ints, &[]);
        let grouped = rows_of_integers(&ints, &[]);
        for shards in 1..=5 {
            for text in ["SELECT sum(i) FROM m", "SELECT sum(i) FROM (SELECT i FROM m LIMIT 1000) x"] {
                let found = cell(text, &rows, shards);
                assert_eq!(found.clone().ok(), expected.map(Cell::Int), "{text} of {ints:?} on {shards}: {found:?}");
                assert!(found.err().is_none_or(|words| words.starts_with("SUM(") && words.contains('i')), "{text}");
            }
            let text = "SELECT sum(i) AS x, region || 'x' AS r FROM m GROUP BY r";
            assert_eq!(cell(text, &grouped, shards).ok(), expected.map(Cell::Int), "{text} of {ints:?}");
        }
        if expected.is_some() {
            check("SELECT sum(i), avg(i), host FROM m GROUP BY host", &rows, 1);
        }
    }
    for (uints, expected) in [
        (vec![u64::MAX, 0], Some(u64::MAX)),
        (vec![u64::MAX, 1], None),
        (vec![1 << 63, 1 << 63], None),
        (vec![u64::MAX; 9], None),
    ] {
        let rows = rows_of_integers(&[], &uints);
        for shards in 1..=3 {
            let found = cell("SELECT sum(n) FROM m", &rows, shards);
            assert_eq!(found.clone().ok(), expected.map(Cell::UInt), "{uints:?}: {found:?}");
        }
    }
    // Values that are there twice count once.
    let rows = rows_of_integers(&[MAX, MAX, 0, 0], &[]);
    assert_eq!(cell("SELECT sum(DISTINCT i) FROM m", &rows, 2), Ok(Cell::Int(MAX)));
}

/// Where the statistics of blocks stand for their rows.
#[test]
fn a_sum_over_segments_follows_the_same_rule() {
    const MAX: i64 = i64::MAX;
    for (ints, expected) in [
        (vec![MAX, 5, -5, 1, -1, 0], Some(MAX)),
        (vec![MAX, 5, 1], None),
        (vec![MAX, MAX, i64::MIN, i64::MIN], Some(-2)),
    ] {
        // One series, so that blocks hold many of them; the last is still in memory.
        let mut rows = rows_of_integers(&ints, &[]);
        for row in &mut rows.rows {
            row.tags[0] = Some("h".to_owned());
        }
        for parts in [1, 2, 3] {
            let shards = shard::Shards::new(&rows, 1, parts, 7);
            for text in ["SELECT sum(i) FROM m", "SELECT sum(i), host FROM m GROUP BY host"] {
                match (shards.run(text), expected) {
                    (Ok(answer), Some(sum)) => assert_eq!(answer[0][0], Cell::Int(sum), "{text} of {ints:?}"),
                    (Err(ExecError::Overflow { of, .. }), None) => assert!(of.starts_with("SUM("), "{of}"),
                    (found, _) => panic!("{text} of {ints:?} in {parts} parts: {found:?}"),
                }
            }
            let average = shards.run("SELECT avg(i) FROM m").unwrap();
            let exact = ints.iter().map(|&value| i128::from(value)).sum::<i128>() as f64 / ints.len() as f64;
            let Cell::Float(found) = average[0][0] else { panic!("{average:?}") };
            assert!((found - exact).abs() <= exact.abs() * 1e-9 + 4096.0, "{found} for {exact}");
        }
    }
}

/// The oracle sees what the test thinks it sees.
#[test]
fn the_oracle_knows_one_zero_and_one_nan() {
    let rows = rows_of_special_floats(3, 400);
    let groups = oracle::run(&engine::bound("SELECT f FROM m GROUP BY f").plan, &rows);
    let count =
        |of: &dyn Fn(f64) -> bool| groups.iter().filter(|row| matches!(row[0], Cell::Float(f) if of(f))).count();
    assert_eq!((count(&|f| f == 0.0), count(&f64::is_nan)), (1, 1));
    assert!(data::order(&Cell::Float(-0.0), &Cell::Float(0.0)).is_eq());
}
