//! A whole shard from a backup.
//!
//! 1. The backup's files of the shard are compared with what `BACKUP` says, copied beside the shard, and read through.
//! 2. The shard's folder is renamed to `shard-NNN.replaced`, and the copy takes its name. A crash between the two
//!    leaves a shard without a folder, and a second try finishes it.
//! 3. Segments and series files that the backup does not have go from there to the shard's detached files, for
//!    `--attach`: they hold rows that were written since.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tidewire_storage::disk::owner::create_folders;
use tidewire_storage::inspect::{DETACHED_FOLDER, SEGMENTS_FOLDER, SERIES_FOLDER};

use super::{Patient, file_name, line};
use crate::backup::copy_durably;
use crate::folder::Tree;
use crate::generation::{Backup, BackupFile, sync_folder};
use crate::restore::refuse_damage;
use crate::text;
use crate::verify::{compare, verify};
use tidewire_base::datadir::shard_folder;

pub(super) fn replace(
    patient: &Patient,
    dir: &Path,
    accept_loss: bool,
    say: &mut dyn FnMut(&str),
) -> Result<(), String> {
    let shard = patient.shard;
    let tree = Tree::open(dir)?;
    let Some(backup) = &tree.backup else {
        return Err(format!("{} is a data folder, not a backup", tree.root.display()));
    };
    if backup.shards != patient.data.shards() {
        return Err(format!(
            "{} is of {}, and the data folder has {}: series lie elsewhere in it",
            tree.root.display(),
            text::counted(backup.shards as u64, "shard"),
            patient.data.shards()
        ));
    }
    let checked = refuse_damage(verify(&tree, Some(shard), None)?)?;
    let log = backup.logs.iter().find(|log| log.shard == shard);
    let mut told = String::new();
    line(&mut told, &format!("{}: {}", tree.root.display(), backup.summary()));
    line(
        &mut told,
        &format!(
            "Shard {shard} is in it up to record {}: {} in segments, {} in the log. Lost is what was written to the \
             shard after the backup began, and deletes of that time, but for segments that can be attached afterwards.",
            log.map_or(0, |log| log.last_lsn),
            text::counted(checked.segment_rows, "row"),
            text::counted(checked.log_rows, "row")
        ),
    );
    if !accept_loss {
        line(&mut told, "Nothing was changed.");
        say(&told);
        return Err(format!("shard {shard} is not replaced; --accept-loss does it at that price"));
    }
    say(&told);
    let new = copied(patient, &tree, backup)?;
    let replaced = exchange(patient, &new)?;
    let mut told = String::new();
    if let Some(replaced) = replaced {
        let detached = detach_others(patient, &replaced)?;
        line(&mut told, &format!("what the shard was is kept as {}", replaced.display()));
        for name in &detached {
            line(&mut told, &format!("detached: {name}"));
        }
    }
    say(&told);
    super::shard::repair(patient, false, say)
}

/// A copy of the shard's files, durable, beside the shard.
fn copied(patient: &Patient, tree: &Tree, backup: &Backup) -> Result<PathBuf, String> {
    let new = beside(patient, "new");
    match fs::remove_dir_all(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(format!("cannot remove {}: {error}", new.display()));
        }
        _ => {}
    }
    let ours = shard_folder(Path::new(""), patient.shard);
    let mut folders = vec![new.clone()];
    make(&new)?;
    for file in &backup.files {
        let Ok(path) = Path::new(&file.path).strip_prefix(&ours) else { continue };
        let (from, to) = (tree.root.join(&file.path), new.join(path));
        if let Some(folder) = to.parent().filter(|folder| !folders.iter().any(|known| known == folder)) {
            make(folder)?;
            folders.push(folder.to_owned());
        }
        copy_durably(&from, &to)
            .map_err(|error| format!("cannot copy {} to {}: {error}", from.display(), to.display()))?;
        let entry = BackupFile { path: path.display().to_string(), ..file.clone() };
        compare(&new, &entry).map_err(|damage| damage.to_string())?;
    }
    folders.iter().rev().try_for_each(|folder| sync_folder(folder))?;
    Ok(new)
}

/// Puts the copy in the shard's place; gives the folder that had it.
fn exchange(patient: &Patient, new: &Path) -> Result<Option<PathBuf>, String> {
    let replaced = put_away(patient)?;
    rename(new, &patient.folder)?;
    sync_folder(patient.data.root())?;
    Ok(replaced)
}

/// Gives the shard's folder another name, if it is there.
pub(super) fn put_away(patient: &Patient) -> Result<Option<PathBuf>, String> {
    if !patient.folder.exists() {
        return Ok(None);
    }
    let mut names = (1_u32..).map(|number| match number {
        1 => beside(patient, "replaced"),
        _ => beside(patient, &format!("replaced.{number}")),
    });
    let replaced = names.find(|name| !name.exists());
    if let Some(name) = &replaced {
        rename(&patient.folder, name)?;
        sync_folder(patient.data.root())?;
    }
    Ok(replaced)
}

fn rename(from: &Path, to: &Path) -> Result<(), String> {
    fs::rename(from, to).map_err(|error| format!("cannot rename {} to {}: {error}", from.display(), to.display()))
}

/// Moves segments and series files that the shard does not have now to its detached files; gives their names.
fn detach_others(patient: &Patient, replaced: &Path) -> Result<Vec<String>, String> {
    let detached = patient.folder.join(DETACHED_FOLDER);
    let mut names = Vec::new();
    for folder in [SEGMENTS_FOLDER, SERIES_FOLDER, DETACHED_FOLDER] {
        let from = replaced.join(folder);
        let entries = match fs::read_dir(&from) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries.map_err(|error| format!("cannot list {}: {error}", from.display()))?,
        };
        for entry in entries {
            let path = entry.map_err(|error| format!("cannot list {}: {error}", from.display()))?.path();
            let name = file_name(&path);
            let is_copy = name.ends_with(".copy.keys") || name.ends_with(".tmp");
            if is_copy || patient.folder.join(folder).join(&name).exists() {
                continue;
            }
            make(&detached)?;
            let to = detached.join(&name);
            fs::rename(&path, &to)
                .map_err(|error| format!("cannot rename {} to {}: {error}", path.display(), to.display()))?;
            names.push(name);
        }
    }
    if !names.is_empty() {
        sync_folder(&detached)?;
        sync_folder(&patient.folder)?;
    }
    names.sort();
    Ok(names)
}

fn beside(patient: &Patient, suffix: &str) -> PathBuf {
    let mut name = patient.folder.as_os_str().to_owned();
    name.push(format!(".{suffix}"));
    PathBuf::from(name)
}

fn make(folder: &Path) -> Result<(), String> {
    create_folders(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))
}
