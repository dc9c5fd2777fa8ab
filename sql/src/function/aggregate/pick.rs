//! Selectors: one row of a group is chosen, and a column of it is the answer. `[value, time, answer, tie]`: the row is
//! chosen by its value and time, and between rows that are equal in both by the least tie, so that all calls with the
//! same three choose the same row, in whatever order rows come.

use std::cmp::Ordering;
use std::ops::Range;

use arrow_array::ArrayRef;
use arrow_schema::DataType;

use super::scalars::{Values, column, held_type, order};
use crate::error::execution::Result;
use crate::expr::accumulator::{Accumulator, Slices};
use crate::expr::aggregate::Needs;
use crate::expr::{AggregateFunction, Scalar};
use crate::types::array::texts;

/// What chooses the row.
#[derive(Debug, Clone, Copy)]
enum Choice {
    /// The greatest value, the earliest of those.
    Greatest,
    /// The least value, the earliest of those.
    Least,
    /// The earliest, the greatest value of those.
    Earliest,
    /// The latest, the greatest value of those.
    Latest,
}

const fn pick(name: &'static str, accumulator: fn(&DataType) -> Result<Box<dyn Accumulator>>) -> AggregateFunction {
    AggregateFunction { name, accumulator, state_columns: 4, needs: Needs::Rows, end: None }
}

/// Of the row with the greatest value.
pub(crate) static PICK_MAX: AggregateFunction = pick("of_max", |result| Ok(Pick::boxed(Choice::Greatest, result)));
/// Of the row with the least value.
pub(crate) static PICK_MIN: AggregateFunction = pick("of_min", |result| Ok(Pick::boxed(Choice::Least, result)));
/// Of the first row.
pub(crate) static PICK_FIRST: AggregateFunction = pick("of_first", |result| Ok(Pick::boxed(Choice::Earliest, result)));
/// Of the last row.
pub(crate) static PICK_LAST: AggregateFunction = pick("of_last", |result| Ok(Pick::boxed(Choice::Latest, result)));

struct Picked {
    value: Scalar,
    time: i64,
    answer: Scalar,
    tie: Box<str>,
}

struct Pick {
    choice: Choice,
    result: DataType,
    slots: Vec<Option<Picked>>,
    text_bytes: usize,
}

fn text_bytes(value: &Scalar) -> usize {
    if let Scalar::Str(text) = value { text.len() } else { 0 }
}

impl Picked {
    fn text_bytes(&self) -> usize {
        text_bytes(&self.value) + text_bytes(&self.answer) + self.tie.len()
    }
}

impl Pick {
    fn boxed(choice: Choice, result: &DataType) -> Box<dyn Accumulator> {
        Box::new(Self { choice, result: result.clone(), slots: Vec::new(), text_bytes: 0 })
    }

    /// Whether a row is chosen rather than `held`; its tie is asked for only where nothing else decides.
    fn beats(&self, value: &Scalar, time: i64, tie: impl FnOnce() -> Scalar, held: &Picked) -> bool {
        let (by_value, by_time) = (order(value, &held.value), time.cmp(&held.time));
        let decided = match self.choice {
            Choice::Greatest => by_value.then(by_time.reverse()),
            Choice::Least => by_value.reverse().then(by_time.reverse()),
            Choice::Earliest => by_time.reverse().then(by_value),
            Choice::Latest => by_time.then(by_value),
        };
        match decided {
            Ordering::Equal => matches!(tie(), Scalar::Str(tie) if *tie < *held.tie),
            decided => decided == Ordering::Greater,
        }
    }
}

impl Accumulator for Pick {
    fn resize(&mut self, slots: usize) {
        self.slots.resize_with(slots, || None);
    }

    fn update(&mut self, args: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let [values, times, answers, ties] = [0, 1, 2, 3].map(|at| Values::of(&args[at]));
        let (values, times, answers, ties) = (values?, times?, answers?, ties?);
        for slice in slices.slices {
            for row in slice.range() {
                if !values.is_valid(row) {
                    continue;
                }
                let (value, Scalar::Int(time)) = (values.get(row), times.get(row)) else { continue };
                let held = &self.slots[slice.slot as usize];
                if held.as_ref().is_none_or(|held| self.beats(&value, time, || ties.get(row), held)) {
                    let tie = if let Scalar::Str(tie) = ties.get(row) { tie.as_ref().into() } else { "".into() };
                    let picked = Picked { value, time, answer: answers.get(row), tie };
                    self.text_bytes += picked.text_bytes();
                    self.text_bytes -= held.as_ref().map_or(0, Picked::text_bytes);
                    self.slots[slice.slot as usize] = Some(picked);
                }
            }
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        self.update(states, slices)
    }

    fn states(&self, slots: Range<usize>) -> Result<Vec<ArrayRef>> {
        let slots = &self.slots[slots];
        let held = |of: fn(&Picked) -> &Scalar| slots.iter().map(move |slot| slot.as_ref().map_or(&Scalar::Null, of));
        let value_type = held(|picked| &picked.value).map(held_type).find(|held| *held != DataType::Null);
        let times: Vec<Scalar> =
            slots.iter().map(|slot| slot.as_ref().map_or(Scalar::Null, |picked| Scalar::Int(picked.time))).collect();
        let ties = texts(slots.iter().map(|slot| slot.as_ref().map(|picked| &*picked.tie)))?;
        Ok(vec![
            column(held(|picked| &picked.value), &value_type.unwrap_or(DataType::Null))?,
            column(times.iter(), &DataType::Int64)?,
            column(held(|picked| &picked.answer), &self.result)?,
            ties,
        ])
    }

    fn results(&self, slots: Range<usize>) -> Result<ArrayRef> {
        let answers = self.slots[slots].iter().map(|slot| slot.as_ref().map_or(&Scalar::Null, |picked| &picked.answer));
        column(answers, &self.result)
    }

    fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Option<Picked>>() + self.text_bytes
    }
}
