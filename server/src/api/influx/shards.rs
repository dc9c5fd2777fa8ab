//! SHOW SHARDS, SHOW SHARD GROUPS and DROP SHARD.
//!
//! What InfluxDB calls a shard is here all that the measurements of one retention policy have in one partition of time,
//! on every core. Such a shard has no number that is kept anywhere; it is made of what the shard is, so that it is the
//! same on every start and no two have one. A policy whose SHARD DURATION was changed has shards of both lengths.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::TimeUnit;
use tidewire_protocol::encode::influx::Value;
use tidewire_sql::exec::ExecError;
use tidewire_sql::types::timestamp::format_timestamp;
use tidewire_sql::{Deletion, SeriesFilter};
use tidewire_storage::schema::{DEFAULT_TENANT, Database, RetentionPolicy, TableSchema};
use xxhash_rust::xxh3::xxh3_64;

use super::answer::Answer;
use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::core::message::{ReadSchema, SchemaPart, SeriesOfTable};
use crate::query::delete::delete;
use crate::query::schema::schema;

/// Numbers have as many bits as JavaScript's clients can tell apart, and some less.
const ID_BITS: u32 = 48;

const SECOND_NS: i128 = 1_000_000_000;

/// The partitions of one time that a policy's measurements have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    policy: Arc<str>,
    start_ns: i128,
    length_ns: i128,
}

impl Place {
    fn of(policy: &RetentionPolicy, table: &TableSchema, start: i64) -> Self {
        let unit_ns = i128::from(table.time_unit.nanoseconds());
        let (start_ns, length_ns) = (i128::from(start) * unit_ns, i128::from(table.partition_length) * unit_ns);
        Self { policy: policy.name.clone(), start_ns, length_ns }
    }

    fn id(&self, database: &str) -> u64 {
        let mut text = Vec::new();
        for name in [database, &self.policy] {
            text.extend_from_slice(name.as_bytes());
            text.push(0);
        }
        text.extend_from_slice(&self.start_ns.to_le_bytes());
        text.extend_from_slice(&self.length_ns.to_le_bytes());
        xxh3_64(&text) >> (u64::BITS - ID_BITS)
    }

    fn end_ns(&self) -> i128 {
        self.start_ns + self.length_ns
    }
}

/// The tables of each place of a database, and the first time of the place in the table's unit.
type Places = BTreeMap<Place, Vec<(Arc<TableSchema>, i64)>>;

async fn places(context: &RequestContext<'_>, database: &Database) -> Result<Places, Fault> {
    let tables: Vec<(&RetentionPolicy, &Arc<TableSchema>)> =
        database.policies.iter().flat_map(|policy| policy.tables.values().map(move |table| (policy, table))).collect();
    let of_table = |(_, table): &(_, &Arc<TableSchema>)| SeriesOfTable {
        table: Arc::clone(table),
        series: SeriesFilter::All,
        times: None,
    };
    let question = ReadSchema { tables: tables.iter().map(of_table).collect(), part: SchemaPart::Partitions };
    let found = schema(context.core, question).await.map_err(ExecError::from)?;
    let mut places = Places::new();
    for ((policy, table), found) in tables.into_iter().zip(found) {
        for start in found.partitions {
            places.entry(Place::of(policy, table, start)).or_default().push((table.clone(), start));
        }
    }
    Ok(places)
}

/// A time as InfluxDB shows it here: whole seconds. What lies beyond the years that there are is at their end.
fn shown(ns: i128) -> String {
    let (first, last) = tidewire_storage::schema::TimeUnit::Millisecond.times();
    let seconds = ns.div_euclid(SECOND_NS).clamp(i128::from(first / 1_000), i128::from(last / 1_000));
    format!("{}Z", format_timestamp(seconds as i64, TimeUnit::Second))
}

/// Number, policy, start, end and expiry of a place.
fn row(database: &Database, place: &Place) -> (u64, Arc<str>, [String; 3]) {
    let ttl_ns = database.policy(&place.policy).and_then(|policy| policy.ttl_ns).unwrap_or(0);
    let times = [place.start_ns, place.end_ns(), place.end_ns() + i128::from(ttl_ns)].map(shown);
    (place.id(&database.name), place.policy.clone(), times)
}

