//! `tidewire reshard`: the same rows, spread over another number of shards.
//!
//! 1. Under the folder's lock, the old shards are opened for reading: nothing of them is changed.
//! 2. Their rows go, table by table, through the owner's hash into new shards in `reshard.new/`: batches are appended
//!    as the server does it, without syncs, and flushed whenever the memory that the new shards share is full.
//! 3. The new shards are closed and opened anew, and read back: of each table the rows, and of each column the values
//!    with their series and times, must be the same, and every series must lie in the shard that owns it.
//! 4. Only then are the shards exchanged ([`swap`]).
//!
//! Table and column ids, partitions and what has expired stay as they were; blocks are coded as their columns ask for.
//! Series without rows are left behind.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use futures_lite::future::block_on;
use indicatif::HumanBytes;
use tidewire_storage::disk::plain::PlainDisk;
use tidewire_storage::engine::{Shard, ShardConfig};
use tidewire_storage::inspect::DETACHED_FOLDER;
use tidewire_storage::scan::ScanChunk;
use tidewire_storage::schema::{Catalog, ColumnId, FieldType, SeriesId, TableId, TableSchema};
use tidewire_storage::series::SeriesIndex;
use tidewire_storage::wal::WalSync;
use tidewire_storage::{Error, Result};

use super::batches::{self, Known};
use super::folder;
use super::progress::{Progress, Unit, say};
use super::source::{self, ReadShard};
use super::tally::Tally;
use tidewire_base::cli::ReshardArguments;
use tidewire_base::datadir::swap::{self, Swap};
use tidewire_base::datadir::{DataDir, shard_folder};
use tidewire_base::series_owner;

/// Memory that the memtables of all new shards share: four flushes of the server's size.
const MEMTABLES_BYTES_MAX: u64 = 256 << 20;

/// A new shard's memtable is not flushed below this, however many shards there are: segments would be tiny.
const FLUSH_BYTES_MIN: u64 = 1 << 20;

/// Log files of one new shard while it is built: one in use and one to follow.
const LOG_FILES: u64 = 2;

/// Runs the tool.
pub fn run(arguments: &ReshardArguments) -> std::result::Result<(), String> {
    let root = folder::root(&arguments.folder)?;
    let Some(plan) = Plan::new(&root, arguments.shards, arguments.keep_old.as_deref())? else {
        say(&format!("{} has {} shards already; nothing is done", root.display(), arguments.shards));
        return Ok(());
    };
    plan.build()?;
    plan.exchange()?;
    say(&format!("{} has {} shards now, before {}", root.display(), plan.swap.to, plan.swap.from));
    if let Some(keep) = &plan.swap.keep {
        say(&format!("the old data folder is {}", keep.display()));
    }
    Ok(())
}

/// A folder that is locked, and what it shall become.
#[derive(Debug)]
pub struct Plan {
    data: DataDir,
    swap: Swap,
}

impl Plan {
    /// Locks the data folder `root` and looks whether it can be spread over `shards` shards, with the old folder kept
    /// as `keep`; `None` when it has that many already.
    pub fn new(root: &Path, shards: usize, keep: Option<&Path>) -> std::result::Result<Option<Self>, String> {
        if !root.join("FORMAT").is_file() {
            return Err(format!("{} is no data folder: it has no FORMAT", root.display()));
        }
        let data = DataDir::open(root, 0, 1).map_err(|error| error.to_string())?;
        if data.shards() == shards {
            return Ok(None);
        }
        let keep = keep.map(|keep| free_name(&data, keep)).transpose()?;
        let swap = Swap { from: data.shards(), to: shards, keep };
        let plan = Self { data, swap };
        plan.check_detached()?;
        plan.check_space()?;
        Ok(Some(plan))
    }

    /// Builds the new shards beside the old ones, and verifies them. After an error they are removed.
    pub fn build(&self) -> std::result::Result<(), String> {
        let done = block_on(self.build_and_verify());
        if done.is_err() {
            // Also done by the next start.
            let _ = swap::settle(self.data.root());
        }
        done
    }

