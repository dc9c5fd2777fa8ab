//! Statements that are no SELECT, as data.

use std::sync::Arc;

use tidewire_sql::expr::Scalar;
use tidewire_sql::plan::Plan;
use tidewire_sql::statement::FieldValues;
use tidewire_sql::{Definition, SqlErrorKind, Statement};
use tidewire_storage::schema::{
    Codec, ColumnId, ColumnKind, DatabaseOptions, FieldType, FileFormat, StoredOptions, TimeUnit,
};

use crate::prepared;

const DAY_NS: i64 = 86_400_000_000_000;

/// The constant rows that a SHOW or DESCRIBE answers with, as text.
fn rows(text: &str) -> Vec<String> {
    let Ok(Statement::Query(query)) = prepared(text) else {
        panic!("{text} is no query");
    };
    let Plan::Values { rows, .. } = query.plan else {
        panic!("{text} is not answered from the catalog: {}", query.plan);
    };
    let cell = |value: &Scalar| match value {
        Scalar::Str(text) => text.to_string(),
        other => panic!("{other:?} is no text"),
    };
    rows.iter().map(|row| row.iter().map(cell).collect::<Vec<_>>().join(",")).collect()
}

#[test]
fn blank_texts_are_empty() {
    for text in ["", "  \n", ";", ";;", "-- only a comment", "/* a */ ; -- b"] {
        assert!(matches!(prepared(text), Ok(Statement::Empty)), "{text:?}");
    }
    for text in ["select 1;", "select 1;;", "select 1 as a -- c"] {
        assert!(matches!(prepared(text), Ok(Statement::Query(_))), "{text:?}");
    }
}

#[test]
fn databases_are_created_with_options() {
    let options = |text: &str| match prepared(text) {
        Ok(Statement::Define(Definition::CreateDatabase { name, if_not_exists, options })) => {
            (name, if_not_exists, options)
        }
        other => panic!("{text}: {other:?}"),
    };
    let default = DatabaseOptions::default();
    assert_eq!(options("create database D"), ("d".to_owned(), false, default.clone()));
    assert_eq!(options("create database if not exists \"D\""), ("D".to_owned(), true, default.clone()));
    let text = "CREATE DATABASE d WITH TTL '10d' SHARD 1 VNODE_DURATION = '1d' REPLICA 1 PRECISION 'ms'";
    let expected = DatabaseOptions {
        precision: TimeUnit::Millisecond,
        ttl_ns: Some(10 * DAY_NS),
        partition_ns: DAY_NS,
        stored: StoredOptions { vnode_ns: Some(DAY_NS), ..StoredOptions::default() },
    };
    assert_eq!(options(text), ("d".to_owned(), false, expected));
    let text = "create database d with ttl 7 max_memcache_size '128MiB' strict_write 'false' precision us";
    let expected = DatabaseOptions { precision: TimeUnit::Microsecond, ttl_ns: Some(7 * DAY_NS), ..default.clone() };
    assert_eq!(options(text).2, expected);
    assert_eq!(options("create database d with ttl 'INF'").2, default);
    // What is asked for is what is made, to the second.
    assert_eq!(options("create database d with vnode_duration '90s'").2.partition_ns, 90_000_000_000);
    // What DESCRIBE DATABASE shows, which CnosDB's dumps repeat.
    let dump = "create database if not exists d with precision 'NS' max_memcache_size '128 MiB' memcache_partitions 16 \
                wal_max_file_size '128 MiB' wal_sync 'false' strict_write 'false' max_cache_readers 32 ttl 'INF' \
                shard 1 replica 1 vnode_duration '1year'";
    assert_eq!(options(dump).2.ttl_ns, None);
}

#[test]
fn options_that_change_nothing_here_are_kept() {
    let text = "create database d with ttl 'inf' shard 6 vnode_duration '2y1M' replica 3 max_memcache_size '64MiB' \
                memcache_partitions 10 wal_max_file_size '300M' wal_sync 'true' strict_write true max_cache_readers 100";
    let Ok(Statement::Define(Definition::CreateDatabase { options, .. })) = prepared(text) else {
        panic!("CREATE DATABASE is not understood");
    };
    let expected = StoredOptions {
        vnode_ns: Some((2 * 31_557_600 + 2_630_016) * 1_000_000_000),
        shard: 6,
        replica: 3,
        memcache_bytes_max: 64 << 20,
        memcache_partitions: 10,
        wal_file_bytes_max: 300_000_000,
        wal_sync: true,
        strict_write: true,
        cache_readers_max: 100,
    };
    assert_eq!((options.stored, Some(options.partition_ns)), (expected, expected.vnode_ns));
    for option in
        ["shard", "replica", "memcache_partitions", "max_cache_readers", "max_memcache_size", "wal_max_file_size"]
    {
        let kind = prepared(&format!("create database d with {option} 0")).map_err(|error| *error.kind);
        assert!(matches!(&kind, Err(SqlErrorKind::OptionZero(name)) if name == option), "{option}: {kind:?}");
    }
    for wrong in ["shard 'x'", "shard -1", "wal_sync 'maybe'", "max_memcache_size '1XB'", "strict_write 1"] {
        let kind = prepared(&format!("create database d with {wrong}")).map_err(|error| *error.kind);
        assert!(matches!(kind, Err(SqlErrorKind::Expected { .. })), "{wrong}: {kind:?}");
    }
}

