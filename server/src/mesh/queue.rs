//! A bounded queue from one thread to one other.
//!
//! Guarantees: values come out once each, in the order they went in; neither side ever waits; what is still inside is
//! dropped with the queue.
//!
//! ```text
//!   slots   [ . . . v v v v . . ]      head: next to take, written by the consumer alone
//!                   ^head   ^tail      tail: next to fill, written by the producer alone
//! ```
//!
//! 1. Both counters only grow (and wrap); a slot is `counter & mask`, so the capacity is a power of two and
//!    `tail - head` values are inside.
//! 2. The producer fills the slot, then publishes `tail + 1` (release); the consumer sees it (acquire), moves the
//!    value out, then publishes `head + 1` (release), which the producer must have seen (acquire) before it fills that
//!    slot again.
//! 3. Each side keeps a copy of the other's counter and looks again only when the copy says full (or empty), so in a
//!    busy queue the two cache lines rarely travel.
//!
//! `loom` walks every interleaving of a small queue (`server/loom`); a stress test here runs the real atomics.
#![expect(unsafe_code, reason = "slots are shared between two threads; the counters say whose each one is")]

use std::cell::Cell;
use std::fmt;
use std::mem::MaybeUninit;

use super::sync::{Arc, AtomicUsize, Ordering, UnsafeCell};

/// A counter alone on its cache lines: x86 fetches them in pairs.
#[repr(align(128))]
#[derive(Debug)]
struct Padded(AtomicUsize);

struct Ring<T> {
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
    mask: usize,
    head: Padded,
    tail: Padded,
}

// SAFETY: a slot is touched by one side at a time (steps 1 and 2 above), and a value moves from the producer's thread
// to the consumer's, which needs `T: Send` and nothing more.
unsafe impl<T: Send> Send for Ring<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Ring<T> {}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        let tail = self.tail.0.load(Ordering::Relaxed);
        let mut head = self.head.0.load(Ordering::Relaxed);
        while head != tail {
            // SAFETY: no other handle is left, and slots from head to tail hold values that nobody took.
            self.slots[head & self.mask].with_mut(|slot| unsafe { (*slot).assume_init_drop() });
            head = head.wrapping_add(1);
        }
    }
}

/// The end that puts in. One thread at a time (`!Sync`).
pub struct Producer<T> {
    ring: Arc<Ring<T>>,
    tail: Cell<usize>,
    head_seen: Cell<usize>,
}

/// The end that takes out. One thread at a time (`!Sync`).
pub struct Consumer<T> {
    ring: Arc<Ring<T>>,
    head: Cell<usize>,
    tail_seen: Cell<usize>,
}

/// A queue for at least `capacity` values (rounded up to a power of two).
pub fn queue<T: Send>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let capacity = capacity.max(1).next_power_of_two();
    let ring = Arc::new(Ring {
        slots: (0..capacity).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect(),
        mask: capacity - 1,
        head: Padded(AtomicUsize::new(0)),
        tail: Padded(AtomicUsize::new(0)),
    });
    (
        Producer { ring: Arc::clone(&ring), tail: Cell::new(0), head_seen: Cell::new(0) },
        Consumer { ring, head: Cell::new(0), tail_seen: Cell::new(0) },
    )
}

impl<T> Producer<T> {
    /// Puts a value in, or gives it back when the queue is full.
    #[inline]
    pub fn push(&self, value: T) -> Result<(), T> {
        let ring = &*self.ring;
        let tail = self.tail.get();
        if tail.wrapping_sub(self.head_seen.get()) > ring.mask {
            self.head_seen.set(ring.head.0.load(Ordering::Acquire));
            if tail.wrapping_sub(self.head_seen.get()) > ring.mask {
                return Err(value);
            }
        }
        // SAFETY: fewer than `capacity` values are inside, so this slot is empty and the consumer, which reads up to
        // the published tail, does not look at it before the store below.
        ring.slots[tail & ring.mask].with_mut(|slot| unsafe { (*slot).write(value) });
        let tail = tail.wrapping_add(1);
        self.tail.set(tail);
        ring.tail.0.store(tail, Ordering::Release);
        Ok(())
    }
}

