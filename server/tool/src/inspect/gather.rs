//! Reading what a report says: manifests, footers, series, logs; blocks only where they are asked for.
//!
//! A server may work on the folder. A shard whose files went away while they were looked at is looked at anew; what
//! cannot be read although the manifest still names it is a problem of the report, and the rest is shown.

use std::collections::BTreeMap;
use std::path::Path;

use futures_lite::future::block_on;
use serde_json::Value;
use tidewire_sql::sql_name;
use tidewire_storage::Error;
use tidewire_storage::codec::describe::Codings;
use tidewire_storage::disk::plain::PlainDisk;
use tidewire_storage::inspect::{DetachedFacts, SegmentFacts, ShardFiles};
use tidewire_storage::schema::{Catalog, TableId, TableSchema};
use tidewire_storage::segment::{ColumnFacts, Segment, SegmentDescription, Statistics};
use tidewire_storage::wal::Record;

use super::report::{
    BlockReport, ColumnReport, DetachedReport, DetachedSegment, FileReport, LogFileReport, LogReport, PartitionReport,
    Report, SegmentReport, ShardReport, TableReport, TombstoneReport, Totals,
};
use crate::folder::Tree;
use crate::progress::{Progress, Unit};

/// Times that a shard is looked at anew because its files changed; then what is there is shown, problems and all.
const SHARD_TRIES: usize = 20;

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Detail {
    Partitions,
    Segments,
    Blocks,
}

/// What is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) shard: Option<usize>,
    pub(super) table: Option<TableId>,
    pub(super) detail: Detail,
}

type Files = ShardFiles<PlainDisk>;
type Names<'c> = BTreeMap<TableId, (String, &'c TableSchema)>;

pub(super) fn gather(tree: &Tree, catalog: &Catalog, wanted: &Wanted) -> Result<Report, String> {
    let names: Names<'_> = catalog
        .databases
        .values()
        .flat_map(|database| database.named_tables())
        .map(|(name, table)| (table.id, (name, &**table)))
        .collect();
    let mut report = Report {
        root: tree.root.clone(),
        shards_total: tree.shards,
        backup: tree.backup.clone().map(|backup| crate::generation::Backup { files: Vec::new(), ..backup }),
        catalog_version: catalog.version,
        shards: Vec::new(),
        problems: Vec::new(),
        verified: None,
    };
    for shard in wanted.shard.map_or(0..tree.shards, |shard| shard..shard + 1) {
        for left in (0..SHARD_TRIES).rev() {
            let mut look = Look { names: &names, wanted, problems: Vec::new() };
            let found = block_on(look.shard(&tree.shard(shard), shard, left == 0))?;
            if let Some(found) = found {
                report.shards.push(found);
                report.problems.extend(look.problems);
                break;
            }
        }
    }
    Ok(report)
}

/// Series of a table.
#[derive(Debug, Clone, Copy, Default)]
struct SeriesCounts {
    live: u64,
    hidden: u64,
}

struct Look<'c> {
    names: &'c Names<'c>,
    wanted: &'c Wanted,
    problems: Vec<String>,
}

