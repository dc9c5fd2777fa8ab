//! A shard against a map: random batches with overwrites and missing fields, deletes, drops, expiry, flushes,
//! compactions, clean and unclean stops.
//!
//! An unclean stop is a copy of the folder at that moment, opened by itself. What it holds must be what the map held
//! after some batch that is not older than the last one acknowledged; where the end of its log is damaged, the batches
//! of the damaged commit may be missing too, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef};
use fastrand::Rng;
use futures_lite::future::block_on;
use roaring::RoaringBitmap;
use tidewire_storage::batch::{BatchColumn, NEW_SERIES_BIT, Values, WriteBatch};
use tidewire_storage::compaction::CompactionConfig;
use tidewire_storage::disk::plain::PlainDisk;
use tidewire_storage::engine::{SeriesSelection, Shard, ShardConfig};
use tidewire_storage::scan::{ScanChunk, ScanRequest};
use tidewire_storage::schema::{ColumnId, FieldType, SeriesId, TableId, TableSchema};
use tidewire_storage::wal::{Lsn, WalSync};

use crate::common::{
    COUNT, FLAG, FLOAT, Folder, HOST, INT, TEXT, drive, drive_all, everything, open, scan, small_config, strings, table,
};

const FIELDS: [(ColumnId, FieldType); 5] = [
    (INT, FieldType::Int),
    (FLOAT, FieldType::Float),
    (TEXT, FieldType::String),
    (FLAG, FieldType::Bool),
    (COUNT, FieldType::UInt),
];

/// Table, host, time.
type Key = (u32, String, i64);
/// Fields as text, in the order of [`FIELDS`].
type Row = [Option<String>; 5];
type Model = BTreeMap<Key, Row>;

/// The map after each batch and delete, by LSN; those before the last acknowledged one are forgotten.
struct History {
    states: BTreeMap<Lsn, Rc<Model>>,
    acknowledged: Lsn,
    tables: [TableSchema; 2],
}

impl History {
    fn last(&self) -> Rc<Model> {
        self.states.values().next_back().cloned().unwrap_or_default()
    }

    /// Takes rows away for good, whatever a crash brings back.
    fn forget(&mut self, gone: impl Fn(&Key) -> bool) {
        for state in self.states.values_mut() {
            Rc::make_mut(state).retain(|key, _| !gone(key));
        }
    }

    fn acknowledge(&mut self, lsn: Lsn) {
        self.acknowledged = self.acknowledged.max(lsn);
        self.states = self.states.split_off(&self.acknowledged);
    }
}

/// A batch of random rows, with what it does to the map.
fn random_batch(random: &mut Rng, table: &TableSchema, shard: &Shard<PlainDisk>, model: &mut Model) -> WriteBatch {
    let count = random.usize(1..60);
    let mut batch = WriteBatch { table: Some(table.id), ..WriteBatch::default() };
    let mut keys = Vec::new();
    for _ in 0..count {
        let host = format!("h{}", random.u32(0..25));
        let time = random.i64(-500..2500);
        let known = shard.series(table.id).and_then(|index| {
            let code = index.code(HOST, &host)?;
            index.postings(HOST, code).min()
        });
        match known.filter(|_| random.bool()) {
            Some(series) => batch.series.push(series),
            None => {
                let ordinal = batch.new_series.push([(HOST, host.as_bytes())]);
                batch.series.push(NEW_SERIES_BIT | ordinal);
            }
        }
        batch.time.push(time);
        keys.push((table.id.0, host, time));
    }
    for (position, (id, kind)) in FIELDS.into_iter().enumerate() {
        if random.u8(0..3) == 0 {
            continue;
        }
        let (values, texts) = random_values(random, kind, count);
        let validity: Option<Vec<u64>> =
            random.bool().then(|| (0..count.div_ceil(64)).map(|_| random.u64(..)).collect());
        for (row, key) in keys.iter().enumerate() {
            if validity.as_ref().is_none_or(|words| words[row / 64] >> (row % 64) & 1 == 1) {
                model.entry(key.clone()).or_default()[position] = Some(texts[row].clone());
            }
        }
        batch.columns.push(BatchColumn { id, values, validity });
    }
    // A row whose fields are all missing is a row all the same.
    for key in keys {
        model.entry(key).or_default();
    }
    batch
}

