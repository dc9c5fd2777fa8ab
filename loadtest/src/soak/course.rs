//! The course of a soak in figures, and what is judged of it: pure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::metrics::Work;
use crate::output;
use crate::tally::Latencies;
use crate::write::duration;

/// What the client saw since it was last asked.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) write_ns: Vec<u64>,
    /// By the name of the query.
    pub(super) query_ns: BTreeMap<&'static str, Vec<u64>>,
}

/// One look at the server, about once a second.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Point {
    /// From the start of the clock.
    pub(super) at_s: f64,
    /// Rows acknowledged so far.
    pub(super) rows: u64,
    pub(super) rss_bytes: u64,
}

/// One minute.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Minute {
    pub(super) at_s: f64,
    pub(super) rows_per_s: f64,
    pub(super) write: Latencies,
    pub(super) queries: BTreeMap<&'static str, Latencies>,
    /// Most memory of the minute.
    pub(super) rss_bytes_max: u64,
    /// Processors the server kept busy.
    pub(super) cpu_cores: f64,
    pub(super) disk_bytes: u64,
    pub(super) work: Work,
    pub(super) throttled: u64,
    pub(super) errors: u64,
}

/// The head of the lines of minutes.
pub(super) const HEAD: &str = "    time      rows/s  write p50 / p99        query p50 / p99 (slowest kind)    \
RSS MiB  cores  disk MB  segments  debt MB  flushes  merges  deletes  expired  429s  errors\n";

impl Minute {
    /// One line under [`HEAD`].
    pub(super) fn line(&self) -> String {
        let slowest = self.queries.iter().max_by(|left, right| left.1.p99_us.total_cmp(&right.1.p99_us));
        let slowest = slowest.map_or("-".to_owned(), |(name, latency)| {
            format!("{} / {} {name}", duration(latency.p50_us), duration(latency.p99_us))
        });
        let write = format!("{} / {}", duration(self.write.p50_us), duration(self.write.p99_us));
        let Work { segments, flushes, merges, deletes, expired_segments, merge_debt_bytes, .. } = self.work;
        format!(
            "{:>6.0} s  {:>10.0}  {write:<20}  {slowest:<41}  {:>7.0}  {:>5.2}  {:>7.0}  {segments:>8}  {:>7.1}  \
             {flushes:>7}  {merges:>6}  {deletes:>7}  {expired_segments:>7}  {:>4}  {:>6}\n",
            self.at_s,
            self.rows_per_s,
            self.rss_bytes_max as f64 / f64::from(1 << 20),
            self.cpu_cores,
            self.disk_bytes as f64 / 1e6,
            merge_debt_bytes as f64 / 1e6,
            self.throttled,
            self.errors,
        )
    }
}

/// Rates of the first and of the last sixth of the run (5 of 30 minutes). The first one begins after a thirtieth.
pub(super) fn rates(points: &[Point]) -> Option<(f64, f64)> {
    let (start, end) = (points.first()?.at_s, points.last()?.at_s);
    let (warm, window) = ((end - start) / 30.0, (end - start) / 6.0);
    let first = rate(points, start + warm, start + warm + window)?;
    Some((first, rate(points, end - window, end)?))
}

/// Rows per second between the points nearest to two moments.
fn rate(points: &[Point], from_s: f64, to_s: f64) -> Option<f64> {
    let near =
        |at_s: f64| points.iter().min_by(|l, r| (l.at_s - at_s).abs().total_cmp(&(r.at_s - at_s).abs())).copied();
    let (from, to) = (near(from_s)?, near(to_s)?);
    (to.at_s > from.at_s).then(|| (to.rows - from.rows) as f64 / (to.at_s - from.at_s))
}

/// Most memory in the middle and in the last third of the run.
pub(super) fn memory(points: &[Point]) -> Option<(u64, u64)> {
    let (start, end) = (points.first()?.at_s, points.last()?.at_s);
    let third = (end - start) / 3.0;
    let most = |from_s: f64, to_s: f64| {
        points.iter().filter(|point| (from_s..=to_s).contains(&point.at_s)).map(|point| point.rss_bytes).max()
    };
    Some((most(start + third, end - third)?, most(end - third, end)?))
}

/// Latencies of each query over the whole run: the p50 and the worst p99 of its minutes.
pub(super) fn query_table(minutes: &[Minute]) -> String {
    let mut rows = vec![["query", "p50: first minute", "last", "worst p99"].map(str::to_owned).to_vec()];
    let names: std::collections::BTreeSet<&str> =
        minutes.iter().flat_map(|minute| minute.queries.keys().copied()).collect();
    for name in names {
        let mut of = minutes.iter().filter_map(|minute| minute.queries.get(name));
        let worst = of.clone().map(|latency| latency.p99_us).fold(0.0, f64::max);
        let first = of.next().map_or(0.0, |latency| latency.p50_us);
        let last = of.next_back().map_or(first, |latency| latency.p50_us);
        rows.push(vec![name.to_owned(), duration(first), duration(last), duration(worst)]);
    }
    output::table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(minutes: u64, rate: impl Fn(u64) -> u64, rss: impl Fn(u64) -> u64) -> Vec<Point> {
        let mut rows = 0;
        (0..=minutes * 60)
            .map(|second| {
                rows += if second == 0 { 0 } else { rate(second) };
                Point { at_s: second as f64, rows, rss_bytes: rss(second) }
            })
            .collect()
    }

    #[test]
    fn rates_of_five_minutes_in_thirty() {
        // A slow first minute is warm-up; the rate then falls by a tenth after 15 minutes.
        let rate = |second: u64| match second {
            ..=60 => 10,
            61..=900 => 1_000,
            _ => 900,
        };
        let (first, last) = rates(&points(30, rate, |_| 0)).unwrap();
        assert!((first - 1_000.0).abs() < 1e-6 && (last - 900.0).abs() < 1e-6, "{first} {last}");
        assert_eq!(rates(&[]), None);
        assert_eq!(rates(&points(0, |_| 0, |_| 0)), None);
    }

    #[test]
    fn memory_of_the_last_two_thirds() {
        let rss = |second: u64| if second < 400 { 5_000 } else { second };
        let (middle, last) = memory(&points(20, |_| 1, rss)).unwrap();
        assert_eq!((middle, last), (800, 1_200));
        assert_eq!(memory(&[]), None);
    }

    #[test]
    fn a_line_and_a_table() {
        let latency = Latencies { p50_us: 100.0, p99_us: 9_000.0, ..Latencies::default() };
        let minute = Minute {
            at_s: 60.0,
            rows_per_s: 2e6,
            write: latency,
            queries: [("lastpoint", latency)].into(),
            rss_bytes_max: 5 << 20,
            cpu_cores: 1.5,
            disk_bytes: 7_000_000,
            work: Work { merges: 3, ..Work::default() },
            throttled: 0,
            errors: 0,
        };
        let line = minute.line();
        assert!(line.contains("2000000") && line.contains("100 µs / 9.00 ms lastpoint"), "{line}");
        assert!(query_table(&[minute.clone(), minute]).contains("lastpoint"));
    }
}
