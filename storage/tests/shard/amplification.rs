//! What compaction costs and saves on rows like those of a monitored fleet: a day of ten fields of 200 hosts. Prints:
//! `cargo test -p tidewire-storage --test shard -- --ignored --nocapture amplification`.

use std::time::Duration;

use fastrand::Rng;
use futures_lite::future::block_on;
use tidewire_storage::batch::{BatchColumn, NEW_SERIES_BIT, Values, WriteBatch};
use tidewire_storage::disk::plain::PlainDisk;
use tidewire_storage::engine::{ShardConfig, ShardStats};
use tidewire_storage::schema::{ColumnId, ColumnKind, ColumnSchema, FieldType, TableSchema};

use crate::common::{Folder, HOST, drive, open, table};

const HOSTS: u32 = 200;
const STEPS: i64 = 8640;
const STEP_NS: i64 = 10_000_000_000;
const FIELDS: u16 = 10;
const VALUES: f64 = HOSTS as f64 * STEPS as f64 * FIELDS as f64;

fn schema(kind: FieldType) -> TableSchema {
    let mut schema = TableSchema { partition_length: STEPS * STEP_NS, ..table(1) };
    let fields = (1..=FIELDS).map(|id| ColumnSchema {
        id: ColumnId(id),
        name: format!("field{id}").into(),
        kind: ColumnKind::Field(kind),
        codec: None,
        geometry: None,
    });
    schema.columns = schema.columns[..1].iter().cloned().chain(fields).collect();
    schema
}

/// The rows of one moment: each value is a step away from the one before, decimals with noise upon it.
fn step_batch(
    random: &mut Rng,
    schema: &TableSchema,
    kind: FieldType,
    step: i64,
    state: &mut [[i64; 10]],
) -> WriteBatch {
    let mut batch = WriteBatch { table: Some(schema.id), ..WriteBatch::default() };
    for host in 0..HOSTS {
        batch.series.push(match step {
            0 => NEW_SERIES_BIT | batch.new_series.push([(HOST, format!("host_{host}").as_bytes())]),
            _ => host,
        });
        batch.time.push(step * STEP_NS);
    }
    for field in 0..FIELDS {
        let walk = state.iter_mut().map(|host| {
            let value = &mut host[usize::from(field)];
            *value = (*value + random.i64(-1..=1)).clamp(0, 100);
            *value
        });
        let steps: Vec<i64> = walk.collect();
        let values = match kind {
            FieldType::Int => Values::Int(steps),
            _ => Values::Float(steps.iter().map(|n| (*n * 100 + random.i64(0..100)) as f64 / 100.0).collect()),
        };
        batch.columns.push(BatchColumn { id: ColumnId(field + 1), values, validity: None });
    }
    batch
}

#[test]
#[ignore = "a minute: what compaction costs and saves"]
#[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
fn amplification() {
    for (kind, bytes_per_value_max) in [(FieldType::Int, 0.6), (FieldType::Float, 1.4)] {
        let (folder, schema) = (Folder::new("amplification"), schema(kind));
        let config = ShardConfig { flush_bytes: 4 << 20, ..ShardConfig::new(0) };
        let (shard, _) = block_on(open(PlainDisk, &folder.0, config)).unwrap();
        let (mut random, mut state) = (Rng::with_seed(1), [[50; 10]; HOSTS as usize]);
        let (mut flushed_bytes, mut segments_max) = (0, 0);
        let written = |stats: &ShardStats, flushed: u64| (flushed + stats.merge_written_bytes) as f64 / flushed as f64;
        drive(&shard, async {
            shard.tick(Duration::ZERO);
            for step in 0..STEPS {
                let batch = step_batch(&mut random, &schema, kind, step, &mut state);
                shard.append(&batch, &schema).unwrap();
                if shard.memtable_bytes() >= 4 << 20 || step + 1 == STEPS {
                    let before = shard.stats().segment_bytes;
                    shard.flush().await.unwrap();
                    flushed_bytes += shard.stats().segment_bytes - before;
                    shard.compact().await.unwrap();
                    segments_max = segments_max.max(shard.stats().segments);
                }
            }
            let warm = shard.stats();
            shard.tick(Duration::from_secs(86_400));
            shard.compact().await.unwrap();
            let cold = shard.stats();
            let per_value = |bytes: u64| bytes as f64 / VALUES;
            println!(
                "{kind:?}: {} flushes, at most {segments_max} segments; bytes a value {:.3} flushed, {:.3} merged, {:.3} \
                 cold; written {:.2} times, {:.2} with the cold merge",
                warm.flushes,
                per_value(flushed_bytes),
                per_value(warm.segment_bytes),
                per_value(cold.segment_bytes),
                written(&warm, flushed_bytes),
                written(&cold, flushed_bytes),
            );
            assert_eq!((cold.segments, cold.segment_rows), (1, u64::from(HOSTS) * STEPS as u64));
            assert!(per_value(cold.segment_bytes) <= bytes_per_value_max);
            assert!(written(&cold, flushed_bytes) <= 5.0 && segments_max <= 12);
        });
    }
}
