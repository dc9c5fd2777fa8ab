//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A time-series database: line protocol over HTTP in, SQL out, one shard per core.
#[derive(Debug, Parser)]
#[command(name = "tidewire", version, about, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    /// What to do instead of serving
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Config file in TOML; also TIDEWIRE_CONFIG
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder that holds all data
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Address to serve on; may be given several times and replaces the defaults
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Vec<String>,
    /// Processors to use: `all`, a count, or a list such as 0,2-3
    #[arg(long, value_name = "N|LIST")]
    pub cores: Option<String>,
    /// When a write is acknowledged: always, interval or off
    #[arg(long, value_name = "MODE")]
    pub wal_sync: Option<String>,
}

/// Commands beside serving.
#[derive(Debug, Subcommand, PartialEq, Eq)]
pub enum Command {
    /// Check a config file and say what is wrong with it
    CheckConfig {
        /// The file
        file: PathBuf,
    },
    /// Print a config file with every key and its default
    ExampleConfig,
}

/// The data folder that a tool works on, found as the server finds it.
#[derive(Debug, Clone, Default, Args, PartialEq, Eq)]
pub struct DataFolder {
    /// Config file in TOML; also TIDEWIRE_CONFIG
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder that holds all data; the configured one if left out
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
}

impl Arguments {
    /// The flags that were given, as keys of the configuration.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let listen = (!self.listen.is_empty()).then(|| self.listen.join(","));
        let pairs = [
            ("data_dir", self.data_dir.clone()),
            ("listen", listen),
            ("cores", self.cores.clone()),
            ("wal.sync", self.wal_sync.clone()),
        ];
        pairs.into_iter().filter_map(|(key, text)| Some((key, text?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_settings() {
        let line = "tidewire --listen 127.0.0.1:1 --listen [::1]:2 --cores 0, --wal-sync off --data-dir /x";
        let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
        assert_eq!(
            arguments.settings(),
            [
                ("data_dir", "/x".to_owned()),
                ("listen", "127.0.0.1:1,[::1]:2".to_owned()),
                ("cores", "0,".to_owned()),
                ("wal.sync", "off".to_owned()),
            ]
        );
        assert!(Arguments::try_parse_from(["tidewire"]).unwrap().settings().is_empty());
        assert!(Arguments::try_parse_from(["tidewire", "--nonsense"]).is_err());
        let check = Arguments::try_parse_from(["tidewire", "check-config", "f.toml"]).unwrap();
        assert_eq!(check.command, Some(Command::CheckConfig { file: PathBuf::from("f.toml") }));
    }
}
