//! What a load showed, for people and for programs.

use std::fmt;

use serde::Serialize;

use super::Job;
use super::client::Load;
use crate::error::{Error, Result};
use crate::process::DiskUse;
use crate::tally::{Latencies, Tally};

/// The figures of one load. Field names carry their units.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Summary {
    pub(crate) workload: String,
    pub(crate) hosts: u64,
    pub(crate) batch_rows: u64,
    pub(crate) connections: u32,
    pub(crate) threads: u32,
    pub(crate) seed: u64,
    /// Rows per second asked for; absent in a closed loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate_rows_per_s: Option<f64>,
    pub(crate) rows_asked: u64,
    pub(crate) rows: u64,
    pub(crate) values: u64,
    pub(crate) requests: u64,
    /// How often the encoded requests were sent, the later times with raised timestamps.
    pub(crate) laps: u64,
    pub(crate) bytes: u64,
    pub(crate) elapsed_s: f64,
    pub(crate) rows_per_s: f64,
    pub(crate) mb_per_s: f64,
    pub(crate) requests_per_s: f64,
    pub(crate) latency: Latencies,
    /// Requests answered 429 and sent again; their latency includes the wait.
    pub(crate) throttled: u64,
    pub(crate) errors: u64,
    pub(crate) client_cpu_us_per_row: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<ServerCost>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) disk: Option<DiskCost>,
}

/// What the load cost the server.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ServerCost {
    /// From the start of the clock to the last reply.
    pub(crate) load_cpu_s: f64,
    pub(crate) load_cpu_us_per_row: f64,
    /// Until the server came to rest, flush included; absent without `--settle`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) all_cpu_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) all_cpu_us_per_row: Option<f64>,
    /// Whether the server came to rest in the time given.
    pub(crate) settled: bool,
    /// Most memory seen during the load.
    pub(crate) rss_bytes_max: u64,
    /// Most memory since the server started.
    pub(crate) rss_bytes_peak: u64,
}

/// What the load left on disk.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct DiskCost {
    #[serde(flatten)]
    pub(crate) used: DiskUse,
    /// Growth of everything but the log, per value written, warm-up included.
    pub(crate) bytes_per_value: f64,
    /// The same with the log.
    pub(crate) bytes_per_value_with_wal: f64,
}

impl Summary {
    pub(super) fn new(job: &Job, load: &Load, settled: Option<(f64, bool)>, disk: Option<(DiskUse, DiskUse)>) -> Self {
        let tally = &load.tally;
        let (rows, values, bytes) = (tally.rows(), tally.values(), tally.bytes());
        let elapsed_s = tally.elapsed().as_secs_f64();
        let per_s = |count: f64| if elapsed_s > 0.0 { count / elapsed_s } else { 0.0 };
        let us_per_row = |cpu_s: f64| cpu_s * 1e6 / rows.max(1) as f64;
        let server = load.server_cpu_s.map(|(before, after)| {
            let all = settled.map(|(at_rest, _)| at_rest.max(after) - before);
            ServerCost {
                load_cpu_s: after - before,
                load_cpu_us_per_row: us_per_row(after - before),
                all_cpu_s: all,
                all_cpu_us_per_row: all.map(us_per_row),
                settled: settled.is_some_and(|(_, reached)| reached),
                rss_bytes_max: load.memory.resident_bytes,
                rss_bytes_peak: load.memory.resident_bytes_max,
            }
        });
        let disk = disk.map(|(before, after)| {
            let all_values = (values + load.warmup_values).max(1) as f64;
            let grown = |after: u64, before: u64| after.saturating_sub(before) as f64 / all_values;
            DiskCost {
                used: after,
                bytes_per_value: grown(after.data_bytes, before.data_bytes),
                bytes_per_value_with_wal: grown(
                    after.data_bytes + after.wal_bytes,
                    before.data_bytes + before.wal_bytes,
                ),
            }
        });
        Self {
            workload: format!("{:?}", job.rows.workload).to_lowercase(),
            hosts: job.rows.hosts,
            batch_rows: job.rows.batch,
            connections: job.rows.connections,
            threads: job.rows.threads,
            seed: job.rows.seed,
            rate_rows_per_s: job.rate,
            rows_asked: job.rows.rows,
            rows,
            values,
            requests: tally.samples.len() as u64,
            laps: load.laps,
            bytes,
            elapsed_s,
            rows_per_s: per_s(rows as f64),
            mb_per_s: per_s(bytes as f64) / 1e6,
            requests_per_s: per_s(tally.samples.len() as f64),
            latency: tally.latencies(),
            throttled: tally.throttled,
            errors: tally.errors,
            client_cpu_us_per_row: us_per_row(load.client_cpu_s),
            server,
            disk,
        }
    }

