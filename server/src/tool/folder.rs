//! The data folder that a tool works on.

use std::path::PathBuf;

use crate::config;
use crate::config::cli::DataFolder;

/// Where the data folder is: the flag, the environment, the config file, or the default, as for the server.
pub fn root(which: &DataFolder) -> Result<PathBuf, String> {
    // Names that are not text cannot be ours.
    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let file = which.config.clone().or_else(|| std::env::var_os("TIDEWIRE_CONFIG").map(PathBuf::from));
    let flags: Vec<_> = which.data_dir.iter().map(|folder| ("data_dir", folder.clone())).collect();
    let config = config::load(file.as_deref(), variables, &flags).map_err(|error| error.to_string())?;
    Ok(config.data_dir)
}
