//! `tidewire backup`: a consistent copy of a data folder, also of one that a server works on.
//!
//! Guarantee: every row that was acknowledged before the backup began is in it (with `wal.sync = "off"`: every row that
//! had been written to the log), and no row that nobody sent. Each shard is as it was at one moment after that: a
//! beginning of its log. The folder of backups holds a complete one at every moment after the first.
//!
//! Shard by shard:
//!
//! 1. The manifest is read. What it names is immutable: the server replaces and removes files, and never writes into
//!    one. So segments and series files are linked, from the backup before where that has the same, else from the data
//!    folder; where linking is impossible (another file system) they are copied.
//! 2. Log records after the flushed one are copied frame by frame into a new file ([`copy_log`]). The copy ends where
//!    no whole frame follows: what is not yet whole was not acknowledged.
//! 3. The manifest is read again. If it says that more is flushed, log files may have been used again meanwhile, and
//!    the shard is done anew, as it is when a file goes away: what is linked already stays.
//! 4. The manifest of step 1 is written.
//!
//! Then comes the catalog: it is newer than every shard, so that it knows all their tables and columns; tables dropped
//! meanwhile are passed over by a start. `BACKUP` is written last, when all else is durable ([`generation`]); then
//! older backups are removed.
//!
//! A file that the data folder has lost or damaged is taken from the backup before, if that has it.
//!
//! [`copy_log`]: tidewire_storage::wal::copy_log

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use futures_lite::future::block_on;
use tidewire_storage::Error;
use tidewire_storage::disk::owner::{create_folders, follow_folder};
use tidewire_storage::disk::plain::PlainDisk;
use tidewire_storage::inspect::{SEGMENTS_FOLDER, SERIES_FOLDER, ShardFiles, WAL_FOLDER};
use tidewire_storage::schema::TimeUnit;
use tidewire_storage::segment::segment_checksum;

use super::generation::{self, BACKUP, Backup, BackupFile, BackupLog, Covered, folder_name, hex, numbers, sync_folder};
use super::progress::{Progress, Unit};
use super::verify::file_checksum;
use super::{folder, text};
use tidewire_base::catalog::read::CATALOG_FOLDER;
use tidewire_base::cli::BackupArguments;
use tidewire_base::datadir::{DataDir, shard_folder};

/// Times that a shard is begun anew. A flush ends a try, and a try of an incremental backup takes about as long as
/// copying the log; this many in a row that meet a flush are no accident.
const SHARD_TRIES: usize = 100;

/// Times that the catalog is looked for when its file has given way to the next one.
const CATALOG_TRIES: usize = 10;

/// The file of a copied log.
const LOG_FILE: &str = "00000001.wal";

/// How a file came into the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    /// The backup before has it, or an earlier try of this one.
    Had,
    Linked,
    Copied,
}

/// Why a file is not in the backup.
enum Missed {
    /// The data folder does not have it, or not whole.
    Lost(String),
    /// Anything else.
    Failed(String),
}

/// A backup in the making.
struct Making {
    data: PathBuf,
    /// Its folder.
    target: PathBuf,
    /// The backup before.
    previous: Option<(PathBuf, Backup)>,
    files: Vec<BackupFile>,
    /// How immutable files came in, and their sizes; a try that was begun anew has linked some already.
    came: BTreeMap<PathBuf, (Came, u64)>,
    /// Files that the data folder has lost.
    saved: BTreeSet<String>,
}

