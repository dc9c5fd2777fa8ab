//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tidewire_storage::schema::DEFAULT_TENANT;

use crate::datadir::SHARDS_MAX;

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
    /// Serve other hosts although nobody is asked who he is
    #[arg(long)]
    pub insecure: bool,
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
    /// Put a damaged shard in order; says what would be lost, and does it with --accept-loss
    Repair(RepairArguments),
    /// Spread a data folder over another number of shards; no server may use it
    Reshard(ReshardArguments),
    /// Write the rows of a data folder or a backup as line protocol or Parquet; no server may use it
    Export(ExportArguments),
    /// Send files of line protocol or Parquet to a running server
    Import(ImportArguments),
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

/// Arguments of `tidewire repair`.
#[derive(Debug, Clone, Default, Args, PartialEq, Eq)]
pub struct RepairArguments {
    /// What to repair
    #[command(flatten)]
    pub folder: DataFolder,
    /// The shard
    #[arg(long, value_name = "N", required_unless_present = "catalog")]
    pub shard: Option<usize>,
    /// End a damaged catalog where the damage begins
    #[arg(long, conflicts_with_all = ["shard", "segment", "attach", "remove_detached", "from_backup", "empty"])]
    pub catalog: bool,
    /// Do it; what is lost is reported, and what is there of it is kept
    #[arg(long)]
    pub accept_loss: bool,
    /// Give up this segment, which is damaged or missing; may be given several times
    #[arg(long, value_name = "NAME")]
    pub segment: Vec<String>,
    /// Put this detached file back (series files before segments); may be given several times
    #[arg(long, value_name = "NAME", conflicts_with = "segment")]
    pub attach: Vec<String>,
    /// Remove this detached file for good; may be given several times
    #[arg(long, value_name = "NAME", conflicts_with = "segment")]
    pub remove_detached: Vec<String>,
    /// Take the whole shard from this backup, or from the newest in this folder of backups
    #[arg(long, value_name = "DIR", conflicts_with_all = ["segment", "attach", "remove_detached"])]
    pub from_backup: Option<PathBuf>,
    /// Begin the shard anew, without a row; its folder is kept under another name
    #[arg(long, conflicts_with_all = ["segment", "attach", "remove_detached", "from_backup"])]
    pub empty: bool,
}

/// Arguments of `tidewire reshard`.
#[derive(Debug, Clone, Default, Args, PartialEq, Eq)]
pub struct ReshardArguments {
    /// What to reshard
    #[command(flatten)]
    pub folder: DataFolder,
    /// Number of shards that it shall have
    #[arg(long, value_name = "N", value_parser = parse_shards)]
    pub shards: usize,
    /// Keep the old data folder under this new name, on the same file system; else it is removed
    #[arg(long, value_name = "DIR")]
    pub keep_old: Option<PathBuf>,
}

/// Arguments of `tidewire export`.
#[derive(Debug, Clone, Args, PartialEq, Eq)]
pub struct ExportArguments {
    /// What to export: a data folder or a backup
    #[command(flatten)]
    pub folder: DataFolder,
    /// The databases of this tenant; they are written under their own names
    #[arg(long, value_name = "NAME", default_value = DEFAULT_TENANT)]
    pub tenant: String,
    /// Only this database
    #[arg(long, value_name = "NAME")]
    pub database: Option<String>,
    /// Only this table
    #[arg(long, value_name = "NAME")]
    pub table: Option<String>,
    /// First time, as 2026-01-31T12:00:00Z or in nanoseconds since 1970
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// The time behind the last
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub to: Option<String>,
    /// Leave out what damage keeps from being read, list it, and exit with 3
    #[arg(long)]
    pub skip_unreadable: bool,
    /// What to write
    #[arg(long, value_name = "FORMAT")]
    pub format: ExportFormat,
    /// How to compress it; line protocol is not, Parquet is with zstd, if left out
    #[arg(long, value_name = "HOW")]
    pub compress: Option<Compression>,
    /// A new file for line protocol, `-` for standard output; a folder for Parquet
    #[arg(value_name = "OUT")]
    pub out: PathBuf,
}

/// What an export writes.
#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum ExportFormat {
    /// Line protocol, in one file
    Lp,
    /// Parquet, a file a table
    Parquet,
}

/// How an export is compressed.
#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum Compression {
    /// gzip, of line protocol
    Gzip,
    /// zstd
    Zstd,
    /// Not at all
    None,
}

