//! The mesh: the one door between cores.
//!
//! Every ordered pair of cores has its own bounded queue ([`queue`]); every core has one bell ([`bell`]) and one task
//! that empties its inbox. What crosses is a message of one closed type `M`: data, never code.
//!
//! **Sending never waits and never fails.** Room is guaranteed beforehand by credits ([`credit`]), by this rule:
//!
//! 1. A task that wants an answer from core `b` first takes a [`Permit`] of `n` credits for the link to `b`. It covers
//!    one request, its cancellation, and `n` answers on their way back at once.
//! 2. Answers beyond the first `n` are sent only against a grant, sent by the asking side for each answer it has taken.
//! 3. So in the queue from `a` to `b` there are at most, per credit that `a` holds for `b`: a request, a cancellation
//!    and a grant; and per credit that `b` holds for `a`: an answer. That is 4 messages per credit, and
//!    the queue has that many slots ([`MESSAGES_PER_CREDIT`]).
//!
//! **No deadlock.** The task that empties an inbox takes no permits and waits for no other core; it may start tasks
//! that do. Only tasks wait for permits, and a permit comes back by messages that the inbox tasks deliver.
//!
//! Memory that came from another core is dropped where it was sent unless the message carries it home: buffers that
//! are worth reusing go back in the answer.

mod bell;
mod call;
mod credit;
pub mod queue;
mod sync;

use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

pub use bell::Bell;
pub use call::{Call, CallId, Calls};
pub use credit::{Credits, Permit};
use queue::{Consumer, Producer, queue};

use crate::ring::event::Listener;
use crate::ring::waiter::Waiter;

/// Slots in a link for each credit (rule 3 above).
pub const MESSAGES_PER_CREDIT: usize = 4;

/// Credits of all links into one core together: bounds the memory of its queues (4,096 slots) on large machines, and
/// leaves each link of a small one more than a busy core keeps open.
const CREDITS_PER_CORE: usize = 1024;

/// Least credits of a link, whatever the number of cores.
const CREDITS_MIN: usize = 16;

/// What one core needs to take part; made by [`wire`] and moved into the core's thread.
pub struct Port<M> {
    core: usize,
    links: Vec<Option<(Producer<M>, Arc<Bell>)>>,
    queues: Vec<(usize, Consumer<M>)>,
    bell: Arc<Bell>,
    listener: Listener,
    credits_per_link: u32,
}

/// Sends messages from this core to others.
pub struct Mesh<M> {
    core: usize,
    links: Vec<Option<Link<M>>>,
}

struct Link<M> {
    producer: Producer<M>,
    bell: Arc<Bell>,
    credits: Rc<Credits>,
}

/// Messages from other cores to this one.
pub struct Inbox<M> {
    queues: Vec<(usize, Consumer<M>)>,
    bell: Arc<Bell>,
    waiter: Waiter,
    /// Where to look next, so that no sender is favoured.
    next: usize,
}

/// Credits that each link of a server with `cores` cores has.
pub fn credits_per_link(cores: usize) -> usize {
    (CREDITS_PER_CORE / cores.saturating_sub(1).max(1)).max(CREDITS_MIN)
}

/// Makes the queues between `cores` cores; element `i` is for core `i`.
pub fn wire<M: Send>(cores: usize) -> io::Result<Vec<Port<M>>> {
    let credits = credits_per_link(cores);
    let mut ports: Vec<Port<M>> = Vec::with_capacity(cores);
    for core in 0..cores {
        let (bell, listener) = Bell::new()?;
        ports.push(Port {
            core,
            links: Vec::with_capacity(cores),
            queues: Vec::with_capacity(cores),
            bell: Arc::new(bell),
            listener,
            credits_per_link: u32::try_from(credits).unwrap_or(u32::MAX),
        });
    }
    for from in 0..cores {
        for to in 0..cores {
            if from == to {
                ports[from].links.push(None);
                continue;
            }
            let (producer, consumer) = queue(credits * MESSAGES_PER_CREDIT);
            let bell = Arc::clone(&ports[to].bell);
            ports[from].links.push(Some((producer, bell)));
            ports[to].queues.push((from, consumer));
        }
    }
    Ok(ports)
}

