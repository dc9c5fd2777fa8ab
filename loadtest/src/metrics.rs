//! What a Tidewire server says of itself at `/metrics`, in Prometheus text.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::http::{self, Target};

/// Samples by name; labels are not kept, since everything here adds up (or compares) shards.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    samples: BTreeMap<String, Vec<f64>>,
    /// Of buckets of histograms: the bound of each.
    bounds: BTreeMap<String, Vec<f64>>,
}

impl Metrics {
    /// Asks the server.
    pub(crate) fn read(target: &Target) -> Result<Self> {
        let reply = http::call(target, "/metrics", None, None)?;
        if reply.status != 200 {
            return Err(Error::Reply(format!("/metrics was answered {}", reply.excerpt())));
        }
        Self::parse(&String::from_utf8_lossy(&reply.body))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut metrics = Self::default();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let unknown = || Error::Reply(format!("/metrics has a line of unknown form: {line}"));
            let (left, value) = line.rsplit_once(' ').ok_or_else(unknown)?;
            let name = left.split('{').next().unwrap_or_default();
            metrics.samples.entry(name.to_owned()).or_default().push(value.parse().map_err(|_| unknown())?);
            if let Some((_, rest)) = left.split_once("le=\"") {
                let bound = rest.split('"').next().unwrap_or_default();
                let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().map_err(|_| unknown())? };
                metrics.bounds.entry(name.to_owned()).or_default().push(bound);
            }
        }
        Ok(metrics)
    }

    fn all(&self, name: &str) -> Result<&[f64]> {
        let missing = || Error::Reply(format!("/metrics has no {name}: is this server a Tidewire of this version?"));
        self.samples.get(name).map(Vec::as_slice).ok_or_else(missing)
    }

    /// The samples of a name added up over cores and shards.
    pub(crate) fn sum(&self, name: &str) -> Result<u64> {
        Ok(self.all(name)?.iter().sum::<f64>() as u64)
    }

    /// The greatest sample of a name.
    pub(crate) fn max(&self, name: &str) -> Result<f64> {
        Ok(self.all(name)?.iter().copied().fold(0.0, f64::max))
    }

    /// The least bound of a histogram above which nothing was seen, over all shards.
    pub(crate) fn bound(&self, name: &str) -> Result<f64> {
        let (bucket, all) = (format!("{name}_bucket"), self.sum(&format!("{name}_count"))?);
        let bounds = self.bounds.get(&bucket).map(Vec::as_slice).unwrap_or_default();
        let mut within: BTreeMap<u64, f64> = BTreeMap::new();
        for (bound, count) in bounds.iter().zip(self.all(&bucket)?) {
            // Bounds are positive, so that their bits order as they do.
            *within.entry(bound.to_bits()).or_default() += count;
        }
        let greatest = within.iter().find(|(_, count)| **count as u64 >= all);
        Ok(greatest.map_or(f64::INFINITY, |(bound, _)| f64::from_bits(*bound)))
    }
}

/// What the shards have done since they were opened, and what they hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Work {
    pub(crate) flushes: u64,
    pub(crate) merges: u64,
    pub(crate) merge_read_bytes: u64,
    pub(crate) merge_written_bytes: u64,
    pub(crate) deletes: u64,
    pub(crate) expired_segments: u64,
    /// Failed flushes and merges.
    pub(crate) failures: u64,
    /// Shards that merge at this moment.
    pub(crate) merging: u64,
    pub(crate) merge_debt_bytes: u64,
    pub(crate) tombstones: u64,
    pub(crate) segments: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) memtable_rows: u64,
    pub(crate) series: u64,
    pub(crate) log_bytes: u64,
}

impl Work {
    /// Asks the server.
    pub(crate) fn read(target: &Target) -> Result<Self> {
        Self::of(&Metrics::read(target)?)
    }

