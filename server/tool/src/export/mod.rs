//! `tidewire export`: the rows of a data folder that no server uses, or of a backup, as files that others read.
//!
//! Nothing is written into the folder ([`super::source`]). Rows come table by table, shard by shard, partition by
//! partition; memory is that of the open shards and of what one step holds.

mod lp;
mod parquet;
mod readable;
mod text;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use futures_lite::future::block_on;
use tidewire_sql::types::timestamp::parse_timestamp;
use tidewire_storage::schema::{Database, TableSchema, TimeUnit, database_key, database_name, tenant_and_database};

use super::folder;
use super::progress::{Progress, Unit, say};
use super::source::{ReadShard, Region, Source};
use tidewire_base::cli::{ExportArguments, ExportFormat};

/// How an export has ended that has not failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exported {
    /// All that could be is in the files.
    Whole,
    /// What damage keeps from being read is not, as it was asked for.
    Partly,
}

/// Runs the tool.
pub fn run(arguments: &ExportArguments) -> Result<Exported, String> {
    let root = folder::root(&arguments.folder)?;
    block_on(export(&root, arguments))
}

async fn export(root: &Path, arguments: &ExportArguments) -> Result<Exported, String> {
    let times = Times::new(arguments.from.as_deref(), arguments.to.as_deref())?;
    let mut left_out = LeftOut::default();
    let source = match arguments.skip_unreadable {
        true => Source::open_readable(root, &mut left_out.unreadable).await?,
        false => Source::open(root).await?,
    };
    let chosen = choose(&source, arguments)?;
    say_of_others(&source, &arguments.tenant);
    let progress = Progress::new("exporting", Unit::Count("rows"), source.rows());
    match arguments.format {
        ExportFormat::Lp => lp::export(&source, &chosen, &times, arguments, &progress, &mut left_out).await?,
        ExportFormat::Parquet => parquet::export(&source, &chosen, &times, arguments, &progress, &mut left_out).await?,
    }
    progress.finish();
    left_out.say();
    Ok(if left_out.unreadable.is_empty() { Exported::Whole } else { Exported::Partly })
}

/// The regions of a table between two times that are to be read from a shard: all of it, or without what is damaged.
async fn regions(
    shard: &ReadShard,
    table: &TableSchema,
    (min, max): (i64, i64),
    arguments: &ExportArguments,
    left_out: &mut LeftOut,
) -> Result<Vec<Region>, String> {
    match arguments.skip_unreadable {
        true => readable::regions(shard, table, (min, max), &mut left_out.unreadable).await,
        false => Ok(vec![Region { series: None, min, max }]),
    }
}

/// A table to be exported, with its database and retention policy.
struct Chosen {
    database: Arc<Database>,
    policy: Arc<str>,
    table: Arc<TableSchema>,
}

impl Chosen {
    /// Names of database and policy.
    fn place(&self) -> (&str, &str) {
        (&self.database.name, &self.policy)
    }

    fn is_in_default_policy(&self) -> bool {
        self.policy == self.database.default_policy
    }
}

/// What the format has no words for, or damage keeps from being read.
#[derive(Debug, Default)]
struct LeftOut {
    /// What cannot be read, each as a sentence.
    unreadable: Vec<String>,
    /// Floats that are no finite number.
    not_finite: u64,
    /// Rows without a value.
    empty_rows: u64,
}

impl LeftOut {
    fn say(&self) {
        for what in &self.unreadable {
            say(&format!("left out, cannot be read: {what}"));
        }
        if self.not_finite > 0 {
            say(&format!("left out: {} values that are not finite, which line protocol cannot say", self.not_finite));
        }
        if self.empty_rows > 0 {
            say(&format!("left out: {} rows without values, which line protocol cannot say", self.empty_rows));
        }
    }
}