impl<T> Consumer<T> {
    /// Takes the oldest value out.
    #[inline]
    pub fn pop(&self) -> Option<T> {
        let ring = &*self.ring;
        let head = self.head.get();
        if head == self.tail_seen.get() {
            self.tail_seen.set(ring.tail.0.load(Ordering::Acquire));
            if head == self.tail_seen.get() {
                return None;
            }
        }
        // SAFETY: head is before the tail that the producer published after filling this slot, and it is not filled
        // again before the store below.
        let value = ring.slots[head & ring.mask].with(|slot| unsafe { (*slot).assume_init_read() });
        let head = head.wrapping_add(1);
        self.head.set(head);
        ring.head.0.store(head, Ordering::Release);
        Some(value)
    }

    /// Values inside, at the time of asking.
    pub fn len(&self) -> usize {
        self.ring.tail.0.load(Ordering::Acquire).wrapping_sub(self.head.get())
    }

    /// Whether nothing is inside, at the time of asking.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("capacity", &(self.ring.mask + 1)).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("capacity", &(self.ring.mask + 1)).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::VecDeque;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn fills_empties_and_wraps() {
        let (producer, consumer) = queue(3);
        for round in 0..10 {
            for value in 0..4 {
                assert_eq!(producer.push(round * 4 + value), Ok(()));
            }
            assert_eq!(producer.push(99), Err(99));
            assert_eq!(consumer.len(), 4);
            for value in 0..4 {
                assert_eq!(consumer.pop(), Some(round * 4 + value));
            }
            assert_eq!(consumer.pop(), None);
            assert!(consumer.is_empty());
        }
    }

    #[test]
    fn random_pushes_and_pops_equal_a_deque() {
        for seed in [1, 2, 3, 4] {
            let mut random = fastrand::Rng::with_seed(seed);
            let capacity = 1_usize << random.u32(0..5);
            let (producer, consumer) = queue(capacity);
            let mut model = VecDeque::new();
            for step in 0..10_000_u32 {
                if random.bool() {
                    let expected = if model.len() < capacity { Ok(()) } else { Err(step) };
                    assert_eq!(producer.push(step), expected, "seed {seed}");
                    if expected.is_ok() {
                        model.push_back(step);
                    }
                } else {
                    assert_eq!(consumer.pop(), model.pop_front(), "seed {seed}");
                }
            }
        }
    }

    #[test]
    fn counters_wrap() {
        let (producer, consumer) = queue(2);
        let start = usize::MAX - 2;
        for counter in [&producer.ring.head.0, &producer.ring.tail.0] {
            counter.store(start, Ordering::Relaxed);
        }
        for copy in [&producer.tail, &producer.head_seen, &consumer.head, &consumer.tail_seen] {
            copy.set(start);
        }
        for value in 0..6 {
            assert_eq!(producer.push(value), Ok(()));
            assert_eq!(producer.push(value + 100), Ok(()));
            assert_eq!(producer.push(99), Err(99));
            assert_eq!(consumer.len(), 2);
            assert_eq!(consumer.pop(), Some(value));
            assert_eq!(consumer.pop(), Some(value + 100));
            assert_eq!(consumer.pop(), None);
        }
    }

    #[test]
    fn two_threads_keep_order() {
        const COUNT: u64 = 200_000;
        let (producer, consumer) = queue::<Box<u64>>(64);
        let sender = std::thread::spawn(move || {
            for value in 0..COUNT {
                let mut value = Box::new(value);
                while let Err(back) = producer.push(value) {
                    value = back;
                    std::thread::yield_now();
                }
            }
        });
        let mut next = 0;
        while next < COUNT {
            match consumer.pop() {
                Some(value) => {
                    assert_eq!(*value, next);
                    next += 1;
                }
                None => std::thread::yield_now(),
            }
        }
        sender.join().unwrap();
        assert!(consumer.pop().is_none());
    }

    /// Counts its drops. `Rc` is not `Send`; this one never leaves the test's thread, so a plain counter will do.
    #[test]
    fn what_is_inside_is_dropped_with_the_queue() {
        thread_local!(static DROPS: Rc<Cell<usize>> = Rc::default());
        struct Counted;
        impl Drop for Counted {
            fn drop(&mut self) {
                DROPS.with(|drops| drops.set(drops.get() + 1));
            }
        }
        let (producer, consumer) = queue(8);
        for _ in 0..5 {
            assert!(producer.push(Counted).is_ok());
        }
        drop(consumer.pop());
        drop((producer, consumer));
        assert_eq!(DROPS.with(|drops| drops.get()), 5);
    }
}
