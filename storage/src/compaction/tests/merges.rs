//! Merges of random segments against a map: what a scan of the outputs gives, and how they are laid out.

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;

use fastrand::Rng;
use futures_lite::future::{block_on, poll_once};

use crate::batch::Values;
use crate::cache::Cache;
use crate::codec::Effort;
use crate::compaction::picker::INPUTS_MAX;
use crate::compaction::{Input, MergeTarget, Pace, merge};
use crate::disk::plain::PlainDisk;
use crate::scan::tests::{COLUMNS, collect, everything, overlay, random_deletes, random_rows, some_columns};
use crate::scan::{PartitionSources, Run, Scan};
use crate::schema::{ColumnId, FieldType, SeriesId, TableId};
use crate::segment::{Expected, Gathered, Origin, Segment, SegmentMeta, SortedTable, write_segment};
use crate::testing::{Cell as Value, Folder, Rows, TestTable, seeds};
use crate::tombstone::Deletes;
use crate::{Error, Result};

type Columns = Vec<(ColumnId, FieldType)>;

struct World {
    folder: Folder,
    cache: Rc<Cache>,
    files: Cell<usize>,
}

impl World {
    fn new() -> Self {
        Self { folder: Folder::new(), cache: Cache::new(1 << 20), files: Cell::new(0) }
    }

    fn next_path(&self) -> PathBuf {
        self.files.set(self.files.get() + 1);
        self.folder.path().join(format!("{}.seg", self.files.get()))
    }

    fn open(&self, meta: &SegmentMeta) -> Rc<Segment<PlainDisk>> {
        let path = self.folder.path().join(&meta.file);
        block_on(Segment::open(&PlainDisk, &path, meta, Rc::clone(&self.cache))).unwrap()
    }

    fn segment(&self, columns: &Columns, rows: &Rows) -> Rc<Segment<PlainDisk>> {
        let table = TestTable::new(columns, rows);
        let meta = block_on(write_segment(&PlainDisk, &self.next_path(), TableId(1), 0, &table)).unwrap();
        assert_eq!(self.damage(&meta), [""; 0]);
        self.open(&meta)
    }

    fn merge(
        &self,
        inputs: &[(Rc<Segment<PlainDisk>>, Deletes)],
        target: &MergeTarget<'_>,
        pace: &Pace,
    ) -> Result<Vec<SegmentMeta>> {
        let inputs =
            inputs.iter().map(|(segment, deletes)| Input { segment: segment.clone(), deletes: deletes.clone() });
        block_on(merge(&PlainDisk, inputs.collect(), target, || self.next_path(), pace))
    }

    fn rows(&self, metas: &[SegmentMeta]) -> Rows {
        let segments: Vec<_> = metas.iter().map(|meta| self.open(meta).into()).collect();
        let partition = PartitionSources { segments, memory: Vec::new() };
        collect(&mut Scan::new(PlainDisk, everything(&COLUMNS), vec![partition], u64::MAX))
    }

    /// What reading a segment through finds wrong with it.
    fn damage(&self, meta: &SegmentMeta) -> Vec<String> {
        let expected =
            Expected { table: TableId(1), partition_start: 0, partition_length: 1 << 40, series: Some(1 << 20) };
        let (segment, mut damage) = (self.open(meta), Vec::new());
        block_on(segment.verify(&PlainDisk, &expected, &mut |error| damage.push(error.to_string()), &mut |_| {}))
            .unwrap();
        damage
    }

    fn file_count(&self) -> usize {
        std::fs::read_dir(self.folder.path()).unwrap().count()
    }
}

fn target(effort: Effort) -> MergeTarget<'static> {
    MergeTarget {
        table: TableId(1),
        partition_start: 0,
        effort,
        segment_bytes: u64::MAX,
        band_rows_max: 1 << 19,
        origin: Origin { lsn: 7, ..Origin::default() },
        codecs: &[],
        dropped: &[],
    }
}

