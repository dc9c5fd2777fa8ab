//! `tidewire inspect`: what a data folder or a backup holds. [`gather`] reads, [`report`] is what was read, [`render`]
//! writes it for people.

mod gather;
mod render;
mod report;

use std::io::Write;

use tidewire_storage::schema::{Catalog, TableId};

use super::folder::{self, Tree};
use super::text;
use super::verify::verify;
use gather::{Detail, Wanted};
use report::Report;
use tidewire_base::cli::InspectArguments;

/// Shows what there is, and fails where anything is damaged.
pub fn run(arguments: &InspectArguments, out: &mut dyn Write) -> Result<(), String> {
    let tree = Tree::open(&folder::root(&arguments.folder)?)?;
    if let Some(shard) = arguments.shard.filter(|shard| *shard >= tree.shards) {
        return Err(format!("{} has shards 0 to {}, not {shard}", tree.root.display(), tree.shards - 1));
    }
    // A catalog that cannot be read is reported below; without it there are numbers in the place of names.
    let (catalog, catalog_error) = match tree.catalog() {
        Ok(saved) => (saved.map(|saved| saved.catalog).unwrap_or_default(), None),
        Err(error) => (Catalog::default(), Some(error.to_string())),
    };
    let table = arguments.table.as_deref().map(|name| find_table(&catalog, name)).transpose()?;
    let detail = match (arguments.blocks, arguments.segments) {
        (true, _) => Detail::Blocks,
        (false, true) => Detail::Segments,
        (false, false) => Detail::Partitions,
    };
    let wanted = Wanted { shard: arguments.shard, table, detail };
    let mut report = gather::gather(&tree, &catalog, &wanted)?;
    report.problems.extend(catalog_error);
    if arguments.verify {
        report.verified = Some(verify(&tree, arguments.shard, table)?);
    }
    let shown = match arguments.json {
        true => serde_json::to_string_pretty(&report).map_err(|error| format!("cannot write JSON: {error}"))? + "\n",
        false => render::render(&report, &catalog),
    };
    match out.write_all(shown.as_bytes()).and_then(|()| out.flush()) {
        // A reader who closes the pipe after the first page has seen enough.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(format!("cannot print: {error}")),
        _ => {}
    }
    verdict(&report)
}

/// An error where something is damaged.
fn verdict(report: &Report) -> Result<(), String> {
    let damaged = report.verified.as_ref().map_or(0, |checked| checked.damage.len()).max(report.problems.len());
    match damaged {
        0 => Ok(()),
        damaged => Err(format!("{} is damaged in {}", report.root.display(), text::counted(damaged as u64, "place"))),
    }
}

/// The table that `database.table`, `table` or a number means.
fn find_table(catalog: &Catalog, name: &str) -> Result<TableId, String> {
    let tables = catalog.databases.values().flat_map(|database| database.named_tables());
    let found: Vec<_> = tables.filter(|(full, table)| full == name || *table.name == *name).collect();
    match (found.as_slice(), name.parse()) {
        ([(_, table)], _) => Ok(table.id),
        ([], Ok(id)) => Ok(TableId(id)),
        ([], Err(_)) => Err(format!("there is no table {name}")),
        (many, _) => {
            let names: Vec<_> = many.iter().map(|(full, _)| full.as_str()).collect();
            Err(format!("{name} can be {}; say which", names.join(" or ")))
        }
    }
}
