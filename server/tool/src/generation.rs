//! What a backup is, and where its parts are.
//!
//! ```text
//! DIR/LOCK                held by the one who writes
//! DIR/00000007/BACKUP     this file: written last, so that a backup without one is not complete
//!             /meta/catalog-00000001.log
//!             /shard-000/MANIFEST, segments/, series/, wal/00000001.wal
//! ```
//!
//! A backup is a folder in the shape of a data folder, but for `FORMAT`: no server starts on it. Files that two backups
//! share are one file with two names. The newest complete backup is the one with the greatest number that has a
//! `BACKUP`.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tidewire_storage::disk::owner::follow_folder;

use super::text;

/// Name of the file that makes a backup complete.
pub const BACKUP: &str = "BACKUP";

/// Version of that file and of the layout around it.
const FORMAT: u32 = 1;

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// When it was begun, in UTC: what was acknowledged before is in it.
    pub began: String,
    /// When it was complete.
    pub ended: String,
    /// The data folder.
    pub source: String,
    /// The machine's name.
    pub host: String,
    /// Version of the program that wrote it.
    pub tidewire: String,
    /// Shards of the data folder.
    pub shards: usize,
    /// The logs, by shard.
    pub logs: Vec<BackupLog>,
    /// All files but this one.
    pub files: Vec<BackupFile>,
}

/// Up to where a shard's log is in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupLog {
    /// The shard.
    pub shard: usize,
    /// Last record that is in segments.
    pub flushed_lsn: u64,
    /// Last record.
    pub last_lsn: u64,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupFile {
    /// Its path in the backup.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Checksum in hex.
    pub crc32c: String,
    /// What the checksum is of.
    pub of: Covered,
}

/// What a checksum is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Covered {
    /// The whole file.
    File,
    /// The footer of a segment, which holds the checksums of its blocks.
    Footer,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: u32,
    /// Of `backup` as JSON without spaces.
    crc32c: String,
    backup: Backup,
}

/// Name of the folder of a backup.
pub fn folder_name(number: u32) -> String {
    format!("{number:08}")
}

/// Numbers of the backups in `dir`, ascending, complete or not.
pub fn numbers(dir: &Path) -> Result<Vec<u32>, String> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir).map_err(|error| format!("cannot list {}: {error}", dir.display()))? {
        let name = entry.map_err(|error| format!("cannot list {}: {error}", dir.display()))?.file_name();
        let number = name.to_str().and_then(|name| name.parse().ok().filter(|number| folder_name(*number) == name));
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The newest complete backup in `dir`, or the one that `dir` is; `None` where there is none.
pub fn newest(dir: &Path) -> Result<Option<(PathBuf, Backup)>, String> {
    if let Some(backup) = Backup::load(dir)? {
        return Ok(Some((dir.to_owned(), backup)));
    }
    for number in numbers(dir)?.into_iter().rev() {
        let folder = dir.join(folder_name(number));
        if let Some(backup) = Backup::load(&folder)? {
            return Ok(Some((folder, backup)));
        }
    }
    Ok(None)
}

impl Backup {
    /// What stands in the `BACKUP` of `folder`; `None` where there is no such file.
    pub fn load(folder: &Path) -> Result<Option<Self>, String> {
        let path = folder.join(BACKUP);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
        };
        let damaged =
            |offset: usize, reason: String| format!("{} is damaged at offset {offset}: {reason}", path.display());
        let document: Document = serde_json::from_slice(&bytes).map_err(|error| damaged(0, error.to_string()))?;
        if document.format != FORMAT {
            let format = document.format;
            return Err(format!("{}: backup of format {format}; this build reads {FORMAT}", path.display()));
        }
        if checksum(&document.backup) != document.crc32c {
            return Err(damaged(0, "the checksum does not hold".to_owned()));
        }
        let outside = |file: &&BackupFile| {
            Path::new(&file.path).components().any(|part| !matches!(part, std::path::Component::Normal(_)))
        };
        if let Some(file) = document.backup.files.iter().find(outside) {
            return Err(damaged(0, format!("it names a file {:?}", file.path)));
        }
        if !(1..=tidewire_base::datadir::SHARDS_MAX).contains(&document.backup.shards) {
            return Err(damaged(0, format!("it says {} shards", document.backup.shards)));
        }
        Ok(Some(document.backup))
    }

    /// Makes the backup in `folder`, all of whose files are durable, a complete one.
    pub fn save(self, folder: &Path) -> Result<(), String> {
        let (path, new) = (folder.join(BACKUP), folder.join("BACKUP.new"));
        let document = Document { format: FORMAT, crc32c: checksum(&self), backup: self };
        let text = serde_json::to_string_pretty(&document);
        let text = text.map_err(|error| format!("cannot encode {}: {error}", path.display()))?;
        let written = (|| {
            let mut file = File::create(&new)?;
            follow_folder(&new)?;
            file.write_all(text.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            fs::rename(&new, &path)
        })();
        written.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        sync_folder(folder)
    }

    /// The entry of a file.
    pub fn file(&self, path: &str) -> Option<&BackupFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Its size and its age, in a line.
    pub fn summary(&self) -> String {
        let bytes = self.files.iter().map(|file| file.bytes).sum();
        format!(
            "backup of {} on {}, begun {}, complete {}, by Tidewire {}: {}, {}",
            self.source,
            self.host,
            self.began,
            self.ended,
            self.tidewire,
            text::counted(self.files.len() as u64, "file"),
            text::bytes(bytes)
        )
    }
}

/// Makes the names in `folder` durable.
pub fn sync_folder(folder: &Path) -> Result<(), String> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| format!("cannot sync {}: {error}", folder.display()))
}

