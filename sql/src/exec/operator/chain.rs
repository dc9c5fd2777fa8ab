//! The push interface of operators, and chains of them.
//!
//! A batch is pushed in; what an operator can say at once it puts out, the rest at [`Operator::finish`].

use arrow_array::RecordBatch;

use crate::exec::error::Result;

/// Whether more input can change the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// More input is welcome.
    Continue,
    /// No further row can show in the output: whoever produces rows may stop.
    Enough,
}

/// One step of a chain.
pub(crate) trait Operator {
    /// Takes rows in; puts finished rows into `out`.
    fn push(&mut self, batch: RecordBatch, out: &mut Vec<RecordBatch>) -> Result<Flow>;
    /// Puts out what is held back; no push follows.
    fn finish(&mut self, out: &mut Vec<RecordBatch>) -> Result<()>;
}

/// Operators in a row.
#[derive(Default)]
pub(crate) struct Chain {
    operators: Vec<Box<dyn Operator>>,
}

impl Chain {
    /// Adds the next operator.
    pub(crate) fn add(&mut self, operator: impl Operator + 'static) {
        self.operators.push(Box::new(operator));
    }

    /// Pushes through the operators from number `from` on.
    fn push_from(&mut self, from: usize, batches: Vec<RecordBatch>, out: &mut Vec<RecordBatch>) -> Result<Flow> {
        let mut flow = Flow::Continue;
        let mut level = batches;
        for operator in &mut self.operators[from..] {
            let mut next = Vec::new();
            for batch in level {
                if operator.push(batch, &mut next)? == Flow::Enough {
                    flow = Flow::Enough;
                }
            }
            level = next;
        }
        out.append(&mut level);
        Ok(flow)
    }
}

impl Operator for Chain {
    fn push(&mut self, batch: RecordBatch, out: &mut Vec<RecordBatch>) -> Result<Flow> {
        self.push_from(0, vec![batch], out)
    }

    fn finish(&mut self, out: &mut Vec<RecordBatch>) -> Result<()> {
        for at in 0..self.operators.len() {
            let mut last = Vec::new();
            self.operators[at].finish(&mut last)?;
            self.push_from(at + 1, last, out)?;
        }
        Ok(())
    }
}
