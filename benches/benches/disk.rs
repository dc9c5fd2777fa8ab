//! The server's disk: a durable 4 KiB write, 1 MiB reads one at a time and eight at once. The folder is the one for
//! temporary files (`TMPDIR`); what is read is checked against what was written.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidewire_server::ring::{CoreOptions, Queue, Queues, RingDisk, RingFeatures, host, start_core};
use tidewire_storage::disk::{DISK_ALIGN, Disk, DiskFile, IO_BYTES_MAX, OpenMode};

/// Large enough that a device's own cache does not answer for it all.
const FILE_BYTES: u64 = 64 << 20;
const READS_AT_ONCE: u64 = 8;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs `work` on an executor as the server has it, over a file that is written and synced.
fn measured(
    work: impl AsyncFnOnce(&RingDisk, <RingDisk as Disk>::File) -> Result<Duration, Failure> + Send + 'static,
) -> Result<Duration, Failure> {
    let limits = host::raise_limits();
    let options = CoreOptions {
        name: "disk-bench".to_owned(),
        cpu: None,
        io_memory_bytes: host::io_memory_bytes(limits.locked_bytes, 2),
        ring_depth: 512,
        preempt: Duration::from_millis(1),
        features: RingFeatures::default(),
    };
    let path: PathBuf = std::env::temp_dir().join(format!("tidewire-disk-bench-{}", std::process::id()));
    start_core(options, move || async move {
        let disk = RingDisk::new();
        let file = disk.open(&path, OpenMode::Create).await?;
        let mut outcome = fill(&disk, &file).await;
        if outcome.is_ok() {
            outcome = work(&disk, file).await.map(Some);
        }
        disk.remove(&path).await?;
        Ok(outcome?.unwrap_or_default())
    })?
    .join()?
}

async fn fill(disk: &RingDisk, file: &<RingDisk as Disk>::File) -> Result<Option<Duration>, Failure> {
    for part in 0..FILE_BYTES / IO_BYTES_MAX as u64 {
        let mut buffer = disk.buffer(IO_BYTES_MAX);
        buffer.as_mut().fill(part as u8);
        file.write(part * IO_BYTES_MAX as u64, buffer).await?;
    }
    file.sync().await?;
    Ok(None)
}

async fn durable_writes(disk: &RingDisk, file: <RingDisk as Disk>::File, count: u64) -> Result<Duration, Failure> {
    let start = Instant::now();
    for number in 0..count {
        let at = number * DISK_ALIGN as u64 % FILE_BYTES;
        file.write(at, disk.buffer(DISK_ALIGN)).await?;
        file.sync().await?;
    }
    Ok(start.elapsed())
}

async fn reads(file: <RingDisk as Disk>::File, count: u64, at_once: u64) -> Result<Duration, Failure> {
    let (file, queues) = (Rc::new(file), Queues::new());
    let start = Instant::now();
    let mut next = 0;
    while next < count {
        let batch: Vec<_> = (next..count.min(next + at_once))
            .map(|number| {
                let part = number % (FILE_BYTES / IO_BYTES_MAX as u64);
                let file = Rc::clone(&file);
                let read = async move { file.read(part * IO_BYTES_MAX as u64, IO_BYTES_MAX).await };
                (part, queues.spawn(Queue::Query, "a read", read))
            })
            .collect();
        next += batch.len() as u64;
        for (part, read) in batch {
            let bytes = read.await?;
            assert_eq!(bytes.as_ref().len(), IO_BYTES_MAX);
            assert_eq!(u64::from(bytes.as_ref()[IO_BYTES_MAX / 2]), part);
        }
    }
    Ok(start.elapsed())
}

fn disk(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("disk");
    group.sample_size(10).measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_millis(200));
    let told = |measured: Result<Duration, Failure>| measured.unwrap_or_else(|error| panic!("{error}"));
    group.bench_function("4 KiB written and synced", |bencher| {
        bencher.iter_custom(|count| told(measured(async move |disk, file| durable_writes(disk, file, count).await)));
    });
    group.throughput(Throughput::Bytes(IO_BYTES_MAX as u64));
    for (name, at_once) in [("1 MiB read", 1), ("1 MiB read, 8 at once", READS_AT_ONCE)] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| told(measured(async move |_, file| reads(file, count, at_once).await)));
        });
    }
    group.finish();
}

criterion_group!(benches, disk);
criterion_main!(benches);