#[test]
fn a_merge_is_what_a_map_would_hold() {
    for seed in seeds() {
        let mut random = Rng::with_seed(seed);
        for _ in 0..6 {
            let world = World::new();
            let mut left = Vec::new();
            let mut inputs = Vec::new();
            for _ in 0..random.usize(1..6) {
                let columns = some_columns(&mut random);
                let mut rows = random_rows(&mut random, &columns);
                let deletes = random_deletes(&mut random);
                inputs.push((world.segment(&columns, &rows), deletes.clone()));
                rows.retain(|(series, time), _| !deletes.covers(*series, *time));
                left.push((columns, rows));
            }
            let expected = overlay(&left, &everything(&COLUMNS));
            let target = MergeTarget {
                segment_bytes: if random.bool() { u64::MAX } else { random.u64(1..100_000) },
                // Each band decodes what it needs anew, so small ones are for few rows.
                band_rows_max: if expected.len() < 2000 { random.usize(1..100) } else { random.usize(1000..100_000) },
                ..target(if random.bool() { Effort::Fast } else { Effort::Hard })
            };
            let pace = Pace::new(0);
            let metas = world.merge(&inputs, &target, &pace).unwrap();
            assert_eq!(metas.is_empty(), expected.is_empty(), "seed {seed}");
            assert!(world.rows(&metas) == expected, "seed {seed} {target:?}");
            assert!(metas.iter().all(|meta| meta.lsn == 7 && meta.hard == (target.effort == Effort::Hard)));
            assert!(metas.windows(2).all(|pair| pair[0].series_max < pair[1].series_min), "no series in two files");
            assert_eq!(metas.iter().flat_map(|meta| world.damage(meta)).collect::<Vec<_>>(), [""; 0]);
            assert_eq!(world.file_count(), inputs.len() + metas.len(), "nothing else is left");
            let (read, written) = pace.moved();
            assert!(read > 0 && written <= metas.iter().map(|meta| meta.bytes).sum());
        }
    }
}

#[test]
fn groups_that_stay_as_they_are_are_copied_and_small_ones_joined() {
    let world = World::new();
    let columns = COLUMNS[..1].to_vec();
    let rows = |series: std::ops::Range<u32>, times: std::ops::Range<i64>| -> Rows {
        series.flat_map(|series| times.clone().map(move |time| ((series, time), vec![Value::Int(time * 7)]))).collect()
    };
    // Three groups of each series, and a few rows that came later.
    let old = world.segment(&columns, &rows(0..3, 0..9000));
    let new: Vec<_> = (0..4).map(|at| world.segment(&columns, &rows(0..3, 9000 + at * 100..9100 + at * 100))).collect();
    let inputs: Vec<_> = std::iter::once(&old).chain(&new).map(|s| (s.clone(), Deletes::default())).collect();
    let metas = world.merge(&inputs, &target(Effort::Fast), &Pace::new(0)).unwrap();
    let merged = world.open(&metas[0]);
    let sizes: Vec<usize> = (0..merged.groups()).map(|group| merged.group(group).rows).collect();
    assert_eq!(sizes, [3000, 3000, 3000, 400].repeat(3));
    assert_eq!(world.rows(&metas).len(), 3 * 9400);
    assert_eq!((metas[0].time_min, metas[0].time_max, metas[0].rows), (0, 9399, 3 * 9400));
    let metas = world.merge(&inputs, &target(Effort::Hard), &Pace::new(0)).unwrap();
    let merged = world.open(&metas[0]);
    let sizes: Vec<usize> = (0..merged.groups()).map(|group| merged.group(group).rows).collect();
    assert_eq!(sizes, [3134, 3134, 3132].repeat(3), "all is packed anew");
}

/// Numbers that do not pack, so that a column of one input is longer than what is read at once.
struct Noise {
    runs: Vec<Run>,
    time: Vec<i64>,
    columns: Columns,
}

impl Noise {
    const SERIES: u32 = 160;
    const ROWS_PER_SERIES: u32 = 128;

    /// Rows of all series, later than those of a smaller `number`.
    fn new(number: u32) -> Self {
        let run = |series| Run {
            series: SeriesId(series),
            start: series * Self::ROWS_PER_SERIES,
            len: Self::ROWS_PER_SERIES,
        };
        let times = number * Self::ROWS_PER_SERIES..(number + 1) * Self::ROWS_PER_SERIES;
        Self {
            runs: (0..Self::SERIES).map(run).collect(),
            time: (0..Self::SERIES).flat_map(|_| times.clone().map(i64::from)).collect(),
            columns: (0..4).map(|id| (ColumnId(id), FieldType::Int)).collect(),
        }
    }
}