/// What a table over files is declared with.
#[test]
fn external_tables_are_declared() {
    let text = "CREATE EXTERNAL TABLE IF NOT EXISTS slow.\"X y\" (a DECIMAL(10, 6) NOT NULL, b INT, c STRING NULL, \
                D date, e TIMESTAMP, f NUMERIC,) STORED AS CSV WITH HEADER ROW DELIMITER ';' LOCATION '/x/y.csv';";
    let Ok(Statement::Define(Definition::CreateExternal { database, if_not_exists, table })) = prepared(text) else {
        panic!("CREATE EXTERNAL TABLE is not understood: {:?}", prepared(text));
    };
    assert_eq!((database.as_str(), if_not_exists, &*table.name, &*table.location), ("slow", true, "X y", "/x/y.csv"));
    assert_eq!(table.format, FileFormat::Csv { header: true, delimiter: b';' });
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| format!("{} {}{}", column.name, column.kind, if column.not_null { " NOT NULL" } else { "" }))
        .collect();
    let expected = [
        "a Decimal128(10, 6) NOT NULL",
        "b Int64",
        "c Utf8",
        "d Date32",
        "e Timestamp(Nanosecond, None)",
        "f Decimal128(38, 10)",
    ];
    assert_eq!(columns, expected);
    let inferred = prepared("create external table x stored as parquet location 'y'");
    assert!(matches!(inferred, Ok(Statement::CreateExternal { .. })), "{inferred:?}");
    for wrong in [
        "create external table \" \" stored as csv location 'y'",
        "create external table \"a/b\" stored as csv location 'y'",
        "create external table x (a int, a int) stored as csv location 'y'",
        "create external table x (a uuid) stored as csv location 'y'",
        "create external table x stored as avro location 'y'",
        "create external table x stored as json with header row location 'y'",
        "create external table x stored as csv compression type gzip location 'y'",
        "create external table x stored as csv",
        "create unbounded external table x stored as csv location 'y'",
        "create external table information_schema.x stored as csv location 'y'",
        "copy into m from 'x' connection = (a = 'b')",
        "copy into m from 'x' file_format = (type = 'avro')",
        "copy into m from x",
        "copy into 'x' from (select 1) file_format = (type = 'parquet', delimiter = ';')",
        "copy into 'x' from nosuch",
    ] {
        assert!(prepared(wrong).is_err(), "{wrong}: {:?}", prepared(wrong));
    }
    let Ok(Statement::CopyOut(out)) =
        prepared("copy into 'file:///o/' from (select i from m) file_format=(type='JSON')")
    else {
        panic!("COPY INTO a file is not understood");
    };
    assert_eq!((&*out.location, out.format), ("file:///o/", FileFormat::Json));
    let text = "COPY INTO m (time, i) FROM '/i' FILE_FORMAT = (TYPE = 'CSV' DELIMITER = '|', WITH_HEADER = false) \
                COPY_OPTIONS = (auto_infer_schema = true)";
    let Ok(Statement::CopyIn(copy)) = prepared(text) else { panic!("COPY INTO a table is not understood") };
    assert_eq!((copy.columns.len(), copy.format), (2, FileFormat::Csv { header: false, delimiter: b'|' }));
}

#[test]
fn tables_are_created_tags_first() {
    let text = "CREATE TABLE IF NOT EXISTS slow.Air (visibility DOUBLE, N bigint unsigned codec(delta), ok BOOLEAN, \
                \"Note\" STRING CODEC(ZSTD), i bigint, TAGS(station, \"Dc\"))";
    let Ok(Statement::Define(Definition::CreateTable { database, name, if_not_exists, columns, codecs, .. })) =
        prepared(text)
    else {
        panic!("CREATE TABLE is not understood");
    };
    assert_eq!((database.as_str(), name.as_str(), if_not_exists), ("slow", "air", true));
    let field = ColumnKind::Field;
    let expected = [
        ("station", ColumnKind::Tag),
        ("Dc", ColumnKind::Tag),
        ("visibility", field(FieldType::Float)),
        ("n", field(FieldType::UInt)),
        ("ok", field(FieldType::Bool)),
        ("Note", field(FieldType::String)),
        ("i", field(FieldType::Int)),
    ];
    let expected: Vec<_> = expected.into_iter().map(|(name, kind)| (name.to_owned(), kind)).collect();
    assert_eq!(columns, expected);
    assert_eq!(codecs, [("n".to_owned(), Codec::Delta), ("Note".to_owned(), Codec::Zstd)]);
}

