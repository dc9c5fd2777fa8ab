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

/// `None` where `add` refuses or there is no value. A NaN makes every later sum NaN, which `add` refuses.
fn summarize<T: Copy + PartialOrd>(
    values: &[T],
    validity: Option<&[u64]>,
    add: impl Fn(T, T) -> Option<T>,
) -> Option<Summary<T>> {
    let fold = |summary: Option<Summary<T>>, value: T| -> Option<Summary<T>> {
        let Some(s) = summary else {
            // Adding the value to itself would do for integers too, but overflow; zero is not at hand for a `T`.
            return Some(Summary { min: value, max: value, sum: value, first: value, last: value });
        };
        Some(Summary {
            min: if value < s.min { value } else { s.min },
            max: if value > s.max { value } else { s.max },
            sum: add(s.sum, value)?,
            first: s.first,
            last: value,
        })
    };
    let mut present = values.iter().enumerate().filter(|(row, _)| validity.is_none_or(|bits| is_valid(bits, *row)));
    let (_, first) = present.next()?;
    let start = fold(None, *first);
    #[expect(clippy::eq_op, reason = "a value that differs from itself is NaN")]
    if first != first {
        return None;
    }
    present.try_fold(start?, |summary, (_, value)| fold(Some(summary), *value))
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
