//! Shutdown: requested once, from any thread, seen by every core, and gone through by all of them in step.
//!
//! 1. [`Shutdown::request`]: every core takes no more requests and lets those under way finish.
//! 2. [`Meeting::Drained`]: no core goes on before the last has nothing under way, since any of them may be asked for
//!    its shards until then. Then every core closes its shards.
//! 3. [`Meeting::Closed`]: no core ends before the last has closed.
//!
//! [`Shutdown::hurry`] cuts the first step short. A core that ends otherwise, as by a panic, counts as one that has
//! come to both meetings ([`Shutdown::lose`]).
//!
//! Nothing here is on the data path: a look at whether the shutdown is requested is one load of a line that does not
//! change until the end.

use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Shared by all cores and the thread that hears signals.
#[derive(Clone)]
pub struct Shutdown(Arc<State>);

struct State {
    requested: Flag,
    urgent: Flag,
    meetings: [Gathering; Meeting::ALL.len()],
}

/// Where the cores wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meeting {
    /// Nothing is under way on any core.
    Drained,
    /// The shards of all cores are closed.
    Closed,
}

impl Meeting {
    const ALL: [Self; 2] = [Self::Drained, Self::Closed];
}

impl Shutdown {
    /// Not requested yet; for this number of cores.
    pub fn new(cores: usize) -> Self {
        let gathering = |_| Gathering(Mutex::new(Missing { cores: vec![true; cores], waiting: Vec::new() }));
        Self(Arc::new(State {
            requested: Flag::default(),
            urgent: Flag::default(),
            meetings: Meeting::ALL.map(gathering),
        }))
    }

    /// Has every core finish what is under way and end.
    pub fn request(&self) {
        self.0.requested.raise();
    }

    /// Whether it was requested.
    #[inline]
    pub fn is_requested(&self) -> bool {
        self.0.requested.is_raised()
    }

    /// Waits until it is requested.
    pub async fn requested(&self) {
        poll_fn(|context| self.0.requested.poll(context)).await;
    }

    /// What is under way is not waited for any longer.
    pub fn hurry(&self) {
        self.0.urgent.raise();
    }

    /// Whether nobody waits for what is under way.
    pub fn is_urgent(&self) -> bool {
        self.0.urgent.is_raised()
    }

    /// Comes to a meeting and waits for the other cores.
    pub async fn meet(&self, meeting: Meeting, core: usize) {
        let gathering = &self.0.meetings[meeting as usize];
        gathering.arrive(core);
        poll_fn(|context| gathering.poll(context)).await;
    }

    /// The core has ended: no meeting waits for it.
    pub fn lose(&self, core: usize) {
        self.0.meetings.iter().for_each(|gathering| gathering.arrive(core));
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shutdown").field(&self.is_requested()).finish()
    }
}

/// Raised once, and never taken back.
#[derive(Default)]
struct Flag {
    is_raised: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

impl Flag {
    fn raise(&self) {
        self.is_raised.store(true, Ordering::SeqCst);
        let waiting = std::mem::take(&mut *locked(&self.waiting));
        waiting.into_iter().for_each(Waker::wake);
    }

    #[inline]
    fn is_raised(&self) -> bool {
        self.is_raised.load(Ordering::Relaxed)
    }

    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        if self.is_raised() {
            return Poll::Ready(());
        }
        remember(&mut locked(&self.waiting), context);
        // It may have been raised between the look and the push.
        if self.is_raised.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// The cores that a meeting still waits for, and the tasks of those that are there.
struct Gathering(Mutex<Missing>);

struct Missing {
    /// By core.
    cores: Vec<bool>,
    waiting: Vec<Waker>,
}

impl Gathering {
    fn arrive(&self, core: usize) {
        let mut missing = locked(&self.0);
        missing.cores[core] = false;
        let waiting = if missing.is_over() { std::mem::take(&mut missing.waiting) } else { Vec::new() };
        drop(missing);
        waiting.into_iter().for_each(Waker::wake);
    }

    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        let mut missing = locked(&self.0);
        if missing.is_over() {
            return Poll::Ready(());
        }
        remember(&mut missing.waiting, context);
        Poll::Pending
    }
}

impl Missing {
    fn is_over(&self) -> bool {
        self.cores.iter().all(|is_missing| !is_missing)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds the task once, however often it is polled.
fn remember(waiting: &mut Vec<Waker>, context: &Context<'_>) {
    if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
        waiting.push(context.waker().clone());
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{block_on, poll_once};

    use super::*;

    #[test]
    fn a_request_reaches_those_who_wait_and_those_who_come_later() {
        let shutdown = Shutdown::new(1);
        assert!(!shutdown.is_requested());
        let waiting = {
            let shutdown = shutdown.clone();
            std::thread::spawn(move || block_on(shutdown.requested()))
        };
        shutdown.request();
        waiting.join().unwrap();
        block_on(shutdown.requested());
        assert!(!shutdown.is_urgent());
        shutdown.hurry();
        assert!(shutdown.is_urgent());
    }

    #[test]
    fn no_core_goes_on_before_the_last_has_come() {
        use std::sync::atomic::AtomicUsize;
        const CORES: usize = 4;
        for _ in 0..200 {
            let shutdown = Shutdown::new(CORES);
            let arrived = [AtomicUsize::new(0), AtomicUsize::new(0)];
            std::thread::scope(|scope| {
                for core in 0..CORES {
                    let (shutdown, arrived) = (&shutdown, &arrived);
                    scope.spawn(move || {
                        for (meeting, arrived) in Meeting::ALL.into_iter().zip(arrived) {
                            arrived.fetch_add(1, Ordering::SeqCst);
                            block_on(shutdown.meet(meeting, core));
                            assert_eq!(arrived.load(Ordering::SeqCst), CORES);
                        }
                    });
                }
            });
        }
    }

    #[test]
    fn a_core_that_is_lost_is_not_waited_for() {
        let shutdown = Shutdown::new(2);
        let waiting = {
            let shutdown = shutdown.clone();
            std::thread::spawn(move || {
                block_on(shutdown.meet(Meeting::Drained, 0));
                block_on(shutdown.meet(Meeting::Closed, 0));
            })
        };
        shutdown.lose(1);
        // Again makes no difference.
        shutdown.lose(1);
        waiting.join().unwrap();
    }

    #[test]
    fn a_task_that_is_polled_often_waits_once() {
        let shutdown = Shutdown::new(1);
        let mut requested = std::pin::pin!(shutdown.requested());
        block_on(async {
            for _ in 0..100 {
                assert!(poll_once(requested.as_mut()).await.is_none());
            }
        });
        assert_eq!(locked(&shutdown.0.requested.waiting).len(), 1);
    }
}
