//! Who takes the rows of a subscription: an HTTP server with InfluxDB's `/write`, or a socket for datagrams.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Bytes of a datagram: what passes an Ethernet in one piece.
const DATAGRAM_BYTES: usize = 1_400;

/// The longest line that a datagram can have.
const DATAGRAM_BYTES_MAX: usize = 65_507;

/// A destination that was read from its URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// `http://host:port[/path]`
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

/// What is wrong with a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// InfluxDB takes none of these either.
    #[error("wanted is http://host:port or udp://host:port")]
    Form,
    /// TLS is not spoken to destinations.
    #[error("https is not supported")]
    Https,
}

impl Destination {
    /// Reads a URL.
    pub fn parse(url: &str) -> Result<Self, UrlFault> {
        let (scheme, rest) = url.split_once("://").ok_or(UrlFault::Form)?;
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (host, port) = authority.rsplit_once(':').ok_or(UrlFault::Form)?;
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
        let host_has = |special: &[char]| host.contains(special) || !host.bytes().all(|byte| byte.is_ascii_graphic());
        let is_v6 = host.starts_with('[') && host.ends_with(']');
        let bad_host = host.is_empty() || host_has(&['@', '?', '#', '/']) || (host.contains(':') && !is_v6);
        if !is_port || bad_host || !path.bytes().all(|byte| byte.is_ascii_graphic()) || path.contains(['?', '#']) {
            return Err(UrlFault::Form);
        }
        match scheme {
            "http" => Ok(Self::Http { url: url.trim_end_matches('/').to_owned() }),
            "https" => Err(UrlFault::Https),
            "udp" if path.is_empty() || path == "/" => Ok(Self::Udp { address: authority.to_owned() }),
            _ => Err(UrlFault::Form),
        }
    }
}

/// The way to a destination.
#[derive(Debug)]
pub(super) enum Way {
    Http { agent: ureq::Agent, url: String },
    Udp { address: String, socket: Option<(UdpSocket, SocketAddr)> },
}

impl Way {
    /// The way to `destination`, for rows of a retention policy.
    pub(super) fn new(destination: &Destination, database: &str, policy: &str, timeout: Duration) -> Self {
        match destination {
            Destination::Http { url } => {
                let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
                let url = format!("{url}/write?db={}&rp={}&precision=ns", encoded(database), encoded(policy));
                let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(timeout));
                Self::Http { agent: config.max_redirects(0).build().into(), url }
            }
            Destination::Udp { address } => Self::Udp { address: address.clone(), socket: None },
        }
    }

    /// Sends lines. An error says that they were not taken, or of datagrams that the kernel did not take them all.
    pub(super) fn send(&mut self, lines: &[u8]) -> Result<(), String> {
        match self {
            Self::Http { agent, url } => {
                let sent = agent.post(&*url).content_type("text/plain; charset=utf-8").send(lines);
                let mut reply = sent.map_err(|error| error.to_string())?;
                let status = reply.status();
                // Read to its end, so that the connection can be used again.
                let body = reply.body_mut().with_config().limit(4 << 10).read_to_string().unwrap_or_default();
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
        let http = |url: &str| Ok(Destination::Http { url: url.to_owned() });
        let udp = |address: &str| Ok(Destination::Udp { address: address.to_owned() });
        let (form, https) = (Err(UrlFault::Form), Err(UrlFault::Https));
        for (url, expected) in [
            ("http://h:1", http("http://h:1")),
            ("http://h.example:8086/", http("http://h.example:8086")),
            ("http://[::1]:8086/a/b/", http("http://[::1]:8086/a/b")),
            ("udp://h:9", udp("h:9")),
            ("udp://h:9/", udp("h:9")),
            ("https://h:1", https),
            ("udp://h:9/x", form.clone()),
            ("http://h", form.clone()),
            ("http://h:", form.clone()),
            ("http://:1", form.clone()),
            ("http://h:0", form.clone()),
            ("http://h:65536", form.clone()),
            ("http://h:+1", form.clone()),
            ("http://u:p@h:1", form.clone()),
            ("http://a:b:1", form.clone()),
            ("http://h:1/?q", form.clone()),
            ("http://h h:1", form.clone()),
            ("http://h:1/\r\nx", form.clone()),
            ("ftp://h:1", form.clone()),
            ("h:1", form.clone()),
            ("", form),
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
