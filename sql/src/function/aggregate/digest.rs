//! `approx_percentile_cont` and `approx_median`: quantiles from a t-digest, whose size does not grow with the rows.
//!
//! A digest is a list of centroids (a mean and a weight) in order. Values are buffered; a full buffer is sorted and
//! merged with the centroids from left to right, where neighbours become one for as long as their weight stays within a
//! bound that is small at both ends and largest in the middle. So the extremes are exact, and up to [`SIZE`] / 2 values
//! are kept as they are.

use std::mem::take;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array};
use arrow_schema::DataType;

use super::lane::lane_array;
use super::scalars::{items, lists};
use crate::error::execution::Result;
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::accumulator::{Accumulator, Slices};
use crate::expr::aggregate::Needs;
use crate::expr::coerce::convert;
use crate::expr::{AggregateCall, AggregateFunction, Scalar, Typed};
use crate::function::definition::{Aggregate, Arguments, Documentation, wrong_arguments};

pub(super) static MEDIAN_ENTRY: Aggregate = Aggregate::own(
    Documentation::new("approx_median", "approx_median(x)", "About the median, by a t-digest, of the type of `x`.")
        .heading("APPROX_MEDIAN"),
    false,
    |name, arguments| bind(name, "APPROX_MEDIAN", arguments, Takes { weight: false, quantile: false }),
);

pub(super) static PERCENTILE_ENTRY: Aggregate = Aggregate::own(
    Documentation::new(
        "approx_percentile_cont",
        "approx_percentile_cont(x, p)",
        "About the value of which a share `p`, from 0 to 1, lies below, by a t-digest, of the type of `x`.",
    )
    .heading("APPROX_PERCENTILE_CONT"),
    false,
    |name, arguments| bind(name, "APPROX_PERCENTILE_CONT", arguments, Takes { weight: false, quantile: true }),
);

pub(super) static WEIGHTED_ENTRY: Aggregate = Aggregate::own(
    Documentation::new(
        "approx_percentile_cont_with_weight",
        "approx_percentile_cont_with_weight(x, weight, p)",
        "The same where a value counts as often as its weight says.",
    )
    .heading("APPROX_PERCENTILE_CONT_WITH_WEIGHT"),
    false,
    |name, arguments| {
        bind(name, "APPROX_PERCENTILE_CONT_WITH_WEIGHT", arguments, Takes { weight: true, quantile: true })
    },
);

/// `[value, weight, share]`.
static QUANTILE: AggregateFunction = AggregateFunction {
    name: "approx_percentile_cont",
    accumulator: |result| Ok(Box::new(Quantile { result: result.clone(), share: 0.5, slots: Vec::new(), held: 0 })),
    state_columns: 5,
    needs: Needs::Rows,
    end: None,
};

/// Arguments beside the value.
#[derive(Debug, Clone, Copy)]
struct Takes {
    weight: bool,
    quantile: bool,
}

fn bind(
    name: &str,
    heading: &'static str,
    mut arguments: Arguments,
    takes: Takes,
) -> std::result::Result<AggregateCall, SqlError> {
    let mut args = take(&mut arguments.args);
    if args.len() != 1 + usize::from(takes.weight) + usize::from(takes.quantile) {
        return Err(wrong_arguments(name, &args));
    }
    let share = if takes.quantile { args.pop() } else { Some(Typed::literal(Scalar::Float(0.5))) };
    let weight = if takes.weight { args.pop() } else { Some(Typed::literal(Scalar::Float(1.0))) };
    let (Some(share), Some(weight), Some(value)) = (share, weight, args.pop()) else {
        return Err(wrong_arguments(name, &args));
    };
    let data_type = value.data_type.clone();
    if !matches!(data_type, DataType::Int64 | DataType::UInt64 | DataType::Float64) {
        return Err(SqlErrorKind::AggregateArgument { heading, data_type }.into());
    }
    let share = match share.constant() {
        Some(Scalar::Float(share)) if (0.0..=1.0).contains(&share) => Scalar::Float(share),
        Some(Scalar::Int(share @ (0 | 1))) => Scalar::Float(share as f64),
        _ => return Err(wrong_arguments(name, &[value, share])),
    };
    if !matches!(weight.data_type, DataType::Int64 | DataType::UInt64 | DataType::Float64) || arguments.distinct {
        return Err(wrong_arguments(name, &[value, weight]));
    }
    let args = vec![
        arguments.only_if(convert(value, &DataType::Float64)?),
        convert(weight, &DataType::Float64)?,
        Typed::literal(share).expr,
    ];
    Ok(AggregateCall { function: &QUANTILE, args, distinct: false, data_type })
}

