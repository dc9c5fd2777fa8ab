//! Who takes the rows of a subscription: an HTTP server with InfluxDB's `/write`, with or without TLS, or a socket for
//! datagrams.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use crate::net::certificates;

/// Bytes of a datagram: what passes an Ethernet in one piece.
const DATAGRAM_BYTES: usize = 1_400;

/// The longest line that a datagram can have.
const DATAGRAM_BYTES_MAX: usize = 65_507;

/// Where the distributions of Linux keep the roots that they trust: Debian and Arch, Red Hat, SUSE, Alpine.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A destination that was read from its URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// `http://host:port[/path]`, or the same with `https`.
    Http {
        /// The URL, without a slash at its end.
        url: String,
    },
    /// `udp://host:port`
    Udp {
        /// Host and port.
        address: String,
    },
}

impl Destination {
    /// Reads a URL; `None` for one that InfluxDB does not take either.
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (host, port) = authority.rsplit_once(':')?;
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
        let host_has = |special: &[char]| host.contains(special) || !host.bytes().all(|byte| byte.is_ascii_graphic());
        let is_v6 = host.starts_with('[') && host.ends_with(']');
        let bad_host = host.is_empty() || host_has(&['@', '?', '#', '/']) || (host.contains(':') && !is_v6);
        if !is_port || bad_host || !path.bytes().all(|byte| byte.is_ascii_graphic()) || path.contains(['?', '#']) {
            return None;
        }
        match scheme {
            "http" | "https" => Some(Self::Http { url: url.trim_end_matches('/').to_owned() }),
            "udp" if path.is_empty() || path == "/" => Some(Self::Udp { address: authority.to_owned() }),
            _ => None,
        }
    }
}

/// How destinations are asked to take rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asking {
    /// The time that a request may take.
    pub timeout: Duration,
    /// Roots in PEM for the certificates of those that speak TLS; empty: those of the system.
    pub ca_file: PathBuf,
}

impl Asking {
    /// What makes requests of `url`.
    fn agent(&self, url: &str) -> Result<ureq::Agent, String> {
        let mut config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(self.timeout));
        if url.starts_with("https:") {
            let roots: Vec<_> = self.roots()?.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
            let tls = TlsConfig::builder().provider(TlsProvider::Rustls).root_certs(RootCerts::from(roots));
            config = config.tls_config(tls.unversioned_rustls_crypto_provider(Arc::new(default_provider())).build());
        }
        Ok(config.max_redirects(0).build().into())
    }

    fn roots(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        if !self.ca_file.as_os_str().is_empty() {
            return certificates(&self.ca_file);
        }
        let found = SYSTEM_ROOTS.iter().map(Path::new).find(|path| path.exists());
        certificates(found.ok_or("the system has no file of roots: subscriptions.ca_file can name one")?)
    }
}

/// The way to a destination.
#[derive(Debug)]
pub(super) enum Way {
    Http { asking: Asking, agent: Option<ureq::Agent>, url: String },
    Udp { address: String, socket: Option<(UdpSocket, SocketAddr)> },
}

impl Way {
    /// The way to `destination`, for rows of a retention policy.
    pub(super) fn new(destination: &Destination, database: &str, policy: &str, asking: &Asking) -> Self {
        match destination {
            Destination::Http { url } => {
                let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
                let url = format!("{url}/write?db={}&rp={}&precision=ns", encoded(database), encoded(policy));
                Self::Http { asking: asking.clone(), agent: None, url }
            }
            Destination::Udp { address } => Self::Udp { address: address.clone(), socket: None },
        }
    }

