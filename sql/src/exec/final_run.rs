//! The final stage at work: takes in what shards send, in any order, and gives the answer.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, new_empty_array};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat;

use super::aggregate::Aggregate;
use super::batch::BatchMaker;
use super::context::QueryContext;
use super::error::{ExecError, Result};
use super::eval::scalar_array;
use super::operator::{Chain, Filter, Flow, Limit, Operator, Project};
use super::sink::Sort;
use crate::expr::{Expr, Scalar};
use crate::stage::{FinalStage, Step};
use crate::types::array::cast_to;

/// Runs a final stage. Synchronous; rows that no later input can change can be taken at once with [`Self::ready`].
pub struct FinalRun {
    chain: Chain,
    constant_rows: Option<(Vec<Vec<Scalar>>, SchemaRef)>,
    ready: VecDeque<RecordBatch>,
    context: QueryContext,
}

impl FinalRun {
    /// Makes the stage's operators.
    pub fn new(stage: &FinalStage, context: QueryContext) -> Result<Self> {
        let mut chain = Chain::default();
        for step in &stage.steps {
            match step {
                Step::Filter(predicate) => chain.add(Filter::new(predicate.clone())),
                Step::Project { exprs, schema } => chain.add(Project::new(exprs.clone(), Arc::clone(schema))),
                Step::Merge { keys, calls, distinct_columns, states, schema } => {
                    let schema = Arc::clone(schema);
                    chain.add(Aggregate::merge(*keys, calls, distinct_columns, *states, schema, &context)?);
                }
                Step::Aggregate { keys, calls, schema } => {
                    chain.add(Aggregate::whole(keys.clone(), calls, Arc::clone(schema), &context)?);
                }
                Step::Sort { keys, fetch } => chain.add(Sort::new(keys.clone(), *fetch, &context)),
                Step::Limit { skip, fetch } => chain.add(Limit::new(*skip, *fetch)),
                Step::Distinct { schema } => {
                    let keys = (0..schema.fields().len()).map(Expr::Column).collect();
                    chain.add(Aggregate::whole(keys, &[], Arc::clone(schema), &context)?);
                }
            }
        }
        Ok(Self { chain, constant_rows: stage.constant_rows.clone(), ready: VecDeque::new(), context })
    }

    /// Takes in a batch that a shard sent. After [`Flow::Enough`] the shards may stop.
    pub fn push(&mut self, batch: RecordBatch) -> Result<Flow> {
        self.context.check()?;
        let mut out = Vec::new();
        let flow = self.chain.push(batch, &mut out)?;
        self.ready.extend(out);
        Ok(flow)
    }

    /// Rows of the answer that are certain already.
    pub fn ready(&mut self) -> Option<RecordBatch> {
        self.ready.pop_front()
    }

    /// The rest of the answer, after the last batch of the last shard. Batches are never empty.
    ///
    /// Does not look at the off switch: a query that has enough cancels its shards with it, and then comes here.
    pub fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        if let Some((rows, schema)) = self.constant_rows.take() {
            let mut out = Vec::new();
            self.chain.push(constant_batch(&rows, schema)?, &mut out)?;
            self.ready.extend(out);
        }
        let mut out: Vec<RecordBatch> = self.ready.drain(..).collect();
        self.chain.finish(&mut out)?;
        out.retain(|batch| batch.num_rows() > 0);
        Ok(out)
    }
}

/// Rows of constants as a batch.
fn constant_batch(rows: &[Vec<Scalar>], schema: SchemaRef) -> Result<RecordBatch> {
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for (at, field) in schema.fields().iter().enumerate() {
        let values = rows
            .iter()
            .map(|row| {
                let scalar =
                    row.get(at).ok_or_else(|| ExecError::Internal("a row of constants is too short".into()))?;
                cast_to(&scalar_array(scalar), field.data_type())
            })
            .collect::<Result<Vec<_>>>()?;
        let values: Vec<&dyn arrow_array::Array> = values.iter().map(|v| v as &dyn arrow_array::Array).collect();
        columns.push(if values.is_empty() { new_empty_array(field.data_type()) } else { concat(&values)? });
    }
    BatchMaker::new(schema).make(columns, rows.len())
}
