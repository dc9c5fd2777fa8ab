//! Counters, gauges and histograms of one core, and how all cores' become one Prometheus text.
//!
//! 1. A core owns its [`Registry`]. What it counts are plain cells: no atomics, no locks.
//! 2. `/metrics` asks every core for a [`Snapshot`], which is plain data that crosses the mesh.
//! 3. [`write_text`] prints them together; each sample bears the label `core`, beside its own.
//!
//! Histograms have buckets that grow by the same four steps in every doubling (log-linear), so any value from 1 to
//! 2^40 is known within 25 % with 160 cells, and finding the bucket is a count of leading zeros. The text shows one
//! bucket per doubling, always the same ones, as rates over them need.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter(Cell<u64>);

impl Counter {
    /// Adds one.
    #[inline]
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `count`.
    #[inline]
    pub fn add(&self, count: u64) {
        self.0.set(self.0.get().wrapping_add(count));
    }

    /// Takes over a total that is counted elsewhere; never goes back.
    pub fn advance_to(&self, total: u64) {
        self.0.set(self.0.get().max(total));
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// A value that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(Cell<i64>);

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: i64) {
        self.0.set(value);
    }

    /// Adds to the value; `delta` may be negative.
    #[inline]
    pub fn add(&self, delta: i64) {
        self.0.set(self.0.get().wrapping_add(delta));
    }

    /// The value.
    pub fn get(&self) -> i64 {
        self.0.get()
    }
}

/// Steps in every doubling, as a power of two.
const STEP_BITS: u32 = 2;
const STEPS: usize = 1 << STEP_BITS;
/// Doublings: up to 2^40 nanoseconds, 18 minutes, or a tebibyte.
const DOUBLINGS: usize = 40;
const BUCKETS: usize = DOUBLINGS * STEPS;

/// How often values of each size were seen.
#[derive(Debug)]
pub struct Histogram {
    counts: [Cell<u64>; BUCKETS],
    sum: Cell<u64>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [const { Cell::new(0) }; BUCKETS], sum: Cell::new(0) }
    }
}

/// The bucket of a value: values up to and including [`upper_bound`] of it, above that of the one before.
fn bucket_of(value: u64) -> usize {
    // Buckets are closed above, as Prometheus' `le` is: 8 belongs with those up to 8.
    let below = value.saturating_sub(1);
    if below < STEPS as u64 {
        return below as usize;
    }
    let doubling = below.ilog2() - STEP_BITS;
    let step = (below >> doubling) as usize & (STEPS - 1);
    (((doubling as usize) + 1) * STEPS + step).min(BUCKETS - 1)
}

/// The largest value of a bucket.
fn upper_bound(bucket: usize) -> u64 {
    if bucket < STEPS {
        return bucket as u64 + 1;
    }
    let doubling = bucket / STEPS - 1;
    ((STEPS + bucket % STEPS) as u64 + 1) << doubling
}

impl Histogram {
    /// Records a value.
    #[inline]
    pub fn record(&self, value: u64) {
        let count = &self.counts[bucket_of(value)];
        count.set(count.get() + 1);
        self.sum.set(self.sum.get().wrapping_add(value));
    }

    /// How many values were recorded.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(Cell::get).sum()
    }

    /// The bound below which the share `q` (0 to 1) of the values lies, exact to a bucket.
    pub fn quantile(&self, q: f64) -> u64 {
        let rank = (q.clamp(0.0, 1.0) * self.count() as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count.get();
            if seen >= rank {
                return upper_bound(bucket);
            }
        }
        0
    }
}

/// What a family of samples is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

enum Cells {
    Counter(Rc<Counter>),
    SharedCounter(Arc<AtomicU64>),
    Gauge(Rc<Gauge>),
    /// Of nanoseconds, shown in seconds.
    SecondsCounter(Rc<Counter>),
    /// The same.
    SecondsGauge(Rc<Gauge>),
    Histogram {
        cells: Rc<Histogram>,
        unit: Unit,
    },
}