impl Look<'_> {
    /// `None` where the shard changed meanwhile, unless this is the `last` try.
    async fn shard(&mut self, folder: &Path, shard: usize, last: bool) -> Result<Option<ShardReport>, String> {
        let mut report = ShardReport { shard, ..ShardReport::default() };
        let files = match ShardFiles::open(&PlainDisk, folder, shard as u32).await {
            Ok(files) => files,
            Err(error) => {
                self.problem(error)?;
                return Ok(Some(report));
            }
        };
        report.flushed_lsn = files.flushed_lsn().0;
        report.dropped_tables = files.dropped().map(|(table, _)| table.0).collect();
        for tombstone in files.tombstones() {
            match tombstone {
                Err(error) => self.problem(error)?,
                Ok(found) => report.tombstones.push(TombstoneReport {
                    table: found.table.0,
                    name: self.name(found.table),
                    lsn: found.lsn.0,
                    time_min: found.time_min,
                    time_max: found.time_max,
                    series: found.series,
                }),
            }
        }
        let (mut indexes, mut all_read) = (BTreeMap::new(), true);
        for file in files.series_files() {
            report.series_files.push(FileReport { file: file.file.clone(), bytes: file.bytes });
            if let Err(error) = files.load_series(&file, &mut indexes).await {
                self.problem(error)?;
                all_read = false;
                break;
            }
        }
        // Series that could not be read cannot be hidden either.
        if all_read && let Err(error) = files.restore_hidden(&mut indexes) {
            self.problem(error)?;
        }
        let series: BTreeMap<TableId, SeriesCounts> = indexes
            .iter()
            .map(|(table, index)| {
                (*table, SeriesCounts { live: index.live_len() as u64, hidden: index.hidden_len() as u64 })
            })
            .collect();
        drop(indexes);
        report.series = series.values().map(|counts| counts.live).sum();
        report.series_hidden = series.values().map(|counts| counts.hidden).sum();
        self.tables(&files, &series, &mut report).await?;
        report.strays = strays(&files).await?;
        report.detached = self.detached(&files).await?;
        report.log = self.log(&files).await?;
        // Merges change the manifest and take nothing from what was read, unless it could not be read.
        let is_steady = match self.problems.is_empty() {
            true => files.needs_log().await,
            false => files.is_newest().await,
        };
        Ok((last || is_steady.unwrap_or(false)).then_some(report))
    }

    fn problem(&mut self, error: Error) -> Result<(), String> {
        match error {
            error @ (Error::Corrupt { .. } | Error::Incompatible { .. } | Error::Io { .. }) => {
                self.problems.push(error.to_string());
                Ok(())
            }
            error => Err(error.to_string()),
        }
    }

    fn name(&self, table: TableId) -> Option<String> {
        self.names.get(&table).map(|(name, _)| name.clone())
    }

    async fn tables(
        &mut self,
        files: &Files,
        series: &BTreeMap<TableId, SeriesCounts>,
        report: &mut ShardReport,
    ) -> Result<(), String> {
        let segments: Vec<_> = files.segments().collect();
        let wanted = |table: TableId| self.wanted.table.is_none_or(|wanted| wanted == table);
        let tables: Vec<_> = files.tables().filter(|facts| wanted(facts.table)).collect();
        let bytes =
            segments.iter().filter(|segment| wanted(segment.table)).map(|segment| segment.meta.bytes).sum::<u64>();
        let progress =
            (self.wanted.detail == Detail::Blocks).then(|| Progress::new("reading", Unit::Bytes, bytes.max(1)));
        for facts in tables {
            let mut partitions: BTreeMap<i64, PartitionReport> = BTreeMap::new();
            let mut totals = Totals::default();
            for segment in segments.iter().filter(|segment| segment.table == facts.table) {
                let meta = &segment.meta;
                let partition = partitions.entry(segment.partition_start).or_insert_with(|| PartitionReport {
                    start: segment.partition_start,
                    time_min: i64::MAX,
                    time_max: i64::MIN,
                    totals: Totals::default(),
                    segments: Vec::new(),
                });
                partition.time_min = partition.time_min.min(meta.time_min);
                partition.time_max = partition.time_max.max(meta.time_max);
                let mut sum = Totals { segments: 1, rows: meta.rows, values: 0, bytes: meta.bytes };
                match files.open_segment(segment).await {
                    Err(error) => self.problem(error)?,
                    Ok(open) => {
                        let description = open.describe();
                        let found = self.segment(&open, segment, &description).await?;
                        sum.values = found.values;
                        if self.wanted.detail > Detail::Partitions {
                            partition.segments.push(found);
                        }
                    }
                }
                if let Some(progress) = &progress {
                    progress.add(meta.bytes);
                }
                partition.totals.add(&sum);
                totals.add(&sum);
            }
            report.totals.add(&totals);
            let counts = series.get(&facts.table).copied().unwrap_or_default();
            report.tables.push(TableReport {
                table: facts.table.0,
                name: self.name(facts.table),
                series: counts.live,
                series_hidden: counts.hidden,
                partition_length: facts.partition_length,
                totals,
                partitions: partitions.into_values().collect(),
            });
        }
        if let Some(progress) = progress {
            progress.finish();
        }
        Ok(())
    }

    async fn segment(
        &mut self,
        open: &Segment<PlainDisk>,
        facts: &SegmentFacts,
        description: &SegmentDescription,
    ) -> Result<SegmentReport, String> {
        let meta = &facts.meta;
        let schema = self.names.get(&facts.table).map(|(_, schema)| *schema);
        let mut columns = Vec::new();
        for (field, column) in description.columns.iter().enumerate() {
            let name = schema.and_then(|schema| schema.column_by_id(column.id)).map(|column| column.name.to_string());
            let nulls = column.blocks.iter().map(|block| block.nulls).sum::<u64>();
            let (min, max) = range(column);
            let mut found = ColumnReport {
                column: column.id.0,
                name,
                kind: sql_name(column.kind),
                blocks_total: column.blocks.len() as u64,
                bytes: column.blocks.iter().map(|block| block.place.bytes).sum(),
                values: description.rows.saturating_sub(nulls),
                nulls,
                min,
                max,
                codings: None,
                blocks: Vec::new(),
            };
            if self.wanted.detail == Detail::Blocks {
                self.blocks(open, field, column, description, &mut found).await?;
            }
            columns.push(found);
        }
        Ok(SegmentReport {
            file: meta.file.clone(),
            version: meta.version,
            rows: meta.rows,
            bytes: meta.bytes,
            values: columns.iter().map(|column| column.values).sum(),
            series_min: meta.series_min,
            series_max: meta.series_max,
            time_min: meta.time_min,
            time_max: meta.time_max,
            lsn: meta.lsn,
            hard: meta.hard,
            groups: description.groups.len() as u64,
            index_bytes: description.groups.iter().map(|group| group.index.bytes).sum(),
            time_bytes: description.groups.iter().map(|group| group.times.bytes).sum(),
            columns,
        })
    }

    async fn blocks(
        &mut self,
        open: &Segment<PlainDisk>,
        field: usize,
        column: &ColumnFacts,
        description: &SegmentDescription,
        report: &mut ColumnReport,
    ) -> Result<(), String> {
        let mut all = Codings::default();
        for (number, (block, group)) in column.blocks.iter().zip(&description.groups).enumerate() {
            let codings = match open.codings(field, number).await {
                Ok(codings) => codings,
                Err(error) => {
                    self.problem(error)?;
                    Codings::default()
                }
            };
            all.add(&codings);
            let (min, max, sum) = values(&block.statistics);
            report.blocks.push(BlockReport {
                group: number,
                offset: block.place.offset,
                bytes: block.place.bytes,
                rows: group.rows,
                nulls: block.nulls,
                series_min: group.series_min,
                series_max: group.series_max,
                time_min: group.time_min,
                time_max: group.time_max,
                min,
                max,
                sum,
                codings: codings.to_string(),
            });
        }
        report.codings = Some(all.to_string());
        Ok(())
    }

    async fn log(&mut self, files: &Files) -> Result<Option<LogReport>, String> {
        let (flushed, mut records, mut rows, mut deletes) = (files.flushed_lsn(), 0, 0, 0);
        let read = files.read_log(async |frame| {
            frame.records(flushed, |_, record| {
                records += 1;
                match record {
                    Record::Rows(some) => rows += some.time.len() as u64,
                    Record::Delete(_) => deletes += 1,
                }
                Ok(())
            })
        });
        let log = match read.await {
            Ok(log) => log,
            Err(error) => {
                self.problem(error)?;
                return Ok(None);
            }
        };
        let files = log.files.iter().map(|file| LogFileReport {
            file: file_name(&file.path),
            bytes: file.bytes,
            generation: file.header.map(|(generation, _)| generation),
            first_lsn: file.header.map(|(_, lsn)| lsn.0),
            end: file.end,
        });
        let files = files.collect();
        let (bytes, last_lsn) = (log.bytes, log.last_lsn.0);
        Ok(Some(LogReport { files, records, rows, deletes, bytes, last_lsn, torn: log.torn }))
    }
}

