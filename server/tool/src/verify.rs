//! Reading everything in a data folder or a backup, and telling each damage.
//!
//! 1. The catalog, then shard by shard: manifest, series files, the copies of both where there are any, segments with
//!    all blocks decoded, the log with all records decoded.
//! 2. Damage is noted with file and offset, and the rest is read all the same.
//! 3. A server may work on the folder. Before something is called damaged or missing, the manifest is read again: what
//!    it does not name any more is of no concern, and a log that has moved on is read anew.
//! 4. A backup is compared with what its `BACKUP` says first.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use futures_lite::future::block_on;
use serde::Serialize;
use tidewire_storage::Error;
use tidewire_storage::disk::plain::PlainDisk;
use tidewire_storage::inspect::{SegmentFacts, ShardFiles};
use tidewire_storage::schema::TableId;
use tidewire_storage::segment::{Expected, segment_checksum};
use tidewire_storage::wal::{Lsn, Record};

use super::folder::Tree;
use super::generation::{Backup, Covered, hex};
use super::progress::{Progress, Unit};
use tidewire_base::catalog::read::CATALOG_FOLDER;

/// Times that a log is read before what does not hold is called damage: each time anew with the newest manifest.
const LOG_TRIES: usize = 20;

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where in the file; 0 where it is missing, or not known more exactly.
    pub offset: u64,
    /// What does not hold.
    pub reason: String,
}

/// What was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Files read.
    pub files: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Rows in segments; one that was written again counts twice.
    pub segment_rows: u64,
    /// Blocks of fields decoded.
    pub blocks: u64,
    /// Series.
    pub series: u64,
    /// Log records after the flushed ones.
    pub log_records: u64,
    /// Rows in them.
    pub log_rows: u64,
    /// What is damaged.
    pub damage: Vec<Damage>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is damaged at offset {}: {}", self.file.display(), self.offset, self.reason)
    }
}

impl Damage {
    /// Damage that an error tells; the error itself where it tells of something else.
    fn of(error: Error) -> Result<Self, String> {
        match error {
            Error::Corrupt { path, offset, reason } => Ok(Self { file: path, offset, reason }),
            Error::Incompatible { path, reason } => Ok(Self { file: path, offset: 0, reason }),
            Error::Io { path, source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                Ok(Self { file: path, offset: 0, reason: "the file is missing".to_owned() })
            }
            // A disk that cannot read some sectors: the rest is still worth reading.
            Error::Io { path, operation, source } => {
                Ok(Self { file: path, offset: 0, reason: format!("cannot {operation} it: {source}") })
            }
            error => Err(error.to_string()),
        }
    }
}

/// Reads all of `tree`, or of one shard and one table of it.
pub fn verify(tree: &Tree, shard: Option<usize>, table: Option<TableId>) -> Result<Checked, String> {
    let shards = shard.map_or(0..tree.shards, |shard| shard..shard + 1);
    let progress = Progress::new("verifying", Unit::Bytes, planned(tree, shards.clone()).max(1));
    let mut check = Check { checked: Checked::default(), progress: &progress, table };
    check.catalog(tree);
    for shard in shards {
        if let Some(backup) = &tree.backup {
            check.against_backup(tree, backup, shard);
        }
        progress.at(format!("shard {shard}"));
        block_on(check.shard(&tree.shard(shard), shard as u32))?;
    }
    let checked = check.checked;
    progress.finish();
    Ok(checked)
}

/// Bytes of segments and series files, as the manifests have them now.
fn planned(tree: &Tree, shards: std::ops::Range<usize>) -> u64 {
    let mut bytes = 0;
    for shard in shards {
        // What cannot be read is reported later.
        if let Ok(files) = block_on(ShardFiles::open(&PlainDisk, &tree.shard(shard), shard as u32)) {
            bytes += files.segments().map(|segment| segment.meta.bytes).sum::<u64>();
            bytes += files.series_files().map(|file| file.bytes).sum::<u64>();
        }
    }
    bytes
}

struct Check<'p> {
    checked: Checked,
    progress: &'p Progress,
    table: Option<TableId>,
}

