//! How many series tables have: counted in every shard, and estimated from the shards' sketches.
//!
//! A series lies in one shard, so that counts add up. It counts since its first row; a delete of all its rows ends that,
//! until it is written again.

use std::rc::Rc;
use std::sync::Arc;

use tidewire_storage::Error;
use tidewire_storage::schema::TableId;
use tidewire_storage::series::SeriesSketch;

use crate::core::hub::{CoreShard, Hub};
use crate::core::message::{Answer, Request};

/// The series of each of `tables` in `shards`, and a sketch of all of them.
pub(crate) fn count<'a>(
    shards: impl Iterator<Item = &'a Rc<CoreShard>>,
    tables: &[TableId],
) -> (Vec<u64>, SeriesSketch) {
    let (mut counts, mut sketch) = (vec![0; tables.len()], SeriesSketch::default());
    for shard in shards {
        for (count, &table) in counts.iter_mut().zip(tables) {
            if let Some(series) = shard.series(table) {
                *count += series.live_len() as u64;
                series.sketch(table, &mut sketch);
            }
        }
    }
    (counts, sketch)
}

impl Hub {
    /// The series of each of `tables` in all shards, and a sketch of all of them. An error when a shard is set aside, for
    /// then nobody knows.
    pub async fn cardinality(self: &Rc<Self>, tables: Arc<[TableId]>) -> Result<(Vec<u64>, SeriesSketch), Error> {
        for shard in 0..self.shard_count() {
            self.set_aside.check(shard)?;
        }
        let mut calls = Vec::new();
        for core in 0..self.core_count() {
            calls.push(self.call(core, 1, Request::Cardinality(tables.clone())).await);
        }
        let (mut counts, mut sketch) = (vec![0; tables.len()], SeriesSketch::default());
        for mut call in calls {
            match call.next().await {
                Some(Answer::Cardinality(of_core, sketch_of_core)) => {
                    counts.iter_mut().zip(of_core).for_each(|(count, more)| *count += more);
                    sketch.merge(&sketch_of_core);
                }
                other => unreachable!("BUG: {other:?} is no answer to a request for cardinality"),
            }
        }
        Ok((counts, sketch))
    }
}
