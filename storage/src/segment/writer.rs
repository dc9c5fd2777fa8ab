//! Writing a segment: column by column, one group at a time, through aligned buffers.
//!
//! Memory held is one group of one column, one write buffer and the footer so far. The file grows under a temporary
//! name; only a complete, synced file gets the name that was asked for.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::format::{Block, Column, Footer, Group, Place, TRAILER_BYTES, Trailer, VERSION, header, kind_of};
use super::index::{self, IndexRun};
use super::{Gathered, SegmentMeta, SortedTable, Statistics, layout};
use crate::batch::Values;
use crate::codec::column::Encoder;
use crate::codec::{bitmap, text};
use crate::disk::{DISK_ALIGN, Disk, DiskFile, IO_BYTES_MAX, OpenMode};
use crate::error::{Error, Result};
use crate::schema::{FieldType, TableId};

/// Writes `input` to a new file `path`, durable when it returns. `input` has at least one row.
pub async fn write_segment<D: Disk>(
    disk: &D,
    path: &Path,
    table: TableId,
    partition_start: i64,
    input: &impl SortedTable,
) -> Result<SegmentMeta> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let (file, folder) = match (path.file_name().and_then(|name| name.to_str()), path.parent()) {
        (Some(file), Some(folder)) => (file.to_owned(), folder),
        _ => return Err(Error::Rejected(format!("a segment cannot be called {}", path.display()))),
    };
    // A crash may have left one behind; a name that is not there is no error worth telling.
    let _ = disk.remove(&temporary).await;
    let mut output = Output::create(disk, &temporary).await?;
    output.put(&header(table.0, partition_start)).await?;
    let written = match write_blocks(disk, &mut output, table, partition_start, input).await {
        Ok(written) => written,
        Err(error) => {
            drop(output);
            // The first error is the one to report.
            let _ = disk.remove(&temporary).await;
            return Err(error);
        }
    };
    let bytes = output.finish(&written).await?;
    disk.rename(&temporary, path).await?;
    disk.sync_dir(folder).await?;
    let groups = &written.groups;
    Ok(SegmentMeta {
        file,
        rows: written.rows,
        bytes,
        time_min: groups.iter().map(|group| group.time_min).min().unwrap_or(0),
        time_max: groups.iter().map(|group| group.time_max).max().unwrap_or(0),
        series_min: groups.first().map_or(0, |group| group.series_min),
        series_max: groups.last().map_or(0, |group| group.series_max),
        version: VERSION,
    })
}

async fn write_blocks<D: Disk>(
    disk: &D,
    output: &mut Output<D>,
    table: TableId,
    partition_start: i64,
    input: &impl SortedTable,
) -> Result<Footer> {
    let mut encoder = Encoder::default();
    let mut block = Vec::new();
    let ranges = layout::groups(input.runs());
    let mut first_runs = Vec::with_capacity(ranges.len());
    let mut groups = Vec::with_capacity(ranges.len());
    let mut runs = Vec::new();
    let mut at = 0;
    for range in &ranges {
        first_runs.push(at);
        at = group_runs(input, at, range, &mut runs);
        block.clear();
        index::encode(&runs, encoder.integers(), &mut block);
        groups.push(Group {
            rows: range.len() as u32,
            runs: runs.len() as u32,
            series_min: runs.first().map_or(0, |run| run.series.0),
            series_max: runs.last().map_or(0, |run| run.series.0),
            time_min: runs.iter().map(|run| run.time_min).min().unwrap_or(0),
            time_max: runs.iter().map(|run| run.time_max).max().unwrap_or(0),
            index: output.put_block(&block).await?,
            times: Place::default(),
            regular: runs.iter().all(|run| run.regular),
        });
        disk.yield_if_needed().await;
    }
    for ((group, range), first_run) in groups.iter_mut().zip(&ranges).zip(&first_runs) {
        block.clear();
        if !group.regular {
            group_runs(input, *first_run, range, &mut runs);
            index::encode_times(&runs, &input.time()[range.clone()], encoder.integers(), &mut block);
        }
        group.times = output.put_block(&block).await?;
        disk.yield_if_needed().await;
    }
    let mut order: Vec<usize> = (0..input.columns().len()).collect();
    order.sort_unstable_by_key(|column| input.columns()[*column].0);
    let mut columns = Vec::with_capacity(order.len());
    for column in order {
        let (id, kind) = input.columns()[column];
        // Hints of one column mislead another.
        let mut encoder = Encoder::default();
        let mut gathered = Gathered { values: Values::new(kind), validity: None };
        let mut blocks = Vec::with_capacity(ranges.len());
        for range in &ranges {
            input.gather(column, range.clone(), &mut gathered);
            check_gathered(&gathered, id.0, range.len(), kind)?;
            block.clear();
            encoder.encode(&gathered.values, gathered.validity.as_deref(), &mut block);
            let present = gathered.validity.as_ref().map_or(range.len(), |bits| bitmap::count(bits, range.len()));
            let place = output.put_block(&block).await?;
            blocks.push(Block::new(place, range.len() - present, &Statistics::of(&gathered)));
            disk.yield_if_needed().await;
        }
        columns.push(Column { id: id.0, kind: kind_of(kind), blocks });
    }
    Ok(Footer { table: table.0, partition_start, rows: input.time().len() as u64, groups, columns })
}

