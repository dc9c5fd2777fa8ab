//! InfluxQL's `percentile(x, n)`: all values of a group are held, and put in order at the end.
//!
//! With `[value, n, time, answer, tie]` a percentile chooses a row, as in [`super::pick`], and a column of it is the
//! answer.

use std::ops::Range;

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_schema::DataType;

use super::scalars::{Values, column, held_type, items, lists, order};
use crate::error::execution::Result;
use crate::expr::accumulator::{Accumulator, Slices};
use crate::expr::aggregate::Needs;
use crate::expr::{AggregateFunction, Scalar};

/// The value of rank `n` percent.
pub(crate) static PERCENTILE: AggregateFunction = AggregateFunction {
    name: "percentile",
    accumulator: |result| Ok(Ranked::boxed(Rank::Percentile, result)),
    state_columns: 2,
    needs: Needs::Rows,
    end: None,
};

/// Of the row whose value has rank `n` percent.
pub(crate) static PICK_PERCENTILE: AggregateFunction = AggregateFunction {
    name: "of_percentile",
    accumulator: |result| Ok(Ranked::boxed(Rank::Pick, result)),
    state_columns: 5,
    needs: Needs::Rows,
    end: None,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    Percentile,
    Pick,
}

/// A value with what is known of its row.
#[derive(Debug, Clone)]
struct Held {
    value: Scalar,
    /// Time, answer and tie, where a row is picked.
    row: Option<Box<[Scalar; 3]>>,
}

struct Ranked {
    rank: Rank,
    result: DataType,
    /// The percentage of the call.
    percent: f64,
    slots: Vec<Vec<Held>>,
    held: usize,
    text_bytes: usize,
}

impl Ranked {
    fn boxed(rank: Rank, result: &DataType) -> Box<dyn Accumulator> {
        let result = result.clone();
        Box::new(Self { rank, result, percent: f64::NAN, slots: Vec::new(), held: 0, text_bytes: 0 })
    }

    fn hold(&mut self, slot: usize, held: Held) {
        self.held += 1;
        if let Some(row) = &held.row {
            self.text_bytes += size_of::<[Scalar; 3]>();
            self.text_bytes +=
                row.iter().map(|value| if let Scalar::Str(text) = value { text.len() } else { 0 }).sum::<usize>();
        }
        self.slots[slot].push(held);
    }

    fn answer(&self, held: &[Held]) -> Scalar {
        let mut sorted: Vec<&Held> = held.iter().collect();
        sorted.sort_by(|one, other| {
            let by_row = match (&one.row, &other.row) {
                (Some(one), Some(other)) => order(&one[0], &other[0]).then_with(|| order(&one[2], &other[2])),
                _ => std::cmp::Ordering::Equal,
            };
            order(&one.value, &other.value).then(by_row)
        });
        let len = sorted.len();
        let rank = (len as f64 * self.percent / 100.0 + 0.5).floor();
        if !(rank >= 1.0 && rank <= len as f64) {
            return Scalar::Null;
        }
        let chosen = sorted[rank as usize - 1];
        chosen.row.as_ref().map_or(&chosen.value, |row| &row[1]).clone()
    }
}

impl Accumulator for Ranked {
    fn resize(&mut self, slots: usize) {
        self.slots.resize_with(slots, Vec::new);
    }

    fn update(&mut self, args: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let columns = args.iter().map(Values::of).collect::<Result<Vec<_>>>()?;
        for slice in slices.slices {
            for row in slice.range().filter(|row| columns[0].is_valid(*row)) {
                if let Some(percent) = columns.get(1)
                    && let Scalar::Float(percent) = percent.get(row)
                {
                    self.percent = percent;
                }
                let picked = (self.rank == Rank::Pick)
                    .then(|| Box::new([2, 3, 4].map(|at| columns.get(at).map_or(Scalar::Null, |of| of.get(row)))));
                self.hold(slice.slot as usize, Held { value: columns[0].get(row), row: picked });
            }
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let percents = states[1].as_primitive::<arrow_array::types::Float64Type>();
        let (values, offsets) = items(&states[0])?;
        let columns = [values]
            .into_iter()
            .map(Ok)
            .chain(states[2..].iter().map(|state| items(state).map(|(items, _)| items)))
            .map(|column| column.and_then(Values::of))
            .collect::<Result<Vec<_>>>()?;
        for slice in slices.slices {
            for row in slice.range() {
                for at in offsets[row] as usize..offsets[row + 1] as usize {
                    self.percent = percents.value(row);
                    let picked = (self.rank == Rank::Pick)
                        .then(|| Box::new([1, 2, 3].map(|of| columns.get(of).map_or(Scalar::Null, |of| of.get(at)))));
                    self.hold(slice.slot as usize, Held { value: columns[0].get(at), row: picked });
                }
            }
        }
        Ok(())
    }

    fn states(&self, slots: Range<usize>) -> Result<Vec<ArrayRef>> {
        let slots = &self.slots[slots];
        let lengths = || slots.iter().map(Vec::len);
        let all = || slots.iter().flatten();
        let value_type = all().next().map_or(DataType::Null, |held| held_type(&held.value));
        let percents: Vec<Scalar> = slots.iter().map(|_| Scalar::Float(self.percent)).collect();
        let mut states = vec![
            lists(column(all().map(|held| &held.value), &value_type)?, lengths())?,
            column(percents.iter(), &DataType::Float64)?,
        ];
        if self.rank == Rank::Pick {
            for (at, data_type) in [&DataType::Int64, &self.result, &DataType::Utf8].into_iter().enumerate() {
                let of = all().map(|held| held.row.as_ref().map_or(&Scalar::Null, |row| &row[at]));
                states.push(lists(column(of, data_type)?, lengths())?);
            }
        }
        Ok(states)
    }

    fn results(&self, slots: Range<usize>) -> Result<ArrayRef> {
        let answers: Vec<Scalar> = self.slots[slots].iter().map(|held| self.answer(held)).collect();
        column(answers.iter(), &self.result)
    }

    fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Vec<Held>>() + self.held * size_of::<Held>() + self.text_bytes
    }
}
