//! A shard in memory: rows in a list, tags in maps, chunks cut at random places.

use std::cell::Cell as Counter;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, UInt64Array};
use roaring::RoaringBitmap;
use tidewire_sql::exec::shard::{ChunkSource, NO_TAG, ShardReader, ShardSnapshot, TagIndex};
use tidewire_storage::Result;
use tidewire_storage::scan::{Run, ScanChunk, ScanItem, ScanMode, ScanRequest};
use tidewire_storage::schema::{ColumnId, FieldType, SeriesId, TableId};

use crate::data::{Cell, FIELDS, NONE, Row, Rows, TAGS};

/// What the shards of a query gave out.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) chunks: Counter<usize>,
    pub(crate) rows: Counter<usize>,
    pub(crate) snapshots: Counter<usize>,
}

/// One shard's rows of table `m`, whatever its id.
#[derive(Clone)]
pub(crate) struct MemoryShard {
    index: Rc<MemoryIndex>,
    /// By series, then time.
    rows: Rc<Vec<(u32, Row)>>,
    seed: u64,
    given: Rc<Given>,
}

#[derive(Default)]
pub(crate) struct MemoryIndex {
    series: BTreeMap<[Option<String>; 3], u32>,
    values: [Vec<String>; 3],
    codes: [Vec<u32>; 3],
}

impl MemoryShard {
    /// Shard `shard` of `shards`.
    pub(crate) fn new(rows: &Rows, shard: usize, shards: usize, seed: u64, given: Rc<Given>) -> Self {
        let mut index = MemoryIndex::default();
        let owner =
            |row: &Row| row.tags.iter().flatten().flat_map(|t| t.bytes()).map(usize::from).sum::<usize>() % shards;
        let mut mine: Vec<(u32, Row)> = rows
            .rows
            .iter()
            .filter(|row| owner(row) == shard)
            .map(|row| (index.insert(&row.tags), row.clone()))
            .collect();
        mine.sort_by_key(|(series, row)| (*series, row.time));
        Self { index: Rc::new(index), rows: Rc::new(mine), seed, given }
    }
}

impl MemoryIndex {
    fn insert(&mut self, tags: &[Option<String>; 3]) -> u32 {
        if let Some(series) = self.series.get(tags) {
            return *series;
        }
        let series = self.series.len() as u32;
        self.series.insert(tags.clone(), series);
        for (at, tag) in tags.iter().enumerate() {
            // Codes end at the last series that has the tag.
            let Some(tag) = tag else { continue };
            let code = self.values[at].iter().position(|v| v == tag).unwrap_or_else(|| {
                self.values[at].push(tag.clone());
                self.values[at].len() - 1
            });
            self.codes[at].resize(series as usize, NO_TAG);
            self.codes[at].push(code as u32);
        }
        series
    }
}

impl TagIndex for MemoryIndex {
    fn series_count(&self) -> u32 {
        self.series.len() as u32
    }

    fn codes(&self, column: ColumnId) -> &[u32] {
        &self.codes[column.0 as usize]
    }

    fn value_count(&self, column: ColumnId) -> u32 {
        self.values[column.0 as usize].len() as u32
    }

    fn value(&self, column: ColumnId, code: u32) -> &str {
        &self.values[column.0 as usize][code as usize]
    }

    fn code(&self, column: ColumnId, value: &str) -> Option<u32> {
        self.values[column.0 as usize].iter().position(|v| v == value).map(|code| code as u32)
    }

    fn add_postings(&self, column: ColumnId, code: u32, series: &mut RoaringBitmap) {
        let codes = self.codes(column).iter().zip(0..);
        series.extend(codes.filter(|(c, _)| **c == code).map(|(_, id)| id));
    }
}

/// Chunks still to give.
pub(crate) struct MemoryChunks {
    chunks: std::vec::IntoIter<ScanChunk>,
    given: Rc<Given>,
}

impl ChunkSource for MemoryChunks {
    async fn next(&mut self) -> Result<Option<ScanItem>> {
        let chunk = self.chunks.next();
        if let Some(chunk) = &chunk {
            self.given.chunks.set(self.given.chunks.get() + 1);
            self.given.rows.set(self.given.rows.get() + chunk.rows());
        }
        Ok(chunk.map(ScanItem::Rows))
    }

