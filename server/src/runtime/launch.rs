//! A server from start to signal: what `main` does once it has a configuration.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use signal_hook::iterator::Signals;
use signal_hook::low_level;

use crate::ring::watch_panics;
use crate::runtime::reload::reload;
use crate::runtime::service_manager::ServiceManager;
use crate::runtime::signals::{Action, WATCHED, meaning, name};
use crate::runtime::start::{App, Stopper, start_stoppable};
use tidewire_base::config::{Config, WalSync};

/// How long a server that is to hurry may take. What it has acknowledged is safe either way: with `wal.sync = "always"`
/// it is in the log.
const HURRY_TIME: Duration = Duration::from_secs(5);

/// Starts the server, calls `serving` with its addresses, and waits for its end. `read` reads the configuration again,
/// for SIGHUP; what signals do is said in [`signals`](crate::runtime::signals).
pub fn launch<A: App>(
    config: Config,
    shared: &Arc<A::ServerState>,
    read: impl Fn() -> Result<Config, String> + Send + 'static,
    serving: impl FnOnce(&[SocketAddr]),
) -> Result<(), String> {
    watch_panics();
    // Before anything else, so that no signal of the start is missed.
    let signals = Signals::new(WATCHED).map_err(|error| format!("cannot watch for signals: {error}"))?;
    let stopper = Stopper::new().map_err(|error| format!("cannot make an event: {error}"))?;
    let manager = Arc::new(ServiceManager::from_environment());
    let hearing = Hearing { stopper: stopper.clone(), manager: manager.clone(), used: config.clone(), ends: 0 };
    hearing.spawn(signals, read)?;
    let listen: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
    log::info!("data folder {}; to listen on {}", config.data_dir.display(), listen.join(", "));
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
    serving(server.addresses());
    manager.ready();
    let ended = server.wait();
    log::info!("ended");
    ended
}

/// What hears the signals of the process.
struct Hearing {
    stopper: Stopper,
    manager: Arc<ServiceManager>,
    /// The configuration in use.
    used: Config,
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
                self.manager.ready();
            }
            Action::Note => log::info!("{name} means nothing to the server"),
        }
        self.ends += u32::from(matches!(action, Action::Stop | Action::Hurry));
    }
}

/// The lines that a new user is shown: a first write and a first query.
pub fn first_steps(addresses: &[SocketAddr]) -> String {
    let Some(address) = addresses.first() else { return String::new() };
    format!(
        "Tidewire serves on {}\n\n\
         A first write and a first query:\n\n  \
         curl -i -X POST 'http://{address}/api/v1/write?db=public' -u root: --data-binary 'air,station=XiaoMaiDao temperature=21.5,pressure=63'\n  \
         curl -X POST 'http://{address}/api/v1/sql?db=public' -u root: -H 'Accept: application/table' --data-binary 'SELECT * FROM air'\n\n",
        addresses.iter().map(|address| format!("http://{address}")).collect::<Vec<_>>().join(" and ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_steps_name_the_address_that_is_served() {
        let text = first_steps(&["127.0.0.1:1234".parse().unwrap(), "[::1]:9".parse().unwrap()]);
        assert!(text.contains("http://127.0.0.1:1234/api/v1/write?db=public"));
        assert!(text.contains("http://127.0.0.1:1234 and http://[::1]:9"));
        assert!(first_steps(&[]).is_empty());
    }
}
