//! Scans against a map: whatever the sources and however they overlap, what comes back is what a map would hold.

use std::collections::BTreeMap;
use std::rc::Rc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef};
use futures_lite::future::block_on;
use roaring::RoaringBitmap;

use super::*;
use crate::cache::Cache;
use crate::disk::plain::PlainDisk;
use crate::segment::{Gathered, SegmentMeta, SortedTable, Statistics, write_segment};
use crate::testing::{Cell, Folder, Rows, TestTable, seeds};
use crate::tombstone::Tombstone;
use crate::wal::Lsn;

pub(crate) const COLUMNS: [(ColumnId, FieldType); 5] = [
    (ColumnId(3), FieldType::Int),
    (ColumnId(4), FieldType::UInt),
    (ColumnId(6), FieldType::Float),
    (ColumnId(7), FieldType::Bool),
    (ColumnId(9), FieldType::String),
];

fn cell(array: &ArrayRef, row: usize, kind: FieldType) -> Cell {
    if array.is_null(row) {
        return Cell::Null;
    }
    match kind {
        FieldType::Int => Cell::Int(array.as_primitive::<Int64Type>().value(row)),
        FieldType::UInt => Cell::UInt(array.as_primitive::<UInt64Type>().value(row)),
        FieldType::Float => Cell::Float(array.as_primitive::<Float64Type>().value(row).to_bits()),
        FieldType::Bool => Cell::Bool(array.as_boolean().value(row)),
        FieldType::String => Cell::Text(array.as_string::<i32>().value(row).to_owned()),
    }
}

/// Rows of a chunk, checked for order.
fn rows_of(chunk: &ScanChunk, columns: &[(ColumnId, FieldType)]) -> Vec<((u32, i64), Vec<Cell>)> {
    let mut out = Vec::new();
    let mut next = 0;
    for run in &chunk.runs {
        assert_eq!(run.start, next, "runs cover all rows in order");
        assert!(run.len > 0);
        next += run.len;
        for row in run.start as usize..next as usize {
            let cells = columns.iter().zip(&chunk.columns).map(|((_, kind), array)| cell(array, row, *kind)).collect();
            out.push(((run.series.0, chunk.time[row]), cells));
        }
    }
    assert_eq!(next as usize, chunk.rows());
    assert!(chunk.columns.iter().all(|array| array.len() == chunk.rows()));
    assert!(out.windows(2).all(|pair| pair[0].0 < pair[1].0), "ascending by series and time");
    out
}

pub(crate) fn collect(scan: &mut Scan<PlainDisk>) -> Rows {
    let columns = scan.request().columns.clone();
    let mut found = BTreeMap::new();
    while let Some(chunk) = block_on(scan.next()).unwrap() {
        for (key, cells) in rows_of(&chunk, &columns) {
            assert!(found.insert(key, cells).is_none(), "{key:?} comes twice");
        }
    }
    found
}

fn random_cell(rng: &mut fastrand::Rng, kind: FieldType, nulls: u32) -> Cell {
    if rng.u32(0..100) < nulls {
        return Cell::Null;
    }
    match kind {
        FieldType::Int => Cell::Int(rng.i64(-50..50)),
        FieldType::UInt => Cell::UInt(rng.u64(0..1 << 40)),
        FieldType::Float => Cell::Float(f64::from(rng.i32(0..1000)).to_bits() | u64::from(rng.u8(0..50) == 0)),
        FieldType::Bool => Cell::Bool(rng.bool()),
        FieldType::String => {
            let distinct = if rng.bool() { 5 } else { 100_000 };
            Cell::Text(format!("t{}", rng.u32(0..distinct)))
        }
    }
}

/// None, or a few.
pub(crate) fn random_deletes(rng: &mut fastrand::Rng) -> Deletes {
    let count = if rng.bool() { 0 } else { rng.usize(1..4) };
    let delete = |_| {
        let time_min = rng.i64(0..4000);
        let series = rng.bool().then(|| (0..10).map(|_| rng.u32(0..60)).collect());
        Rc::new(Tombstone { lsn: Lsn(1), time_min, time_max: time_min + rng.i64(0..2000), series })
    };
    (0..count).map(delete).collect()
}

