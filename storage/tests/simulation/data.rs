//! Random tables, batches and requests, and what scans give back as a map.

use std::collections::BTreeSet;
use std::ops::Range as Times;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef};
use fastrand::Rng;
use roaring::RoaringBitmap;
use tidewire_storage::Result;
use tidewire_storage::batch::{BatchColumn, NEW_SERIES_BIT, NewSeries, Strings, Values, WriteBatch};
use tidewire_storage::disk::sim::SimDisk;
use tidewire_storage::engine::{SeriesSelection, Shard};
use tidewire_storage::scan::{Scan, ScanRequest};
use tidewire_storage::schema::{
    ColumnId, ColumnKind, ColumnSchema, FieldType, SeriesId, TableId, TableSchema, TimeUnit,
};

use crate::model::{Cell, Key, Live, Model, Range, Row};

/// The one tag that every series has, and one that some have.
const HOST: ColumnId = ColumnId(0);
const ZONE: ColumnId = ColumnId(1);

/// What keys are called that no row uses.
const UNUSED: &str = "unused";

/// Most fields that a table comes to have.
const COLUMNS_MAX: usize = 12;

const KINDS: [FieldType; 5] = [FieldType::Int, FieldType::UInt, FieldType::Float, FieldType::Bool, FieldType::String];

/// What new series are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    Short,
    /// A thousand bytes each, so that the keys of a batch fill log files.
    Long,
}

/// How the clients of a shard write, in all its lives. Few hosts in few times write over their own rows all the while,
/// so that what is newer matters; large batches fill log files between two flushes; new hosts make files of series.
#[derive(Debug, Clone)]
pub(crate) struct Habit {
    hosts: u32,
    times: Times<i64>,
    /// Rows of an ordinary batch.
    pub(crate) rows_max: usize,
    /// Most batches bring a host that was not there before, and a flush follows many of them: each makes a file of
    /// series.
    pub(crate) grows: bool,
}

/// Some hundred partitions; many and few collisions; one partition or two, and many collisions.
const FAR_TIMES: Times<i64> = -5000..25_000;
const MANY_TIMES: Times<i64> = -500..2500;
const FEW_TIMES: Times<i64> = 0..60;

impl Habit {
    /// Any habit.
    pub(crate) fn any(random: &mut Rng) -> Self {
        if random.u8(0..4) == 0 {
            return Self { hosts: 3, times: FEW_TIMES, rows_max: 6, grows: true };
        }
        Self {
            hosts: [20, 20, 3][random.usize(0..3)],
            times: [MANY_TIMES, MANY_TIMES, MANY_TIMES, FEW_TIMES, FEW_TIMES, FAR_TIMES][random.usize(0..6)].clone(),
            rows_max: [40, 40, 400][random.usize(0..3)],
            grows: false,
        }
    }

    fn host(&self, random: &mut Rng) -> String {
        match self.grows && random.bool() {
            true => format!("n{}", random.u32(0..1000)),
            false => format!("h{}", random.u32(0..self.hosts)),
        }
    }

    /// A time of a row.
    fn time(&self, random: &mut Rng) -> i64 {
        random.i64(self.times.clone())
    }

    /// A time that rows come before and after, mostly.
    pub(crate) fn border(&self, random: &mut Rng) -> i64 {
        random.i64(self.times.start - 100..self.times.end + 100)
    }

    /// A time that most rows are not older than.
    pub(crate) fn old(&self, random: &mut Rng) -> i64 {
        let length = self.times.end - self.times.start;
        random.i64(self.times.start - 100..self.times.start + length * 3 / 5)
    }
}

/// A table with one field.
pub(crate) fn new_table(random: &mut Rng, id: u32) -> TableSchema {
    let tag =
        |id, name: &str| ColumnSchema { id, name: Arc::from(name), kind: ColumnKind::Tag, codec: None, geometry: None };
    let mut table = TableSchema {
        id: TableId(id),
        name: Arc::from(format!("table{id}")),
        columns: [tag(HOST, "host"), tag(ZONE, "zone")].into_iter().collect(),
        time_unit: TimeUnit::Nanosecond,
        partition_length: [100, 1000, 1 << 40][random.usize(0..3)],
        next_column: 2,
    };
    add_column(random, &mut table);
    table
}

/// The schema grows by a field of any type.
pub(crate) fn add_column(random: &mut Rng, table: &mut TableSchema) {
    if table.columns.len() >= COLUMNS_MAX {
        return;
    }
    let id = ColumnId(table.next_column);
    let kind = ColumnKind::Field(KINDS[random.usize(0..KINDS.len())]);
    table.columns.push(ColumnSchema {
        id,
        name: Arc::from(format!("field{}", id.0)),
        kind,
        codec: None,
        geometry: None,
    });
    table.next_column += 1;
}

