//! Values that differ from row to row and from call to call. The generator begins anew, somewhere else, at each call;
//! it is none for secrets.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, StringArray};

use super::definition::{Documentation, Function, Signature};
use crate::expr::ScalarFunction;
use crate::expr::function::{Kernel, Returns};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::of(
        Documentation::new("random", "random()", "A number from 0 up to 1, another one in each row, DOUBLE."),
        Signature::of(&[]),
        ScalarFunction::new("random", Returns::Double, Kernel::Volatile(numbers)),
    ),
    Function::of(
        Documentation::new("uuid", "uuid()", "A random UUID (version 4) as text, another one in each row."),
        Signature::of(&[]),
        ScalarFunction::new("uuid", Returns::Text, Kernel::Volatile(uuids)),
    ),
];

fn numbers(rows: usize) -> ArrayRef {
    let state = RandomState::new();
    // The 53 bits that a double of this range has.
    let number = |row: usize| (state.hash_one(row) >> 11) as f64 / (1_u64 << 53) as f64;
    Arc::new((0..rows).map(|row| Some(number(row))).collect::<Float64Array>())
}

fn uuids(rows: usize) -> ArrayRef {
    let state = RandomState::new();
    let uuid = |row: usize| {
        let bits = u128::from(state.hash_one((row, 0))) << 64 | u128::from(state.hash_one((row, 1)));
        // Version 4, variant 1.
        let bits = bits & !(0xF << 76 | 0b11 << 62) | 4 << 76 | 0b10 << 62;
        let digits = format!("{bits:032x}");
        [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
    };
    Arc::new((0..rows).map(|row| Some(uuid(row))).collect::<StringArray>())
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;

    use super::*;

    #[test]
    fn uuids_are_of_version_4_and_differ() {
        let column = uuids(100);
        let texts: Vec<&str> = column.as_string::<i32>().iter().flatten().collect();
        for text in &texts {
            assert_eq!(text.len(), 36);
            assert_eq!(&text[14..15], "4", "{text}");
            assert!("89ab".contains(&text[19..20]), "{text}");
        }
        let distinct: std::collections::HashSet<&str> = texts.into_iter().collect();
        assert_eq!(distinct.len(), column.len());
    }
}
