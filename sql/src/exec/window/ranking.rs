//! Numbers of rows in their partition.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, UInt64Array};

use super::span::{Place, Span};
use crate::plan::window::WindowFunction;

/// The numbers of the rows from `place` on, `rows` of them at most.
pub(super) fn numbers(function: &WindowFunction, span: &Span, place: Place, rows: usize) -> ArrayRef {
    match function {
        WindowFunction::PercentRank => Arc::new(Float64Array::from(along(span, place, rows, |place, partition| {
            let before = span.equals(place).start - partition.start;
            if partition.len() > 1 { before as f64 / (partition.len() - 1) as f64 } else { 0.0 }
        }))),
        WindowFunction::CumeDist => Arc::new(Float64Array::from(along(span, place, rows, |place, partition| {
            (span.equals(place).end - partition.start) as f64 / partition.len() as f64
        }))),
        WindowFunction::Rank => Arc::new(UInt64Array::from(along(span, place, rows, |place, partition| {
            (span.equals(place).start - partition.start) as u64 + 1
        }))),
        WindowFunction::DenseRank => {
            // The number of the partition's first equals among the span's.
            let mut known: Option<(usize, usize)> = None;
            Arc::new(UInt64Array::from(along(span, place, rows, |place, partition| {
                let first = match known {
                    Some((start, first)) if start == partition.start => first,
                    _ => span.equals_at(partition.start),
                };
                known = Some((partition.start, first));
                (place.equals - first) as u64 + 1
            })))
        }
        WindowFunction::Ntile(buckets) => Arc::new(UInt64Array::from(along(span, place, rows, |place, partition| {
            ntile((place.row - partition.start) as u64, partition.len() as u64, *buckets)
        }))),
        _ => Arc::new(UInt64Array::from(along(span, place, rows, |place, partition| {
            (place.row - partition.start) as u64 + 1
        }))),
    }
}

/// The bucket, from 1, of row `at` of `rows`: the first of them have one row more where rows do not go round.
fn ntile(at: u64, rows: u64, buckets: u64) -> u64 {
    let (size, larger) = (rows / buckets, rows % buckets);
    let in_larger = larger * (size + 1);
    if at < in_larger { at / (size + 1) + 1 } else { (at - in_larger) / size.max(1) + larger + 1 }
}

fn along<T>(span: &Span, from: Place, rows: usize, mut number: impl FnMut(Place, Range<usize>) -> T) -> Vec<T> {
    let mut numbers = Vec::with_capacity(rows.min(span.rows.num_rows()));
    let mut next = Some(from);
    while let Some(place) = next.filter(|_| numbers.len() < rows) {
        numbers.push(number(place, span.partition(place)));
        next = span.beside(place, false);
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::ntile;

    #[test]
    fn buckets_differ_by_one_row_at_most_and_the_first_are_the_larger() {
        let of = |rows: u64, buckets: u64| (0..rows).map(|at| ntile(at, rows, buckets)).collect::<Vec<_>>();
        assert_eq!(of(10, 4), [1, 1, 1, 2, 2, 2, 3, 3, 4, 4]);
        assert_eq!(of(3, 5), [1, 2, 3]);
        assert_eq!(of(4, 1), [1, 1, 1, 1]);
        assert_eq!(of(6, 3), [1, 1, 2, 2, 3, 3]);
    }
}