impl Check<'_> {
    fn damaged(&mut self, error: Error) -> Result<(), String> {
        self.note(Damage::of(error)?);
        Ok(())
    }

    fn note(&mut self, damage: Damage) {
        self.checked.damage.push(damage);
    }

    fn read(&mut self, bytes: u64) {
        self.checked.bytes += bytes;
        self.progress.add(bytes);
    }

    fn catalog(&mut self, tree: &Tree) {
        match tree.catalog() {
            Ok(None) => {}
            Ok(Some(_)) => self.checked.files += 1,
            Err(error) => {
                let file = tree.root.join(CATALOG_FOLDER);
                let damage = |error: String| Damage { file, offset: 0, reason: error };
                let damage = Damage::of(error).unwrap_or_else(damage);
                self.note(damage);
            }
        }
    }

    /// What a backup says of its files, of one shard and of those above the shards.
    fn against_backup(&mut self, tree: &Tree, backup: &Backup, shard: usize) {
        let folder = tree.shard(shard);
        let ours = folder.strip_prefix(&tree.root).unwrap_or(&folder).to_owned();
        for file in &backup.files {
            let is_here = Path::new(&file.path).starts_with(&ours);
            let is_above = shard == 0 && !file.path.starts_with("shard-");
            if (is_here || is_above)
                && let Err(damage) = compare(&tree.root, file)
            {
                self.note(damage);
            }
        }
    }

    async fn shard(&mut self, folder: &Path, shard: u32) -> Result<(), String> {
        let files = match ShardFiles::open(&PlainDisk, folder, shard).await {
            Ok(files) => files,
            // Nothing in the shard has a meaning without its manifest.
            Err(error) => return self.damaged(error),
        };
        if !files.manifest_bytes().is_empty() {
            self.checked.files += 1;
            self.checked.bytes += files.manifest_bytes().len() as u64;
        }
        self.copy(files.check_manifest_copy().await)?;
        for tombstone in files.tombstones() {
            if let Err(error) = tombstone {
                self.damaged(error)?;
            }
        }
        let series = self.series(&files, folder, shard).await?;
        for segment in files.segments() {
            if self.table.is_none_or(|table| table == segment.table) {
                self.progress.at(format!("shard {shard}, {}", segment.meta.file));
                self.segment(&files, &segment, series.as_ref(), folder, shard).await?;
            }
        }
        self.log(folder, shard).await
    }

    /// Takes in what a look at a copy gave.
    fn copy(&mut self, checked: tidewire_storage::Result<u64>) -> Result<(), String> {
        match checked {
            Err(error) => self.damaged(error)?,
            Ok(0) => {}
            Ok(bytes) => {
                self.checked.files += 1;
                self.checked.bytes += bytes;
            }
        }
        Ok(())
    }

    /// The number of series of each table; `None` where a file could not be read.
    async fn series(
        &mut self,
        files: &ShardFiles<PlainDisk>,
        folder: &Path,
        shard: u32,
    ) -> Result<Option<BTreeMap<TableId, u64>>, String> {
        let mut indexes = BTreeMap::new();
        for file in files.series_files() {
            if let Err(error) = files.load_series(&file, &mut indexes).await {
                if is_live(folder, shard, &file.file).await {
                    self.damaged(error)?;
                }
                return Ok(None);
            }
            self.checked.files += 1;
            self.read(file.bytes);
            let copy = files.check_series_copy(&file).await;
            if copy.is_ok() || is_live(folder, shard, &file.file).await {
                self.copy(copy)?;
            }
        }
        if let Err(error) = files.restore_hidden(&mut indexes) {
            self.damaged(error)?;
        }
        let counts: BTreeMap<_, _> = indexes.iter().map(|(table, index)| (*table, index.len() as u64)).collect();
        self.checked.series += counts.values().sum::<u64>();
        Ok(Some(counts))
    }

    async fn segment(
        &mut self,
        files: &ShardFiles<PlainDisk>,
        segment: &SegmentFacts,
        series: Option<&BTreeMap<TableId, u64>>,
        folder: &Path,
        shard: u32,
    ) -> Result<(), String> {
        let mut damage = Vec::new();
        match files.open_segment(segment).await {
            Err(error) => damage.push(error),
            Ok(open) => {
                let expected = Expected {
                    table: segment.table,
                    partition_start: segment.partition_start,
                    partition_length: segment.partition_length,
                    series: series.map(|series| series.get(&segment.table).copied().unwrap_or(0)),
                };
                let progress = self.progress;
                let mut note = |error| damage.push(error);
                let failed =
                    open.verify(&PlainDisk, &expected, &mut note, &mut |bytes| progress.add(bytes)).await.err();
                damage.extend(failed);
                self.checked.bytes += segment.meta.bytes;
                self.checked.segment_rows += segment.meta.rows;
                self.checked.blocks +=
                    open.describe().columns.iter().map(|column| column.blocks.len() as u64).sum::<u64>();
            }
        }
        self.checked.files += 1;
        if damage.is_empty() {
            return Ok(());
        }
        let newest = ShardFiles::open(&PlainDisk, folder, shard).await;
        if newest.is_ok_and(|newest| newest.segments().all(|live| live.meta.file != segment.meta.file)) {
            return Ok(());
        }
        damage.into_iter().try_for_each(|error| self.damaged(error))
    }

    async fn log(&mut self, folder: &Path, shard: u32) -> Result<(), String> {
        let mut tries = 0;
        loop {
            let files = match ShardFiles::open(&PlainDisk, folder, shard).await {
                Ok(files) => files,
                Err(error) => return self.damaged(error),
            };
            let (flushed, mut records, mut rows) = (files.flushed_lsn(), 0, 0);
            let read = files.read_log(async |frame| {
                frame.records(flushed, |_: Lsn, record| {
                    records += 1;
                    if let Record::Rows(some) = record {
                        rows += some.time.len() as u64;
                    }
                    Ok(())
                })
            });
            let read = read.await;
            tries += 1;
            let moved = !matches!(files.needs_log().await, Ok(true));
            if tries < LOG_TRIES && (moved || read.is_err()) {
                continue;
            }
            return match read {
                Err(error) => self.damaged(error),
                Ok(log) => {
                    self.checked.files += log.files.iter().filter(|file| file.end > 0).count() as u64;
                    self.checked.bytes += log.bytes;
                    self.checked.log_records += records;
                    self.checked.log_rows += rows;
                    Ok(())
                }
            };
        }
    }
}