/// Centroids are about this many at most.
const SIZE: f64 = 100.0;

/// Values that are gathered before they are merged.
const BUFFER_LENGTH: usize = 512;

#[derive(Debug, Clone, Copy)]
struct Centroid {
    mean: f64,
    weight: f64,
}

#[derive(Debug, Default)]
struct Digest {
    /// In order.
    centroids: Vec<Centroid>,
    /// Not yet merged.
    buffer: Vec<Centroid>,
    /// Least and greatest value.
    ends: Option<(f64, f64)>,
}

impl Digest {
    fn add(&mut self, centroid: Centroid) {
        self.widen(centroid.mean, centroid.mean);
        self.buffer.push(centroid);
        if self.buffer.len() >= BUFFER_LENGTH {
            self.compress();
        }
    }

    fn widen(&mut self, least: f64, greatest: f64) {
        let (known_least, known_greatest) = self.ends.unwrap_or((least, greatest));
        self.ends = Some((known_least.min(least), known_greatest.max(greatest)));
    }

    /// Merges what is buffered.
    fn compress(&mut self) {
        let mut all = take(&mut self.centroids);
        all.append(&mut self.buffer);
        all.sort_by(|one, other| one.mean.total_cmp(&other.mean));
        let total: f64 = all.iter().map(|centroid| centroid.weight).sum();
        let mut step = 1.0;
        let mut bound = share_up_to(step) * total;
        let mut so_far = 0.0;
        for centroid in all {
            so_far += centroid.weight;
            match self.centroids.last_mut() {
                Some(last) if so_far <= bound => {
                    let weight = last.weight + centroid.weight;
                    last.mean += (centroid.mean - last.mean) * centroid.weight / weight;
                    last.weight = weight;
                }
                Some(_) => {
                    step += 1.0;
                    bound = share_up_to(step) * total;
                    self.centroids.push(centroid);
                }
                None => self.centroids.push(centroid),
            }
        }
    }

    /// The value below which a share lies; of compressed centroids.
    fn quantile(&self, share: f64) -> Option<f64> {
        let (least, greatest) = self.ends?;
        let total: f64 = self.centroids.iter().map(|centroid| centroid.weight).sum();
        let rank = share * total;
        if share <= 0.0 || share >= 1.0 || total <= 0.0 {
            return Some(if share >= 1.0 { greatest } else { least });
        }
        let last = self.centroids.len().checked_sub(1)?;
        let mut below = 0.0;
        let mut at = last;
        for (position, centroid) in self.centroids.iter().enumerate() {
            // Of two centroids that meet at the rank, the one of the farther half counts.
            let end = below + centroid.weight;
            if rank < end || position == last {
                at = position;
                break;
            }
            below = end;
        }
        let mean = |at: usize| self.centroids[at].mean;
        let (low, high, distance) = match (at, last) {
            (_, 0) => (least, greatest, 0.0),
            (0, _) => (least, mean(1), mean(1) - mean(0)),
            (at, last) if at == last => (mean(at - 1), greatest, mean(at) - mean(at - 1)),
            (at, _) => (mean(at - 1), mean(at + 1), (mean(at + 1) - mean(at - 1)) / 2.0),
        };
        let within = (rank - below) / self.centroids[at].weight - 0.5;
        Some((mean(at) + within * distance).max(low).min(high))
    }
}

/// The share of all weight that the first `step` centroids may have.
fn share_up_to(step: f64) -> f64 {
    let of = step / SIZE;
    if of < 0.5 { 2.0 * of * of } else { 1.0 - 2.0 * (1.0 - of) * (1.0 - of) }
}

struct Quantile {
    result: DataType,
    share: f64,
    slots: Vec<Digest>,
    /// Centroids that slots may hold.
    held: usize,
}

impl Quantile {
    fn add(&mut self, slot: usize, centroid: Centroid) {
        let digest = &mut self.slots[slot];
        let before = digest.centroids.len() + digest.buffer.len();
        digest.add(centroid);
        self.held = (self.held + digest.centroids.len() + digest.buffer.len()).saturating_sub(before);
    }

    /// Centroids of a slot, compressed.
    fn compressed(digest: &Digest) -> Digest {
        let (centroids, buffer) = (digest.centroids.clone(), digest.buffer.clone());
        let mut compressed = Digest { centroids, buffer, ends: digest.ends };
        if !compressed.buffer.is_empty() {
            compressed.compress();
        }
        compressed
    }
}

impl Accumulator for Quantile {
    fn resize(&mut self, slots: usize) {
        self.slots.resize_with(slots, Digest::default);
    }

