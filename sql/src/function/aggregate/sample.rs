//! `sample(x, n)`: a list of `n` values, chosen at random. `[value, n]`.
//!
//! Each value that is not null draws a number, and those with the least numbers stay: so samples of shards become one
//! by doing the same to what they kept, and each value has the same chance wherever it lies.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::{DataType, Field};

use super::scalars::{Values, column, items, lists};
use crate::error::execution::{ExecError, Result};
use crate::expr::accumulator::{Accumulator, Slices};
use crate::expr::aggregate::Needs;
use crate::expr::{AggregateCall, AggregateFunction, Expr, Scalar, Typed};
use crate::function::definition::{Aggregate, Documentation, wrong_arguments};

/// Values of a sample, as the reference has it.
const VALUES_MAX: i64 = 2_000;

pub(super) static ENTRY: Aggregate = Aggregate::own(
    Documentation::new(
        "sample",
        "sample(x, n)",
        "A list of `n` values that are not null, 1 to 2,000, chosen at random; of fewer all. CSV has no lists.",
    ),
    false,
    |name, mut arguments| {
        let count = arguments.args.get(1).and_then(Typed::constant);
        let count = match count {
            Some(Scalar::Int(count)) if (1..=VALUES_MAX).contains(&count) => count,
            _ => return Err(wrong_arguments(name, &arguments.args)),
        };
        if arguments.args.len() != 2 || arguments.distinct {
            return Err(wrong_arguments(name, &arguments.args));
        }
        arguments.args.truncate(1);
        let Some(value) = arguments.args.pop() else { return Err(wrong_arguments(name, &[])) };
        let data_type = DataType::List(Arc::new(Field::new("item", value.data_type.clone(), true)));
        let args = vec![arguments.only_if(value.expr), Expr::Literal(Scalar::Int(count))];
        Ok(AggregateCall { function: &FUNCTION, args, distinct: false, data_type })
    },
);

static FUNCTION: AggregateFunction = AggregateFunction {
    name: "sample",
    accumulator: |result| match result {
        DataType::List(item) => Ok(Box::new(Sample::new(item.data_type().clone()))),
        other => Err(ExecError::Internal(format!("a sample of {other}"))),
    },
    state_columns: 3,
    needs: Needs::Rows,
    end: None,
};

/// A value that is kept, and the number it drew.
struct Drawn {
    number: i64,
    value: Scalar,
}

impl PartialEq for Drawn {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Drawn {}

impl PartialOrd for Drawn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Drawn {
    fn cmp(&self, other: &Self) -> Ordering {
        self.number.cmp(&other.number)
    }
}

struct Sample {
    item: DataType,
    random: RandomState,
    drawn: u64,
    /// How many values each may keep; 0 before the first.
    counts: Vec<i64>,
    /// The greatest number is on top.
    slots: Vec<BinaryHeap<Drawn>>,
    held: usize,
    text_bytes: usize,
}

fn text_bytes(value: &Scalar) -> usize {
    if let Scalar::Str(text) = value { text.len() } else { 0 }
}

impl Sample {
    fn new(item: DataType) -> Self {
        let (counts, slots) = (Vec::new(), Vec::new());
        Self { item, random: RandomState::new(), drawn: 0, counts, slots, held: 0, text_bytes: 0 }
    }

    fn draw(&mut self) -> i64 {
        self.drawn += 1;
        self.random.hash_one(self.drawn) as i64
    }

    fn add(&mut self, slot: usize, number: i64, value: impl FnOnce() -> Scalar) {
        let heap = &mut self.slots[slot];
        if heap.len() as i64 >= self.counts[slot] {
            match heap.peek() {
                Some(greatest) if greatest.number > number => {}
                _ => return,
            }
            if let Some(out) = heap.pop() {
                self.held -= 1;
                self.text_bytes -= text_bytes(&out.value);
            }
        }
        let value = value();
        self.held += 1;
        self.text_bytes += text_bytes(&value);
        heap.push(Drawn { number, value });
    }

    /// The values of some slots one after the other, and how many there are of each.
    fn values(&self, slots: Range<usize>) -> Result<ArrayRef> {
        let heaps = &self.slots[slots];
        let values = heaps.iter().flat_map(|heap| heap.iter().map(|drawn| &drawn.value));
        lists(column(values, &self.item)?, heaps.iter().map(BinaryHeap::len))
    }
}

impl Accumulator for Sample {
    fn resize(&mut self, slots: usize) {
        self.slots.resize_with(slots, BinaryHeap::new);
        self.counts.resize(slots, 0);
    }