    /// Makes what was built the folder's shards: decided and done.
    pub fn exchange(&self) -> std::result::Result<(), String> {
        self.decide()?;
        swap::settle(self.data.root()).map_err(|error| error.to_string())
    }

    /// The first act of [`Plan::exchange`].
    pub fn decide(&self) -> std::result::Result<(), String> {
        swap::decide(self.data.root(), &self.swap).map_err(|error| error.to_string())
    }

    async fn build_and_verify(&self) -> std::result::Result<(), String> {
        let root = self.data.root();
        let catalog = source::load_catalog(root)?;
        let new = swap::new_folder(root).map_err(|error| error.to_string())?;
        let old = source::open_shards(root, self.swap.from, &catalog).await?;
        let tallies = Builder::new(&new, self.swap.to, &catalog).await?.copy(&old).await?;
        drop(old);
        self.verify(&new, &catalog, &tallies).await
    }

    async fn verify(
        &self,
        root: &Path,
        catalog: &Catalog,
        before: &BTreeMap<TableId, Tally>,
    ) -> std::result::Result<(), String> {
        let shards = source::open_shards(root, self.swap.to, catalog).await?;
        let progress = Progress::new("verifying", Unit::Count("rows"), source::rows(&shards));
        for table in source::tables(catalog) {
            let mut after = Tally::default();
            for (number, shard) in shards.iter().enumerate() {
                let wrong = |error: Error| format!("table {} of new shard {number}: {error}", table.name);
                check_owners(shard, table, number, self.swap.to)?;
                let mut scan = source::scan(shard, table, i64::MIN, i64::MAX).map_err(wrong)?;
                while let Some(chunk) = scan.next().await.map_err(wrong)? {
                    if let Some(series) = shard.series(table.id) {
                        after.add(&chunk, &scan.request().columns, &series);
                    }
                    progress.add(chunk.rows() as u64);
                }
            }
            let before = before.get(&table.id).cloned().unwrap_or_default();
            if let Some(difference) = before.difference(&after) {
                return Err(format!("table {} was not copied well, nothing is changed: {difference}", table.name));
            }
        }
        progress.finish();
        Ok(())
    }

    /// Detached files are not copied, and would go with the old shards.
    fn check_detached(&self) -> std::result::Result<(), String> {
        let holds_some = |shard: &usize| {
            let folder = self.data.shard_folder(*shard).join(DETACHED_FOLDER);
            std::fs::read_dir(folder).is_ok_and(|mut files| files.next().is_some())
        };
        match (0..self.swap.from).find(holds_some) {
            Some(shard) if self.swap.keep.is_none() => Err(format!(
                "shard {shard} has detached files, which would be gone: attach or remove them with `tidewire repair`, \
                 or keep the old shards with --keep-old"
            )),
            _ => Ok(()),
        }
    }

    /// A copy needs as much space as the original, and some for logs while it is built and for smaller blocks.
    fn check_space(&self) -> std::result::Result<(), String> {
        let root = self.data.root();
        let failed = |error: std::io::Error| format!("cannot tell the space of {}: {error}", root.display());
        let bytes = (0..self.swap.from).map(|shard| size_of_folder(&self.data.shard_folder(shard)));
        let bytes = bytes.sum::<std::io::Result<u64>>().map_err(failed)?;
        let logs = self.swap.to as u64 * LOG_FILES * ShardConfig::new(0).wal_file_bytes;
        let needed = bytes + bytes / 4 + logs;
        let stat = rustix::fs::statvfs(root).map_err(|error| failed(error.into()))?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free < needed {
            return Err(format!(
                "{} has {} free, and a copy of its shards may need {}; nothing is changed",
                root.display(),
                HumanBytes(free),
                HumanBytes(needed)
            ));
        }
        Ok(())
    }
}

/// Checks that a folder can be renamed to `keep`.
fn free_name(data: &DataDir, keep: &Path) -> std::result::Result<PathBuf, String> {
    let keep = std::path::absolute(keep).map_err(|error| format!("{}: {error}", keep.display()))?;
    if keep.symlink_metadata().is_ok() {
        return Err(format!("{} is there already; the old folder needs a new name", keep.display()));
    }
    if keep.starts_with(data.root()) {
        return Err(format!("{} lies in the data folder itself", keep.display()));
    }
    let parent = keep.parent().unwrap_or(&keep);
    let device = |path: &Path| path.metadata().map(|of| of.dev()).map_err(|e| format!("{}: {e}", path.display()));
    if device(parent)? != device(data.root())? {
        return Err(format!("{} is on another file system than the data folder", keep.display()));
    }
    Ok(keep)
}