    fn update(&mut self, args: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let columns = (0..3).map(|at| lane_array(args, at, &DataType::Float64)).collect::<Result<Vec<_>>>()?;
        let [values, weights, shares] = [0, 1, 2].map(|at| columns[at].as_primitive::<Float64Type>());
        for slice in slices.slices {
            for row in slice.range().filter(|row| values.is_valid(*row) && weights.is_valid(*row)) {
                self.share = shares.value(row);
                let (mean, weight) = (values.value(row), weights.value(row));
                // A NaN has no place in the order, and what weighs nothing or less is not there.
                if !mean.is_nan() && weight > 0.0 && weight.is_finite() {
                    self.add(slice.slot as usize, Centroid { mean, weight });
                }
            }
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let (means, offsets) = items(&states[0])?;
        let (weights, _) = items(&states[1])?;
        let (means, weights) = (means.as_primitive::<Float64Type>(), weights.as_primitive::<Float64Type>());
        let [least, greatest, shares] = [2, 3, 4].map(|at| states[at].as_primitive::<Float64Type>());
        for slice in slices.slices {
            for row in slice.range().filter(|row| least.is_valid(*row)) {
                let slot = slice.slot as usize;
                self.share = shares.value(row);
                for at in offsets[row] as usize..offsets[row + 1] as usize {
                    self.add(slot, Centroid { mean: means.value(at), weight: weights.value(at) });
                }
                self.slots[slot].widen(least.value(row), greatest.value(row));
            }
        }
        Ok(())
    }

    fn states(&self, slots: Range<usize>) -> Result<Vec<ArrayRef>> {
        let digests: Vec<Digest> = self.slots[slots].iter().map(Self::compressed).collect();
        let lengths = || digests.iter().map(|digest| digest.centroids.len());
        let column = |of: fn(&Centroid) -> f64| -> ArrayRef {
            let all = digests.iter().flat_map(|digest| &digest.centroids);
            Arc::new(all.map(|centroid| Some(of(centroid))).collect::<Float64Array>())
        };
        let ends = |of: fn((f64, f64)) -> f64| -> ArrayRef {
            Arc::new(digests.iter().map(|digest| digest.ends.map(of)).collect::<Float64Array>())
        };
        Ok(vec![
            lists(column(|centroid| centroid.mean), lengths())?,
            lists(column(|centroid| centroid.weight), lengths())?,
            ends(|ends| ends.0),
            ends(|ends| ends.1),
            Arc::new(Float64Array::from_value(self.share, digests.len())),
        ])
    }

    fn results(&self, slots: Range<usize>) -> Result<ArrayRef> {
        let quantiles = self.slots[slots].iter().map(|digest| Self::compressed(digest).quantile(self.share));
        let quantiles: Float64Array = quantiles.collect();
        // An integer between two values is the one towards zero.
        Ok(match self.result {
            DataType::Int64 => Arc::new(quantiles.unary::<_, arrow_array::types::Int64Type>(|value| value as i64)),
            DataType::UInt64 => Arc::new(quantiles.unary::<_, arrow_array::types::UInt64Type>(|value| value as u64)),
            _ => Arc::new(quantiles),
        })
    }

    fn bytes(&self) -> usize {
        // Vectors grow to twice what they hold.
        self.slots.capacity() * size_of::<Digest>() + self.held * 2 * size_of::<Centroid>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(values: impl IntoIterator<Item = f64>) -> Digest {
        let mut digest = Digest::default();
        for mean in values {
            digest.add(Centroid { mean, weight: 1.0 });
        }
        digest.compress();
        digest
    }

    #[test]
    fn few_values_are_kept_as_they_are() {
        let few = digest([3.0, 1.0, 2.0]);
        assert_eq!(few.centroids.len(), 3);
        assert_eq!(few.quantile(0.5), Some(2.0));
        assert_eq!((few.quantile(0.0), few.quantile(1.0)), (Some(1.0), Some(3.0)));
        assert_eq!(digest([50.0]).quantile(0.5), Some(50.0));
        assert_eq!(digest([]).quantile(0.5), None);
    }

    #[test]
    fn many_values_take_little_room_and_quantiles_are_near() {
        let seed = crate::exec::testing::seed();
        let mut random = fastrand::Rng::with_seed(seed);
        let mut values: Vec<f64> = (0..100_000).map(|_| random.f64()).collect();
        random.shuffle(&mut values);
        let many = digest(values);
        assert!(many.centroids.len() <= 2 * SIZE as usize, "{}", many.centroids.len());
        for share in [0.001, 0.01, 0.25, 0.5, 0.75, 0.99, 0.999] {
            let found = many.quantile(share).unwrap();
            assert!((found - share).abs() < 0.01, "{share}: {found} TIDEWIRE_SEED={seed}");
        }
    }
}
