//! Who reads: all tables that a core knows, in some shards, as they are at one moment.

use std::rc::Rc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef};
use tidewire_storage::disk::sim::SimDisk;
use tidewire_storage::engine::{Shard, Snapshot};
use tidewire_storage::scan::ScanRequest;
use tidewire_storage::schema::{Catalog, ColumnKind, FieldType, TableSchema};

use super::model::{Found, Place};
use super::world::World;

/// Reads again and again, by plans that may be older than what is read.
pub(super) async fn read(world: Rc<World<'_>>) {
    loop {
        world.pause(80).await;
        let core = world.random.borrow_mut().usize(0..world.cores.len());
        let planned = world.cores[core].catalog();
        world.pause(20).await;
        let number = world.random.borrow_mut().usize(0..world.shards.len());
        let shard = &world.shards[number];
        let mut is_whole = true;
        let mut tables = Vec::new();
        for (place, table) in tables_of(&planned) {
            if shard.has_ended(table.id) {
                // The query fails.
                is_whole = false;
                world.tally.borrow_mut().reads_of_dropped += 1;
                continue;
            }
            if let Some(snapshot) = shard.snapshot(table.id, i64::MIN, i64::MAX) {
                tables.push((place, table, names(shard, table), snapshot));
            }
        }
        // What the plan does not know it does not find.
        is_whole &= planned.version == world.owner.current().version;
        let seen_at = world.model.borrow_mut().tick();
        let mut found = Vec::new();
        for (place, table, names, snapshot) in tables {
            match rows(number as u32, &place, table, &names, &snapshot).await {
                Ok(mut rows) => found.append(&mut rows),
                Err(tidewire_storage::Error::SnapshotGone { .. }) => is_whole = false,
                Err(error) => {
                    world.excuse(&error);
                    is_whole = false;
                }
            }
        }
        let shards = [number as u32];
        world.model.borrow().check(&found, if is_whole { &shards } else { &[] }, seen_at);
        let mut tally = world.tally.borrow_mut();
        tally.reads += 1;
        tally.whole_reads += u64::from(is_whole);
        tally.values_seen += found.len() as u64;
    }
}

/// All there is, at one moment.
pub(super) async fn everything(catalog: &Catalog, shards: &[Rc<Shard<SimDisk>>]) -> Vec<Found> {
    let mut found = Vec::new();
    for (number, shard) in shards.iter().enumerate() {
        for (place, table) in tables_of(catalog) {
            let Some(snapshot) = shard.snapshot(table.id, i64::MIN, i64::MAX) else { continue };
            found.append(&mut rows(number as u32, &place, table, &names(shard, table), &snapshot).await.unwrap());
        }
    }
    found
}

fn tables_of(catalog: &Catalog) -> impl Iterator<Item = (Place, &TableSchema)> {
    let of_database = |database: &tidewire_storage::schema::Database| database.name.to_string();
    catalog.databases.values().flat_map(move |database| {
        database.policies.iter().flat_map(move |policy| {
            policy.tables.values().map(move |table| {
                let place = Place {
                    database: of_database(database),
                    policy: policy.name.to_string(),
                    table: table.name.to_string(),
                    tags: String::new(),
                    column: String::new(),
                    time_ns: 0,
                };
                (place, &**table)
            })
        })
    })
}

/// The tags of each series, by the names that `table` has for them; `None` for one with a tag that is newer.
fn names(shard: &Shard<SimDisk>, table: &TableSchema) -> Vec<Option<String>> {
    let Some(index) = shard.series(table.id) else { return Vec::new() };
    let key = |number: usize| {
        let tags = index.key(tidewire_storage::schema::SeriesId(number as u32));
        let tags = tags.map(|(id, value)| Some(format!("{}={value}", table.column_by_id(id)?.name)));
        let mut tags: Vec<String> = tags.collect::<Option<_>>()?;
        tags.sort();
        Some(tags.join(","))
    };
    (0..index.len()).map(key).collect()
}

async fn rows(
    shard: u32,
    place: &Place,
    table: &TableSchema,
    names: &[Option<String>],
    snapshot: &Snapshot<SimDisk>,
) -> tidewire_storage::Result<Vec<Found>> {
    let fields = table.columns.iter().filter_map(|column| match column.kind {
        ColumnKind::Field(kind) => Some((column, kind)),
        ColumnKind::Tag => None,
    });
    let fields: Vec<_> = fields.collect();
    let columns = fields.iter().map(|(column, kind)| (column.id, *kind)).collect();
    let (time_min, time_max) = (i64::MIN, i64::MAX);
    let request = ScanRequest { table: table.id, time_min, time_max, series: None, columns, prune: Vec::new() };
    let mut scan = snapshot.scan(request, u64::MAX).await?;
    let mut found = Vec::new();
    while let Some(chunk) = scan.next().await? {
        for run in &chunk.runs {
            let Some(tags) = &names[run.series.0 as usize] else { continue };
            for row in run.start as usize..(run.start + run.len) as usize {
                for ((column, kind), values) in fields.iter().zip(&chunk.columns) {
                    let Some(value) = number(values, *kind, row) else { continue };
                    let place = Place {
                        tags: tags.clone(),
                        column: column.name.to_string(),
                        time_ns: chunk.time[row] * table.time_unit.nanoseconds(),
                        ..place.clone()
                    };
                    found.push(Found { value, place, shard, table: table.id, column: column.id });
                }
            }
        }
    }
    Ok(found)
}

/// The number of a value.
fn number(values: &ArrayRef, kind: FieldType, row: usize) -> Option<usize> {
    if values.is_null(row) {
        return None;
    }
    Some(match kind {
        FieldType::Int => values.as_primitive::<Int64Type>().value(row) as usize,
        FieldType::UInt => values.as_primitive::<UInt64Type>().value(row) as usize,
        FieldType::Float => values.as_primitive::<Float64Type>().value(row) as usize,
        FieldType::Bool => usize::MAX,
        FieldType::String => {
            let text = values.as_string::<i32>().value(row);
            text.trim_end_matches('.').parse().unwrap_or(usize::MAX)
        }
    })
}