/// The runs of the rows `range`, the first of which belongs to run `at`; returns the run of the row after.
fn group_runs(input: &impl SortedTable, mut at: usize, range: &Range<usize>, out: &mut Vec<IndexRun>) -> usize {
    out.clear();
    let mut row = range.start;
    while row < range.end {
        let run = input.runs()[at];
        let run_end = (run.start + run.len) as usize;
        let end = run_end.min(range.end);
        out.push(IndexRun::of(run.series, row - range.start, &input.time()[row..end]));
        row = end;
        at += usize::from(end == run_end);
    }
    at
}

fn check_gathered(gathered: &Gathered, id: u16, rows: usize, kind: FieldType) -> Result<()> {
    assert!(
        gathered.values.len() == rows && gathered.values.kind() == kind,
        "a sorted table gathers what was asked for"
    );
    match &gathered.values {
        Values::String(strings) if strings.bytes.len() > text::BYTES_MAX => Err(Error::Rejected(format!(
            "{rows} strings of column {id} take {} bytes; a block holds {}",
            strings.bytes.len(),
            text::BYTES_MAX
        ))),
        _ => Ok(()),
    }
}

/// The growing file: bytes collect in an aligned buffer and are written when it is full.
struct Output<D: Disk> {
    disk: D,
    file: D::File,
    buffer: D::Buffer,
    filled: usize,
    /// Bytes written before the buffer's first.
    written: u64,
}

impl<D: Disk> Output<D> {
    async fn create(disk: &D, path: &Path) -> Result<Self> {
        let file = disk.open(path, OpenMode::Create).await?;
        Ok(Self { disk: disk.clone(), file, buffer: disk.buffer(IO_BYTES_MAX), filled: 0, written: 0 })
    }

    fn offset(&self) -> u64 {
        self.written + self.filled as u64
    }

    async fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let free = &mut self.buffer.as_mut()[self.filled..];
            let (head, rest) = bytes.split_at(bytes.len().min(free.len()));
            free[..head.len()].copy_from_slice(head);
            self.filled += head.len();
            bytes = rest;
            if self.filled == IO_BYTES_MAX {
                let next = self.disk.buffer(IO_BYTES_MAX);
                let full = std::mem::replace(&mut self.buffer, next);
                self.file.write(self.written, full).await?;
                self.written += IO_BYTES_MAX as u64;
                self.filled = 0;
            }
        }
        Ok(())
    }

    /// Appends a block, whose codecs keep it a multiple of 8 bytes.
    async fn put_block(&mut self, block: &[u8]) -> Result<Place> {
        debug_assert!(block.len().is_multiple_of(8), "blocks begin on words");
        let place = Place { offset: self.offset(), length: block.len() as u32, crc: crc32c::crc32c(block) };
        self.put(block).await?;
        Ok(place)
    }

    /// Appends footer and trailer, pads, syncs and closes; returns the file's length.
    async fn finish(mut self, footer: &Footer) -> Result<u64> {
        let archive = rkyv::to_bytes::<rkyv::rancor::Error>(footer)
            .map_err(|error| Error::Rejected(format!("a segment's footer cannot be laid out: {error}")))?;
        let trailer = Trailer { offset: self.offset(), length: archive.len() as u64, crc: crc32c::crc32c(&archive) };
        self.put(&archive).await?;
        let content = self.offset() + TRAILER_BYTES as u64;
        let bytes = content.next_multiple_of(DISK_ALIGN as u64);
        self.put(&vec![0; (bytes - content) as usize]).await?;
        self.put(&trailer.encode()).await?;
        if self.filled > 0 {
            let mut last = self.disk.buffer(self.filled);
            last.as_mut().copy_from_slice(&self.buffer.as_ref()[..self.filled]);
            self.file.write(self.written, last).await?;
        }
        self.file.sync().await?;
        self.file.close().await?;
        Ok(bytes)
    }
}