    fn update(&mut self, args: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let (values, counts) = (Values::of(&args[0])?, Values::of(&args[1])?);
        for slice in slices.slices {
            let slot = slice.slot as usize;
            for row in slice.range().filter(|row| values.is_valid(*row)) {
                if let Scalar::Int(count) = counts.get(row) {
                    self.counts[slot] = count;
                }
                let number = self.draw();
                self.add(slot, number, || values.get(row));
            }
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let (values, offsets) = items(&states[0])?;
        let (values, numbers) = (Values::of(values)?, Values::of(items(&states[1])?.0)?);
        let counts = Values::of(&states[2])?;
        for slice in slices.slices {
            let slot = slice.slot as usize;
            for row in slice.range() {
                if let Scalar::Int(count) = counts.get(row) {
                    self.counts[slot] = self.counts[slot].max(count);
                }
                for at in offsets[row] as usize..offsets[row + 1] as usize {
                    if let Scalar::Int(number) = numbers.get(at) {
                        self.add(slot, number, || values.get(at));
                    }
                }
            }
        }
        Ok(())
    }

    fn states(&self, slots: Range<usize>) -> Result<Vec<ArrayRef>> {
        let heaps = &self.slots[slots.clone()];
        let numbers: Vec<Scalar> =
            heaps.iter().flat_map(|heap| heap.iter().map(|drawn| Scalar::Int(drawn.number))).collect();
        let numbers = column(numbers.iter(), &DataType::Int64)?;
        let counts: Vec<Scalar> = self.counts[slots.clone()].iter().map(|count| Scalar::Int(*count)).collect();
        Ok(vec![
            self.values(slots)?,
            lists(numbers, heaps.iter().map(BinaryHeap::len))?,
            column(counts.iter(), &DataType::Int64)?,
        ])
    }

    fn results(&self, slots: Range<usize>) -> Result<ArrayRef> {
        self.values(slots)
    }

    fn bytes(&self) -> usize {
        let slot = size_of::<BinaryHeap<Drawn>>() + size_of::<i64>();
        // A heap grows by doubling.
        self.slots.capacity() * slot + 2 * self.held * size_of::<Drawn>() + self.text_bytes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use arrow_array::Int64Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;

    use super::*;
    use crate::expr::accumulator::Slice;

    fn slice(rows: usize) -> Slice {
        Slice { slot: 0, start: 0, end: rows as u32 }
    }

    fn sample_of(values: Range<i64>, count: i64) -> Sample {
        let mut sample = Sample::new(DataType::Int64);
        sample.resize(1);
        let rows = (values.end - values.start) as usize;
        let args: [ArrayRef; 2] =
            [Arc::new(Int64Array::from_iter_values(values)), Arc::new(Int64Array::from_value(count, rows))];
        sample.update(&args, Slices { slices: &[slice(rows)], ascending: false }).unwrap();
        sample
    }

    fn values_of(sample: &Sample) -> Vec<i64> {
        let lists = sample.results(0..1).unwrap();
        lists.as_list::<i32>().value(0).as_primitive::<Int64Type>().values().to_vec()
    }

    #[test]
    fn it_has_as_many_values_as_it_may_and_each_once() {
        for (there, wanted, expected) in [(1_000, 7, 7), (5, 7, 5), (2_000, 2_000, 2_000)] {
            let values: BTreeSet<i64> = values_of(&sample_of(0..there, wanted)).into_iter().collect();
            assert_eq!(values.len(), expected);
            assert!(values.iter().all(|value| (0..there).contains(value)));
        }
    }

    #[test]
    fn samples_of_shards_are_one_with_the_least_numbers() {
        let mut all = Sample::new(DataType::Int64);
        all.resize(1);
        let mut drawn = Vec::new();
        for shard in 0..4 {
            let part = sample_of(shard * 100..shard * 100 + 100, 9);
            drawn.extend(part.slots[0].iter().map(|one| (one.number, one.value.clone())));
            let states = part.states(0..1).unwrap();
            all.merge(&states, Slices { slices: &[slice(1)], ascending: false }).unwrap();
        }
        drawn.sort_by_key(|(number, _)| *number);
        let expected: BTreeSet<i64> =
            drawn[..9].iter().map(|(_, value)| if let Scalar::Int(value) = value { *value } else { -1 }).collect();
        assert_eq!(values_of(&all).into_iter().collect::<BTreeSet<_>>(), expected);
        assert_eq!(all.held, 9);
    }
}
