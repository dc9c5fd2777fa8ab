//! A catalog with a table of every column type, the devops table, a database in milliseconds, and one with a TTL.

use std::sync::Arc;

use tidewire_sql::Session;
use tidewire_storage::schema::{
    Catalog, ColumnId, ColumnKind, ColumnSchema, Database, DatabaseOptions, FieldType, TableId, TableSchema, TimeUnit,
};

fn table(id: u32, name: &str, unit: TimeUnit, columns: &[(&str, ColumnKind)]) -> Arc<TableSchema> {
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
        id: TableId(id),
        name: name.into(),
        time_unit: unit,
        partition_length: 86_400 * (1_000_000_000 / unit.nanoseconds()),
        next_column: u16::try_from(columns.len()).unwrap_or(u16::MAX),
        columns: columns.into(),
    })
}

fn database(name: &str, options: &DatabaseOptions, tables: Vec<Arc<TableSchema>>) -> Arc<Database> {
    Arc::new(Database::new(name, options, tables))
}

/// The catalog of all tests.
pub(crate) fn catalog() -> Catalog {
    use ColumnKind::{Field, Tag};
    let all_types = [
        ("t", Tag),
        ("u", Tag),
        ("i", Field(FieldType::Int)),
        ("n", Field(FieldType::UInt)),
        ("f", Field(FieldType::Float)),
        ("b", Field(FieldType::Bool)),
        ("s", Field(FieldType::String)),
    ];
    let cpu = [
        ("hostname", Tag),
        ("region", Tag),
        ("usage_user", Field(FieldType::Int)),
        ("usage_system", Field(FieldType::Int)),
        ("usage_idle", Field(FieldType::Float)),
    ];
    let upper = [("Tag", Tag), ("Field", Field(FieldType::Float))];
    let ns = TimeUnit::Nanosecond;
    let ms = TimeUnit::Millisecond;
    let public = database(
        "public",
        &DatabaseOptions::default(),
        vec![table(1, "m", ns, &all_types), table(2, "cpu", ns, &cpu), table(3, "Foo", ns, &upper)],
    );
    let millis = DatabaseOptions { precision: ms, ..DatabaseOptions::default() };
    let kept = DatabaseOptions { ttl_ns: Some(864_000_000_000_000), ..millis.clone() };
    let slow = database("slow", &millis, vec![table(4, "p", ms, &[("k", Tag), ("v", Field(FieldType::Int))])]);
    let kept = database("kept", &kept, vec![table(5, "p", ms, &[("k", Tag), ("v", Field(FieldType::Int))])]);
    let databases = [public, slow, kept].into_iter().map(|d| (d.name.clone(), d)).collect();
    Catalog { version: 1, databases, next_table: 6, ..Catalog::default() }
}

/// A catalog whose database `public` has one table `wide`, with a tag and this many numbers.
pub(crate) fn wide_catalog(fields: u16) -> Catalog {
    let names: Vec<String> = (0..fields).map(|at| format!("f{at}")).collect();
    let columns: Vec<(&str, ColumnKind)> = std::iter::once(("t", ColumnKind::Tag))
        .chain(names.iter().map(|name| (name.as_str(), ColumnKind::Field(FieldType::Float))))
        .collect();
    let wide = table(1, "wide", TimeUnit::Nanosecond, &columns);
    let public = database("public", &DatabaseOptions::default(), vec![wide]);
    let databases = [(public.name.clone(), public)].into_iter().collect();
    Catalog { version: 1, databases, next_table: 2, ..Catalog::default() }
}

/// A session in `public` at 2022-11-03T06:20:11.
pub(crate) fn session() -> Session {
    Session {
        tenant: "cnosdb".to_owned(),
        database: "public".to_owned(),
        user: "root".to_owned(),
        rights: tidewire_storage::schema::Rights::All,
        facts: Default::default(),
        now_ns: 1_667_456_411_000_000_000,
    }
}
