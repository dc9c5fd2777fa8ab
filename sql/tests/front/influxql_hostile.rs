//! InfluxQL that is thrown together or broken: nothing panics, nothing overflows the stack, and what is read is printed
//! as what it is read from again.

use std::fmt::Write as _;

use tidewire_sql::exec::{ExecError, QueryContext};
use tidewire_sql::influxql::{Scope, SelectError, Statement, bind_select, parse};

use crate::catalog::{catalog, wide_catalog};
use crate::hostile::on_small_stack;

/// Words from which statements are thrown together.
const WORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "ORDER BY",
    "LIMIT",
    "OFFSET",
    "SLIMIT",
    "SOFFSET",
    "INTO",
    "fill(",
    "tz(",
    "AS",
    "AND",
    "OR",
    "ASC",
    "DESC",
    "SHOW",
    "MEASUREMENTS",
    "SERIES",
    "TAG KEYS",
    "TAG VALUES",
    "FIELD KEYS",
    "WITH",
    "KEY",
    "IN",
    "ON",
    "EXACT",
    "CARDINALITY",
    "CREATE",
    "DROP",
    "ALTER",
    "DATABASE",
    "RETENTION POLICY",
    "DURATION",
    "REPLICATION",
    "SHARD DURATION",
    "DEFAULT",
    "NAME",
    "DELETE",
    "CONTINUOUS QUERY",
    "BEGIN",
    "END",
    "RESAMPLE",
    "EVERY",
    "FOR",
    "USER",
    "PASSWORD",
    "GRANT",
    "REVOKE",
    "ALL",
    "PRIVILEGES",
    "TO",
    "READ",
    "WRITE",
    "SHARDS",
    "SHARD GROUPS",
    "STATS",
    "DIAGNOSTICS",
    "SUBSCRIPTION",
    "DESTINATIONS",
    "ANY",
    "QUERIES",
    "KILL QUERY",
    "EXPLAIN",
    "ANALYZE",
    "distinct",
    "DISTINCT",
    "time",
    "time(",
    "now()",
    "m",
    "cpu",
    "t",
    "u",
    "i",
    "n",
    "f",
    "b",
    "s",
    "hostname",
    "usage_user",
    "\"m\"",
    "\"a b\"",
    "public",
    "slow",
    "autogen",
    "count(",
    "mean(",
    "sum(",
    "max(",
    "top(",
    "percentile(",
    "derivative(",
    "moving_average(",
    "holt_winters(",
    "integral(",
    "sample(",
    "abs(",
    "pow(",
    "*",
    "*::field",
    "*::tag",
    "::integer",
    "::tag",
    "/.*/",
    "/^h/",
    "/(/",
    "=~",
    "!~",
    "=",
    "!=",
    "<>",
    "<",
    "<=",
    ">",
    ">=",
    "+",
    "-",
    "/",
    "%",
    "&",
    "|",
    "^",
    "(",
    ")",
    ",",
    ";",
    ".",
    "..",
    ":MEASUREMENT",
    "null",
    "none",
    "previous",
    "linear",
    "1",
    "0",
    "-1",
    "1.5",
    "1e400",
    "9223372036854775808",
    "18446744073709551616",
    "1h",
    "0s",
    "1d2h",
    "INF",
    "7x",
    "'x'",
    "'2000-01-01'",
    "'2000-01-01T00:00:00Z'",
    "'Europe/Paris'",
    "'open",
    "\"open",
    "true",
    "false",
    "$p",
    "-- c\n",
    "/* c */",
    "/* open",
    "µ",
    "\u{0}",
    "é",
    "\u{1F600}",
    "\\",
];

