//! What waits in the kernel: one ring, its operations in flight, and the timers of one core.
//!
//! Guarantees:
//!
//! 1. Memory and descriptors that an operation uses stay alive until the kernel has completed it, also when the future
//!    that waits for it is dropped: the slot of the operation then owns them.
//! 2. Nothing is lost between the last look and the sleep: the wait ends when there is a completion, also one that was
//!    there before.
//! 3. One [`Reactor::turn`] is at most one system call, whatever was queued and whatever comes back.
//!
//! How: an entry's `user_data` is the index of a slot. An [`Op`] is completed once; a [`Source`] is a poll that stays
//! armed and says again and again that a socket or an eventfd can be read. The kernel may end such a poll, as when
//! there is no room for its completion; then it is armed again, and says at once what is there. A full submission queue
//! is handed over at once, so queueing never fails.
#![expect(unsafe_code, reason = "hands pointers and descriptors to the kernel")]

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use io_uring::squeue::Entry;
use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, opcode};
use rustix::event::PollFlags;
use slab::Slab;

use super::features::{Completions, RingFeatures, build};

/// `user_data` of an entry whose completion nobody waits for.
const NOBODY: u64 = u64::MAX;

/// Completions a ring holds for each entry it can be given: each socket has a poll armed besides what was queued.
const COMPLETIONS_PER_ENTRY: u32 = 8;

/// Polls of a source: more to read, or the peer has closed its side.
const READ_EVENTS: PollFlags = PollFlags::IN.union(PollFlags::RDHUP);

/// After one of these a read does not wait, whatever was read before.
const END_EVENTS: PollFlags = PollFlags::RDHUP.union(PollFlags::HUP).union(PollFlags::ERR);

/// The ring of one core; stays on its thread.
pub(super) struct Reactor {
    ring: RefCell<IoUring>,
    slots: RefCell<Slab<Slot>>,
    /// Completions taken from the ring and not yet handed on, kept for its memory.
    taken: RefCell<Vec<(u64, i32, u32)>>,
    timers: RefCell<Timers>,
    features: RingFeatures,
    completions: Completions,
}

enum Slot {
    /// In flight, with the waker of the future that waits.
    Waiting(Option<Waker>),
    /// Complete, with the kernel's result.
    Done(i32),
    /// In flight; its future has gone and left what the kernel uses.
    Abandoned { _used: Box<dyn Any> },
    /// A poll that stays armed.
    Source(Rc<Readiness>),
}

/// What completes a timer, by due time; the number keeps equal times apart.
#[derive(Default)]
struct Timers {
    next: u64,
    due: BTreeMap<(Instant, u64), Waker>,
}

impl Reactor {
    /// A ring of `depth` entries, with what the kernel has of `features`.
    pub(super) fn new(depth: u32, features: RingFeatures) -> io::Result<Self> {
        let (ring, completions) = build(depth, depth.saturating_mul(COMPLETIONS_PER_ENTRY), features)?;
        Ok(Self {
            ring: RefCell::new(ring),
            slots: RefCell::default(),
            taken: RefCell::default(),
            timers: RefCell::default(),
            features,
            completions,
        })
    }

    /// How the kernel hands over completions.
    pub(super) fn completions(&self) -> Completions {
        self.completions
    }

    /// Registers memory, which transfers by index 0 then need not pin. False where the limit of
    /// locked memory, or the kernel, does not allow it.
    ///
    /// # Safety
    ///
    /// The memory must stay valid for as long as the ring lives.
    pub(super) unsafe fn register(&self, start: *mut u8, length: usize) -> bool {
        if !self.features.has_registered_memory {
            return false;
        }
        let memory = libc::iovec { iov_base: start.cast(), iov_len: length };
        // SAFETY: the caller keeps the memory.
        unsafe { self.ring.borrow().submitter().register_buffers(&[memory]) }.is_ok()
    }

