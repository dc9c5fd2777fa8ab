//! Computed columns.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use super::streaming::Operator;
use crate::error::execution::Result;
use crate::exec::batch::BatchMaker;
use crate::exec::eval::{Input, evaluate_array};
use crate::expr::Expr;

/// One expression for each output column.
pub(crate) struct Project {
    exprs: Vec<Expr>,
    maker: BatchMaker,
}

impl Project {
    /// Computes `exprs` as the columns of `schema`.
    pub(crate) fn new(exprs: Vec<Expr>, schema: SchemaRef) -> Self {
        Self { exprs, maker: BatchMaker::new(schema) }
    }
}

impl Operator for Project {
    fn push(&mut self, batch: RecordBatch) -> Result<Option<RecordBatch>> {
        let input = Input { columns: batch.columns(), rows: batch.num_rows(), names: batch.schema_ref().as_ref() };
        let columns = self.exprs.iter().map(|expr| evaluate_array(expr, input)).collect::<Result<_>>()?;
        self.maker.make(columns, input.rows).map(Some)
    }
}