fn size_of_folder(folder: &Path) -> std::io::Result<u64> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut bytes = 0;
    for entry in entries {
        let entry = entry?;
        let of = entry.metadata()?;
        bytes += if of.is_dir() { size_of_folder(&entry.path())? } else { of.len() };
    }
    Ok(bytes)
}

fn check_owners(
    shard: &ReadShard,
    table: &TableSchema,
    number: usize,
    shards: usize,
) -> std::result::Result<(), String> {
    let Some(index) = shard.series(table.id) else { return Ok(()) };
    for series in 0..index.len() as u32 {
        if owner(table, &index, SeriesId(series), shards)? as usize != number {
            return Err(format!("a series of table {} lies in shard {number}, which does not own it", table.name));
        }
    }
    Ok(())
}

/// The shard that owns a series.
fn owner(
    table: &TableSchema,
    index: &SeriesIndex,
    series: SeriesId,
    shards: usize,
) -> std::result::Result<u32, String> {
    let unknown = |id: ColumnId| format!("a series of table {} has tag {}, which the table lacks", table.name, id.0);
    let tags = index.key(series).map(|(id, value)| match table.column_by_id(id) {
        Some(column) => Ok((&*column.name, value)),
        None => Err(unknown(id)),
    });
    let mut tags = tags.collect::<std::result::Result<Vec<_>, _>>()?;
    tags.sort_unstable();
    Ok(series_owner::owner(&table.name, tags, shards as u32))
}

type Task = Pin<Box<dyn Future<Output = Result<()>>>>;

/// The new shards while rows come in.
struct Builder<'a> {
    catalog: &'a Catalog,
    shards: Vec<Rc<Shard<PlainDisk>>>,
    flush_bytes: u64,
    tasks: Vec<Option<Task>>,
}

impl<'a> Builder<'a> {
    async fn new(root: &Path, shards: usize, catalog: &'a Catalog) -> std::result::Result<Self, String> {
        let flush_bytes = (MEMTABLES_BYTES_MAX / shards as u64).clamp(FLUSH_BYTES_MIN, ShardConfig::new(0).flush_bytes);
        let mut opened = Vec::with_capacity(shards);
        let mut tasks: Vec<Option<Task>> = Vec::with_capacity(shards);
        for number in 0..shards {
            // No log is needed to find again what is thrown away after a crash.
            let config = ShardConfig { wal_sync: WalSync::Off, reserve_bytes: 0, ..ShardConfig::new(number as u32) };
            let shard = Shard::open(PlainDisk, &shard_folder(root, number), config, &|_| true).await;
            let shard = shard.map_err(|error| format!("new shard {number} cannot be made: {error}"))?.0;
            source::tables(catalog).for_each(|table| shard.set_columns(table));
            let log = shard.clone();
            tasks.push(Some(Box::pin(async move { log.run_wal().await })));
            opened.push(shard);
        }
        Ok(Self { catalog, shards: opened, flush_bytes, tasks })
    }

    /// Copies all rows of `old`, and tells what each table holds.
    async fn copy(mut self, old: &[Rc<ReadShard>]) -> std::result::Result<BTreeMap<TableId, Tally>, String> {
        let mut tasks = std::mem::take(&mut self.tasks);
        let mut body = Box::pin(self.copy_all(old));
        // The logs are written whenever the copying lets them.
        poll_fn(|context| {
            for (number, slot) in tasks.iter_mut().enumerate() {
                match slot.as_mut().map(|task| task.as_mut().poll(context)) {
                    Some(Poll::Ready(Ok(()))) => *slot = None,
                    Some(Poll::Ready(Err(error))) => return Poll::Ready(Err(format!("new shard {number}: {error}"))),
                    Some(Poll::Pending) | None => {}
                }
            }
            body.as_mut().poll(context)
        })
        .await
    }

