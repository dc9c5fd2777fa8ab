//! What the client saw: one sample per acknowledged request, turned into latencies and a course over time.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// One acknowledged request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// When the reply was complete, from the start of the clock.
    pub(crate) done_ns: u64,
    /// From the intended start to the complete reply.
    pub(crate) latency_ns: u64,
    pub(crate) rows: u32,
    pub(crate) values: u32,
    pub(crate) bytes: u32,
}

/// How many error texts are kept for the report; the count goes on.
const ERROR_TEXTS_MAX: usize = 5;

/// Counts of one connection, added up over connections and threads.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) samples: Vec<Sample>,
    /// Replies 429, each followed by a pause and another try.
    pub(crate) throttled: u64,
    pub(crate) errors: u64,
    pub(crate) error_texts: Vec<String>,
}

impl Tally {
    pub(crate) fn error(&mut self, text: String) {
        self.errors += 1;
        if self.error_texts.len() < ERROR_TEXTS_MAX && !self.error_texts.contains(&text) {
            self.error_texts.push(text);
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.samples.extend(other.samples);
        self.throttled += other.throttled;
        self.errors += other.errors;
        for text in other.error_texts {
            if self.error_texts.len() < ERROR_TEXTS_MAX && !self.error_texts.contains(&text) {
                self.error_texts.push(text);
            }
        }
    }

    pub(crate) fn rows(&self) -> u64 {
        self.samples.iter().map(|sample| u64::from(sample.rows)).sum()
    }

    pub(crate) fn values(&self) -> u64 {
        self.samples.iter().map(|sample| u64::from(sample.values)).sum()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.samples.iter().map(|sample| u64::from(sample.bytes)).sum()
    }

    /// From the start of the clock to the last reply.
    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.samples.iter().map(|sample| sample.done_ns).max().unwrap_or(0))
    }

    pub(crate) fn latencies(&self) -> Latencies {
        Latencies::of(self.samples.iter().map(|sample| sample.latency_ns))
    }

    /// The run in slices of at least 100 ms, at most 200 of them.
    pub(crate) fn course(&self) -> Vec<Slice> {
        const SLICE_NS_MIN: u64 = 100_000_000;
        const SLICES_MAX: u64 = 200;
        let total_ns = self.elapsed().as_nanos() as u64;
        let width_ns = (total_ns / SLICES_MAX).max(SLICE_NS_MIN);
        let count = (total_ns / width_ns + 1) as usize;
        let mut latencies = vec![Vec::new(); count];
        let mut rows = vec![0_u64; count];
        for sample in &self.samples {
            let slice = (sample.done_ns / width_ns) as usize;
            latencies[slice].push(sample.latency_ns);
            rows[slice] += u64::from(sample.rows);
        }
        let slices = latencies.into_iter().zip(rows).enumerate().map(|(index, (latencies, rows))| {
            // The last slice is only as wide as the run goes into it.
            let start_ns = index as u64 * width_ns;
            let width_s = width_ns.min(total_ns - start_ns).max(1) as f64 / 1e9;
            let latency = Latencies::of(latencies.into_iter());
            Slice { start_s: start_ns as f64 / 1e9, rows_per_s: rows as f64 / width_s, latency, width_s }
        });
        // A sliver at the end says nothing about a rate.
        slices.filter(|slice| slice.width_s * 1e9 >= width_ns as f64 / 4.0 || total_ns < width_ns).collect()
    }
}

/// A stretch of the run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slice {
    pub(crate) start_s: f64,
    pub(crate) width_s: f64,
    pub(crate) rows_per_s: f64,
    pub(crate) latency: Latencies,
}

/// Percentiles in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Latencies {
    pub(crate) mean_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
}

impl Latencies {
    /// From nanoseconds. Three digits of precision, up to an hour.
    pub(crate) fn of(nanoseconds: impl Iterator<Item = u64>) -> Self {
        const HOUR_NS: u64 = 3_600_000_000_000;
        let Ok(mut histogram) = Histogram::<u64>::new_with_bounds(1, HOUR_NS, 3) else { return Self::default() };
        for value in nanoseconds {
            histogram.saturating_record(value.max(1));
        }
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            mean_us: histogram.mean() / 1e3,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: histogram.max() as f64 / 1e3,
        }
    }
}

/// The value in the middle, or between the two there.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        count if count % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median(std::iter::empty()), None);
    }

    fn sample(done_ms: u64, latency_us: u64) -> Sample {
        Sample { done_ns: done_ms * 1_000_000, latency_ns: latency_us * 1_000, rows: 100, values: 1_000, bytes: 5 }
    }

    #[test]
    fn percentiles() {
        let latencies = Latencies::of((1..=1_000).map(|us| us * 1_000));
        for (value, expected) in
            [(latencies.p50_us, 500.0), (latencies.p99_us, 990.0), (latencies.p999_us, 999.0), (latencies.max_us, 1e3)]
        {
            assert!((value - expected).abs() / expected < 2e-3, "{value} is near {expected}");
        }
        assert_eq!(Latencies::of(std::iter::empty()), Latencies::default());
    }

    #[test]
    fn course_keeps_every_row() {
        let samples = (1..=40).map(|index| sample(index * 25, 300)).collect();
        let tally = Tally { samples, ..Tally::default() };
        let course = tally.course();
        let rows: f64 = course.iter().map(|slice| slice.rows_per_s * slice.width_s).sum();
        assert!((3_900.0..=4_000.0).contains(&rows), "{rows}");
        assert_eq!(course.len(), 10);
        assert_eq!((tally.rows(), tally.values(), tally.bytes()), (4_000, 40_000, 200));
    }

    #[test]
    fn errors_are_counted_and_shown_once() {
        let mut tally = Tally::default();
        for _ in 0..10 {
            tally.error("500 no".to_owned());
        }
        let mut all = Tally::default();
        all.error("500 no".to_owned());
        all.merge(tally);
        assert_eq!((all.errors, all.error_texts.len()), (11, 1));
    }
}