/// What a histogram's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Recorded in nanoseconds, shown in seconds, from 1 µs to a minute.
    Nanoseconds,
    /// Bytes, from 64 to a gibibyte.
    Bytes,
    /// A number of things, from 1 to a million.
    Count,
}

impl Unit {
    /// Exponents of the bounds shown, and what turns a recorded value into a shown one.
    fn shown(self) -> (std::ops::RangeInclusive<u32>, f64) {
        match self {
            Self::Nanoseconds => (10..=36, 1e-9),
            Self::Bytes => (6..=30, 1.0),
            Self::Count => (0..=20, 1.0),
        }
    }
}

struct Metric {
    name: &'static str,
    help: &'static str,
    labels: String,
    cells: Cells,
}

/// The metrics of one core.
#[derive(Default)]
pub struct Registry {
    metrics: RefCell<Vec<Metric>>,
}

impl Registry {
    /// No metrics yet.
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    /// A counter; its name ends in `_total`. `labels` are pairs such as `("route", "write")`.
    pub fn counter(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Rc<Counter> {
        let cells = Rc::<Counter>::default();
        self.add(name, help, labels, Cells::Counter(Rc::clone(&cells)));
        cells
    }

    /// A counter that another thread advances.
    pub fn shared_counter(&self, name: &'static str, help: &'static str, total: Arc<AtomicU64>) {
        self.add(name, help, &[], Cells::SharedCounter(total));
    }

    /// A gauge.
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Rc<Gauge> {
        let cells = Rc::<Gauge>::default();
        self.add(name, help, labels, Cells::Gauge(Rc::clone(&cells)));
        cells
    }

    /// A counter of nanoseconds, shown in seconds.
    pub fn seconds_counter(&self, name: &'static str, help: &'static str) -> Rc<Counter> {
        let cells = Rc::<Counter>::default();
        self.add(name, help, &[], Cells::SecondsCounter(Rc::clone(&cells)));
        cells
    }

    /// A gauge of nanoseconds, shown in seconds.
    pub fn seconds_gauge(&self, name: &'static str, help: &'static str) -> Rc<Gauge> {
        let cells = Rc::<Gauge>::default();
        self.add(name, help, &[], Cells::SecondsGauge(Rc::clone(&cells)));
        cells
    }

    /// A histogram.
    pub fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        unit: Unit,
    ) -> Rc<Histogram> {
        let cells = Rc::<Histogram>::default();
        self.add(name, help, labels, Cells::Histogram { cells: Rc::clone(&cells), unit });
        cells
    }

    fn add(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)], cells: Cells) {
        self.metrics.borrow_mut().push(Metric { name, help, labels: label_text(labels), cells });
    }

    /// All values now, ready to cross cores.
    pub fn snapshot(&self) -> Snapshot {
        let metrics = self.metrics.borrow();
        let samples = metrics.iter().map(|metric| Sample {
            name: metric.name,
            help: metric.help,
            labels: metric.labels.clone(),
            value: match &metric.cells {
                Cells::Counter(cells) => Value::Counter(cells.get()),
                Cells::SharedCounter(total) => Value::Counter(total.load(Ordering::Relaxed)),
                Cells::Gauge(cells) => Value::Gauge(cells.get()),
                Cells::SecondsCounter(cells) => Value::Seconds(Kind::Counter, cells.get() as f64 * 1e-9),
                Cells::SecondsGauge(cells) => Value::Seconds(Kind::Gauge, cells.get() as f64 * 1e-9),
                Cells::Histogram { cells, unit } => {
                    let (exponents, scale) = unit.shown();
                    let buckets = exponents.map(|exponent| {
                        let bound = 1_u64 << exponent;
                        let up_to = cells.counts.iter().take(bucket_of(bound) + 1);
                        (bound as f64 * scale, up_to.map(Cell::get).sum())
                    });
                    Value::Histogram {
                        buckets: buckets.collect(),
                        count: cells.count(),
                        sum: cells.sum.get() as f64 * scale,
                    }
                }
            },
        });
        Snapshot(samples.collect())
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("metrics", &self.metrics.borrow().len()).finish()
    }
}

