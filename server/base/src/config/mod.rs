//! The configuration: defaults, `tuning.toml`, the config file, `TIDEWIRE_*` variables, flags; later ones win.
//!
//! One table ([`keys`]) names every key with its unit, bound and meaning. The file reader, the variables,
//! `tidewire.example.toml` and the error texts all come from it, so they cannot disagree. A key that is not in the
//! table is refused, and every refusal names the key, where it was set and why. Variables are not ours alone:
//! [`variables`] says which others are passed over.

mod keys;
mod secret;
mod value;
mod variables;
mod words;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::placement::Cores;
pub use secret::Secret;
use variables::Meaning;
pub use words::{AccessLog, LogFormat, MonitorAccess, WalSync};

/// Everything that can be configured. See `tidewire.example.toml` for units and bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is described in the table of keys, which is what users read")]
pub struct Config {
    pub data_dir: PathBuf,
    pub listen: Vec<SocketAddr>,
    pub cores: Cores,
    /// 0: as many as cores.
    pub shards: u64,
    /// Empty: `tuning.toml` in the data folder, if there is one.
    pub tuning_file: PathBuf,
    pub memory: Memory,
    pub wal: Wal,
    pub memtable: Memtable,
    pub cache: Cache,
    pub compaction: Compaction,
    pub retention: Retention,
    pub admission: Admission,
    pub http: Http,
    pub tls: Tls,
    pub auth: Auth,
    pub query: Query,
    pub files: Files,
    pub influxql: Influxql,
    pub subscriptions: Subscriptions,
    pub opentsdb: OpenTsdb,
    pub ring: Ring,
    pub disk: Disk,
    pub log: Log,
}

/// Keys under `memory`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// What the server may hold; 0: a share of what the machine has.
    pub bytes_max: u64,
}

/// Keys under `wal`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "described in the table of keys")]
pub struct Wal {
    pub sync: WalSync,
    pub interval_ms: u64,
    pub file_bytes: u64,
}

/// Keys under `memtable`, per shard.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "described in the table of keys")]
pub struct Memtable {
    pub flush_bytes: u64,
    pub bytes_max: u64,
    pub flush_idle_s: u64,
    pub flush_log_bytes: u64,
}

/// Keys under `cache`, per shard.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "described in the table of keys")]
pub struct Cache {
    pub bytes_max: u64,
}

/// Keys under `compaction`, per shard.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "described in the table of keys")]
pub struct Compaction {
    pub bytes_per_s_max: u64,
    pub segment_bytes_max: u64,
    pub cold_after_s: u64,
}

/// Keys under `retention`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// For how long the clock must have been consistent before anything expires by it.
    pub clock_settle_s: u64,
    /// A file with nanoseconds that are added to the host's clock; empty: none.
    pub clock_offset_file: PathBuf,
}

/// Keys under `admission`, per shard.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "described in the table of keys")]
pub struct Admission {
    pub bytes_max: u64,
    pub retry_after_s: u64,
}

/// Keys under `http`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "described in the table of keys")]
pub struct Http {
    pub head_bytes_max: u64,
    pub headers_max: u64,
    pub body_bytes_max_write: u64,
    pub body_bytes_max_sql: u64,
    pub head_timeout_ms: u64,
    pub idle_timeout_ms: u64,
    pub body_timeout_ms: u64,
    pub send_timeout_ms: u64,
    pub connections_max: u64,
    pub drain_timeout_s: u64,
}

/// Keys under `tls`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "described in the table of keys")]
pub struct Tls {
    pub listen: Vec<SocketAddr>,
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
    /// Empty: clients need no certificate.
    pub client_ca_file: PathBuf,
}

/// Keys under `auth`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "described in the table of keys")]
pub struct Auth {
    pub enabled: bool,
    pub insecure: bool,
    pub monitor: MonitorAccess,
    /// Empty: no bearer token is taken.
    pub jwt_secret: Secret,
}

/// Keys under `query`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "described in the table of keys")]
pub struct Query {
    pub memory_bytes_max: u64,
    pub timeout_s: u64,
    pub concurrent_max: u64,
}

/// Keys under `subscriptions`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "described in the table of keys")]
pub struct Subscriptions {
    pub queue_bytes_max: u64,
    pub timeout_s: u64,
    /// Empty: the roots of the system.
    pub ca_file: PathBuf,
}

/// Keys under `opentsdb`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "described in the table of keys")]
pub struct OpenTsdb {
    pub telnet_listen: Vec<SocketAddr>,
    pub telnet_database: String,
}

