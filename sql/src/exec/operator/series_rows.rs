//! LIMIT and OFFSET in each series, SLIMIT and SOFFSET among series.

use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;

use super::streaming::Operator;
use crate::error::execution::Result;
use crate::exec::series::SeriesKeys;
use crate::plan::series::SeriesLimit;

/// Passes some rows of some series.
pub(crate) struct SeriesRows {
    limit: SeriesLimit,
    series: SeriesKeys,
    outer: SeriesKeys,
    /// Series begun within the outer keys, and rows of the last of them.
    counted: (usize, usize),
}

impl SeriesRows {
    /// Passes what `limit` says.
    pub(crate) fn new(limit: SeriesLimit) -> Self {
        let (series, outer) = (SeriesKeys::new(limit.keys), SeriesKeys::new(limit.outer_keys));
        Self { limit, series, outer, counted: (0, 0) }
    }
}

impl Operator for SeriesRows {
    fn push(&mut self, batch: RecordBatch) -> Result<Option<RecordBatch>> {
        if batch.num_rows() == 0 {
            return Ok(None);
        }
        let (begins, outer) = (self.series.begins(&batch)?, self.outer.begins(&batch)?);
        let (limit, (mut series, mut row)) = (self.limit, self.counted);
        let within =
            |at: usize, skip: usize, fetch: Option<usize>| at >= skip && fetch.is_none_or(|fetch| at - skip < fetch);
        let mut kept = Vec::with_capacity(batch.num_rows());
        for at in 0..batch.num_rows() {
            if outer.value(at) {
                series = 0;
            }
            if begins.value(at) || outer.value(at) {
                series += 1;
                row = 0;
            }
            kept.push(
                within(row, limit.skip, limit.fetch) && within(series - 1, limit.series_skip, limit.series_fetch),
            );
            row += 1;
        }
        self.counted = (series, row);
        match kept.iter().filter(|kept| **kept).count() {
            0 => Ok(None),
            count if count == kept.len() => Ok(Some(batch)),
            _ => Ok(Some(filter_record_batch(&batch, &BooleanArray::from(kept))?)),
        }
    }

    fn has_enough(&self) -> bool {
        let SeriesLimit { outer_keys, series_skip, series_fetch, .. } = self.limit;
        outer_keys == 0 && series_fetch.is_some_and(|fetch| self.counted.0 > series_skip.saturating_add(fetch))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{ArrayRef, Int64Array};

    use super::*;

    fn batch(keys: &[(i64, i64)]) -> RecordBatch {
        let column = |of: fn(&(i64, i64)) -> i64| Arc::new(keys.iter().map(of).collect::<Int64Array>()) as ArrayRef;
        RecordBatch::try_from_iter([("outer", column(|key| key.0)), ("inner", column(|key| key.1))]).unwrap()
    }

    #[test]
    fn rows_are_counted_in_series_and_series_within_their_outer_keys_across_batches() {
        let limit =
            SeriesLimit { keys: 2, outer_keys: 1, skip: 1, fetch: Some(1), series_skip: 0, series_fetch: Some(1) };
        let mut operator = SeriesRows::new(limit);
        let mut passed = Vec::new();
        for keys in [&[(1, 1), (1, 1)][..], &[(1, 1), (1, 2), (1, 2), (2, 2)], &[(2, 2), (2, 2)]] {
            if let Some(batch) = operator.push(batch(keys)).unwrap() {
                let column = |at: usize| batch.column(at).as_primitive::<Int64Type>().values().to_vec();
                passed.extend(column(0).into_iter().zip(column(1)));
            }
        }
        assert_eq!(passed, [(1, 1), (2, 2)]);
    }
}
