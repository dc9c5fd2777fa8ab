//! Selections against a map and against each other: whatever is kept in order, and whatever came and went since a
//! snapshot was taken, a scan gives what it gives where nothing is in order.

use std::cell::RefCell;
use std::collections::BTreeSet;

use fastrand::Rng;

use super::*;
use crate::batch::{BatchColumn, Strings, Values};
use crate::disk::plain::PlainDisk;
use crate::memtable::{Memtable, NewRows};
use crate::scan::tests::{COLUMNS, collect, everything};
use crate::scan::{MemoryRows, PartitionSources, ReadRows, Scan, ScanItem, ScanMode};
use crate::schema::{ColumnId, FieldType, TableId};
use crate::testing::{Cell, Rows, seeds};
use crate::tombstone::Tombstone;
use crate::wal::Lsn;

const TABLE: TableId = TableId(1);

/// A memtable, and each of its rows with the number of deletes before it.
struct World {
    memtable: Rc<RefCell<Memtable>>,
    rows: Vec<(u32, i64, Vec<Cell>)>,
    /// Each with the rows before it.
    deletes: Vec<(Tombstone, usize)>,
    series: u32,
    times: i64,
    length: i64,
}

/// Rows of the world that a reader lends.
struct Reader(Rc<RefCell<Memtable>>);

impl ReadRows for Reader {
    fn read(&self, look: &mut dyn FnMut(&TableRows) -> Result<()>) -> Result<()> {
        look(self.0.borrow().table(TABLE).unwrap())
    }
}

/// A snapshot, and how many rows and deletes there were.
struct Seen {
    rows: SeenRows,
    deletes: usize,
}

impl World {
    fn new(random: &mut Rng) -> Self {
        Self {
            memtable: Rc::default(),
            rows: Vec::new(),
            deletes: Vec::new(),
            series: [1, 5, 300][random.usize(0..3)],
            times: [20, 5_000][random.usize(0..2)],
            length: [7, 1_000, 1 << 40][random.usize(0..3)],
        }
    }

    fn append(&mut self, random: &mut Rng) {
        let most = [4, 60, 700][random.usize(0..3)];
        let count = random.usize(1..most);
        let series: Vec<u32> = (0..count).map(|_| random.u32(0..self.series)).collect();
        let from = random.i64(-self.times..self.times);
        let in_order = random.bool();
        let any = -self.times..self.times;
        let time = (0..count as i64).map(|row| if in_order { from + row / 3 } else { random.i64(any.clone()) });
        let time: Vec<i64> = time.collect();
        let mut cells = vec![vec![Cell::Null; COLUMNS.len()]; count];
        let mut columns = Vec::new();
        for (position, (id, kind)) in COLUMNS.into_iter().enumerate() {
            if random.u8(0..4) == 0 {
                continue;
            }
            let validity: Option<Vec<u64>> =
                (random.u8(0..3) == 0).then(|| (0..count.div_ceil(64)).map(|_| random.u64(..)).collect());
            let mut values = Values::new(kind);
            for (row, cells) in cells.iter_mut().enumerate() {
                let cell = match &mut values {
                    Values::Int(v) => {
                        v.push(random.i64(-9..9));
                        Cell::Int(v[row])
                    }
                    Values::UInt(v) => {
                        v.push(random.u64(..));
                        Cell::UInt(v[row])
                    }
                    Values::Float(v) => {
                        v.push(random.f64());
                        Cell::Float(v[row].to_bits())
                    }
                    Values::Bool(v) => {
                        v.push(u8::from(random.bool()));
                        Cell::Bool(v[row] == 1)
                    }
                    Values::String(Strings { ends, bytes }) => {
                        let text = "x".repeat(random.usize(0..4)) + &row.to_string();
                        bytes.extend_from_slice(text.as_bytes());
                        ends.push(bytes.len() as u32);
                        Cell::Text(text)
                    }
                };
                if validity.as_ref().is_none_or(|bits| bits[row / 64] >> (row % 64) & 1 == 1) {
                    cells[position] = cell;
                }
            }
            columns.push(BatchColumn { id, values, validity });
        }
        let new =
            NewRows { series: &series, time: &time, columns: &columns, rows: 0..count, series_count: self.series };
        let mut memtable = self.memtable.borrow_mut();
        memtable.check(TABLE, &new).unwrap();
        memtable.append(TABLE, self.length, &new);
        self.rows.extend(series.into_iter().zip(time).zip(cells).map(|((series, time), cells)| (series, time, cells)));
    }