/// Keys under `files`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// Folders below which SQL may read and write files; none: nowhere.
    pub folders: Vec<PathBuf>,
}

/// Keys under `influxql`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "described in the table of keys")]
pub struct Influxql {
    pub rows_max: u64,
    pub windows_max: u64,
    pub series_max: u64,
    pub points_max: u64,
}

/// Keys under `ring`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "described in the table of keys")]
pub struct Ring {
    pub depth: u64,
    pub preempt_us: u64,
}

/// Keys under `disk`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Bytes written in a second by all shards together; 0: no bound.
    pub write_bytes_per_s_max: u64,
}

/// Keys under `log`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "described in the table of keys")]
pub struct Log {
    pub level: log::LevelFilter,
    pub format: LogFormat,
    pub access: AccessLog,
    /// Empty: in the server's log, as with the other two.
    pub access_file: PathBuf,
    pub audit_file: PathBuf,
    /// 0: none is slow.
    pub slow_query_ms: u64,
    pub slow_query_file: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        let local = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Self {
            data_dir: PathBuf::from("data"),
            listen: vec![local(8902), local(8086)],
            cores: Cores::All,
            shards: 0,
            tuning_file: PathBuf::new(),
            // 0: derived from `memory.bytes_max` at the start, see `memory::budget`.
            memory: Memory { bytes_max: 0 },
            wal: Wal { sync: WalSync::Always, interval_ms: 100, file_bytes: 64 << 20 },
            memtable: Memtable { flush_bytes: 0, bytes_max: 0, flush_idle_s: 5, flush_log_bytes: 256 << 20 },
            cache: Cache { bytes_max: 0 },
            compaction: Compaction { bytes_per_s_max: 200 << 20, segment_bytes_max: 1 << 30, cold_after_s: 3600 },
            retention: Retention { clock_settle_s: 600, clock_offset_file: PathBuf::new() },
            admission: Admission { bytes_max: 0, retry_after_s: 1 },
            http: Http {
                head_bytes_max: 1 << 20,
                headers_max: 1024,
                body_bytes_max_write: 160 << 20,
                body_bytes_max_sql: 16 << 20,
                head_timeout_ms: 10_000,
                idle_timeout_ms: 120_000,
                body_timeout_ms: 30_000,
                send_timeout_ms: 60_000,
                connections_max: 10_000,
                drain_timeout_s: 30,
            },
            tls: Tls::default(),
            auth: Auth {
                enabled: false,
                insecure: false,
                monitor: MonitorAccess::Admins,
                jwt_secret: Secret::default(),
            },
            query: Query { memory_bytes_max: 0, timeout_s: 60, concurrent_max: 64 },
            files: Files::default(),
            influxql: Influxql { rows_max: 0, windows_max: 0, series_max: 0, points_max: 0 },
            opentsdb: OpenTsdb { telnet_listen: Vec::new(), telnet_database: "public".to_owned() },
            subscriptions: Subscriptions { queue_bytes_max: 64 << 20, timeout_s: 30, ca_file: PathBuf::new() },
            ring: Ring { depth: 512, preempt_us: 1_000 },
            disk: Disk { write_bytes_per_s_max: 0 },
            log: Log {
                level: log::LevelFilter::Info,
                format: LogFormat::Text,
                access: AccessLog::Off,
                access_file: PathBuf::new(),
                audit_file: PathBuf::new(),
                slow_query_ms: 10_000,
                slow_query_file: PathBuf::new(),
            },
        }
    }
}

/// A setting that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{source_name}: {message}")]
pub struct ConfigError {
    /// Where it was set: a file, a variable, a flag.
    source_name: String,
    /// Which key and why.
    message: String,
}

impl ConfigError {
    fn new(source_name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { source_name: source_name.into(), message: message.into() }
    }
}

impl Config {
    /// Takes over what a TOML text says.
    pub fn merge_toml(&mut self, source_name: &str, text: &str) -> Result<(), ConfigError> {
        let table: toml::Table =
            text.parse().map_err(|error: toml::de::Error| ConfigError::new(source_name, error.to_string()))?;
        keys::merge(self, &table, |_| true).map_err(|message| ConfigError::new(source_name, message))
    }

