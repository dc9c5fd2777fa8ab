//! Writing a segment: in bands of rows, column by column, one group at a time, through aligned buffers.
//!
//! Memory held is one group of one column, one write buffer and the footer so far; what a band holds is its source's
//! affair. A flush writes one band, so that all blocks of a column lie side by side; a merge, which must not hold all
//! rows, writes many. The file grows under a temporary name; only a complete, synced file gets the name that was asked
//! for.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::format::{Block, Column, Footer, Group, Header, Place, TRAILER_BYTES, Trailer, VERSION, kind_of};
use super::index::{self, IndexRun};
use super::layout::{self, Cuts};
use super::{Gathered, Origin, Segment, SegmentMeta, SortedTable};
use crate::batch::Values;
use crate::codec::column::Encoder;
use crate::codec::float::Hints;
use crate::codec::{CodecPreference, Effort, bitmap, text};
use crate::disk::whole::TEMPORARY_SUFFIX;
use crate::disk::{DISK_ALIGN, Disk, DiskFile, IO_BYTES_MAX, OpenMode};
use crate::error::{Error, Result};
use crate::run::Run;
use crate::schema::{Codec, ColumnId, FieldType, TableId};
use crate::work;

/// Writes `input` to a new file `path`, durable when it returns. `input` has at least one row.
pub async fn write_segment<D: Disk>(
    disk: &D,
    path: &Path,
    table: TableId,
    partition_start: i64,
    input: &impl SortedTable,
) -> Result<SegmentMeta> {
    let target = Target {
        path,
        table,
        partition_start,
        origin: Origin::default(),
        effort: Effort::Fast,
        codecs: &[],
        sync_folder: true,
    };
    write_table(disk, &target, input).await
}

/// [`write_segment`] with all that can be said of the target.
pub(crate) async fn write_table<D: Disk>(
    disk: &D,
    target: &Target<'_>,
    input: &impl SortedTable,
) -> Result<SegmentMeta> {
    let mut writer = SegmentWriter::create(disk, target, input.columns()).await?;
    match writer.band(&mut Whole(input)).await {
        Ok(()) => writer.finish().await,
        Err(error) => {
            writer.abandon().await;
            Err(error)
        }
    }
}

/// Some rows of a segment, sorted, that come after those of the bands before.
pub(crate) trait Band<D: Disk> {
    /// The series of the rows, ascending, covering all rows in order.
    fn runs(&self) -> &[Run];
    /// Timestamps of the rows, ascending within a run.
    fn time(&self) -> &[i64];
    /// The groups that the rows are to be written in: all rows, in order. Lets others run meanwhile.
    async fn groups(&self, disk: &D) -> Vec<BandGroup<D>>;
    /// Puts rows `rows` of the `column`-th field into `out`, which is cleared first and may hold another type before.
    /// The rows asked for of one column ascend.
    async fn gather(&mut self, column: usize, rows: Range<usize>, out: &mut Gathered) -> Result<()>;
}

/// A group of a band.
pub(crate) struct BandGroup<D: Disk> {
    /// Its rows in the band.
    pub(crate) rows: Range<usize>,
    /// The group of a segment that has just these rows, if there is one: its blocks are taken over as they are.
    pub(crate) copied: Option<(Rc<Segment<D>>, usize)>,
}

/// All rows as one band.
struct Whole<'a, T>(&'a T);

impl<D: Disk, T: SortedTable> Band<D> for Whole<'_, T> {
    fn runs(&self) -> &[Run] {
        self.0.runs()
    }

    fn time(&self) -> &[i64] {
        self.0.time()
    }

    async fn groups(&self, disk: &D) -> Vec<BandGroup<D>> {
        let may_be_long = |column: &usize| {
            let is_text = self.0.columns()[*column].1 == FieldType::String;
            is_text && self.0.text_bytes_max(*column) > layout::GROUP_TEXT_BYTES_MAX
        };
        let long: Vec<usize> = (0..self.0.columns().len()).filter(may_be_long).collect();
        let (mut groups, mut cuts, mut lengths) = (Vec::new(), Cuts::default(), Vec::new());
        for rows in layout::groups(self.0.runs()) {
            for column in &long {
                cuts.begin_column(rows.start);
                self.0.text_lengths(*column, rows.clone(), &mut lengths);
                lengths.iter().for_each(|length| cuts.push(1, u64::from(*length), u64::from(*length)));
                work::charge_each(rows.len(), 2 * work::LOOK);
                disk.yield_if_needed().await;
            }
            groups.extend(cuts.take(rows).map(|rows| BandGroup { rows, copied: None }));
        }
        groups
    }

    async fn gather(&mut self, column: usize, rows: Range<usize>, out: &mut Gathered) -> Result<()> {
        self.0.gather(column, rows, out);
        Ok(())
    }
}

