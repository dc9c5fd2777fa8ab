//! The metrics of one shard, filled from its statistics when they are read.

use std::rc::Rc;
use std::time::Duration;

use tidewire_storage::engine::ShardStats;
use tidewire_storage::recovery::Recovery;

use crate::admission::Admission;
use crate::metrics::registry::{Counter, Gauge, Registry, Unit};

/// What is shown of a shard: name, help, and where the value comes from.
type Shown = (&'static str, &'static str, fn(&ShardStats) -> u64);

/// Totals since the shard was opened.
const COUNTERS: [Shown; 17] = [
    ("tidewire_shard_rows_appended_total", "Rows taken.", |s| s.rows_appended),
    ("tidewire_shard_batches_appended_total", "Batches taken.", |s| s.batches_appended),
    ("tidewire_wal_written_bytes_total", "Bytes written to the log.", |s| s.wal_bytes),
    ("tidewire_wal_commits_total", "Writes to the log; each covers a group of batches.", |s| s.wal_commits),
    ("tidewire_wal_syncs_total", "Syncs of the log.", |s| s.wal_syncs),
    ("tidewire_flushes_total", "Flushes done.", |s| s.flushes),
    ("tidewire_flush_failures_total", "Flushes that failed.", |s| s.flush_failures),
    ("tidewire_flushed_rows_total", "Rows written to segments.", |s| s.rows_flushed),
    ("tidewire_merges_total", "Merges of segments done.", |s| s.merges),
    ("tidewire_merge_failures_total", "Merges that failed; they changed nothing.", |s| s.merge_failures),
    ("tidewire_merged_rows_total", "Rows read by merges.", |s| s.rows_merged),
    ("tidewire_merge_read_bytes_total", "Bytes read by merges.", |s| s.merge_read_bytes),
    ("tidewire_merge_written_bytes_total", "Bytes written by merges.", |s| s.merge_written_bytes),
    ("tidewire_expired_segments_total", "Segments removed for their age.", |s| s.segments_expired),
    ("tidewire_deletes_total", "Deletes taken.", |s| s.deletes),
    ("tidewire_cache_hits_total", "Reads answered by the block cache.", |s| s.cache.hits),
    ("tidewire_cache_misses_total", "Reads that went to the disk.", |s| s.cache.misses),
];

/// What is held at the moment.
const GAUGES: [Shown; 24] = [
    ("tidewire_wal_files", "Files of the log.", |s| s.wal_files),
    ("tidewire_wal_failed", "1 when the log has failed and the shard refuses writes.", |s| u64::from(s.wal_failed)),
    ("tidewire_wal_pending_bytes", "Log records not yet written.", |s| s.memory.wal_pending),
    ("tidewire_memtable_rows", "Rows in memory.", |s| s.memtable_rows),
    ("tidewire_memtable_active_bytes", "Memory of rows that take appends.", |s| s.memory.active),
    ("tidewire_memtable_flushing_bytes", "Memory of rows on their way into segments.", |s| s.memory.flushing),
    ("tidewire_memtable_retired_bytes", "Rows that are in segments, kept for queries that began before.", |s| {
        s.memory.retired
    }),
    ("tidewire_memtable_idle_bytes", "Memory reserved for rows to come.", |s| s.memory.idle),
    ("tidewire_merging", "1 while segments are merged.", |s| u64::from(s.merging)),
    ("tidewire_merge_debt_bytes", "Bytes that the merges due now have to read.", |s| s.merge_debt_bytes),
    ("tidewire_tombstones", "Deletes that merges have not yet applied to every segment.", |s| s.tombstones),
    ("tidewire_segments_quarantined", "Damaged segments that are not merged.", |s| s.segments_quarantined),
    ("tidewire_corrupt_blocks", "Damaged blocks of segments that are known of, footers among them.", |s| {
        s.corrupt_blocks
    }),
    ("tidewire_detached_files", "Files that no manifest names, kept unread in the shard's folder detached.", |s| {
        s.detached_files
    }),
    ("tidewire_segments", "Live segments.", |s| s.segments),
    ("tidewire_segments_open", "Segments whose file is open.", |s| s.segments_open),
    ("tidewire_memtable_partitions", "Time partitions that rows in memory lie in.", |s| s.memtable_partitions),
    ("tidewire_segment_bytes", "Bytes of live segments.", |s| s.segment_bytes),
    ("tidewire_segment_rows", "Rows of live segments.", |s| s.segment_rows),
    ("tidewire_series", "Series of all tables, without hidden ones.", |s| s.series),
    ("tidewire_series_hidden", "Series all of whose rows were deleted; their keys are kept.", |s| s.series_hidden),
    ("tidewire_series_index_bytes", "Memory of series and their tags.", |s| s.memory.index),
    ("tidewire_tables", "Tables with rows or series.", |s| s.tables),
    ("tidewire_cache_bytes", "Blocks of segments kept in memory.", |s| s.cache.bytes),
];