    /// Takes over a tuning file: as a config file, but only what describes the host.
    pub fn merge_tuning(&mut self, source_name: &str, text: &str) -> Result<(), ConfigError> {
        let table: toml::Table =
            text.parse().map_err(|error: toml::de::Error| ConfigError::new(source_name, error.to_string()))?;
        keys::merge(self, &table, |key| key.starts_with("ring.") || key.starts_with("disk."))
            .map_err(|message| ConfigError::new(source_name, message))
    }

    /// Takes over `TIDEWIRE_*` variables: `wal.interval_ms` is `TIDEWIRE_WAL_INTERVAL_MS`. Gives a warning for each
    /// that names no key and that no platform sets; one that is a key but for a slip of the pen is refused.
    pub fn merge_variables(&mut self, variables: &[(String, String)]) -> Result<Vec<String>, ConfigError> {
        let mut warnings = Vec::new();
        for (name, text) in variables {
            let Some(short) = name.strip_prefix(keys::VARIABLE_PREFIX) else { continue };
            match variables::meaning(short, text) {
                Meaning::Key => {
                    keys::set_variable(self, short, text).map_err(|message| ConfigError::new(name, message))?;
                }
                Meaning::Others => {}
                Meaning::Misspelled(key) => {
                    let message = format!("unknown key; did you mean {}?", variables::name_of(&key));
                    return Err(ConfigError::new(name, message));
                }
                Meaning::Unknown => warnings.push(format!("{name} is no setting and is passed over")),
            }
        }
        Ok(warnings)
    }

    /// Sets one key from text, as a flag does.
    pub fn set(&mut self, source_name: &str, key: &str, text: &str) -> Result<(), ConfigError> {
        keys::set_text(self, key, text).map_err(|message| ConfigError::new(source_name, message))
    }

    /// Checks what no single key can say.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |message: &str| Err(ConfigError::new("configuration", message));
        // A key that is 0 is derived later, so that it fits.
        if self.memtable.bytes_max != 0 && self.memtable.bytes_max < self.memtable.flush_bytes.saturating_mul(2) {
            return refuse(
                "`memtable.bytes_max` must be at least twice `memtable.flush_bytes`: one is written while one fills",
            );
        }
        if self.memtable.bytes_max != 0 && self.admission.bytes_max > self.memtable.bytes_max {
            return refuse("`admission.bytes_max` must not be above `memtable.bytes_max`");
        }
        if self.listen.is_empty() && self.tls.listen.is_empty() {
            return refuse("`listen` or `tls.listen` must name at least one address");
        }
        if self.tls.listen.iter().any(|address| address.port() != 0 && self.listen.contains(address)) {
            return refuse("`listen` and `tls.listen` must name different addresses");
        }
        let has = |address: &SocketAddr| self.listen.contains(address) || self.tls.listen.contains(address);
        if self.opentsdb.telnet_listen.iter().any(|address| address.port() != 0 && has(address)) {
            return refuse("`opentsdb.telnet_listen` must name other addresses than `listen` and `tls.listen`");
        }
        if self.opentsdb.telnet_database.is_empty() {
            return refuse("`opentsdb.telnet_database` must name a database");
        }
        let Tls { certificate_file, key_file, .. } = &self.tls;
        if !self.tls.listen.is_empty() && (certificate_file.as_os_str().is_empty() || key_file.as_os_str().is_empty()) {
            return refuse("`tls.listen` needs `tls.certificate_file` and `tls.key_file`");
        }
        Ok(())
    }

    /// Addresses to listen on that others than this host reach. A server that asks nobody who he is must not serve
    /// there by mistake.
    pub fn open_addresses(&self) -> Vec<SocketAddr> {
        let is_open = |address: &&SocketAddr| !address.ip().to_canonical().is_loopback();
        let all = self.listen.iter().chain(&self.tls.listen).chain(&self.opentsdb.telnet_listen);
        all.filter(is_open).copied().collect()
    }

    /// The example file: every key with its default.
    pub fn example() -> String {
        keys::example(&mut Self::default())
    }

    /// The settings that are not the defaults, as `key = value`.
    pub fn settings(&self) -> Vec<String> {
        keys::settings(&mut self.clone(), &mut Self::default())
    }

    /// The names of the keys in which `other` differs.
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        keys::differences(&mut self.clone(), &mut other.clone())
    }

    /// Where the tuning file is, if one is named or lies in the data folder.
    pub fn tuning_path(&self) -> Option<PathBuf> {
        if !self.tuning_file.as_os_str().is_empty() {
            return Some(self.tuning_file.clone());
        }
        Some(self.data_dir.join("tuning.toml")).filter(|path| path.is_file())
    }
}

