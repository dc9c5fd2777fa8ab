//! Computed columns.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use super::streaming::Operator;
use crate::error::execution::Result;
use crate::exec::batch::BatchMaker;
use crate::exec::context::QueryContext;
use crate::exec::eval::{Input, Room, evaluate_array};
use crate::expr::Expr;

/// One expression for each output column.
pub(crate) struct Project {
    exprs: Vec<Expr>,
    maker: BatchMaker,
    /// Holds the text of the batch that was put out last.
    room: Room,
}

impl Project {
    /// Computes `exprs` as the columns of `schema`.
    pub(crate) fn new(exprs: Vec<Expr>, schema: SchemaRef, context: &QueryContext) -> Self {
        Self { exprs, maker: BatchMaker::new(schema), room: Room::new(context) }
    }
}

impl Operator for Project {
    fn push(&mut self, batch: RecordBatch) -> Result<Option<RecordBatch>> {
        self.room.clear()?;
        let input = Input::of(&batch, &self.room);
        let columns = self.exprs.iter().map(|expr| evaluate_array(expr, input)).collect::<Result<_>>()?;
        self.maker.make(columns, input.rows).map(Some)
    }
}
