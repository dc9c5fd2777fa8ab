//! SHOW … CARDINALITY: how many series, measurements, keys and values there are, from the catalog and the indexes; with
//! GROUP BY, for each combination of values of its tags.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidewire_protocol::encode::influx::Value;
use tidewire_sql::exec::ExecError;
use tidewire_sql::influxql::{BindError, Cardinality, Counted, Expr, TagKeys};
use tidewire_storage::schema::{TableId, TableSchema};

use super::answer::Answer;
use super::schema::{by_name, field_keys, page, read, tables, tag_keys, tag_name, tag_names, tag_values};
use super::scope::Scope;
use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::core::message::{SchemaFound, SchemaPart};
use crate::query::cardinality::cardinality;

/// So few series are counted: beside a list of them an estimate would be seen to be wrong.
const FEW_SERIES: u64 = 1_000;

/// Answers SHOW … CARDINALITY.
pub(super) async fn count(
    context: &RequestContext<'_>,
    wanted: &Cardinality,
    scope: &Scope,
    answer: &mut Answer<'_>,
) -> Result<(), Fault> {
    let name = wanted.database.as_deref().unwrap_or(&scope.database);
    if name.is_empty() {
        return Err(Fault::DatabaseUnnamed);
    }
    let catalog = context.core.catalog();
    let known = catalog.databases.get(name);
    let is_estimate = matches!(wanted.of, Counted::Series | Counted::Measurements)
        && !wanted.exact
        && wanted.from.is_empty()
        && wanted.condition.is_none()
        && wanted.dimensions.is_empty();
    if is_estimate {
        // Estimates of a database that is not there are 0, and they are of all retention policies, as InfluxDB's are.
        let tables: Vec<_> = known.iter().flat_map(|known| known.all_tables().cloned()).collect();
        let count = match wanted.of {
            Counted::Measurements => {
                let found = read(context, tables, None, SchemaPart::Count, None).await?;
                found.iter().map(|(table, _)| &table.name).collect::<BTreeSet<_>>().len() as u64
            }
            _ => {
                let ids: Arc<[TableId]> = tables.iter().map(|table| table.id).collect();
                let found = cardinality(context.core, ids).await.map_err(ExecError::from)?;
                match found.by_table.iter().sum() {
                    few @ ..=FEW_SERIES => few,
                    _ => found.sketch.estimate(),
                }
            }
        };
        return answer.whole_series("", &["cardinality estimation"], [vec![Value::UInt(count)]]);
    }
    let Some(database) = known else { return Err(Fault::DatabaseUnknown(name.to_owned())) };
    let tables = tables(database, &wanted.from, false)?;
    let (part, statement) = match wanted.of {
        Counted::Series => (SchemaPart::Count, "SHOW SERIES EXACT CARDINALITY"),
        Counted::Measurements => (SchemaPart::Count, "SHOW MEASUREMENT EXACT CARDINALITY"),
        Counted::TagKeys => (SchemaPart::TagKeys, "SHOW TAG KEY EXACT CARDINALITY"),
        Counted::FieldKeys => (SchemaPart::Count, "SHOW FIELD KEY EXACT CARDINALITY"),
        Counted::TagValues => {
            let none = TagKeys::In(Vec::new());
            let keys = wanted.keys.as_ref().unwrap_or(&none);
            (SchemaPart::TagValues(tag_names(&tables, keys)), "SHOW TAG VALUES EXACT CARDINALITY")
        }
    };
    if !wanted.dimensions.is_empty() {
        let found = read(context, tables, wanted.condition.as_ref(), SchemaPart::Series, Some(statement)).await?;
        return grouped(wanted, &found, answer);
    }
    let found = read(context, tables, wanted.condition.as_ref(), part, Some(statement)).await?;
    let counts: Vec<(&str, u64)> = match wanted.of {
        Counted::Measurements => match by_name(&found, |_, _| vec![()]).len() as u64 {
            0 => Vec::new(),
            count => vec![("", count)],
        },
        Counted::Series => found.iter().map(|(table, found)| (&*table.name, found.count)).collect(),
        Counted::TagKeys => sizes(by_name(&found, tag_keys)),
        Counted::TagValues => sizes(by_name(&found, tag_values)),
        Counted::FieldKeys => sizes(by_name(&found, |table, _| field_keys(table))),
    };
    for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        let rows: Vec<_> = page([vec![Value::UInt(count)]], wanted.limit, wanted.offset).collect();
        if !rows.is_empty() {
            answer.whole_series(name, &["count"], rows)?;
        }
    }
    Ok(())
}

