//! `tidewire repair`: puts a damaged shard in order, and says first what is lost by it.
//!
//! The work is that of [`tidewire_storage::salvage`]; here it is put into words, with the tables' names, and what it
//! costs is accepted or not. [`shard`] gets a shard to open again, [`segments`] gives up segments that are named,
//! [`detached`] puts files back that a start has detached, and [`backup`] takes a whole shard from a backup;
//! [`catalog`] ends a damaged catalog. The folder is locked like a server's, so that none works on it.

mod backup;
mod catalog;
mod detached;
mod segments;
mod shard;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use tidewire_storage::disk::owner::create_folders;
use tidewire_storage::schema::{Catalog, TableId, TimeUnit};

use super::folder;
use super::generation::sync_folder;
use tidewire_base::cli::RepairArguments;
use tidewire_base::datadir::DataDir;

/// A shard under repair.
struct Patient {
    data: DataDir,
    shard: usize,
    folder: PathBuf,
    /// For names only; the shard may be mended without them.
    catalog: Catalog,
}

/// Repairs a shard or says what that would mean. Gives what there is to say, and an error where the shard is not in
/// order afterwards.
pub fn run(arguments: &RepairArguments, say: &mut dyn FnMut(&str)) -> Result<(), String> {
    let root = folder::root(&arguments.folder)?;
    if !root.join("FORMAT").exists() {
        return Err(format!("{} is no data folder: it has no FORMAT", root.display()));
    }
    let data = DataDir::open(&root, 0, 1).map_err(|error| error.to_string())?;
    let Some(shard) = arguments.shard else { return catalog::repair(&data, arguments.accept_loss, say) };
    if shard >= data.shards() {
        return Err(format!("there is no shard {shard}: the folder has {}, from 0 on", data.shards()));
    }
    let catalog = folder::saved_catalog(data.root()).ok().flatten().map(|saved| saved.catalog).unwrap_or_default();
    let patient = Patient { folder: data.shard_folder(shard), data, shard, catalog };
    if let Some(dir) = &arguments.from_backup {
        return backup::replace(&patient, dir, arguments.accept_loss, say);
    }
    if arguments.empty {
        return begin_anew(&patient, arguments.accept_loss, say);
    }
    if !patient.folder.exists() {
        say(&format!("{} is missing. {}\n", patient.folder.display(), patient.advice()));
        return Err(format!("shard {shard} is not repaired; --empty makes an empty one, for want of a backup"));
    }
    if !arguments.segment.is_empty() {
        return segments::give_up(&patient, &arguments.segment, arguments.accept_loss, say);
    }
    if !arguments.attach.is_empty() || !arguments.remove_detached.is_empty() {
        return detached::run(&patient, &arguments.attach, &arguments.remove_detached, say);
    }
    shard::repair(&patient, arguments.accept_loss, say)
}

/// Makes an empty shard in the place of what is there, which is kept.
fn begin_anew(patient: &Patient, accept_loss: bool, say: &mut dyn FnMut(&str)) -> Result<(), String> {
    let (folder, shard) = (patient.folder.display(), patient.shard);
    if !accept_loss {
        say(&format!("All rows of shard {shard} would be lost to queries.\nNothing was changed.\n"));
        return Err(format!("shard {shard} is not emptied; --accept-loss does it at that price"));
    }
    if let Some(replaced) = backup::put_away(patient)? {
        say(&format!("what the shard was is kept as {}\n", replaced.display()));
    }
    create_folders(&patient.folder).map_err(|error| format!("cannot make {folder}: {error}"))?;
    sync_folder(patient.data.root())?;
    say(&format!("all rows of shard {shard} are lost to queries: it is empty now\n"));
    shard::repair(patient, false, say)
}

impl Patient {
    fn number(&self) -> u32 {
        u32::try_from(self.shard).unwrap_or(u32::MAX)
    }

    /// What to do about a shard that nothing in its folder can mend.
    fn advice(&self) -> String {
        let shard = self.shard;
        format!(
            "A shard's manifest, series files, segments and log belong together: take all of them from one backup. \
             `tidewire repair --shard {shard} --from-backup DIR --data-dir {}` says what that costs, and does it with \
             --accept-loss. Without a backup, --empty in the place of --from-backup begins the shard anew, without a row.",
            self.data.root().display()
        )
    }

    /// Length of a partition of a table, as the catalog has it.
    fn partition_length(&self, table: TableId) -> Option<i64> {
        let mut tables = self.catalog.databases.values().flat_map(|database| database.all_tables());
        tables.find(|known| known.id == table).map(|known| known.partition_length)
    }

    /// A table's full name, or the number of one that the catalog does not know, and the unit of its times.
    fn table(&self, table: TableId) -> (String, TimeUnit) {
        let mut named = self.catalog.databases.values().flat_map(|database| database.named_tables());
        let known = named.find(|(_, known)| known.id == table);
        known.map_or_else(
            || (format!("table {}", table.0), TimeUnit::default()),
            |(name, known)| (name, known.time_unit),
        )
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn line(text: &mut String, line: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{line}");
}