    /// Queues an operation. `used` is what the kernel reads, writes or closes while it lasts.
    ///
    /// # Safety
    ///
    /// Every pointer and descriptor in `entry` must stay valid for as long as `used` is not dropped, wherever `used`
    /// is moved to, and nothing else may touch memory that the kernel writes to.
    pub(super) unsafe fn submit<T: 'static>(self: &Rc<Self>, entry: Entry, used: T) -> Op<T> {
        let key = self.slots.borrow_mut().insert(Slot::Waiting(None));
        self.push(&entry.user_data(key as u64));
        Op { reactor: Rc::clone(self), key, used: Some(used) }
    }

    /// Watches a descriptor for something to read.
    pub(super) fn watch(self: &Rc<Self>, descriptor: OwnedFd) -> Source {
        let readiness = Rc::new(Readiness {
            is_ready: Cell::new(true),
            is_ended: Cell::new(false),
            is_open: Cell::new(true),
            is_armed: Cell::new(true),
            descriptor: descriptor.as_raw_fd(),
            waker: RefCell::default(),
        });
        let key = self.slots.borrow_mut().insert(Slot::Source(Rc::clone(&readiness)));
        let source = Source { reactor: Rc::clone(self), key, readiness, descriptor: Rc::new(descriptor) };
        self.arm(key, source.readiness.descriptor);
        source
    }

    /// Waits until `descriptor` takes bytes, is closed by its peer, or is broken.
    pub(super) async fn writable(self: &Rc<Self>, descriptor: &Rc<OwnedFd>) -> io::Result<()> {
        let events = u32::from((PollFlags::OUT | PollFlags::HUP | PollFlags::ERR).bits());
        let entry = opcode::PollAdd::new(Fd(descriptor.as_raw_fd()), events).build();
        // SAFETY: no memory is used, and the descriptor is kept open by `used`.
        let (result, _) = unsafe { self.submit(entry, Rc::clone(descriptor)) }.await;
        result.map(drop)
    }

    /// Waits for a point in time.
    pub(super) async fn sleep_until(self: &Rc<Self>, due: Instant) {
        let timer = Timer { reactor: Rc::clone(self), key: Cell::new(None), due };
        poll_fn(|context| timer.poll(context)).await;
    }

    /// Gives the kernel what was queued and wakes what waits for completions that have come back. Sleeps until there is
    /// something, or the next timer is due, if `may_sleep`.
    pub(super) fn turn(&self, may_sleep: bool) -> io::Result<()> {
        let entered = if may_sleep { self.enter_and_wait() } else { self.enter() };
        match entered.as_ref().map_err(io::Error::raw_os_error) {
            // A signal, the timer, or a completion queue that is full and is emptied now.
            Ok(()) | Err(Some(libc::EINTR | libc::ETIME | libc::EBUSY | libc::EAGAIN)) => {}
            Err(_) => return entered,
        }
        self.complete();
        self.fire();
        Ok(())
    }

    /// Operations the kernel has not completed.
    fn in_flight(&self) -> Vec<usize> {
        let is_op = |slot: &Slot| matches!(slot, Slot::Waiting(_) | Slot::Abandoned { .. });
        self.slots.borrow().iter().filter(|(_, slot)| is_op(slot)).map(|(key, _)| key).collect()
    }

    /// Ends every operation: polls are cancelled, transfers are waited for.
    pub(super) fn drain(&self) -> io::Result<()> {
        // One by one: to cancel all with one entry takes Linux 5.19.
        self.in_flight().into_iter().for_each(|key| self.cancel(key));
        while !self.in_flight().is_empty() {
            self.turn(true)?;
        }
        Ok(())
    }

    /// Ends a poll. A transfer may end by itself first, which is as good.
    fn cancel(&self, key: usize) {
        self.push(&opcode::AsyncCancel::new(key as u64).build().user_data(NOBODY));
    }

    /// Has the kernel say again and again that `descriptor` can be read, which its source keeps open.
    fn arm(&self, key: usize, descriptor: i32) {
        let events = u32::from(READ_EVENTS.bits());
        self.push(&opcode::PollAdd::new(Fd(descriptor), events).multi(true).build().user_data(key as u64));
    }

    fn enter(&self) -> io::Result<()> {
        let mut ring = self.ring.borrow_mut();
        let (has_entries, has_work) = {
            let queue = ring.submission();
            (!queue.is_empty(), queue.taskrun() || queue.cq_overflow())
        };
        if has_entries || has_work { ring.submit().map(drop) } else { Ok(()) }
    }

    fn enter_and_wait(&self) -> io::Result<()> {
        let ring = self.ring.borrow();
        let next = self.timers.borrow().due.first_key_value().map(|((due, _), _)| *due);
        let Some(due) = next else { return ring.submit_and_wait(1).map(drop) };
        let timeout = Timespec::from(due.saturating_duration_since(Instant::now()));
        ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&timeout)).map(drop)
    }

    /// Queues an entry. Its pointers are good by the contract of [`Self::submit`].
    fn push(&self, entry: &Entry) {
        let mut ring = self.ring.borrow_mut();
        loop {
            // SAFETY: entries come from `submit`, whose contract covers this, or use no memory.
            if unsafe { ring.submission().push(entry) }.is_ok() {
                return;
            }
            if let Err(error) = ring.submit()
                && error.kind() != io::ErrorKind::Interrupted
            {
                // Out of kernel memory: the entries stay queued, and there is nothing better to do than to try again.
                log::error!("the ring takes nothing: {error}");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    fn complete(&self) {
        let mut taken = std::mem::take(&mut *self.taken.borrow_mut());
        let mut ring = self.ring.borrow_mut();
        taken.extend(ring.completion().map(|c| (c.user_data(), c.result(), c.flags())));
        drop(ring);
        for (key, result, flags) in taken.drain(..) {
            if key != NOBODY {
                self.complete_one(key as usize, result, io_uring::cqueue::more(flags));
            }
        }
        *self.taken.borrow_mut() = taken;
    }

    fn complete_one(&self, key: usize, result: i32, is_more: bool) {
        let mut slots = self.slots.borrow_mut();
        match &mut slots[key] {
            Slot::Waiting(waker) => {
                let waker = waker.take();
                slots[key] = Slot::Done(result);
                drop(slots);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            Slot::Abandoned { .. } => {
                let abandoned = slots.remove(key);
                // Dropping it may use the ring.
                drop(slots);
                drop(abandoned);
            }
            Slot::Source(readiness) => {
                let readiness = Rc::clone(readiness);
                if !is_more && !readiness.is_open.get() {
                    slots.remove(key);
                }
                drop(slots);
                if readiness.notice(result, is_more) {
                    self.arm(key, readiness.descriptor);
                }
            }
            Slot::Done(_) => unreachable!("BUG: operation {key} was completed twice"),
        }
    }

    fn fire(&self) {
        let mut timers = self.timers.borrow_mut();
        if timers.due.is_empty() {
            return;
        }
        let later = timers.due.split_off(&(Instant::now(), u64::MAX));
        let due = std::mem::replace(&mut timers.due, later);
        drop(timers);
        due.into_values().for_each(Waker::wake);
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        // After a panic operations may be in flight still; the kernel must not write into memory given back.
        for slot in self.slots.get_mut().drain() {
            if let Slot::Abandoned { _used } = slot {
                std::mem::forget(_used);
            }
        }
    }
}

/// An operation in flight. Gives the kernel's result and what the operation used.
pub(super) struct Op<T: 'static> {
    reactor: Rc<Reactor>,
    key: usize,
    /// `None` once given back.
    used: Option<T>,
}

impl<T: Unpin + 'static> Future for Op<T> {
    type Output = (io::Result<u32>, T);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slots = self.reactor.slots.borrow_mut();
        let result = match &mut slots[self.key] {
            Slot::Done(result) => *result,
            Slot::Waiting(waker) => {
                if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                    *waker = Some(context.waker().clone());
                }
                return Poll::Pending;
            }
            Slot::Abandoned { .. } | Slot::Source(_) => unreachable!("BUG: slot {} is not this operation's", self.key),
        };
        slots.remove(self.key);
        drop(slots);
        let Some(used) = self.used.take() else { unreachable!("BUG: polled after the end") };
        let result = u32::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result));
        Poll::Ready((result, used))
    }
}

