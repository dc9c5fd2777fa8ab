//! `INSERT … VALUES`: bound rows to batches.

use std::collections::HashMap;
use std::sync::Arc;

use tidewire_sql::statement::{FieldValues, Insert};
use tidewire_storage::batch::{BatchBuilder, NEW_SERIES_BIT, WriteBatch};
use tidewire_storage::schema::{ColumnId, database_name};

use super::batch::ShardRows;
use super::commit::commit;
use super::error::WriteError;
use super::host::WriteHost;
use super::provisional::settle;
use super::target::Place;
use crate::core::state::CoreState;
use crate::core::watch::Watch;
use crate::ring::yield_if_needed;
use tidewire_base::series_owner;

/// Writes the rows of a bound INSERT; returns their number.
pub async fn insert(core: &CoreState, rows: &Insert) -> Result<u64, WriteError> {
    insert_to(core, rows, None, yield_if_needed).await
}

/// The same for a statement that moves rows from other series, which `watch` watches.
pub async fn insert_moved(core: &CoreState, rows: &Insert, watch: &Arc<Watch>) -> Result<u64, WriteError> {
    insert_to(core, rows, Some(watch), yield_if_needed).await
}

/// The same with another host. Others run at each `pause`.
pub(super) async fn insert_to<H: WriteHost>(
    host: &H,
    insert: &Insert,
    by: Option<&Arc<Watch>>,
    pause: impl AsyncFn(),
) -> Result<u64, WriteError> {
    host.begin()?;
    let mut rows = split(insert, host.shard_count(), pause).await;
    let catalog = host.catalog();
    let database = catalog.databases.get(&insert.database);
    let database = database.ok_or_else(|| WriteError::DatabaseNotFound(database_name(&insert.database).to_owned()))?;
    let place = Place { database: &database.name, policy: &database.default_policy };
    let table = place.table(&catalog, &insert.table.name).ok_or(WriteError::TableChanged)?;
    if table.id != insert.table.id {
        // Dropped and made again since the statement was read: its rows are for what has the name now.
        for part in &mut rows {
            if !settle(&mut part.batch, &part.table, table) {
                return Err(WriteError::TableChanged);
            }
            part.table = table.clone();
        }
    }
    commit(host, place, rows, by).await?;
    Ok(insert.time.len() as u64)
}

/// Rows between two looks at whether others are due: a hundred microseconds or two.
const LOOK_ROWS: usize = 256;

/// The rows by owner shard. Others run at each `pause`.
async fn split(insert: &Insert, shards: u32, pause: impl AsyncFn()) -> Vec<ShardRows> {
    let mut rows_of: Vec<Vec<usize>> = vec![Vec::new(); shards as usize];
    for row in 0..insert.time.len() {
        rows_of[owner(insert, row, shards) as usize].push(row);
        if row % LOOK_ROWS == 0 {
            pause().await;
        }
    }
    let mut parts = Vec::new();
    for (shard, rows) in (0..).zip(rows_of).filter(|(_, rows)| !rows.is_empty()) {
        let batch = batch(insert, &rows, &pause).await;
        parts.push(ShardRows { shard, batch, table: insert.table.clone(), is_provisional: false });
    }
    parts
}

fn owner(insert: &Insert, row: usize, shards: u32) -> u32 {
    let mut tags: Vec<(&str, &str)> = insert
        .tags
        .iter()
        .filter_map(|(id, values)| Some((&*insert.table.column_by_id(*id)?.name, values[row].as_deref()?)))
        .collect();
    tags.sort_unstable();
    series_owner::owner(&insert.table.name, tags, shards)
}

