//! What a tool works on: a data folder, or a backup of one.

use std::path::{Path, PathBuf};

use futures_lite::future::block_on;
use tidewire_storage::Error;
use tidewire_storage::disk::readonly::ReadOnlyDisk;

use super::generation::{self, Backup};
use tidewire_base::catalog::read::{self, CATALOG_FOLDER, Saved};
use tidewire_base::cli::DataFolder;
use tidewire_base::config;
use tidewire_base::datadir::{DataDir, shard_folder};

/// Files in the shape of a data folder.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Its top.
    pub root: PathBuf,
    /// Shards that it was made for.
    pub shards: usize,
    /// What a backup says of itself; `None` for a data folder.
    pub backup: Option<Backup>,
}

/// Where the data folder is: the flag, the environment, the config file, or the default, as for the server.
pub fn root(which: &DataFolder) -> Result<PathBuf, String> {
    let variables = config::environment().map_err(|error| error.to_string())?;
    let file = which.config.clone().or_else(|| std::env::var_os("TIDEWIRE_CONFIG").map(PathBuf::from));
    let flags: Vec<_> = which.data_dir.iter().map(|folder| ("data_dir", folder.clone())).collect();
    let loaded = config::load(file.as_deref(), &variables, &flags).map_err(|error| error.to_string())?;
    Ok(loaded.config.data_dir)
}

impl Tree {
    /// What lies at `root`: a data folder, a folder of backups (the newest), or one of them.
    pub fn open(root: &Path) -> Result<Self, String> {
        if !root.is_dir() {
            return Err(format!("there is no folder {}", root.display()));
        }
        if let Some((root, backup)) = generation::newest(root)? {
            return Ok(Self { root, shards: backup.shards, backup: Some(backup) });
        }
        if !root.join("FORMAT").exists() {
            return Err(format!(
                "{} is no data folder and no backup: it has neither FORMAT nor BACKUP",
                root.display()
            ));
        }
        let shards = DataDir::shards_of(root).map_err(|error| error.to_string())?;
        Ok(Self { root: root.to_owned(), shards, backup: None })
    }

    /// The folder of a shard.
    pub fn shard(&self, shard: usize) -> PathBuf {
        shard_folder(&self.root, shard)
    }

    /// The catalog; `None` where it was never saved.
    pub fn catalog(&self) -> Result<Option<Saved>, Error> {
        saved_catalog(&self.root)
    }
}

/// The catalog of a data folder or a backup; `None` where it was never saved.
pub fn saved_catalog(root: &Path) -> Result<Option<Saved>, Error> {
    block_on(read::read(&ReadOnlyDisk, &root.join(CATALOG_FOLDER)))
}