/// What shows of a shard whether it is offline.
#[derive(Debug)]
pub(crate) struct ShownOffline {
    offline: Rc<Gauge>,
    refusing: Rc<Gauge>,
}

impl ShownOffline {
    /// Shows that it is; false where that was shown before.
    pub(crate) fn show(&self) -> bool {
        let is_new = self.offline.get() == 0;
        self.offline.set(1);
        self.refusing.set(1);
        is_new
    }
}

/// Shows of a shard whether it is offline, and gives what shows it.
pub(crate) fn show_offline(shard: u32, is_offline: bool, registry: &Registry) -> ShownOffline {
    let help = "1 when damage keeps the shard from opening, or a fault was met in it, and the server runs without it.";
    let label = shard.to_string();
    let offline = registry.gauge("tidewire_shard_offline", help, &[("shard", &label)]);
    let shown = ShownOffline { offline, refusing: refusing(&label, "offline", registry) };
    if is_offline {
        shown.show();
    }
    shown
}

/// Whether a shard takes no writes, for one of the reasons that there are.
fn refusing(shard: &str, reason: &str, registry: &Registry) -> Rc<Gauge> {
    let help = "1 when the shard takes no writes, by why: it is offline, there is no space, or its log has failed.";
    registry.gauge("tidewire_shard_refusing", help, &[("shard", shard), ("reason", reason)])
}

/// The metrics of one shard.
#[derive(Debug)]
pub(crate) struct ShardMetrics {
    counters: Vec<Rc<Counter>>,
    gauges: Vec<Rc<Gauge>>,
    refusing_no_space: Rc<Gauge>,
    refusing_log_failed: Rc<Gauge>,
    granted: Rc<Gauge>,
    credits_max: Rc<Gauge>,
    refused: Rc<Counter>,
}

impl ShardMetrics {
    /// The metrics of shard `shard`, in its core's registry.
    pub(crate) fn new(shard: u32, registry: &Registry) -> Self {
        let label = shard.to_string();
        let gauge = |name, help| registry.gauge(name, help, &[("shard", &label)]);
        let counter = |name, help| registry.counter(name, help, &[("shard", &label)]);
        Self {
            counters: COUNTERS.iter().map(|(name, help, _)| counter(name, help)).collect(),
            gauges: GAUGES.iter().map(|(name, help, _)| gauge(name, help)).collect(),
            refusing_no_space: refusing(&label, "no_space", registry),
            refusing_log_failed: refusing(&label, "log_failed", registry),
            granted: gauge("tidewire_credits_granted_bytes", "Rows granted to requests and not yet durable."),
            credits_max: gauge("tidewire_credits_max_bytes", "Bound of granted rows and memtables together."),
            refused: counter("tidewire_credits_refused_total", "Requests refused for want of credits."),
        }
    }

    /// Fills in the values of this moment.
    pub(crate) fn update(&self, shard: u32, stats: &ShardStats, admission: &Admission) {
        let set = |gauge: &Gauge, value: u64| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        for (counter, (.., total)) in self.counters.iter().zip(&COUNTERS) {
            counter.advance_to(total(stats));
        }
        for (gauge, (.., value)) in self.gauges.iter().zip(&GAUGES) {
            set(gauge, value(stats));
        }
        self.refusing_no_space.set(i64::from(stats.no_space));
        self.refusing_log_failed.set(i64::from(stats.wal_failed));
        let (granted, _, refused) = admission.counters(shard);
        set(&self.granted, granted);
        set(&self.credits_max, admission.bounds().held_bytes_max);
        self.refused.advance_to(refused);
    }
}

/// Shows what opening a shard has found and how long it took; these values stay as they are.
pub(crate) fn report_recovery(shard: u32, recovery: &Recovery, time: Duration, registry: &Registry) {
    let label = shard.to_string();
    let show = |name, help, value: u64| {
        registry.gauge(name, help, &[("shard", &label)]).set(i64::try_from(value).unwrap_or(i64::MAX));
    };
    show("tidewire_recovery_records", "Log records replayed at the start.", recovery.records);
    show("tidewire_recovery_rows", "Rows replayed from the log at the start.", recovery.rows);
    show("tidewire_recovery_log_bytes", "Bytes of the log read at the start.", recovery.log_bytes);
    // One sample: a histogram has fractions of a second.
    let help = "Time to open the shard, replay of its log included.";
    let duration =
        registry.histogram("tidewire_recovery_duration_seconds", help, &[("shard", &label)], Unit::Nanoseconds);
    duration.record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
}
