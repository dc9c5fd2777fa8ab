//! How many series tables have: counted in every shard, and estimated from the shards' sketches.
//!
//! A series lies in one shard, so that counts add up. It counts since its first row; a delete of all its rows ends
//! that, until it is written again.

use std::sync::Arc;

use tidewire_storage::Error;
use tidewire_storage::schema::TableId;
use tidewire_storage::series::SeriesSketch;

use crate::core::message::{CountSeries, SeriesTotals};
use crate::core::shards::Shards;
use crate::core::state::CoreState;

/// The series of each of `tables` in all shards, and a sketch of all of them. An error when a shard is offline, for
/// then nobody knows.
pub async fn cardinality(core: &CoreState, tables: Arc<[TableId]>) -> Result<SeriesTotals, Error> {
    core.offline.check_all()?;
    let mut all = zero(&tables);
    for of_core in core.peers.ask_all(CountSeries { tables }).await {
        all.by_table.iter_mut().zip(of_core.by_table).for_each(|(count, more)| *count += more);
        all.sketch.merge(&of_core.sketch);
    }
    Ok(all)
}

/// The series of tables in the shards of this core.
pub(crate) fn count(shards: &Shards, CountSeries { tables }: &CountSeries) -> SeriesTotals {
    let mut counts = zero(tables);
    for (_, shard) in shards.iter() {
        for (count, &table) in counts.by_table.iter_mut().zip(&**tables) {
            if let Some(series) = shard.series(table) {
                *count += series.live_len() as u64;
                series.sketch(table, &mut counts.sketch);
            }
        }
    }
    counts
}

fn zero(tables: &[TableId]) -> SeriesTotals {
    SeriesTotals { by_table: vec![0; tables.len()], sketch: Box::<SeriesSketch>::default() }
}