impl<T: 'static> Drop for Op<T> {
    fn drop(&mut self) {
        let Some(used) = self.used.take() else { return };
        let mut slots = self.reactor.slots.borrow_mut();
        if matches!(slots[self.key], Slot::Done(_)) {
            slots.remove(self.key);
            return;
        }
        slots[self.key] = Slot::Abandoned { _used: Box::new(used) };
        drop(slots);
        // A transfer ends by itself, a poll might not.
        self.reactor.cancel(self.key);
    }
}

/// What is known of a watched descriptor.
struct Readiness {
    /// A read may give something: there was an event since a read last found nothing.
    is_ready: Cell<bool>,
    /// Reads do not wait any more.
    is_ended: Cell<bool>,
    /// The source was not dropped.
    is_open: Cell<bool>,
    /// The poll goes on.
    is_armed: Cell<bool>,
    /// Open for as long as the source is.
    descriptor: i32,
    waker: RefCell<Option<Waker>>,
}

impl Readiness {
    /// Takes in what a poll says. True where it has ended and is to be armed again.
    fn notice(&self, result: i32, is_more: bool) -> bool {
        let events = u32::try_from(result).ok();
        let is_end = events.is_some_and(|events| events & u32::from(END_EVENTS.bits()) != 0);
        self.is_ended.set(self.is_ended.get() || is_end);
        self.is_ready.set(true);
        // One that failed is armed again when somebody waits for it: at once it might fail without end.
        let is_rearmed = !is_more && events.is_some() && self.is_open.get() && !self.is_ended.get();
        self.is_armed.set(is_more || is_rearmed);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
        is_rearmed
    }
}

