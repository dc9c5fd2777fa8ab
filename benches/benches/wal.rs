//! The log: rows into records and frames without a disk, the same onto a real one, and a single row made durable.
//!
//! The log is read back in the end, and must give the rows that were put in.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to measure")]

mod batches;

use std::path::{Path, PathBuf};

use batches::TABLE;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures_lite::future::{block_on, or};
use tidewire_storage::Result;
use tidewire_storage::disk::plain::PlainDisk;
use tidewire_storage::disk::{Disk, DiskFile, OpenMode};
use tidewire_storage::wal::{Lsn, Record, RowsRef, Wal, WalConfig, WalSync, recover};

/// Rows of a batch: half of a request of 10,000, as two shards get it.
const BATCH_ROWS: usize = 5_000;

/// Batches appended before their commits are waited for, as eight connections would have them on their way.
const BATCHES: usize = 8;

/// A day of nanoseconds.
const PARTITION_LENGTH: i64 = 86_400 * 1_000_000_000;

const CONFIG: WalConfig = WalConfig { shard: 0, sync: WalSync::Always, file_bytes: 16 << 20 };

fn append<D: Disk>(wal: &Wal<D>, rows: &batches::Rows, range: std::ops::Range<usize>) -> Lsn {
    let rows = RowsRef {
        table: TABLE,
        partition_length: PARTITION_LENGTH,
        series: &rows.series,
        time: &rows.time,
        columns: &rows.columns,
        rows: range,
        first_series: 0,
        key_lengths: &[],
        keys: &[],
    };
    wal.append(&rows).expect("the log takes rows")
}

/// Commits what is appended, and lets its files be used again.
fn commit<D: Disk>(wal: &Wal<D>, lsn: Lsn) {
    let run = async {
        wal.run().await?;
        Ok(())
    };
    block_on(or(wal.durable(lsn), run)).expect("the log commits");
    block_on(wal.release(lsn)).expect("files can be used again");
}

fn open<D: Disk>(disk: D, folder: &Path) -> Wal<D> {
    let opened = block_on(async {
        disk.create_dir(folder).await?;
        let recovered = recover(&disk, folder, CONFIG.shard, Lsn(0), |_, _| Ok(())).await?;
        Wal::open(disk, folder, CONFIG, recovered).await
    });
    opened.expect("a log in an empty folder")
}

fn wal(criterion: &mut Criterion) {
    let batches: Vec<_> = (0..BATCHES).map(|batch| batches::rows(batch * BATCH_ROWS, BATCH_ROWS)).collect();
    let folder = Folder::new();
    check(&batches, &folder.0.join("check"));

    let mut group = criterion.benchmark_group("wal");
    group.sample_size(20).throughput(Throughput::Elements((BATCHES * BATCH_ROWS) as u64));
    let nowhere = open(Nowhere, Path::new("/nowhere"));
    group.bench_function("encode and checksum", |bencher| {
        bencher.iter(|| {
            let last = batches.iter().map(|rows| append(&nowhere, rows, 0..BATCH_ROWS)).last();
            commit(&nowhere, last.unwrap_or_default());
        });
    });
    let real = open(PlainDisk, &folder.0.join("rows"));
    group.bench_function("durable batches", |bencher| {
        bencher.iter(|| {
            let last = batches.iter().map(|rows| append(&real, rows, 0..BATCH_ROWS)).last();
            commit(&real, last.unwrap_or_default());
        });
    });
    let rows_logged = BATCH_ROWS as u64 * real.stats().commits.max(1);
    assert!(real.stats().bytes < rows_logged * BATCHES as u64 * 20, "a row takes less than 20 bytes");
    group.throughput(Throughput::Elements(1));
    group.bench_function("durable row", |bencher| {
        bencher.iter(|| commit(&real, append(&real, &batches[0], 0..1)));
    });
    group.finish();
}

/// What is logged is read back.
fn check(batches: &[batches::Rows], folder: &Path) {
    let wal = open(PlainDisk, folder);
    let lsns: Vec<_> = batches.iter().map(|rows| append(&wal, rows, 0..BATCH_ROWS)).collect();
    block_on(or(wal.durable(lsns[BATCHES - 1]), async { wal.run().await })).expect("the log commits");
    let mut read = batches.iter();
    let recovered = block_on(recover(&PlainDisk, folder, CONFIG.shard, Lsn(0), |_, back| {
        let rows = read.next().ok_or("more records than were written")?;
        let Record::Rows(back) = back else { return Err("a record of no rows".to_owned()) };
        assert_eq!((&back.series, &back.time), (&rows.series, &rows.time));
        assert_eq!(batches::sum(&back.columns), batches::sum(&rows.columns));
        Ok(())
    }));
    assert_eq!(recovered.expect("the log can be read").records, BATCHES as u64);
}

/// A folder on a real disk, removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("wal-{}", std::process::id()));
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A disk that forgets.
#[derive(Clone)]
struct Nowhere;

impl Disk for Nowhere {
    type File = Self;
    type Buffer = Vec<u8>;

    fn buffer(&self, length: usize) -> Vec<u8> {
        vec![0; length]
    }

    async fn open(&self, _: &Path, _: OpenMode) -> Result<Self> {
        Ok(Self)
    }

    async fn list(&self, _: &Path) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn create_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    async fn rename(&self, _: &Path, _: &Path) -> Result<()> {
        Ok(())
    }

    async fn remove(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    async fn sync_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    async fn yield_if_needed(&self) {}
}

impl DiskFile for Nowhere {
    type Buffer = Vec<u8>;
    type ReadBuffer = Vec<u8>;

    async fn read(&self, _: u64, _: usize) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    async fn write(&self, _: u64, buffer: Vec<u8>) -> Result<()> {
        std::hint::black_box(buffer);
        Ok(())
    }

    async fn sync(&self) -> Result<()> {
        Ok(())
    }

    async fn allocate(&self, _: u64) -> Result<()> {
        Ok(())
    }

    async fn length(&self) -> Result<u64> {
        Ok(0)
    }

    async fn truncate(&self, _: u64) -> Result<()> {
        Ok(())
    }

    async fn close(self) -> Result<()> {
        Ok(())
    }
}

criterion_group!(benches, wal);
criterion_main!(benches);
