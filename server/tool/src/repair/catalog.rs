//! A damaged catalog: ended where the damage begins, if that leaves one.
//!
//! Changes of the catalog build on one another, so that what comes after the damage is lost. Whether what comes before
//! it is a catalog is tried on a copy first. The damaged file is kept beside it.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use futures_lite::future::block_on;
use tidewire_storage::Error;
use tidewire_storage::disk::readonly::ReadOnlyDisk;
use tidewire_storage::schema::Catalog;

use super::{file_name, line};
use crate::backup::copy_durably;
use crate::folder;
use crate::generation::sync_folder;
use crate::text;
use tidewire_base::catalog::read::{self, CATALOG_FOLDER};
use tidewire_base::datadir::DataDir;

/// Appended to the name of a damaged file that is kept.
const DAMAGED: &str = ".damaged";

/// Where it is tried what is left.
const TRIED: &str = "repair.tmp";

pub(super) fn repair(data: &DataDir, accept_loss: bool, say: &mut dyn FnMut(&str)) -> Result<(), String> {
    let root = data.root();
    let mut told = String::new();
    let (path, offset) = match folder::saved_catalog(root) {
        Ok(_) => {
            say("the catalog can be read; there is nothing to repair\n");
            return Ok(());
        }
        Err(error) => {
            line(&mut told, &error.to_string());
            match error {
                Error::Corrupt { path, offset, .. } => (path, offset),
                _ => {
                    say(&told);
                    return Err(format!("the catalog cannot be repaired from what is there. {}", advice(root)));
                }
            }
        }
    };
    let Some(left) = tried(root, &path, offset)? else {
        say(&told);
        return Err(format!("nothing before the damage is a catalog. {}", advice(root)));
    };
    let tables = left.databases.values().map(|database| database.all_tables().count() as u64).sum();
    let verb = if accept_loss { "was" } else { "would be" };
    line(
        &mut told,
        &format!(
            "The catalog {verb} ended there, with {} and {}. Lost is what was changed afterwards: databases, policies, \
             tables and columns that were made or dropped. Rows of a table that is lost so cannot be read.",
            text::counted(left.databases.len() as u64, "database"),
            text::counted(tables, "table")
        ),
    );
    if !accept_loss {
        line(&mut told, "Nothing was changed.");
        say(&told);
        return Err("the catalog is not repaired; --accept-loss does it at that price".to_owned());
    }
    let kept = kept_name(&path);
    copy_durably(&path, &kept).map_err(|error| failed("copy", &path, &error))?;
    sync_folder(&root.join(CATALOG_FOLDER))?;
    cut(&path, offset)?;
    line(&mut told, &format!("The damaged file is kept as {}.", file_name(&kept)));
    say(&told);
    Ok(())
}

fn advice(root: &Path) -> String {
    format!(
        "Put the catalog of a backup in its place, the file of the backup's folder {CATALOG_FOLDER} in {}. Where tables \
         were made since that backup, the start says so, and every shard has to come from it too: `tidewire repair \
         --shard N --from-backup DIR`.",
        root.join(CATALOG_FOLDER).display()
    )
}

/// The catalog that is left of a file that is cut off at `offset`, if that is one.
fn tried(root: &Path, path: &Path, offset: u64) -> Result<Option<Catalog>, String> {
    let folder = root.join(CATALOG_FOLDER).join(TRIED);
    let clear = || match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", &folder, &error)),
        _ => Ok(()),
    };
    clear()?;
    fs::create_dir(&folder).map_err(|error| failed("make", &folder, &error))?;
    let copy = folder.join(file_name(path));
    let copied = copy_durably(path, &copy).map_err(|error| failed("copy", path, &error));
    let left = copied.and_then(|()| cut(&copy, offset)).map(|()| block_on(read::read(&ReadOnlyDisk, &folder)));
    clear()?;
    Ok(left?.ok().flatten().map(|saved| saved.catalog))
}

fn cut(path: &Path, offset: u64) -> Result<(), String> {
    let file = File::options().write(true).open(path).map_err(|error| failed("open", path, &error))?;
    file.set_len(offset).and_then(|()| file.sync_all()).map_err(|error| failed("cut", path, &error))
}

fn kept_name(path: &Path) -> PathBuf {
    let named = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(if number == 1 { DAMAGED.to_owned() } else { format!("{DAMAGED}.{number}") });
        PathBuf::from(name)
    };
    (1..u32::MAX).map(named).find(|name| !name.exists()).unwrap_or_else(|| named(u32::MAX))
}

fn failed(operation: &str, path: &Path, error: &std::io::Error) -> String {
    format!("cannot {operation} {}: {error}", path.display())
}