/// The fields of a table.
pub(crate) fn fields(table: &TableSchema) -> Vec<(ColumnId, FieldType)> {
    let field = |column: &ColumnSchema| match column.kind {
        ColumnKind::Field(kind) => Some((column.id, kind)),
        ColumnKind::Tag => None,
    };
    table.columns.iter().filter_map(field).collect()
}

/// A batch of up to `rows_max` random rows, and what it writes.
pub(crate) fn batch(
    random: &mut Rng,
    table: &TableSchema,
    shard: &Shard<SimDisk>,
    habit: &Habit,
    (rows_max, names): (usize, Names),
) -> (WriteBatch, Vec<(Key, Row)>) {
    let count = random.usize(0..=rows_max);
    let mut batch = WriteBatch { table: Some(table.id), ..WriteBatch::default() };
    let mut rows: Vec<(Key, Row)> = Vec::with_capacity(count);
    let in_order = random.bool();
    let mut clock = habit.time(random);
    for _ in 0..count {
        let host = match names {
            Names::Short => habit.host(random),
            Names::Long => format!("{:x<1000}", format!("long{}-", random.u8(0..100))),
        };
        let zone = (random.u8(0..3) == 0).then(|| format!("z{}", random.u32(0..3)));
        clock += random.i64(0..5);
        let time = match (in_order, random.u16(..)) {
            (_, 0) => i64::MIN,
            (_, 1) => i64::MAX,
            (true, _) => clock,
            (false, _) => habit.time(random),
        };
        let series = push_series(random, table.id, shard, &mut batch.new_series, &host, zone.as_deref());
        batch.series.push(series);
        batch.time.push(time);
        rows.push(((table.id.0, series_text(&host, zone.as_deref()), time), Row::new()));
    }
    if random.u8(0..20) == 0 {
        // A key that no row uses.
        batch.new_series.push([(HOST, format!("{UNUSED}{}", random.u8(0..9)).as_bytes())]);
    }
    for (id, kind) in fields(table) {
        if random.u8(0..3) == 0 {
            continue;
        }
        let (values, cells) = values(random, kind, count);
        let validity: Option<Vec<u64>> =
            random.bool().then(|| (0..count.div_ceil(64)).map(|_| random.u64(..)).collect());
        for (row, cell) in cells.into_iter().enumerate() {
            if validity.as_ref().is_none_or(|words| words[row / 64] >> (row % 64) & 1 == 1) {
                rows[row].1.insert(id.0, cell);
            }
        }
        batch.columns.push(BatchColumn { id, values, validity });
    }
    if random.bool() {
        random.shuffle(&mut batch.columns);
    }
    (batch, rows)
}

/// Makes a row or a series of a batch larger than a log file of `bytes`: that must be refused, and leave nothing.
pub(crate) fn make_too_large(random: &mut Rng, table: &TableSchema, batch: &mut WriteBatch, bytes: usize) {
    let text = "t".repeat(bytes);
    let is_text = |(_, kind): &(ColumnId, FieldType)| *kind == FieldType::String;
    let rows = batch.rows();
    match fields(table).into_iter().find(is_text) {
        Some((id, _)) if rows > 0 && random.bool() => {
            let at = random.usize(0..rows);
            let (mut ends, mut end) = (Vec::with_capacity(rows), 0);
            for row in 0..rows {
                end += if row == at { bytes as u32 } else { 0 };
                ends.push(end);
            }
            batch.columns.retain(|column| column.id != id);
            let values = Values::String(Strings { ends, bytes: text.into_bytes() });
            batch.columns.push(BatchColumn { id, values, validity: None });
        }
        _ => {
            batch.new_series.push([(HOST, text.as_bytes())]);
        }
    }
}

/// What a long text has.
pub(crate) const LONG_TEXT_BYTES: usize = 1 << 20;

/// Gives a row of a batch a long text, if the batch has a row and the table a field for it.
pub(crate) fn make_long_text(
    random: &mut Rng,
    table: &TableSchema,
    batch: &mut WriteBatch,
    rows: &mut [(Key, Row)],
) -> bool {
    let is_text = |(_, kind): &(ColumnId, FieldType)| *kind == FieldType::String;
    let Some((id, _)) = fields(table).into_iter().find(is_text).filter(|_| !rows.is_empty()) else { return false };
    let at = random.usize(0..rows.len());
    let text = ["l", "on", "gé"][random.usize(0..3)].repeat(LONG_TEXT_BYTES / 3);
    let mut strings = Strings::default();
    for (number, (_, row)) in rows.iter_mut().enumerate() {
        let cell = if number == at { text.clone() } else { String::new() };
        strings.bytes.extend_from_slice(cell.as_bytes());
        strings.ends.push(strings.bytes.len() as u32);
        row.insert(id.0, Cell::Text(cell));
    }
    batch.columns.retain(|column| column.id != id);
    batch.columns.push(BatchColumn { id, values: Values::String(strings), validity: None });
    true
}