/// Says of what tenants there are rows that are not asked for.
fn say_of_others(source: &Source, tenant: &str) {
    let others = source.catalog.databases.keys().map(|key| tenant_and_database(key).0);
    let others: BTreeSet<&str> = others.filter(|other| *other != tenant).collect();
    if !others.is_empty() {
        let others = others.into_iter().collect::<Vec<_>>().join(", ");
        say(&format!("not exported: databases of other tenants ({others}); --tenant names one"));
    }
}

fn choose(source: &Source, arguments: &ExportArguments) -> Result<Vec<Chosen>, String> {
    let (tenant, table) = (&arguments.tenant, arguments.table.as_deref());
    // What is written is to be read back into any tenant: names are those that this one knows.
    let own = |database: &Arc<Database>| match database_name(&database.name) {
        name if *name == *database.name => database.clone(),
        name => Arc::new(Database { name: name.into(), ..Database::clone(database) }),
    };
    let databases: Vec<_> = match arguments.database.as_deref() {
        None => source.catalog.databases_of(tenant).map(own).collect(),
        Some(name) => {
            let found = source.catalog.databases.get(&database_key(tenant, name)).map(own);
            vec![found.ok_or_else(|| format!("there is no database {name:?} of tenant {tenant:?} in the folder"))?]
        }
    };
    let mut chosen = Vec::new();
    for database in databases {
        for policy in &database.policies {
            let tables = policy.tables.values().filter(|known| table.is_none_or(|name| *known.name == *name));
            chosen.extend(tables.map(|table| Chosen {
                database: database.clone(),
                policy: policy.name.clone(),
                table: table.clone(),
            }));
        }
    }
    match (chosen.is_empty(), table) {
        (true, Some(table)) => Err(format!("there is no table {table:?} in what is to be exported")),
        _ => Ok(chosen),
    }
}

/// Nanoseconds since the epoch, the second excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times {
    from_ns: Option<i128>,
    to_ns: Option<i128>,
}

impl Times {
    fn new(from: Option<&str>, to: Option<&str>) -> Result<Self, String> {
        let parse = |text: Option<&str>| {
            text.map(|text| text.parse().or_else(|_| parse_timestamp(text).map_err(|error| error.to_string())))
                .transpose()
        };
        let times = Self { from_ns: parse(from)?, to_ns: parse(to)? };
        match times {
            Self { from_ns: Some(from), to_ns: Some(to) } if from >= to => Err("--from is not before --to".to_owned()),
            _ => Ok(times),
        }
    }

    /// First and last time in a unit; `None` where there is none between.
    fn within(&self, unit: TimeUnit) -> Option<(i64, i64)> {
        let nanoseconds = i128::from(unit.nanoseconds());
        let ceil = |ns: i128| (ns + nanoseconds - 1).div_euclid(nanoseconds);
        let min = self.from_ns.map_or(i128::from(i64::MIN), ceil).max(i128::from(i64::MIN));
        let max = self.to_ns.map_or(i128::from(i64::MAX), |ns| ceil(ns) - 1).min(i128::from(i64::MAX));
        (min <= max).then_some(())?;
        Some((i64::try_from(min).ok()?, i64::try_from(max).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_cut_to_the_unit_of_the_table() {
        let within = |from, to, unit| Times::new(from, to).unwrap().within(unit);
        assert_eq!(within(None, None, TimeUnit::Nanosecond), Some((i64::MIN, i64::MAX)));
        let day = "1970-01-02";
        assert_eq!(within(Some(day), None, TimeUnit::Millisecond), Some((86_400_000, i64::MAX)));
        assert_eq!(within(Some("1"), Some("2000001"), TimeUnit::Millisecond), Some((1, 2)));
        assert_eq!(within(Some("1"), Some("1000000"), TimeUnit::Millisecond), None);
        assert_eq!(within(Some("-1"), Some("1970-01-01T00:00:00.000000005Z"), TimeUnit::Nanosecond), Some((-1, 4)));
        assert!(Times::new(Some("5"), Some("5")).is_err());
        assert!(Times::new(Some("yesterday"), None).is_err());
    }
}
