//! Statements that would make more than they are long: every tree is bounded in depth and size, after the text is read,
//! after it is bound and after each rule, and preparing takes no more memory and time than it may.

use std::time::Duration;

use tidewire_sql::exec::{ExecError, QueryContext};
use tidewire_sql::expr::Expr;
use tidewire_sql::plan::Plan;
use tidewire_sql::{PrepareError, SqlError, SqlErrorKind, Statement, cut, prepare_within};

use crate::catalog::{catalog, session};
use crate::hostile::on_small_stack;
use crate::prepared;

fn is_too_deep(error: &SqlError) -> bool {
    matches!(*error.kind, SqlErrorKind::TooDeep { .. } | SqlErrorKind::ExpressionTooDeep { .. })
}

/// Levels that no expression may go beyond.
const LEVELS_MAX: usize = 512;

/// Nodes and levels of all expressions of a plan.
fn extent(plan: &Plan) -> (usize, usize) {
    let exprs: Vec<&Expr> = match plan {
        Plan::Scan(scan) => scan.filter.iter().chain(&scan.tag_filter).collect(),
        Plan::Filter { predicate, .. } => vec![predicate],
        Plan::Project { exprs, .. } => exprs.iter().collect(),
        Plan::Aggregate { group, calls, .. } => group.iter().chain(calls.iter().flat_map(|call| &call.args)).collect(),
        Plan::Sort { keys, .. } => keys.iter().map(|key| &key.expr).collect(),
        _ => Vec::new(),
    };
    let (mut nodes, mut levels) = (0, 0);
    let mut open: Vec<(&Expr, usize)> = exprs.into_iter().map(|expr| (expr, 1)).collect();
    while let Some((expr, level)) = open.pop() {
        nodes += 1;
        levels = levels.max(level);
        open.extend(expr.children().into_iter().map(|child| (child, level + 1)));
    }
    for input in plan.inputs() {
        let below = extent(input);
        nodes += below.0;
        levels = levels.max(below.1);
    }
    (nodes, levels)
}

/// `query` `levels` times around `of`.
fn nested(levels: usize, of: &str, around: impl Fn(&str) -> String) -> String {
    (0..levels).fold(of.to_owned(), |inner, _| around(&inner))
}

/// Prepares a text with a bound of memory and of time, cuts it into stages if it is a query, and says how large it is.
fn made(text: &str) -> Result<Option<(usize, usize)>, PrepareError> {
    let context = QueryContext::new(64 << 20, Some(Duration::from_secs(20)));
    let (statement, _held) = prepare_within(text, &catalog(), &session(), &context)?;
    Ok(match &statement {
        Statement::Query(query) => {
            let _stages = cut(&query.plan).to_string();
            Some(extent(&query.plan))
        }
        _ => None,
    })
}

/// Puts a query around a source.
type Around<'a> = &'a dyn Fn(&str) -> String;

