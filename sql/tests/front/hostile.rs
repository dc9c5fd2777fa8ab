//! Texts that mean harm: nothing panics, nothing overflows the stack.

use std::fmt::Write as _;

use arrow_schema::{DataType, Schema};
use tidewire_sql::Statement;
use tidewire_sql::expr::Expr;
use tidewire_sql::plan::{JoinKind, Plan};

use crate::prepared;

/// Runs `test` on a thread with the stack that executor threads have.
pub(crate) fn on_small_stack(test: impl FnOnce() + Send + 'static) {
    /// Rust's default, which the server's cores run on.
    const STACK_BYTES: usize = 2 << 20;
    let passed = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(test).map(|thread| thread.join().is_ok());
    assert!(passed.is_ok_and(|passed| passed), "the test on the thread failed");
}

#[test]
fn deep_texts_are_errors() {
    on_small_stack(|| {
        let deep = 30_000;
        for (text, what) in [
            (format!("select {}1{}", "(".repeat(deep), ")".repeat(deep)), "brackets"),
            (format!("select 1{}", " + 1".repeat(deep)), "operators"),
            (format!("select {}1", "- ".repeat(deep)), "signs"),
            (format!("select {}true", "not ".repeat(deep)), "negations"),
            (format!("select 1{}", " is null".repeat(deep)), "postfix operators"),
            (format!("select 1{}", "::bigint".repeat(deep)), "casts"),
            (format!("select {}1{}", "abs(".repeat(deep), ")".repeat(deep)), "calls"),
            (format!("select {}", "case when true then ".repeat(deep)), "cases"),
            (format!("select 1{}", " union all select 1".repeat(deep)), "unions"),
            (format!("{}select 1{}", "select * from (".repeat(deep), ")".repeat(deep)), "subqueries"),
            (format!("select * from m{}", " join m".repeat(deep)), "joins"),
            (format!("select a{} from m", "[1]".repeat(deep)), "subscripts"),
            (format!("{}select 1", "explain ".repeat(deep)), "explains"),
            (format!("select {}", "(select 1 + ".repeat(deep)), "open subqueries"),
            (format!("select interval {}'1'", "interval ".repeat(deep)), "intervals"),
        ] {
            assert!(prepared(&text).is_err(), "{what}");
        }
    });
}

#[test]
fn what_is_within_the_limits_passes() {
    on_small_stack(|| {
        let hosts: Vec<_> = (0..1_000).map(|at| format!("hostname = 'host_{at}'")).collect();
        prepared(&format!("select * from cpu where {}", hosts.join(" or "))).expect("a thousand terms");
        let hosts: Vec<_> = (0..20_000).map(|at| format!("'host_{at}'")).collect();
        prepared(&format!("select * from cpu where hostname in ({})", hosts.join(", "))).expect("a long list");
        prepared(&format!("select i{} from m", " + 1".repeat(100))).expect("a hundred operators");
        prepared(&format!("select {}i{} from m", "(".repeat(20), ")".repeat(20))).expect("twenty brackets");
        let rows: Vec<_> = (0..5_000).map(|at| format!("({at}, 'a', {at})")).collect();
        prepared(&format!("insert slow.p values {}", rows.join(","))).expect("many rows");
    });
}

/// Words from which statements are thrown together.
const WORDS: &[&str] = &[
    "select",
    "from",
    "where",
    "group",
    "by",
    "order",
    "having",
    "limit",
    "offset",
    "distinct",
    "as",
    "and",
    "or",
    "not",
    "in",
    "between",
    "like",
    "ilike",
    "is",
    "null",
    "case",
    "when",
    "then",
    "else",
    "end",
    "cast",
    "interval",
    "timestamp",
    "true",
    "false",
    "asc",
    "desc",
    "insert",
    "into",
    "values",
    "create",
    "drop",
    "table",
    "database",
    "if",
    "exists",
    "with",
    "tags",
    "describe",
    "show",
    "tables",
    "databases",
    "on",
    "explain",
    "analyze",
    "verbose",
    "filter",
    "extract",
    "union",
    "join",
    "over",
    "time",
    "t",
    "u",
    "i",
    "n",
    "f",
    "b",
    "s",
    "m",
    "cpu",
    "p",
    "slow",
    "usage_user",
    "x",
    "window",
    "start",
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "first",
    "last",
    "date_bin",
    "date_trunc",
    "time_window",
    "abs",
    "round",
    "coalesce",
    "nullif",
    "now",
    "to_timestamp",
    "power",
    "length",
    "bigint",
    "double",
    "string",
    "unsigned",
    "'2022-01-01'",
    "'1 hour'",
    "'minute'",
    "'a%'",
    "''",
    "'é'",
    "0",
    "1",
    "-1",
    "2.5",
    "1e300",
    "18446744073709551615",
    "9223372036854775807",
    "(",
    ")",
    "(",
    ")",
    ",",
    ",",
    ".",
    "*",
    "+",
    "-",
    "/",
    "%",
    "=",
    "<",
    ">",
    "<=",
    ">=",
    "<>",
    "||",
    ";",
    "::",
    "[",
    "]",
    "\"",
    "'",
    "`",
    "@",
    "--",
    "/*",
    "\n",
    "\u{0}",
    "é",
    "🦀",
];