impl Look<'_> {
    async fn detached(&self, files: &Files) -> Result<Vec<DetachedReport>, String> {
        let found = files.detached().await.map_err(|error| error.to_string())?;
        let report = |facts: DetachedFacts| DetachedReport {
            file: facts.file,
            bytes: facts.bytes,
            segment: facts.segment.map(|(table, meta)| DetachedSegment {
                table: table.0,
                name: self.name(table),
                rows: meta.rows,
                time_min: meta.time_min,
                time_max: meta.time_max,
            }),
        };
        Ok(found.into_iter().map(report).collect())
    }
}

async fn strays(files: &Files) -> Result<Vec<FileReport>, String> {
    let strays = files.strays().await.map_err(|error| error.to_string())?;
    // One that has gone meanwhile is none.
    let sized = strays.iter().filter_map(|path| Some((path, std::fs::metadata(path).ok()?.len())));
    Ok(sized.map(|(path, bytes)| FileReport { file: file_name(path), bytes }).collect())
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Least, greatest and sum; null where they are not known, or where JSON has no number for one.
fn values(statistics: &Statistics) -> (Value, Value, Value) {
    match statistics {
        Statistics::None => (Value::Null, Value::Null, Value::Null),
        Statistics::Int(s) => (s.min.into(), s.max.into(), s.sum.into()),
        Statistics::UInt(s) => (s.min.into(), s.max.into(), s.sum.into()),
        Statistics::Float(s) => (s.min.into(), s.max.into(), s.sum.into()),
    }
}

/// Least and greatest over all blocks; null where one with values does not tell.
fn range(column: &ColumnFacts) -> (Value, Value) {
    let known = column.blocks.iter().map(|block| &block.statistics);
    let folded = known.copied().reduce(|one, other| match (one, other) {
        (Statistics::Int(mut a), Statistics::Int(b)) => {
            (a.min, a.max) = (a.min.min(b.min), a.max.max(b.max));
            Statistics::Int(a)
        }
        (Statistics::UInt(mut a), Statistics::UInt(b)) => {
            (a.min, a.max) = (a.min.min(b.min), a.max.max(b.max));
            Statistics::UInt(a)
        }
        (Statistics::Float(mut a), Statistics::Float(b)) => {
            (a.min, a.max) = (a.min.min(b.min), a.max.max(b.max));
            Statistics::Float(a)
        }
        _ => Statistics::None,
    });
    let (min, max, _) = values(&folded.unwrap_or(Statistics::None));
    (min, max)
}