/// Lists the shards, a series for each database.
pub(super) async fn show(context: &RequestContext<'_>, answer: &mut Answer<'_>) -> Result<(), Fault> {
    const COLUMNS: [&str; 8] =
        ["id", "database", "retention_policy", "shard_group", "start_time", "end_time", "expiry_time", "owners"];
    let catalog = context.core.catalog();
    for database in catalog.databases_of(DEFAULT_TENANT) {
        let places = places(context, database).await?;
        let rows: Vec<_> = places.keys().map(|place| row(database, place)).collect();
        let rows = rows.iter().map(|(id, policy, [start, end, expiry])| {
            let [start, end, expiry] = [start, end, expiry].map(|time| Value::Text(time));
            let (name, policy) = (Value::Text(&database.name), Value::Text(policy));
            vec![Value::UInt(*id), name, policy, Value::UInt(*id), start, end, expiry, Value::Text("")]
        });
        answer.whole_series(&database.name, &COLUMNS, rows)?;
    }
    Ok(())
}

/// Lists the groups of shards: each has one, with its number.
pub(super) async fn show_groups(context: &RequestContext<'_>, answer: &mut Answer<'_>) -> Result<(), Fault> {
    const COLUMNS: [&str; 6] = ["id", "database", "retention_policy", "start_time", "end_time", "expiry_time"];
    let catalog = context.core.catalog();
    let mut all = Vec::new();
    for database in catalog.databases_of(DEFAULT_TENANT) {
        let places = places(context, database).await?;
        all.extend(places.keys().map(|place| (database.name.clone(), row(database, place))));
    }
    let rows = all.iter().map(|(database, (id, policy, [start, end, expiry]))| {
        let [start, end, expiry] = [start, end, expiry].map(|time| Value::Text(time));
        vec![Value::UInt(*id), Value::Text(database), Value::Text(policy), start, end, expiry]
    });
    answer.whole_series("shard groups", &COLUMNS, rows)
}

/// Deletes the rows of a shard. There need not be one of that number.
pub(super) async fn drop_shard(context: &RequestContext<'_>, id: u64) -> Result<(), Fault> {
    let catalog = context.core.catalog();
    let mut meant = Vec::new();
    for database in catalog.databases_of(DEFAULT_TENANT) {
        let places = places(context, database).await?;
        meant.extend(places.into_iter().filter(|(place, _)| place.id(&database.name) == id));
    }
    if meant.len() > 1 {
        let reason = format!("{} shards have the number {id}: delete by time", meant.len());
        return Err(Fault::Refused { status: 400, reason });
    }
    let mut done = Vec::new();
    for (table, start) in meant.into_iter().flat_map(|(_, tables)| tables) {
        let name = table.name.to_string();
        let last = start.saturating_add(table.partition_length - 1);
        let deletion = Deletion { table, series: SeriesFilter::All, times: vec![(start, last)] };
        if let Err(error) = delete(context.core, deletion).await {
            return Err(error.after(done).into());
        }
        done.push(name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(policy: &str, start_ns: i128, length_ns: i128) -> Place {
        Place { policy: policy.into(), start_ns, length_ns }
    }

    #[test]
    fn the_number_of_a_shard_never_changes_and_is_its_own() {
        let day = 86_400 * SECOND_NS;
        let one = place("autogen", 0, day);
        assert_eq!(one.id("db"), 21_001_970_623_837);
        let others = [place("autogen", day, day), place("autogen", 0, day * 7), place("weekly", 0, day)];
        let ids: std::collections::BTreeSet<u64> =
            others.iter().map(|place| place.id("db")).chain([one.id("db"), one.id("d")]).collect();
        assert_eq!(ids.len(), 5);
        assert!(ids.iter().all(|id| *id < 1 << ID_BITS));
    }

    #[test]
    fn times_are_shown_in_whole_seconds() {
        assert_eq!(shown(0), "1970-01-01T00:00:00Z");
        assert_eq!(shown(946_684_800 * SECOND_NS), "2000-01-01T00:00:00Z");
        assert_eq!(shown(i128::from(i64::MAX) * 1_000_000_000), "9999-12-31T23:59:59Z");
    }
}