/// The values of one core at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot(Vec<Sample>);

impl Snapshot {
    /// Adds a gauge that is not in the registry, as of things that come and go.
    pub fn gauge(&mut self, name: &'static str, help: &'static str, labels: &[(&str, &str)], value: u64) {
        let value = Value::Gauge(i64::try_from(value).unwrap_or(i64::MAX));
        self.0.push(Sample { name, help, labels: label_text(labels), value });
    }
}

impl Snapshot {
    /// The histograms called `name`: the labels of each, how many values it has, and their sum.
    pub fn histograms<'s>(&'s self, name: &str) -> impl Iterator<Item = (&'s str, u64, f64)> {
        self.0.iter().filter(move |sample| sample.name == name).filter_map(|sample| match &sample.value {
            Value::Histogram { count, sum, .. } => Some((&*sample.labels, *count, *sum)),
            _ => None,
        })
    }
}

/// The value of a label among those of a sample, as it is written.
pub fn label_value<'t>(labels: &'t str, label: &str) -> Option<&'t str> {
    // The name of a label begins behind a comma, and its value ends at a quote that no backslash stands before.
    let start = labels.find(&format!(",{label}=\""))? + label.len() + 3;
    let value = &labels[start..];
    let mut is_escaped = false;
    let end = value.find(|c| {
        let is_end = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end
    })?;
    Some(&value[..end])
}

/// The sum over all cores of the samples called `name` that have all of `labels`; of a histogram the sum of its values.
pub fn total(cores: &[Snapshot], name: &str, labels: &[(&str, &str)]) -> f64 {
    let wanted: Vec<String> = labels.iter().map(|label| label_text(&[*label])).collect();
    // The name of a label begins behind a comma, and its value ends at a quote: no other text has it.
    let is_meant = |sample: &&Sample| sample.name == name && wanted.iter().all(|label| sample.labels.contains(label));
    let samples = cores.iter().flat_map(|core| &core.0).filter(is_meant);
    samples
        .map(|sample| match &sample.value {
            Value::Counter(value) => *value as f64,
            Value::Gauge(value) => *value as f64,
            Value::Seconds(_, value) => *value,
            Value::Histogram { sum, .. } => *sum,
        })
        .sum()
}

/// Labels as they stand behind the first.
fn label_text(labels: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (label, value) in labels {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        // Writing to a String cannot fail.
        let _ = write!(text, ",{label}=\"{value}\"");
    }
    text
}

#[derive(Debug, Clone, PartialEq)]
struct Sample {
    name: &'static str,
    help: &'static str,
    labels: String,
    value: Value,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Counter(u64),
    Gauge(i64),
    Seconds(Kind, f64),
    /// Upper bounds with the count of values up to each.
    Histogram {
        buckets: Vec<(f64, u64)>,
        count: u64,
        sum: f64,
    },
}

impl Value {
    fn kind(&self) -> Kind {
        match self {
            Self::Counter(_) => Kind::Counter,
            Self::Gauge(_) => Kind::Gauge,
            Self::Seconds(kind, _) => *kind,
            Self::Histogram { .. } => Kind::Histogram,
        }
    }
}