async fn batch(insert: &Insert, rows: &[usize], pause: &impl AsyncFn()) -> WriteBatch {
    let mut builder = BatchBuilder::new(insert.table.id, WriteBatch::default());
    let mut ordinals: HashMap<Vec<(ColumnId, Arc<str>)>, u32> = HashMap::new();
    for (at, &row) in rows.iter().enumerate() {
        if at % LOOK_ROWS == 0 {
            pause().await;
        }
        let mut tags: Vec<(ColumnId, Arc<str>)> =
            insert.tags.iter().filter_map(|(id, values)| Some((*id, values[row].clone()?))).collect();
        tags.sort_unstable_by_key(|(id, _)| *id);
        let ordinal = match ordinals.get(&tags) {
            Some(ordinal) => *ordinal,
            None => {
                let ordinal = builder.new_series_of(tags.iter().map(|(id, value)| (*id, value.as_bytes())));
                ordinals.insert(tags, ordinal);
                ordinal
            }
        };
        builder.push_series(NEW_SERIES_BIT | ordinal, &insert.time[row..=row]);
    }
    for (id, values) in &insert.fields {
        pause().await;
        match values {
            FieldValues::Int(cells) => builder.push_column(*id, rows.iter().map(|row| cells[*row])),
            FieldValues::UInt(cells) => builder.push_column(*id, rows.iter().map(|row| cells[*row])),
            FieldValues::Float(cells) => builder.push_column(*id, rows.iter().map(|row| cells[*row])),
            FieldValues::Bool(cells) => builder.push_column(*id, rows.iter().map(|row| cells[*row])),
            FieldValues::String(cells) => builder.push_column(*id, rows.iter().map(|row| cells[*row].as_deref())),
        }
    }
    builder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidewire_storage::batch::Values;
    use tidewire_storage::schema::{ColumnKind, ColumnSchema, FieldType, TableId, TableSchema, TimeUnit};

    fn sample() -> Insert {
        let column = |id: u16, name: &str, kind| ColumnSchema {
            id: ColumnId(id),
            name: name.into(),
            kind,
            codec: None,
            geometry: None,
        };
        Insert {
            database: "public".into(),
            table: Arc::new(TableSchema {
                id: TableId(3),
                name: "t".into(),
                columns: [
                    column(0, "host", ColumnKind::Tag),
                    column(1, "v", ColumnKind::Field(FieldType::Int)),
                    column(2, "s", ColumnKind::Field(FieldType::String)),
                ]
                .into_iter()
                .collect(),
                time_unit: TimeUnit::Nanosecond,
                partition_length: 1,
                next_column: 3,
            }),
            time: vec![1, 2, 3],
            tags: vec![(ColumnId(0), vec![Some("a".into()), None, Some("a".into())])],
            fields: vec![
                (ColumnId(1), FieldValues::Int(vec![Some(7), Some(8), None])),
                (ColumnId(2), FieldValues::String(vec![None, None, Some("x".into())])),
            ],
        }
    }

    fn at_once(insert: &Insert, shards: u32) -> Vec<ShardRows> {
        futures_lite::future::block_on(split(insert, shards, async || ()))
    }

    #[test]
    fn one_shard_takes_all_rows_and_each_series_key_travels_once() {
        let rows = at_once(&sample(), 1);
        assert_eq!(rows.len(), 1);
        let batch = &rows[0].batch;
        assert_eq!(batch.series, [NEW_SERIES_BIT, NEW_SERIES_BIT | 1, NEW_SERIES_BIT]);
        assert_eq!(batch.new_series.len(), 2);
        assert_eq!(batch.new_series.key(0), [0, 0, 1, 0, 0, 0, b'a']);
        assert!(batch.new_series.key(1).is_empty());
        assert_eq!(batch.columns[0].values, Values::Int(vec![7, 8, 0]));
        assert_eq!(batch.columns[0].validity, Some(vec![0b011]));
        assert_eq!(batch.columns[1].validity, Some(vec![0b100]));
    }

    #[test]
    fn rows_go_where_line_protocol_would_put_them() {
        for shards in [2, 3, 7] {
            for part in at_once(&sample(), shards) {
                for time in part.batch.time {
                    let expected = if time == 2 {
                        series_owner::owner("t", [], shards)
                    } else {
                        series_owner::owner("t", [("host", "a")], shards)
                    };
                    assert_eq!(part.shard, expected);
                }
            }
        }
    }
}
