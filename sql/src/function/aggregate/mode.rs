//! `mode(x)`: the value that is there most often; of several the one that was there first. `[value, time]`.

use std::collections::HashMap;
use std::ops::Range;

use arrow_array::ArrayRef;
use arrow_schema::DataType;

use super::scalars::{Values, column, held_type, items, lists, order};
use crate::error::execution::Result;
use crate::expr::accumulator::{Accumulator, Slices};
use crate::expr::aggregate::Needs;
use crate::expr::{AggregateCall, AggregateFunction, Expr, Scalar};
use crate::function::definition::{Aggregate, Documentation, wrong_arguments};

pub(super) static ENTRY: Aggregate = Aggregate::own(
    Documentation::new("mode", "mode(x)", "The value that is there most often, of several the least; null is none."),
    false,
    |name, mut arguments| {
        let Some(arg) = arguments.args.pop().filter(|_| arguments.args.is_empty() && !arguments.distinct) else {
            return Err(wrong_arguments(name, &arguments.args));
        };
        // Every row is there at the same time.
        let args = vec![arguments.only_if(arg.expr), Expr::Literal(Scalar::Int(0))];
        Ok(AggregateCall { function: &MODE, args, distinct: false, data_type: arg.data_type })
    },
);

/// The value that is there most often.
pub(crate) static MODE: AggregateFunction = AggregateFunction {
    name: "mode",
    accumulator: |result| Ok(Box::new(Mode { result: result.clone(), slots: Vec::new(), held: 0, text_bytes: 0 })),
    state_columns: 3,
    needs: Needs::Rows,
    end: None,
};

/// A value by what makes it equal to another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Bits(u64),
    Text(std::sync::Arc<str>),
}

pub(super) fn key(value: &Scalar) -> Key {
    match value {
        Scalar::Int(value) => Key::Bits(*value as u64),
        Scalar::UInt(value) => Key::Bits(*value),
        // Both zeros are one number.
        Scalar::Float(value) => Key::Bits((value + 0.0).to_bits()),
        Scalar::Bool(value) => Key::Bits(u64::from(*value)),
        Scalar::Str(text) => Key::Text(std::sync::Arc::clone(text)),
        _ => Key::Bits(0),
    }
}

struct Seen {
    value: Scalar,
    count: i64,
    first: i64,
}

struct Mode {
    result: DataType,
    slots: Vec<HashMap<Key, Seen>>,
    held: usize,
    text_bytes: usize,
}

impl Mode {
    fn add(&mut self, slot: usize, value: Scalar, count: i64, time: i64) {
        let Self { slots, held, text_bytes, .. } = self;
        let seen = slots[slot].entry(key(&value)).or_insert_with(|| {
            *held += 1;
            *text_bytes += if let Scalar::Str(text) = &value { text.len() } else { 0 };
            Seen { value, count: 0, first: i64::MAX }
        });
        seen.count += count;
        seen.first = seen.first.min(time);
    }
}

impl Accumulator for Mode {
    fn resize(&mut self, slots: usize) {
        self.slots.resize_with(slots, HashMap::new);
    }

    fn update(&mut self, args: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let (values, times) = (Values::of(&args[0])?, Values::of(&args[1])?);
        for slice in slices.slices {
            for row in slice.range().filter(|row| values.is_valid(*row)) {
                if let Scalar::Int(time) = times.get(row) {
                    self.add(slice.slot as usize, values.get(row), 1, time);
                }
            }
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let (values, offsets) = items(&states[0])?;
        let (values, counts, times) =
            (Values::of(values)?, Values::of(items(&states[1])?.0)?, Values::of(items(&states[2])?.0)?);
        for slice in slices.slices {
            for row in slice.range() {
                for at in offsets[row] as usize..offsets[row + 1] as usize {
                    if let (Scalar::Int(count), Scalar::Int(time)) = (counts.get(at), times.get(at)) {
                        self.add(slice.slot as usize, values.get(at), count, time);
                    }
                }
            }
        }
        Ok(())
    }

    fn states(&self, slots: Range<usize>) -> Result<Vec<ArrayRef>> {
        let slots = &self.slots[slots];
        let lengths = || slots.iter().map(HashMap::len);
        let all: Vec<&Seen> = slots.iter().flat_map(HashMap::values).collect();
        let value_type = all.first().map_or(DataType::Null, |seen| held_type(&seen.value));
        let ints = |of: fn(&Seen) -> i64| {
            let values: Vec<Scalar> = all.iter().map(|seen| Scalar::Int(of(seen))).collect();
            column(values.iter(), &DataType::Int64)
        };
        Ok(vec![
            lists(column(all.iter().map(|seen| &seen.value), &value_type)?, lengths())?,
            lists(ints(|seen| seen.count)?, lengths())?,
            lists(ints(|seen| seen.first)?, lengths())?,
        ])
    }

    fn results(&self, slots: Range<usize>) -> Result<ArrayRef> {
        let best = self.slots[slots].iter().map(|slot| {
            let best = slot.values().max_by(|one, other| {
                let by_value = || order(&other.value, &one.value);
                one.count.cmp(&other.count).then(other.first.cmp(&one.first)).then_with(by_value)
            });
            best.map_or(&Scalar::Null, |seen| &seen.value)
        });
        column(best, &self.result)
    }

    fn bytes(&self) -> usize {
        let entry = size_of::<(Key, Seen)>() * 2;
        self.slots.capacity() * size_of::<HashMap<Key, Seen>>() + self.held * entry + self.text_bytes
    }
}
