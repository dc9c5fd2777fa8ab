//! A server from start to signal: what `main` does once it has a configuration.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use signal_hook::iterator::Signals;
use signal_hook::low_level;

use crate::journal::files;
use crate::net::Certificates;
use crate::ring::watch_panics;
use crate::runtime::reload::reload;
use crate::runtime::service_manager::ServiceManager;
use crate::runtime::signals::{Action, WATCHED, meaning, name};
use crate::runtime::start::{App, Stopper, start_stoppable};
use tidewire_base::config::{Config, WalSync};

/// How long a server that is to hurry may take. What it has acknowledged is safe either way: with `wal.sync = "always"`
/// it is in the log.
const HURRY_TIME: Duration = Duration::from_secs(5);

/// A secret of HS256 has at least as many as its hash, says RFC 7518.
const JWT_SECRET_BYTES: usize = 32;

/// Starts the server, calls `serving` with its URLs, and waits for its end. `read` reads the configuration again,
/// for SIGHUP; what signals do is said in [`signals`](crate::runtime::signals).
pub fn launch<A: App>(
    config: Config,
    shared: &Arc<A::ServerState>,
    read: impl Fn() -> Result<Config, String> + Send + 'static,
    serving: impl FnOnce(&[String]),
) -> Result<(), String> {
    watch_panics();
    // Before anything else, so that no signal of the start is missed.
    let signals = Signals::new(WATCHED).map_err(|error| format!("cannot watch for signals: {error}"))?;
    let stopper = Stopper::new().map_err(|error| format!("cannot make an event: {error}"))?;
    let manager = Arc::new(ServiceManager::from_environment());
    let certificates = Arc::<OnceLock<Arc<Certificates>>>::default();
    let hearing = Hearing {
        stopper: stopper.clone(),
        manager: manager.clone(),
        used: config.clone(),
        certificates: certificates.clone(),
        ends: 0,
    };
    hearing.spawn(signals, read)?;
    let all = config.listen.iter().chain(&config.tls.listen).chain(&config.opentsdb.telnet_listen);
    let listen: Vec<String> = all.map(ToString::to_string).collect();
    log::info!("data folder {}; to listen on {}", config.data_dir.display(), listen.join(", "));
    check_exposure(&config)?;
    files::open(&config.log)?;
    if config.wal.sync != WalSync::Always {
        log::warn!("wal.sync = \"{}\": acknowledged writes can be lost, see the README", config.wal.sync);
    }
    let server = match start_stoppable::<A>(config, shared, stopper.clone()) {
        Err(_) if stopper.is_asked() => {
            log::info!("ended before it served");
            return Ok(());
        }
        started => started?,
    };
    log::info!("{}", server.report());
    if let Some(of_server) = server.certificates() {
        let _ = certificates.set(of_server);
    }
    serving(&server.urls());
    manager.ready();
    let ended = server.wait();
    files::flush();
    log::info!("ended");
    ended
}

/// Refuses to serve other hosts where nobody is asked who he is, and says what may surprise.
fn check_exposure(config: &Config) -> Result<(), String> {
    let (auth, open) = (&config.auth, config.open_addresses());
    let open: Vec<String> = open.iter().map(ToString::to_string).collect();
    match (auth.enabled, open.is_empty()) {
        (false, true) => {}
        (false, false) if auth.insecure => log::warn!(
            "INSECURE: on {} everybody who reaches this server may read, change and drop all there is: auth.enabled is false",
            open.join(" and ")
        ),
        (false, false) => {
            return Err(format!(
                "`listen` names {}, which other hosts may reach, and nobody is asked who he is: set auth.enabled = true, or \
                 pass --insecure (auth.insecure = true) where everybody who reaches it may do everything",
                open.join(" and ")
            ));
        }
        (true, _) if (1..JWT_SECRET_BYTES).contains(&auth.jwt_secret.reveal().len()) => {
            log::warn!("auth.jwt_secret has less than {JWT_SECRET_BYTES} bytes: tokens that it signs may be forged");
        }
        (true, _) => {}
    }
    Ok(())
}