/// A descriptor that is watched for something to read.
pub(super) struct Source {
    reactor: Rc<Reactor>,
    key: usize,
    readiness: Rc<Readiness>,
    descriptor: Rc<OwnedFd>,
}

impl Source {
    /// The descriptor.
    pub(super) fn descriptor(&self) -> &Rc<OwnedFd> {
        &self.descriptor
    }

    /// The reactor that watches.
    pub(super) fn reactor(&self) -> &Rc<Reactor> {
        &self.reactor
    }

    /// Whether a read may give something; if not, the task is woken when it does. Only the last that asked is woken.
    pub(super) fn poll_ready(&self, context: &Context<'_>) -> Poll<()> {
        if self.readiness.is_ready.get() {
            return Poll::Ready(());
        }
        let mut waker = self.readiness.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
        if !self.readiness.is_armed.replace(true) {
            self.reactor.arm(self.key, self.readiness.descriptor);
        }
        Poll::Pending
    }

    /// A read gave less than it could have taken: the next one waits for an event, unless the end is near.
    pub(super) fn set_drained(&self) {
        self.readiness.is_ready.set(self.readiness.is_ended.get());
    }

    /// A read gave nothing: the next one waits for an event.
    pub(super) fn set_empty(&self) {
        self.readiness.is_ready.set(false);
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if !self.readiness.is_armed.get() {
            self.reactor.slots.borrow_mut().remove(self.key);
            return;
        }
        self.readiness.is_open.set(false);
        // The poll holds the file open until it ends; its last completion frees the slot.
        self.reactor.cancel(self.key);
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// A point in time that is waited for.
struct Timer {
    reactor: Rc<Reactor>,
    key: Cell<Option<u64>>,
    due: Instant,
}

impl Timer {
    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        if self.due <= Instant::now() {
            return Poll::Ready(());
        }
        let mut timers = self.reactor.timers.borrow_mut();
        let key = self.key.get().unwrap_or_else(|| {
            timers.next += 1;
            timers.next
        });
        self.key.set(Some(key));
        timers.due.insert((self.due, key), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(key) = self.key.get() {
            self.reactor.timers.borrow_mut().due.remove(&(self.due, key));
        }
    }
}
