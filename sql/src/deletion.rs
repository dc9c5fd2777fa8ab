//! Rows to delete, as plain data that every shard carries out over its own series.
//!
//! A deletion is a product: some series, times of some ranges. SQL's DELETE and InfluxQL's DELETE and DROP SERIES both
//! bind to it; what is no such product is refused where it is bound, so that nothing is deleted that was not named.

use std::sync::Arc;

use roaring::RoaringBitmap;
use tidewire_storage::engine::SeriesSelection;
use tidewire_storage::schema::{ColumnId, TableSchema};

use crate::exec::ExecError;
use crate::exec::shard::{ShardReader, TagIndex, wanted_series};
use crate::expr::Expr;
use crate::front::influxql::TagCondition;

/// Rows of one table to delete.
#[derive(Debug, Clone)]
pub struct Deletion {
    /// The table as it was when the statement was bound.
    pub table: Arc<TableSchema>,
    /// Their series.
    pub series: SeriesFilter,
    /// Their times in the table's unit: disjoint ranges, ascending, both ends included.
    pub times: Vec<(i64, i64)>,
}

/// Which series of a table.
#[derive(Debug, Clone)]
pub enum SeriesFilter {
    /// All, those to come before the deletion included.
    All,
    /// Those for which a predicate of SQL is true. Its columns are positions in `columns`.
    Predicate {
        /// Over tags alone.
        filter: Expr,
        /// The tags that it reads.
        columns: Vec<ColumnId>,
    },
    /// Those for which a condition of InfluxQL holds.
    Tags(TagCondition),
}

impl SeriesFilter {
    /// The series of a shard that are meant.
    pub fn select<R: ShardReader>(&self, shard: &R, table: &TableSchema) -> Result<SeriesSelection, ExecError> {
        if let Self::All = self {
            return Ok(SeriesSelection::All);
        }
        shard.with_index(table.id, |index| {
            let series = match (index, self) {
                (None, _) => RoaringBitmap::new(),
                (Some(index), Self::Predicate { filter, columns }) => wanted_series(index, filter, columns)?,
                (Some(index), Self::Tags(condition)) => condition.series(index),
                (Some(index), Self::All) => RoaringBitmap::from_iter(0..index.series_count()),
            };
            Ok(SeriesSelection::Of(series))
        })
    }
}
