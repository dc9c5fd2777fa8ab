//! A thread that sends lines on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Instant;

use tidewire_storage::schema::Subscription;

use super::destination::{Asking, Destination, Way};
use super::{Counts, Part};
use crate::metrics::pace::{Lines, others};

/// Small parts are sent together, up to about this much.
const REQUEST_BYTES: usize = 1 << 20;

/// The way to a thread. What was handed over is sent, also after this is dropped.
#[derive(Debug)]
pub(super) struct Sender {
    parts: mpsc::Sender<Arc<Part>>,
    counts: Arc<Counts>,
}

/// What a thread has.
struct Work {
    /// For the log.
    name: String,
    /// One of them gets each part.
    ways: Vec<(Arc<str>, Way)>,
    /// The one that is tried first.
    turn: usize,
    counts: Arc<Counts>,
    failures: Lines,
}

impl Sender {
    /// Starts a thread that sends to one of `urls`.
    pub(super) fn start(
        database: &str,
        subscription: &Subscription,
        urls: &[Arc<str>],
        asking: &Asking,
        counts: Arc<Counts>,
    ) -> Self {
        let (parts, receiver) = mpsc::channel();
        let name = format!("{} on {database}.{}", subscription.name, subscription.policy);
        // They were read when the subscription was made.
        let read = |url: &Arc<str>| Some((url.clone(), Destination::parse(url)?));
        let way = |(url, to)| (url, Way::new(&to, database, &subscription.policy, asking));
        let ways = urls.iter().filter_map(read).map(way).collect();
        let work = Work { name, ways, turn: 0, counts: counts.clone(), failures: Lines::default() };
        let thread = std::thread::Builder::new().name("tidewire-forward".to_owned());
        if let Err(error) = thread.spawn(move || work.run(&receiver)) {
            log::error!("rows are not forwarded: a thread cannot be started: {error}");
        }
        Self { parts, counts }
    }

    /// Hands over.
    pub(super) fn send(&self, part: Arc<Part>) {
        if let Err(mpsc::SendError(part)) = self.parts.send(part) {
            // There is no thread.
            self.counts.failed.fetch_add(part.rows, Ordering::Relaxed);
        }
    }
}

impl Work {
    fn run(mut self, parts: &mpsc::Receiver<Arc<Part>>) {
        while let Ok(first) = parts.recv() {
            let mut waiting = vec![first];
            let mut bytes = waiting[0].text.len();
            while bytes < REQUEST_BYTES
                && let Ok(next) = parts.try_recv()
            {
                bytes += next.text.len();
                waiting.push(next);
            }
            let rows: u64 = waiting.iter().map(|part| part.rows).sum();
            let is_sent = match &waiting[..] {
                [one] => self.send(&one.text),
                all => self.send(&all.iter().map(|part| &*part.text).collect::<Vec<_>>().concat()),
            };
            let count = if is_sent { &self.counts.sent } else { &self.counts.failed };
            count.fetch_add(rows, Ordering::Relaxed);
        }
    }

    /// Sends to the destination whose turn it is, or else to the next that takes it.
    fn send(&mut self, lines: &[u8]) -> bool {
        let first = self.turn;
        self.turn = self.turn.wrapping_add(1);
        for at in 0..self.ways.len() {
            let place = first.wrapping_add(at) % self.ways.len();
            let (url, way) = &mut self.ways[place];
            match way.send(lines) {
                Ok(()) => return true,
                Err(reason) => {
                    if let Some(unsaid) = self.failures.take_turn(Instant::now()) {
                        let others = others(unsaid);
                        log::warn!("rows of subscription {} are not taken by {url}: {reason}{others}", self.name);
                    }
                }
            }
        }
        false
    }
}