/// A random expression of a kind, so that most queries get past the types.
#[derive(Clone, Copy)]
enum Kind {
    Number,
    Truth,
    Text,
    Time,
}

const KINDS: [Kind; 4] = [Kind::Number, Kind::Truth, Kind::Text, Kind::Time];

fn expression(rng: &mut fastrand::Rng, kind: Kind, depth: usize) -> String {
    let leaves: &[&str] = match kind {
        Kind::Number => &["i", "n", "f", "1", "-1", "2.5", "null", "18446744073709551615", "-9223372036854775808"],
        Kind::Truth => &["b", "true", "false", "null", "t like 'a%'", "s is null", "t in ('a', 'b')"],
        Kind::Text => &["t", "u", "s", "'a'", "''", "null", "'1'"],
        Kind::Time => &["time", "now()", "to_timestamp(5)", "timestamp '2022-01-01'"],
    };
    if depth == 0 {
        return leaves[rng.usize(..leaves.len())].to_owned();
    }
    let any = KINDS[rng.usize(..KINDS.len())];
    let mut part = |kind| expression(rng, kind, depth - 1);
    let (a, b, c) = (part(kind), part(kind), part(Kind::Truth));
    let (x, y) = (part(any), part(any));
    let (p, q) = (part(Kind::Number), part(Kind::Time));
    let common = [
        format!("case when {c} then {a} else {b} end"),
        format!("coalesce({a}, {b})"),
        format!("nullif({a}, {b})"),
        a.clone(),
    ];
    let own = match kind {
        Kind::Number => vec![
            format!("{a} + {b}"),
            format!("({a} - {b})"),
            format!("{a} * {b}"),
            format!("{a} / {b}"),
            format!("{a} % {b}"),
            format!("-({a})"),
            format!("round({a}, 1)"),
            format!("date_part('hour', {q})"),
            format!("cast({q} as bigint)"),
        ],
        Kind::Truth => vec![
            format!("{x} = {y}"),
            format!("{x} <> {y}"),
            format!("{p} < {a}"),
            format!("{q} >= time"),
            format!("time < '2022-01-01' or {a}"),
            format!("{a} and {b}"),
            format!("({a} or {b})"),
            format!("not ({a})"),
            format!("{x} in ({y}, {x})"),
            format!("{p} between -1 and {p}"),
            format!("{x} is distinct from {y}"),
            format!("{a} is not true"),
            format!("t = '{depth}' and {a}"),
        ],
        Kind::Text => vec![format!("{a} || {b}"), format!("upper({a})"), format!("cast({p} as string)")],
        Kind::Time => vec![
            format!("{a} + interval '1 hour'"),
            format!("{a} - interval '1 month'"),
            format!("date_bin(interval '7 seconds', {a})"),
            format!("date_trunc('month', {a})"),
        ],
    };
    let choice = rng.usize(..common.len() + own.len());
    common.iter().chain(&own).nth(choice).cloned().unwrap_or(a)
}

/// A random query over `m`.
fn query(rng: &mut fastrand::Rng) -> String {
    let kind = KINDS[rng.usize(..KINDS.len())];
    let key = expression(rng, kind, 1);
    let number = expression(rng, Kind::Number, 2);
    let filter = expression(rng, Kind::Truth, 3);
    let calls = ["count(*)", "sum(f)", "last(time, i)", "max(t)", "count(distinct u)", "avg(i) filter (where b)"];
    let call = calls[rng.usize(..calls.len())];
    let order = ["", " order by x desc", " order by 2, x", " order by y + 1 limit 3", " limit 5 offset 2"];
    let order = order[rng.usize(..order.len())];
    match rng.usize(..5) {
        4 => format!(
            "select {key} as x, {number} as y from m where {filter} union all select {}, i from m{order}",
            expression(rng, kind, 2)
        ),
        0 => format!("select {key} as x, {number} as y, * from m where {filter}{order}"),
        1 => format!("select distinct {key} as x, {number} as y from m where {filter}"),
        2 => format!("select {key} as x, {call} as y from m where {filter} group by {key} having {call} is not null"),
        _ => format!("select x, max(y) as y from (select {key} as x, {number} as y from m) where {filter} group by x"),
    }
}

fn seeds() -> Vec<u64> {
    match std::env::var("TIDEWIRE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => (0..4).collect(),
    }
}

/// Prepares `text`, and says with which seed it panicked if it does. A plan that comes out must fit together.
fn survive(text: &str, seed: u64) -> bool {
    let result = std::panic::catch_unwind(|| match prepared(text) {
        Ok(Statement::Query(query)) => {
            check(&query.plan);
            true
        }
        other => other.is_ok(),
    });
    result.unwrap_or_else(|_| panic!("TIDEWIRE_SEED={seed}: panics on {text:?}"))
}

