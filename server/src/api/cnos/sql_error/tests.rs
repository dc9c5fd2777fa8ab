//! What the user gets to read: code and message, as the reference has them where it has.

use std::sync::Arc;

use arrow_schema::ArrowError;
use tidewire_sql::exec::ExecError;
use tidewire_sql::{Session, prepare};
use tidewire_storage::schema::{
    Catalog, ColumnId, ColumnKind, ColumnSchema, Database, DatabaseOptions, FieldType, TableId, TableSchema, TimeUnit,
};

use super::{execution_words, words};

/// Id, name and columns of a table.
type Table<'a> = (u32, &'a str, &'a [(&'a str, ColumnKind)]);

fn database(name: &str, options: &DatabaseOptions, tables: &[Table<'_>]) -> Arc<Database> {
    let tables = tables.iter().map(|(id, name, columns)| {
        let columns: Vec<_> = columns
            .iter()
            .zip(0..)
            .map(|((name, kind), id)| ColumnSchema {
                id: ColumnId(id),
                name: (*name).into(),
                kind: *kind,
                codec: None,
                geometry: None,
            })
            .collect();
        Arc::new(TableSchema {
            id: TableId(*id),
            name: (*name).into(),
            time_unit: options.precision,
            partition_length: 1 << 40,
            next_column: columns.len() as u16,
            columns: columns.into(),
        })
    });
    Arc::new(Database::new(name, options, tables.collect::<Vec<_>>()))
}

/// A table of every column type, others with names that matter, a database in milliseconds, and one with a TTL.
fn catalog() -> Catalog {
    use ColumnKind::{Field, Tag};
    let all_types: &[_] = &[
        ("t", Tag),
        ("u", Tag),
        ("i", Field(FieldType::Int)),
        ("n", Field(FieldType::UInt)),
        ("f", Field(FieldType::Float)),
        ("b", Field(FieldType::Bool)),
        ("s", Field(FieldType::String)),
    ];
    let cpu: &[_] = &[("hostname", Tag), ("usage_user", Field(FieldType::Int))];
    let upper: &[_] = &[("Tag", Tag), ("Field", Field(FieldType::Float))];
    let pair: &[_] = &[("k", Tag), ("v", Field(FieldType::Int))];
    let millis = DatabaseOptions { precision: TimeUnit::Millisecond, ..DatabaseOptions::default() };
    let ten_days = DatabaseOptions { ttl_ns: Some(864_000_000_000_000), ..millis.clone() };
    let public = [(1, "m", all_types), (2, "cpu", cpu), (3, "Foo", upper)];
    let databases = [
        database("public", &DatabaseOptions::default(), &public),
        database("slow", &millis, &[(4, "p", pair)]),
        database("kept", &ten_days, &[(5, "p", pair)]),
    ]
    .into_iter()
    .map(|database| (database.name.clone(), database))
    .collect();
    Catalog { version: 1, databases, next_table: 6, ..Catalog::default() }
}

fn session() -> Session {
    Session {
        tenant: "cnosdb".to_owned(),
        database: "public".to_owned(),
        user: "root".to_owned(),
        rights: tidewire_storage::schema::Rights::All,
        facts: Default::default(),
        now_ns: 1_667_456_411_000_000_000,
    }
}

/// (statement, code, message)
const ERRORS: &[(&str, &str, &str)] = &[
    // Syntax.
    ("selec 1", "010009", "sql parser error: Expected an SQL statement, found: selec at Line: 1, Column: 1"),
    ("select 1 +", "010009", "sql parser error: Expected an expression, found: EOF"),
    ("select 'abc", "010009", "sql parser error: Unterminated string literal at Line: 1, Column: 8"),
    ("select 1 select", "010009", "sql parser error: Expected end of statement, found: select at Line: 1, Column: 10"),
    (
        "create view vv as select 1",
        "010009",
        "sql parser error: Expected an object type after CREATE, found: view at Line: 1, Column: 8",
    ),
    ("desc ty", "010009", "sql parser error: Expected table/database, found: ty at Line: 1, Column: 6"),
    (
        "create table ty6(tags(t))",
        "010009",
        "sql parser error: Expected a data type name, found: ( at Line: 1, Column: 22",
    ),
    (
        "create database bad with precision 's'",
        "010009",
        "sql parser error: s is not a valid precision, use like 'ms', 'us', 'ns'",
    ),
    ("create database bad with replica 0", "010009", "sql parser error: replica number should be greater than 0"),
    (
        "create database bad with ttl '5x'",
        "010009",
        "sql parser error: 5x is not a valid duration or duration overflow",
    ),
    ("select 1; select 2", "010013", "Multi-statement not allow, found num:2, sql:select 1; select 2"),
    // Regular expressions.
    (
        "select * from slow.p where k ~ 'a('",
        "010001",
        "Datafusion: Error during planning: the regular expression \"a(\" is not valid: unclosed group",
    ),
    // Names.
    (
        "select nosuch from slow.p",
        "010001",
        "Datafusion: Schema error: No field named nosuch. Valid fields are slow.p.time, slow.p.k, slow.p.v.",
    ),
    (
        "select x.\"Tag\" from \"Foo\"",
        "010001",
        "Datafusion: Schema error: No field named x.\"Tag\". \
         Valid fields are \"Foo\".time, \"Foo\".\"Tag\", \"Foo\".\"Field\".",
    ),
    ("select * from Foo", "030019", "Table not found: \"cnosdb.public.foo\""),
    ("select * from nosuchdb.t1", "030019", "Table not found: \"cnosdb.nosuchdb.t1\""),
    (
        "select * from other.facts3.t",
        "010001",
        "Datafusion: Error during planning: Database object names must have at most two parts, \
         but found: 'other.facts3.t'",
    ),
    ("alter table m alter s set codec(delta)", "010042", "Semantic error: Unsupported encoding type Delta for STRING"),
    ("alter table m alter t set codec(zstd)", "010042", "Semantic error: Unsupported encoding type zstd for TAG"),
    ("alter table m alter i set codec(lzw)", "010009", "sql parser error: lzw is not a valid codec"),
    ("alter table m alter time set codec(delta)", "010005", "This feature is not implemented: a codec of time"),
    ("alter table m alter nosuch set codec(delta)", "010029", "Semantic error:  column nosuch not exists in table m"),
    ("alter table nosuch alter i set codec(delta)", "030019", "Table not found: \"cnosdb.public.nosuch\""),
    ("describe table nosuch", "030019", "Table not found: \"cnosdb.public.nosuch\""),
    ("describe database nosuch", "030017", "Database not found: \"nosuch\""),
    ("show tables on nosuch", "030017", "Database not found: \"nosuch\""),
    (
        "select nosuchfn(1)",
        "010001",
        "Datafusion: Error during planning: Invalid function 'nosuchfn'.\nDid you mean 'cosh'?",
    ),
    (
        "select 1 as a, 2 as a",
        "010001",
        "Datafusion: Error during planning: Projections require unique expression names but the expression \
         \"Int64(1) AS a\" at position 0 and \"Int64(2) AS a\" at position 1 have the same name. \
         Consider aliasing (\"AS\") one of them.",
    ),
    // Types and clauses.
    (
        "select * from m where time > 'garbage'",
        "010001",
        "Datafusion: Optimizer rule 'simplify_expressions' failed\ncaused by\nArrow error: Parser error: \
         Error parsing timestamp from 'garbage': timestamp must contain at least 10 characters",
    ),
    (
        "select * from m where i = 'abc'",
        "010001",
        "Datafusion: Optimizer rule 'simplify_expressions' failed\ncaused by\nArrow error: Cast error: \
         Cannot cast string 'abc' to value of Int64 type",
    ),
    ("select * from m where i", "010001", "Datafusion: Error during planning: WHERE needs BOOLEAN, not Int64"),
    (
        "select b + 1 from m",
        "010001",
        "Datafusion: Error during planning: Cannot coerce arithmetic expression Boolean + Int64 to valid types",
    ),
    (
        "select b > 1 from m",
        "010001",
        "Datafusion: Error during planning: \
         Cannot infer common argument type for comparison operation Boolean > Int64",
    ),
    (
        "select sum(t) from m",
        "010001",
        "Datafusion: Error during planning: The function SUM does not support inputs of type Utf8.",
    ),
    (
        "select i from m where sum(i) > 1",
        "010001",
        "Datafusion: Error during planning: Aggregate function 'sum' is not allowed in WHERE",
    ),
    (
        "select sum(max(i)) from m",
        "010001",
        "Datafusion: Error during planning: Aggregate function 'max' is not allowed in the arguments of an aggregate",
    ),
    (
        "select t, i from m group by t",
        "010001",
        "Datafusion: Error during planning: Projection references non-aggregate values: \
         Expression m.i could not be resolved from available columns: m.t",
    ),
    ("select * from m limit -1", "010001", "Datafusion: Error during planning: LIMIT must not be negative"),
    (
        "select i from m offset 'a'",
        "010001",
        "Datafusion: Error during planning: Unexpected expression in OFFSET clause",
    ),
    (
        "select i from m order by 2",
        "010001",
        "Datafusion: Error during planning: Order by column out of bounds, specified: 2, max: 1",
    ),
    (
        "select time_window(time, interval '1 month') from m",
        "010058",
        "Invalid TimeWindow parameter : months and years are not supported",
    ),
    // Not supported.
    ("with recursive q as (select 1) select * from q", "010005", "This feature is not implemented: WITH RECURSIVE"),
    (
        "select 1 union select 2, 3",
        "010001",
        "Datafusion: Error during planning: The queries of a UNION must have the same number of columns: the first has 1, number 2 has 2",
    ),
    (
        "select time from m join cpu on t = hostname",
        "010001",
        "Datafusion: Schema error: Ambiguous reference to unqualified field time",
    ),
    (
        "select t, i from m union all select i from m",
        "010001",
        "Datafusion: Error during planning: The queries of a UNION must have the same number of columns: the first has 2, \
         number 2 has 1",
    ),
    (
        "select t, i from m union all select t, b from m",
        "010001",
        "Datafusion: Error during planning: UNION, column 2 (i): types Int64 and Boolean have no common type",
    ),
    ("select array_ndims(i) from m", "010005", "This feature is not implemented: the function array_ndims"),
    (
        "select grouping(i) from m group by rollup(f)",
        "010001",
        "Datafusion: Error during planning: Argument in grouping(m.i) is not a key of GROUP BY",
    ),
    (
        "select i from m union select f from m order by grouping(i)",
        "010001",
        "Datafusion: Error during planning: Aggregate function 'grouping(i)' is not allowed in the ORDER BY of a UNION",
    ),
    (
        "select time_window_gapfill(time, interval '1 hour') as w, locf(row_number() over ()) from m where time > 0 and \
         time < 9 group by w",
        "010001",
        "Datafusion: Error during planning: Gaps in time cannot be filled: over a window, a query or another of them",
    ),
    (
        "select time_window_gapfill(time, interval '1 hour') as w, interpolate(locf(sum(i))) from m where time > 0 and \
         time < 9 group by w",
        "010001",
        "Datafusion: Error during planning: Gaps in time cannot be filled: over a window, a query or another of them",
    ),
    (
        "select grouping() from m group by i",
        "010001",
        "Datafusion: Error during planning: grouping takes from 1 to 63 keys of GROUP BY",
    ),
    (
        "select i from m group by cube(i, f, b, u, s, t, time)",
        "010001",
        "Datafusion: Error during planning: the statement has more than 64 grouping sets",
    ),
    (
        "select distinct on (i) f from m order by f, i",
        "010001",
        "Datafusion: Error during planning: SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
    ),
    (
        "select row_number() ignore nulls over () from m",
        "010005",
        "This feature is not implemented: IGNORE NULLS of row_number",
    ),
    ("select i xor i from m", "010005", "This feature is not implemented: the operator XOR"),
    ("select t ~ u from m", "010005", "This feature is not implemented: a regular expression that is not constant: u"),
    ("begin", "010005", "This feature is not implemented: START TRANSACTION"),
    ("set a = 1", "010005", "This feature is not implemented: SET a = 1"),
    ("truncate table m", "010005", "This feature is not implemented: TRUNCATE TABLE m"),
    // DELETE.
    (
        "delete from m where i = 1",
        "010005",
        "This feature is not implemented: Filtering on the field column on the tskv table in delete statement",
    ),
    (
        "delete from m where t = 'a' and i = 1",
        "010005",
        "This feature is not implemented: Filtering on the field column on the tskv table in delete statement",
    ),
    (
        "delete from m where t = 'zz' or time > 9000000000000000000",
        "010001",
        "Datafusion: This feature is not implemented: operator OR in delete statement",
    ),
    (
        "delete from m where t = t || 'xx'",
        "010001",
        "Datafusion: This feature is not implemented: operator || in delete statement",
    ),
    (
        "delete from m where date_bin(interval '1 day', time) = '2022-11-03'",
        "010001",
        "Datafusion: This feature is not implemented: operator = in delete statement",
    ),
    (
        "delete from slow.p where times = '1999-12-31T00:00:00.111'",
        "010001",
        "Datafusion: Schema error: No field named times. Valid fields are slow.p.time, slow.p.k, slow.p.v.",
    ),
    ("delete from nosuch", "030019", "Table not found: \"cnosdb.public.nosuch\""),
    ("delete m", "010009", "sql parser error: Expected FROM, found: m at Line: 1, Column: 8"),
    (
        "delete from m limit 1",
        "010009",
        "sql parser error: Expected end of statement, found: limit at Line: 1, Column: 15",
    ),
    // ALTER.
    (
        "alter database slow set precision 'ms'",
        "010009",
        "sql parser error: database config is unmodifiable, only can modify database option: TTL, SHARD, \
         VNODE_DURATION, REPLICA",
    ),
    (
        "alter table m add field w string codec(delta)",
        "010042",
        "Semantic error: Unsupported encoding type Delta for STRING",
    ),
    ("alter table m add field w timestamp", "010028", "Semantic error:  column time already exists in table m"),
    ("alter tenant t set a = 1", "010009", "sql parser error: Unknown tenant option: a"),
    (
        "alter tenant t set comment = 'c', drop_after = '1d'",
        "010009",
        "sql parser error: Cannot set multiple options (comment, drop_after, _limiter) at the same time",
    ),
    (
        "alter tenant t set http_queries remote_max = 1 remote_initial = 1 local_max = 1",
        "010009",
        "sql parser error: limiter format error:remote_refill,remote_interval,local_initial can't be empty",
    ),
    (
        "create tenant t with drop_after = '1Y'",
        "010009",
        "sql parser error: 1Y is not a valid duration or duration overflow",
    ),
    ("drop user root", "010074", "User 'root' is prohibited from being dropped"),
    (
        "alter user root set granted_admin = false",
        "010024",
        "Invalid parameter : The root user does not support changing granted_admin",
    ),
    (
        "alter table m frobnicate",
        "010009",
        "sql parser error: Expected ADD or ALTER or DROP or RENAME, found: frobnicate at Line: 1, Column: 15",
    ),
    ("recover database d", "010005", "This feature is not implemented: RECOVER DATABASE"),
    (
        "select * from information_schema.resource_status",
        "010005",
        "This feature is not implemented: the system table information_schema.resource_status",
    ),
    // DDL.
    ("drop database public", "010065", "Database \"public\" forbid drop"),
    ("drop database if exists usage_schema", "010065", "Database \"usage_schema\" forbid drop"),
    ("create database cluster_schema", "030018", "Database \"cluster_schema\" already exists"),
    (
        "create table ty2(time timestamp, a bigint)",
        "010028",
        "Semantic error:  column time already exists in table cnosdb.public.ty2",
    ),
    (
        "create table ty3(a timestamp)",
        "010028",
        "Semantic error:  column time already exists in table cnosdb.public.ty3",
    ),
    (
        "create table d(v bigint, tags(v))",
        "010028",
        "Semantic error:  column v already exists in table cnosdb.public.d",
    ),
    ("create table ty4(a int)", "010042", "Semantic error: Unsupported encoding type Default for INT"),
    ("create table ty5(a varchar(10))", "010042", "Semantic error: Unsupported encoding type Default for VARCHAR(10)"),
    ("create table w(a string codec(delta))", "010042", "Semantic error: Unsupported encoding type Delta for STRING"),
    // INSERT.
    (
        "insert slow.p(time, nosuch) values (1, 1)",
        "010044",
        "Semantic error: Insert column 'nosuch' does not exist in target table, expect time,k,v",
    ),
    ("insert slow.p(time, v) values (1)", "010045", "Semantic error: Insert columns and Source columns not match"),
    (
        "insert slow.p(time, v) values ('x', 1)",
        "010002",
        "Arrow: Parser error: Error parsing timestamp from 'x': timestamp must contain at least 10 characters",
    ),
    (
        "insert slow.p(time, v) values (1, 'abc')",
        "010002",
        "Arrow: Cast error: Cannot cast string 'abc' to value of Int64 type",
    ),
    ("insert slow.p(time, k) values (1, 'a')", "050034", "Fields can't be empty"),
    ("insert slow.p values (1, 'a', null)", "050034", "Fields can't be empty"),
    ("insert kept.p(time, v) values (1, 1)", "030034", "Operation not support: create expired bucket"),
    ("insert nosuch(v) values (1)", "030019", "Table not found: \"cnosdb.public.nosuch\""),
];

#[test]
fn errors_have_code_and_words() {
    for (text, code, message) in ERRORS {
        let error = prepare(text, &catalog(), &session()).expect_err(text);
        assert_eq!(words(&error), (*code, (*message).to_owned()), "{text}");
    }
}

#[test]
fn what_stops_a_query_has_code_and_words() {
    for (error, code, message) in [
        (ArrowError::DivideByZero.into(), "010001", "Arrow error: Divide by zero error"),
        (
            ExecError::Memory { limit_bytes: 7 },
            "010001",
            "Resources exhausted: the query needs more than its limit of 7 bytes of memory",
        ),
        (
            ExecError::ServerMemory { used_bytes: 5, limit_bytes: 7 },
            "010001",
            "Resources exhausted: the queries that run hold 5 of 7 bytes of memory and this one needs more; \
             try again later",
        ),
        (ExecError::Timeout { limit_ms: 3 }, "010001", "the query ran longer than its limit of 3 ms"),
        (ExecError::Cancelled, "010001", "the query was cancelled"),
        (ExecError::Execution("x".to_owned()), "010001", "Execution error: x"),
        (ExecError::NotImplemented("x".to_owned()), "010005", "This feature is not implemented: x"),
        (ExecError::Internal("x".to_owned()), "010001", "Internal error: x"),
    ] {
        assert_eq!(execution_words(&error), (code, message.to_owned()));
    }
}