/// Rows of some series around some time, more or less regular.
pub(crate) fn random_rows(rng: &mut fastrand::Rng, columns: &[(ColumnId, FieldType)]) -> Rows {
    let mut rows = Rows::new();
    let base = rng.i64(0..3000);
    let longest = [3, 40, 400, 6000][rng.usize(0..4)];
    let nulls = [0, 0, 20, 100][rng.usize(0..4)];
    for _ in 0..rng.usize(1..if longest > 1000 { 4 } else { 40 }) {
        let series = rng.u32(0..60);
        let step = rng.i64(1..4);
        let mut time = base + rng.i64(0..50);
        let jitter = rng.bool();
        for _ in 0..rng.usize(1..=longest) {
            time += if jitter { rng.i64(1..=step) } else { step };
            rows.insert((series, time), columns.iter().map(|(_, kind)| random_cell(rng, *kind, nulls)).collect());
        }
    }
    rows
}

struct World {
    folder: Folder,
    cache: Rc<Cache>,
    written: usize,
}

impl World {
    fn new(cache_bytes: u64) -> Self {
        Self { folder: Folder::new(), cache: Cache::new(cache_bytes), written: 0 }
    }

    fn write(&mut self, columns: &[(ColumnId, FieldType)], rows: &Rows) -> (std::path::PathBuf, SegmentMeta) {
        let path = self.folder.path().join(format!("{}.seg", self.written));
        self.written += 1;
        let table = TestTable::new(columns, rows);
        let meta = block_on(write_segment(&PlainDisk, &path, TableId(1), 0, &table)).unwrap();
        assert_eq!(meta.rows, rows.len() as u64);
        assert_eq!(meta.bytes, std::fs::metadata(&path).unwrap().len());
        assert_eq!(meta.series_min, rows.keys().next().unwrap().0);
        assert_eq!(meta.time_max, rows.keys().map(|key| key.1).max().unwrap());
        (path, meta)
    }

    fn segment(&mut self, columns: &[(ColumnId, FieldType)], rows: &Rows) -> SegmentSource<PlainDisk> {
        let (path, meta) = self.write(columns, rows);
        block_on(Segment::open(&PlainDisk, &path, &meta, Rc::clone(&self.cache))).unwrap().into()
    }

    /// Segments of `sources`, some rows of which are deleted then.
    fn deleted_from(&mut self, rng: &mut fastrand::Rng, sources: &mut [Rowed]) -> Vec<SegmentSource<PlainDisk>> {
        let segments = sources.iter_mut().map(|(columns, rows)| {
            let deletes = random_deletes(rng);
            let source = SegmentSource { deletes: deletes.clone(), ..self.segment(columns, rows) };
            rows.retain(|(series, time), _| !deletes.covers(*series, *time));
            source
        });
        segments.collect()
    }
}

/// A memtable's chunk with the columns of `request`.
fn chunk(rows: &Rows, columns: &[(ColumnId, FieldType)], request: &ScanRequest) -> ScanChunk {
    let table = TestTable::new(columns, rows);
    let arrays = request.columns.iter().map(|(id, kind)| {
        let Some(position) = columns.iter().position(|(known, _)| known == id) else {
            return values::nulls(*kind, rows.len());
        };
        let mut gathered = Gathered { values: crate::batch::Values::new(*kind), validity: None };
        table.gather(position, 0..rows.len(), &mut gathered);
        let mut bytes = Vec::new();
        crate::codec::column::Encoder::default().encode(&gathered.values, gathered.validity.as_deref(), &mut bytes);
        let column = crate::codec::column::decode(&bytes, *kind, rows.len(), 0..rows.len()).unwrap();
        values::array(column, *kind, rows.len()).unwrap()
    });
    ScanChunk { runs: table.runs().to_vec(), columns: arrays.collect(), time: table.time().to_vec().into() }
}

/// What a map would hold: older rows overlaid by newer, field by field.
pub(crate) fn overlay(sources: &[(Vec<(ColumnId, FieldType)>, Rows)], request: &ScanRequest) -> Rows {
    let mut merged = Rows::new();
    for (columns, rows) in sources {
        for (key, cells) in rows {
            let series = request.series.as_ref().is_none_or(|wanted| wanted.contains(key.0));
            if !series || key.1 < request.time_min || key.1 > request.time_max {
                continue;
            }
            let row = merged.entry(*key).or_insert_with(|| vec![Cell::Null; request.columns.len()]);
            for (position, (id, _)) in request.columns.iter().enumerate() {
                if let Some(from) = columns.iter().position(|(known, _)| known == id)
                    && cells[from] != Cell::Null
                {
                    row[position] = cells[from].clone();
                }
            }
        }
    }
    merged
}

