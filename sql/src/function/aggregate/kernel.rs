//! Loops over contiguous values that the compiler turns into vector code, and the numeric lanes they work on.
//!
//! Floats add in eight independent partial sums: an order fixed by the length alone, fast and more accurate than one
//! running sum.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float64Type, Int64Type, UInt64Type};
use arrow_buffer::NullBuffer;
use tidewire_storage::segment::{Statistics, Summary};

use crate::expr::accumulator::Slices;
use crate::types::float;

/// Independent partial results of a reduction: enough to hide the latency of an addition and to fill two vectors.
const LANES: usize = 8;

/// A numeric lane.
pub(super) trait Lane: ArrowPrimitiveType {
    /// Sum of values: wrapping for integers.
    fn sum(values: &[Self::Native]) -> Self::Native;
    /// Sum of two: wrapping for integers.
    fn plus(a: Self::Native, b: Self::Native) -> Self::Native;
    /// Sum as DOUBLE, exact before the last rounding as long as integers stay below 2^40.
    fn float_sum(values: &[Self::Native]) -> f64;
    /// As DOUBLE.
    fn float(value: Self::Native) -> f64;
    /// Least or greatest of values, which are not empty.
    fn extreme(values: &[Self::Native], greatest: bool) -> Self::Native;
    /// Whether `a` is greater than `b`, NaN being greatest.
    fn greater(a: Self::Native, b: Self::Native) -> bool;
    /// The one value that stands for all equal ones.
    fn canonical(value: Self::Native) -> Self::Native;
    /// Statistics of a block, if they are of this lane.
    fn statistics(of: &Statistics) -> Option<Summary<Self::Native>>;
}

/// A lane of integers, whose sums are exact in 128 bits.
pub(super) trait IntegerLane: Lane {
    /// A value in 128 bits.
    fn wide(value: Self::Native) -> i128;
    /// The exact sum of values.
    fn wide_sum(values: &[Self::Native]) -> i128;
    /// A sum as a value of the lane; `None` where it does not fit.
    fn narrow(sum: i128) -> Option<Self::Native>;
}

/// Reduces in [`LANES`] independent partial results.
#[inline(always)]
fn reduce<T: Copy, A: Copy>(values: &[T], zero: A, step: impl Fn(A, T) -> A, join: impl Fn(A, A) -> A) -> A {
    let mut lanes = [zero; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = step(*lane, value);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane = step(*lane, value);
    }
    let mut total = lanes[0];
    for &lane in &lanes[1..] {
        total = join(total, lane);
    }
    total
}

/// Below this magnitude (2^40) the i64 sum of a chunk, at most 2^22 values, cannot overflow.
const SMALL: i64 = 1 << 40;

/// Longest slice that [`SMALL`] speaks of.
const SMALL_ROWS: usize = 1 << 22;

/// The same as a cast, which is a call of a library for 128 bits and an instruction for 64.
#[inline]
fn float_of(sum: i128) -> f64 {
    /// Apart, for the compiler takes a cast to be cheap and would do both.
    #[cold]
    #[inline(never)]
    fn cast(sum: i128) -> f64 {
        sum as f64
    }
    match i64::try_from(sum) {
        Ok(sum) => sum as f64,
        Err(_) => cast(sum),
    }
}

impl Lane for Int64Type {
    fn sum(values: &[i64]) -> i64 {
        reduce(values, 0, i64::wrapping_add, i64::wrapping_add)
    }

    fn plus(a: i64, b: i64) -> i64 {
        a.wrapping_add(b)
    }

    fn float_sum(values: &[i64]) -> f64 {
        float_of(Self::wide_sum(values))
    }

    fn float(value: i64) -> f64 {
        value as f64
    }

    fn extreme(values: &[i64], greatest: bool) -> i64 {
        if greatest {
            reduce(values, i64::MIN, i64::max, i64::max)
        } else {
            reduce(values, i64::MAX, i64::min, i64::min)
        }
    }

    fn greater(a: i64, b: i64) -> bool {
        a > b
    }

    fn canonical(value: i64) -> i64 {
        value
    }