/// Every column read exists, and every output has the type its schema says.
fn check(plan: &Plan) {
    let over = |expr: &Expr, input: &Schema| {
        let width = input.fields().len();
        expr.for_each_column(&mut |at| assert!(at < width, "column {at} of {width} in {plan}"));
        expr.data_type(input)
    };
    match plan {
        Plan::Scan(scan) => {
            assert_eq!(scan.columns.len(), scan.schema.fields().len(), "{plan}");
            if let Some(filter) = &scan.filter {
                assert_eq!(over(filter, &scan.schema), DataType::Boolean, "{plan}");
            }
            if let Some(filter) = &scan.tag_filter {
                let tags = scan.tag_columns.len();
                filter.for_each_column(&mut |at| assert!(at < tags, "tag {at} of {tags} in {plan}"));
            }
        }
        Plan::Series { step, .. } => panic!("SQL has no step by series: {step}"),
        Plan::Values { rows, schema } => {
            assert!(rows.iter().all(|row| row.len() == schema.fields().len()), "{plan}");
        }
        Plan::Filter { input, predicate } => {
            assert_eq!(over(predicate, input.schema()), DataType::Boolean, "{plan}");
        }
        Plan::Project { input, exprs, schema } => {
            let found: Vec<_> = exprs.iter().map(|expr| over(expr, input.schema())).collect();
            let promised: Vec<_> = schema.fields().iter().map(|field| field.data_type().clone()).collect();
            assert_eq!(found, promised, "{plan}");
        }
        Plan::Aggregate { input, group, calls, schema } => {
            let keys = group.iter().map(|expr| over(expr, input.schema()));
            let found: Vec<_> = keys.chain(calls.iter().map(|call| call.data_type.clone())).collect();
            let promised: Vec<_> = schema.fields().iter().map(|field| field.data_type().clone()).collect();
            assert_eq!(found, promised, "{plan}");
            for expr in calls.iter().flat_map(|call| &call.args) {
                over(expr, input.schema());
            }
        }
        Plan::Sort { input, keys, .. } => {
            for key in keys {
                over(&key.expr, input.schema());
            }
        }
        Plan::Union { inputs, schema } => {
            let types = |schema: &Schema| schema.fields().iter().map(|f| f.data_type().clone()).collect::<Vec<_>>();
            assert!(inputs.iter().all(|input| types(input.schema()) == types(schema)), "{plan}");
        }
        Plan::Join { inputs, kind, on, schema } => {
            let [left, right] = &**inputs;
            let (left, right) = (left.schema(), right.schema());
            for (a, b) in &on.keys {
                assert_eq!(over(a, left), over(b, right), "{plan}");
            }
            let both = Schema::new(left.fields().iter().chain(right.fields()).cloned().collect::<Vec<_>>());
            if let Some(filter) = &on.filter {
                assert_eq!(over(filter, &both), DataType::Boolean, "{plan}");
            }
            let marked = left.fields().len() + 1;
            let width = if matches!(kind, JoinKind::Mark { .. }) { marked } else { both.fields().len() };
            assert_eq!(schema.fields().len(), width, "{plan}");
        }
        Plan::Repeat { input, schema } => {
            let [rest @ .., times] = &input.schema().fields()[..] else { panic!("{plan}") };
            assert_eq!((times.data_type(), rest), (&DataType::Int64, &schema.fields()[..]), "{plan}");
        }
        Plan::Window { input, partition, order, calls, schema } => {
            let keys = partition.iter().chain(order.iter().map(|key| &key.expr));
            for expr in keys.chain(calls.iter().flat_map(tidewire_sql::plan::WindowCall::exprs)) {
                over(expr, input.schema());
            }
            let own = input.schema().fields().iter().map(|field| field.data_type().clone());
            let found: Vec<_> = own.chain(calls.iter().map(|call| call.data_type.clone())).collect();
            let promised: Vec<_> = schema.fields().iter().map(|field| field.data_type().clone()).collect();
            assert_eq!(found, promised, "{plan}");
        }
        Plan::Limit { .. } | Plan::Distinct { .. } | Plan::External(_) => {}
    }
    plan.inputs().iter().for_each(check);
}

#[test]
fn token_soup_never_panics() {
    for seed in seeds() {
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..1_000 {
            let mut text = String::new();
            if rng.bool() {
                text.push_str("select ");
            }
            for _ in 0..rng.usize(1..24) {
                let _ = write!(text, "{} ", WORDS[rng.usize(..WORDS.len())]);
            }
            survive(&text, seed);
        }
    }
}

#[test]
fn plans_of_random_queries_fit_together() {
    /// Queries a seed; at least a third must bind, or the test would test error messages.
    const QUERIES: usize = 300;
    for seed in seeds() {
        let mut rng = fastrand::Rng::with_seed(seed);
        let bound = (0..QUERIES).filter(|_| survive(&query(&mut rng), seed)).count();
        assert!(bound > QUERIES / 3, "seed {seed}: only {bound} of the queries are good ones");
    }
}
