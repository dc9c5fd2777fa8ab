//! Rows as often as they say: the ends of INTERSECT ALL and EXCEPT ALL.

use std::collections::VecDeque;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch, UInt32Array};
use arrow_schema::SchemaRef;
use arrow_select::take::take;

use super::finishing::{Left, Sink};
use crate::error::execution::{ExecError, Result};
use crate::exec::batch::{BatchMaker, OUTPUT_ROWS, batch_bytes};
use crate::exec::context::{QueryContext, Reservation};
use crate::exec::eval::text_bytes;

/// Text of the rows that leave at once, unless it is that of one row.
const TEXT_MAX: usize = 8 << 20;

/// Repeats rows.
pub(crate) struct Repeat {
    maker: BatchMaker,
    waiting: VecDeque<RecordBatch>,
    /// Row of the first batch, and how often it has been put out.
    at: (usize, i64),
    memory: Reservation,
    held_bytes: usize,
}

impl Repeat {
    /// Puts out columns of `schema`, and takes the number behind them.
    pub(crate) fn new(schema: SchemaRef, context: &QueryContext) -> Self {
        let (maker, memory) = (BatchMaker::new(schema), context.reservation());
        Self { maker, waiting: VecDeque::new(), at: (0, 0), memory, held_bytes: 0 }
    }
}

impl Sink for Repeat {
    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.held_bytes += batch_bytes(&batch);
        self.memory.resize(self.held_bytes)?;
        self.waiting.push_back(batch);
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        Ok(())
    }

    fn step(&mut self, out: &mut Vec<RecordBatch>) -> Result<Left> {
        let Some(batch) = self.waiting.front() else { return Ok(Left::Nothing) };
        let Some((count, columns)) = batch.columns().split_last() else {
            return Err(ExecError::Internal("rows to repeat that do not say how often".into()));
        };
        let counts = count
            .as_primitive_opt::<Int64Type>()
            .ok_or_else(|| ExecError::Internal("rows to repeat that do not say how often".into()))?;
        let texts: usize = columns.iter().map(text_bytes).fold(0, usize::saturating_add);
        // As if the longest text were all of the batch's.
        let rows_max = TEXT_MAX.checked_div(texts).map_or(OUTPUT_ROWS, |rows| rows.clamp(1, OUTPUT_ROWS));
        let (mut row, mut done) = self.at;
        let mut rows = Vec::new();
        while row < batch.num_rows() && rows.len() < rows_max {
            let left = if counts.is_null(row) { 0 } else { counts.value(row) - done };
            let room = rows_max - rows.len();
            let taken = usize::try_from(left).map_or(0, |left| left.min(room));
            rows.resize(rows.len() + taken, row as u32);
            done += taken as i64;
            if done >= counts.value(row) || left <= 0 {
                (row, done) = (row + 1, 0);
            }
        }
        if !rows.is_empty() {
            let (count, rows) = (rows.len(), UInt32Array::from(rows));
            let columns = columns.iter().map(|column| Ok(take(column, &rows, None)?)).collect::<Result<Vec<_>>>()?;
            out.push(self.maker.make(columns, count)?);
        }
        if row < batch.num_rows() {
            self.at = (row, done);
            return Ok(Left::Work);
        }
        self.at = (0, 0);
        self.held_bytes = self.held_bytes.saturating_sub(batch_bytes(batch));
        self.waiting.pop_front();
        self.memory.resize(self.held_bytes)?;
        Ok(if self.waiting.is_empty() { Left::Nothing } else { Left::Work })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array};
    use arrow_schema::{DataType, Field, Schema};

    use super::*;

    #[test]
    fn rows_leave_as_often_as_they_say_in_batches_of_bounded_size() {
        let context = QueryContext::new(1 << 20, None);
        let schema = Arc::new(Schema::new(vec![Field::new("x", DataType::Int64, true)]));
        let mut repeat = Repeat::new(schema, &context);
        let counts: [Option<i64>; 5] = [Some(2), Some(0), None, Some(20_000), Some(-3)];
        let columns: [ArrayRef; 2] =
            [Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5])), Arc::new(Int64Array::from(counts.to_vec()))];
        let batch = RecordBatch::try_from_iter([("x", columns[0].clone()), ("n", columns[1].clone())]).unwrap();
        for _ in 0..2 {
            repeat.push(batch.clone()).unwrap();
        }
        repeat.end().unwrap();
        let mut out = Vec::new();
        while repeat.step(&mut out).unwrap() == Left::Work {}
        assert!(out.iter().all(|batch| batch.num_rows() <= OUTPUT_ROWS));
        let mut found = std::collections::BTreeMap::<i64, usize>::new();
        for value in out.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values()) {
            *found.entry(*value).or_default() += 1;
        }
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [(1, 4), (4, 40_000)]);
        assert_eq!(context.memory_used(), 0);
    }
}
