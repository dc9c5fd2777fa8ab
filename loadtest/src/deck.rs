//! The requests of a run, encoded before the clock starts, so that the measured phase costs the generator little more
//! than the copy into the socket.
//!
//! 1. `Deck::encode` writes whole requests (head and body) of `batch` rows each, until the rows or the memory bound
//!    are reached.
//! 2. Connections `take` the next request in order and `put` it back when the reply has come.
//! 3. If the run has more rows than the memory holds, the deck is dealt again: each 19-digit timestamp of a request is
//!    raised in place by the time the deck covers, so that a second lap carries new rows, not duplicates.
//!
//! Footnote: a later lap repeats the values of the first one, only its times are new.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::door::Door;
use crate::error::{Error, Result};
use crate::http::Target;
use crate::workload::Shape;

/// Bytes of a nanosecond timestamp between the years 2001 and 2286.
const STAMP_BYTES: usize = 19;

/// One encoded request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) bytes: Vec<u8>,
    pub(crate) rows: u32,
    pub(crate) values: u32,
    /// Offsets of the timestamps in `bytes`; empty when the deck is dealt only once.
    stamps: Vec<u32>,
    /// How often its times have been raised.
    lap: u64,
}

/// Sizes that shape a deck.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeckSize {
    /// Rows of the whole run, warm-up included.
    pub(crate) rows: u64,
    /// Rows in one request.
    pub(crate) batch: u64,
    /// Memory for encoded requests.
    pub(crate) bytes_max: u64,
    /// The deck holds at least this many requests if the run has that many: one for each connection and one to come.
    pub(crate) requests_min: u64,
}

/// All requests of a run.
pub(crate) struct Deck {
    slots: Vec<Mutex<Option<Request>>>,
    /// Requests of the whole run; may be more than there are slots.
    requests: u64,
    next: AtomicU64,
    /// What one lap adds to every time.
    lap_ns: i64,
}

/// What `Deck::take` found.
pub(crate) enum Taken {
    /// The request with this number, and its place in the run.
    Request(Request, u64),
    /// The request of that number is still under way from the previous lap; its number, for a later `retake`.
    Busy(u64),
    /// Nothing is left below the limit.
    Done,
}

impl Deck {
    /// Encodes the requests in the form of `door`; `path` is where rows are posted.
    pub(crate) fn encode(shape: &Shape, size: DeckSize, target: &Target, path: &str, door: Door) -> Result<Self> {
        let requests = size.rows.div_ceil(size.batch);
        let mut source = shape.rows();
        let mut slots = Vec::new();
        let mut body = Vec::new();
        let mut stamps = Vec::new();
        let (mut bytes, mut first_ns, mut last_ns) = (0_u64, i64::MAX, i64::MIN);
        let mut left = size.rows;
        while left > 0 && (bytes < size.bytes_max || (slots.len() as u64) < size.requests_min) {
            body.clear();
            stamps.clear();
            let rows = left.min(size.batch);
            let mut values = 0;
            for _ in 0..rows {
                let row = source.next_row(&mut body);
                values += row.values;
                (first_ns, last_ns) = (first_ns.min(row.time_ns), last_ns.max(row.time_ns));
                stamps.push(body.len());
                write_stamp(row.time_ns, &mut body)?;
                body.push(b'\n');
            }
            // The line breaks separate rows; the last one ends the body without it.
            body.pop();
            if door != Door::Line {
                body = door.body(&body)?;
                // The times of other forms stand elsewhere, and have other lengths.
                stamps.clear();
            }
            let mut whole = Vec::with_capacity(body.len() + 256);
            target.post_head_with(path, door.headers(), body.len(), &mut whole);
            let head = whole.len();
            whole.extend_from_slice(&body);
            whole.shrink_to_fit();
            let offsets: Option<Vec<u32>> = stamps.iter().map(|&at| u32::try_from(at + head).ok()).collect();
            let stamps = offsets.ok_or_else(|| Error::Usage("--batch: a request may hold 4 GiB at most".to_owned()))?;
            bytes += whole.len() as u64 + 4 * stamps.len() as u64;
            let rows = u32::try_from(rows).map_err(|_| Error::Usage("--batch is too large".to_owned()))?;
            slots.push(Mutex::new(Some(Request { bytes: whole, rows, values, stamps, lap: 0 })));
            left -= u64::from(rows);
        }
        let once = slots.len() as u64 >= requests;
        if !once && door != Door::Line {
            let reason = "--door: all requests must be in memory: raise --memory-mib, or write fewer rows";
            return Err(Error::Usage(reason.to_owned()));
        }
        if once {
            for slot in &mut slots {
                if let Ok(Some(request)) = slot.get_mut() {
                    request.stamps = Vec::new();
                }
            }
        }
        // The first free tick after the deck: times of a lap start where the previous one ended.
        let lap_ns = if once { 0 } else { last_ns - first_ns + 1_000_000_000 };
        let tick_ns = crate::workload::TICK_NS;
        Ok(Self { slots, requests, next: AtomicU64::new(0), lap_ns: (lap_ns + tick_ns - 1) / tick_ns * tick_ns })
    }

    /// How often the requests in memory are dealt.
    pub(crate) fn laps(&self) -> u64 {
        self.requests.div_ceil(self.slots.len().max(1) as u64)
    }