pub(crate) fn everything(columns: &[(ColumnId, FieldType)]) -> ScanRequest {
    ScanRequest {
        table: TableId(1),
        time_min: i64::MIN,
        time_max: i64::MAX,
        series: None,
        columns: columns.to_vec(),
        prune: Vec::new(),
    }
}

fn random_request(rng: &mut fastrand::Rng) -> ScanRequest {
    let mut columns = COLUMNS.to_vec();
    columns.push((ColumnId(20), FieldType::Float));
    rng.shuffle(&mut columns);
    columns.truncate(rng.usize(0..=6));
    let mut request = everything(&columns);
    if rng.bool() {
        request.time_min = rng.i64(0..4000);
        request.time_max = request.time_min + rng.i64(0..4000);
    }
    if rng.bool() {
        request.series = Some((0..rng.u32(1..20)).map(|_| rng.u32(0..60)).collect());
    }
    request
}

/// Some of the columns a source may have: schemas grow.
pub(crate) fn some_columns(rng: &mut fastrand::Rng) -> Vec<(ColumnId, FieldType)> {
    let mut columns = COLUMNS.to_vec();
    columns.retain(|_| rng.u8(0..5) > 0);
    rng.shuffle(&mut columns);
    columns
}

/// Columns, and rows that have them.
type Rowed = (Vec<(ColumnId, FieldType)>, Rows);

fn sources_of(rng: &mut fastrand::Rng, count: usize) -> Vec<Rowed> {
    (0..count)
        .map(|_| {
            let columns = some_columns(rng);
            let rows = random_rows(rng, &columns);
            (columns, rows)
        })
        .collect()
}

#[test]
fn scans_equal_a_map() {
    for seed in seeds() {
        let mut rng = fastrand::Rng::with_seed(seed);
        for round in 0..8 {
            let count = rng.usize(1..5);
            let mut sources = sources_of(&mut rng, count);
            let in_memory = rng.usize(0..=sources.len().min(2));
            let on_disk = sources.len() - in_memory;
            let mut world = World::new([0, 20_000, 1 << 20][rng.usize(0..3)]);
            let segments = world.deleted_from(&mut rng, &mut sources[..on_disk]);
            let memory = &sources[on_disk..];
            for _ in 0..8 {
                let request = random_request(&mut rng);
                let partition = PartitionSources {
                    segments: segments.clone(),
                    memory: memory.iter().map(|(columns, rows)| chunk(rows, columns, &request).into()).collect(),
                };
                let mut scan = Scan::new(PlainDisk, request.clone(), vec![partition], 1 << 30);
                let found = collect(&mut scan);
                let expected = overlay(&sources, &request);
                assert!(found == expected, "seed {seed} round {round}: {request:?}");
            }
        }
    }
}

#[test]
fn flushes_that_meet_leave_group_by_group() {
    // Two segments and a memtable of the same series, each starting a few rows before the one before ends.
    let columns = [COLUMNS[0]];
    let part = |from: i64, to: i64, sign: i64| -> Rows {
        (0..20u32).flat_map(|series| (from..to).map(move |t| ((series, t * 10), vec![Cell::Int(sign * t)]))).collect()
    };
    let mut world = World::new(1 << 20);
    let sources = [part(0, 250, 1), part(247, 500, -1), part(498, 600, 1)].map(|rows| (columns.to_vec(), rows));
    let request = everything(&columns);
    let partition = PartitionSources {
        segments: sources[..2].iter().map(|(columns, rows)| world.segment(columns, rows)).collect(),
        memory: vec![chunk(&sources[2].1, &columns, &request).into()],
    };
    let mut scan = Scan::new(PlainDisk, request.clone(), vec![partition], 1 << 30);
    let mut merged = 0;
    let mut found = Rows::new();
    while let Some(chunk) = block_on(scan.next()).unwrap() {
        let rows = rows_of(&chunk, &columns);
        if rows.len() < 200 {
            merged += rows.len();
        }
        found.extend(rows);
    }
    assert_eq!(found, overlay(&sources, &request));
    assert_eq!(merged, 20 * (3 + 2), "only rows in the overlaps are merged");
}

