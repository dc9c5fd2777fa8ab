//! Rows of the devops workload: clamped random walks of integers, ten fields, every ten seconds.

use std::ops::Range;

pub(crate) use tidewire_benches::devops::walk;
use tidewire_storage::batch::Values;
use tidewire_storage::scan::Run;
use tidewire_storage::schema::{ColumnId, FieldType, SeriesId};
use tidewire_storage::segment::{Gathered, SortedTable};

/// Fields of a row.
pub(crate) const FIELDS: usize = 10;

/// Nanoseconds between rows of a series.
pub(crate) const STEP: i64 = 10_000_000_000;

/// A sorted table of walks.
pub(crate) struct Table {
    columns: Vec<(ColumnId, FieldType)>,
    runs: Vec<Run>,
    time: Vec<i64>,
    values: Vec<Vec<i64>>,
}

impl Table {
    /// `series` series of `rows` rows each, from `start` on.
    pub(crate) fn new(series: usize, rows: usize, start: i64, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let runs = (0..series)
            .map(|s| Run { series: SeriesId(s as u32), start: (s * rows) as u32, len: rows as u32 })
            .collect();
        let time = (0..series).flat_map(|_| (0..rows as i64).map(|i| start + i * STEP)).collect();
        let values = (0..FIELDS).map(|_| (0..series).flat_map(|_| walk(&mut rng, rows)).collect()).collect();
        let columns = (0..FIELDS).map(|field| (ColumnId(field as u16 + 10), FieldType::Int)).collect();
        Self { columns, runs, time, values }
    }

    /// Values of a field.
    pub(crate) fn values(&self, field: usize) -> &[i64] {
        &self.values[field]
    }
}

impl SortedTable for Table {
    fn runs(&self) -> &[Run] {
        &self.runs
    }

    fn time(&self) -> &[i64] {
        &self.time
    }

    fn columns(&self) -> &[(ColumnId, FieldType)] {
        &self.columns
    }

    fn gather(&self, column: usize, rows: Range<usize>, out: &mut Gathered) {
        out.validity = None;
        match &mut out.values {
            Values::Int(values) => {
                values.clear();
                values.extend_from_slice(&self.values[column][rows]);
            }
            other => *other = Values::Int(self.values[column][rows].to_vec()),
        }
    }
}
