//! The runtime of a core, on io_uring.
//!
//! Guarantees: a core runs its tasks on its own pinned thread in queues with shares ([`executor`], [`queues`]),
//! and sleeps only in its ring ([`reactor`]); files obey the contract of `storage::disk` ([`disk`]); sockets are read
//! and written without a timer, a lock or an allocation per request ([`socket`], [`deadline`]); tasks can be woken from
//! any thread ([`wake`]), and other cores signal by an eventfd ([`event`], [`waiter`]); what the host gave (memory to
//! lock, files, registered memory) is known and reported ([`host`]). Why it is our own, see `docs/decisions/0004`.
//!
//! ```text
//!   executor   queues -> slice -> reactor.turn(): submit, reap, fire timers -> queues ...     one system call a turn
//!     current    what a thread is while it is a core: its tasks, its reactor, its helper
//!     run_queues which task runs next
//!     wake       wakers: a push to the run queue, or from elsewhere a push to the core's inbox and an eventfd
//!     task       what `spawn` returns: await, cancel, detach
//!     within     a part of a task's work in another queue
//!     hold       tasks that are not to be cut short just now
//!   reactor    operations (files), sources (sockets and eventfds that stay armed), timers
//!   features   what the ring uses of its kernel, and does without on an older one
//!   arena      aligned memory, registered with the ring
//!   blocking   calls that block or calculate long, on helper threads
//!   sampler    where all threads are, while somebody asks
//!   panic      a mistake of ours ends what ran into it, and is counted and logged
//! ```

mod arena;
mod blocking;
mod current;
pub mod deadline;
pub mod disk;
pub mod event;
pub mod executor;
pub mod features;
mod helper;
mod hold;
pub mod host;
mod lanes;
mod panic;
pub mod queue;
pub mod queues;
mod reactor;
mod run_queues;
pub mod sampler;
pub mod socket;
mod task;
#[cfg(all(test, not(loom)))]
pub(crate) mod testing;
#[cfg(all(test, not(loom)))]
mod tests;
pub mod waiter;
mod wake;
mod within;

pub use arena::RingBuffer;
pub use blocking::{apart, blocking, calculate, drop_beside, with_files};
pub use current::{CoreOptions, LongPoll, TaskCount, name_task, task_counts};
pub use disk::RingDisk;
pub use executor::{CoreHandle, completions, registered_bytes, sleep, start_core, start_core_with, yield_if_needed};
pub use features::{Completions, RingFeatures};
pub use hold::{Hold, hold, is_held};
pub use panic::{Caught, Panicked, caught, panics, poll_caught, watch_panics};
pub use queue::Queue;
pub use queues::Queues;
pub use task::Task;
pub use within::within;