/// Statements that are broken.
const WHOLE: &[&str] = &[
    "SELECT mean(i) FROM m WHERE t = 'a' AND time > now() - 1h GROUP BY time(1m), t fill(none) ORDER BY time DESC",
    "SELECT top(i, t, 2), u FROM m WHERE u =~ /^a.*$/ OR f > 1.5 LIMIT 3 SLIMIT 1 tz('Europe/Paris')",
    "SELECT max(x) FROM (SELECT mean(i) AS x FROM m GROUP BY time(10s), *) WHERE time < '2000-01-01T00:00:00Z'",
    "SELECT derivative(mean(i), 1s) * 2 + n % 3 INTO slow.autogen.:MEASUREMENT FROM /m.*/ GROUP BY time(1h, 5m)",
    "SHOW TAG VALUES ON public FROM m WITH KEY IN (t, \"u\") WHERE t != 'b' LIMIT 2 OFFSET 1",
    "CREATE CONTINUOUS QUERY c ON public RESAMPLE EVERY 1m FOR 1h BEGIN SELECT mean(i) INTO x FROM m GROUP BY time(5m) END",
    "CREATE RETENTION POLICY \"p\" ON public DURATION 4w REPLICATION 1 SHARD DURATION 1d DEFAULT; SHOW STATS FOR 'x'",
    "DELETE FROM m WHERE t = 'a' AND time < 100; DROP SERIES FROM /x/ WHERE u !~ /b/; KILL QUERY 7 ON \"h\"",
    "SELECT holt_winters_with_fit(mean(i), 10, 4) FROM m WHERE time > 0 GROUP BY time(1m); EXPLAIN SELECT * FROM m",
];

/// Reads a text; what is read is printed and read again, and what selects is bound.
fn take(text: &str) {
    let Ok(statements) = parse(text) else { return };
    let catalog = catalog();
    for statement in statements {
        let printed = statement.to_string();
        if let Statement::Select(select) = &statement {
            let again = parse(&printed).unwrap_or_else(|error| panic!("{text:?} is printed as {printed:?}: {error}"));
            let again: Vec<String> = again.iter().map(ToString::to_string).collect();
            assert_eq!(again, [printed], "{text:?}");
            let scope = Scope {
                catalog: &catalog,
                database: "public",
                policy: "",
                now_ns: 1_667_456_411_000_000_000,
                windows_max: Some(10_000),
            };
            // An error, or a plan; both are fine.
            let _ = bind_select(select, scope, &QueryContext::new(64 << 20, None));
        }
    }
}

fn seeds() -> Vec<u64> {
    match std::env::var("TIDEWIRE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => vec![1, 2, 3],
    }
}

#[test]
fn words_in_any_order_do_no_harm() {
    for seed in seeds() {
        eprintln!("seed {seed}");
        on_small_stack(move || {
            let mut random = fastrand::Rng::with_seed(seed);
            for _ in 0..20_000 {
                let mut text = ["SELECT i ", "SHOW ", "SELECT ", ""][random.usize(0..4)].to_owned();
                for _ in 0..random.usize(1..16) {
                    let _ = write!(text, "{} ", WORDS[random.usize(0..WORDS.len())]);
                }
                take(&text);
            }
        });
    }
}

#[test]
fn whole_statements_that_are_broken_do_no_harm() {
    for seed in seeds() {
        eprintln!("seed {seed}");
        on_small_stack(move || {
            let mut random = fastrand::Rng::with_seed(seed);
            for _ in 0..10_000 {
                let mut characters: Vec<char> = WHOLE[random.usize(0..WHOLE.len())].chars().collect();
                for _ in 0..random.usize(1..5) {
                    let at = random.usize(0..characters.len().max(1)).min(characters.len());
                    match random.u8(0..4) {
                        0 => characters.truncate(at),
                        1 if at < characters.len() => {
                            characters.remove(at);
                        }
                        2 => {
                            let word: Vec<char> = WORDS[random.usize(0..WORDS.len())].chars().collect();
                            characters.splice(at..at, word);
                        }
                        _ => {
                            let end = (at + random.usize(0..20)).min(characters.len());
                            let piece = characters[at..end].to_vec();
                            let to = random.usize(0..=characters.len());
                            characters.splice(to..to, piece);
                        }
                    }
                }
                take(&characters.into_iter().collect::<String>());
            }
        });
    }
}