    fn statistics(of: &Statistics) -> Option<Summary<i64>> {
        if let Statistics::Int(summary) = of { Some(*summary) } else { None }
    }
}

impl IntegerLane for Int64Type {
    fn wide(value: i64) -> i128 {
        value.into()
    }

    fn wide_sum(values: &[i64]) -> i128 {
        // A value in -SMALL..SMALL, moved up by SMALL, has no bit above 2 * SMALL - 1. Two passes become vector code,
        // one that keeps sums and bits does not.
        let bits = reduce(values, 0, |bits, v| bits | v.wrapping_add(SMALL) as u64, |a, b| a | b);
        if bits < (SMALL as u64) * 2 && values.len() <= SMALL_ROWS {
            Self::sum(values).into()
        } else {
            values.iter().map(|&v| i128::from(v)).sum()
        }
    }

    fn narrow(sum: i128) -> Option<i64> {
        sum.try_into().ok()
    }
}

impl Lane for UInt64Type {
    fn sum(values: &[u64]) -> u64 {
        reduce(values, 0, u64::wrapping_add, u64::wrapping_add)
    }

    fn plus(a: u64, b: u64) -> u64 {
        a.wrapping_add(b)
    }

    fn float_sum(values: &[u64]) -> f64 {
        float_of(Self::wide_sum(values))
    }

    fn float(value: u64) -> f64 {
        value as f64
    }

    fn extreme(values: &[u64], greatest: bool) -> u64 {
        if greatest {
            reduce(values, u64::MIN, u64::max, u64::max)
        } else {
            reduce(values, u64::MAX, u64::min, u64::min)
        }
    }

    fn greater(a: u64, b: u64) -> bool {
        a > b
    }

    fn canonical(value: u64) -> u64 {
        value
    }

    fn statistics(of: &Statistics) -> Option<Summary<u64>> {
        if let Statistics::UInt(summary) = of { Some(*summary) } else { None }
    }
}

impl IntegerLane for UInt64Type {
    fn wide(value: u64) -> i128 {
        value.into()
    }

    fn wide_sum(values: &[u64]) -> i128 {
        let bits = reduce(values, 0, |bits, v| bits | v, |a, b| a | b);
        if bits < SMALL as u64 && values.len() <= SMALL_ROWS {
            Self::sum(values).into()
        } else {
            values.iter().map(|&v| i128::from(v)).sum()
        }
    }

    fn narrow(sum: i128) -> Option<u64> {
        sum.try_into().ok()
    }
}

impl Lane for Float64Type {
    fn sum(values: &[f64]) -> f64 {
        reduce(values, 0.0, |a, b| a + b, |a, b| a + b)
    }

    fn plus(a: f64, b: f64) -> f64 {
        a + b
    }

    fn float_sum(values: &[f64]) -> f64 {
        Self::sum(values)
    }

    fn float(value: f64) -> f64 {
        value
    }

    fn extreme(values: &[f64], greatest: bool) -> f64 {
        // These selections are the machine's own minimum and maximum, which pass over NaN; NaNs are counted beside.
        let (best, nan) = if greatest {
            reduce(
                values,
                (f64::NEG_INFINITY, false),
                |(best, nan), v| (if v > best { v } else { best }, nan | v.is_nan()),
                |a, b| (if a.0 > b.0 { a.0 } else { b.0 }, a.1 | b.1),
            )
        } else {
            reduce(
                values,
                (f64::INFINITY, false),
                |(best, nan), v| (if v < best { v } else { best }, nan | v.is_nan()),
                |a, b| (if a.0 < b.0 { a.0 } else { b.0 }, a.1 | b.1),
            )
        };
        if nan && (greatest || values.iter().all(|v| v.is_nan())) { f64::NAN } else { best }
    }

    fn greater(a: f64, b: f64) -> bool {
        float::less(b, a)
    }

    fn canonical(value: f64) -> f64 {
        float::canonical(value)
    }

    fn statistics(of: &Statistics) -> Option<Summary<f64>> {
        if let Statistics::Float(summary) = of { Some(*summary) } else { None }
    }
}