#[test]
fn pruning_leaves_out_groups_but_never_resurrects() {
    let columns = [COLUMNS[0], COLUMNS[2]];
    let rows = |series: std::ops::Range<u32>, value: i64| -> Rows {
        series
            .flat_map(|series| {
                (0..3000).map(move |t| ((series, t), vec![Cell::Int(value), Cell::Float(1f64.to_bits())]))
            })
            .collect()
    };
    let mut world = World::new(1 << 20);
    // Series 0 to 2 high, then series 1 overwritten low.
    let sources = [(columns.to_vec(), rows(0..3, 90)), (columns.to_vec(), rows(1..2, 10))];
    let segments: Vec<_> = sources.iter().map(|(columns, rows)| world.segment(columns, rows)).collect();
    let mut request = everything(&columns);
    request.prune = vec![PruneRange { column: COLUMNS[0].0, min: 50.0, max: f64::INFINITY }];
    let scan_of = |segments: &[SegmentSource<PlainDisk>], request: &ScanRequest| {
        let partition = PartitionSources { segments: segments.to_vec(), memory: Vec::new() };
        collect(&mut Scan::new(PlainDisk, request.clone(), vec![partition], 1 << 30))
    };
    let useful = |rows: Rows| -> Rows { rows.into_iter().filter(|(_, cells)| cells[0] == Cell::Int(90)).collect() };
    let found = scan_of(&segments, &request);
    assert_eq!(useful(found), useful(overlay(&sources, &request)));
    assert_eq!(scan_of(&segments[1..], &request), Rows::new(), "nothing above 50 in the second segment");
    request.prune = vec![PruneRange { column: ColumnId(99), min: 0.0, max: 1.0 }];
    assert_eq!(scan_of(&segments[..1], &request), Rows::new(), "no value, no use");
    request.prune = vec![PruneRange { column: COLUMNS[2].0, min: 1.0, max: 1.0 }];
    assert_eq!(scan_of(&segments[..1], &request).len(), 9000);
}

#[test]
fn summaries_say_what_rows_would() {
    for seed in seeds() {
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..10 {
            let count = rng.usize(1..3);
            let mut sources = sources_of(&mut rng, count);
            let mut world = World::new(1 << 20);
            let segments = world.deleted_from(&mut rng, &mut sources);
            let mut request = random_request(&mut rng);
            request.columns = COLUMNS[..2].to_vec();
            let rule = SummaryRule {
                one_series: rng.bool(),
                bucket: rng.bool().then_some(TimeBuckets { origin: 7, width: 5000 }),
                values: Vec::new(),
            };
            let partition = PartitionSources { segments, memory: Vec::new() };
            let mut scan = Scan::new(PlainDisk, request.clone(), vec![partition], 1 << 30);
            scan.set_mode(ScanMode::Summaries(rule.clone()));
            let (mut rows, mut count, mut sum) = (0, 0, 0);
            while let Some(item) = block_on(scan.next_item()).unwrap() {
                match item {
                    ScanItem::Rows(chunk) => {
                        rows += chunk.rows() as u64;
                        for (_, cells) in rows_of(&chunk, &request.columns) {
                            if let Cell::Int(n) = cells[0] {
                                count += 1;
                                sum += n;
                            }
                        }
                    }
                    ScanItem::Summary(summary) => {
                        assert!(!rule.one_series || summary.series.is_some());
                        let bucket = |time| rule.bucket.map(|bucket| bucket.number(time));
                        assert_eq!(bucket(summary.time_min), bucket(summary.time_max));
                        rows += summary.rows;
                        count += summary.columns[0].count;
                        if let Statistics::Int(statistics) = summary.columns[0].statistics {
                            sum += statistics.sum;
                        }
                    }
                }
            }
            let expected = overlay(&sources, &request);
            let numbers = expected.values().filter_map(|cells| match cells[0] {
                Cell::Int(n) => Some(n),
                _ => None,
            });
            assert_eq!(rows, expected.len() as u64, "seed {seed}");
            assert_eq!(count, numbers.clone().count() as u64, "seed {seed}");
            assert_eq!(sum, numbers.sum::<i64>(), "seed {seed}");
        }
    }
}

