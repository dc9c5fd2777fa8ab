//! Ids of requests: the client's own, or one that the server makes.
//!
//! What the server makes are UUIDs of version 1, as InfluxDB's are: the time in steps of 100 ns, which a core never
//! gives twice, a number drawn when the core started, and one drawn for the core in place of a network card's address.

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::fmt::{self, Display, Formatter};
use std::hash::{BuildHasher, Hasher};

use tidewire_protocol::http::{Head, ResponseHead};

/// 100 ns steps from the start of the Gregorian calendar, from which UUIDs count, to the Unix epoch.
const GREGORIAN_TO_UNIX_TICKS: u64 = 0x01b2_1dd2_1381_4000;

/// The bit of a node that no network card has.
const NODE_RANDOM: u64 = 1 << 40;

/// Digits and dashes of a UUID.
const TEXT_BYTES: usize = 36;

/// The id of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestId<'r> {
    /// What the client said.
    Client(&'r str),
    /// What the server made, as the UUID's number.
    Made(u128),
}

impl Display for RequestId<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(text) => f.write_str(text),
            Self::Made(number) => f.write_str(write(*number, &mut [0; TEXT_BYTES])),
        }
    }
}

impl RequestId<'_> {
    /// Adds the id to a reply's head, in both headers that clients look at.
    pub fn headers<'o>(&self, head: ResponseHead<'o>) -> ResponseHead<'o> {
        let mut made = [0; TEXT_BYTES];
        let text = match self {
            Self::Client(text) => text,
            Self::Made(number) => write(*number, &mut made),
        };
        head.header("Request-Id", text).header("X-Request-Id", text)
    }
}

/// The ids that one core makes.
#[derive(Debug)]
pub struct RequestIds {
    /// Sequence and node, the half of an id that stays.
    half: u64,
    /// The time of the id that was made last.
    ticks: Cell<u64>,
}

impl RequestIds {
    /// Ids unlike those of any other core.
    pub fn new() -> Self {
        let random = RandomState::new();
        let draw = |salt: u8| {
            let mut hasher = random.build_hasher();
            hasher.write_u8(salt);
            hasher.finish()
        };
        let node = draw(0) & ((1 << 48) - 1) | NODE_RANDOM;
        // Two bits say which kind of UUID it is; 14 are left.
        let sequence = draw(1) & 0x3fff | 0x8000;
        Self { half: sequence << 48 | node, ticks: Cell::new(0) }
    }

    /// The id of a request that arrived at `now_ns`: `X-Request-Id`, else `Request-Id`, else a new one.
    pub fn of<'r>(&self, head: &Head<'r>, now_ns: i64) -> RequestId<'r> {
        let said = |name| head.header(name).filter(|text| !text.is_empty());
        match said("x-request-id").or_else(|| said("request-id")) {
            Some(text) => RequestId::Client(text),
            None => self.made(now_ns),
        }
    }

    /// A new id, for what arrived at `now_ns`.
    pub fn made(&self, now_ns: i64) -> RequestId<'static> {
        RequestId::Made(self.next(now_ns))
    }

    fn next(&self, now_ns: i64) -> u128 {
        let now = (now_ns.unsigned_abs() / 100).wrapping_add(GREGORIAN_TO_UNIX_TICKS);
        // The world's clock may stand still or go back.
        let ticks = now.max(self.ticks.get() + 1);
        self.ticks.set(ticks);
        let (low, middle, high) = (ticks & 0xffff_ffff, ticks >> 32 & 0xffff, ticks >> 48 & 0x0fff);
        let time = low << 32 | middle << 16 | 0x1000 | high;
        u128::from(time) << 64 | u128::from(self.half)
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

/// The id as text: 8, 4, 4, 4 and 12 hex digits.
fn write(number: u128, text: &mut [u8; TEXT_BYTES]) -> &str {
    let mut digits = (0..32).rev().map(|digit| b"0123456789abcdef"[(number >> (4 * digit) & 15) as usize]);
    for (at, byte) in text.iter_mut().enumerate() {
        *byte = match at {
            8 | 13 | 18 | 23 => b'-',
            _ => digits.next().unwrap_or(b'0'),
        };
    }
    std::str::from_utf8(text).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use tidewire_protocol::http::{Framing, Limits, parse_head};

    use super::*;

    fn id_of<'h>(ids: &RequestIds, head: &'h str) -> RequestId<'h> {
        ids.of(&parse_head(head.as_bytes(), &Limits::default()).unwrap().unwrap(), 0)
    }

    #[test]
    fn the_clients_own_id_is_taken_and_x_request_id_wins() {
        let ids = RequestIds::new();
        let of = |headers: &str| {
            let head = format!("GET /ping HTTP/1.1\r\nHost: t\r\n{headers}\r\n");
            match id_of(&ids, &head) {
                RequestId::Client(text) => Some(text.to_owned()),
                RequestId::Made(_) => None,
            }
        };
        assert_eq!(of("Request-Id: b\r\nx-request-id: a\r\n").as_deref(), Some("a"));
        assert_eq!(of("X-Request-Id:\r\nrequest-id: b\r\n").as_deref(), Some("b"));
        assert_eq!(of("X-Request-Id:\r\n"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn made_ids_are_uuids_of_their_time_and_never_the_same() {
        let ids = RequestIds { half: 0x9234_0100_0000_0001, ticks: Cell::new(0) };
        let mut text = [0; TEXT_BYTES];
        // 2010-10-27T03:18:28.0288768Z.
        assert_eq!(write(ids.next(1_288_149_508_028_876_800), &mut text), "ddf10200-e178-11df-9234-010000000001");
        let (later, earlier) = (ids.next(1_288_149_508_028_876_800), ids.next(5));
        assert_eq!(write(later, &mut text), "ddf10201-e178-11df-9234-010000000001");
        assert_eq!(write(earlier, &mut text), "ddf10202-e178-11df-9234-010000000001");
        let (one, other) = (RequestIds::new(), RequestIds::new());
        assert_ne!(one.half, other.half);
        for half in [one.half, other.half] {
            assert_eq!((half >> 62, half & NODE_RANDOM), (2, NODE_RANDOM));
        }
    }

    #[test]
    fn both_headers_say_the_same() {
        let mut out = Vec::new();
        RequestId::Client("a\nb").headers(ResponseHead::new(&mut out, 204)).finish(Framing::Length(0));
        assert_eq!(out, b"HTTP/1.1 204 No Content\r\nRequest-Id: a b\r\nX-Request-Id: a b\r\n\r\n");
    }
}
