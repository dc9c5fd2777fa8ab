//! Rows as TSBS's cpu-only workload makes them, in columns: what one shard of two gets of 4,000 hosts.

use std::sync::Arc;

use tidewire_storage::batch::{BatchColumn, Values};
use tidewire_storage::schema::{ColumnId, TableId};

/// Series of the shard.
pub(crate) const SERIES: usize = 2_000;

/// Fields of a row.
pub(crate) const FIELDS: u16 = 10;

/// The table.
pub(crate) const TABLE: TableId = TableId(1);

const SECOND: i64 = 1_000_000_000;

/// Rows with their series ids.
pub(crate) struct Rows {
    pub(crate) series: Vec<u32>,
    pub(crate) time: Vec<i64>,
    pub(crate) columns: Arc<[BatchColumn]>,
}

/// `count` rows from row `first` of the workload on: all hosts each 10 seconds, ten counters that walk from 0 to 100.
pub(crate) fn rows(first: usize, count: usize) -> Rows {
    let mut random = fastrand::Rng::with_seed(first as u64);
    let columns = (0..FIELDS).map(|id| {
        let values = (0..count).map(|_| random.i64(0..=100)).collect();
        BatchColumn { id: ColumnId(id), values: Values::Int(values), validity: None }
    });
    Rows {
        series: (first..first + count).map(|row| (row % SERIES) as u32).collect(),
        time: (first..first + count).map(|row| (1_451_606_400 + (row / SERIES * 10) as i64) * SECOND).collect(),
        columns: columns.collect(),
    }
}

/// The sum of all values.
pub(crate) fn sum(columns: &[BatchColumn]) -> i64 {
    let ints = |column: &BatchColumn| match &column.values {
        Values::Int(values) => values.iter().sum::<i64>(),
        other => panic!("{:?} in an integer workload", other.kind()),
    };
    columns.iter().map(ints).sum()
}