#[test]
fn summaries_need_no_block() {
    let columns = [COLUMNS[0]];
    let rows: Rows = (0..10_000).map(|t| ((5, t), vec![Cell::Int(t % 7)])).collect();
    let mut world = World::new(1 << 20);
    let segment = world.segment(&columns, &rows);
    let partition = PartitionSources { segments: vec![segment], memory: Vec::new() };
    let mut request = everything(&columns);
    request.series = Some(RoaringBitmap::from([5]));
    let mut scan = Scan::new(PlainDisk, request, vec![partition], 1 << 30);
    scan.set_mode(ScanMode::Summaries(SummaryRule { one_series: true, ..SummaryRule::default() }));
    let mut groups = 0;
    while let Some(item) = block_on(scan.next_item()).unwrap() {
        assert!(matches!(item, ScanItem::Summary(GroupSummary { series: Some(SeriesId(5)), .. })));
        groups += 1;
    }
    assert_eq!(groups, 3);
    assert_eq!(world.cache.stats().read_bytes, 0);
}

/// The first or last value of every series and column.
fn ends_of(rows: &Rows, mode: &ScanMode) -> BTreeMap<(u32, usize), (i64, Cell)> {
    let mut ends: BTreeMap<(u32, usize), (i64, Cell)> = BTreeMap::new();
    for ((series, time), cells) in rows {
        for (column, cell) in cells.iter().enumerate().filter(|(_, cell)| **cell != Cell::Null) {
            let end = (*time, cell.clone());
            if *mode == ScanMode::LastRow {
                ends.insert((*series, column), end);
            } else {
                ends.entry((*series, column)).or_insert(end);
            }
        }
    }
    ends
}

#[test]
fn first_and_last_rows_are_among_few() {
    for seed in seeds() {
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..10 {
            let count = rng.usize(1..4);
            let mut sources = sources_of(&mut rng, count);
            let mut world = World::new(1 << 20);
            let request = random_request(&mut rng);
            let segments = world.deleted_from(&mut rng, &mut sources);
            let expected = overlay(&sources, &request);
            for mode in [ScanMode::FirstRow, ScanMode::LastRow] {
                let partition = PartitionSources { segments: segments.clone(), memory: Vec::new() };
                let mut scan = Scan::new(PlainDisk, request.clone(), vec![partition], 1 << 30);
                scan.set_mode(mode.clone());
                let found = collect(&mut scan);
                assert!(found.iter().all(|(key, cells)| expected.get(key) == Some(cells)), "seed {seed}: true rows");
                assert_eq!(ends_of(&found, &mode), ends_of(&expected, &mode), "seed {seed} {mode:?}");
            }
        }
    }
}

#[test]
fn first_and_last_rows_are_found_over_partitions_and_in_memory() {
    const LENGTH: i64 = 900;
    for seed in seeds() {
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..6 {
            let mut world = World::new(1 << 20);
            let request = random_request(&mut rng);
            let mut partitions: BTreeMap<i64, (Vec<SegmentSource<PlainDisk>>, Vec<ScanChunk>)> = BTreeMap::new();
            let mut expected = Rows::new();
            let count = rng.usize(1..4);
            let mut sources = Vec::new();
            for (columns, rows) in sources_of(&mut rng, count) {
                let in_memory = rng.u8(0..3) == 0;
                let mut parts: BTreeMap<i64, Rows> = BTreeMap::new();
                for (key, cells) in rows {
                    parts.entry(key.1.div_euclid(LENGTH)).or_default().insert(key, cells);
                }
                sources.extend(parts.into_iter().map(|(start, rows)| (start, in_memory, columns.clone(), rows)));
            }
            // Memory is newer than every segment.
            sources.sort_by_key(|(start, in_memory, ..)| (*start, *in_memory));
            for (start, in_memory, columns, rows) in sources {
                let (segments, memory) = partitions.entry(start).or_default();
                let mut source = [(columns, rows)];
                if in_memory {
                    memory.push(chunk(&source[0].1, &source[0].0, &request));
                } else {
                    segments.extend(world.deleted_from(&mut rng, &mut source));
                }
                for (key, cells) in overlay(&source, &request) {
                    let row = expected.entry(key).or_insert_with(|| vec![Cell::Null; cells.len()]);
                    for (held, cell) in row.iter_mut().zip(cells).filter(|(_, cell)| *cell != Cell::Null) {
                        *held = cell;
                    }
                }
            }
            for mode in [ScanMode::FirstRow, ScanMode::LastRow] {
                let partitions = partitions.values().map(|(segments, memory)| PartitionSources {
                    segments: segments.clone(),
                    memory: memory.iter().cloned().map(MemoryRows::from).collect(),
                });
                let mut scan = Scan::new(PlainDisk, request.clone(), partitions.collect(), 1 << 30);
                scan.set_mode(mode.clone());
                let found = collect(&mut scan);
                assert!(found.iter().all(|(key, cells)| expected.get(key) == Some(cells)), "seed {seed}: true rows");
                assert_eq!(ends_of(&found, &mode), ends_of(&expected, &mode), "seed {seed} {mode:?}");
            }
        }
    }
}