/// Whether the newest manifest names a series file, or cannot be read.
async fn is_live(folder: &Path, shard: u32, series_file: &str) -> bool {
    let newest = ShardFiles::open(&PlainDisk, folder, shard).await;
    newest.map_or(true, |newest| newest.series_files().any(|live| live.file == series_file))
}

/// Compares a file of a backup in `root` with its entry.
pub fn compare(root: &Path, file: &super::generation::BackupFile) -> Result<(), Damage> {
    let path = root.join(&file.path);
    let damaged = |offset: u64, reason: String| Damage { file: path.clone(), offset, reason };
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => damaged(0, "the file is missing".to_owned()),
        _ => damaged(0, format!("it cannot be read: {error}")),
    };
    let length = std::fs::metadata(&path).map_err(unreadable)?.len();
    if length != file.bytes {
        return Err(damaged(
            length.min(file.bytes),
            format!("it has {length} bytes where the backup says {}", file.bytes),
        ));
    }
    let found = match file.of {
        Covered::File => file_checksum(&path).map_err(unreadable)?,
        Covered::Footer => {
            let checksum = block_on(segment_checksum(&PlainDisk, &path));
            checksum.map_err(|error| Damage::of(error).unwrap_or_else(|reason| damaged(0, reason)))?
        }
    };
    match hex(found) == file.crc32c {
        true => Ok(()),
        false => Err(damaged(0, format!("its checksum is {} where the backup says {}", hex(found), file.crc32c))),
    }
}

/// The checksum of a whole file.
pub fn file_checksum(path: &Path) -> std::io::Result<u32> {
    use std::io::Read;
    /// Long enough that calls do not count, short enough to stay in a cache.
    const PIECE_BYTES: usize = 256 << 10;
    let (mut file, mut piece, mut crc) = (std::fs::File::open(path)?, vec![0; PIECE_BYTES], 0);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(crc),
            read => crc = crc32c::crc32c_append(crc, &piece[..read]),
        }
    }
}