/// What a segment is to be.
pub(crate) struct Target<'a> {
    /// Where it is to lie.
    pub(crate) path: &'a Path,
    pub(crate) table: TableId,
    pub(crate) partition_start: i64,
    /// Its log position is as in [`SegmentMeta::lsn`].
    pub(crate) origin: Origin,
    pub(crate) effort: Effort,
    /// Codecs asked for; columns that are not named have none.
    pub(crate) codecs: &'a [(ColumnId, Codec)],
    /// Its name is made durable with it. Else that is the caller's to do, once for many.
    pub(crate) sync_folder: bool,
}

/// A segment in the making.
pub(crate) struct SegmentWriter<D: Disk> {
    disk: D,
    path: PathBuf,
    /// Name of the file, without its folder.
    file: String,
    temporary: PathBuf,
    output: Output<D>,
    effort: Effort,
    sync_folder: bool,
    lsn: u64,
    footer: Footer,
    /// Of each of the footer's columns.
    columns: Vec<Lane>,
    encoder: Encoder,
    block: Vec<u8>,
}

/// A column being written.
#[derive(Clone, Copy)]
struct Lane {
    /// Its position among the columns of the bands.
    column: usize,
    kind: FieldType,
    preference: CodecPreference,
    /// What its blocks have taught.
    hints: Hints,
}

impl<D: Disk> SegmentWriter<D> {
    /// Begins a file. `columns` are those of all bands.
    pub(crate) async fn create(disk: &D, target: &Target<'_>, columns: &[(ColumnId, FieldType)]) -> Result<Self> {
        let Target { path, table, partition_start, origin, effort, codecs, sync_folder } = *target;
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(TEMPORARY_SUFFIX);
        let temporary = PathBuf::from(temporary);
        let Some(file) = path.file_name().and_then(|name| name.to_str()) else {
            return Err(Error::Rejected(format!("a segment cannot be called {}", path.display())));
        };
        // A crash may have left one behind; a name that is not there is no error worth telling.
        let _ = disk.remove(&temporary).await;
        let mut output = Output::create(disk, &temporary).await?;
        let header = Header { version: VERSION, table: table.0, partition_start, origin: Some(origin) };
        output.put(&header.encode()).await?;
        let mut order: Vec<usize> = (0..columns.len()).collect();
        order.sort_unstable_by_key(|column| columns[*column].0);
        let described =
            order.iter().map(|column| columns[*column]).map(|(id, kind)| Column::new(id.0, kind_of(kind))).collect();
        let lane = |column: usize| {
            let (id, kind) = columns[column];
            let codec = codecs.iter().find(|(known, codec)| *known == id && codec.suits(kind));
            let preference = codec.map_or_else(CodecPreference::default, |(_, codec)| CodecPreference::from(*codec));
            Lane { column, kind, preference, hints: Hints::default() }
        };
        Ok(Self {
            disk: disk.clone(),
            path: path.to_owned(),
            file: file.to_owned(),
            temporary,
            output,
            effort,
            sync_folder,
            lsn: origin.lsn,
            footer: Footer { table: table.0, partition_start, rows: 0, groups: Vec::new(), columns: described },
            columns: order.into_iter().map(lane).collect(),
            encoder: Encoder::new(effort),
            block: Vec::new(),
        })
    }

