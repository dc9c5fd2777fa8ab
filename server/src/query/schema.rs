//! What series tables have, answered from the shards' indexes without a look at rows.
//!
//! A filter on tags chooses series. A filter on time chooses shards of data, as InfluxDB's does: a shard whose rows of
//! the table overlap the times counts with all its series.

use std::rc::Rc;

use tidewire_sql::exec::{ExecError, selected_series};
use tidewire_storage::Error;
use tidewire_storage::engine::SeriesSelection;
use tidewire_storage::schema::{ColumnId, SeriesId, TableSchema};
use tidewire_storage::series::NO_TAG;

use crate::core::message::{ReadSchema, SchemaFound, SchemaPart, SeriesOfTable};
use crate::core::shards::{CoreShard, Shards};
use crate::core::state::CoreState;
use crate::ring::yield_if_needed;

/// Series that are looked at before others get the core: some 100 µs.
const SERIES_STEP: usize = 2_048;

/// What is found in all shards, for each table. An error when a shard is offline, for then nobody knows.
pub async fn schema(core: &CoreState, question: ReadSchema) -> Result<Vec<SchemaFound>, Error> {
    core.offline.check_all()?;
    let mut all: Vec<SchemaFound> = question.tables.iter().map(|_| SchemaFound::default()).collect();
    for of_core in core.peers.ask_all(question).await {
        for (found, more) in all.iter_mut().zip(of_core) {
            found.count += more.count;
            found.keys.extend(more.keys);
            for (key, values) in more.values {
                found.values.entry(key).or_default().extend(values);
            }
            found.series.extend(more.series);
            found.partitions.extend(more.partitions);
        }
    }
    Ok(all)
}

/// What is found in the shards of this core.
pub(crate) async fn read(shards: &Shards, ReadSchema { tables, part }: &ReadSchema) -> Vec<SchemaFound> {
    let mut all = Vec::with_capacity(tables.len());
    for wanted in &**tables {
        let mut found = SchemaFound::default();
        for (_, shard) in shards.iter() {
            // A filter over tags does not fail: it was bound to the table.
            if read_shard(shard, wanted, part, &mut found).await.is_err() {
                break;
            }
        }
        all.push(found);
    }
    all
}

async fn read_shard(
    shard: &Rc<CoreShard>,
    SeriesOfTable { table, series, times }: &SeriesOfTable,
    part: &SchemaPart,
    found: &mut SchemaFound,
) -> Result<(), ExecError> {
    if let SchemaPart::Partitions = part {
        found.partitions.extend(shard.partitions(table.id));
        return Ok(());
    }
    if let Some((first, last)) = times
        && !shard.time_bounds(table.id).is_some_and(|(min, max)| min <= *last && max >= *first)
    {
        return Ok(());
    }
    let selection = selected_series(series, shard, table)?;
    let live: Vec<SeriesId> = {
        let Some(index) = shard.series(table.id) else { return Ok(()) };
        match &selection {
            SeriesSelection::All => index.live().collect(),
            SeriesSelection::Of(of) => index.live().filter(|id| of.contains(id.0)).collect(),
        }
    };
    found.count += live.len() as u64;
    if let SchemaPart::Count = part {
        return Ok(());
    }
    let tags: Vec<ColumnId> = {
        let Some(index) = shard.series(table.id) else { return Ok(()) };
        let is_wanted = |column: &ColumnId| match part {
            SchemaPart::TagValues(names) => {
                table.column_by_id(*column).is_some_and(|column| names.contains(&column.name))
            }
            _ => true,
        };
        index.tags().filter(is_wanted).collect()
    };
    for step in live.chunks(SERIES_STEP) {
        if !read_step(shard, table, step, &tags, part, found) {
            return Ok(());
        }
        yield_if_needed().await;
    }
    Ok(())
}

/// Some series of a shard; false where it has none any more.
fn read_step(
    shard: &CoreShard,
    table: &TableSchema,
    step: &[SeriesId],
    tags: &[ColumnId],
    part: &SchemaPart,
    found: &mut SchemaFound,
) -> bool {
    let Some(index) = shard.series(table.id) else { return false };
    if let SchemaPart::Series = part {
        found.series.extend(step.iter().map(|id| index.key(*id).map(|(tag, value)| (tag, value.into())).collect()));
        return true;
    }
    for &tag in tags {
        let codes = index.codes(tag);
        let of_series = step.iter().filter_map(|id| codes.get(id.0 as usize).copied());
        let mut of_step: Vec<u32> = of_series.filter(|&code| code != NO_TAG).collect();
        of_step.sort_unstable();
        of_step.dedup();
        if of_step.is_empty() {
            continue;
        }
        found.keys.insert(tag);
        if let SchemaPart::TagValues(_) = part {
            let values = found.values.entry(tag).or_default();
            for code in of_step {
                let value = index.value(tag, code);
                if !values.contains(value) {
                    values.insert(value.into());
                }
            }
        }
    }
    true
}
