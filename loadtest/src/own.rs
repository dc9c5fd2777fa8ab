//! A Tidewire server of this tool's own: started on a spare port and a fresh data folder, ended, killed and started
//! again on the same folder.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use crate::child::{Child, Launch, find_program, spare_port};
use crate::door::Door;
use crate::error::{Context, Error, Result};
use crate::http::Target;
use crate::metrics::Work;
use crate::process::{DiskUse, Process};
use crate::write::{Api, Job, RowArgs, Summary};

/// Flags that say which server is started.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerArgs {
    /// The server's binary.
    #[arg(long, default_value = "target/release/tidewire")]
    pub(crate) server: PathBuf,
    /// Its data folder; must be empty or missing. It is left for inspection.
    #[arg(long)]
    pub(crate) data_dir: PathBuf,
    /// Where its output is appended [default: beside the data folder].
    #[arg(long)]
    pub(crate) server_log: Option<PathBuf>,
    /// Another argument for the server; may be repeated.
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) server_arg: Vec<OsString>,
    /// A key of its configuration, such as memtable.flush_bytes=4MiB; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) settings: Vec<(String, String)>,
    /// Longest time a start may take, seconds.
    #[arg(long, default_value_t = 60)]
    pub(crate) start_s_max: u64,
}

fn key_value(text: &str) -> std::result::Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    if key.is_empty() || !key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '_') {
        return Err(format!("{key}: not a key of the configuration"));
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// The variable that sets a key of the configuration: `wal.sync` is TIDEWIRE_WAL_SYNC.
fn variable(key: &str) -> String {
    format!("TIDEWIRE_{}", key.replace('.', "_").to_ascii_uppercase())
}

/// A server and what is needed to start it again.
#[derive(Debug)]
pub(crate) struct Own {
    launch: Launch,
    data_dir: PathBuf,
    /// What `--set` says, as variables.
    set: Vec<(String, OsString)>,
    start_max: Duration,
    child: Option<Child>,
}

impl ServerArgs {
    /// Prepares a server without starting it. `defaults` are keys of its configuration that `--set` may override.
    pub(crate) fn prepare(&self, defaults: &[(&str, String)]) -> Result<Own> {
        self.prepare_at(&self.data_dir, defaults)
    }

    /// The same for another folder than the one named.
    pub(crate) fn prepare_at(&self, data_dir: &Path, defaults: &[(&str, String)]) -> Result<Own> {
        let program = find_program(&self.server)
            .ok_or_else(|| Error::Usage(format!("--server {}: no such program", self.server.display())))?;
        if fs::read_dir(data_dir).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(Error::Usage(format!("--data-dir {}: not empty", data_dir.display())));
        }
        fs::create_dir_all(data_dir).context(|| format!("make {}", data_dir.display()))?;
        let port = spare_port()?;
        let mut arguments: Vec<OsString> = vec!["--data-dir".into(), data_dir.into()];
        arguments.extend(["--listen".into(), format!("127.0.0.1:{port}").into()]);
        arguments.extend(self.server_arg.iter().cloned());
        let launch = Launch {
            program,
            arguments,
            environment: Vec::new(),
            log: self.server_log.clone().unwrap_or_else(|| data_dir.with_extension("log")),
            port,
            ready_path: "/api/v1/ping".to_owned(),
        };
        let set = self.settings.iter().map(|(key, value)| (variable(key), value.into())).collect();
        let start_max = Duration::from_secs(self.start_s_max);
        Ok(Own { launch, data_dir: data_dir.to_owned(), set, start_max, child: None }.with(defaults))
    }
}

impl Own {
    /// A server on the same folder with other keys; only one of the two may run at a time. What `--set` says wins.
    pub(crate) fn with(&self, keys: &[(&str, String)]) -> Self {
        let mut launch = self.launch.clone();
        let keys = keys.iter().map(|(key, value)| (variable(key), value.into()));
        // A later pair of the same name wins.
        launch.environment = keys.chain(self.set.iter().cloned()).collect();
        Self { launch, data_dir: self.data_dir.clone(), set: self.set.clone(), start_max: self.start_max, child: None }
    }

    /// Starts it; returns the time from the start of the process to the first answer.
    pub(crate) fn start(&mut self) -> Result<Duration> {
        let (child, time) = self.launch.start_ready(self.start_max)?;
        self.child = Some(child);
        Ok(time)
    }

    /// Starts it and sends SIGKILL after a while, ready or not.
    pub(crate) fn start_and_kill(&self, after: Duration) -> Result<()> {
        let child = self.launch.start()?;
        thread::sleep(after);
        child.kill()
    }

    pub(crate) fn target(&self) -> Target {
        Target::local(self.launch.port)
    }

