//! A server from start to signal: what `main` does once it has a configuration.

use std::net::SocketAddr;
use std::sync::Arc;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::runtime::start::{App, Stopper, start};
use tidewire_base::config::{Config, WalSync};

/// Starts the server, calls `serving` with its addresses, and waits for its end. The first SIGTERM or SIGINT ends it
/// in order; a second one ends the process at once.
pub fn launch<A: App>(
    config: Config,
    shared: &Arc<A::ServerState>,
    serving: impl FnOnce(&[SocketAddr]),
) -> Result<(), String> {
    // Before anything else, so that no signal of the start is missed.
    let signals = Signals::new([SIGTERM, SIGINT]).map_err(|error| format!("cannot watch for signals: {error}"))?;
    let listen: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
    log::info!("data folder {}; to listen on {}", config.data_dir.display(), listen.join(", "));
    if config.wal.sync != WalSync::Always {
        log::warn!("wal.sync = \"{}\": acknowledged writes can be lost, see the README", config.wal.sync);
    }
    let server = start::<A>(config, shared)?;
    log::info!("{}", server.report());
    watch_signals(signals, server.stopper())?;
    serving(server.addresses());
    let ended = server.wait();
    log::info!("ended");
    ended
}

fn watch_signals(mut signals: Signals, stopper: Stopper) -> Result<(), String> {
    let watch = move || {
        for (count, signal) in signals.forever().enumerate() {
            if count > 0 {
                log::warn!("second signal: ending at once");
                std::process::exit(128 + signal);
            }
            log::info!("signal {signal}: finishing what is in flight");
            stopper.stop();
        }
    };
    let thread = std::thread::Builder::new().name("tidewire-signal".to_owned()).spawn(watch);
    thread.map(drop).map_err(|error| format!("cannot watch for signals: {error}"))
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