    fn of(metrics: &Metrics) -> Result<Self> {
        let sum = |name| metrics.sum(name);
        Ok(Self {
            flushes: sum("tidewire_flushes_total")?,
            merges: sum("tidewire_merges_total")?,
            merge_read_bytes: sum("tidewire_merge_read_bytes_total")?,
            merge_written_bytes: sum("tidewire_merge_written_bytes_total")?,
            deletes: sum("tidewire_deletes_total")?,
            expired_segments: sum("tidewire_expired_segments_total")?,
            failures: sum("tidewire_flush_failures_total")? + sum("tidewire_merge_failures_total")?,
            merging: sum("tidewire_merging")?,
            merge_debt_bytes: sum("tidewire_merge_debt_bytes")?,
            tombstones: sum("tidewire_tombstones")?,
            segments: sum("tidewire_segments")?,
            segment_bytes: sum("tidewire_segment_bytes")?,
            memtable_rows: sum("tidewire_memtable_rows")?,
            series: sum("tidewire_series")?,
            log_bytes: sum("tidewire_wal_written_bytes_total")?,
        })
    }

    /// Adds what another run of the server has done; what is held is that of the other.
    pub(crate) fn then(self, other: Self) -> Self {
        Self {
            flushes: self.flushes + other.flushes,
            merges: self.merges + other.merges,
            merge_read_bytes: self.merge_read_bytes + other.merge_read_bytes,
            merge_written_bytes: self.merge_written_bytes + other.merge_written_bytes,
            deletes: self.deletes + other.deletes,
            expired_segments: self.expired_segments + other.expired_segments,
            failures: self.failures + other.failures,
            log_bytes: self.log_bytes + other.log_bytes,
            ..other
        }
    }

    /// Nothing to flush and nothing to merge.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.memtable_rows == 0 && self.merging == 0 && self.merge_debt_bytes == 0
    }
}

/// What the shards found when they were opened.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Recovered {
    /// Log records, their rows and bytes.
    pub(crate) records: u64,
    pub(crate) rows: u64,
    pub(crate) log_bytes: u64,
    /// Time that the slowest shard took to open: manifest, series, segments, log.
    pub(crate) open_us_max: u64,
}

impl Recovered {
    /// Asks the server.
    pub(crate) fn read(target: &Target) -> Result<Self> {
        let metrics = Metrics::read(target)?;
        Ok(Self {
            records: metrics.sum("tidewire_recovery_records")?,
            rows: metrics.sum("tidewire_recovery_rows")?,
            log_bytes: metrics.sum("tidewire_recovery_log_bytes")?,
            open_us_max: (metrics.max("tidewire_recovery_duration_seconds_sum")? * 1e6) as u64,
        })
    }

    /// Rows of all shards, which open at the same time, over the time of the slowest.
    pub(crate) fn rows_per_s(&self) -> f64 {
        self.rows as f64 / (self.open_us_max.max(1) as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_all_cores_add_up() {
        let text = "# HELP a A.\n# TYPE a gauge\na{core=\"0\",shard=\"0\"} 2\na{core=\"1\",shard=\"x y\"} 5\nb 1.5e3\n";
        let metrics = Metrics::parse(text).unwrap();
        assert_eq!((metrics.sum("a").unwrap(), metrics.max("a").unwrap(), metrics.sum("b").unwrap()), (7, 5.0, 1_500));
        assert!(metrics.sum("c").unwrap_err().to_string().contains("no c"));
        assert!(Metrics::parse("a b").is_err());
    }

    #[test]
    fn the_bound_of_a_histogram_holds_for_all_shards() {
        let of = |shard: u32, counts: [u32; 3]| {
            let bounds = ["0.001", "0.002", "+Inf"].iter().zip(counts);
            let bucket = |(le, count)| format!("h_bucket{{shard=\"{shard}\",le=\"{le}\"}} {count}\n");
            bounds.map(bucket).collect::<String>() + &format!("h_count{{shard=\"{shard}\"}} {}\n", counts[2])
        };
        let bound = |text: String| Metrics::parse(&text).unwrap().bound("h").unwrap();
        assert!((bound(of(0, [7, 7, 7]) + &of(1, [2, 3, 3])) - 0.002).abs() < f64::EPSILON);
        assert!(bound(of(0, [7, 7, 7]) + &of(1, [2, 3, 4])).is_infinite());
    }

    #[test]
    fn runs_of_a_server_follow_each_other() {
        let first = Work { flushes: 2, merges: 1, segments: 9, ..Work::default() };
        let second = Work { flushes: 3, segments: 4, merging: 1, ..Work::default() };
        let both = first.then(second);
        assert_eq!((both.flushes, both.merges, both.segments), (5, 1, 4));
        assert!(!both.is_at_rest() && Work::default().is_at_rest());
    }
}
