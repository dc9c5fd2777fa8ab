//! GROUP BY by hash table, in all its roles: over rows or over the states that shards sent, giving states or answers.
//! What a batch of states holds is said in [`crate::stage`].

use std::ops::Range;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema, SchemaRef};

use super::distinct::Distinct;
use super::group_table::GroupTable;
use crate::exec::batch::{BatchMaker, OUTPUT_ROWS};
use crate::exec::context::{QueryContext, Reservation};
use crate::exec::error::{ExecError, Result};
use crate::exec::eval::{Input, evaluate_array};
use crate::exec::sink::{Left, Sink};
use crate::expr::accumulator::{Accumulator, Slice, Slices};
use crate::expr::{AggregateCall, Expr};

/// Where a call's input stands in the input batch.
enum Intake {
    /// Arguments to compute from rows.
    Rows(Vec<Expr>),
    /// States to merge, in these columns.
    States(Range<usize>),
}

/// Groups rows.
pub(crate) struct Aggregate {
    keys: Vec<Expr>,
    calls: Vec<(Intake, Box<dyn Accumulator>)>,
    /// Names and types of the answers; `None` where states are put out.
    answers: Option<BatchMaker>,
    table: GroupTable,
    groups: Vec<u32>,
    slices: Vec<Slice>,
    memory: Reservation,
    ending: Option<Ending>,
}

/// The answers while they are put together.
struct Ending {
    slots: usize,
    columns: Vec<ArrayRef>,
    /// The next call.
    call: usize,
    /// All columns, and how many rows of them are out.
    made: Option<(RecordBatch, usize)>,
}

/// The accumulator of a call.
pub(crate) fn accumulator_of(call: &AggregateCall) -> Result<Box<dyn Accumulator>> {
    (call.function.accumulator)(&call.data_type)
}

impl Aggregate {
    /// Rows in, answers out.
    pub(crate) fn whole(
        keys: Vec<Expr>,
        calls: &[AggregateCall],
        schema: SchemaRef,
        context: &QueryContext,
    ) -> Result<Self> {
        let calls = calls
            .iter()
            .map(|call| {
                let mut inner = accumulator_of(call)?;
                if call.distinct {
                    inner = Box::new(Distinct::new(inner));
                }
                Ok((Intake::Rows(call.args.clone()), inner))
            })
            .collect::<Result<_>>()?;
        Ok(Self::new(keys, calls, Some(BatchMaker::new(schema)), context))
    }

    /// Rows in, states out; no call is distinct.
    pub(crate) fn partial(keys: Vec<Expr>, calls: &[AggregateCall], context: &QueryContext) -> Result<Self> {
        let calls = calls
            .iter()
            .map(|call| Ok((Intake::Rows(call.args.clone()), accumulator_of(call)?)))
            .collect::<Result<_>>()?;
        Ok(Self::new(keys, calls, None, context))
    }

    /// Partial batches in, answers out. `keys` group keys stand first; the distinct call `i` finds its values in the
    /// partial key column `distinct_columns[i]`; the states begin at column `states`.
    pub(crate) fn merge(
        keys: usize,
        calls: &[AggregateCall],
        distinct_columns: &[Option<usize>],
        states: usize,
        schema: SchemaRef,
        context: &QueryContext,
    ) -> Result<Self> {
        let mut next = states;
        let mut merged = Vec::with_capacity(calls.len());
        for (call, distinct) in calls.iter().zip(distinct_columns) {
            let inner = accumulator_of(call)?;
            merged.push(match distinct {
                Some(column) => {
                    let distinct: Box<dyn Accumulator> = Box::new(Distinct::new(inner));
                    (Intake::Rows(vec![Expr::Column(*column)]), distinct)
                }
                None => {
                    let from = next;
                    next += call.function.state_columns;
                    (Intake::States(from..next), inner)
                }
            });
        }
        let keys = (0..keys).map(Expr::Column).collect();
        Ok(Self::new(keys, merged, Some(BatchMaker::new(schema)), context))
    }

