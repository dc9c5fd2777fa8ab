//! GROUP BY by hash table, in all its roles: over rows or over the states that shards sent, giving states or answers.
//! What a batch of states holds is said in [`crate::stage`].

use std::ops::Range;
use std::rc::Rc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema, SchemaRef};

use super::distinct::Distinct;
use super::group_table::GroupTable;
use crate::error::execution::{ExecError, Result};
use crate::exec::batch::{BatchMaker, OUTPUT_ROWS};
use crate::exec::context::{QueryContext, Reservation};
use crate::exec::eval::{Input, Names, Room, evaluate_array};
use crate::exec::sink::{Left, Sink};
use crate::expr::accumulator::{Accumulator, Slice, Slices};
use crate::expr::{AggregateCall, Expr};

/// From this many groups on a new group costs some 100 ns of waiting for memory, so that rows are taken in few at a
/// time, and a state that doubles is copied for milliseconds, so that it is not left to do so together with others.
const MANY_GROUPS: usize = 1 << 16;

/// Rows taken in at a time where groups are many: about 1 ms if each is a new group.
const ROWS_AT_ONCE: usize = 2_048;

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
    /// Slots that each call has room for.
    slots: Vec<usize>,
    memory: Reservation,
    room: Rc<Room>,
    /// The groups that are not put out yet, once all rows are taken in.
    left: Range<usize>,
}