impl SortedTable for Noise {
    fn runs(&self) -> &[Run] {
        &self.runs
    }

    fn time(&self) -> &[i64] {
        &self.time
    }

    fn columns(&self) -> &[(ColumnId, FieldType)] {
        &self.columns
    }

    fn gather(&self, column: usize, rows: std::ops::Range<usize>, out: &mut Gathered) {
        let mut random = Rng::with_seed((self.time[0] as u64) << 32 | (rows.start << 4 | column) as u64);
        *out = Gathered { values: Values::Int(rows.map(|_| random.i64(..)).collect()), validity: None };
    }
}

#[test]
fn however_many_inputs_there_are_each_is_read_about_once() {
    let world = World::new();
    let inputs: Vec<_> = (0..INPUTS_MAX as u32)
        .map(|number| {
            let (path, noise) = (world.next_path(), Noise::new(number));
            let meta = block_on(write_segment(&PlainDisk, &path, TableId(1), 0, &noise)).unwrap();
            (world.open(&meta), Deletes::default())
        })
        .collect();
    let bytes: u64 = inputs.iter().map(|(segment, _)| segment.meta().bytes).sum();
    // Ten bands.
    let target = MergeTarget { band_rows_max: 1 << 16, ..target(Effort::Fast) };
    let pace = Pace::new(0);
    let metas = world.merge(&inputs, &target, &pace).unwrap();
    assert_eq!(metas[0].rows, INPUTS_MAX as u64 * u64::from(Noise::SERIES * Noise::ROWS_PER_SERIES));
    let (read, _) = pace.moved();
    assert!(read < bytes * 5 / 4, "{read} bytes read of {bytes}");
}

#[test]
fn a_merge_that_fails_or_is_stopped_leaves_no_file() {
    let world = World::new();
    let mut random = Rng::with_seed(5);
    let inputs: Vec<_> = (0..3)
        .map(|_| (world.segment(&COLUMNS.to_vec(), &random_rows(&mut random, &COLUMNS)), Deletes::default()))
        .collect();
    let stopped = Pace::new(0);
    stopped.stop();
    assert!(matches!(world.merge(&inputs, &target(Effort::Fast), &stopped), Err(Error::Closed)));
    assert_eq!(world.file_count(), 3);

    // Blocks of the last input, but not its footer, become something else.
    let path = inputs[2].0.path().to_owned();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[64..200].fill(0xaa);
    std::fs::write(&path, bytes).unwrap();
    let target = MergeTarget { band_rows_max: 10, segment_bytes: 1, ..target(Effort::Fast) };
    let error = world.merge(&inputs, &target, &Pace::new(0)).unwrap_err();
    assert!(matches!(&error, Error::Corrupt { path: found, .. } if *found == path), "{error}");
    assert_eq!(world.file_count(), 3);
}

#[test]
fn a_merge_goes_as_fast_as_its_budget_lets_it() {
    let world = World::new();
    let mut random = Rng::with_seed(6);
    let rows: Rows = (0..16_000i64).map(|time| ((5, time), vec![Value::Int(random.i64(..))])).collect();
    let columns = COLUMNS[..1].to_vec();
    let segment = world.segment(&columns, &rows);
    let bytes = segment.meta().bytes;
    let pace = Pace::new(bytes / 2);
    let input = Input { segment, deletes: Deletes::default() };
    let target = MergeTarget { band_rows_max: 1000, ..target(Effort::Hard) };
    let mut merge = Box::pin(merge(&PlainDisk, vec![input], &target, || world.next_path(), &pace));
    block_on(async {
        let mut seconds = 0;
        let metas = loop {
            if let Some(done) = poll_once(&mut merge).await {
                break done.unwrap();
            }
            seconds += 1;
            pace.tick(std::time::Duration::from_secs(seconds));
            assert!(seconds < 100);
        };
        assert_eq!(metas[0].rows, 16_000);
        assert!(seconds >= 4, "read and written is twice its size, at half its size a second: {seconds} s");
    });
}
