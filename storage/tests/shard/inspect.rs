//! A shard's files as tools see them: on a live shard, after its end, and damaged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use futures_lite::future::block_on;
use tidewire_storage::disk::plain::PlainDisk;
use tidewire_storage::engine::{SeriesSelection, ShardConfig};
use tidewire_storage::inspect::ShardFiles;
use tidewire_storage::segment::Expected;
use tidewire_storage::series::SeriesIndex;
use tidewire_storage::wal::Record;
use tidewire_storage::{Error, Result};

use crate::common::{Folder, IntRow, drive_all, int_batch, int_rows, open, small_config, table};

const SHARD: u32 = 3;

/// Rows that were found by reading everything, or all damage.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    segment_rows: u64,
    log_rows: usize,
    deletes: usize,
    series: usize,
    hidden: u64,
    damage: Vec<(PathBuf, u64)>,
}

async fn verify(folder: &Path) -> Result<Found> {
    steady(folder, async |files| read_all(&files).await).await
}

#[test]
fn golden_files_are_read_through() {
    let v1 = Found { segment_rows: 7, log_rows: 3, deletes: 1, series: 1, ..Found::default() };
    let v2 = Found { segment_rows: 7, log_rows: 5, deletes: 2, series: 3, hidden: 2, ..Found::default() };
    for (version, expected) in [("v1", v1), ("v2", v2)] {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(version);
        let files = block_on(ShardFiles::open(&PlainDisk, &golden, 0)).unwrap();
        let found = block_on(read_all(&files)).unwrap();
        assert_eq!(found, expected, "{version}");
        assert_eq!(
            (files.segments().count(), files.tombstones().count(), block_on(files.strays()).unwrap().len()),
            (4, 1, 0),
            "{version}"
        );
    }
}

/// Looks until no other manifest took the place of the one that was looked at.
async fn steady<T>(folder: &Path, look: impl AsyncFn(ShardFiles<PlainDisk>) -> Result<T>) -> Result<T> {
    loop {
        let files = ShardFiles::open(&PlainDisk, folder, SHARD).await?;
        let before = files.manifest_bytes().to_vec();
        let found = look(files).await;
        if ShardFiles::open(&PlainDisk, folder, SHARD).await?.manifest_bytes() == before {
            return found;
        }
    }
}

async fn read_all(files: &ShardFiles<PlainDisk>) -> Result<Found> {
    let mut found = Found::default();
    let mut indexes = BTreeMap::new();
    for file in files.series_files() {
        files.load_series(&file, &mut indexes).await?;
        files.check_series_copy(&file).await?;
    }
    files.restore_hidden(&mut indexes)?;
    found.series = indexes.values().map(SeriesIndex::len).sum();
    found.hidden = indexes.values().map(|index| index.hidden_len() as u64).sum();
    for segment in files.segments() {
        let open = files.open_segment(&segment).await?;
        let description = open.describe();
        assert_eq!(description.rows, segment.meta.rows);
        let (mut damage, mut read) = (Vec::new(), 0);
        let expected = Expected {
            table: segment.table,
            partition_start: segment.partition_start,
            partition_length: segment.partition_length,
            series: Some(indexes[&segment.table].len() as u64),
        };
        open.verify(&PlainDisk, &expected, &mut |error| damage.push(error), &mut |bytes| read += bytes).await?;
        assert_eq!(read, segment.meta.bytes, "progress adds up");
        for error in damage {
            let Error::Corrupt { path, offset, .. } = error else { panic!("{error}") };
            found.damage.push((path, offset));
        }
        found.segment_rows += description.rows;
    }
    let flushed = files.flushed_lsn();
    files
        .read_log(async |frame| {
            frame.records(flushed, |_, record| {
                match record {
                    Record::Rows(rows) => found.log_rows += rows.time.len(),
                    Record::Delete(_) => found.deletes += 1,
                }
                Ok(())
            })
        })
        .await?;
    Ok(found)
}

/// What a backup does with a shard: links, and a copy of the log; begun anew when the log may have been used again.
async fn back_up(from: &Path, to: &Path) {
    loop {
        let files = ShardFiles::open(&PlainDisk, from, SHARD).await.unwrap();
        let _ = std::fs::remove_dir_all(to);
        for folder in ["segments", "series", "wal"] {
            std::fs::create_dir_all(to.join(folder)).unwrap();
        }
        let segments = files.segments().map(|segment| files.segment_path(&segment));
        let paths: Vec<_> = segments.chain(files.series_files().map(|file| files.series_path(&file))).collect();
        let linked =
            paths.iter().all(|path| std::fs::hard_link(path, to.join(path.strip_prefix(from).unwrap())).is_ok());
        let copied = files.copy_log(&to.join("wal/00000001.wal")).await;
        if !linked || !files.needs_log().await.unwrap() {
            continue;
        }
        copied.unwrap();
        if !files.manifest_bytes().is_empty() {
            std::fs::write(to.join("MANIFEST"), files.manifest_bytes()).unwrap();
        }
        return;
    }
}

async fn rows_of(folder: &Path) -> Vec<IntRow> {
    let (shard, _) = open(PlainDisk, folder, small_config()).await.unwrap();
    int_rows(&shard, table(1).id).await
}