/// The series of a row: by its id where the shard knows it, or by its key.
fn push_series(
    random: &mut Rng,
    table: TableId,
    shard: &Shard<SimDisk>,
    keys: &mut NewSeries,
    host: &str,
    zone: Option<&str>,
) -> u32 {
    let tags = || [(HOST, host.as_bytes())].into_iter().chain(zone.map(|zone| (ZONE, zone.as_bytes())));
    let mut key = NewSeries::default();
    key.push(tags());
    let known = shard.series(table).and_then(|index| index.find(key.key(0)));
    match known.filter(|_| random.bool()) {
        Some(series) => series.0,
        None => NEW_SERIES_BIT | keys.push(tags()),
    }
}

fn series_text(host: &str, zone: Option<&str>) -> String {
    zone.map_or_else(|| host.to_owned(), |zone| format!("{host}/{zone}"))
}

fn values(random: &mut Rng, kind: FieldType, count: usize) -> (Values, Vec<Cell>) {
    match kind {
        FieldType::Int => {
            let wide = random.bool();
            let next = || if wide { random.i64(..) } else { random.i64(-100..100) };
            let values: Vec<i64> = std::iter::repeat_with(next).take(count).collect();
            let cells = values.iter().copied().map(Cell::Int).collect();
            (Values::Int(values), cells)
        }
        FieldType::UInt => {
            let wide = random.bool();
            let next = || if wide { random.u64(..) } else { random.u64(0..3) };
            let values: Vec<u64> = std::iter::repeat_with(next).take(count).collect();
            let cells = values.iter().copied().map(Cell::UInt).collect();
            (Values::UInt(values), cells)
        }
        FieldType::Float => {
            let decimal = random.bool();
            let next = || match decimal {
                true => f64::from(random.i32(-500..500)) / 100.0,
                false => f64::from_bits(random.u64(..)),
            };
            let values: Vec<f64> = std::iter::repeat_with(next).take(count).collect();
            let cells = values.iter().map(|value| Cell::Float(value.to_bits())).collect();
            (Values::Float(values), cells)
        }
        FieldType::Bool => {
            let values: Vec<u8> = std::iter::repeat_with(|| random.u8(0..2)).take(count).collect();
            let cells = values.iter().map(|value| Cell::Bool(*value != 0)).collect();
            (Values::Bool(values), cells)
        }
        FieldType::String => {
            let longest = [3, 40][random.usize(0..2)];
            let mut strings = Strings::default();
            let mut cells = Vec::with_capacity(count);
            for _ in 0..count {
                let text = ["é", "x", "tide"][random.usize(0..3)].repeat(random.usize(0..longest));
                strings.bytes.extend_from_slice(text.as_bytes());
                strings.ends.push(strings.bytes.len() as u32);
                cells.push(Cell::Text(text));
            }
            (Values::String(strings), cells)
        }
    }
}

/// A request for all rows of a table.
pub(crate) fn everything(table: &TableSchema) -> ScanRequest {
    ScanRequest {
        table: table.id,
        time_min: i64::MIN,
        time_max: i64::MAX,
        series: None,
        columns: fields(table),
        prune: Vec::new(),
    }
}

/// A request for some rows and fields of a table.
pub(crate) fn part(random: &mut Rng, table: &TableSchema, habit: &Habit) -> ScanRequest {
    let mut columns = fields(table);
    random.shuffle(&mut columns);
    columns.truncate(random.usize(0..=columns.len()));
    let series = random.bool().then(|| {
        let most = random.u32(0..6);
        (0..most).map(|_| random.u32(0..40)).collect::<RoaringBitmap>()
    });
    let (time_min, time_max) = (habit.border(random), habit.border(random));
    ScanRequest { time_min, time_max, series, columns, ..everything(table) }
}