    fn delete(&mut self, random: &mut Rng) {
        let time_min = random.i64(-self.times..self.times);
        let time_max = time_min + random.i64(0..self.times);
        let series =
            (random.u8(0..4) > 0).then(|| (0..random.u32(1..12)).map(|_| random.u32(0..self.series)).collect());
        let delete = Tombstone { lsn: Lsn(1), time_min, time_max, series };
        self.memtable.borrow_mut().delete(TABLE, &Rc::new(delete.clone()));
        self.deletes.push((delete, self.rows.len()));
    }

    fn see(&self) -> Seen {
        let memtable = self.memtable.borrow();
        Seen { rows: SeenRows::new(memtable.table(TABLE).unwrap(), Deletes::default()), deletes: self.deletes.len() }
    }

    fn request(&self, random: &mut Rng) -> ScanRequest {
        let mut columns: Vec<(ColumnId, FieldType)> = COLUMNS.to_vec();
        random.shuffle(&mut columns);
        columns.truncate(random.usize(0..=COLUMNS.len()));
        let mut request = everything(&columns);
        if random.bool() {
            request.time_min = random.i64(-self.times..self.times);
            request.time_max = request.time_min + random.i64(0..self.times);
        }
        if random.bool() {
            request.series = Some((0..random.u32(0..9)).map(|_| random.u32(0..self.series + 9)).collect());
        }
        request
    }

    /// What a map holds of the rows that were seen.
    fn expected(&self, seen: &Seen, request: &ScanRequest) -> Rows {
        let mut expected = Rows::new();
        for (number, (series, time, cells)) in self.rows[..seen.rows.count].iter().enumerate() {
            let is_asked = request.series.as_ref().is_none_or(|wanted| wanted.contains(*series))
                && (request.time_min..=request.time_max).contains(time);
            let is_dead = self.deletes[..seen.deletes].iter().any(|(delete, before)| {
                number < *before
                    && (delete.time_min..=delete.time_max).contains(time)
                    && delete.series.as_ref().is_none_or(|set| set.contains(*series))
            });
            if !is_asked || is_dead {
                continue;
            }
            let row = expected.entry((*series, *time)).or_insert_with(|| vec![Cell::Null; request.columns.len()]);
            for (cell, (id, _)) in row.iter_mut().zip(&request.columns) {
                let position = COLUMNS.iter().position(|(known, _)| known == id).unwrap();
                if cells[position] != Cell::Null {
                    *cell = cells[position].clone();
                }
            }
        }
        expected
    }

    /// The sources of a scan, where a tail of `rows_min` rows may be put in order, and what was taken for them.
    fn select(&self, seen: &Seen, request: &ScanRequest, rows_min: u32) -> (Vec<PartitionSources<PlainDisk>>, u64) {
        let mut selection = Selection::new(request, &seen.rows, self.length, rows_min);
        let mut taken = 0;
        let found = loop {
            let memtable = self.memtable.borrow();
            let rows = memtable.table(TABLE).unwrap();
            work::take();
            let step = selection.step(rows, &mut |bytes| {
                taken += bytes;
                Ok(())
            });
            assert!(work::take() <= work::UNITS_MAX / 2);
            if let Some(found) = step.unwrap() {
                break found;
            }
        };
        let reader: Rc<dyn ReadRows> = Rc::new(Reader(self.memtable.clone()));
        let of_part = |part: Selected| MemoryRows::new(request, part, reader.clone());
        let of_partition = |parts: Vec<Selected>| PartitionSources {
            segments: Vec::new(),
            memory: parts.into_iter().map(of_part).collect(),
        };
        (found.into_values().map(of_partition).collect(), taken)
    }

