//! Deadlines of connections without a timer per request.
//!
//! Every connection of a core owns one slot in the core's [`Deadlines`]. Setting a deadline stores a number. One task
//! ([`Deadlines::run`]) wakes every tick, moves the coarse clock and wakes those whose deadline has passed, so a
//! timeout fires up to one tick late and never early.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

/// No deadline.
const NEVER: u64 = u64::MAX;

/// The deadlines of one core.
#[derive(Debug)]
pub struct Deadlines {
    start: Instant,
    tick: Duration,
    is_over: Cell<bool>,
    now_ms: Cell<u64>,
    slots: RefCell<Vec<DeadlineSlot>>,
    free: RefCell<Vec<usize>>,
}

#[derive(Debug)]
struct DeadlineSlot {
    due_ms: u64,
    waker: Option<Waker>,
}

impl Deadlines {
    /// Deadlines looked at every `tick`.
    pub fn new(tick: Duration) -> Rc<Self> {
        Rc::new(Self {
            start: Instant::now(),
            tick,
            is_over: Cell::new(false),
            now_ms: Cell::new(0),
            slots: RefCell::new(Vec::new()),
            free: RefCell::new(Vec::new()),
        })
    }

    /// A slot for one connection.
    pub fn slot(self: &Rc<Self>) -> Deadline {
        let mut slots = self.slots.borrow_mut();
        let index = self.free.borrow_mut().pop().unwrap_or_else(|| {
            slots.push(DeadlineSlot { due_ms: NEVER, waker: None });
            slots.len() - 1
        });
        slots[index] = DeadlineSlot { due_ms: NEVER, waker: None };
        Deadline { deadlines: Rc::clone(self), index }
    }

    /// Drives the clock; never ends.
    pub async fn run(self: Rc<Self>) {
        loop {
            super::executor::sleep(self.tick).await;
            self.advance(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(NEVER - 1));
        }
    }

    /// Everything is due from now on: the server ends.
    pub fn expire_all(&self) {
        self.is_over.set(true);
        let waiting: Vec<_> = self.slots.borrow_mut().iter_mut().filter_map(|slot| slot.waker.take()).collect();
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Moves the clock and wakes what is due.
    fn advance(&self, now_ms: u64) {
        self.now_ms.set(now_ms);
        let mut due = Vec::new();
        for slot in self.slots.borrow_mut().iter_mut().filter(|slot| slot.due_ms <= now_ms) {
            due.extend(slot.waker.take());
        }
        due.into_iter().for_each(Waker::wake);
    }
}

/// One connection's deadline.
#[derive(Debug)]
pub struct Deadline {
    deadlines: Rc<Deadlines>,
    index: usize,
}

impl Deadline {
    /// Due `after` from now, counted from the next tick so that it is never early.
    pub fn set(&self, after: Duration) {
        let after = u64::try_from((after + self.deadlines.tick).as_millis()).unwrap_or(NEVER);
        self.deadlines.slots.borrow_mut()[self.index].due_ms = self.deadlines.now_ms.get().saturating_add(after);
    }

    /// Never due.
    pub fn clear(&self) {
        self.deadlines.slots.borrow_mut()[self.index].due_ms = NEVER;
    }

    /// Whether it has passed; if not, the task is woken when it does.
    pub fn poll_due(&self, context: &Context<'_>) -> bool {
        let slot = &mut self.deadlines.slots.borrow_mut()[self.index];
        if slot.due_ms <= self.deadlines.now_ms.get() || self.deadlines.is_over.get() {
            return true;
        }
        if !slot.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            slot.waker = Some(context.waker().clone());
        }
        false
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.deadlines.slots.borrow_mut()[self.index] = DeadlineSlot { due_ms: NEVER, waker: None };
        self.deadlines.free.borrow_mut().push(self.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_after_and_never_before() {
        let deadlines = Deadlines::new(Duration::from_millis(10));
        let context = Context::from_waker(Waker::noop());
        let (first, second) = (deadlines.slot(), deadlines.slot());
        first.set(Duration::from_millis(50));
        deadlines.advance(50);
        assert!(!first.poll_due(&context));
        deadlines.advance(60);
        assert!(first.poll_due(&context));
        assert!(!second.poll_due(&context));
        first.clear();
        assert!(!first.poll_due(&context));
    }

    #[test]
    fn all_are_due_at_the_end() {
        let deadlines = Deadlines::new(Duration::from_millis(10));
        let slot = deadlines.slot();
        let context = Context::from_waker(Waker::noop());
        assert!(!slot.poll_due(&context));
        deadlines.expire_all();
        assert!(slot.poll_due(&context));
    }

    #[test]
    fn slots_are_used_again_without_their_old_deadline() {
        let deadlines = Deadlines::new(Duration::from_millis(10));
        let first = deadlines.slot();
        first.set(Duration::ZERO);
        let index = first.index;
        drop(first);
        let again = deadlines.slot();
        assert_eq!(again.index, index);
        deadlines.advance(1_000_000);
        assert!(!again.poll_due(&Context::from_waker(Waker::noop())));
    }
}