    /// Its process; it must be running.
    pub(crate) fn process(&self) -> Result<Process> {
        Process::new(self.child.as_ref().ok_or_else(not_running)?.pid())
    }

    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.take().ok_or_else(not_running)?.kill()
    }

    /// SIGTERM; it must end with 0.
    pub(crate) fn terminate(&mut self) -> Result<()> {
        let child = self.child.take().ok_or_else(not_running)?;
        let tail = child.log_tail();
        let status = child.terminate(self.start_max)?;
        if status.success() {
            return Ok(());
        }
        Err(Error::Failed(format!("after SIGTERM the server ended with {status}, not with 0\n{tail}")))
    }

    /// Writes rows into a database, which is made if it is missing. A request that fails is an error.
    pub(crate) fn load(&self, database: &str, rows: RowArgs) -> Result<Summary> {
        let target = self.target();
        Api::Cnos.create_database(&target, database)?;
        let job = Job { process: Some(self.process()?), ..job(&target, database, rows) };
        let (summary, tally) = job.run()?;
        summary.verdict(&tally).map_err(|error| Error::Failed(format!("{error}\n{}", self.log_tail())))?;
        Ok(summary)
    }

    /// Waits until memtables are flushed and nothing is left to merge; returns what was done until then.
    pub(crate) fn rest(&self, limit: Duration) -> Result<Work> {
        self.wait(limit, "nothing to flush or merge", Work::is_at_rest)
    }

    /// Waits until its metrics are as wanted.
    pub(crate) fn wait(&self, limit: Duration, what: &str, wanted: impl Fn(&Work) -> bool) -> Result<Work> {
        const LOOK_EVERY: Duration = Duration::from_millis(200);
        let begun = Instant::now();
        loop {
            let work = Work::read(&self.target())?;
            if wanted(&work) {
                return Ok(work);
            }
            if begun.elapsed() > limit {
                return Err(Error::Failed(format!("{what}: not after {} s: {work:?}", limit.as_secs())));
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Space its folder takes, without a sync that would disturb it.
    pub(crate) fn disk_glance(&self) -> DiskUse {
        DiskUse::glance(&self.data_dir)
    }

    /// Its log.
    pub(crate) fn log(&self) -> String {
        self.child.as_ref().map_or_else(String::new, Child::log)
    }

    /// The last lines of its log, for an error message.
    pub(crate) fn log_tail(&self) -> String {
        self.child.as_ref().map_or_else(String::new, Child::log_tail)
    }
}

/// A closed loop of these rows.
pub(crate) fn job(target: &Target, database: &str, rows: RowArgs) -> Job {
    Job {
        rows,
        target: target.clone(),
        path: Api::Cnos.write_path(database),
        door: Door::Line,
        rate: None,
        process: None,
        data_dir: None,
        settle: None,
    }
}

fn not_running() -> Error {
    Error::Failed("the server is not running".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(server: &str, data_dir: &Path) -> ServerArgs {
        let settings = vec![("wal.sync".to_owned(), "off".to_owned())];
        ServerArgs {
            server: PathBuf::from(server),
            data_dir: data_dir.to_owned(),
            server_log: None,
            server_arg: Vec::new(),
            settings,
            start_s_max: 10,
        }
    }

    #[test]
    fn keys_become_variables() {
        assert_eq!(variable("memtable.flush_bytes"), "TIDEWIRE_MEMTABLE_FLUSH_BYTES");
        assert_eq!(key_value("a.b_c=1=2"), Ok(("a.b_c".to_owned(), "1=2".to_owned())));
        for bad in ["a", "=1", "A=1", "a b=1"] {
            assert!(key_value(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_used_folder_is_refused_and_settings_win_over_defaults() {
        let folder = std::env::temp_dir().join(format!("tidewire-own-{}", std::process::id()));
        let own = arguments("/bin/sh", &folder).prepare(&[("wal.sync", "always".to_owned())]).unwrap();
        let set: Vec<_> = own.launch.environment.iter().filter(|(name, _)| name == "TIDEWIRE_WAL_SYNC").collect();
        assert_eq!(set.last().unwrap().1, "off");
        let other = own.with(&[("wal.sync", "interval".to_owned()), ("cache.bytes_max", "1MiB".to_owned())]);
        assert_eq!(other.launch.environment.len(), 3);
        assert_eq!(other.launch.environment[2].1, "off");
        fs::write(folder.join("x"), "").unwrap();
        assert!(arguments("/bin/sh", &folder).prepare(&[]).unwrap_err().to_string().contains("not empty"));
        assert!(arguments("/no/such", &folder).prepare(&[]).is_err());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn an_end_with_another_status_than_0_is_told() {
        let folder = std::env::temp_dir().join(format!("tidewire-own-end-{}", std::process::id()));
        let mut own = arguments("/bin/sh", &folder.join("data")).prepare(&[]).unwrap();
        let script = folder.join("server");
        fs::write(&script, "#!/bin/sh\ntrap 'exit 3' TERM\necho up\nwhile :; do sleep 0.01; done\n").unwrap();
        own.launch.program = PathBuf::from("/bin/sh");
        own.launch.arguments = vec![script.into()];
        assert!(own.terminate().unwrap_err().to_string().contains("not running"));
        own.child = Some(own.launch.start().unwrap());
        while own.log_tail() != "up" {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(own.terminate().unwrap_err().to_string().contains("exit status: 3"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