/// Partitions of `length` rows of each of the series, and the segment of each.
fn history(world: &mut World, partitions: i64, series: u32, length: i64) -> Vec<PartitionSources<PlainDisk>> {
    let rows = |partition: i64| -> Rows {
        let times = partition * length..(partition + 1) * length;
        (0..series).flat_map(|s| times.clone().map(move |t| ((s, t), vec![Cell::Int(t * 3)]))).collect()
    };
    (0..partitions)
        .map(|partition| {
            let segments = vec![world.segment(&[COLUMNS[0]], &rows(partition))];
            PartitionSources { segments, memory: Vec::new() }
        })
        .collect()
}

fn ends_read(world: &World, partitions: Vec<PartitionSources<PlainDisk>>, mode: ScanMode) -> (Rows, u64) {
    let before = world.cache.stats();
    let mut scan = Scan::new(PlainDisk, everything(&[COLUMNS[0]]), partitions, 1 << 30);
    scan.set_mode(mode);
    let found = collect(&mut scan);
    let after = world.cache.stats();
    (found, after.hits + after.misses - before.hits - before.misses)
}

#[test]
fn the_last_rows_cost_the_same_however_long_the_history_is() {
    let mut blocks = Vec::new();
    for partitions in [1, 3, 9] {
        let mut world = World::new(1 << 20);
        let history = history(&mut world, partitions, 40, 100);
        let (found, read) = ends_read(&world, history, ScanMode::LastRow);
        let last = partitions * 100 - 1;
        let expected: Rows = (0..40).map(|series| ((series, last), vec![Cell::Int(last * 3)])).collect();
        assert_eq!(found, expected);
        blocks.push(read);
    }
    assert_eq!(blocks[1], blocks[2], "older partitions are not looked into");
    assert!(blocks[2] <= blocks[0] + 1, "but for an index: {blocks:?}");
}

#[test]
fn the_ends_of_long_runs_come_from_statistics() {
    for (mode, time) in [(ScanMode::FirstRow, 0), (ScanMode::LastRow, 24_999)] {
        let mut world = World::new(1 << 20);
        let history = history(&mut world, 1, 3, 25_000);
        let (found, read) = ends_read(&world, history, mode);
        assert_eq!(found, (0..3).map(|series| ((series, time), vec![Cell::Int(time * 3)])).collect::<Rows>());
        assert_eq!(read, 3, "one index a series, no values, no other groups");
    }
}

#[test]
fn a_series_is_found_among_many_groups() {
    let mut world = World::new(1 << 20);
    let history = history(&mut world, 1, 50, 9000);
    for wanted in [vec![0], vec![49], vec![7, 8], vec![3, 60], vec![99]] {
        let request = ScanRequest { series: Some(wanted.iter().copied().collect()), ..everything(&[COLUMNS[0]]) };
        let sources = PartitionSources { segments: history[0].segments.clone(), memory: Vec::new() };
        let found = collect(&mut Scan::new(PlainDisk, request, vec![sources], 1 << 30));
        let known: Vec<u32> = wanted.into_iter().filter(|series| *series < 50).collect();
        assert_eq!(found.len(), known.len() * 9000);
        assert!(found.keys().all(|(series, _)| known.contains(series)));
    }
}

