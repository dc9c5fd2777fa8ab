//! SHOW of measurements, series, tag keys, tag values and field keys: answered from the catalog and the shards'
//! indexes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidewire_protocol::encode::influx::Value;
use tidewire_sql::exec::ExecError;
use tidewire_sql::influxql::{
    BindError, Expr, Measurement, ShowKind, ShowSchema, TagKeys, schema_selection, speaks_of_time,
};
use tidewire_storage::schema::{ColumnId, ColumnKind, Database, FieldType, TableSchema};

use super::answer::Answer;
use super::scope::Scope;
use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::core::message::{ReadSchema, SchemaFound, SchemaPart, SeriesOfTable};
use crate::query::schema::schema;

/// LIMIT and OFFSET; no limit is 0.
pub(super) fn page<T>(items: impl IntoIterator<Item = T>, limit: u64, offset: u64) -> impl Iterator<Item = T> {
    let limit = if limit == 0 { u64::MAX } else { limit };
    let as_size = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    items.into_iter().skip(as_size(offset)).take(as_size(limit))
}

/// Tables of a database: those that `from` means, or all. `everywhere`: of all retention policies where none is named,
/// else of the default one.
pub(super) fn tables(
    database: &Database,
    from: &[Measurement],
    everywhere: bool,
) -> Result<Vec<Arc<TableSchema>>, BindError> {
    let mut found: Vec<Arc<TableSchema>> = Vec::new();
    let mut add = |policy: Option<&str>, is_meant: &dyn Fn(&str) -> bool| {
        let policies = database.policies.iter().filter(|known| match policy {
            Some(name) => *known.name == *name,
            None => everywhere || known.name == database.default_policy,
        });
        for table in policies.flat_map(|policy| policy.tables.values()).filter(|table| is_meant(&table.name)) {
            if !found.iter().any(|known| known.id == table.id) {
                found.push(table.clone());
            }
        }
    };
    if from.is_empty() {
        add(None, &|_| true);
    }
    for measurement in from {
        if let Some(policy) = &measurement.policy
            && database.policy(policy).is_none()
        {
            return Err(BindError::PolicyUnknown(policy.clone()));
        }
        add(measurement.policy.as_deref(), &|name| measurement.names(name));
    }
    found.sort_by(|one, other| (&one.name, one.id).cmp(&(&other.name, other.id)));
    Ok(found)
}

/// What the shards have of tables, those left out that have no series. Tables come by name.
pub(super) async fn read(
    context: &RequestContext<'_>,
    tables: Vec<Arc<TableSchema>>,
    condition: Option<&Expr>,
    part: SchemaPart,
    no_time: Option<&'static str>,
) -> Result<Vec<(Arc<TableSchema>, SchemaFound)>, Fault> {
    let mut wanted = Vec::with_capacity(tables.len());
    for table in tables {
        let selection = schema_selection(condition, &table, context.now_ns)?;
        if let (Some(statement), Some(_)) = (no_time, selection.times_ns) {
            return Err(BindError::TimeInShow(statement).into());
        }
        let times = selection.times_ns.map(|times_ns| whole_partitions(&table, times_ns));
        wanted.push(SeriesOfTable { table, series: selection.series, times });
    }
    let wanted: Arc<[SeriesOfTable]> = wanted.into();
    let found = schema(context.core, ReadSchema { tables: wanted.clone(), part }).await.map_err(ExecError::from)?;
    let tables = wanted.iter().map(|wanted| wanted.table.clone());
    Ok(tables.zip(found).filter(|(_, found)| found.count > 0).collect())
}

/// The partitions of a table that times lie in, as times in its unit.
fn whole_partitions(table: &TableSchema, (min_ns, max_ns): (i64, i64)) -> (i64, i64) {
    let (unit, length) = (table.time_unit.nanoseconds(), table.partition_length.max(1));
    let partition = |ns: i64| ns.div_euclid(unit).div_euclid(length);
    let last = partition(max_ns).saturating_add(1).saturating_mul(length).saturating_sub(1);
    (partition(min_ns).saturating_mul(length), last)
}