    async fn copy_all(&self, old: &[Rc<ReadShard>]) -> std::result::Result<BTreeMap<TableId, Tally>, String> {
        let progress = Progress::new("resharding", Unit::Count("rows"), source::rows(old));
        let mut tallies = BTreeMap::new();
        for table in source::tables(self.catalog) {
            let having: Vec<_> = old.iter().filter(|shard| shard.partition_length(table.id).is_some()).collect();
            let Some(first) = having.first() else { continue };
            progress.at(&*table.name);
            let mut table = TableSchema::clone(table);
            // Fixed when the rows came, whatever the catalog says by now.
            table.partition_length = first.partition_length(table.id).unwrap_or(table.partition_length);
            let mut tally = Tally::default();
            for shard in &having {
                self.copy_table(shard, &table, &mut tally, &progress)
                    .await
                    .map_err(|reason| format!("table {}: {reason}", table.name))?;
            }
            tallies.insert(table.id, tally);
        }
        for (number, shard) in self.shards.iter().enumerate() {
            let closed = async {
                shard.flush().await?;
                shard.close().await
            };
            closed.await.map_err(|error| format!("new shard {number}: {error}"))?;
        }
        progress.finish();
        Ok(tallies)
    }

    async fn copy_table(
        &self,
        old: &ReadShard,
        table: &TableSchema,
        tally: &mut Tally,
        progress: &Progress,
    ) -> std::result::Result<(), String> {
        let mut targets: Vec<Option<Target>> = Vec::new();
        let mut scan = source::scan(old, table, i64::MIN, i64::MAX).map_err(|error| error.to_string())?;
        while let Some(chunk) = scan.next().await.map_err(|error| error.to_string())? {
            let fields = &scan.request().columns;
            if let Some(index) = old.series(table.id) {
                tally.add(&chunk, fields, &index);
                self.spread(table, &chunk, fields, &index, &mut targets)?;
            }
            progress.add(chunk.rows() as u64);
            self.make_room().await?;
        }
        Ok(())
    }

    /// Appends the rows of a chunk to the shards that own them. `targets`: by series of the old shard.
    fn spread(
        &self,
        table: &TableSchema,
        chunk: &ScanChunk,
        fields: &[(ColumnId, FieldType)],
        index: &SeriesIndex,
        targets: &mut Vec<Option<Target>>,
    ) -> std::result::Result<(), String> {
        targets.resize_with(index.len(), || None);
        let mut pieces_of: BTreeMap<u32, Vec<batches::Piece>> = BTreeMap::new();
        for run in &chunk.runs {
            let slot = &mut targets[run.series.0 as usize];
            let target = match slot {
                Some(target) => target,
                None => slot.insert(Target { shard: owner(table, index, run.series, self.shards.len())?, known: None }),
            };
            let rows = run.start as usize..(run.start + run.len) as usize;
            let piece = batches::Piece { series: run.series, known: target.known, rows };
            pieces_of.entry(target.shard).or_default().push(piece);
        }
        for (number, pieces) in pieces_of {
            let (batch, new) = batches::gather(table.id, chunk, fields, &pieces, index);
            let appended = self.shards[number as usize].append(&batch, table);
            let appended = appended.map_err(|error| format!("new shard {number}: {error}"))?;
            for (series, id) in new.iter().zip(appended.new_series) {
                if let Some(target) = &mut targets[series.0 as usize] {
                    target.known = Some(Known(id));
                }
            }
        }
        Ok(())
    }

    /// Flushes shards whose memory is full, and lets the logs be written.
    async fn make_room(&self) -> std::result::Result<(), String> {
        futures_lite::future::yield_now().await;
        for (number, shard) in self.shards.iter().enumerate() {
            if shard.memtable_bytes() >= self.flush_bytes || shard.wants_flush() {
                shard.flush().await.map_err(|error| format!("new shard {number}: {error}"))?;
            }
        }
        Ok(())
    }
}

/// Where a series goes.
#[derive(Debug, Clone, Copy)]
struct Target {
    shard: u32,
    /// Its id there, once it has one.
    known: Option<Known>,
}