/// Some series of a table, or all, in some range of time, or ever.
pub(crate) fn range(
    random: &mut Rng,
    table: &TableSchema,
    shard: &Shard<SimDisk>,
    habit: &Habit,
) -> (Range, SeriesSelection) {
    let (time_min, time_max) = match random.u8(0..6) {
        0 => (i64::MIN, i64::MAX),
        _ => {
            let from = habit.border(random);
            (from, from + random.i64(0..(habit.times.end - habit.times.start) / 6))
        }
    };
    let names = names(shard, table.id);
    let ids: Option<RoaringBitmap> =
        random.bool().then(|| (0..random.u32(0..10)).map(|_| random.u32(0..names.len().max(1) as u32)).collect());
    let named = |ids: &RoaringBitmap| ids.iter().filter_map(|id| names.get(id as usize)).cloned().collect();
    let range = Range { table: table.id.0, time_min, time_max, series: ids.as_ref().map(named) };
    (range, ids.map_or(SeriesSelection::All, SeriesSelection::Of))
}

/// Those rows and fields of a table's map that a request asks for.
pub(crate) fn expected(shard: &Shard<SimDisk>, request: &ScanRequest, table: &Model) -> Model {
    let names = names(shard, request.table);
    let wanted_series = request.series.as_ref().map(|series| {
        let known = series.iter().filter_map(|id| names.get(id as usize));
        known.collect::<Vec<_>>()
    });
    let mut out = Model::new();
    for (key, row) in table {
        let in_time = (request.time_min..=request.time_max).contains(&key.2);
        if in_time && wanted_series.as_ref().is_none_or(|names| names.contains(&&key.1)) {
            let asked = |column: &u16| request.columns.iter().any(|(id, _)| id.0 == *column);
            let fields = row.iter().filter(|(column, _)| asked(column)).map(|(c, cell)| (*c, cell.clone()));
            out.insert(key.clone(), fields.collect());
        }
    }
    out
}

/// The series of a table that count. Keys that no row of their batch used are left out: nothing is promised of them
/// before a later record has brought them into the log.
pub(crate) fn live(shard: &Shard<SimDisk>, table: TableId) -> Live {
    let names = names(shard, table);
    let Some(index) = shard.series(table) else { return Live::new() };
    assert_eq!(index.live().count(), index.live_len());
    let live = index.live().map(|id| names[id.0 as usize].clone());
    live.filter(|name| !name.starts_with(UNUSED)).map(|name| (table.0, name)).collect()
}

/// The names of a table's series, by id.
pub(crate) fn names(shard: &Shard<SimDisk>, table: TableId) -> Vec<String> {
    let Some(index) = shard.series(table) else { return Vec::new() };
    let name = |id| {
        let tags: Vec<_> = index.key(SeriesId(id)).collect();
        let zone = tags.get(1).map(|(column, zone)| {
            assert_eq!(*column, ZONE);
            *zone
        });
        series_text(tags[0].1, zone)
    };
    (0..index.len() as u32).map(name).collect()
}

/// All that a scan gives, of which no row may come twice.
pub(crate) async fn rows(shard: &Shard<SimDisk>, scan: Scan<SimDisk>) -> Result<Model> {
    // Taken now: the table may be dropped while the scan goes on.
    let names = names(shard, scan.request().table);
    rows_named(&names, scan).await
}

/// The same with the names of the series.
pub(crate) async fn rows_named(names: &[String], mut scan: Scan<SimDisk>) -> Result<Model> {
    let mut found = Model::new();
    let request = scan.request().clone();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "a series has one id");
    while let Some(chunk) = scan.next().await? {
        let mut next = 0;
        for run in &chunk.runs {
            assert_eq!(run.start, next);
            next += run.len;
            let name = &names[run.series.0 as usize];
            for row in run.start as usize..next as usize {
                let cells = request.columns.iter().zip(&chunk.columns);
                let fields = cells.filter_map(|((id, kind), array)| Some((id.0, cell(array, *kind, row)?))).collect();
                let key = (request.table.0, name.clone(), chunk.time[row]);
                assert!(found.insert(key.clone(), fields).is_none(), "{key:?} comes twice");
            }
        }
        assert_eq!(next as usize, chunk.rows());
    }
    Ok(found)
}

fn cell(array: &ArrayRef, kind: FieldType, row: usize) -> Option<Cell> {
    array.is_valid(row).then(|| match kind {
        FieldType::Int => Cell::Int(array.as_primitive::<Int64Type>().value(row)),
        FieldType::UInt => Cell::UInt(array.as_primitive::<UInt64Type>().value(row)),
        FieldType::Float => Cell::Float(array.as_primitive::<Float64Type>().value(row).to_bits()),
        FieldType::Bool => Cell::Bool(array.as_boolean().value(row)),
        FieldType::String => Cell::Text(array.as_string::<i32>().value(row).to_owned()),
    })
}
