//! ORDER BY, whole or only the first rows of it.
//!
//! Rows are held as they come. With a bound on the rows wanted, whenever four times as many (and at least a chunk) have
//! gathered, the best are picked and the rest forgotten, so a top-N holds O(N) rows and sorts O(log) times.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_ord::sort::{SortColumn, lexsort_to_indices};
use arrow_schema::{DataType, Field, Schema, SortOptions};
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;

use super::finishing::{Left, Sink};
use crate::exec::batch::{BatchMaker, OUTPUT_ROWS, batch_bytes, slices};
use crate::exec::context::{QueryContext, Reservation};
use crate::exec::error::Result;
use crate::exec::eval::{Input, evaluate_array};
use crate::plan::SortKey;
use crate::types::array::cast_to;

/// Sorts its input.
pub(crate) struct Sort {
    keys: Vec<SortKey>,
    fetch: Option<usize>,
    held: Vec<RecordBatch>,
    held_rows: usize,
    memory: Reservation,
    bytes: usize,
    has_ended: bool,
}

impl Sort {
    /// Sorts by `keys` over the input's columns; with `fetch`, only that many first rows are wanted.
    pub(crate) fn new(keys: Vec<SortKey>, fetch: Option<usize>, context: &QueryContext) -> Self {
        Self { keys, fetch, held: Vec::new(), held_rows: 0, memory: context.reservation(), bytes: 0, has_ended: false }
    }

    /// Everything held, as one batch in order.
    fn sorted(&mut self) -> Result<Option<RecordBatch>> {
        let held = in_one_form(std::mem::take(&mut self.held))?;
        let Some(first) = held.first() else { return Ok(None) };
        let batch = match held.as_slice() {
            [one] => one.clone(),
            many => concat_batches(&first.schema(), many)?,
        };
        drop(held);
        let input = Input { columns: batch.columns(), rows: batch.num_rows() };
        let keys = self
            .keys
            .iter()
            .map(|key| {
                let values: ArrayRef = evaluate_array(&key.expr, input)?;
                let options = SortOptions { descending: key.descending, nulls_first: key.nulls_first };
                Ok(SortColumn { values, options: Some(options) })
            })
            .collect::<Result<Vec<_>>>()?;
        if keys.is_empty() {
            return Ok(Some(batch.slice(0, self.fetch.map_or(input.rows, |fetch| fetch.min(input.rows)))));
        }
        let order = lexsort_to_indices(&keys, self.fetch)?;
        Ok(Some(take_record_batch(&batch, &order)?))
    }
}

impl Sink for Sort {
    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.held_rows += batch.num_rows();
        self.bytes += batch_bytes(&batch);
        self.memory.resize(self.bytes)?;
        self.held.push(batch);
        if let Some(fetch) = self.fetch
            && self.held_rows > fetch.saturating_mul(4).max(OUTPUT_ROWS)
            && let Some(best) = self.sorted()?
        {
            self.held_rows = best.num_rows();
            self.bytes = batch_bytes(&best);
            self.memory.resize(self.bytes)?;
            self.held.push(best);
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.has_ended = true;
        Ok(())
    }

    fn step(&mut self, out: &mut Vec<RecordBatch>) -> Result<Left> {
        if !self.has_ended {
            return Ok(Left::Nothing);
        }
        // The sorted copy lives beside what was held.
        self.memory.resize(self.bytes.saturating_mul(2))?;
        if let Some(sorted) = self.sorted()? {
            out.extend(slices(sorted));
        }
        Ok(Left::Nothing)
    }
}

/// Batches whose text columns have the same form: a dictionary in all of them, or in none.
fn in_one_form(batches: Vec<RecordBatch>) -> Result<Vec<RecordBatch>> {
    let Some(first) = batches.first() else { return Ok(batches) };
    if batches.iter().all(|batch| batch.schema_ref() == first.schema_ref()) {
        return Ok(batches);
    }
    let fields = first.schema_ref().fields().iter().map(|field| match field.data_type() {
        DataType::Dictionary(_, value) => Arc::new(Field::new(field.name(), (**value).clone(), true)),
        _ => Arc::clone(field),
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let plain = |batch: RecordBatch| {
        let columns = batch.columns().iter().zip(schema.fields());
        let columns = columns.map(|(column, field)| cast_to(column, field.data_type())).collect::<Result<_>>()?;
        BatchMaker::new(Arc::clone(&schema)).make(columns, batch.num_rows())
    };
    batches.into_iter().map(plain).collect()
}
