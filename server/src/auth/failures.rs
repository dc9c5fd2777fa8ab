//! Who has guessed wrong must wait before the next guess is looked at.
//!
//! The first few wrong passwords for a user from an address cost nothing; after each further one the pause doubles, up
//! to [`PAUSE_MAX`]. A pause is over by itself, and is of one user and one address (of an IPv6 network, which is one
//! client's): who guesses for somebody else from elsewhere keeps nobody out. The same wrong password again is no guess
//! (see [`proofs`](super::proofs)), so that a client with an old password does not lengthen its pause.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Wrong passwords that are nobody's fault.
const FREE_MAX: u32 = 5;

/// The first pause.
const PAUSE: Duration = Duration::from_millis(250);

/// The longest: a person can wait for it, and a program makes 8,640 guesses a day.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// After so long without a wrong password all is forgotten.
const MEMORY: Duration = Duration::from_secs(600);

/// Users and addresses that are remembered. To fill this takes a client more than a minute of the processor's time.
const PLACES_MAX: usize = 4_096;

/// A user, by a hash of the name, and a network.
type Place = (u64, IpAddr);

struct Failed {
    count: u32,
    last: Instant,
}

impl Failed {
    fn pause(&self) -> Duration {
        match self.count.checked_sub(FREE_MAX + 1) {
            None => Duration::ZERO,
            Some(doublings) => PAUSE.saturating_mul(1 << doublings.min(16)).min(PAUSE_MAX),
        }
    }
}

/// The wrong passwords that a core has seen of late.
#[derive(Default)]
pub(super) struct Failures {
    names: RandomState,
    places: HashMap<Place, Failed>,
}

impl Failures {
    /// How long a guess for `user` from `address` must wait; `None` where it need not.
    pub(super) fn pause(&self, user: &str, address: Option<IpAddr>, now: Instant) -> Option<Duration> {
        let failed = self.places.get(&self.place(user, address))?;
        let left = (failed.last + failed.pause()).saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// A guess was wrong.
    pub(super) fn note_wrong(&mut self, user: &str, address: Option<IpAddr>, now: Instant) {
        let place = self.place(user, address);
        if self.places.len() >= PLACES_MAX {
            self.places.retain(|_, failed| now.saturating_duration_since(failed.last) < MEMORY);
        }
        if self.places.len() >= PLACES_MAX && !self.places.contains_key(&place) {
            self.places.clear();
        }
        let failed = self.places.entry(place).or_insert(Failed { count: 0, last: now });
        if now.saturating_duration_since(failed.last) >= MEMORY {
            failed.count = 0;
        }
        *failed = Failed { count: failed.count.saturating_add(1), last: now };
    }

    /// It was right.
    pub(super) fn note_right(&mut self, user: &str, address: Option<IpAddr>) {
        let place = self.place(user, address);
        self.places.remove(&place);
    }

    fn place(&self, user: &str, address: Option<IpAddr>) -> Place {
        (self.names.hash_one(user), network(address.unwrap_or(Ipv6Addr::UNSPECIFIED.into())))
    }
}

/// The part of an address that says whose it is: of one of version 6 the first 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn pauses_double_to_a_bound_and_end() {
        let (mut failures, from, mut now) = (Failures::default(), address("10.0.0.7"), Instant::now());
        let mut pauses = Vec::new();
        for _ in 0..14 {
            failures.note_wrong("u", from, now);
            let pause = failures.pause("u", from, now).unwrap_or_default();
            pauses.push(pause.as_millis());
            now += pause;
            assert_eq!(failures.pause("u", from, now), None, "the next guess is looked at");
        }
        assert_eq!(pauses[..5], [0; 5]);
        assert_eq!(pauses[5..], [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000, 10_000]);
        assert_eq!(failures.pause("u", address("10.0.0.8"), now - Duration::from_secs(10)), None);
        assert_eq!(failures.pause("v", from, now - Duration::from_secs(10)), None);
        now += MEMORY;
        failures.note_wrong("u", from, now);
        assert_eq!(failures.pause("u", from, now), None, "all is forgotten");
    }

    #[test]
    fn a_right_password_ends_it_and_networks_are_one_client() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for host in 0..9 {
            failures.note_wrong("u", address(&format!("2001:db8::{host}")), now);
        }
        assert!(failures.pause("u", address("2001:db8::ff:1"), now).is_some());
        assert!(failures.pause("u", address("2001:db8:0:1::1"), now).is_none());
        failures.note_right("u", address("2001:db8::1"));
        assert!(failures.pause("u", address("2001:db8::1"), now).is_none());
        assert_eq!(network("::ffff:10.0.0.7".parse().unwrap()), "10.0.0.7".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn only_so_many_places_are_remembered() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for n in 0..PLACES_MAX as u32 + 10 {
            failures.note_wrong("u", Some(IpAddr::from(n.to_be_bytes())), now);
            assert!(failures.places.len() <= PLACES_MAX);
        }
    }
}