/// Backs up a data folder, and says what was done.
pub fn run(arguments: &BackupArguments, out: &mut dyn Write) -> Result<(), String> {
    let data = folder::root(&arguments.folder)?;
    let data =
        fs::canonicalize(&data).map_err(|error| format!("cannot find data folder {}: {error}", data.display()))?;
    let shards = DataDir::shards_of(&data).map_err(|error| error.to_string())?;
    let dir = &arguments.backup;
    refuse_strange(dir, &data)?;
    create_folders(dir).map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
    let _lock = lock(dir)?;

    let began = now();
    let previous = generation::newest(dir)?;
    let newest = previous.as_ref().and_then(|(folder, _)| folder.file_name()?.to_str()?.parse().ok()).unwrap_or(0);
    // A folder with a greater number was begun and not completed: it is continued.
    let begun = numbers(dir)?.into_iter().find(|number| *number > newest);
    let number: u32 = begun.unwrap_or(newest + 1);
    let mut making = Making {
        target: dir.join(folder_name(number)),
        data,
        previous,
        files: Vec::new(),
        came: BTreeMap::new(),
        saved: BTreeSet::new(),
    };
    make_folder(&making.target)?;

    let total = (0..shards).map(|shard| making.planned(shard)).sum::<u64>();
    let progress = Progress::new("backing up", Unit::Bytes, total.max(1));
    let mut logs = Vec::new();
    for shard in 0..shards {
        progress.at(format!("shard {shard}"));
        logs.push(making.shard(shard, &progress)?);
    }
    making.catalog()?;
    making.remove_others()?;
    for folder in [making.target.as_path(), dir] {
        sync_folder(folder)?;
    }
    let Making { target, files, came, saved, data, .. } = making;
    let wanted: BTreeSet<PathBuf> = files.iter().map(|file| PathBuf::from(&file.path)).collect();
    let brought = |how: Came| {
        let files = came.iter().filter(|(path, (came, _))| *came == how && wanted.contains(*path));
        files.fold((0, 0), |(count, bytes), (_, (_, size))| (count + 1, bytes + size))
    };
    let backup = Backup {
        began,
        ended: now(),
        source: data.display().to_string(),
        host: host(),
        tidewire: env!("CARGO_PKG_VERSION").to_owned(),
        shards,
        logs,
        files,
    };
    let summary = backup.summary();
    backup.save(&target)?;
    progress.finish();
    let removed = remove_older(dir, number, arguments.keep)?;

    let told = |(files, bytes): (u64, u64)| format!("{} ({})", text::counted(files, "file"), text::bytes(bytes));
    let mut report = format!("{}: {summary}\n", target.display());
    report.push_str(&format!(
        "  new: {} linked, {} copied; unchanged: {}; removed: {}\n",
        told(brought(Came::Linked)),
        told(brought(Came::Copied)),
        text::counted(brought(Came::Had).0, "file"),
        text::counted(removed, "older backup")
    ));
    for file in &saved {
        report.push_str(&format!(
            "  {file}: missing or damaged in the data folder; taken from the backup before, from where it can be put back\n"
        ));
    }
    out.write_all(report.as_bytes()).map_err(|error| format!("cannot print: {error}"))
}

/// A folder of backups holds nothing else, and is no part of what it holds.
fn refuse_strange(dir: &Path, data: &Path) -> Result<(), String> {
    // The nearest folder that exists says where it will be.
    let mut absolute = std::path::absolute(dir).map_err(|error| format!("cannot find {}: {error}", dir.display()))?;
    let mut missing = PathBuf::new();
    while !absolute.exists() {
        let Some(name) = absolute.file_name().map(PathBuf::from) else { break };
        missing = name.join(&missing);
        absolute.pop();
    }
    let real =
        fs::canonicalize(&absolute).map_err(|error| format!("cannot find {}: {error}", dir.display()))?.join(missing);
    let inside = real.strip_prefix(data).ok().map(|rest| rest.components().next());
    let is_ours = |name: &std::ffi::OsStr| {
        let name = name.to_string_lossy();
        name == CATALOG_FOLDER || name.starts_with("shard-")
    };
    if inside.is_some_and(|first| first.is_none_or(|first| is_ours(first.as_os_str()))) {
        return Err(format!("{} is where the data itself is; a backup needs a folder of its own", dir.display()));
    }
    let Ok(entries) = fs::read_dir(dir) else { return Ok(()) };
    for entry in entries {
        let name = entry.map_err(|error| format!("cannot list {}: {error}", dir.display()))?.file_name();
        let name = name.to_string_lossy();
        let is_number = name.parse::<u32>().is_ok_and(|number| folder_name(number) == *name);
        if !is_number && name != "LOCK" && name != "lost+found" {
            return Err(format!("{} holds {name}, so it is no folder of backups", dir.display()));
        }
    }
    Ok(())
}

/// Keeps a second backup out of the folder until it is dropped.
fn lock(dir: &Path) -> Result<File, String> {
    let path = dir.join("LOCK");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| format!("cannot open {}: {error}", path.display()))?;
    follow_folder(&path).map_err(|error| format!("cannot give {} away: {error}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(format!("another backup into {} is under way", dir.display())),
        Err(TryLockError::Error(error)) => Err(format!("cannot lock {}: {error}", path.display())),
    }
}