fn sizes<T>(by_name: BTreeMap<&str, BTreeSet<T>>) -> Vec<(&str, u64)> {
    by_name.into_iter().map(|(name, of)| (name, of.len() as u64)).collect()
}

/// What is counted in one group.
#[derive(Default)]
struct Group<'a> {
    series: u64,
    /// Different keys, values or names.
    different: BTreeSet<(&'a str, &'a str)>,
}

/// Answers it with GROUP BY.
fn grouped(
    wanted: &Cardinality,
    found: &[(Arc<TableSchema>, SchemaFound)],
    answer: &mut Answer<'_>,
) -> Result<(), Fault> {
    let dimensions = dimensions(&wanted.dimensions, found)?;
    let none = TagKeys::In(Vec::new());
    let keys = wanted.keys.as_ref().unwrap_or(&none);
    let mut groups: BTreeMap<(&str, Vec<&str>), Group<'_>> = BTreeMap::new();
    for (table, found) in found {
        for series in &found.series {
            let tags: BTreeMap<&str, &str> =
                series.iter().filter_map(|(tag, value)| Some((tag_name(table, *tag)?, &**value))).collect();
            let values = dimensions.iter().map(|tag| tags.get(tag.as_str()).copied().unwrap_or_default()).collect();
            let name = if wanted.of == Counted::Measurements { "" } else { &*table.name };
            let group = groups.entry((name, values)).or_default();
            group.series += 1;
            match wanted.of {
                Counted::Series => {}
                Counted::Measurements => {
                    group.different.insert((&table.name, ""));
                }
                Counted::TagKeys => group.different.extend(tags.keys().map(|key| (*key, ""))),
                Counted::TagValues => group.different.extend(tags.into_iter().filter(|(key, _)| keys.names(key))),
                Counted::FieldKeys => group.different.extend(field_keys(table).iter().map(|(key, _)| (*key, ""))),
            }
        }
    }
    for ((name, values), group) in groups {
        let count = if wanted.of == Counted::Series { group.series } else { group.different.len() as u64 };
        let rows: Vec<_> = page([vec![Value::UInt(count)]], wanted.limit, wanted.offset).collect();
        if count > 0 && !rows.is_empty() {
            let tags: Vec<(&str, &str)> = dimensions.iter().map(String::as_str).zip(values).collect();
            answer.whole_series_of(name, &tags, &["count"], rows)?;
        }
    }
    Ok(())
}

/// The tags of GROUP BY, by name.
fn dimensions(wanted: &[Expr], found: &[(Arc<TableSchema>, SchemaFound)]) -> Result<BTreeSet<String>, BindError> {
    let mut names = BTreeSet::new();
    for dimension in wanted {
        let all = || by_name(found, |table, found| tag_names_of(table, found)).into_values().flatten();
        match dimension.bare() {
            Expr::Name { name, .. } => {
                names.insert(name.clone());
            }
            Expr::Wildcard(_) => names.extend(all().map(str::to_owned)),
            Expr::Regex(regex) => names.extend(all().filter(|name| regex.matches.is_match(name)).map(str::to_owned)),
            _ => return Err(BindError::Select("only time and tag dimensions allowed".to_owned())),
        }
    }
    Ok(names)
}

fn tag_names_of<'a>(table: &'a TableSchema, found: &'a SchemaFound) -> Vec<&'a str> {
    found.series.iter().flat_map(|series| series.iter().filter_map(|(tag, _)| tag_name(table, *tag))).collect()
}