fn random_values(random: &mut Rng, kind: FieldType, count: usize) -> (Values, Vec<String>) {
    match kind {
        FieldType::Int => {
            let values: Vec<i64> = (0..count).map(|_| random.i64(-100..100)).collect();
            (Values::Int(values.clone()), values.iter().map(i64::to_string).collect())
        }
        FieldType::UInt => {
            let values: Vec<u64> = (0..count).map(|_| random.u64(..)).collect();
            (Values::UInt(values.clone()), values.iter().map(u64::to_string).collect())
        }
        FieldType::Float => {
            let values: Vec<f64> = (0..count).map(|_| f64::from(random.i32(-500..500)) / 100.0).collect();
            (Values::Float(values.clone()), values.iter().map(f64::to_string).collect())
        }
        FieldType::Bool => {
            let values: Vec<u8> = (0..count).map(|_| random.u8(0..2)).collect();
            (Values::Bool(values.clone()), values.iter().map(|v| (*v != 0).to_string()).collect())
        }
        FieldType::String => {
            let texts: Vec<String> = (0..count).map(|_| "é".repeat(random.usize(0..4))).collect();
            (strings(texts.iter().map(String::as_str)), texts)
        }
    }
}

fn text(array: &ArrayRef, kind: FieldType, row: usize) -> Option<String> {
    array.is_valid(row).then(|| match kind {
        FieldType::Int => array.as_primitive::<Int64Type>().value(row).to_string(),
        FieldType::UInt => array.as_primitive::<UInt64Type>().value(row).to_string(),
        FieldType::Float => array.as_primitive::<Float64Type>().value(row).to_string(),
        FieldType::Bool => array.as_boolean().value(row).to_string(),
        FieldType::String => array.as_string::<i32>().value(row).to_owned(),
    })
}

/// Adds the rows of a chunk to a map, in which none of them may be yet.
fn collect(shard: &Shard<PlainDisk>, table: TableId, chunk: &ScanChunk, found: &mut Model) {
    let mut rows = 0;
    for run in &chunk.runs {
        assert_eq!(run.start, rows);
        rows += run.len;
        let index = shard.series(table).unwrap();
        let host = index.key(run.series).next().unwrap().1.to_owned();
        for row in run.start as usize..(run.start + run.len) as usize {
            let cells = FIELDS.iter().zip(&chunk.columns).map(|((_, kind), array)| text(array, *kind, row));
            let mut fields = Row::default();
            fields.iter_mut().zip(cells).for_each(|(field, cell)| *field = cell);
            let key = (table.0, host.clone(), chunk.time[row]);
            assert!(found.insert(key.clone(), fields).is_none(), "{key:?} comes twice");
        }
    }
    assert_eq!(rows as usize, chunk.rows());
}

/// Equality with a message that one can read.
fn check_same(found: &Model, expected: &Model, what: &str) {
    let keys: BTreeSet<&Key> = found.keys().chain(expected.keys()).collect();
    let mut differing = keys.into_iter().filter(|key| found.get(*key) != expected.get(*key)).peekable();
    if let Some(&key) = differing.peek() {
        let (is, wanted, count) = (found.get(key), expected.get(key), differing.count());
        panic!("{what}: {count} rows differ, the first is {key:?}: {is:?} instead of {wanted:?}");
    }
}

async fn all_rows(shard: &Shard<PlainDisk>, history: &History) -> Model {
    let mut found = Model::new();
    for table in &history.tables {
        for chunk in scan(shard, everything(table.id, &FIELDS)).await.unwrap() {
            collect(shard, table.id, &chunk, &mut found);
        }
    }
    found
}

