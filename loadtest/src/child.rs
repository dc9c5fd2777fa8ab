//! A server started by this tool: on a spare port, its output in a log file, ended when the value is dropped, or when
//! this tool is ended by SIGINT or SIGTERM.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child as Process, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::{Context, Error, Result};
use crate::http::{self, Target};

/// How often a starting or stopping server is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Servers that were started and not yet waited for.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

fn running(change: impl FnOnce(&mut Vec<Pid>)) {
    change(&mut RUNNING.lock().unwrap_or_else(PoisonError::into_inner));
}

/// From now on SIGINT and SIGTERM end the servers too, not only this tool.
pub(crate) fn end_with_signals() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context(|| "catch signals")?;
    let wait = move || {
        if let Some(signal) = signals.forever().next() {
            // One that has ended meanwhile answers with an error that does not matter here.
            running(|all| {
                for pid in all {
                    let _ = kill_process(*pid, Signal::KILL);
                }
            });
            std::process::exit(128 + signal);
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).context(|| "start a thread")?;
    Ok(())
}

/// How a server is started.
#[derive(Debug, Clone, Default)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(String, OsString)>,
    /// Standard output and error are appended here.
    pub(crate) log: PathBuf,
    /// Where it listens once it is ready, and the path that then answers 2xx.
    pub(crate) port: u16,
    pub(crate) ready_path: String,
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Child {
    process: Process,
    launch: Launch,
}

impl Launch {
    /// Starts the process without waiting for it to be ready.
    pub(crate) fn start(&self) -> Result<Child> {
        let program = self.program.display().to_string();
        let log = File::options().create(true).append(true).open(&self.log);
        let log = log.context(|| format!("open {}", self.log.display()))?;
        let errors = log.try_clone().context(|| "copy a file descriptor")?;
        let process = Command::new(&self.program)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .context(|| format!("start {program}"))?;
        running(|all| all.push(Pid::from_child(&process)));
        Ok(Child { process, launch: self.clone() })
    }

    /// Starts the process and waits until it answers; returns how long that took.
    pub(crate) fn start_ready(&self, limit: Duration) -> Result<(Child, Duration)> {
        let begun = Instant::now();
        let mut child = self.start()?;
        child.wait_ready(limit)?;
        Ok((child, begun.elapsed()))
    }
}

impl Child {
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn target(&self) -> Target {
        Target::local(self.launch.port)
    }

    /// Waits until the server answers. A server that ends instead shows the tail of its log.
    pub(crate) fn wait_ready(&mut self, limit: Duration) -> Result<()> {
        let begun = Instant::now();
        let address = SocketAddr::from(([127, 0, 0, 1], self.launch.port));
        loop {
            if let Some(status) = self.process.try_wait().context(|| "look at the server")? {
                return Err(Error::Failed(format!("the server ended while starting: {status}\n{}", self.log_tail())));
            }
            // The runtime's connect would wait in the ring; a refused plain connect says "not yet" at once.
            let listening = TcpStream::connect_timeout(&address, LOOK_EVERY).is_ok();
            if listening
                && http::call(&self.target(), &self.launch.ready_path, None, None).is_ok_and(|r| r.is_success())
            {
                return Ok(());
            }
            if begun.elapsed() > limit {
                let log = self.log_tail();
                return Err(Error::Failed(format!("the server is not ready after {} s\n{log}", limit.as_secs())));
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// SIGKILL: the process has no chance to save anything.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.process.kill().context(|| "kill the server")?;
        self.process.wait().context(|| "wait for the server")?;
        Ok(())
    }

    /// SIGTERM, then wait for an orderly end.
    pub(crate) fn terminate(mut self, limit: Duration) -> Result<ExitStatus> {
        let pid = Pid::from_child(&self.process);
        kill_process(pid, Signal::TERM).context(|| "send SIGTERM to the server")?;
        let begun = Instant::now();
        while begun.elapsed() < limit {
            if let Some(status) = self.process.try_wait().context(|| "wait for the server")? {
                return Ok(status);
            }
            thread::sleep(LOOK_EVERY);
        }
        Err(Error::Failed(format!("the server did not end within {} s of SIGTERM", limit.as_secs())))
    }

    /// Its log.
    pub(crate) fn log(&self) -> String {
        let text = fs::read(&self.launch.log).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The last lines of its log.
    pub(crate) fn log_tail(&self) -> String {
        const LINES: usize = 15;
        let text = self.log();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.process);
        // Already ended processes answer with an error that does not matter here.
        let _ = self.process.kill();
        let _ = self.process.wait();
        running(|all| all.retain(|other| *other != pid));
    }
}

/// A port that was free a moment ago.
pub(crate) fn spare_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context(|| "find a spare port")?;
    Ok(listener.local_addr().context(|| "find a spare port")?.port())
}

/// Looks for a program: a path as it stands, a bare name in `PATH`.
pub(crate) fn find_program(name: &Path) -> Option<PathBuf> {
    if name.components().count() > 1 {
        return name.is_file().then(|| name.to_owned());
    }
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, log: &str) -> Launch {
        Launch {
            program: PathBuf::from("/bin/sh"),
            arguments: vec!["-c".into(), script.into()],
            log: std::env::temp_dir().join(format!("tidewire-child-{log}-{}", std::process::id())),
            port: spare_port().unwrap(),
            ready_path: "/ping".to_owned(),
            ..Launch::default()
        }
    }

    #[test]
    fn a_server_that_ends_at_once_shows_its_log() {
        let launch = shell("echo no such option; exit 2", "ends");
        let text = launch.start_ready(Duration::from_secs(10)).unwrap_err().to_string();
        assert!(text.contains("exit status: 2") && text.contains("no such option"), "{text}");
        fs::remove_file(&launch.log).unwrap();
    }

    #[test]
    fn sigterm_is_orderly_and_sigkill_is_not() {
        let launch = shell("trap 'exit 0' TERM; echo up; while :; do sleep 0.01; done", "signals");
        let child = launch.start().unwrap();
        while child.log_tail() != "up" {
            thread::sleep(LOOK_EVERY);
        }
        assert_eq!(child.terminate(Duration::from_secs(10)).unwrap().code(), Some(0));
        let child = launch.start().unwrap();
        let pid = child.pid();
        child.kill().unwrap();
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
        fs::remove_file(&launch.log).unwrap();
    }

    #[test]
    fn programs_are_found_by_path_or_name() {
        assert_eq!(find_program(Path::new("/bin/sh")), Some(PathBuf::from("/bin/sh")));
        assert!(find_program(Path::new("sh")).is_some());
        assert_eq!(find_program(Path::new("no-such-program")), None);
    }
}