    fn new(
        keys: Vec<Expr>,
        calls: Vec<(Intake, Box<dyn Accumulator>)>,
        answers: Option<BatchMaker>,
        context: &QueryContext,
    ) -> Self {
        Self {
            keys,
            calls,
            answers,
            table: GroupTable::default(),
            groups: Vec::new(),
            slices: Vec::new(),
            memory: context.reservation(),
            ending: None,
        }
    }

    fn bytes(&self) -> usize {
        self.table.bytes() + self.calls.iter().map(|(_, accumulator)| accumulator.bytes()).sum::<usize>()
    }
}

/// Neighbouring rows of one group as one slice.
fn slices_of(groups: &[u32], slices: &mut Vec<Slice>) {
    slices.clear();
    for (row, &slot) in groups.iter().enumerate() {
        let row = row as u32;
        match slices.last_mut() {
            Some(last) if last.slot == slot => last.end = row + 1,
            _ => slices.push(Slice { slot, start: row, end: row + 1 }),
        }
    }
}

impl Aggregate {
    /// Takes in rows; columns that no expression reads may have any length.
    pub(crate) fn update(&mut self, input: Input<'_>) -> Result<()> {
        if input.rows == 0 {
            return Ok(());
        }
        let keys = self.keys.iter().map(|key| evaluate_array(key, input)).collect::<Result<Vec<_>>>()?;
        self.table.groups(&keys, input.rows, &mut self.groups)?;
        slices_of(&self.groups, &mut self.slices);
        let slices = Slices { slices: &self.slices, ascending: false };
        for (intake, accumulator) in &mut self.calls {
            accumulator.resize(self.table.len());
            match intake {
                Intake::Rows(args) => {
                    let args = args.iter().map(|arg| evaluate_array(arg, input)).collect::<Result<Vec<_>>>()?;
                    accumulator.update(&args, slices)?;
                }
                Intake::States(columns) => {
                    let states = input
                        .columns
                        .get(columns.clone())
                        .ok_or_else(|| ExecError::Internal("a partial batch lacks states".into()))?;
                    accumulator.merge(states, slices)?;
                }
            }
        }
        let bytes = self.bytes();
        self.memory.resize(bytes)
    }
}

impl Sink for Aggregate {
    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.update(Input { columns: batch.columns(), rows: batch.num_rows() })
    }

    fn end(&mut self) -> Result<()> {
        let mut slots = self.table.len();
        if self.keys.is_empty() && self.answers.is_some() {
            // Without GROUP BY there is one row, even over no rows.
            slots = 1;
        }
        if slots > 0 {
            self.ending = Some(Ending { slots, columns: Vec::new(), call: 0, made: None });
        }
        Ok(())
    }

    fn step(&mut self, out: &mut Vec<RecordBatch>) -> Result<Left> {
        let Some(ending) = &mut self.ending else { return Ok(Left::Nothing) };
        if let Some((batch, from)) = &mut ending.made {
            let rows = OUTPUT_ROWS.min(batch.num_rows() - *from);
            out.push(batch.slice(*from, rows));
            *from += rows;
            if *from == batch.num_rows() {
                self.ending = None;
            }
            return Ok(if self.ending.is_some() { Left::Work } else { Left::Nothing });
        }
        if ending.columns.is_empty() && !self.keys.is_empty() {
            ending.columns = self.table.key_columns()?;
            self.table = GroupTable::default();
            return Ok(Left::Work);
        }
        if let Some((_, accumulator)) = self.calls.get_mut(ending.call) {
            ending.call += 1;
            accumulator.resize(ending.slots);
            match self.answers {
                Some(_) => ending.columns.push(accumulator.results()?),
                None => ending.columns.extend(accumulator.states()?),
            }
            return Ok(Left::Work);
        }
        let columns = std::mem::take(&mut ending.columns);
        let batch = match &mut self.answers {
            Some(maker) => maker.make(columns, ending.slots)?,
            None => partial_batch(columns, ending.slots)?,
        };
        ending.made = Some((batch, 0));
        Ok(Left::Work)
    }
}

/// A batch of keys and states, whose columns need no names.
pub(crate) fn partial_batch(columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let fields: Vec<Field> = columns.iter().map(|c| Field::new("", c.data_type().clone(), true)).collect();
    BatchMaker::new(std::sync::Arc::new(Schema::new(fields))).make(columns, rows)
}
