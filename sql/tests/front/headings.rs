//! Names of output columns, as the reference printed them.

use arrow_schema::{DataType, IntervalUnit, TimeUnit};
use tidewire_sql::Statement;

use crate::prepared;

fn columns(text: &str) -> Vec<(String, DataType)> {
    match prepared(text) {
        Ok(Statement::Query(query)) => {
            query.schema.fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect()
        }
        other => panic!("{text}: {other:?}"),
    }
}

fn headings(text: &str) -> Vec<String> {
    columns(text).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn headings_are_datafusions() {
    for (text, expected) in [
        ("select 1", &["Int64(1)"][..]),
        ("select count(*) from m", &["COUNT(UInt8(1))"]),
        ("select count(1) from m", &["COUNT(Int64(1))"]),
        ("select count(distinct t) from m", &["COUNT(DISTINCT m.t)"]),
        ("select mean(i), max(time), min(f) from m", &["AVG(m.i)", "MAX(m.time)", "MIN(m.f)"]),
        ("select avg(usage_user) from cpu", &["AVG(cpu.usage_user)"]),
        ("select sum(v) from slow.p", &["SUM(slow.p.v)"]),
        ("select sum(x.i) from m as x", &["SUM(x.i)"]),
        (
            "select i + 1, -i, i > 1, upper(t), cast(i as double) from m",
            &["m.i + Int64(1)", "(- m.i)", "m.i > Int64(1)", "upper(m.t)", "m.i"],
        ),
        (
            "select i+1, i*2.5, t || 'x', i is null, i between 1 and 2, i in (1,2), t like 'a%' from m",
            &[
                "m.i + Int64(1)",
                "m.i * Float64(2.5)",
                "m.t || Utf8(\"x\")",
                "m.i IS NULL",
                "m.i BETWEEN Int64(1) AND Int64(2)",
                "m.i IN (Map { iter: Iter([Literal(Int64(1)), Literal(Int64(2))]) })",
                "m.t LIKE Utf8(\"a%\")",
            ],
        ),
        (
            "select case when i > 1 then 1 else 0 end, 'lit', 1.5, true, null, coalesce(i, 0), -1 from m",
            &[
                "CASE WHEN m.i > Int64(1) THEN Int64(1) ELSE Int64(0) END",
                "Utf8(\"lit\")",
                "Float64(1.5)",
                "Boolean(true)",
                "NULL",
                "coalesce(m.i,Int64(0))",
                "Int64(-1)",
            ],
        ),
        ("select first(time, i), last(time, i) from m", &["first(m.time,m.i)", "last(m.time,m.i)"]),
        ("select m.i, m.t as x from m limit 1", &["i", "x"]),
        ("select * from (select i from m) as q limit 1", &["i"]),
        ("select q.i + 1 from (select i from m) as q", &["q.i + Int64(1)"]),
        (
            "select time_window(time, interval '1 hour') from m",
            &["TIME_WINDOW(m.time,IntervalMonthDayNano(\"3600000000000\"))"],
        ),
        ("select i != 1 and not b or s = 'a' from m", &["m.i != Int64(1) AND NOT m.b OR m.s = Utf8(\"a\")"]),
        ("select sum(i) filter (where b) from m", &["SUM(m.i) FILTER (WHERE m.b)"]),
        ("select \"Field\" * 2 from \"Foo\"", &["Foo.Field * Int64(2)"]),
        ("select I as X, i as \"X\" from M", &["x", "X"]),
        ("show databases", &["database_name"]),
        ("show tables", &["table_name"]),
    ] {
        assert_eq!(headings(text), expected, "{text}");
    }
}

#[test]
fn results_have_types() {
    use DataType::{Boolean, Float64, Int64, Interval, Timestamp, UInt64, Utf8};
    let ns = || Timestamp(TimeUnit::Nanosecond, None);
    let ms = || Timestamp(TimeUnit::Millisecond, None);
    for (expr, expected) in [
        ("i + 1", Int64),
        ("i + 1.0", Float64),
        ("i / 2", Int64),
        ("n + n", UInt64),
        ("n + 1", Int64),
        ("f + n", Float64),
        ("-n", Int64),
        ("i + null", Int64),
        ("t || 'a'", Utf8),
        ("time", ns()),
        ("time + interval '1 hour'", ns()),
        ("interval '1 hour' + time", ns()),
        ("time - time", Interval(IntervalUnit::MonthDayNano)),
        ("date_bin(interval '1 hour', time)", ns()),
        ("abs(i)", Float64),
        ("power(i, 2)", Int64),
        ("power(i, 2.0)", Float64),
        ("length(t)", Int64),
        ("case when b then 1 else 2.5 end", Float64),
        ("case when b then n end", UInt64),
        ("coalesce(null, t)", Utf8),
        ("b and i > 1", Boolean),
        ("18446744073709551615", UInt64),
        ("99999999999999999999", Float64),
        ("cast('2022-01-01' as timestamp)", ns()),
        ("to_timestamp(5)", ns()),
        ("time::bigint", Int64),
        ("now()", ns()),
    ] {
        let found = columns(&format!("select {expr} as x from m"));
        assert_eq!(found, [("x".to_owned(), expected)], "{expr}");
    }
    for (expr, expected) in [
        ("count(*)", Int64),
        ("sum(i)", Int64),
        ("sum(n)", UInt64),
        ("sum(f)", Float64),
        ("avg(i)", Float64),
        ("min(t)", Utf8),
        ("max(time)", ns()),
        ("last(time, b)", Boolean),
        ("sum(i) / count(*)", Int64),
    ] {
        let found = columns(&format!("select {expr} as x from m"));
        assert_eq!(found, [("x".to_owned(), expected)], "{expr}");
    }
    assert_eq!(columns("select time from slow.p"), [("time".to_owned(), ms())]);
    assert_eq!(columns("select max(time) as x from slow.p"), [("x".to_owned(), ms())]);
}