    /// Sends lines. An error says that they were not taken, or of datagrams that the kernel did not take them all.
    pub(super) fn send(&mut self, lines: &[u8]) -> Result<(), String> {
        match self {
            Self::Http { asking, agent, url } => {
                let used = match agent.take() {
                    Some(used) => used,
                    None => asking.agent(url)?,
                };
                let sent = used.post(&*url).content_type("text/plain; charset=utf-8").send(lines);
                // Where there was no reply the roots are read again before the next request: they may be others then.
                let mut reply = sent.map_err(|error| error.to_string())?;
                let status = reply.status();
                // Read to its end, so that the connection can be used again.
                let body = reply.body_mut().with_config().limit(4 << 10).read_to_string().unwrap_or_default();
                *agent = Some(used);
                match status.is_success() {
                    true => Ok(()),
                    false => Err(format!("{status}: {}", body.trim_end())),
                }
            }
            Self::Udp { address, socket } => {
                let sent = datagrams(address, socket, lines);
                if sent.is_err() {
                    // Names may mean another address next time.
                    *socket = None;
                }
                sent.map_err(|error| error.to_string())
            }
        }
    }
}

fn datagrams(address: &str, socket: &mut Option<(UdpSocket, SocketAddr)>, lines: &[u8]) -> io::Result<()> {
    let (socket, to) = match socket {
        Some(known) => known,
        none => {
            let to = address.to_socket_addrs()?.next().ok_or_else(|| io::Error::other("the name has no address"))?;
            let from = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            none.insert((UdpSocket::bind(from)?, to))
        }
    };
    let mut outcome = Ok(());
    for datagram in Datagrams(lines) {
        let sent = match datagram.len() > DATAGRAM_BYTES_MAX {
            true => Err(io::Error::other("a line is longer than a datagram can be")),
            false => socket.send_to(datagram, *to).map(drop),
        };
        outcome = outcome.and(sent);
    }
    outcome
}

/// Lines, as many as fit into a datagram; a line that is longer is one by itself.
struct Datagrams<'l>(&'l [u8]);

impl<'l> Iterator for Datagrams<'l> {
    type Item = &'l [u8];

    fn next(&mut self) -> Option<&'l [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let window = &self.0[..self.0.len().min(DATAGRAM_BYTES)];
        let end = match window.len() == self.0.len() {
            true => window.len(),
            false => match memchr::memrchr(b'\n', window) {
                Some(at) => at + 1,
                None => memchr::memchr(b'\n', self.0).map_or(self.0.len(), |at| at + 1),
            },
        };
        let (datagram, rest) = self.0.split_at(end);
        self.0 = rest;
        Some(datagram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        let http = |url: &str| Some(Destination::Http { url: url.to_owned() });
        let udp = |address: &str| Some(Destination::Udp { address: address.to_owned() });
        for (url, expected) in [
            ("http://h:1", http("http://h:1")),
            ("http://h.example:8086/", http("http://h.example:8086")),
            ("http://[::1]:8086/a/b/", http("http://[::1]:8086/a/b")),
            ("udp://h:9", udp("h:9")),
            ("udp://h:9/", udp("h:9")),
            ("https://h:1/x", http("https://h:1/x")),
            ("udp://h:9/x", None),
            ("http://h", None),
            ("http://h:", None),
            ("http://:1", None),
            ("http://h:0", None),
            ("http://h:65536", None),
            ("http://h:+1", None),
            ("http://u:p@h:1", None),
            ("http://a:b:1", None),
            ("http://h:1/?q", None),
            ("http://h h:1", None),
            ("http://h:1/\r\nx", None),
            ("ftp://h:1", None),
            ("h:1", None),
            ("", None),
        ] {
            assert_eq!(Destination::parse(url), expected, "{url:?}");
        }
    }

    #[test]
    fn datagrams_end_at_ends_of_lines() {
        let line = |bytes: usize| [vec![b'x'; bytes - 1], vec![b'\n']].concat();
        let text = [line(700), line(700), line(1), line(3000), line(1400), line(2)].concat();
        let lengths: Vec<usize> = Datagrams(&text).map(<[u8]>::len).collect();
        assert_eq!(lengths, [1400, 1, 3000, 1400, 2]);
        assert_eq!(Datagrams(b"").next(), None);
        assert_eq!(Datagrams(&[b'x'; 2000]).map(<[u8]>::len).collect::<Vec<_>>(), [2000]);
    }
}
