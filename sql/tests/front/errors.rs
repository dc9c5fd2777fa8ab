//! What is wrong with a statement, as a kind with what it is about, and where. The words that a client reads are those
//! of its API, and tested there.

use arrow_schema::DataType;
use tidewire_sql::error::{Position, SqlErrorKind as Kind, WindowError};
use tidewire_sql::types::error::{ConversionError, TimestampError, TimestampPart};

use crate::prepared;

#[test]
fn errors_say_what_they_are_about() {
    let text = |text: &str| text.to_owned();
    for (statement, kind) in [
        ("select 1; select 2", Kind::ManyStatements { count: 2, text: text("select 1; select 2") }),
        ("desc ty", Kind::Expected { what: text("table/database"), found: text("ty") }),
        ("create database bad with ttl '5x'", Kind::Duration(text("5x"))),
        ("create database bad with replica 0", Kind::OptionZero(text("replica"))),
        ("with recursive a as (select 1) select * from a", Kind::Unsupported(text("WITH RECURSIVE"))),
        ("with a as (select 1), a as (select 2) select * from a", Kind::NameTwice(text("a"))),
        ("values (1), (2, 3)", Kind::ValuesWidth { first: 1, number: 2, found: 2 }),
        ("select * from (select 1) as a(b, c)", Kind::AliasWidth { table: text("a"), names: 2, columns: 1 }),
        ("select i from m a join m b on a.i = b.i", Kind::ColumnAmbiguous(text("i"))),
        ("select 1 from m join cpu on 1", Kind::NotBoolean { place: "ON", found: DataType::Int64 }),
        ("select i from m except select t, i from m", Kind::UnionWidth { first: 1, number: 2, found: 2 }),
        ("select t, i from m union all select i from m", Kind::UnionWidth { first: 2, number: 2, found: 1 }),
        (
            "select t, i from m union all select t, b from m",
            Kind::UnionTypes { column: text("i"), number: 2, types: [DataType::Int64, DataType::Boolean] },
        ),
        (
            "select i from m union all select i from m order by max(i)",
            Kind::AggregateMisplaced { name: text("MAX(i)"), clause: "the ORDER BY of a UNION" },
        ),
        ("select nosuchfn(1)", Kind::FunctionUnknown(text("nosuchfn"))),
        ("select abs('a')", Kind::Arguments { name: text("abs"), types: vec![DataType::Utf8] }),
        ("select sum(t) from m", Kind::AggregateArgument { heading: "SUM", data_type: DataType::Utf8 }),
        ("select i from m where sum(i) > 1", Kind::AggregateMisplaced { name: text("sum"), clause: "WHERE" }),
        ("select i from m where rank() over () = 1", Kind::WindowMisplaced { name: text("rank"), clause: "WHERE" }),
        (
            "select sum(rank() over ()) over () from m",
            Kind::WindowMisplaced { name: text("rank"), clause: "the arguments of a window function" },
        ),
        ("select rank() over w from m", Kind::WindowUnknown(text("w"))),
        (
            "select sum(i) over (rows between 1 following and 1 preceding) from m",
            Kind::FrameInvalid("it ends before it starts"),
        ),
        (
            "select sum(i) over (order by s range 1 preceding) from m",
            Kind::FrameInvalid("a RANGE with a distance takes one key that has distances"),
        ),
        ("select sum(i) over (rows -1 preceding) from m", Kind::FrameInvalid("a distance is negative")),
        ("select rank() from m", Kind::FunctionUnknown(text("rank"))),
        (
            "select lead(i, 1, 'x') over () from m",
            Kind::Arguments { name: text("lead"), types: vec![DataType::Int64, DataType::Int64, DataType::Utf8] },
        ),
        ("insert slow.p(time, v) values (1, 1), (2, 2.5)", Kind::ValuesTypes { row: 1, column: 1 }),
        ("update m set i = 1", Kind::UpdateWithoutWhere),
        ("update m set i = 1, t = 'x' where t = 'a'", Kind::UpdateMixed),
        ("update m set t = 'x' where time > 1", Kind::UpdateWhere(text("time"))),
        ("show series from m where i > 1", Kind::ShowByField { statement: "SHOW SERIES", column: text("i") }),
        ("select * from m where i", Kind::NotBoolean { place: "WHERE", found: DataType::Int64 }),
        (
            "select nosuch from slow.p",
            Kind::ColumnUnknown {
                name: text("nosuch"),
                known: vec![text("slow.p.time"), text("slow.p.k"), text("slow.p.v")],
            },
        ),
        (
            "select * from nosuch",
            Kind::TableNotFound { tenant: text("cnosdb"), database: text("public"), table: text("nosuch") },
        ),
        (
            "select * from m where time > 'garbage'",
            Kind::Constant(ConversionError::Timestamp(TimestampError {
                text: text("garbage"),
                part: TimestampPart::Length,
            })),
        ),
        (
            "insert slow.p(time, v) values (1, 'abc')",
            Kind::InsertValue(ConversionError::Text { text: text("abc"), to: DataType::Int64 }),
        ),
        ("select time_window(time, interval '1 month') from m", Kind::TimeWindow(WindowError::Calendar)),
        ("delete from m where i = 1", Kind::DeleteByField),
        ("delete from m where t = t || 'xx'", Kind::DeleteNotExact(text("operator ||"))),
    ] {
        assert_eq!(*prepared(statement).expect_err(statement).kind, kind, "{statement}");
    }
}

#[test]
fn errors_know_their_place() {
    for (text, line, column) in [
        ("selec 1", 1, 1),
        ("select i\nfrom m\nwhere nosuch > 1", 3, 7),
        ("select *\n  from nosuch", 2, 8),
        ("create table x(\n a bigint,, b bigint)", 2, 11),
        ("select 'é', 'abc", 1, 13),
        ("select i from m union all\n select i, n from m", 2, 2),
    ] {
        let error = prepared(text).expect_err(text);
        assert_eq!(error.position, Some(Position { line, column }), "{text}: {error}");
    }
}