#[test]
fn deep_and_long_texts_are_errors_or_read() {
    on_small_stack(|| {
        let deep = 30_000;
        for (text, what) in [
            (format!("SELECT {}i{} FROM m", "(".repeat(deep), ")".repeat(deep)), "brackets"),
            (format!("SELECT i FROM m WHERE {}i = 1{}", "(".repeat(deep), ")".repeat(deep)), "brackets of a condition"),
            (format!("SELECT {}i{} FROM m", "abs(".repeat(deep), ")".repeat(deep)), "calls"),
            (format!("{}SELECT i FROM m{}", "SELECT i FROM (".repeat(deep), ")".repeat(deep)), "subqueries"),
            (format!("{}SELECT i FROM m", "EXPLAIN ".repeat(deep)), "explains"),
            (format!("SELECT i FROM m WHERE t =~ /{}a{}/", "(".repeat(deep), ")".repeat(deep)), "a pattern"),
        ] {
            assert!(parse(&text).is_err(), "{what}");
        }
        for text in [
            format!("SELECT i FROM m WHERE t = 'a'{}", " OR t = 'b'".repeat(deep)),
            format!("SELECT i{} FROM m", " + 1".repeat(deep)),
            format!("SELECT i{} FROM m", ", i".repeat(deep)),
            format!("SHOW DATABASES{}", ";SHOW DATABASES".repeat(deep)),
            "-".repeat(deep),
            "'".repeat(deep),
        ] {
            take(&text);
        }
    });
}

#[test]
fn patterns_of_one_request_are_bounded_together() {
    let statements = |of: &str, count: usize| format!("SELECT i FROM m WHERE t =~ /{of}/;").repeat(count);
    assert!(parse(&statements("^host_[0-9]+$", 150)).is_ok());
    for text in [statements("^host_[0-9]+$", 1_000), statements(r"\w{10}", 40)] {
        let refusal = parse(&text).unwrap_err().to_string();
        assert!(refusal.contains("those of one request may take"), "{refusal}");
    }
}

#[test]
fn columns_of_wildcards_count_before_they_are_written_out() {
    let catalog = wide_catalog(2_000);
    let bound = |text: &str, bytes_max: u64| {
        let context = QueryContext::new(bytes_max, None);
        let statements = parse(text).unwrap();
        let Some(Statement::Select(select)) = statements.first() else { panic!("{text}") };
        let scope = Scope { catalog: &catalog, database: "public", policy: "", now_ns: 1, windows_max: None };
        let outcome = bind_select(select, scope, &context).map(|bound| bound.headings.len());
        assert_eq!(context.memory_used(), 0);
        outcome
    };
    let ample = 1 << 30;
    assert_eq!(bound("SELECT * FROM wide", ample).unwrap(), 2_002);
    assert_eq!(bound("SELECT mean(*) FROM wide GROUP BY *", ample).unwrap(), 2_001);
    for text in [
        "SELECT * FROM wide".to_owned(),
        format!("SELECT {} FROM wide", vec!["*"; 500].join(",")),
        format!("SELECT {} FROM wide", vec!["mean(/f/)"; 150].join(",")),
        format!("SELECT * FROM {}", vec!["wide"; 500].join(",")),
    ] {
        let bytes_max = if text.len() < 20 { 1 << 20 } else { 64 << 20 };
        let outcome = bound(&text, bytes_max);
        assert!(
            matches!(outcome, Err(SelectError::Stopped(ExecError::Memory { .. }))),
            "{}: {outcome:?}",
            &text[..40.min(text.len())]
        );
    }
    let joined = bound("SELECT integral(*) FROM wide", 64 << 20);
    assert!(matches!(joined, Err(SelectError::Stopped(ExecError::Memory { .. }))), "{joined:?}");
}
