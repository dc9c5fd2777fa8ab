//! `tidewire restore`: a data folder from a backup.
//!
//! 1. The target must be new or empty. `FORMAT`, which makes it a data folder, is written last: no server starts on
//!    half a restore.
//! 2. Files are copied, never linked, so that nothing that is done with the new folder can touch the backup.
//! 3. The copy is compared with what `BACKUP` says and read through like by `tidewire inspect --verify`: whatever is
//!    damaged ends the restore, with the file and the offset in the backup.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use tidewire_storage::disk::owner::{create_folders, follow};

use super::backup::copy_durably;
use super::folder::{self, Tree};
use super::generation::{Backup, sync_folder};
use super::progress::{Progress, Unit};
use super::text;
use super::verify::{Checked, Damage, compare, verify};
use tidewire_base::cli::RestoreArguments;
use tidewire_base::datadir::DataDir;

/// Restores a backup, or only checks it, and says what it holds.
pub fn run(arguments: &RestoreArguments, out: &mut dyn Write) -> Result<(), String> {
    let tree = Tree::open(&arguments.backup)?;
    let Some(backup) = &tree.backup else {
        return Err(format!("{} is a data folder, not a backup", tree.root.display()));
    };
    let checked = match arguments.verify {
        true => refuse_damage(verify(&tree, None, None)?)?,
        false => restore(&tree, backup, &folder::root(&arguments.folder)?)?,
    };
    let done = if arguments.verify { "whole" } else { "restored" };
    let report = format!(
        "{done}: {}\n  {}: {}, {} in segments, {} in the log\n",
        backup.summary(),
        text::counted(tree.shards as u64, "shard"),
        text::counted(checked.series, "series"),
        text::counted(checked.segment_rows, "row"),
        text::counted(checked.log_rows, "row")
    );
    out.write_all(report.as_bytes()).map_err(|error| format!("cannot print: {error}"))
}

fn restore(tree: &Tree, backup: &Backup, target: &Path) -> Result<Checked, String> {
    refuse_used(target)?;
    let failed = |error: std::io::Error| format!("cannot make {}: {error}", target.display());
    if !target.exists() {
        // A new folder is whose the backup is, as with tools that keep owners; one that is there keeps its own.
        create_folders(target).and_then(|()| follow(target, &tree.root)).map_err(failed)?;
    }
    let target = &fs::canonicalize(target).map_err(|error| format!("cannot find {}: {error}", target.display()))?;
    let progress =
        Progress::new("restoring", Unit::Bytes, backup.files.iter().map(|file| file.bytes).sum::<u64>().max(1));
    let mut folders = vec![target.clone()];
    for file in &backup.files {
        let (from, to) = (tree.root.join(&file.path), target.join(&file.path));
        if let Some(folder) = to.parent().filter(|folder| !folders.iter().any(|known| known == folder)) {
            create_folders(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
            // Those above it are new, too, or known.
            folders.extend(folder.ancestors().take_while(|above| *above != target).map(Path::to_owned));
        }
        progress.at(file.path.clone());
        match copy_durably(&from, &to) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(format!("{} is damaged at offset 0: the file is missing", from.display()));
            }
            Err(error) => return Err(format!("cannot copy {} to {}: {error}", from.display(), to.display())),
        }
        compare(target, file).map_err(|damage| in_backup(damage, tree, target).to_string())?;
        progress.add(file.bytes);
    }
    progress.finish();
    let restored = Tree { root: target.clone(), shards: tree.shards, backup: None };
    let mut checked = verify(&restored, None, None)?;
    checked.damage = checked.damage.into_iter().map(|damage| in_backup(damage, tree, target)).collect();
    let checked = refuse_damage(checked)?;
    for folder in folders.iter().rev() {
        sync_folder(folder)?;
    }
    DataDir::write_format(target, tree.shards).map_err(|error| error.to_string())?;
    if let Some(above) = target.parent() {
        sync_folder(above)?;
    }
    Ok(checked)
}

/// A folder with anything in it is not ours to fill.
fn refuse_used(target: &Path) -> Result<(), String> {
    let entries = match fs::read_dir(target) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("cannot list {}: {error}", target.display())),
    };
    for entry in entries {
        let name = entry.map_err(|error| format!("cannot list {}: {error}", target.display()))?.file_name();
        if name != "lost+found" {
            return Err(format!(
                "{} holds {}; a backup is restored into a new or empty folder (what a restore that did not end has left may be removed)",
                target.display(),
                name.display()
            ));
        }
    }
    Ok(())
}

/// Damage of a copy, reported for what was copied.
fn in_backup(damage: Damage, tree: &Tree, target: &Path) -> Damage {
    match damage.file.strip_prefix(target) {
        Ok(path) => Damage { file: tree.root.join(path), ..damage },
        Err(_) => damage,
    }
}

/// An error that names the first damage, where there is any.
pub(super) fn refuse_damage(checked: Checked) -> Result<Checked, String> {
    match checked.damage.first() {
        None => Ok(checked),
        Some(first) => {
            let more = match checked.damage.len() - 1 {
                0 => String::new(),
                more => {
                    format!(", and {} more; `tidewire inspect --verify` lists all", text::counted(more as u64, "place"))
                }
            };
            Err(format!("{first}{more}"))
        }
    }
}