/// A scan of some series in some range of time gives just those rows of the map.
async fn check_part(random: &mut Rng, shard: &Shard<PlainDisk>, table: TableId, model: &Model) {
    let (from, to) = (random.i64(-600..2600), random.i64(-600..2600));
    let series: Option<RoaringBitmap> = random.bool().then(|| {
        let most = random.u32(0..6);
        (0..most).map(|_| random.u32(0..30)).collect()
    });
    let request = ScanRequest { time_min: from, time_max: to, series: series.clone(), ..everything(table, &FIELDS) };
    let mut found = Model::new();
    for chunk in scan(shard, request).await.unwrap() {
        collect(shard, table, &chunk, &mut found);
    }
    let series_of = |host: &str| {
        let index = shard.series(table)?;
        index.postings(HOST, index.code(HOST, host)?).min()
    };
    let wanted = |key: &Key| {
        let in_series = |set: &RoaringBitmap| series_of(&key.1).is_some_and(|id| set.contains(id));
        key.0 == table.0 && (from..=to).contains(&key.2) && series.as_ref().is_none_or(in_series)
    };
    let expected: Model = model.iter().filter(|(key, _)| wanted(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
    check_same(&found, &expected, &format!("{table:?} {from}..={to} {series:?}"));
}

/// The first LSN of the last frame in the newest log file, after damage to that frame; `None` if it has no frame.
/// (Damage in older files is never a torn commit, and an error.)
fn damage_last_frame(random: &mut Rng, folder: &Path) -> Option<Lsn> {
    const BLOCK: usize = 4096;
    let field = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let files = std::fs::read_dir(folder.join("wal")).unwrap().map(|entry| entry.unwrap().path());
    let (path, mut bytes) =
        files.map(|path| (path.clone(), std::fs::read(&path).unwrap())).max_by_key(|(_, bytes)| field(bytes, 16))?;
    let is_own =
        |start: &usize| bytes[*start..].starts_with(b"TWFR") && field(&bytes[*start..], 8) == field(&bytes, 16);
    let start = (BLOCK..bytes.len()).step_by(BLOCK).rfind(is_own)?;
    let lsn = field(&bytes[start..], 16);
    let payload = u32::from_le_bytes(bytes[start + 40..start + 44].try_into().unwrap()) as usize;
    let end = start + 64 + payload;
    match random.u8(0..3) {
        // A flipped bit, a tail that was not written, a head that was not.
        0 => bytes[random.usize(start..start + 44)] ^= 1 << random.u8(0..8),
        1 => bytes[random.usize(start + 64..end)..end].fill(0xaa),
        _ => bytes[start..start + BLOCK].fill(0),
    }
    std::fs::write(&path, bytes).unwrap();
    Some(Lsn(lsn))
}

/// Deletes some series in some range of time, or all.
async fn delete(random: &mut Rng, shard: &Shard<PlainDisk>, history: &mut History, sync: WalSync) {
    let table = history.tables[random.usize(0..2)].id;
    let (from, to) = match random.u8(0..4) {
        0 => (i64::MIN, i64::MAX),
        _ => {
            let from = random.i64(-600..2600);
            (from, from + random.i64(0..600))
        }
    };
    let hosts: Option<BTreeSet<String>> =
        random.bool().then(|| (0..random.u32(0..8)).map(|_| format!("h{}", random.u32(0..25))).collect());
    let selection = match &hosts {
        None => SeriesSelection::All,
        Some(hosts) => {
            let index = shard.series(table);
            let find = |host: &String| {
                let index = index.as_ref()?;
                index.postings(HOST, index.code(HOST, host)?).min()
            };
            SeriesSelection::Of(hosts.iter().filter_map(find).collect())
        }
    };
    let mut model = (*history.last()).clone();
    let gone = |key: &Key| {
        key.0 == table.0 && (from..=to).contains(&key.2) && hosts.as_ref().is_none_or(|hosts| hosts.contains(&key.1))
    };
    model.retain(|key, _| !gone(key));
    let lsn = shard.delete(table, &selection, from, to).unwrap();
    history.states.insert(lsn, Rc::new(model));
    if random.bool() {
        shard.durable(lsn).await.unwrap();
        if sync != WalSync::Off {
            history.acknowledge(lsn);
        }
    }
}

/// Opens a copy of the folder as a crash would leave it, and compares.
fn crash(random: &mut Rng, name: &str, folder: &Path, config: &ShardConfig, history: &History) {
    let copy = Folder::copy(name, folder);
    let mut least = history.acknowledged;
    let damaged = if random.bool() { damage_last_frame(random, &copy.0) } else { None };
    if let Some(first) = damaged {
        least = least.min(Lsn(first.0 - 1));
    }
    let (shard, _) = block_on(open(PlainDisk, &copy.0, config.clone())).unwrap();
    assert!(shard.lsn() >= least, "{:?} of at least {least:?} came back", shard.lsn());
    let found = block_on(all_rows(&shard, history));
    if let Some(expected) = history.states.get(&shard.lsn()) {
        check_same(&found, expected, &format!("after a crash at {:?}", shard.lsn()));
    }
    // It takes appends again, and knows its series.
    let mut model = found;
    let table = &history.tables[0];
    let batch = random_batch(random, table, &shard, &mut model);
    drive(&shard, async {
        shard.append(&batch, table).unwrap();
        shard.sync_wal().await.unwrap();
        if random.bool() {
            shard.flush().await.unwrap();
            shard.compact().await.unwrap();
        }
    });
    drop(shard);
    let (shard, _) = block_on(open(PlainDisk, &copy.0, config.clone())).unwrap();
    check_same(&block_on(all_rows(&shard, history)), &model, "after a crash and a batch");
}

fn run(seed: u64) {
    let mut random = Rng::with_seed(seed);
    let name = format!("model-{seed}");
    let folder = Folder::new(&name);
    let mut next_table = 3;
    let sync = [WalSync::Always, WalSync::Interval, WalSync::Off][random.usize(0..3)];
    let compaction = CompactionConfig {
        segment_bytes_max: if random.bool() { 1 << 30 } else { 16 << 10 },
        band_rows_max: [1, 50, 1 << 19][random.usize(0..3)],
        cold_after: Duration::from_secs(10),
        ..CompactionConfig::default()
    };
    let config = ShardConfig { wal_sync: sync, compaction, ..small_config() };
    let mut clock = Duration::ZERO;
    let beside = random.bool();
    let mut history = History {
        states: BTreeMap::from([(Lsn(0), Rc::default())]),
        acknowledged: Lsn(0),
        tables: [table(1), table(2)],
    };
    for _ in 0..random.usize(2..5) {
        let (shard, _) = block_on(open(PlainDisk, &folder.0, config.clone())).unwrap();
        check_same(&block_on(all_rows(&shard, &history)), &history.last(), "after a start");
        let body = async {
            for _ in 0..random.usize(1..40) {
                // Lets a merge go on for some steps.
                for _ in 0..random.usize(0..5) {
                    futures_lite::future::yield_now().await;
                }
                match random.u8(0..31) {
                    0..14 => {
                        let table = &history.tables[random.usize(0..2)];
                        let mut model = (*history.last()).clone();
                        let batch = random_batch(&mut random, table, &shard, &mut model);
                        let lsn = shard.append(&batch, table).unwrap().lsn;
                        history.states.insert(lsn, Rc::new(model));
                        if random.bool() {
                            shard.durable(lsn).await.unwrap();
                            if sync != WalSync::Off {
                                history.acknowledge(lsn);
                            }
                        }
                    }
                    14 => {
                        shard.flush().await.unwrap();
                        assert!(!shard.has_unflushed());
                        history.acknowledge(shard.lsn());
                    }
                    15 => {
                        shard.sync_wal().await.unwrap();
                        history.acknowledge(shard.lsn());
                    }
                    16..18 => {
                        let table = history.tables[random.usize(0..2)].id;
                        check_part(&mut random, &shard, table, &history.last()).await;
                    }
                    20..22 => {
                        shard.compact().await.unwrap();
                        assert_eq!((shard.stats().merge_debt_bytes, shard.stats().merge_failures), (0, 0));
                    }
                    22..24 => {
                        clock += Duration::from_secs(random.u64(0..8));
                        shard.tick(clock);
                    }
                    24..28 => delete(&mut random, &shard, &mut history, sync).await,
                    28 => {
                        let (table, time) = (history.tables[random.usize(0..2)].id, random.i64(-1500..1300));
                        let expired = shard.expire(table, time).await.unwrap();
                        assert!(expired.lsn.is_some_and(|lsn| lsn == shard.lsn()), "{expired:?}");
                        // A crash that loses its record would bring back rows that were in memory, and those alone.
                        shard.sync_wal().await.unwrap();
                        history.states.insert(shard.lsn(), history.last());
                        history.acknowledge(shard.lsn());
                        let start = time.div_euclid(1000) * 1000;
                        history.forget(|key| key.0 == table.0 && key.2 < start);
                    }
                    29 if random.u8(0..3) == 0 => {
                        let which = random.usize(0..2);
                        let dropped = std::mem::replace(&mut history.tables[which], table(next_table)).id;
                        next_table += 1;
                        shard.drop_table(dropped).await.unwrap();
                        history.forget(|key| key.0 == dropped.0);
                    }
                    18 => check_same(&all_rows(&shard, &history).await, &history.last(), "while open"),
                    _ => crash(&mut random, &format!("{name}-copy"), &folder.0, &config, &history),
                }
            }
        };
        if beside {
            drive_all(&shard, body);
        } else {
            drive(&shard, body);
        }
        block_on(shard.close()).unwrap();
        history.acknowledge(shard.lsn());
        assert!(shard.append(&WriteBatch::default(), &history.tables[0]).is_err(), "a closed shard takes no appends");
        // Ids are given in the order in which keys came, and once.
        for table in &history.tables {
            if let Some(index) = shard.series(table.id) {
                let hosts: Vec<_> =
                    (0..index.len() as u32).map(|id| index.key(SeriesId(id)).next().unwrap().1).collect();
                assert_eq!(hosts.iter().collect::<BTreeSet<_>>().len(), hosts.len());
            }
        }
    }
}

#[test]
fn a_shard_is_a_map_that_survives() {
    let seeds: Vec<u64> = match std::env::var("TIDEWIRE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => (0..16).collect(),
    };
    for seed in seeds {
        let run = std::panic::catch_unwind(|| run(seed));
        assert!(run.is_ok(), "failed with TIDEWIRE_SEED={seed}");
    }
}