/// Room for the states of `groups` groups in each call, of which `slots` have room so far: what is full, and of what
/// soon will be the first one, at twice its size. Which calls get new room, and how much.
fn grown(slots: &[usize], groups: usize) -> impl Iterator<Item = (usize, usize)> {
    let soon = |room: usize| groups >= MANY_GROUPS && groups > room / 4 * 3;
    let first = slots.iter().position(|room| soon(*room));
    slots.iter().enumerate().filter_map(move |(call, room)| match first {
        Some(first) if first == call => Some((call, groups.max(room * 2))),
        _ => (groups > *room).then_some((call, groups)),
    })
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
            slots: Vec::new(),
            memory: context.reservation(),
            room: Rc::new(Room::new(context)),
            left: 0..0,
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
    /// Takes in `rows` rows whose columns, called `names`, are `columns`; those that no expression reads may have any
    /// length.
    pub(crate) fn update(&mut self, columns: &[ArrayRef], rows: usize, names: &dyn Names) -> Result<()> {
        let room = Rc::clone(&self.room);
        self.take_in(Input { columns, rows, names, room: &room })?;
        room.clear()
    }

    /// Takes in rows, half of them at a time where they make too much text at once.
    fn take_in(&mut self, input: Input<'_>) -> Result<()> {
        match self.take_in_at_once(input) {
            Err(ExecError::TextTooLong { .. }) if input.rows > 1 => {
                input.halves(|half| {
                    half.room.clear()?;
                    self.take_in(half)
                })?;
                Ok(())
            }
            taken => taken,
        }
    }

    /// The same; nothing is changed where text is too long.
    fn take_in_at_once(&mut self, input: Input<'_>) -> Result<()> {
        if input.rows == 0 {
            return Ok(());
        }
        let keys = self.keys.iter().map(|key| evaluate_array(key, input)).collect::<Result<Vec<_>>>()?;
        let mut args = Vec::with_capacity(self.calls.len());
        for (intake, _) in &self.calls {
            args.push(match intake {
                Intake::Rows(exprs) => {
                    exprs.iter().map(|arg| evaluate_array(arg, input)).collect::<Result<Vec<ArrayRef>>>()?
                }
                Intake::States(_) => Vec::new(),
            });
        }
        self.table.groups(&keys, input.rows, &mut self.groups)?;
        slices_of(&self.groups, &mut self.slices);
        let slices = Slices { slices: &self.slices, ascending: false };
        self.slots.resize(self.calls.len(), 0);
        let new_room: Vec<(usize, usize)> = grown(&self.slots, self.table.len()).collect();
        for (call, slots) in new_room {
            self.calls[call].1.resize(slots);
            self.slots[call] = slots;
        }
        for ((intake, accumulator), args) in self.calls.iter_mut().zip(&args) {
            match intake {
                Intake::Rows(_) => accumulator.update(args, slices)?,
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
    fn rows_at_once(&self) -> usize {
        if self.table.len() < MANY_GROUPS { usize::MAX } else { ROWS_AT_ONCE }
    }

    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.update(batch.columns(), batch.num_rows(), batch.schema_ref().as_ref())
    }

    fn end(&mut self) -> Result<()> {
        let mut slots = self.table.len();
        if self.keys.is_empty() && self.answers.is_some() {
            // Without GROUP BY there is one row, even over no rows.
            slots = 1;
        }
        self.slots.resize(self.calls.len(), 0);
        for ((_, accumulator), room) in self.calls.iter_mut().zip(&self.slots) {
            if *room < slots {
                accumulator.resize(slots);
            }
        }
        self.left = 0..slots;
        Ok(())
    }

    fn step(&mut self, out: &mut Vec<RecordBatch>) -> Result<Left> {
        if self.left.is_empty() {
            return Ok(Left::Nothing);
        }
        let slots = self.left.start..self.left.end.min(self.left.start + OUTPUT_ROWS);
        let mut columns = if self.keys.is_empty() { Vec::new() } else { self.table.key_columns(slots.clone())? };
        // All groups at once, and nothing after them.
        let is_all = slots == self.left && slots.start == 0;
        for (_, accumulator) in &mut self.calls {
            match &self.answers {
                Some(maker) => {
                    let answers = match is_all {
                        true => accumulator.take_results(slots.end),
                        false => accumulator.results(slots.clone()),
                    };
                    columns.push(answers.map_err(|error| named(error, maker.name(columns.len())))?);
                }
                None => columns.extend(match is_all {
                    true => accumulator.take_states(slots.end)?,
                    false => accumulator.states(slots.clone())?,
                }),
            }
        }
        out.push(match &mut self.answers {
            Some(maker) => maker.make(columns, slots.len())?,
            None => partial_batch(columns, slots.len())?,
        });
        self.left.start = slots.end;
        if !self.left.is_empty() {
            return Ok(Left::Work);
        }
        self.table = GroupTable::default();
        self.calls.clear();
        self.memory.resize(0)?;
        Ok(Left::Nothing)
    }
}

/// An overflow by the name of the column that it is in.
fn named(error: ExecError, column: &str) -> ExecError {
    match error {
        ExecError::Overflow { of, values } if column.is_empty() => ExecError::Overflow { of, values },
        ExecError::Overflow { values, .. } => ExecError::Overflow { of: column.to_owned(), values },
        other => other,
    }
}

/// A batch of keys and states, whose columns need no names.
pub(crate) fn partial_batch(columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let fields: Vec<Field> = columns.iter().map(|c| Field::new("", c.data_type().clone(), true)).collect();
    BatchMaker::new(std::sync::Arc::new(Schema::new(fields))).make(columns, rows)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::{Int64Type, UInt32Type};
    use arrow_array::{DictionaryArray, Int64Array, StringArray};
    use arrow_schema::DataType;

    use super::*;
    use crate::function::aggregate::{COUNT, COUNT_ROWS};
    use crate::types::array::cast_to;

    fn calls() -> Vec<AggregateCall> {
        let call = |function, args| AggregateCall { function, args, distinct: false, data_type: DataType::Int64 };
        vec![call(&COUNT_ROWS, Vec::new()), call(&COUNT, vec![Expr::Column(1)])]
    }

    /// What comes out at the end, and how many steps that takes.
    fn ended(aggregate: &mut Aggregate) -> (Vec<RecordBatch>, usize) {
        let (mut out, mut steps) = (Vec::new(), 1);
        aggregate.end().unwrap();
        while aggregate.step(&mut out).unwrap() == Left::Work {
            steps += 1;
            assert!(out.len() <= steps, "at most one batch a step");
        }
        (out, steps)
    }

    #[test]
    fn many_groups_leave_in_steps_from_rows_to_states_to_answers() {
        for (groups, as_dictionary) in [(30_000, true), (30_000, false), (700, true), (1, false)] {
            let context = QueryContext::new(1 << 30, None);
            let fields = ["key", "n", "s"].map(|name| Field::new(name, DataType::Int64, true));
            let mut fields = Vec::from(fields);
            fields[0] = Field::new("key", DataType::Utf8, true);
            let schema = Arc::new(Schema::new(fields));
            let mut merge = Aggregate::merge(1, &calls(), &[None, None], 1, schema, &context).unwrap();
            let mut expected = BTreeMap::<String, (i64, i64)>::new();
            for shard in 0..2i64 {
                let mut partial = Aggregate::partial(vec![Expr::Column(0)], &calls(), &context).unwrap();
                for from in (0..groups).step_by(5_000) {
                    let rows = from..groups.min(from + 5_000);
                    let keys: Vec<String> = rows.clone().map(|row| format!("host_{}", row * (1 + shard))).collect();
                    for (key, row) in keys.iter().zip(rows.clone()) {
                        let known = expected.entry(key.clone()).or_default();
                        *known = (known.0 + 1, known.1 + i64::from(row % 3 > 0));
                    }
                    let texts = keys.iter().map(|key| Some(key.as_str()));
                    let keys: ArrayRef = match as_dictionary {
                        true => Arc::new(texts.collect::<DictionaryArray<UInt32Type>>()),
                        false => Arc::new(texts.collect::<StringArray>()),
                    };
                    let count = keys.len();
                    let values: ArrayRef =
                        Arc::new(rows.map(|row| (row % 3 > 0).then_some(row)).collect::<Int64Array>());
                    partial.update(&[keys, values], count, &()).unwrap();
                }
                let (states, steps) = ended(&mut partial);
                assert_eq!(steps, (groups as usize).div_ceil(OUTPUT_ROWS));
                for batch in states {
                    assert!(batch.num_rows() <= OUTPUT_ROWS);
                    merge.push(batch).unwrap();
                }
            }
            let (answers, steps) = ended(&mut merge);
            assert_eq!(steps, expected.len().div_ceil(OUTPUT_ROWS));
            let mut found = BTreeMap::new();
            for batch in &answers {
                let keys = cast_to(batch.column(0), &DataType::Utf8).unwrap();
                let number = |column: usize, row| batch.column(column).as_primitive::<Int64Type>().value(row);
                for row in 0..batch.num_rows() {
                    let key = keys.as_string::<i32>().value(row).to_owned();
                    assert_eq!(found.insert(key, (number(1, row), number(2, row))), None);
                }
            }
            assert!(found == expected, "{groups} groups");
            assert_eq!(merge.memory.bytes(), 0, "what is out is not held");
        }
    }
}
