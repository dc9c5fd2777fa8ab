//! How DOUBLE values compare: one rule for filters, constants, groups, keys of an order, and extremes.
//!
//! Both zeros are one number. NaN, whatever its bits, equals NaN and is greater than every other number. The order is
//! total, so that what is not less is greater or equal. Values themselves keep their bits; what stands for several
//! equal values (a group's key, an extreme) is the one that [`canonical`] gives.

use std::cmp::Ordering;

/// The one value that stands for all equal ones: `0.0` and the positive quiet NaN.
#[inline]
pub(crate) fn canonical(value: f64) -> f64 {
    // A negative zero becomes positive in the addition; all else stays as it is.
    if value.is_nan() { f64::NAN } else { value + 0.0 }
}

/// Whether `a` equals `b`.
#[inline]
pub(crate) fn equal(a: f64, b: f64) -> bool {
    (a == b) | (a.is_nan() & b.is_nan())
}

/// Whether `a` is less than `b`.
#[inline]
pub(crate) fn less(a: f64, b: f64) -> bool {
    (a < b) | (b.is_nan() & !a.is_nan())
}

/// The order of two values.
pub(crate) fn order(a: f64, b: f64) -> Ordering {
    if equal(a, b) {
        Ordering::Equal
    } else if less(a, b) {
        Ordering::Less
    } else {
        Ordering::Greater
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_total_and_agrees_with_canonical_bits() {
        let nans = [f64::NAN, -f64::NAN, f64::from_bits(0x7ff0_0000_0000_0001), f64::from_bits(u64::MAX)];
        let ascending = [f64::NEG_INFINITY, f64::MIN, -1.0, -f64::MIN_POSITIVE, -0.0, 0.0, 5e-324, 1.0, f64::INFINITY];
        let all: Vec<f64> = ascending.into_iter().chain(nans).collect();
        for &a in &all {
            assert_eq!(canonical(a).to_bits(), canonical(canonical(a)).to_bits());
            for &b in &all {
                let found = order(a, b);
                assert_eq!(found, canonical(a).total_cmp(&canonical(b)), "{a} {b}");
                assert_eq!(found, order(b, a).reverse(), "{a} {b}");
                assert_eq!((equal(a, b), less(a, b)), (found.is_eq(), found.is_lt()), "{a} {b}");
            }
        }
    }
}