#[test]
fn a_fields_codec_is_set_and_set_back() {
    let codec = |text: &str| match prepared(text) {
        Ok(Statement::Define(Definition::SetCodec { database, table, column, codec })) => {
            assert_eq!((database.as_str(), table.as_str()), ("public", "m"));
            (column, codec)
        }
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(codec("ALTER TABLE m ALTER i SET CODEC(DeltaTs)"), ("i".to_owned(), Some(Codec::DeltaTs)));
    assert_eq!(codec("alter table public.m alter s set codec(snappy);"), ("s".to_owned(), Some(Codec::Snappy)));
    assert_eq!(codec("alter table m alter f set codec(default)"), ("f".to_owned(), None));
}

#[test]
fn drops_name_their_target() {
    assert!(
        matches!(prepared("drop database d"), Ok(Statement::Define(Definition::DropDatabase { name, if_exists: false })) if name == "d")
    );
    assert!(matches!(prepared("drop table if exists slow.\"P\""),
        Ok(Statement::Define(Definition::DropTable { database, name, if_exists: true })) if database == "slow" && name == "P"));
}

#[test]
fn show_and_describe_are_answered_from_the_catalog() {
    assert_eq!(rows("show databases"), ["kept", "public", "slow"]);
    assert_eq!(rows("SHOW TABLES;"), ["Foo", "cpu", "m"]);
    assert_eq!(rows("show tables on slow"), ["p"]);
    assert_eq!(
        rows("describe table m"),
        [
            "time,TIMESTAMP(NANOSECOND),TIME,DEFAULT",
            "t,STRING,TAG,DEFAULT",
            "u,STRING,TAG,DEFAULT",
            "i,BIGINT,FIELD,DEFAULT",
            "n,BIGINT UNSIGNED,FIELD,DEFAULT",
            "f,DOUBLE,FIELD,DEFAULT",
            "b,BOOLEAN,FIELD,DEFAULT",
            "s,STRING,FIELD,DEFAULT",
        ]
    );
    assert_eq!(rows("desc table slow.p")[0], "time,TIMESTAMP(MILLISECOND),TIME,DEFAULT");
    assert_eq!(rows("describe database public"), ["INF,1,1year,1,NS,128 MiB,16,128 MiB,false,false,32"]);
    assert_eq!(rows("describe database slow"), ["INF,1,1year,1,MS,128 MiB,16,128 MiB,false,false,32"]);
    assert_eq!(rows("describe database kept"), ["10days,1,1year,1,MS,128 MiB,16,128 MiB,false,false,32"]);
}

#[test]
fn inserted_cells_take_the_columns_types() {
    let text = "insert m(TIME, t, i, n, f, b, s) values \
                ('2022-11-03 06:20:11', 'a1', 1.7, 12, 3.0, 'true', 5), \
                ('1970-01-01 00:00:00.000000007', null, -2.0, 18446744073709551615, null, 'false', null), \
                (1 + 1, 'x', null, null, 1e3, null, 1 || 'é')";
    let Ok(Statement::Insert(insert)) = prepared(text) else {
        panic!("INSERT is not understood");
    };
    assert_eq!((insert.database.as_str(), &*insert.table.name), ("public", "m"));
    assert_eq!(insert.time, [1_667_456_411_000_000_000, 7, 2]);
    let texts = |values: &[Option<&str>]| values.iter().map(|v| v.map(Arc::from)).collect::<Vec<Option<Arc<str>>>>();
    assert_eq!(insert.tags, [(ColumnId(0), texts(&[Some("a1"), None, Some("x")]))]);
    assert_eq!(
        insert.fields,
        [
            (ColumnId(2), FieldValues::Int(vec![Some(1), Some(-2), None])),
            (ColumnId(3), FieldValues::UInt(vec![Some(12), Some(u64::MAX), None])),
            (ColumnId(4), FieldValues::Float(vec![Some(3.0), None, Some(1000.0)])),
            (ColumnId(5), FieldValues::Bool(vec![Some(true), Some(false), None])),
            (ColumnId(6), FieldValues::String(texts(&[Some("5"), None, Some("1é")]))),
        ]
    );
}

#[test]
fn insert_without_columns_takes_them_all_and_without_time_the_epoch() {
    let Ok(Statement::Insert(insert)) = prepared("insert into slow.p values (1667456411123, 'a', 1)") else {
        panic!("INSERT is not understood");
    };
    assert_eq!(insert.time, [1_667_456_411_123]);
    let Ok(Statement::Insert(insert)) = prepared("insert slow.p(v) values (1), (2)") else {
        panic!("INSERT is not understood");
    };
    assert_eq!(insert.time, [0, 0]);
    assert!(insert.tags.is_empty());
}

#[test]
fn explain_keeps_the_steps_only_if_verbose() {
    let Ok(Statement::Explain { query, analyze, verbose, steps }) = prepared("explain select i from m where t = 'a'")
    else {
        panic!("EXPLAIN is not understood");
    };
    assert!(!analyze && !verbose && steps.is_empty());
    assert_eq!(query.plan.to_string(), "Project: i\n  Scan: public.m [i], tags: t = 'a'");
    let Ok(Statement::Explain { analyze, verbose, steps, .. }) = prepared("explain analyze verbose select * from m")
    else {
        panic!("EXPLAIN is not understood");
    };
    assert!(analyze && verbose);
    assert_eq!(steps[0].name, "initial_logical_plan");
    assert!(steps[0].plan.starts_with("Project: "), "{}", steps[0].plan);
    assert!(steps.iter().any(|step| step.name == "logical_plan after time_range"));
}

#[test]
fn a_column_of_shapes_is_text_of_one_kind() {
    use tidewire_sql::error::{GeometryError, SqlErrorKind};
    use tidewire_storage::schema::Geometry;

    let text = "CREATE TABLE g (a geometry(point, 0), b GEOMETRY(MultiPolygon, 0), c string)";
    let Ok(Statement::Define(Definition::CreateTable { columns, geometries, .. })) = prepared(text) else {
        panic!("GEOMETRY is not understood");
    };
    assert!(columns.iter().all(|(_, kind)| *kind == ColumnKind::Field(FieldType::String)), "{columns:?}");
    assert_eq!(geometries, [("a".to_owned(), Geometry::Point), ("b".to_owned(), Geometry::MultiPolygon)]);
    for (written, expected) in [
        ("geometry", GeometryError::Arguments),
        ("geometry()", GeometryError::Arguments),
        ("geometry(point)", GeometryError::Arguments),
        ("geometry(point, 0, 1)", GeometryError::Arguments),
        ("geometry(circle, 0)", GeometryError::Kind),
        ("geometry(point, 1)", GeometryError::System),
    ] {
        let refused = prepared(&format!("CREATE TABLE g (a {written})")).unwrap_err();
        assert!(
            matches!(*refused.kind, SqlErrorKind::Geometry { error, .. } if error == expected),
            "{written}: {refused}"
        );
    }
}

#[test]
fn tables_about_the_server_are_queried_as_others_are() {
    let select = |text: &str| -> Vec<String> {
        let Ok(Statement::Query(query)) = prepared(text) else { panic!("{text}: {:?}", prepared(text)) };
        query.schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect()
    };
    let widths = ["databases", "tables", "columns", "Columns"]
        .map(|name| (name, select(&format!("SELECT * FROM information_schema.{name}")).len()));
    assert_eq!(widths, [("databases", 13), ("tables", 6), ("columns", 10), ("Columns", 10)]);
    let users = select("SELECT * FROM cluster_schema.users WHERE is_admin ORDER BY user_name LIMIT 2");
    assert_eq!(users, ["user_name Utf8", "is_admin Boolean", "user_options Utf8"]);
    assert_eq!(select("SELECT tenant_name FROM cluster_schema.TENANTS"), ["tenant_name Utf8"]);
    let usage = select("SELECT * FROM usage_schema.http_data_in");
    assert_eq!((usage.len(), usage[0].as_str()), (8, "time Timestamp(ns)"));
    assert_eq!(select("SELECT * FROM usage_schema.coord_writes").len(), 5);
    for (name, width) in
        [("members", 2), ("roles", 3), ("enabled_roles", 1), ("database_privileges", 4), ("queries", 12)]
    {
        assert_eq!(select(&format!("SELECT * FROM information_schema.{name}")).len(), width, "{name}");
    }
    for text in [
        "SELECT * FROM information_schema.nosuch",
        "SELECT * FROM usage_schema.vnode_cache_size",
        "INSERT INTO usage_schema.http_data_in (value) VALUES (1)",
        "INSERT INTO information_schema.tables VALUES (1)",
        "DELETE FROM cluster_schema.users",
        "DROP TABLE cluster_schema.users",
    ] {
        assert!(prepared(text).is_err(), "{text}");
    }
}
