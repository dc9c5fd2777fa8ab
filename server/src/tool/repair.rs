//! `tidewire repair`: gets a shard to open again that damage keeps closed, and says first what is lost by it.
//!
//! The work is [`tidewire_storage::salvage`]'s; here it is put into words, with the tables' names. The folder is locked
//! like a server's, so that none works on it.

use std::fmt::Write;
use std::path::Path;

use futures_lite::future::block_on;
use tidewire_storage::disk::plain::PlainDisk;
use tidewire_storage::salvage::{Salvage, salvage};
use tidewire_storage::schema::{Catalog, TableId};
use tidewire_storage::wal::LogCut;

use super::folder;
use crate::cli::RepairArguments;
use crate::datadir::DataDir;

/// Repairs a shard or says what that would mean. Gives what there is to say, and an error where the shard does not open
/// afterwards.
pub fn run(arguments: &RepairArguments, say: &mut dyn FnMut(&str)) -> Result<(), String> {
    let root = folder::root(&arguments.folder)?;
    if !root.join("FORMAT").exists() {
        return Err(format!("{} is no data folder: it has no FORMAT", root.display()));
    }
    let data_dir = DataDir::open(&root, 0, 1).map_err(|error| error.to_string())?;
    let shard = arguments.shard;
    if shard >= data_dir.shards() {
        return Err(format!("there is no shard {shard}: the folder has {}, from 0 on", data_dir.shards()));
    }
    let folder = data_dir.shard_folder(shard);
    if !folder.exists() {
        return Err(format!("{} is missing; put a copy of it in place", folder.display()));
    }
    // Names only; the shard may be mended without them.
    let catalog = folder::saved_catalog(data_dir.root()).ok().flatten().map(|saved| saved.catalog).unwrap_or_default();
    let disk = PlainDisk;
    let done = block_on(salvage(&disk, &folder, u32::try_from(shard).unwrap_or(u32::MAX), arguments.accept_loss));
    let found = done.map_err(|error| format!("shard {shard} cannot be looked at: {error}"))?;
    say(&tell(shard, &found, arguments.accept_loss, &catalog));
    match (found.opens, found.cuts.is_empty()) {
        (true, _) => Ok(()),
        (false, false) => Err(format!("shard {shard} is not repaired; --accept-loss does it at that price")),
        (false, true) => Err(format!("shard {shard} cannot be repaired from what is there")),
    }
}

fn tell(shard: usize, found: &Salvage, done: bool, catalog: &Catalog) -> String {
    let mut text = String::new();
    for cut in &found.cuts {
        tell_cut(&mut text, cut, done, catalog);
    }
    if let Some(error) = &found.left {
        line(&mut text, &format!("{error}"));
        line(&mut text, "Its copy is no better. Put a copy of the file from a backup in its place.");
    }
    match (found.opens, found.cuts.is_empty()) {
        (true, true) => line(&mut text, &format!("shard {shard} opens; there is nothing to repair")),
        (true, false) => line(&mut text, &format!("shard {shard} opens again")),
        (false, _) if !done => line(&mut text, "Nothing was changed."),
        (false, _) => {}
    }
    text
}

fn tell_cut(text: &mut String, cut: &LogCut, done: bool, catalog: &Catalog) {
    let (path, offset, reason) = &cut.damage;
    line(text, &format!("{} is damaged at offset {offset}: {reason}", path.display()));
    let verb = if done { "was" } else { "would be" };
    let last = match cut.last_known >= cut.first_lost {
        true => format!("to {}, and later ones if there were any", cut.last_known.0),
        false => "on, of which nothing is known".to_owned(),
    };
    line(text, &format!("The log {verb} ended there. Lost are its records from {} {last}.", cut.first_lost.0));
    let mut what: Vec<String> =
        cut.rows.iter().map(|(table, rows)| format!("{rows} rows of {}", name(catalog, *table))).collect();
    if cut.deletes > 0 {
        what.push(format!("{} deletes", cut.deletes));
    }
    if cut.readable > 0 {
        line(text, &format!("Of these {} can be read, with {}.", cut.readable, what.join(", ")));
    }
    for (path, offset) in &cut.unreadable {
        line(text, &format!("A commit at offset {offset} of {} cannot be read.", path.display()));
    }
    for path in &cut.files {
        line(text, &format!("{} {verb} set aside.", file_name(path)));
    }
    if let Some((path, end)) = &cut.shortened {
        line(text, &format!("{} {verb} set aside as a copy, and keeps what is before offset {end}.", file_name(path)));
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Its full name, or the number of a table that the catalog does not know.
fn name(catalog: &Catalog, table: TableId) -> String {
    let mut named = catalog.databases.values().flat_map(|database| database.named_tables());
    named.find(|(_, known)| known.id == table).map_or_else(|| format!("table {}", table.0), |(name, _)| name)
}

fn line(text: &mut String, line: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{line}");
}
