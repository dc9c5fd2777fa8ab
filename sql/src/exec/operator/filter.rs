//! WHERE and HAVING: rows for which the condition is true.

use arrow_array::RecordBatch;
use arrow_select::filter::filter_record_batch;

use super::streaming::Operator;
use crate::error::execution::Result;
use crate::exec::context::QueryContext;
use crate::exec::eval::{Input, Room, evaluate_condition};
use crate::expr::Expr;

/// Keeps rows for which a condition is true.
pub(crate) struct Filter {
    predicate: Expr,
    room: Room,
}

impl Filter {
    /// A filter by `predicate` over the input's columns.
    pub(crate) fn new(predicate: Expr, context: &QueryContext) -> Self {
        Self { predicate, room: Room::new(context) }
    }
}

impl Operator for Filter {
    fn push(&mut self, batch: RecordBatch) -> Result<Option<RecordBatch>> {
        let kept = evaluate_condition(&self.predicate, Input::of(&batch, &self.room));
        self.room.clear()?;
        let kept = kept?;
        Ok(match kept.true_count() {
            0 => None,
            count if count == batch.num_rows() => Some(batch),
            _ => Some(filter_record_batch(&batch, &kept)?),
        })
    }
}