/// Answers SHOW.
pub(super) async fn show(
    context: &RequestContext<'_>,
    show: &ShowSchema,
    scope: &Scope,
    answer: &mut Answer<'_>,
) -> Result<(), Fault> {
    let database = show.from.iter().find_map(|from| from.database.as_deref()).or(show.database.as_deref());
    let name = database.unwrap_or(&scope.database);
    if name.is_empty() {
        return Err(Fault::DatabaseUnnamed);
    }
    let catalog = context.core.catalog();
    let Some(database) = catalog.databases.get(name) else {
        return match show.kind {
            ShowKind::Measurements => Ok(()),
            _ => Err(Fault::DatabaseUnknown(name.to_owned())),
        };
    };
    let condition = show.condition.as_ref();
    // With a condition on time only the default policy is looked at, as in InfluxDB.
    let is_timed = condition.is_some_and(speaks_of_time);
    let all = |everywhere: bool| tables(database, &show.from, everywhere && !is_timed);
    match &show.kind {
        ShowKind::Measurements => {
            let found = read(context, all(true)?, condition, SchemaPart::Count, Some("SHOW MEASUREMENTS")).await?;
            let names: BTreeSet<&str> = found.iter().map(|(table, _)| &*table.name).collect();
            let rows: Vec<_> = page(names, show.limit, show.offset).map(|name| vec![Value::Text(name)]).collect();
            if rows.is_empty() { Ok(()) } else { answer.whole_series("measurements", &["name"], rows) }
        }
        ShowKind::Series => {
            let found = read(context, all(true)?, condition, SchemaPart::Series, None).await?;
            let mut keys = BTreeSet::new();
            for (table, found) in &found {
                keys.extend(found.series.iter().map(|series| series_key(table, series)));
            }
            let rows: Vec<_> = page(&keys, show.limit, show.offset).map(|key| vec![Value::Text(key)]).collect();
            if rows.is_empty() { Ok(()) } else { answer.whole_series("", &["key"], rows) }
        }
        ShowKind::TagKeys => {
            let found = read(context, all(true)?, condition, SchemaPart::TagKeys, None).await?;
            for (name, keys) in by_name(&found, tag_keys) {
                let rows: Vec<_> = page(&keys, show.limit, show.offset).map(|key| vec![Value::Text(key)]).collect();
                if !rows.is_empty() {
                    answer.whole_series(name, &["tagKey"], rows)?;
                }
            }
            Ok(())
        }
        ShowKind::TagValues(keys) => {
            let tables = all(true)?;
            let part = SchemaPart::TagValues(tag_names(&tables, keys));
            let found = read(context, tables, condition, part, None).await?;
            for (name, values) in by_name(&found, tag_values) {
                let rows: Vec<_> = page(&values, show.limit, show.offset)
                    .map(|(key, value)| vec![Value::Text(key), Value::Text(value)])
                    .collect();
                if !rows.is_empty() {
                    answer.whole_series(name, &["key", "value"], rows)?;
                }
            }
            Ok(())
        }
        ShowKind::FieldKeys => {
            let found = read(context, all(false)?, None, SchemaPart::Count, None).await?;
            for (name, keys) in by_name(&found, |table, _| field_keys(table)) {
                let rows: Vec<_> = page(&keys, show.limit, show.offset)
                    .map(|(key, kind)| vec![Value::Text(key), Value::Text(kind)])
                    .collect();
                if !rows.is_empty() {
                    answer.whole_series(name, &["fieldKey", "fieldType"], rows)?;
                }
            }
            Ok(())
        }
    }
}

/// What tables of one name have together.
pub(super) fn by_name<'a, T: Ord>(
    found: &'a [(Arc<TableSchema>, SchemaFound)],
    of: impl Fn(&'a TableSchema, &'a SchemaFound) -> Vec<T>,
) -> BTreeMap<&'a str, BTreeSet<T>> {
    let mut names: BTreeMap<&str, BTreeSet<T>> = BTreeMap::new();
    for (table, found) in found {
        names.entry(&table.name).or_default().extend(of(table, found));
    }
    names
}

pub(super) fn tag_name(table: &TableSchema, tag: ColumnId) -> Option<&str> {
    table.column_by_id(tag).map(|column| &*column.name)
}

pub(super) fn tag_keys<'a>(table: &'a TableSchema, found: &'a SchemaFound) -> Vec<&'a str> {
    found.keys.iter().filter_map(|tag| tag_name(table, *tag)).collect()
}

pub(super) fn tag_values<'a>(table: &'a TableSchema, found: &'a SchemaFound) -> Vec<(&'a str, &'a str)> {
    let of_tag = |(tag, values): (&ColumnId, &'a BTreeSet<Box<str>>)| {
        let name = tag_name(table, *tag);
        values.iter().filter_map(move |value| Some((name?, &**value)))
    };
    found.values.iter().flat_map(of_tag).collect()
}

pub(super) fn field_keys(table: &TableSchema) -> Vec<(&str, &'static str)> {
    let of_column = |column: &tidewire_storage::schema::ColumnSchema| match column.kind {
        ColumnKind::Tag => None,
        ColumnKind::Field(kind) => Some(type_name(kind)),
    };
    table.columns.iter().filter_map(|column| Some((&*column.name, of_column(column)?))).collect()
}

/// InfluxQL's name of a type.
fn type_name(kind: FieldType) -> &'static str {
    match kind {
        FieldType::Int => "integer",
        FieldType::UInt => "unsigned",
        FieldType::Float => "float",
        FieldType::Bool => "boolean",
        FieldType::String => "string",
    }
}

/// Names of tags that `keys` means.
pub(super) fn tag_names(tables: &[Arc<TableSchema>], keys: &TagKeys) -> Arc<[Arc<str>]> {
    let columns = tables.iter().flat_map(|table| &table.columns);
    let tags = columns.filter(|column| column.kind == ColumnKind::Tag && keys.names(&column.name));
    tags.map(|column| column.name.clone()).collect::<BTreeSet<_>>().into_iter().collect()
}

/// A series as line protocol writes it, tags by name.
fn series_key(table: &TableSchema, tags: &[(ColumnId, Box<str>)]) -> String {
    let escape = |key: &mut String, text: &str, special: &[char]| {
        for c in text.chars() {
            if special.contains(&c) {
                key.push('\\');
            }
            key.push(c);
        }
    };
    let mut named: Vec<(&str, &str)> =
        tags.iter().filter_map(|(tag, value)| Some((tag_name(table, *tag)?, &**value))).collect();
    named.sort_unstable();
    let mut key = String::new();
    escape(&mut key, &table.name, &[',', ' ']);
    for (name, value) in named {
        key.push(',');
        escape(&mut key, name, &[',', ' ', '=']);
        key.push('=');
        escape(&mut key, value, &[',', ' ', '=']);
    }
    key
}