/// Prints the snapshots of all cores (element `i` is core `i`) as Prometheus text, version 0.0.4.
pub fn write_text(cores: &[Snapshot], out: &mut String) {
    let mut families: Vec<(&str, &str, Kind)> = Vec::new();
    for sample in cores.iter().flat_map(|core| &core.0) {
        if !families.iter().any(|(name, ..)| *name == sample.name) {
            families.push((sample.name, sample.help, sample.value.kind()));
        }
    }
    for (name, help, kind) in families {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a String cannot fail.
        let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for (core, sample) in cores.iter().enumerate().flat_map(|(core, snapshot)| {
            snapshot.0.iter().filter(|sample| sample.name == name).map(move |sample| (core, sample))
        }) {
            let labels = &sample.labels;
            let _ = match &sample.value {
                Value::Counter(value) => writeln!(out, "{name}{{core=\"{core}\"{labels}}} {value}"),
                Value::Gauge(value) => writeln!(out, "{name}{{core=\"{core}\"{labels}}} {value}"),
                Value::Seconds(_, value) => writeln!(out, "{name}{{core=\"{core}\"{labels}}} {value}"),
                Value::Histogram { buckets, count: total, sum } => {
                    for (bound, count) in buckets {
                        let _ = writeln!(out, "{name}_bucket{{core=\"{core}\"{labels},le=\"{bound}\"}} {count}");
                    }
                    let _ = writeln!(out, "{name}_bucket{{core=\"{core}\"{labels},le=\"+Inf\"}} {total}");
                    let _ = writeln!(out, "{name}_sum{{core=\"{core}\"{labels}}} {sum}");
                    writeln!(out, "{name}_count{{core=\"{core}\"{labels}}} {total}")
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_the_first_bucket_that_holds_it() {
        let mut random = fastrand::Rng::with_seed(7);
        let values = (0..1000).chain((0..5000).map(|_| random.u64(..) >> random.u32(25..64)));
        for value in values {
            let bucket = bucket_of(value);
            assert!(value <= upper_bound(bucket), "{value}");
            assert!(bucket == 0 || value > upper_bound(bucket - 1), "{value}");
        }
        for bucket in 1..BUCKETS {
            assert!(upper_bound(bucket) > upper_bound(bucket - 1));
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_within_a_bucket() {
        let histogram = Histogram::default();
        (1..=1000).for_each(|value| histogram.record(value));
        for (q, exact) in [(0.5, 500), (0.99, 990), (1.0, 1000)] {
            let found = histogram.quantile(q);
            assert!(found >= exact && found <= exact * 5 / 4 + 1, "{q}: {found}");
        }
        assert_eq!(Histogram::default().quantile(0.5), 0);
    }

    #[test]
    fn text_of_two_cores() {
        let core = |requests| {
            let registry = Registry::new();
            registry.counter("tidewire_requests_total", "Requests.", &[("route", "a\"b")]).add(requests);
            registry.gauge("tidewire_open", "Open.", &[]).set(-2);
            let histogram = registry.histogram("tidewire_rows", "Rows.", &[], Unit::Count);
            [1, 2, 3, 9_000_000].into_iter().for_each(|rows| histogram.record(rows));
            registry.snapshot()
        };
        let mut text = String::new();
        write_text(&[core(3), core(4)], &mut text);
        assert!(text.starts_with(
            "# HELP tidewire_requests_total Requests.\n# TYPE tidewire_requests_total counter\n\
             tidewire_requests_total{core=\"0\",route=\"a\\\"b\"} 3\ntidewire_requests_total{core=\"1\",route=\"a\\\"b\"} 4\n\
             # HELP tidewire_open Open.\n# TYPE tidewire_open gauge\n\
             tidewire_open{core=\"0\"} -2\ntidewire_open{core=\"1\"} -2\n\
             # HELP tidewire_rows Rows.\n# TYPE tidewire_rows histogram\n\
             tidewire_rows_bucket{core=\"0\",le=\"1\"} 1\ntidewire_rows_bucket{core=\"0\",le=\"2\"} 2\n\
             tidewire_rows_bucket{core=\"0\",le=\"4\"} 3\n"
        ), "{text}");
        assert!(
            text.ends_with(
                "tidewire_rows_bucket{core=\"1\",le=\"1048576\"} 3\ntidewire_rows_bucket{core=\"1\",le=\"+Inf\"} 4\n\
             tidewire_rows_sum{core=\"1\"} 9000006\ntidewire_rows_count{core=\"1\"} 4\n"
            ),
            "{text}"
        );
    }
}