/// Removes backups before `newest`, but for as many as are to be kept, and what is left of incomplete ones; gives the
/// number of complete ones removed.
fn remove_older(dir: &Path, newest: u32, keep: u32) -> Result<u64, String> {
    let (mut kept, mut removed) = (1, 0);
    for number in numbers(dir)?.into_iter().rev().filter(|number| *number < newest) {
        let folder = dir.join(folder_name(number));
        let is_complete = folder.join(BACKUP).exists();
        if is_complete && kept < keep {
            kept += 1;
            continue;
        }
        // First what makes it complete, so that it is never taken for more than it is.
        if is_complete {
            let path = folder.join(BACKUP);
            fs::remove_file(&path).map_err(|error| format!("cannot remove {}: {error}", path.display()))?;
            sync_folder(&folder)?;
            removed += 1;
        }
        fs::remove_dir_all(&folder).map_err(|error| format!("cannot remove {}: {error}", folder.display()))?;
    }
    sync_folder(dir)?;
    Ok(removed)
}

impl Making {
    /// Bytes of segments and series files of a shard, as they are now.
    fn planned(&self, shard: usize) -> u64 {
        let files = block_on(ShardFiles::open(&PlainDisk, &shard_folder(&self.data, shard), shard as u32));
        // What cannot be read is reported when its turn comes.
        files.map_or(0, |files| {
            let segments = files.segments().map(|segment| segment.meta.bytes).sum::<u64>();
            segments + files.series_files().map(|file| file.bytes).sum::<u64>()
        })
    }

    fn shard(&mut self, shard: usize, progress: &Progress) -> Result<BackupLog, String> {
        let begin = self.files.len();
        for _ in 0..SHARD_TRIES {
            self.files.truncate(begin);
            if let Some(log) = self.try_shard(shard, progress)? {
                return Ok(log);
            }
        }
        Err(format!("shard {shard} was flushed during each of {SHARD_TRIES} tries to copy its log; try again later"))
    }

    /// `None` when the server has gone on meanwhile, and the shard is to be begun anew.
    fn try_shard(&mut self, shard: usize, progress: &Progress) -> Result<Option<BackupLog>, String> {
        let source = shard_folder(&self.data, shard);
        let name = shard_folder(Path::new(""), shard);
        let files = block_on(ShardFiles::open(&PlainDisk, &source, shard as u32)).map_err(|error| error.to_string())?;
        for folder in [WAL_FOLDER, SEGMENTS_FOLDER, SERIES_FOLDER] {
            make_folder(&self.target.join(&name).join(folder))?;
        }
        for segment in files.segments() {
            let path = name.join(SEGMENTS_FOLDER).join(&segment.meta.file);
            let check = || block_on(files.open_segment(&segment)).map(|_| ());
            if !self.take_or_save(&files, &path, Some(segment.meta.bytes), Covered::Footer, &check, progress)? {
                return Ok(None);
            }
        }
        for file in files.series_files() {
            let path = name.join(SERIES_FOLDER).join(&file.file);
            let check = || block_on(files.check_series(&file));
            if !self.take_or_save(&files, &path, None, Covered::File, &check, progress)? {
                return Ok(None);
            }
        }

        let log_path = self.target.join(&name).join(WAL_FOLDER).join(LOG_FILE);
        remove_if_there(&log_path)?;
        let copied = block_on(files.copy_log(&log_path));
        let needs_log = block_on(files.needs_log()).map_err(|error| error.to_string())?;
        let copied = match copied {
            // A file came into use while the folder was looked through, or the log is damaged: one more look tells.
            Err(_) if !needs_log => return Ok(None),
            Err(first) => {
                remove_if_there(&log_path)?;
                match block_on(files.copy_log(&log_path)) {
                    Ok(copied) => copied,
                    Err(second) => {
                        let needs_log = block_on(files.needs_log()).map_err(|error| error.to_string())?;
                        // The same damage at the same place twice is damage.
                        if needs_log && second.to_string() == first.to_string() {
                            return Err(second.to_string());
                        }
                        return Ok(None);
                    }
                }
            }
            Ok(copied) => copied,
        };
        if !block_on(files.needs_log()).map_err(|error| error.to_string())? {
            return Ok(None);
        }
        self.list(&name.join(WAL_FOLDER).join(LOG_FILE), copied.bytes, copied.crc32c, Covered::File);

        let manifest = self.target.join(&name).join("MANIFEST");
        remove_if_there(&manifest)?;
        let bytes = files.manifest_bytes();
        if !bytes.is_empty() {
            write_new(&manifest, bytes)?;
            self.list(&name.join("MANIFEST"), bytes.len() as u64, crc32c::crc32c(bytes), Covered::File);
        }
        for folder in [WAL_FOLDER, SEGMENTS_FOLDER, SERIES_FOLDER, ""] {
            sync_folder(&self.target.join(&name).join(folder))?;
        }
        Ok(Some(BackupLog { shard, flushed_lsn: files.flushed_lsn().0, last_lsn: copied.log.last_lsn.0 }))
    }

