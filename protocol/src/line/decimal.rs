//! Decimal fractions to float64, correctly rounded, for the range that measurements have: up to 19 digits of which up
//! to 27 stand behind the point.
//!
//! 1. A significand below 2^53 divided by a power of ten up to 10^22 is rounded only once (Clinger).
//! 2. Otherwise the significand is multiplied by a 128-bit reciprocal of the power of five (Eisel-Lemire). Of the
//!    product 53 bits are the result, the next one says which way to round, and the rest decides nothing unless all of
//!    it is zero: only there the reciprocal's error could matter. Then there is no answer here and the caller asks an
//!    exact algorithm.
//!
//! In this range no result is subnormal or infinite, which leaves out the hard parts of the general method.

use crate::bytescan::digits::EXACT_POWERS;

/// Most digits behind the point: 5^27 is the greatest power of five below 2^64, and with such a divisor a reciprocal
/// is a plain long division.
pub(super) const FRACTION_DIGITS_MAX: u32 = 27;

/// A power of five, upside down.
#[derive(Clone, Copy)]
struct Reciprocal {
    /// floor(2^(127 + bits) / power) + 1; its top bit is set.
    value: u128,
    /// Bits of the power.
    bits: i32,
}

/// By exponent; the first stands for 1 and is not used.
const RECIPROCALS: [Reciprocal; FRACTION_DIGITS_MAX as usize + 1] = {
    let mut table = [Reciprocal { value: 0, bits: 1 }; FRACTION_DIGITS_MAX as usize + 1];
    let mut exponent = 1;
    while exponent < table.len() {
        table[exponent] = reciprocal(5u64.pow(exponent as u32));
        exponent += 1;
    }
    table
};

const fn reciprocal(power: u64) -> Reciprocal {
    let bits = 64 - power.leading_zeros();
    // Long division in 64-bit digits of a dividend with a single one in it.
    let one = 127 + bits;
    let mut place = one / 64;
    let mut rest = 1u128 << (one % 64);
    let mut value = rest / power as u128;
    rest %= power as u128;
    while place > 0 {
        place -= 1;
        rest <<= 64;
        value = (value << 64) | (rest / power as u128);
        rest %= power as u128;
    }
    Reciprocal { value: value + 1, bits: bits as i32 }
}

/// The same for a significand below 2^53 and at most 7 digits behind the point.
#[inline(always)]
pub(super) fn divide_small(significand: u64, fraction_digits: u32) -> f64 {
    significand as f64 / EXACT_POWERS[fraction_digits as usize & 7]
}

/// `significand` / 10^`fraction_digits`, or `None` where this method cannot tell.
#[inline]
pub(super) fn divide(significand: u64, fraction_digits: u32) -> Option<f64> {
    if significand < 1 << 53
        && let Some(power) = EXACT_POWERS.get(fraction_digits as usize)
    {
        return Some(significand as f64 / power);
    }
    if significand == 0 || fraction_digits == 0 {
        return Some(significand as f64);
    }
    multiply(significand, fraction_digits)
}

/// Bits of a float64's fraction.
const FRACTION_BITS: u32 = 52;
/// What is added to a float64's exponent.
const EXPONENT_BIAS: i32 = 1023;

#[inline]
fn multiply(significand: u64, fraction_digits: u32) -> Option<f64> {
    let reciprocal = RECIPROCALS.get(fraction_digits as usize)?;
    let shift = significand.leading_zeros();
    let normal = u128::from(significand << shift);
    // The upper 128 bits of a product of 64 by 128. The true quotient lies within 1 of it, on either side.
    let product = normal * (reciprocal.value >> 64) + ((normal * (reciprocal.value & u128::from(u64::MAX))) >> 64);
    let carry = (product >> 127) as u32;
    let rest_bits = 73 + carry;
    if product & ((1 << rest_bits) - 1) == 0 {
        return None;
    }
    // 53 bits of the result and one to round by; a tie is impossible, since the rest is not zero.
    let kept = (product >> rest_bits) as u64;
    let fraction = (kept + 1) >> 1;
    // Adding keeps a fraction that was rounded up to 2^53 right: it carries into the exponent.
    let exponent = 63 + carry as i32 - shift as i32 - fraction_digits as i32 - reciprocal.bits;
    let biased = (exponent + EXPONENT_BIAS - 1) as u64;
    Some(f64::from_bits((biased << FRACTION_BITS) + fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(significand: u64, fraction_digits: u32) {
        let text = format!("{significand}e-{fraction_digits}");
        let exact: f64 = text.parse().unwrap_or(f64::NAN);
        if let Some(value) = divide(significand, fraction_digits) {
            assert_eq!(value.to_bits(), exact.to_bits(), "{text}");
        }
        if significand >= 1 << 53
            && let Some(value) = multiply(significand, fraction_digits.max(1))
        {
            let exact: f64 = format!("{significand}e-{}", fraction_digits.max(1)).parse().unwrap_or(f64::NAN);
            assert_eq!(value.to_bits(), exact.to_bits(), "{text}");
        }
    }

    #[test]
    fn reciprocals_have_their_top_bit() {
        assert!(RECIPROCALS.iter().skip(1).all(|reciprocal| reciprocal.value >> 127 == 1));
        // 2^130 / 5, rounded up.
        assert_eq!(RECIPROCALS[1].value, (1 << 127) / 5 * 8 + ((1u128 << 127) % 5 * 8) / 5 + 1);
    }

    #[test]
    fn equals_the_standard_library() {
        for seed in [1, 2, 3] {
            let mut rng = fastrand::Rng::with_seed(seed);
            for _ in 0..20_000 {
                let bits = rng.u32(1..=64);
                check(rng.u64(..) >> (64 - bits), rng.u32(0..=FRACTION_DIGITS_MAX));
            }
        }
    }

    #[test]
    fn near_boundaries() {
        // Significands around the halves between neighbouring floats, where rounding turns.
        let mut rng = fastrand::Rng::with_seed(4);
        for _ in 0..20_000 {
            let fraction_digits = rng.u32(1..=FRACTION_DIGITS_MAX);
            let float = f64::from_bits(rng.u64(1 << 52..1 << 53) | 1023 << 52);
            let half = (float + float * f64::EPSILON / 2.0) * 10f64.powi(rng.i32(15..19));
            for near in [half as u64 - 1, half as u64, half as u64 + 1] {
                check(near, fraction_digits);
            }
        }
        for significand in [0, 1, (1 << 53) - 1, 1 << 53, (1 << 53) + 1, u64::MAX, u64::MAX - 1, 1 << 63] {
            for fraction_digits in 0..=FRACTION_DIGITS_MAX {
                check(significand, fraction_digits);
            }
        }
        assert_eq!(divide(1, FRACTION_DIGITS_MAX + 1), None);
    }
}
