//! What a service manager learns of the server's life: the protocol of `sd_notify`, a datagram to the socket that
//! `NOTIFY_SOCKET` names. Without the variable nothing is said.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::time::{ClockId, clock_gettime};

/// The service manager that has started this process, if there is one.
#[derive(Debug, Default)]
pub struct ServiceManager(Option<UnixDatagram>);

impl ServiceManager {
    /// As the environment says.
    pub fn from_environment() -> Self {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return Self(None) };
        match connect(&name) {
            Ok(socket) => Self(Some(socket)),
            Err(error) => {
                log::warn!("the service manager is not told what becomes of the server: {}: {error}", name.display());
                Self(None)
            }
        }
    }

    /// The server serves, or again after a reload.
    pub fn ready(&self) {
        self.say("READY=1\nSTATUS=serving");
    }

    /// The configuration is read again.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let now_us = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1_000);
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={now_us}"));
    }

    /// The server ends.
    pub fn stopping(&self) {
        self.say("STOPPING=1\nSTATUS=finishing what is under way");
    }

    fn say(&self, text: &str) {
        if let Some(socket) = &self.0
            && let Err(error) = socket.send(text.as_bytes())
        {
            log::warn!("the service manager cannot be told {text:?}: {error}");
        }
    }
}

fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let address = match name.as_bytes() {
        // A name of its own, outside of the file system.
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    // A manager that does not listen must not hold the server up.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 256];
        let count = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }

    #[test]
    fn a_manager_hears_of_each_step_under_either_kind_of_name() {
        let path = std::env::temp_dir().join(format!("tidewire-notify-{}", std::process::id()));
        let abstract_name = format!("tidewire-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let sockets = [
            (UnixDatagram::bind(&path).unwrap(), path.clone().into_os_string()),
            (UnixDatagram::bind_addr(&address).unwrap(), format!("@{abstract_name}").into()),
        ];
        for (socket, name) in sockets {
            let manager = ServiceManager(Some(connect(&name).unwrap()));
            manager.ready();
            manager.reloading();
            manager.stopping();
            assert!(heard(&socket).starts_with("READY=1\n"));
            assert!(heard(&socket).starts_with("RELOADING=1\nMONOTONIC_USEC="));
            assert!(heard(&socket).starts_with("STOPPING=1\n"));
        }
        std::fs::remove_file(&path).unwrap();
        assert!(connect(path.as_os_str()).is_err());
        ServiceManager(None).ready();
    }
}