/// A configuration from all its sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// What they come to.
    pub config: Config,
    /// What somebody should know who reads the log.
    pub warnings: Vec<String>,
}

/// The variables of the process. One of ours that is not text is refused.
pub fn environment() -> Result<Vec<(String, String)>, ConfigError> {
    // Names that are not text cannot be ours.
    let named = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    named
        .filter(|(name, _)| name.starts_with(keys::VARIABLE_PREFIX))
        .map(|(name, value)| match value.into_string() {
            Ok(text) => Ok((name, text)),
            Err(_) => Err(ConfigError::new(name, "its value is not UTF-8")),
        })
        .collect()
}

/// Reads all sources in their order. `file`: the config file; `flags`: key and text of each flag given.
pub fn load(
    file: Option<&Path>,
    variables: &[(String, String)],
    flags: &[(&str, String)],
) -> Result<Loaded, ConfigError> {
    let read = |path: &Path| {
        std::fs::read_to_string(path)
            .map_err(|error| ConfigError::new(path.display().to_string(), format!("cannot be read: {error}")))
    };
    let text = file.map(read).transpose()?;
    let over_tuning = |config: &mut Config| -> Result<Vec<String>, ConfigError> {
        if let (Some(path), Some(text)) = (file, &text) {
            config.merge_toml(&path.display().to_string(), text)?;
        }
        let warnings = config.merge_variables(variables)?;
        flags.iter().try_for_each(|(key, text)| config.set("command line", key, text))?;
        Ok(warnings)
    };
    // Twice: the first pass only finds out where the tuning file is, which the others override.
    let mut config = Config::default();
    let warnings = over_tuning(&mut config)?;
    if let Some(path) = config.tuning_path() {
        let mut tuned = Config::default();
        tuned.merge_tuning(&path.display().to_string(), &read(&path)?)?;
        over_tuning(&mut tuned)?;
        config = tuned;
    }
    config.validate()?;
    Ok(Loaded { config, warnings })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Config::default().merge_toml("test.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn example_says_every_default() {
        let example = include_str!("../../../../tidewire.example.toml");
        assert_eq!(example, Config::example(), "write it anew: tidewire example-config > tidewire.example.toml");
        let mut config = Config { shards: 7, ..Config::default() };
        config.merge_toml("tidewire.example.toml", example).unwrap();
        assert_eq!(config, Config::default());
        config.validate().unwrap();
    }

    #[test]
    fn refusals_name_the_key_and_the_reason() {
        assert_eq!(refusal("wal.synk = 'off'"), "test.toml: unknown key `wal.synk`; did you mean `wal.sync`?");
        assert_eq!(refusal("[wal]\nsync = 'no'"), "test.toml: `wal.sync`: `no` is none of always, interval, off");
        assert_eq!(refusal("wal = 3"), "test.toml: `wal` is a table of keys, not a value");
        assert_eq!(
            refusal("ring.depth = 3"),
            "test.toml: `ring.depth`: 3 is not between 64 and 4096 (entries per ring)"
        );
        assert_eq!(refusal("wal.interval_ms = 'x'"), "test.toml: `wal.interval_ms`: `x` is not a whole number");
        assert!(refusal("listen = ['nowhere']").contains("`listen`: `nowhere` is not ADDRESS:PORT"));
        assert!(refusal("cache.bytes_max = '3 parsecs'").contains("`cache.bytes_max`"));
        assert!(refusal("a = [").starts_with("test.toml: "));
    }

    #[test]
    fn sizes_read_with_and_without_a_unit() {
        let mut config = Config::default();
        config.merge_toml("t", "cache.bytes_max = '1GiB'\nwal.file_bytes = 33554432").unwrap();
        assert_eq!((config.cache.bytes_max, config.wal.file_bytes), (1 << 30, 32 << 20));
    }

    #[test]
    fn later_sources_win() {
        let folder = std::env::temp_dir().join(format!("tidewire-config-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (file, tuning) = (folder.join("c.toml"), folder.join("t.toml"));
        std::fs::write(&tuning, "[ring]\ndepth = 128\npreempt_us = 500\n").unwrap();
        std::fs::write(
            &file,
            format!("tuning_file = {:?}\nring.depth = 256\nshards = 3\n", tuning.display().to_string()),
        )
        .unwrap();
        let variables = [("TIDEWIRE_SHARDS", "4"), ("TIDEWIRE_WAL_SYNC", "off"), ("HOME", "/"), ("TIDEWIRE_SEED", "1")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let loaded = load(Some(&file), &variables, &[("wal.sync", "interval".to_owned())]);
        let unknown = load(None, &[("TIDEWIRE_SHARD".to_owned(), "1".to_owned())], &[]);
        std::fs::write(&tuning, "shards = 3").unwrap();
        let strange = load(Some(&file), &variables, &[]);
        std::fs::remove_dir_all(&folder).unwrap();

        let Loaded { config, warnings } = loaded.unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!((config.ring.depth, config.ring.preempt_us), (256, 500));
        assert_eq!((config.shards, config.wal.sync), (4, WalSync::Interval));
        assert!(unknown.unwrap_err().to_string().starts_with("TIDEWIRE_SHARD: "));
        assert!(strange.unwrap_err().to_string().contains("`shards` has no place in this file"));
    }

    #[test]
    fn settings_are_those_that_differ_from_the_defaults() {
        assert!(Config::default().settings().is_empty());
        let mut config = Config::default();
        config.merge_toml("t", "wal.sync = 'off'\ncores = 2\nlog.access = 'errors'").unwrap();
        assert_eq!(config.settings(), ["cores = \"2\"", "wal.sync = \"off\"", "log.access = \"errors\""]);
    }

    #[test]
    fn a_secret_is_taken_and_never_shown() {
        let mut config = Config::default();
        config.merge_toml("t", "[auth]\nenabled = true\njwt_secret = 'zirkon'").unwrap();
        assert_eq!((config.auth.enabled, config.auth.jwt_secret.reveal()), (true, "zirkon"));
        let all = format!("{:?} {:?}", config.settings(), config);
        assert!(all.contains("auth.enabled = true") && all.contains("auth.jwt_secret = ") && !all.contains("zirkon"));
        let mut other = config.clone();
        other.set("t", "auth.jwt_secret", "granat").unwrap();
        assert_eq!(config.differences(&other), ["auth.jwt_secret"]);
        let refused = refusal("auth.enabled = 'perhaps'");
        assert_eq!(refused, "test.toml: `auth.enabled`: `\"perhaps\"` is neither true nor false");
        let refused = refusal("auth.jwt_secret = 5");
        assert_eq!(refused, "test.toml: `auth.jwt_secret`: a secret is text");
    }

    #[test]
    fn addresses_beyond_loopback_are_known() {
        let mut config = Config::default();
        assert!(config.open_addresses().is_empty());
        config.set("t", "listen", "127.8.0.1:1,[::1]:2,[::ffff:127.0.0.1]:3,0.0.0.0:4,[::]:5,10.0.0.7:6").unwrap();
        config.set("t", "tls.listen", "127.0.0.1:7,0.0.0.0:8").unwrap();
        config.set("t", "opentsdb.telnet_listen", "127.0.0.1:9,0.0.0.0:10").unwrap();
        let open: Vec<u16> = config.open_addresses().iter().map(SocketAddr::port).collect();
        assert_eq!(open, [4, 5, 6, 8, 10]);
    }

    #[test]
    fn relations_are_checked() {
        let mut config = Config::default();
        config.merge_toml("t", "memtable.bytes_max = '16MiB'\nmemtable.flush_bytes = '16MiB'").unwrap();
        assert!(config.validate().unwrap_err().to_string().contains("memtable.bytes_max"));
        let refused = |text: &str| {
            let mut config = Config::default();
            config.merge_toml("t", text).unwrap();
            config.validate().map_err(|error| error.to_string())
        };
        assert!(refused("listen = []").unwrap_err().contains("`tls.listen`"));
        assert!(refused("tls.listen = ['127.0.0.1:1']").unwrap_err().contains("tls.key_file"));
        let files = "tls.certificate_file = 'c'\ntls.key_file = 'k'";
        assert_eq!(refused(&format!("listen = []\ntls.listen = ['127.0.0.1:1']\n{files}")), Ok(()));
        let twice = refused(&format!("listen = ['127.0.0.1:1']\ntls.listen = ['127.0.0.1:1']\n{files}"));
        assert!(twice.unwrap_err().contains("different addresses"));
        let twice = refused("listen = ['127.0.0.1:1']\nopentsdb.telnet_listen = ['127.0.0.1:1']");
        assert!(twice.unwrap_err().contains("opentsdb.telnet_listen"));
        assert!(refused("opentsdb.telnet_database = ''").unwrap_err().contains("must name a database"));
        assert_eq!(refused("opentsdb.telnet_database = 'other'"), Ok(()));
    }
}
