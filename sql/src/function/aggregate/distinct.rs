//! `approx_distinct`: how many values there are, by HyperLogLog.
//!
//! Up to [`EXACT_MAX`] hashes are held as they are, and counted; of more, only the greatest number of leading zeros in
//! each of 2^14 classes, whose standard error is 0.8 %. The state of either is a list of words.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, UInt64Array};
use arrow_schema::DataType;
use rapidhash::v3::rapidhash_v3;

use super::scalars::{items, lists};
use crate::error::execution::{ExecError, Result};
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::accumulator::{Accumulator, Slices};
use crate::expr::aggregate::Needs;
use crate::expr::{AggregateCall, AggregateFunction};
use crate::function::definition::{Aggregate, Documentation, wrong_arguments};
use crate::types::array::plain;

pub(super) static ENTRY: Aggregate = Aggregate::own(
    Documentation::new(
        "approx_distinct",
        "approx_distinct(x)",
        "About how many values there are of an integer or a text, null not counted, BIGINT UNSIGNED; exact up to 1,024.",
    )
    .heading("APPROX_DISTINCT"),
    false,
    |name, mut arguments| {
        let Some(arg) = arguments.args.pop().filter(|_| arguments.args.is_empty()) else {
            return Err(wrong_arguments(name, &[]));
        };
        if !matches!(arg.data_type, DataType::Int64 | DataType::UInt64 | DataType::Utf8) {
            let kind = SqlErrorKind::AggregateArgument { heading: "APPROX_DISTINCT", data_type: arg.data_type };
            return Err(SqlError::new(kind));
        }
        let args = vec![arguments.only_if(arg.expr)];
        Ok(AggregateCall { function: &FUNCTION, args, distinct: false, data_type: DataType::UInt64 })
    },
);

static FUNCTION: AggregateFunction = AggregateFunction {
    name: "approx_distinct",
    accumulator: |_| Ok(Box::new(Distinct::default())),
    state_columns: 2,
    needs: Needs::Rows,
    end: None,
};

/// Hashes that are held as they are.
const EXACT_MAX: usize = 1_024;
/// Bits of a hash that choose its class.
const CLASS_BITS: u32 = 14;
const CLASSES: usize = 1 << CLASS_BITS;
/// Classes in a word of the state, a byte each.
const CLASSES_PER_WORD: usize = 8;

/// Hashes are spread already.
#[derive(Default)]
struct Spread(u64);

impl std::hash::Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

type Hashes = HashSet<u64, BuildHasherDefault<Spread>>;

enum Sketch {
    Exact(Hashes),
    Classes(Vec<u8>),
}

impl Sketch {
    fn add(&mut self, hash: u64) {
        match self {
            Self::Exact(hashes) => {
                hashes.insert(hash);
                if hashes.len() > EXACT_MAX {
                    let mut classes = vec![0; CLASSES];
                    hashes.iter().for_each(|hash| note(&mut classes, *hash));
                    *self = Self::Classes(classes);
                }
            }
            Self::Classes(classes) => note(classes, hash),
        }
    }

    fn count(&self) -> u64 {
        let classes = match self {
            Self::Exact(hashes) => return hashes.len() as u64,
            Self::Classes(classes) => classes,
        };
        let count = CLASSES as f64;
        let sum: f64 = classes.iter().map(|zeros| (-f64::from(*zeros)).exp2()).sum();
        let estimate = 0.7213 / (1.0 + 1.079 / count) * count * count / sum;
        let empty = classes.iter().filter(|zeros| **zeros == 0).count();
        // Few values leave classes empty, and their number says more.
        let estimate =
            if estimate <= 2.5 * count && empty > 0 { count * (count / empty as f64).ln() } else { estimate };
        estimate.round() as u64
    }

    /// The state, with whether it is of classes.
    fn words(&self) -> (bool, Vec<u64>) {
        match self {
            Self::Exact(hashes) => {
                let mut words: Vec<u64> = hashes.iter().copied().collect();
                words.sort_unstable();
                (false, words)
            }
            Self::Classes(classes) => {
                let word = |bytes: &[u8]| bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
                (true, classes.chunks(CLASSES_PER_WORD).map(word).collect())
            }
        }
    }

    /// Takes in a state of classes.
    fn merge_classes(&mut self, words: &[u64]) {
        let mut classes = match std::mem::replace(self, Self::Classes(Vec::new())) {
            Self::Classes(classes) => classes,
            Self::Exact(hashes) => {
                let mut classes = vec![0; CLASSES];
                hashes.iter().for_each(|hash| note(&mut classes, *hash));
                classes
            }
        };
        for (held, word) in classes.chunks_mut(CLASSES_PER_WORD).zip(words) {
            for (class, byte) in held.iter_mut().zip(word.to_be_bytes()) {
                *class = (*class).max(byte);
            }
        }
        *self = Self::Classes(classes);
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Exact(hashes) => hashes.capacity() * (size_of::<u64>() + 1),
            Self::Classes(classes) => classes.capacity(),
        }
    }
}