    fn list(&mut self, path: &Path, bytes: u64, crc32c: u32, of: Covered) {
        self.files.push(BackupFile { path: path.display().to_string(), bytes, crc32c: hex(crc32c), of });
    }

    /// Brings an immutable file into the backup, from the backup before if it is lost or damaged: `check` looks at one
    /// that is new. `false` where it was replaced meanwhile.
    fn take_or_save(
        &mut self,
        files: &ShardFiles<PlainDisk>,
        path: &Path,
        bytes: Option<u64>,
        of: Covered,
        check: &dyn Fn() -> Result<(), Error>,
        progress: &Progress,
    ) -> Result<bool, String> {
        let is_new = !self.came.contains_key(path);
        match self.take(path, bytes, of, check) {
            Ok(size) if is_new => progress.add(size),
            Ok(_) => {}
            Err(Missed::Failed(reason)) => return Err(reason),
            Err(Missed::Lost(reason)) => {
                if !block_on(files.is_newest()).map_err(|error| error.to_string())? {
                    return Ok(false);
                }
                self.save(path, bytes, &reason)?;
            }
        }
        Ok(true)
    }

    /// Brings an immutable file into the backup; gives its size. `bytes` is its length, where it is known.
    fn take(
        &mut self,
        path: &Path,
        bytes: Option<u64>,
        of: Covered,
        check: &dyn Fn() -> Result<(), Error>,
    ) -> Result<u64, Missed> {
        let (source, target) = (self.data.join(path), self.target.join(path));
        let lost = |reason: String| Missed::Lost(reason);
        let found = match fs::metadata(&source) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(lost(format!("{} is missing", source.display())));
            }
            Err(error) => return Err(Missed::Failed(format!("cannot look at {}: {error}", source.display()))),
        };
        if let Some(bytes) = bytes.filter(|bytes| *bytes != found.len()) {
            let reason = format!("it has {} bytes where the manifest says {bytes}", found.len());
            return Err(lost(format!(
                "{} is damaged at offset {}: {reason}",
                source.display(),
                found.len().min(bytes)
            )));
        }
        let crc = checksum(&source, of).map_err(lost)?;
        let entry = self.previous.as_ref().and_then(|(_, backup)| backup.file(&path.display().to_string()));
        if entry.is_none_or(|entry| (entry.bytes, &entry.crc32c) != (found.len(), &hex(crc))) {
            check().map_err(|error| lost(error.to_string()))?;
        }

        // The same file under another name, or one of the same length and checksum.
        let is_same = |other: &Path| {
            fs::metadata(other).is_ok_and(|other_found| {
                let one = (other_found.dev(), other_found.ino()) == (found.dev(), found.ino());
                one || other_found.len() == found.len() && checksum(other, of).is_ok_and(|other| other == crc)
            })
        };
        let came = if is_same(&target) {
            Came::Had
        } else {
            remove_if_there(&target).map_err(Missed::Failed)?;
            let before = self.previous.as_ref().map(|(folder, _)| folder.join(path)).filter(|before| is_same(before));
            match before {
                Some(before) => bring(&before, &target).map(|_| Came::Had)?,
                None => bring(&source, &target)?,
            }
        };
        self.came.entry(path.to_owned()).or_insert((came, found.len()));
        self.list(path, found.len(), crc, of);
        Ok(found.len())
    }

    /// Takes a file that the data folder has lost from the backup before; the error `reason` where that cannot help.
    fn save(&mut self, path: &Path, bytes: Option<u64>, reason: &str) -> Result<(), String> {
        let name = path.display().to_string();
        let Some((folder, entry)) =
            self.previous.as_ref().and_then(|(folder, backup)| Some((folder, backup.file(&name)?)))
        else {
            return Err(format!("{reason}; the backup would lack it, and no earlier one in this folder has it"));
        };
        let (before, entry) = (folder.join(path), entry.clone());
        let is_whole = bytes.is_none_or(|bytes| bytes == entry.bytes) && super::verify::compare(folder, &entry).is_ok();
        if !is_whole {
            return Err(format!("{reason}; the backup would lack it, and {} is not whole either", before.display()));
        }
        let target = self.target.join(path);
        remove_if_there(&target)?;
        match bring(&before, &target) {
            Ok(_) => {}
            Err(Missed::Lost(reason) | Missed::Failed(reason)) => return Err(reason),
        }
        self.saved.insert(name);
        self.files.push(entry);
        Ok(())
    }

    fn catalog(&mut self) -> Result<(), String> {
        for _ in 0..CATALOG_TRIES {
            // A server that has not got so far yet has none.
            let Some(saved) = folder::saved_catalog(&self.data).map_err(|error| error.to_string())? else {
                return Ok(());
            };
            let mut bytes = match fs::read(&saved.path) {
                Ok(bytes) => bytes,
                // The server has begun the next one.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(format!("cannot read {}: {error}", saved.path.display())),
            };
            // What is behind is space, or a change that is not whole.
            bytes.truncate(usize::try_from(saved.bytes).unwrap_or(usize::MAX));
            let Some(name) = saved.path.file_name() else { continue };
            let path = Path::new(CATALOG_FOLDER).join(name);
            let target = self.target.join(&path);
            make_folder(&self.target.join(CATALOG_FOLDER))?;
            remove_if_there(&target)?;
            write_new(&target, &bytes)?;
            self.list(&path, bytes.len() as u64, crc32c::crc32c(&bytes), Covered::File);
            return sync_folder(&self.target.join(CATALOG_FOLDER));
        }
        Err(format!("the catalog went on during each of {CATALOG_TRIES} tries to copy it; try again later"))
    }

    /// Removes what tries before this one have left and that does not belong to the backup.
    fn remove_others(&self) -> Result<(), String> {
        let wanted: BTreeSet<PathBuf> = self.files.iter().map(|file| self.target.join(&file.path)).collect();
        let mut folders = vec![self.target.clone()];
        while let Some(folder) = folders.pop() {
            let failed = |error: std::io::Error| format!("cannot list {}: {error}", folder.display());
            for entry in fs::read_dir(&folder).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if !wanted.contains(&path) {
                    remove_if_there(&path)?;
                }
            }
        }
        Ok(())
    }
}

