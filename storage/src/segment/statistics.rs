//! What is known of a block without decoding it.

use crate::codec::column::is_valid;

use super::Gathered;
use crate::batch::Values;

/// Of the present values of a block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary<T> {
    /// Least.
    pub min: T,
    /// Greatest.
    pub max: T,
    /// Sum in row order.
    pub sum: T,
    /// The first in row order: the earliest, when one series covers the block.
    pub first: T,
    /// The last in row order.
    pub last: T,
}

/// Summary of a block by type; [`Statistics::None`] when it has no number, a NaN (which orders with nothing) or a sum
/// beyond its type: then the values themselves decide.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Statistics {
    /// Not known.
    None,
    /// Of a BIGINT field.
    Int(Summary<i64>),
    /// Of a BIGINT UNSIGNED field.
    UInt(Summary<u64>),
    /// Of a DOUBLE field.
    Float(Summary<f64>),
}

impl Statistics {
    /// Of the rows of `gathered`.
    pub(super) fn of(gathered: &Gathered) -> Self {
        let bits = gathered.validity.as_deref();
        match &gathered.values {
            Values::Int(v) => summarize(v, bits, i64::checked_add).map_or(Self::None, Self::Int),
            Values::UInt(v) => summarize(v, bits, u64::checked_add).map_or(Self::None, Self::UInt),
            Values::Float(v) => {
                summarize(v, bits, |a, b| Some(a + b).filter(|sum: &f64| !sum.is_nan())).map_or(Self::None, Self::Float)
            }
            Values::Bool(_) | Values::String(_) => Self::None,
        }
    }

    /// Least and greatest value, widened to f64 as [`PruneRange`](crate::scan::PruneRange) compares.
    pub fn range(&self) -> Option<(f64, f64)> {
        match self {
            Self::None => None,
            Self::Int(s) => Some((s.min as f64, s.max as f64)),
            Self::UInt(s) => Some((s.min as f64, s.max as f64)),
            Self::Float(s) => Some((s.min, s.max)),
        }
    }
}

/// `None` where there is no value, the first is NaN, or `add` refuses (a later NaN makes a sum of NaN).
fn summarize<T: Copy + PartialOrd>(
    values: &[T],
    validity: Option<&[u64]>,
    add: impl Fn(T, T) -> Option<T>,
) -> Option<Summary<T>> {
    let present = |row: &usize| validity.is_none_or(|bits| is_valid(bits, *row));
    let mut present = (0..values.len()).filter(present).map(|row| values[row]);
    let first = present.next()?;
    // Only NaN does not compare with itself.
    first.partial_cmp(&first)?;
    let start = Summary { min: first, max: first, sum: first, first, last: first };
    present.try_fold(start, |s, value| {
        Some(Summary {
            min: if value < s.min { value } else { s.min },
            max: if value > s.max { value } else { s.max },
            sum: add(s.sum, value)?,
            first: s.first,
            last: value,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: Values, validity: Option<Vec<u64>>) -> Statistics {
        Statistics::of(&Gathered { values, validity })
    }

    #[test]
    fn numbers_are_summarized_over_present_rows() {
        assert_eq!(
            of(Values::Int(vec![99, 5, -3, 4, 99]), Some(vec![0b01110])),
            Statistics::Int(Summary { min: -3, max: 5, sum: 6, first: 5, last: 4 })
        );
        assert_eq!(
            of(Values::UInt(vec![u64::MAX]), None),
            Statistics::UInt(Summary { min: u64::MAX, max: u64::MAX, sum: u64::MAX, first: u64::MAX, last: u64::MAX })
        );
        assert_eq!(of(Values::Float(vec![1.5, f64::INFINITY]), None).range(), Some((1.5, f64::INFINITY)));
    }

    /// What a range of values leaves out must not depend on the sign of a zero, in the block or in the range.
    #[test]
    fn both_zeros_are_one_number() {
        for values in [vec![-0.0], vec![0.0], vec![-0.0, 0.0], vec![0.0, -0.0]] {
            let (min, max) = of(Values::Float(values.clone()), None).range().unwrap();
            for wanted in [0.0, -0.0] {
                assert!(min == wanted && max == wanted, "{values:?}");
            }
        }
        let (min, max) = of(Values::Float(vec![-1.0, -0.0]), None).range().unwrap();
        assert_eq!((min, max), (-1.0, 0.0), "the greatest is not less than 0");
    }

    #[test]
    fn what_cannot_be_said_is_not_said() {
        assert_eq!(of(Values::Int(vec![]), None), Statistics::None);
        assert_eq!(of(Values::Int(vec![1]), Some(vec![0])), Statistics::None);
        assert_eq!(of(Values::Int(vec![i64::MAX, 1]), None), Statistics::None, "sum overflows");
        assert_eq!(of(Values::Float(vec![f64::NAN]), None), Statistics::None);
        assert_eq!(of(Values::Float(vec![1.0, f64::NAN, 2.0]), None), Statistics::None);
        assert_eq!(of(Values::Float(vec![f64::INFINITY, f64::NEG_INFINITY]), None), Statistics::None);
        assert_eq!(of(Values::Bool(vec![1]), None), Statistics::None);
    }
}