fn note(classes: &mut [u8], hash: u64) {
    let class = (hash >> (u64::BITS - CLASS_BITS)) as usize;
    let zeros = (hash << CLASS_BITS | 1 << (CLASS_BITS - 1)).leading_zeros() as u8 + 1;
    if let Some(held) = classes.get_mut(class) {
        *held = (*held).max(zeros);
    }
}

#[derive(Default)]
struct Distinct {
    slots: Vec<Sketch>,
    bytes: usize,
}

impl Distinct {
    fn change(&mut self, slot: usize, change: impl FnOnce(&mut Sketch)) {
        let before = self.slots[slot].bytes();
        change(&mut self.slots[slot]);
        self.bytes = (self.bytes + self.slots[slot].bytes()).saturating_sub(before);
    }
}

impl Accumulator for Distinct {
    fn resize(&mut self, slots: usize) {
        self.slots.resize_with(slots, || Sketch::Exact(Hashes::default()));
    }

    fn update(&mut self, args: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let column = plain(&args[0])?;
        let hash: Box<dyn Fn(usize) -> u64> = match column.data_type() {
            DataType::Int64 => {
                let values = column.as_primitive::<Int64Type>().clone();
                Box::new(move |row| rapidhash_v3(&values.value(row).to_le_bytes()))
            }
            DataType::UInt64 => {
                let values = column.as_primitive::<UInt64Type>().clone();
                Box::new(move |row| rapidhash_v3(&values.value(row).to_le_bytes()))
            }
            DataType::Utf8 => {
                let values = column.as_string::<i32>().clone();
                Box::new(move |row| rapidhash_v3(values.value(row).as_bytes()))
            }
            DataType::Null => return Ok(()),
            other => return Err(ExecError::Internal(format!("hashes of {other}"))),
        };
        for slice in slices.slices {
            for row in slice.range().filter(|row| column.is_valid(*row)) {
                self.change(slice.slot as usize, |sketch| sketch.add(hash(row)));
            }
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let (words, offsets) = items(&states[0])?;
        let words = words.as_primitive::<UInt64Type>().values();
        let of_classes = states[1].as_boolean();
        for slice in slices.slices {
            for row in slice.range() {
                let words = &words[offsets[row] as usize..offsets[row + 1] as usize];
                self.change(slice.slot as usize, |sketch| match of_classes.value(row) {
                    true => sketch.merge_classes(words),
                    false => words.iter().for_each(|hash| sketch.add(*hash)),
                });
            }
        }
        Ok(())
    }

    fn states(&self, slots: Range<usize>) -> Result<Vec<ArrayRef>> {
        let states: Vec<(bool, Vec<u64>)> = self.slots[slots].iter().map(Sketch::words).collect();
        let words: ArrayRef =
            Arc::new(states.iter().flat_map(|(_, words)| words).map(|word| Some(*word)).collect::<UInt64Array>());
        let of_classes: BooleanArray = states.iter().map(|(of_classes, _)| Some(*of_classes)).collect();
        Ok(vec![lists(words, states.iter().map(|(_, words)| words.len()))?, Arc::new(of_classes)])
    }

    fn results(&self, slots: Range<usize>) -> Result<ArrayRef> {
        Ok(Arc::new(self.slots[slots].iter().map(|sketch| Some(sketch.count())).collect::<UInt64Array>()))
    }

    fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Sketch>() + self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sketch(values: Range<u64>) -> Sketch {
        let mut sketch = Sketch::Exact(Hashes::default());
        values.for_each(|value| sketch.add(rapidhash_v3(&value.to_le_bytes())));
        sketch
    }

    #[test]
    fn few_are_exact_and_many_are_near() {
        assert_eq!(sketch(0..0).count(), 0);
        assert_eq!(sketch(0..1_024).count(), 1_024);
        for count in [5_000_u64, 100_000, 1_000_000] {
            let found = sketch(0..count).count();
            assert!(found.abs_diff(count) < count / 25, "{found} of {count}");
        }
    }

    #[test]
    fn merged_sketches_count_as_one_that_saw_all() {
        let whole = sketch(0..50_000);
        for middle in [10, 500, 30_000] {
            let mut merged = sketch(0..middle);
            match sketch(middle..50_000).words() {
                (true, words) => merged.merge_classes(&words),
                (false, words) => words.iter().for_each(|hash| merged.add(*hash)),
            }
            assert_eq!(merged.count(), whole.count());
        }
    }
}
