//! The servers that are compared and how each is started.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::child::{Launch, find_program, spare_port};
use crate::error::Result;
use crate::query::tsbs::Language;
use crate::write::Api;

/// Rows that rest in memory this long are written to their final files. By default they would rest for minutes and
/// their flush would be missing from CPU time and disk space; the wait for rest must be longer than this.
pub(super) const FLUSH_IDLE_S: u32 = 2;

/// What an acknowledged write survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// A loss of power: the log is synced before the reply.
    Power,
    /// A crash of the process; the page cache holds what was acknowledged.
    Process,
    /// Nothing: the newest seconds are in the memory of the process.
    None,
}

impl Durability {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Power => "power loss",
            Self::Process => "process crash",
            Self::None => "nothing",
        }
    }
}

/// One server in one mode.
#[derive(Debug, Clone)]
pub(super) struct Contender {
    pub(super) name: &'static str,
    pub(super) program: PathBuf,
    pub(super) kind: Kind,
    pub(super) durability: Durability,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// With its `--wal-sync` mode.
    Tidewire(&'static str),
    InfluxDb,
    VictoriaMetrics,
}

/// Where the programs are looked for.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    pub(super) tidewire: PathBuf,
    pub(super) influxdb: PathBuf,
    pub(super) victoria_metrics: PathBuf,
}

/// The contenders that are installed, and a sentence for each that is not.
pub(super) fn installed(programs: &Programs) -> (Vec<Contender>, Vec<String>) {
    let all = [
        (
            "tidewire",
            &programs.tidewire,
            Kind::Tidewire("always"),
            Durability::Power,
            "build it: cargo build --release",
        ),
        (
            "tidewire interval",
            &programs.tidewire,
            Kind::Tidewire("interval"),
            Durability::Process,
            "build it: cargo build --release",
        ),
        // Its default is its durable mode: wal-fsync-delay is 0, each write is synced.
        ("influxdb", &programs.influxdb, Kind::InfluxDb, Durability::Power, "apt-get install influxdb"),
        // It has no log and no durable mode.
        (
            "victoria-metrics",
            &programs.victoria_metrics,
            Kind::VictoriaMetrics,
            Durability::None,
            "apt-get install victoria-metrics",
        ),
    ];
    let (mut contenders, mut missing) = (Vec::new(), Vec::new());
    for (name, program, kind, durability, remedy) in all {
        match find_program(program) {
            Some(program) => contenders.push(Contender { name, program, kind, durability }),
            None => missing.push(format!("{name} is missing: no program {} ({remedy})", program.display())),
        }
    }
    (contenders, missing)
}

impl Contender {
    /// How to start it on spare ports with all its data below `folder`.
    pub(super) fn launch(&self, folder: &Path) -> Result<Launch> {
        let port = spare_port()?;
        let address = format!("127.0.0.1:{port}");
        let data = self.data_dir(folder);
        let mut launch = Launch {
            program: self.program.clone(),
            log: folder.join("server.log"),
            port,
            ready_path: "/ping".to_owned(),
            ..Launch::default()
        };
        match self.kind {
            Kind::Tidewire(mode) => {
                launch.arguments.extend(["--data-dir".into(), data.into(), "--listen".into(), address.into()]);
                launch.arguments.extend(["--wal-sync".into(), OsString::from(mode)]);
                launch.environment.push(("TIDEWIRE_MEMTABLE_FLUSH_IDLE_S".to_owned(), FLUSH_IDLE_S.to_string().into()));
            }
            Kind::InfluxDb => {
                launch.arguments.push("run".into());
                let settings: [(&str, OsString); 9] = [
                    ("DATA_DIR", data.join("data").into()),
                    ("DATA_WAL_DIR", data.join("wal").into()),
                    ("META_DIR", data.join("meta").into()),
                    ("HTTP_BIND_ADDRESS", address.into()),
                    ("BIND_ADDRESS", format!("127.0.0.1:{}", spare_port()?).into()),
                    ("REPORTING_DISABLED", "true".into()),
                    // It would write its own statistics into its own database.
                    ("MONITOR_STORE_ENABLED", "false".into()),
                    ("HTTP_LOG_ENABLED", "false".into()),
                    ("DATA_CACHE_SNAPSHOT_WRITE_COLD_DURATION", format!("{FLUSH_IDLE_S}s").into()),
                ];
                launch.environment.extend(settings.map(|(name, value)| (format!("INFLUXDB_{name}"), value)));
            }
            Kind::VictoriaMetrics => {
                let data = data.into_os_string();
                let mut path = OsString::from("-storageDataPath=");
                path.push(data);
                launch.arguments.push(path);
                launch.arguments.push(format!("-httpListenAddr={address}").into());
                // Its default keeps one month, and the rows of TSBS are of 2016.
                launch.arguments.push("-retentionPeriod=100y".into());
                "/health".clone_into(&mut launch.ready_path);
            }
        }
        Ok(launch)
    }

    pub(super) fn data_dir(&self, folder: &Path) -> PathBuf {
        folder.join("data")
    }

    pub(super) fn write_path(&self, database: &str) -> String {
        match self.kind {
            Kind::Tidewire(_) => Api::Cnos.write_path(database),
            Kind::InfluxDb | Kind::VictoriaMetrics => Api::Influx.write_path(database),
        }
    }

    /// The interface that creates databases, if it has databases.
    pub(super) fn creates_databases(&self) -> Option<Api> {
        match self.kind {
            Kind::Tidewire(_) => Some(Api::Cnos),
            Kind::InfluxDb => Some(Api::Influx),
            Kind::VictoriaMetrics => None,
        }
    }

    /// The languages in which it can answer the query set.
    pub(super) fn languages(&self) -> &'static [Language] {
        match self.kind {
            Kind::Tidewire(_) => &[Language::Sql, Language::SqlInFull, Language::Influxql],
            Kind::InfluxDb => &[Language::Influxql],
            // MetricsQL has no rows: most of the set cannot be asked.
            Kind::VictoriaMetrics => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs(path: &str) -> Programs {
        let path = PathBuf::from(path);
        Programs { tidewire: path.clone(), influxdb: path.clone(), victoria_metrics: path }
    }

    #[test]
    fn missing_programs_are_named_with_a_remedy() {
        let (contenders, missing) = installed(&programs("/no/such/program"));
        assert!(contenders.is_empty());
        assert_eq!(missing.len(), 4);
        assert!(missing[2].contains("apt-get install influxdb"), "{missing:?}");
    }

    #[test]
    fn every_contender_keeps_its_data_below_its_folder() {
        let (contenders, missing) = installed(&programs("/bin/sh"));
        assert!(missing.is_empty());
        for contender in contenders {
            let launch = contender.launch(Path::new("/the/folder")).unwrap();
            let environment = launch.environment.iter().map(|(_, value)| value);
            let told: Vec<String> =
                launch.arguments.iter().chain(environment).map(|text| text.to_string_lossy().into_owned()).collect();
            assert!(told.iter().any(|text| text.contains("/the/folder/data")), "{told:?}");
            assert!(told.iter().any(|text| text.contains(&format!("127.0.0.1:{}", launch.port))), "{told:?}");
        }
    }
}