fn checksum(path: &Path, of: Covered) -> Result<u32, String> {
    match of {
        Covered::Footer => block_on(segment_checksum(&PlainDisk, path)).map_err(|error| error.to_string()),
        Covered::File => file_checksum(path).map_err(|error| format!("cannot read {}: {error}", path.display())),
    }
}

/// Gives an immutable file a second name, or a copy where it cannot have one. A copy is durable, but for its name.
fn bring(source: &Path, target: &Path) -> Result<Came, Missed> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => Missed::Lost(format!("{} is missing", source.display())),
        _ => Missed::Failed(format!("cannot copy {} to {}: {error}", source.display(), target.display())),
    };
    match fs::hard_link(source, target) {
        Ok(()) => return Ok(Came::Linked),
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(failed(error)),
        // Another file system, one without links, too many links, a file of somebody else: a copy will do.
        Err(_) => {}
    }
    // Under another name until it is durable: what a cut power leaves under this one is never taken for the file.
    let mut part = target.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    remove_if_there(&part).map_err(Missed::Failed)?;
    copy_durably(source, &part).and_then(|()| fs::rename(&part, target)).map_err(failed)?;
    Ok(Came::Copied)
}

/// Copies a file to a new one, and makes that durable, but for its name.
pub(super) fn copy_durably(source: &Path, target: &Path) -> std::io::Result<()> {
    let mut from = File::open(source)?;
    let mut to = File::options().write(true).create_new(true).open(target)?;
    follow_folder(target)?;
    // Between files of one file system that shares extents this copies no byte.
    std::io::copy(&mut from, &mut to)?;
    to.sync_all()
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let written = (|| {
        let mut file = File::options().write(true).create_new(true).open(path)?;
        follow_folder(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    })();
    written.map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn remove_if_there(path: &Path) -> Result<(), String> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(format!("cannot remove {}: {error}", path.display())),
        _ => Ok(()),
    }
}

fn make_folder(path: &Path) -> Result<(), String> {
    create_folders(path).map_err(|error| format!("cannot make {}: {error}", path.display()))
}

fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}Z", text::time(i64::try_from(since.as_millis()).unwrap_or(i64::MAX), TimeUnit::Millisecond))
}

fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname");
    name.map_or_else(|_| "an unnamed host".to_owned(), |name| name.trim().to_owned())
}