    /// Holds a scan against the map, whole and by its ends.
    fn check(&self, random: &mut Rng, seen: &Seen, what: &str) {
        let (request, rows_min) = (self.request(random), [1, 100, u32::MAX][random.usize(0..3)]);
        let expected = self.expected(seen, &request);
        let (sources, taken) = self.select(seen, &request, rows_min);
        let mut scan = Scan::new(PlainDisk, request.clone(), sources, 1 << 30);
        assert!(taken >= scan.memory_bytes(), "{what}: {} of {taken}", scan.memory_bytes());
        if random.bool() {
            assert!(collect(&mut scan) == expected, "{what}: {request:?}");
            return;
        }
        let towards_first = random.bool();
        scan.set_mode(if towards_first { ScanMode::FirstRow } else { ScanMode::LastRow });
        let mut found = BTreeSet::new();
        while let Some(item) = futures_lite::future::block_on(scan.next_item()).unwrap() {
            let ScanItem::Rows(chunk) = item else { panic!("a summary") };
            let of_run = |run: &Run| {
                let times = &chunk.time[run.start as usize..(run.start + run.len) as usize];
                times.iter().map(|time| (run.series.0, *time)).collect::<Vec<_>>()
            };
            found.extend(chunk.runs.iter().flat_map(of_run));
        }
        assert!(found.iter().all(|key| expected.contains_key(key)), "{what}: rows that are not there");
        for series in expected.keys().map(|key| key.0).collect::<BTreeSet<_>>() {
            let mut rows: Vec<_> = expected.range((series, i64::MIN)..=(series, i64::MAX)).collect();
            if !towards_first {
                rows.reverse();
            }
            for column in std::iter::once(None).chain((0..request.columns.len()).map(Some)) {
                let has = |cells: &[Cell]| column.is_none_or(|column: usize| cells[column] != Cell::Null);
                let wanted = rows.iter().find(|(_, cells)| has(cells)).map(|(key, _)| *key);
                assert!(wanted.is_none_or(|key| found.contains(key)), "{what}: column {column:?} of {series}");
            }
        }
    }
}

#[test]
fn a_scan_by_kept_orders_gives_what_a_map_holds() {
    for seed in seeds() {
        let mut random = Rng::with_seed(seed);
        for round in 0..60 {
            let mut world = World::new(&mut random);
            world.append(&mut random);
            let mut snapshots = Vec::new();
            for step in 0..random.usize(1..40) {
                match random.u8(0..10) {
                    0..4 => world.append(&mut random),
                    4 => world.delete(&mut random),
                    5 => snapshots.push(world.see()),
                    6 if random.u8(0..4) == 0 => world.memtable.borrow().forget_orders(),
                    _ => {
                        let what = format!("seed {seed} round {round} step {step}");
                        let now = world.see();
                        let old = random.usize(0..=snapshots.len());
                        world.check(&mut random, snapshots.get(old).unwrap_or(&now), &what);
                    }
                }
            }
        }
    }
}