#[test]
fn a_scan_keeps_to_its_memory() {
    let columns = [COLUMNS[0]];
    let rows: Rows = (0..20_000).map(|t| ((t as u32 / 5000, t), vec![Cell::Int(t)])).collect();
    let mut world = World::new(1 << 20);
    let segments = vec![world.segment(&columns, &rows), world.segment(&columns, &rows)];
    let partition = PartitionSources { segments, memory: Vec::new() };
    let mut scan = Scan::new(PlainDisk, everything(&columns), vec![partition], 30_000);
    let outcome = loop {
        match block_on(scan.next()) {
            Ok(Some(_)) => {}
            other => break other,
        }
    };
    assert!(matches!(outcome, Err(Error::ScanMemory { limit_bytes: 30_000 })));
}

#[test]
fn a_damaged_block_hurts_only_those_who_need_it() {
    let columns = COLUMNS.to_vec();
    let mut rng = fastrand::Rng::with_seed(5);
    let rows: Rows = (0..6000)
        .map(|t| ((t as u32 / 1500, t), columns.iter().map(|(_, kind)| random_cell(&mut rng, *kind, 5)).collect()))
        .collect();
    let mut world = World::new(1 << 20);
    let (path, meta) = world.write(&columns, &rows);
    let intact = std::fs::read(&path).unwrap();
    let read = |column: (ColumnId, FieldType)| -> Result<Rows> {
        let segment = block_on(Segment::open(&PlainDisk, &path, &meta, Rc::clone(&world.cache)))?.into();
        let partition = PartitionSources { segments: vec![segment], memory: Vec::new() };
        let mut scan = Scan::new(PlainDisk, everything(&[column]), vec![partition], 1 << 30);
        let mut found = Rows::new();
        while let Some(chunk) = block_on(scan.next())? {
            found.extend(rows_of(&chunk, &[column]));
        }
        Ok(found)
    };
    let good: Vec<Rows> = columns.iter().map(|column| read(*column).unwrap()).collect();
    let mut failures = 0;
    for _ in 0..50 {
        let mut hurt = intact.clone();
        let at = rng.usize(0..hurt.len());
        hurt[at] ^= 1 << rng.u32(0..8);
        std::fs::write(&path, &hurt).unwrap();
        let mut hit = 0;
        for (column, good) in columns.iter().zip(&good) {
            match read(*column) {
                Ok(found) => assert_eq!(found, *good, "byte {at}: wrong rows without an error"),
                Err(Error::Corrupt { path: named, offset, .. }) => {
                    assert_eq!(named, path);
                    assert!(offset <= intact.len() as u64);
                    hit += 1;
                }
                Err(other) => panic!("byte {at}: {other}"),
            }
        }
        failures += usize::from(hit > 0);
        assert!(hit <= 1 || hit == columns.len(), "a block of one column, or index, time, footer");
    }
    assert!(failures > 20, "most bytes of a segment matter");
    std::fs::write(&path, &intact[..intact.len() - 4096]).unwrap();
    assert!(matches!(read(columns[0]), Err(Error::Corrupt { .. })));
    let newer = SegmentMeta { version: 99, ..meta.clone() };
    let opened = block_on(Segment::open(&PlainDisk, &path, &newer, Rc::clone(&world.cache)));
    assert!(matches!(opened, Err(Error::Incompatible { .. })));
}

#[test]
fn a_segment_comes_under_its_name_complete_or_not_at_all() {
    let columns = [COLUMNS[4]];
    let mut world = World::new(1 << 20);
    let rows: Rows = [((1, 1), vec![Cell::Text("x".repeat(3 << 20))])].into_iter().collect();
    let (path, _) = world.write(&columns, &rows);
    let names: Vec<_> = std::fs::read_dir(world.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, [path.file_name().unwrap()], "no temporary file stays");
    // What a crash left behind is overwritten.
    let left = world.folder.path().join("1.seg.tmp");
    std::fs::write(&left, b"half").unwrap();
    let segment = world.segment(&columns, &rows);
    assert!(!left.exists());
    let partition = PartitionSources { segments: vec![segment], memory: Vec::new() };
    assert_eq!(collect(&mut Scan::new(PlainDisk, everything(&columns), vec![partition], 1 << 30)), rows);
}
