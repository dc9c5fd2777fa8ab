//! WHERE and HAVING: rows for which the condition is true.

use arrow_array::RecordBatch;
use arrow_select::filter::filter_record_batch;

use super::streaming::Operator;
use crate::error::execution::Result;
use crate::exec::eval::{Input, evaluate_condition};
use crate::expr::Expr;

/// Keeps rows for which a condition is true.
pub(crate) struct Filter {
    predicate: Expr,
}

impl Filter {
    /// A filter by `predicate` over the input's columns.
    pub(crate) fn new(predicate: Expr) -> Self {
        Self { predicate }
    }
}

impl Operator for Filter {
    fn push(&mut self, batch: RecordBatch) -> Result<Option<RecordBatch>> {
        let input = Input { columns: batch.columns(), rows: batch.num_rows(), names: batch.schema_ref().as_ref() };
        let kept = evaluate_condition(&self.predicate, input)?;
        Ok(match kept.true_count() {
            0 => None,
            count if count == batch.num_rows() => Some(batch),
            _ => Some(filter_record_batch(&batch, &kept)?),
        })
    }
}