    /// Bytes of the bands so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.output.offset()
    }

    /// Writes a band. After an error the file is of no use.
    pub(crate) async fn band(&mut self, band: &mut impl Band<D>) -> Result<()> {
        let groups = band.groups(&self.disk).await;
        let first_group = self.footer.groups.len();
        let mut first_runs = Vec::with_capacity(groups.len());
        let mut runs = Vec::new();
        let mut at = 0;
        for BandGroup { rows: range, .. } in &groups {
            first_runs.push(at);
            at = group_runs(band.runs(), band.time(), at, range, &mut runs);
            self.block.clear();
            index::encode(&runs, self.encoder.integers(), &mut self.block);
            let index = self.output.put_block(&self.block).await?;
            self.footer.groups.push(Group {
                rows: range.len() as u32,
                runs: runs.len() as u32,
                series_min: runs.first().map_or(0, |run| run.series.0),
                series_max: runs.last().map_or(0, |run| run.series.0),
                time_min: runs.iter().map(|run| run.time_min).min().unwrap_or(0),
                time_max: runs.iter().map(|run| run.time_max).max().unwrap_or(0),
                index,
                times: Place::default(),
                regular: runs.iter().all(|run| run.regular),
            });
            self.disk.yield_if_needed().await;
        }
        for (number, (BandGroup { rows: range, .. }, first_run)) in groups.iter().zip(&first_runs).enumerate() {
            self.block.clear();
            if !self.footer.groups[first_group + number].regular {
                group_runs(band.runs(), band.time(), *first_run, range, &mut runs);
                let times = &band.time()[range.clone()];
                index::encode_times(&runs, times, self.encoder.integers(), &mut self.block);
            }
            self.footer.groups[first_group + number].times = self.output.put_block(&self.block).await?;
            self.disk.yield_if_needed().await;
        }
        for number in 0..self.columns.len() {
            self.write_column(number, &groups, band).await?;
        }
        self.footer.rows += band.time().len() as u64;
        Ok(())
    }

    /// Writes the blocks of a band of the `number`-th column of the footer.
    async fn write_column(&mut self, number: usize, groups: &[BandGroup<D>], band: &mut impl Band<D>) -> Result<()> {
        let Lane { column, kind, preference, hints } = self.columns[number];
        let id = self.footer.columns[number].id;
        self.encoder.set_hints(hints);
        self.encoder.set_preference(preference);
        let mut gathered = Gathered { values: Values::new(kind), validity: None };
        for BandGroup { rows, copied } in groups {
            let field =
                copied.as_ref().and_then(|(segment, group)| Some((segment, *group, segment.field(ColumnId(id))?)));
            let block = match field {
                Some((segment, group, field)) => {
                    let (bytes, block) = segment.stored(field, group, kind).await?;
                    Block { place: self.output.put_block(bytes.bytes()).await?, ..block }
                }
                None => {
                    band.gather(column, rows.clone(), &mut gathered).await?;
                    check_gathered(&gathered, id, rows.len(), kind)?;
                    self.block.clear();
                    let validity = gathered.validity.as_deref();
                    let mut text = self.encoder.begin(&gathered.values, validity, &mut self.block);
                    while text.as_mut().is_some_and(|text| !text.step()) {
                        self.disk.yield_if_needed().await;
                    }
                    self.encoder.end(text, &mut self.block);
                    let nulls = rows.len() - validity.map_or(rows.len(), |bits| bitmap::count(bits, rows.len()));
                    let place = self.output.put_block(&self.block).await?;
                    Block::of(place, nulls, &gathered)
                }
            };
            self.footer.columns[number].blocks.push(block);
            self.disk.yield_if_needed().await;
        }
        self.columns[number].hints = self.encoder.hints();
        self.encoder.set_preference(CodecPreference::default());
        Ok(())
    }

    /// Completes the file, which has at least one row, and makes it durable under its name (the name too, if that is
    /// wanted).
    pub(crate) async fn finish(self) -> Result<SegmentMeta> {
        let Self { disk, path, file, temporary, output, effort, sync_folder, lsn, footer, .. } = self;
        let done = async {
            let bytes = output.finish(&footer).await?;
            disk.rename(&temporary, &path).await?;
            match path.parent() {
                Some(folder) if sync_folder => disk.sync_dir(folder).await?,
                Some(_) => {}
                None => return Err(Error::Rejected(format!("{} lies in no folder", path.display()))),
            }
            Ok(bytes)
        };
        let bytes = match done.await {
            Ok(bytes) => bytes,
            Err(error) => {
                // It has one of the two names; the first error is the one to report.
                let _ = disk.remove(&temporary).await;
                let _ = disk.remove(&path).await;
                return Err(error);
            }
        };
        let groups = &footer.groups;
        Ok(SegmentMeta {
            file,
            rows: footer.rows,
            bytes,
            time_min: groups.iter().map(|group| group.time_min).min().unwrap_or(0),
            time_max: groups.iter().map(|group| group.time_max).max().unwrap_or(0),
            series_min: groups.first().map_or(0, |group| group.series_min),
            series_max: groups.last().map_or(0, |group| group.series_max),
            version: VERSION,
            lsn,
            hard: effort == Effort::Hard,
        })
    }

    /// Gives up and removes what is there.
    pub(crate) async fn abandon(self) {
        let Self { disk, temporary, output, .. } = self;
        drop(output);
        // Why it was given up is the error to report; what stays behind is removed at the next start.
        let _ = disk.remove(&temporary).await;
    }
}

/// The runs of the rows `range`, the first of which belongs to run `at`; returns the run of the row after.
fn group_runs(runs: &[Run], time: &[i64], mut at: usize, range: &Range<usize>, out: &mut Vec<IndexRun>) -> usize {
    out.clear();
    let mut row = range.start;
    while row < range.end {
        let run = runs[at];
        let run_end = (run.start + run.len) as usize;
        let end = run_end.min(range.end);
        out.push(IndexRun::of(run.series, row - range.start, &time[row..end]));
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
            work::charge_copy(head.len());
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
        work::charge_copy(block.len());
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