/// Two scans that put the same rows in order, and appends between the steps of both.
#[test]
fn scans_side_by_side_put_rows_in_order_once_and_see_their_own() {
    for seed in seeds() {
        let mut random = Rng::with_seed(seed);
        for _ in 0..40 {
            let mut world = World::new(&mut random);
            world.append(&mut random);
            let requests: Vec<ScanRequest> = (0..4).map(|_| world.request(&mut random)).collect();
            let mut seen = Vec::new();
            for _ in &requests {
                world.append(&mut random);
                seen.push(world.see());
            }
            let mut running: Vec<_> = requests
                .iter()
                .zip(&seen)
                .map(|(request, seen)| (Some(Selection::new(request, &seen.rows, world.length, 1)), None))
                .collect();
            while running.iter().any(|(selection, _)| selection.is_some()) {
                let (selection, found) = &mut running[random.usize(0..requests.len())];
                let Some(some) = selection else { continue };
                let memtable = world.memtable.clone();
                let step = some.step(memtable.borrow().table(TABLE).unwrap(), &mut |_| Ok(())).unwrap();
                if step.is_some() {
                    (*selection, *found) = (None, step);
                } else if random.u8(0..20) == 0 {
                    world.append(&mut random);
                }
            }
            let reader: Rc<dyn ReadRows> = Rc::new(Reader(world.memtable.clone()));
            for ((request, seen), (_, found)) in requests.iter().zip(&seen).zip(running) {
                let of_part = |part: Selected| MemoryRows::new(request, part, reader.clone());
                let sources = found.unwrap().into_values().map(|parts| PartitionSources {
                    segments: Vec::new(),
                    memory: parts.into_iter().map(of_part).collect(),
                });
                let mut scan = Scan::new(PlainDisk, request.clone(), sources.collect(), 1 << 30);
                assert!(collect(&mut scan) == world.expected(seen, request), "seed {seed}: {request:?}");
            }
        }
    }
}

/// Appends `count` rows of `series` series to a memtable with one column, by time.
fn append_by_time(memtable: &Rc<RefCell<Memtable>>, series: u32, first: i64, count: usize) {
    let ids: Vec<u32> = (0..count as u32).map(|row| row % series).collect();
    let time: Vec<i64> = (0..count as i64).map(|row| first + row / i64::from(series)).collect();
    let columns = [BatchColumn { id: ColumnId(3), values: Values::Int(time.clone()), validity: None }];
    let new = NewRows { series: &ids, time: &time, columns: &columns, rows: 0..count, series_count: series };
    memtable.borrow_mut().append(TABLE, 1 << 40, &new);
}

/// What the steps of a selection have charged in all.
fn cost(memtable: &Rc<RefCell<Memtable>>, request: &ScanRequest) -> u64 {
    let memtable = memtable.borrow();
    let rows = memtable.table(TABLE).unwrap();
    let seen = SeenRows::new(rows, Deletes::default());
    let mut selection = Selection::new(request, &seen, 1 << 40, 1 << 10);
    work::take();
    while selection.step(rows, &mut |_| Ok(())).unwrap().is_none() {}
    work::take()
}

#[test]
fn a_query_costs_what_came_since_the_one_before_and_what_it_wants() {
    let memtable = Rc::<RefCell<Memtable>>::default();
    let all = everything(&[(ColumnId(3), FieldType::Int)]);
    let one = ScanRequest { series: Some([7].into_iter().collect()), ..all.clone() };
    append_by_time(&memtable, 100, 0, 200_000);
    let first = cost(&memtable, &all);
    assert!(cost(&memtable, &all) < first / 50, "all is in order");
    assert!(cost(&memtable, &one) < first / 1_000, "of one series it touches its rows alone");
    assert!(memtable.borrow().ordered_bytes() >= 200_000 * 12);
    // With rows between the queries each pays for those, and all together not much more than once for all.
    let (mut sum, mut most) = (0, 0);
    for round in 1..=100 {
        append_by_time(&memtable, 100, 2_000 * round, 2_000);
        let this = cost(&memtable, &all);
        (sum, most) = (sum + this, most.max(this));
    }
    assert!(sum < 6 * first, "{sum} in all, {first} for as many rows at once");
    assert!(memtable.borrow().table(TABLE).unwrap().kept_orders().len() < 8);
    // Those who want little look through what came, and put it in order when that has become dear.
    append_by_time(&memtable, 100, 1_000_000, 100_000);
    let costs: Vec<u64> = (0..20).map(|_| cost(&memtable, &one)).collect();
    assert!(costs[0] < costs.iter().copied().max().unwrap() / 3, "{costs:?}");
    assert!(costs[19] < costs[0] / 100 && costs.iter().sum::<u64>() < 30 * costs[0], "{costs:?}");
    memtable.borrow().forget_orders();
    assert_eq!(memtable.borrow().ordered_bytes(), 0);
}