    fn memory_bytes(&self) -> u64 {
        0
    }
}

impl ShardReader for MemoryShard {
    type Index = MemoryIndex;
    type Snapshot = Self;

    fn with_index<R>(&self, table: TableId, read: impl FnOnce(Option<&MemoryIndex>) -> R) -> R {
        read(Some(&*self.index).filter(|_| table != NONE))
    }

    fn snapshot(&self, table: TableId, _time_min: i64, _time_max: i64) -> Option<Self> {
        self.given.snapshots.set(self.given.snapshots.get() + 1);
        (table != NONE).then(|| self.clone())
    }

    async fn yield_if_needed(&self) {
        futures_lite::future::yield_now().await;
    }
}

impl ShardSnapshot for MemoryShard {
    type Chunks = MemoryChunks;

    async fn scan(
        &self,
        request: ScanRequest,
        _mode: ScanMode,
        _memory_bytes_max: u64,
        _take: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<MemoryChunks> {
        let mut random = fastrand::Rng::with_seed(self.seed);
        let wanted: Vec<&(u32, Row)> = self
            .rows
            .iter()
            .filter(|(series, row)| {
                request.series.as_ref().is_none_or(|wanted| wanted.contains(*series))
                    && (request.time_min..=request.time_max).contains(&row.time)
            })
            .collect();
        let mut chunks = Vec::new();
        let mut rest = wanted.as_slice();
        while !rest.is_empty() {
            let (chunk, later) = rest.split_at(random.usize(1..=rest.len().min(40)));
            chunks.push(chunk_of(chunk, &request.columns));
            rest = later;
        }
        // A scan promises no order of chunks.
        random.shuffle(&mut chunks);
        Ok(MemoryChunks { chunks: chunks.into_iter(), given: Rc::clone(&self.given) })
    }

    fn time_bounds(&self) -> Option<(i64, i64)> {
        let times = || self.rows.iter().map(|(_, row)| row.time);
        // Wider than they are, as a shard's may be.
        Some((times().min()? - 7, times().max()? + 9))
    }
}

fn chunk_of(rows: &[&(u32, Row)], columns: &[(ColumnId, FieldType)]) -> ScanChunk {
    let mut runs: Vec<Run> = Vec::new();
    for (at, (series, _)) in rows.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if run.series.0 == *series => run.len += 1,
            _ => runs.push(Run { series: SeriesId(*series), start: at as u32, len: 1 }),
        }
    }
    let columns = columns.iter().map(|(id, kind)| column_of(rows, *id, *kind)).collect();
    ScanChunk { runs, time: rows.iter().map(|(_, row)| row.time).collect(), columns }
}

fn column_of(rows: &[&(u32, Row)], id: ColumnId, kind: FieldType) -> ArrayRef {
    let at = FIELDS.iter().position(|(_, field, _)| *field == id.0).unwrap();
    let cells = rows.iter().map(|(_, row)| &row.fields[at]);
    match kind {
        FieldType::Int => {
            Arc::new(cells.map(|c| if let Cell::Int(v) = c { Some(*v) } else { None }).collect::<Int64Array>())
        }
        FieldType::UInt => {
            Arc::new(cells.map(|c| if let Cell::UInt(v) = c { Some(*v) } else { None }).collect::<UInt64Array>())
        }
        FieldType::Float => {
            Arc::new(cells.map(|c| if let Cell::Float(v) = c { Some(*v) } else { None }).collect::<Float64Array>())
        }
        FieldType::Bool => {
            Arc::new(cells.map(|c| if let Cell::Bool(v) = c { Some(*v) } else { None }).collect::<BooleanArray>())
        }
        FieldType::String => {
            Arc::new(cells.map(|c| if let Cell::Str(v) = c { Some(v.as_str()) } else { None }).collect::<StringArray>())
        }
    }
}

/// The tags of table `m` by position, for the oracle.
pub(crate) fn tag_position(id: ColumnId) -> usize {
    TAGS.iter().position(|(_, tag)| *tag == id.0).unwrap()
}