/// Arguments of `tidewire import`.
#[derive(Debug, Clone, Args, PartialEq, Eq)]
pub struct ImportArguments {
    /// Files of line protocol (plain, gzip, zstd) or Parquet, or folders of such; `-` is lines from standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Database to write to, made if it is missing; else the one that a file names
    #[arg(long, value_name = "NAME")]
    pub database: Option<String>,
    /// Tenant whose databases are written; InfluxDB's retention policies are those of the default one alone
    #[arg(long, value_name = "NAME", default_value = DEFAULT_TENANT)]
    pub tenant: String,
    /// The server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8902")]
    pub url: String,
    /// Unit of timestamps, if a file does not say it; ns if nobody does
    #[arg(long, value_name = "UNIT")]
    pub precision: Option<ImportPrecision>,
    /// Whose rules the lines follow, if a file does not say it
    #[arg(long, value_name = "WHOSE")]
    pub dialect: Option<ImportDialect>,
    /// Who to be for the server, as NAME or NAME:PASSWORD
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// Requests under way at once; with 1, rows that come twice are written in their order
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = parse_parallel)]
    pub parallel: usize,
    /// Bytes of a request, before its last line
    #[arg(long, value_name = "BYTES", default_value_t = 2 << 20)]
    pub batch_bytes: usize,
    /// Columns of a Parquet file that are tags, if the file does not say it
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub tags: Option<Vec<String>>,
    /// Column of a Parquet file that is the time; `time` if left out
    #[arg(long, value_name = "NAME")]
    pub time: Option<String>,
    /// Table that a Parquet file goes to; else the one it names, or that its own name is
    #[arg(long, value_name = "NAME")]
    pub table: Option<String>,
}

/// Unit of timestamps that are sent.
#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum ImportPrecision {
    /// Milliseconds
    Ms,
    /// Microseconds
    Us,
    /// Nanoseconds
    Ns,
}

/// Whose line protocol it is.
#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum ImportDialect {
    /// That of `/api/v1/write`
    Cnosdb,
    /// That of `/write`
    Influxdb,
}

fn parse_parallel(text: &str) -> Result<usize, String> {
    /// More threads than that only wait for one another.
    const PARALLEL_MAX: usize = 64;
    let parallel = text.parse().map_err(|_| "not a whole number".to_owned())?;
    if (1..=PARALLEL_MAX).contains(&parallel) { Ok(parallel) } else { Err(format!("not between 1 and {PARALLEL_MAX}")) }
}

fn parse_shards(text: &str) -> Result<usize, String> {
    let shards = text.parse().map_err(|_| "not a whole number".to_owned())?;
    if (1..=SHARDS_MAX).contains(&shards) { Ok(shards) } else { Err(format!("not between 1 and {SHARDS_MAX}")) }
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
            ("auth.insecure", self.insecure.then(|| "true".to_owned())),
        ];
        pairs.into_iter().filter_map(|(key, text)| Some((key, text?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_settings() {
        let line = "tidewire --listen 127.0.0.1:1 --listen [::1]:2 --cores 0, --wal-sync off --data-dir /x --insecure";
        let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
        assert_eq!(
            arguments.settings(),
            [
                ("data_dir", "/x".to_owned()),
                ("listen", "127.0.0.1:1,[::1]:2".to_owned()),
                ("cores", "0,".to_owned()),
                ("wal.sync", "off".to_owned()),
                ("auth.insecure", "true".to_owned()),
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

    #[test]
    fn tools_for_rows_take_their_arguments() {
        let command = |line: &str| Arguments::try_parse_from(line.split(' ')).map(|arguments| arguments.command);
        let folder = DataFolder { config: None, data_dir: Some("/x".to_owned()) };
        let keep_old = Some(PathBuf::from("/y"));
        let reshard = ReshardArguments { folder: folder.clone(), shards: 3, keep_old };
        let line = "tidewire reshard --data-dir /x --shards 3 --keep-old /y";
        assert_eq!(command(line).unwrap(), Some(Command::Reshard(reshard)));
        let Some(Command::Export(export)) =
            command("tidewire export --data-dir /x --from -5 --format lp --compress zstd -").unwrap()
        else {
            panic!("an export")
        };
        assert_eq!((export.folder, export.from.as_deref(), export.out), (folder, Some("-5"), PathBuf::from("-")));
        let Some(Command::Import(import)) = command("tidewire import --tags a,b x.lp -").unwrap() else {
            panic!("an import")
        };
        assert_eq!(import.tags, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!((import.files.len(), import.parallel, import.precision), (2, 4, None));
        for refused in
            ["reshard", "reshard --shards 0", "export --format csv x", "export x", "import", "import --parallel 65 x"]
        {
            assert!(command(&format!("tidewire {refused}")).is_err(), "{refused}");
        }
    }
}