/// What hears the signals of the process.
struct Hearing {
    stopper: Stopper,
    manager: Arc<ServiceManager>,
    /// The configuration in use.
    used: Config,
    /// The certificates, once the server serves HTTPS.
    certificates: Arc<OnceLock<Arc<Certificates>>>,
    /// Signals that have asked for the end.
    ends: u32,
}

impl Hearing {
    fn spawn(
        mut self,
        mut signals: Signals,
        read: impl Fn() -> Result<Config, String> + Send + 'static,
    ) -> Result<(), String> {
        let hear = move || signals.forever().for_each(|signal| self.hear(signal, &read));
        let thread = std::thread::Builder::new().name("tidewire-signal".to_owned()).spawn(hear);
        thread.map(drop).map_err(|error| format!("cannot watch for signals: {error}"))
    }

    fn hear(&mut self, signal: i32, read: &dyn Fn() -> Result<Config, String>) {
        let (action, name) = (meaning(signal, self.ends), name(signal));
        match action {
            Action::Stop => {
                log::info!("{name}: finishing what is under way");
                self.manager.stopping();
                self.stopper.stop();
            }
            Action::Hurry => {
                log::warn!("second signal, {name}: what is under way is cut");
                self.stopper.hurry();
                let exit = move || {
                    std::thread::sleep(HURRY_TIME);
                    log::error!("not at the end after {HURRY_TIME:?}: the process ends where it is");
                    low_level::exit(128 + signal);
                };
                if std::thread::Builder::new().spawn(exit).is_err() {
                    low_level::exit(128 + signal);
                }
            }
            // Without destructors: other threads still use what they would take down.
            Action::Exit => low_level::exit(128 + signal),
            Action::Reload => {
                self.manager.reloading();
                reload(&mut self.used, read);
                files::reopen();
                if let Some(certificates) = self.certificates.get() {
                    certificates.reload();
                }
                self.manager.ready();
            }
            Action::Note => log::info!("{name} means nothing to the server"),
        }
        self.ends += u32::from(matches!(action, Action::Stop | Action::Hurry));
    }
}

/// The lines that a new user is shown: a first write and a first query.
pub fn first_steps(urls: &[String]) -> String {
    let Some(url) = urls.first() else { return String::new() };
    format!(
        "Tidewire serves on {}\n\n\
         A first write and a first query:\n\n  \
         curl -i -X POST '{url}/api/v1/write?db=public' -u root: --data-binary 'air,station=XiaoMaiDao temperature=21.5,pressure=63'\n  \
         curl -X POST '{url}/api/v1/sql?db=public' -u root: -H 'Accept: application/table' --data-binary 'SELECT * FROM air'\n\n",
        urls.join(" and ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_hosts_are_served_when_somebody_wants_it_so() {
        let of = |text: &str| {
            let mut config = Config::default();
            config.merge_toml("t", text).unwrap();
            check_exposure(&config)
        };
        assert_eq!(of(""), Ok(()));
        let refused = of("listen = ['127.0.0.1:1', '0.0.0.0:2']").unwrap_err();
        assert!(refused.contains("0.0.0.0:2") && refused.contains("--insecure"), "{refused}");
        assert!(of("listen = ['[::]:2']").is_err());
        assert_eq!(of("listen = ['0.0.0.0:2']\nauth.insecure = true"), Ok(()));
        assert_eq!(of("listen = ['0.0.0.0:2']\nauth.enabled = true\nauth.jwt_secret = 'short'"), Ok(()));
    }

    #[test]
    fn first_steps_name_the_address_that_is_served() {
        let urls = ["http://127.0.0.1:1234", "http://[::1]:9", "https://[::1]:3242"].map(str::to_owned);
        let text = first_steps(&urls);
        assert!(text.contains("'http://127.0.0.1:1234/api/v1/write?db=public'"));
        assert!(text.contains("http://127.0.0.1:1234 and http://[::1]:9 and https://[::1]:3242\n"));
        assert!(first_steps(&[]).is_empty());
    }
}