#[test]
fn links_and_a_copy_of_the_log_are_the_shard_at_every_moment() {
    for seed in 1..=3 {
        let mut random = fastrand::Rng::with_seed(seed);
        eprintln!("seed {seed}");
        let (folder, table) = (Folder::new("inspect"), table(1));
        let mut shard = block_on(open(PlainDisk, &folder.0, small_config())).unwrap().0;
        for step in 0..25 {
            let live = shard.clone();
            drive_all(&live, async {
                match random.u32(0..12) {
                    0 => shard.flush().await.unwrap(),
                    1 => shard.compact().await.unwrap(),
                    2 => {
                        let series = SeriesSelection::Of((0..random.u32(1..9)).collect());
                        let _ = shard.delete(table.id, &series, random.i64(0..2000), 2500);
                    }
                    _ => {
                        let rows: Vec<IntRow> = (0..random.usize(1..200))
                            .map(|_| (random.u32(0..9), random.i64(0..4000), random.i64(..)))
                            .collect();
                        shard.append(&int_batch(&table, &rows), &table).unwrap();
                    }
                }
                let last = shard.stats().lsn;
                shard.durable(last).await.unwrap();
                let found = verify(&folder.0).await.unwrap();
                assert_eq!(found.damage, [], "seed {seed}, step {step}");

                let copy = Folder::new("inspect-backup");
                back_up(&folder.0, &copy.0).await;
                assert_eq!(verify(&copy.0).await.unwrap().damage, [], "seed {seed}, step {step}");
                assert_eq!(rows_of(&copy.0).await, int_rows(&shard, table.id).await, "seed {seed}, step {step}");
            });
            if random.u32(0..8) == 0 {
                // A start after a kill: the log goes on in another file.
                drop((shard, live));
                shard = block_on(open(PlainDisk, &folder.0, small_config())).unwrap().0;
            }
        }
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1 << (at % 8);
    std::fs::write(path, bytes).unwrap();
}

/// A shard that was killed, with files of each kind.
fn ended() -> Folder {
    let (folder, table) = (Folder::new("inspect-ended"), table(1));
    let config = ShardConfig { flush_bytes: 1 << 20, ..small_config() };
    let (shard, _) = block_on(open(PlainDisk, &folder.0, config)).unwrap();
    drive_all(&shard, async {
        let rows = |from: i64| -> Vec<IntRow> { (0..300).map(|i| ((i % 7) as u32, from + i, i * i)).collect() };
        shard.append(&int_batch(&table, &rows(0)), &table).unwrap();
        shard.flush().await.unwrap();
        shard.append(&int_batch(&table, &rows(400)), &table).unwrap();
        shard.append(&int_batch(&table, &rows(800)), &table).unwrap();
        let last = shard.append(&int_batch(&table, &rows(1200)), &table).unwrap().lsn;
        shard.durable(last).await.unwrap();
    });
    folder
}

#[test]
fn a_flipped_bit_of_any_kind_of_file_is_found_in_that_file() {
    let folder = ended();
    let whole = block_on(verify(&folder.0)).unwrap();
    assert_eq!((whole.segment_rows, whole.log_rows, whole.series), (300, 900, 7));
    let strays = block_on(async { ShardFiles::open(&PlainDisk, &folder.0, SHARD).await.unwrap().strays().await });
    assert_eq!(strays.unwrap(), Vec::<PathBuf>::new(), "copies belong to their files");
    let only = |folder: &Path, below: &str| {
        let mut files: Vec<_> = std::fs::read_dir(folder.join(below)).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        files
    };
    let mut targets = vec![folder.0.join("MANIFEST")];
    targets.extend(only(&folder.0, "segments"));
    targets.extend(only(&folder.0, "series"));
    targets.extend(only(&folder.0, "wal"));
    for target in targets {
        let name = target.strip_prefix(&folder.0).unwrap();
        let bytes = std::fs::read(&target).unwrap();
        // Zeros are mostly padding, which belongs to nobody.
        let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        for &at in used.iter().step_by((used.len() / 120).max(1)) {
            flip(&target, at);
            match block_on(verify(&folder.0)) {
                Ok(found) if found == whole => panic!("{}: a flip at {at} went unseen", name.display()),
                Ok(found) if !found.damage.is_empty() => {
                    assert!(found.damage.iter().all(|(path, _)| *path == target), "{}: {found:?}", name.display());
                }
                // A log whose last commit is damaged looks as if a crash had cut it short.
                Ok(found) => assert!(name.starts_with("wal") && found.log_rows < whole.log_rows, "{}", name.display()),
                Err(Error::Corrupt { path, .. } | Error::Incompatible { path, .. }) => assert_eq!(path, target),
                Err(error) => panic!("{}: {error}", name.display()),
            }
            std::fs::write(&target, &bytes).unwrap();
        }
    }
    assert_eq!(block_on(verify(&folder.0)).unwrap(), whole);
}

#[test]
fn a_missing_file_is_told_by_its_name() {
    let folder = ended();
    let segment = std::fs::read_dir(folder.0.join("segments")).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(&segment).unwrap();
    let error = block_on(verify(&folder.0)).unwrap_err().to_string();
    assert!(error.contains(&segment.display().to_string()), "{error}");
}