    /// One line that says what was measured.
    pub(crate) fn title(&self) -> String {
        let loop_kind =
            self.rate_rows_per_s.map_or("closed loop".to_owned(), |rate| format!("open loop {rate} rows/s"));
        format!(
            "{}, {} hosts, {} rows in batches of {}, {} connections, {loop_kind}",
            self.workload, self.hosts, self.rows, self.batch_rows, self.connections
        )
    }

    /// An error when requests failed or rows are missing.
    pub(crate) fn verdict(&self, tally: &Tally) -> Result<()> {
        if tally.errors > 0 {
            let texts = tally.error_texts.join("\n  ");
            return Err(Error::Failed(format!("{} requests failed, among them:\n  {texts}", tally.errors)));
        }
        if self.rows < self.rows_asked {
            return Err(Error::Failed(format!("{} of {} rows were acknowledged", self.rows, self.rows_asked)));
        }
        Ok(())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.title())?;
        writeln!(
            out,
            "  rate      {:.0} rows/s, {:.1} MB/s, {:.0} requests/s",
            self.rows_per_s, self.mb_per_s, self.requests_per_s
        )?;
        let l = &self.latency;
        writeln!(
            out,
            "  latency   p50 {} · p90 {} · p99 {} · p99.9 {} · max {} (per request)",
            duration(l.p50_us),
            duration(l.p90_us),
            duration(l.p99_us),
            duration(l.p999_us),
            duration(l.max_us)
        )?;
        writeln!(out, "  time      {:.3} s, client CPU {:.3} µs/row", self.elapsed_s, self.client_cpu_us_per_row)?;
        if self.throttled + self.errors > 0 {
            writeln!(out, "  refused   {} times 429, {} errors", self.throttled, self.errors)?;
        }
        if self.laps > 1 {
            writeln!(out, "  laps      {} over the encoded requests", self.laps)?;
        }
        if let Some(server) = &self.server {
            write!(
                out,
                "  server    CPU {:.2} s, {:.3} µs/row during the load",
                server.load_cpu_s, server.load_cpu_us_per_row
            )?;
            if let (Some(cpu_s), Some(us)) = (server.all_cpu_s, server.all_cpu_us_per_row) {
                let rest = if server.settled { "" } else { " (not yet at rest)" };
                write!(out, "; {cpu_s:.2} s, {us:.3} µs/row all in, flush included{rest}")?;
            }
            writeln!(out)?;
            let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            writeln!(
                out,
                "  memory    {:.0} MiB at most during the load, {:.0} MiB since start",
                mib(server.rss_bytes_max),
                mib(server.rss_bytes_peak)
            )?;
        }
        if let Some(disk) = &self.disk {
            let mb = |bytes: u64| bytes as f64 / 1e6;
            writeln!(
                out,
                "  disk      {:.1} MB ({:.1} MB allocated): data {:.1} MB, log {:.1} MB",
                mb(disk.used.apparent_bytes),
                mb(disk.used.allocated_bytes),
                mb(disk.used.data_bytes),
                mb(disk.used.wal_bytes)
            )?;
            writeln!(
                out,
                "            {:.3} bytes/value, {:.3} with the log",
                disk.bytes_per_value, disk.bytes_per_value_with_wal
            )?;
        }
        Ok(())
    }
}

/// Microseconds with the unit that suits them.
pub(crate) fn duration(us: f64) -> String {
    if us < 1_000.0 {
        format!("{us:.0} µs")
    } else if us < 1_000_000.0 {
        format!("{:.2} ms", us / 1e3)
    } else {
        format!("{:.2} s", us / 1e6)
    }
}
