//! `bit_and`, `bit_or` and `bit_xor` of integers, `bool_and` and `bool_or`: words whose bits are folded one by one.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Int64Array, UInt64Array};
use arrow_schema::DataType;

use super::seen::Seen;
use crate::error::SqlErrorKind;
use crate::error::execution::{ExecError, Result};
use crate::expr::accumulator::{Accumulator, Slices};
use crate::expr::aggregate::Needs;
use crate::expr::{AggregateCall, AggregateFunction};
use crate::function::definition::{Aggregate, Documentation, wrong_arguments};
use crate::types::array::{cast_to, plain};

/// An aggregate that folds the bits of values.
macro_rules! folding {
    ($entry:ident, $function:ident, $name:literal, $heading:literal, $usage:literal, $text:literal, $bools:literal, $fold:ident) => {
        static $function: AggregateFunction = AggregateFunction {
            name: $name,
            accumulator: |result| {
                Ok(Box::new(Bits {
                    fold: Fold::$fold,
                    result: result.clone(),
                    slots: Vec::new(),
                    seen: Seen::default(),
                }))
            },
            state_columns: 1,
            needs: Needs::Rows,
            end: None,
        };

        pub(super) static $entry: Aggregate =
            Aggregate::own(Documentation::new($name, $usage, $text).heading($heading), false, |name, mut arguments| {
                let Some(arg) = arguments.args.pop().filter(|_| arguments.args.is_empty()) else {
                    return Err(wrong_arguments(name, &[]));
                };
                let fits = match arg.data_type {
                    DataType::Int64 | DataType::UInt64 => !$bools,
                    DataType::Boolean => $bools,
                    _ => false,
                };
                if !fits {
                    return Err(SqlErrorKind::AggregateArgument { heading: $heading, data_type: arg.data_type }.into());
                }
                // Of several equal values xor sees each, unless they are to count once.
                let distinct = arguments.distinct && Fold::$fold == Fold::Xor;
                let args = vec![arguments.only_if(arg.expr)];
                Ok(AggregateCall { function: &$function, args, distinct, data_type: arg.data_type })
            });
    };
}

folding!(
    BIT_AND_ENTRY,
    BIT_AND,
    "bit_and",
    "BIT_AND",
    "bit_and(i)",
    "Bits that all integers that are not null have, of their type.",
    false,
    And
);
folding!(
    BIT_OR_ENTRY,
    BIT_OR,
    "bit_or",
    "BIT_OR",
    "bit_or(i)",
    "Bits that some integer has, of their type.",
    false,
    Or
);
folding!(
    BIT_XOR_ENTRY,
    BIT_XOR,
    "bit_xor",
    "BIT_XOR",
    "bit_xor([DISTINCT] i)",
    "Bits that an odd number of integers have, of their type.",
    false,
    Xor
);
folding!(
    BOOL_AND_ENTRY,
    BOOL_AND,
    "bool_and",
    "BOOL_AND",
    "bool_and(b)",
    "Whether all values that are not null are true, BOOLEAN.",
    true,
    And
);
folding!(BOOL_OR_ENTRY, BOOL_OR, "bool_or", "BOOL_OR", "bool_or(b)", "Whether some value is true, BOOLEAN.", true, Or);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fold {
    And,
    Or,
    Xor,
}

struct Bits {
    fold: Fold,
    result: DataType,
    slots: Vec<u64>,
    seen: Seen,
}

impl Bits {
    fn take(&mut self, slot: usize, bits: u64) {
        let held = self.slots[slot];
        self.slots[slot] = match self.fold {
            _ if !self.seen.get(slot) => bits,
            Fold::And => held & bits,
            Fold::Or => held | bits,
            Fold::Xor => held ^ bits,
        };
        self.seen.mark(slot);
    }
}

/// The bits of each value.
fn words(array: &ArrayRef) -> Result<UInt64Array> {
    let array = plain(array)?;
    Ok(match array.data_type() {
        DataType::Int64 => array.as_primitive::<Int64Type>().unary(i64::cast_unsigned),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().clone(),
        DataType::Boolean => array.as_boolean().iter().map(|value| value.map(u64::from)).collect(),
        DataType::Null => UInt64Array::new_null(array.len()),
        other => return Err(ExecError::Internal(format!("bits of {other}"))),
    })
}

impl Accumulator for Bits {
    fn resize(&mut self, slots: usize) {
        self.slots.resize(slots, 0);
        self.seen.resize(slots);
    }

    fn update(&mut self, args: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let words = words(&args[0])?;
        for slice in slices.slices {
            for row in slice.range().filter(|row| words.is_valid(*row)) {
                self.take(slice.slot as usize, words.value(row));
            }
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        self.update(states, slices)
    }

    fn states(&self, slots: Range<usize>) -> Result<Vec<ArrayRef>> {
        let nulls = self.seen.nulls(slots.clone());
        Ok(vec![Arc::new(UInt64Array::new(self.slots[slots].to_vec().into(), nulls))])
    }

    fn results(&self, slots: Range<usize>) -> Result<ArrayRef> {
        let nulls = self.seen.nulls(slots.clone());
        let words = &self.slots[slots];
        Ok(match self.result {
            DataType::Int64 => {
                let values: Vec<i64> = words.iter().map(|word| word.cast_signed()).collect();
                Arc::new(Int64Array::new(values.into(), nulls))
            }
            DataType::Boolean => Arc::new(BooleanArray::new(words.iter().map(|word| *word != 0).collect(), nulls)),
            _ => cast_to(&(Arc::new(UInt64Array::new(words.to_vec().into(), nulls)) as ArrayRef), &self.result)?,
        })
    }

    fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u64>() + self.seen.bytes()
    }
}