/// The rows of a slice that are not null.
#[derive(Debug)]
pub(super) enum Present<'a> {
    /// Every row.
    All,
    /// No row.
    None,
    /// Those whose bit is set.
    Some(&'a NullBuffer),
}

/// How `start..end` of a column with `nulls` stands.
#[inline]
pub(super) fn present(nulls: Option<&NullBuffer>, start: usize, end: usize) -> Present<'_> {
    match nulls {
        None => Present::All,
        Some(nulls) => {
            let set = if end - start == 1 {
                usize::from(nulls.is_valid(start))
            } else {
                nulls.inner().slice(start, end - start).count_set_bits()
            };
            match set {
                0 => Present::None,
                set if set == end - start => Present::All,
                _ => Present::Some(nulls),
            }
        }
    }
}

/// Calls `kernel` with the slot and the values of each run of consecutive present rows of `slices` of an array of the
/// lane.
#[inline]
pub(super) fn each_run<T: Lane>(array: &dyn Array, slices: Slices<'_>, mut kernel: impl FnMut(usize, &[T::Native])) {
    let values = array.as_primitive::<T>().values();
    for slice in slices.slices {
        let range = slice.range();
        each_present_run(array.nulls(), range.start, range.end, |run| kernel(slice.slot as usize, &values[run]));
    }
}

/// Calls `kernel` with each run of consecutive present rows of `start..end`.
#[inline]
fn each_present_run(
    nulls: Option<&NullBuffer>,
    start: usize,
    end: usize,
    mut kernel: impl FnMut(std::ops::Range<usize>),
) {
    match present(nulls, start, end) {
        Present::All => kernel(start..end),
        Present::None => {}
        Present::Some(nulls) => {
            for (from, to) in nulls.inner().slice(start, end - start).set_slices() {
                kernel(start + from..start + to);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reductions_equal_the_plain_loop() {
        let seed = crate::exec::testing::seed();
        let mut random = fastrand::Rng::with_seed(seed);
        for length in (0..40).chain([1000, 4097]) {
            let shift = random.u32(0..64);
            let ints: Vec<i64> = (0..length).map(|_| random.i64(..) >> shift).collect();
            let exact: i128 = ints.iter().map(|&v| i128::from(v)).sum();
            assert_eq!(Int64Type::wide_sum(&ints), exact, "TIDEWIRE_SEED={seed}");
            assert_eq!(Int64Type::sum(&ints), exact as i64, "TIDEWIRE_SEED={seed}");
            assert_eq!(Int64Type::float_sum(&ints), exact as f64, "shift {shift} TIDEWIRE_SEED={seed}");
            let uints: Vec<u64> = (0..length).map(|_| random.u64(..) >> shift).collect();
            let exact: i128 = uints.iter().map(|&v| i128::from(v)).sum();
            assert_eq!(UInt64Type::wide_sum(&uints), exact, "TIDEWIRE_SEED={seed}");
            assert_eq!(UInt64Type::sum(&uints), exact as u64, "TIDEWIRE_SEED={seed}");
            assert_eq!(UInt64Type::float_sum(&uints), exact as f64, "TIDEWIRE_SEED={seed}");
            if length > 0 {
                assert_eq!(Some(Int64Type::extreme(&ints, true)), ints.iter().copied().max());
                assert_eq!(Some(Int64Type::extreme(&ints, false)), ints.iter().copied().min());
                assert_eq!(Some(UInt64Type::extreme(&uints, true)), uints.iter().copied().max());
                assert_eq!(Some(UInt64Type::extreme(&uints, false)), uints.iter().copied().min());
            }
        }
    }

    #[test]
    fn nan_is_the_greatest_float() {
        let mut values = vec![1.5; 21];
        values[17] = f64::NAN;
        values[3] = -2.0;
        assert_eq!(Float64Type::extreme(&values, false), -2.0);
        assert!(Float64Type::extreme(&values, true).is_nan());
        assert!(Float64Type::extreme(&[f64::NAN], false).is_nan());
        assert_eq!(Float64Type::extreme(&[f64::INFINITY], false), f64::INFINITY);
        assert_eq!(Float64Type::extreme(&[f64::NEG_INFINITY], true), f64::NEG_INFINITY);
    }
}