impl<M> Port<M> {
    /// Opens the port on its core, whose executor must be running.
    pub fn open(self) -> (Rc<Mesh<M>>, Inbox<M>) {
        let links = self.links.into_iter().map(|link| {
            link.map(|(producer, bell)| Link { producer, bell, credits: Credits::new(self.credits_per_link) })
        });
        let inbox = Inbox { queues: self.queues, bell: self.bell, waiter: self.listener.listen(), next: 0 };
        (Rc::new(Mesh { core: self.core, links: links.collect() }), inbox)
    }
}

impl<M> Mesh<M> {
    /// This core's number.
    pub fn core(&self) -> usize {
        self.core
    }

    /// How many cores there are.
    pub fn cores(&self) -> usize {
        self.links.len()
    }

    /// Credits of the link to another core, for permits and for the metrics.
    pub fn credits(&self, to: usize) -> &Rc<Credits> {
        &self.link(to).credits
    }

    /// Sends a message to another core. There is room for every message that obeys the rule of this module.
    pub fn send(&self, to: usize, message: M) {
        let link = self.link(to);
        let pushed = link.producer.push(message);
        assert!(pushed.is_ok(), "invariant: a permit was taken for each message, yet the link to core {to} is full");
        link.bell.ring();
    }

    fn link(&self, to: usize) -> &Link<M> {
        match self.links.get(to) {
            Some(Some(link)) => link,
            _ => unreachable!("invariant: core {} sends to another core, not to {to}", self.core),
        }
    }
}

impl<M> Inbox<M> {
    /// The next message and the core it came from.
    pub async fn next(&mut self) -> (usize, M) {
        loop {
            if let Some(found) = self.try_next() {
                return found;
            }
            self.bell.arm();
            if let Some(found) = self.try_next() {
                self.bell.disarm();
                return found;
            }
            self.waiter.wait().await;
        }
    }

    /// A message that is already there.
    pub fn try_next(&mut self) -> Option<(usize, M)> {
        for _ in 0..self.queues.len() {
            let (from, consumer) = &self.queues[self.next];
            self.next = (self.next + 1) % self.queues.len();
            if let Some(message) = consumer.pop() {
                return Some((*from, message));
            }
        }
        None
    }

    /// Messages waiting, for the metrics.
    pub fn len(&self) -> usize {
        self.queues.iter().map(|(_, consumer)| consumer.len()).sum()
    }

    /// Whether no message waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<M> fmt::Debug for Port<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").field("core", &self.core).finish_non_exhaustive()
    }
}

impl<M> fmt::Debug for Mesh<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mesh").field("core", &self.core).field("cores", &self.links.len()).finish_non_exhaustive()
    }
}

impl<M> fmt::Debug for Inbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("queues", &self.queues.len()).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::ring::testing::on_a_core;

    #[test]
    fn every_pair_is_wired_once() {
        on_a_core(async || {
            let mut ends: Vec<_> = wire::<(usize, usize)>(4).unwrap().into_iter().map(Port::open).collect();
            for (from, (mesh, _)) in ends.iter().enumerate() {
                for to in (0..4).filter(|to| *to != from) {
                    mesh.send(to, (from, to));
                }
            }
            for (core, (_, inbox)) in ends.iter_mut().enumerate() {
                assert_eq!(inbox.len(), 3);
                let mut senders = Vec::new();
                while let Some((from, message)) = inbox.try_next() {
                    assert_eq!(message, (from, core));
                    senders.push(from);
                }
                senders.sort_unstable();
                assert_eq!(senders, (0..4).filter(|other| *other != core).collect::<Vec<_>>());
            }
        });
    }

    #[test]
    fn a_link_holds_what_its_credits_allow_and_a_breach_is_loud() {
        on_a_core(async || {
            let mut ports = wire::<usize>(2).unwrap();
            let (far, _) = ports.remove(1).open();
            let (_, inbox) = ports.remove(0).open();
            let room = credits_per_link(2) * MESSAGES_PER_CREDIT;
            (0..room).for_each(|message| far.send(0, message));
            assert_eq!(inbox.len(), room);
            let breach = catch_unwind(AssertUnwindSafe(|| far.send(0, room)));
            let reason = *breach.unwrap_err().downcast::<String>().unwrap();
            assert!(reason.starts_with("invariant: a permit was taken"), "{reason}");
        });
    }

    #[test]
    fn credits_stay_bounded_on_large_machines() {
        assert_eq!(credits_per_link(1), 1024);
        assert_eq!(credits_per_link(2), 1024);
        assert!((2..=256).all(|cores| credits_per_link(cores) >= CREDITS_MIN));
    }
}
