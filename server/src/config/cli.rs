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
    /// Show what a data folder or a backup holds, and check it; changes nothing
    Inspect(InspectArguments),
    /// Back up a data folder, also one that a server works on; what a backup has is not copied again
    Backup(BackupArguments),
    /// Make a data folder from a backup, checking every byte
    Restore(RestoreArguments),
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

/// Arguments of `tidewire inspect`.
#[derive(Debug, Clone, Default, Args, PartialEq, Eq)]
pub struct InspectArguments {
    /// What to look at: a data folder or a backup
    #[command(flatten)]
    pub folder: DataFolder,
    /// Only this shard
    #[arg(long, value_name = "N")]
    pub shard: Option<usize>,
    /// Only this table: `name`, `database.name`, or its number
    #[arg(long, value_name = "NAME")]
    pub table: Option<String>,
    /// Show every segment with its fields
    #[arg(long)]
    pub segments: bool,
    /// Show every block with its coding; reads the segments
    #[arg(long)]
    pub blocks: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    /// Read everything, check every checksum and decode every block; exit with 1 if anything is damaged
    #[arg(long)]
    pub verify: bool,
}

/// Arguments of `tidewire backup`.
#[derive(Debug, Clone, Default, Args, PartialEq, Eq)]
pub struct BackupArguments {
    /// Folder of the backup; made if it is missing
    #[arg(value_name = "DIR")]
    pub backup: PathBuf,
    /// What to back up
    #[command(flatten)]
    pub folder: DataFolder,
    /// Backups to keep in the folder, the new one included
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: u32,
}

/// Arguments of `tidewire restore`.
#[derive(Debug, Clone, Default, Args, PartialEq, Eq)]
pub struct RestoreArguments {
    /// Folder of the backup
    #[arg(value_name = "DIR")]
    pub backup: PathBuf,
    /// Where to put it: a new or empty folder
    #[command(flatten)]
    pub folder: DataFolder,
    /// Only check the backup; writes nothing
    #[arg(long)]
    pub verify: bool,
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

    #[test]
    fn tools_take_their_arguments() {
        let command = |line: &str| Arguments::try_parse_from(line.split(' ')).map(|arguments| arguments.command);
        let folder = DataFolder { config: None, data_dir: Some("/x".to_owned()) };
        let inspect = InspectArguments { folder: folder.clone(), shard: Some(3), verify: true, ..Default::default() };
        let line = "tidewire inspect --data-dir /x --shard 3 --verify";
        assert_eq!(command(line).unwrap(), Some(Command::Inspect(inspect)));
        let backup = BackupArguments { backup: PathBuf::from("/b"), folder: folder.clone(), keep: 1 };
        assert_eq!(command("tidewire backup /b --data-dir /x").unwrap(), Some(Command::Backup(backup)));
        let restore = RestoreArguments { backup: PathBuf::from("/b"), folder, verify: false };
        assert_eq!(command("tidewire restore /b --data-dir /x").unwrap(), Some(Command::Restore(restore)));
        for refused in ["tidewire backup", "tidewire backup /b --keep 0", "tidewire inspect --shard x"] {
            assert!(command(refused).is_err(), "{refused}");
        }
    }
}