    /// The next request with a number below `limit`.
    pub(crate) fn take(&self, limit: u64) -> Taken {
        let claimed = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
            if next < limit.min(self.requests) { Some(next + 1) } else { None }
        });
        match claimed {
            Ok(number) => self.retake(number),
            Err(_) => Taken::Done,
        }
    }

    /// The request of a number that was claimed before and found busy.
    pub(crate) fn retake(&self, number: u64) -> Taken {
        let count = self.slots.len() as u64;
        let (slot, lap) = ((number % count) as usize, number / count);
        let mut slot = match self.slots[slot].lock() {
            Ok(slot) => slot,
            Err(poisoned) => poisoned.into_inner(),
        };
        match slot.take() {
            Some(mut request) if request.lap <= lap => {
                request.advance(lap, self.lap_ns);
                Taken::Request(request, number)
            }
            other => {
                *slot = other;
                Taken::Busy(number)
            }
        }
    }

    /// Gives a request back for its next lap.
    pub(crate) fn put(&self, number: u64, request: Request) {
        let slot = (number % self.slots.len() as u64) as usize;
        if let Ok(mut slot) = self.slots[slot].lock() {
            *slot = Some(request);
        }
    }
}

impl Request {
    fn advance(&mut self, lap: u64, lap_ns: i64) {
        if lap == self.lap {
            return;
        }
        let shift = lap_ns * (lap - self.lap) as i64;
        self.lap = lap;
        // Neighbouring rows mostly share their time: the digits are computed once per change.
        let (mut old, mut new) = ([0; STAMP_BYTES], [0; STAMP_BYTES]);
        for &at in &self.stamps {
            let at = at as usize;
            let digits = &mut self.bytes[at..at + STAMP_BYTES];
            if *digits != old {
                old.copy_from_slice(digits);
                let mut value = digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')) + shift;
                for digit in new.iter_mut().rev() {
                    *digit = b'0' + (value % 10) as u8;
                    value /= 10;
                }
            }
            digits.copy_from_slice(&new);
        }
    }
}

fn write_stamp(time_ns: i64, body: &mut Vec<u8>) -> Result<()> {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(time_ns).as_bytes();
    if time_ns < 0 || digits.len() != STAMP_BYTES {
        return Err(Error::Usage(format!("time {time_ns} ns lies outside 2001-09-09 to 2262-04-11")));
    }
    body.extend_from_slice(digits);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{START_NS, Workload};
    use std::collections::BTreeSet;

    fn deck(rows: u64, batch: u64, bytes_max: u64) -> Deck {
        let shape = Shape { workload: Workload::Devops, hosts: 10, fields: 0, seed: 1, start_ns: START_NS };
        let size = DeckSize { rows, batch, bytes_max, requests_min: 2 };
        Deck::encode(&shape, size, &Target::local(1), "/write?db=x", Door::Line).unwrap()
    }

    fn lines(deck: &Deck) -> Vec<String> {
        let mut lines = Vec::new();
        while let Taken::Request(request, number) = deck.take(u64::MAX) {
            let text = std::str::from_utf8(&request.bytes).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("POST /write?db=x HTTP/1.1\r\n"));
            assert!(head.contains(&format!("Content-Length: {}", body.len())));
            assert_eq!(body.lines().count(), request.rows as usize);
            assert_eq!(request.values, request.rows * 10);
            lines.extend(body.lines().map(str::to_owned));
            deck.put(number, request);
        }
        lines
    }

    #[test]
    fn holds_the_rows_asked_for() {
        let deck = deck(105, 10, u64::MAX);
        assert_eq!((deck.requests, deck.laps()), (11, 1));
        assert_eq!(lines(&deck).len(), 105);
        assert!(matches!(deck.take(u64::MAX), Taken::Done));
    }

    #[test]
    fn limit_separates_warm_up_from_measurement() {
        let deck = deck(40, 10, u64::MAX);
        assert!(matches!(deck.take(1), Taken::Request(_, 0)));
        assert!(matches!(deck.take(1), Taken::Done));
        assert!(matches!(deck.take(4), Taken::Request(_, 1)));
    }

    #[test]
    fn laps_carry_new_times() {
        let deck = deck(1_000, 10, 5_000);
        assert!(deck.laps() > 3, "{} laps", deck.laps());
        let lines = lines(&deck);
        assert_eq!(lines.len(), 1_000);
        let keys: BTreeSet<(&str, &str)> =
            lines.iter().map(|line| (line.split_once(' ').unwrap().0, line.rsplit_once(' ').unwrap().1)).collect();
        assert_eq!(keys.len(), 1_000, "no series has a time twice");
        let times: BTreeSet<i64> = keys.iter().map(|key| key.1.parse().unwrap()).collect();
        let expected: BTreeSet<i64> = (0..100).map(|tick| START_NS + tick * 10_000_000_000).collect();
        assert_eq!(times, expected, "laps continue the grid of ticks");
    }

    #[test]
    fn a_request_under_way_is_busy() {
        let deck = deck(1_000, 10, 1);
        let Taken::Request(first, 0) = deck.take(u64::MAX) else { panic!("the first request is there") };
        let Taken::Request(second, 1) = deck.take(u64::MAX) else { panic!("the second request is there") };
        let Taken::Busy(number) = deck.take(u64::MAX) else { panic!("the first request is under way") };
        assert_eq!(number, 2);
        deck.put(0, first);
        assert!(matches!(deck.retake(2), Taken::Request(_, 2)));
        deck.put(1, second);
    }
}