/// A checksum as `BACKUP` writes it.
pub fn hex(crc32c: u32) -> String {
    format!("{crc32c:08x}")
}

fn checksum(backup: &Backup) -> String {
    // Text, numbers and lists of them: nothing that JSON could refuse.
    hex(serde_json::to_vec(backup).map_or(0, |bytes| crc32c::crc32c(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backup() -> Backup {
        let file = |path: &str| BackupFile { path: path.to_owned(), bytes: 3, crc32c: hex(7), of: Covered::File };
        Backup {
            began: "a".to_owned(),
            ended: "b".to_owned(),
            source: "/data".to_owned(),
            host: "h".to_owned(),
            tidewire: "1".to_owned(),
            shards: 1,
            logs: vec![BackupLog { shard: 0, flushed_lsn: 1, last_lsn: 2 }],
            files: vec![file("shard-000/MANIFEST")],
        }
    }

    #[test]
    fn the_newest_complete_backup_is_found_and_damage_is_told() {
        let dir = std::env::temp_dir().join(format!("tidewire-generation-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        for number in [1, 2, 10] {
            fs::create_dir_all(dir.join(folder_name(number))).unwrap();
        }
        assert_eq!((numbers(&dir).unwrap(), newest(&dir).unwrap()), (vec![1, 2, 10], None));
        backup().save(&dir.join(folder_name(1))).unwrap();
        backup().save(&dir.join(folder_name(2))).unwrap();
        let found = (dir.join(folder_name(2)), backup());
        assert_eq!(newest(&dir).unwrap(), Some(found.clone()));
        assert_eq!(newest(&found.0).unwrap(), Some(found.clone()), "one of them by its own name");

        let path = found.0.join(BACKUP);
        let text = fs::read_to_string(&path).unwrap();
        for (from, to, reason) in [
            ("/data", "/date", "checksum does not hold"),
            ("\"format\": 1", "\"format\": 9", "format 9"),
            ("{", "", "damaged at offset 0"),
        ] {
            fs::write(&path, text.replacen(from, to, 1)).unwrap();
            let error = newest(&dir).unwrap_err();
            assert!(error.contains(reason) && error.contains("BACKUP"), "{error}");
        }
        let mut outside = backup();
        outside.files[0].path = "../x".to_owned();
        outside.save(&found.0).unwrap();
        assert!(newest(&dir).unwrap_err().contains("../x"));
        fs::remove_dir_all(&dir).unwrap();
    }
}