#[test]
fn nested_queries_never_make_an_expression_too_deep_or_much_larger() {
    on_small_stack(|| {
        let sum = |inner: &str| format!("(select i{} as i, time from {inner})", " + 1".repeat(120));
        let doubled = |inner: &str| format!("(select i + i as i, time from {inner})");
        let text = |inner: &str| format!("(select s || s as s, time from {inner})");
        let chosen = |inner: &str| {
            format!("(select case when i > 1 then i + 1 when i > 2 then i - i else i end as i, time from {inner})")
        };
        let filtered = |inner: &str| format!("(select i + i as i, time from {inner} where i * i > i)");
        let mixed = |inner: &str| format!("(select i + f as i, i * f as f, time from {inner})");
        let unions = |inner: &str| format!("(select i + 1 as i, time from {inner} union all select i, time from m)");
        let distinct = |inner: &str| format!("(select distinct i + i as i, time from {inner} order by i limit 5)");
        let grouped = |inner: &str| {
            format!("(select i + i as i, max(time) as time from {inner} group by i + i having count(*) > 1 order by i)")
        };
        let renamed = |inner: &str| format!("(select i between i and i + 1 or i > 2 as b, i, time from {inner})");
        let kinds: [(&str, &str, Around<'_>); 10] = [
            ("sums", "i", &sum),
            ("doubled", "i", &doubled),
            ("texts", "s", &text),
            ("cases", "i", &chosen),
            ("filters", "i", &filtered),
            ("two columns", "i", &mixed),
            ("unions", "i", &unions),
            ("distinct", "i", &distinct),
            ("groups", "i", &grouped),
            ("conditions", "i", &renamed),
        ];
        for (what, column, around) in kinds {
            for levels in [3, 15, 25, 45] {
                let inner = nested(levels, "m", around);
                for (clause, value) in [("", ""), ("where", "is not null"), ("order by", "")] {
                    let query = format!(
                        "select {column} from {inner} {clause} {}",
                        if clause.is_empty() { String::new() } else { format!("{column} {value}") }
                    );
                    match made(&query) {
                        Ok(Some((nodes, deepest))) => {
                            let bound = 1_000 * (levels + 2);
                            assert!(
                                nodes <= bound && deepest <= LEVELS_MAX,
                                "{what} {levels}: {nodes} nodes, {deepest}"
                            );
                        }
                        Ok(None) => panic!("{what} is a query"),
                        Err(PrepareError::Statement(error)) => {
                            assert!(levels > 25 || is_too_deep(&error), "{what} {levels}: {error}");
                        }
                        Err(PrepareError::Stopped(error)) => panic!("{what} {levels}: {error}"),
                    }
                }
            }
        }
    });
}

#[test]
fn what_a_language_writes_twice_is_refused_before_it_fills_the_memory() {
    on_small_stack(|| {
        for (what, of, form) in [
            ("is distinct from", "b", "x is distinct from b"),
            ("is not distinct from", "b", "b is not distinct from x"),
            ("between", "b", "x between false and true"),
            ("not between", "b", "x not between false and b"),
            ("case", "i", "case x when 1 then 2 when 2 then 3 when i then 4 end"),
            ("in", "time", "case when x in (time, '2022-01-01', timestamp '2022-01-02', 5) then time end"),
            ("nullif", "i", "nullif(x, 2)"),
        ] {
            for levels in [2, 10, 20, 40] {
                let text = nested(levels, of, |inner| form.replacen('x', &format!("({inner})"), 1));
                let outcome = made(&format!("select time from m where ({text}) is not null"));
                match outcome {
                    Ok(_) => assert!(levels <= 20, "{what}, {levels} levels"),
                    Err(PrepareError::Statement(error)) => {
                        // Beyond its bound of brackets sqlparser may try another reading, and refuse that.
                        let is_known = is_too_deep(&error) || levels > 20;
                        assert!(is_known && error.position.is_some(), "{what}, {levels} levels: {error}");
                    }
                    Err(PrepareError::Stopped(error)) => {
                        assert!(matches!(error, ExecError::Memory { .. }), "{what}, {levels} levels: {error}");
                    }
                }
            }
        }
    });
}

#[test]
fn chains_whose_items_have_commas_are_as_deep_as_they_are_long() {
    on_small_stack(|| {
        for operation in ["union", "union all", "except", "intersect"] {
            for count in [500, 5_000, 60_000] {
                let chain = vec!["select 1, 2"; count].join(&format!(" {operation} "));
                let _ = made(&chain);
                let values = vec!["values (1, 2), (3, 4)"; count].join(&format!(" {operation} "));
                let _ = made(&values);
                let inner = format!("select * from ({chain}) order by 1, 2");
                let _ = made(&inner);
                assert!(count < 5_000 || made(&chain).is_err());
            }
        }
    });
}

#[test]
fn texts_of_any_length_around_the_bounds_neither_panic_nor_overflow() {
    on_small_stack(|| {
        for count in [60, 130, 400, 1_000, 2_040, 3_000, 20_000] {
            for (open, middle, close) in [
                ("select 1", " + 1", ""),
                ("select 1", " is null", ""),
                ("select 1", "::bigint", ""),
                ("select 'a'", " collate x", ""),
                ("select time", " at time zone 'utc'", ""),
                ("select a", "[1]", " from m"),
                ("select a", ".b", " from m"),
                ("select ", "not ", "true"),
                ("select ", "- ", "1"),
                ("select ", "+ ", "1"),
                ("select ", "~ ", "1"),
                ("select * from m", " join m", ""),
                ("select * from m", " natural join m", ""),
                ("select * from m", " cross join m, m", ""),
                ("select * from m", ", m", ""),
                ("select i", " in (1, 2)", " from m"),
                ("select i", " between 1 and 2 and 3", " from m"),
                ("select i from m where i = 1", " or i = 2", ""),
                ("select i from m where i = 1", " and f = 2", ""),
                ("select i from m where i = 1", " or i = 2 and f > 1", ""),
                ("select s from m where s", " like 'a%'", ""),
                ("select s", " || 'a'", " from m"),
                ("select i from m order by i", ", i", ""),
                ("select max(i) from m group by t", ", u", ""),
                ("select i as a", ", i", " from m"),
                ("select case", " when i = 1 then 2", " end from m"),
                ("select coalesce(i", ", i", ") from m"),
                ("with a as (select 1)", ", b as (select 1)", " select 1"),
                ("select sum(i) over (", "partition by i, ", ") from m"),
                ("select interval '1 day", " 1 day", "'"),
                ("select timestamp '", "2022-01-01", "'"),
                ("insert m values (1, 'a')", ", (1, 'a')", ""),
                ("explain select 1", " + 1", ""),
                ("explain verbose select 1", ", 1", ""),
                ("create table x (a bigint", ", b bigint", ")"),
                ("create view v as select 1", " union select 1, 2", ""),
                ("grant a", ", a", " on x to y"),
                ("select ", ";select ", ""),
                ("", ";", ""),
                ("select cast(1 as array", "<array", ">)"),
                ("select cast(1 as struct<a int, b struct", "<a int, b struct", ">)"),
                ("select cast(1 as int", "[]", ")"),
                ("if true then select 1; ", "if true then select 1; ", ""),
                ("begin; ", "begin; ", ""),
            ] {
                let _ = made(&format!("{open}{}{close}", middle.repeat(count)));
            }
            for (open, inner, close) in [
                ("(", "1", ")"),
                ("abs(", "i", ")"),
                ("coalesce(i, ", "i", ")"),
                ("case when ", "b", " then true else false end"),
                ("case when b then ", "i", " end"),
                ("cast(", "i", " as bigint)"),
                ("extract(hour from ", "time", ")"),
                ("date_trunc('hour', ", "time", ")"),
                ("(select ", "1", ")"),
                ("exists (select ", "1", ")"),
                ("i in (", "1", ")"),
                ("(i, ", "1", ")"),
                ("[", "1", "]"),
                ("upper(", "s", ") || 'a'"),
            ] {
                let _ = made(&format!("select {}{inner}{} from m", open.repeat(count), close.repeat(count)));
            }
            let _ = made(
                &nested(count.min(400), "m", |inner| format!("(select * from {inner})"))
                    .replace("(select * from m)", "m"),
            );
            let _ =
                made(&format!("select * from {}", nested(count.min(400), "m", |inner| format!("({inner} join m)"))));
            let deep = nested(count.min(400), "select 1", |inner| format!("({inner}) union all (select 1)"));
            let _ = made(&deep);
        }
    });
}

#[test]
fn columns_of_a_wildcard_count_before_they_are_written_out() {
    let context = QueryContext::new(2 << 20, None);
    let stars = vec!["*"; 100_000].join(", ");
    let outcome = prepare_within(&format!("select {stars} from cpu"), &catalog(), &session(), &context);
    assert!(matches!(outcome, Err(PrepareError::Stopped(ExecError::Memory { .. }))), "{outcome:?}");
    let unions = vec!["select * from cpu"; 400].join(" union all ");
    let outcome = prepare_within(&unions, &catalog(), &session(), &context);
    assert!(matches!(outcome, Err(PrepareError::Stopped(ExecError::Memory { .. }))), "{outcome:?}");
    // A heading that passes through queries is written in each.
    let list = vec!["1"; 20_000].join(",");
    let heading = nested(20, &format!("(select i in ({list}) from m)"), |inner| format!("(select * from {inner})"));
    let outcome = prepare_within(&format!("select * from {heading}"), &catalog(), &session(), &context);
    assert!(matches!(outcome, Err(PrepareError::Stopped(ExecError::Memory { .. }))), "{outcome:?}");
    assert_eq!(context.memory_used(), 0);
}

#[test]
fn patterns_count_as_memory_and_functions_that_compile_them_are_bounded() {
    let context = QueryContext::new(32 << 20, None);
    let any = |of: &dyn Fn(usize) -> String, count| (0..count).map(of).collect::<Vec<_>>().join(" or ");
    let named = |at| format!("host ~ '^host_{at}$'");
    let (_, held) = prepare_within(
        &format!("select i from m where {}", any(&|at| named(at).replace("host ~", "s ~"), 50)),
        &catalog(),
        &session(),
        &context,
    )
    .unwrap();
    assert!(context.memory_used() > 50 * (16 << 10), "they are held for as long as the statement");
    drop(held);
    for text in [any(&|at| format!("s ~ 'row_{at}'"), 1_000), any(&|at| format!(r"s ~ '\w{{10}}{at}'"), 100)] {
        let outcome = prepare_within(&format!("select i from m where {text}"), &catalog(), &session(), &context);
        assert!(matches!(outcome, Err(PrepareError::Stopped(ExecError::Memory { .. }))), "{outcome:?}");
    }
    assert_eq!(context.memory_used(), 0);
    let calls = |count| any(&|at| format!("regexp_like(s, 'a{at}')"), count);
    assert!(prepared(&format!("select i from m where {}", calls(32))).is_ok());
    let refusal = prepared(&format!("select i from m where {}", calls(33))).unwrap_err();
    assert!(matches!(*refusal.kind, SqlErrorKind::Unsupported(_)), "{refusal}");
}

#[test]
fn a_filter_is_not_copied_into_unions_without_end() {
    let filter = (0..300).map(|at| format!("f > {at} or i < {at}")).collect::<Vec<_>>().join(" and ");
    let filter = filter.replace("f >", "(f >").replace(" and ", ") and ") + ")";
    let inputs = vec!["select i, f from m"; 600].join(" union all ");
    let (nodes, _) = made(&format!("select i from ({inputs}) where {filter}")).unwrap().unwrap();
    assert!(nodes < 300_000, "{nodes}");
    // A small one goes to the scans.
    let Ok(Statement::Query(query)) = prepared(&format!("select i from ({inputs}) where f > 1")) else { panic!() };
    assert_eq!(query.plan.to_string().matches("filter: ").count(), 600);
}

#[test]
fn preparing_stops_when_the_client_leaves_or_the_deadline_passes() {
    let list = vec!["i + 1"; 20_000].join(",");
    let text = format!("select i from m where i in ({list})");
    let context = QueryContext::new(1 << 30, None);
    context.cancel();
    let outcome = prepare_within(&text, &catalog(), &session(), &context);
    assert!(matches!(outcome, Err(PrepareError::Stopped(ExecError::Cancelled))), "{outcome:?}");
    let context = QueryContext::new(1 << 30, Some(Duration::ZERO));
    std::thread::sleep(Duration::from_millis(2));
    let outcome = prepare_within(&text, &catalog(), &session(), &context);
    assert!(matches!(outcome, Err(PrepareError::Stopped(ExecError::Timeout { .. }))), "{outcome:?}");
    // What is small asks for nothing, so that it is not stopped either.
    assert!(prepare_within("drop table m", &catalog(), &session(), &context).is_ok());
}

#[test]
fn names_of_with_do_not_double_without_end() {
    let mut text = "with a0 as (select * from m)".to_owned();
    for at in 1..60 {
        let before = at - 1;
        text.push_str(&format!(", a{at} as (select * from a{before} union all select * from a{before})"));
    }
    let doubled = format!("{text} select count(*) from a59");
    assert!(matches!(made(&doubled), Err(PrepareError::Stopped(ExecError::Memory { .. }))));
    let error = prepared(&doubled).expect_err("more than a statement may have");
    assert!(matches!(*error.kind, SqlErrorKind::TooMany { .. }), "{error}");
    let deep: String =
        (1..250).map(|at| format!(", b{at} as (select t, i + 1 as i from b{} limit 9)", at - 1)).collect();
    on_small_stack(move || {
        let _ = made(&format!("with b0 as (select t, i from m){deep} select * from b249"));
    });
}
