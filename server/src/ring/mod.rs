//! The ring adapter: the only place that knows glommio, and what it does not tell.
//!
//! Guarantees: a core runs on its own pinned executor with three task queues ([`queue::Queues`]); files obey the
//! contract of `storage::disk` ([`disk::GlommioDisk`]); sockets are read and written without a heap timer per
//! request ([`socket::Socket`], [`deadline::Deadlines`]); what the host gave (memory to lock, files, registered
//! buffers) is known and reported ([`host`]).
//!
//! What glommio 0.9.0 does not tell, each met at the named place:
//!
//! 1. Its arena is registered on three rings, so it costs three times `io_memory` of locked memory; past
//!    `RLIMIT_MEMLOCK` registration fails with a log line and no error. [`host::io_memory_bytes`] sizes the arena,
//!    [`host::pinned_bytes`] reads back what the kernel really pinned.
//! 2. Whether a block device takes polled reads is decided once per thread and device, from the first file opened; an
//!    empty file reads "successfully", and every later read then fails with EOPNOTSUPP. [`disk`] opens a file that is
//!    not empty first.
//! 3. Reads above the device's max_sectors can hang. [`disk`] refuses transfers above 1 MiB.
//! 4. File size is asked by path, which is wrong after a rename. [`disk`] asks the descriptor.
//! 5. Its listener sets SO_REUSEPORT, so that a second server would share the port silently, and not SO_REUSEADDR;
//!    each accept costs four `fcntl`. `net::listener` accepts by itself.
//! 6. Without io_uring it panics or exits with a joke. [`host::check_io_uring`] asks the kernel first.
//! 7. Its channel mesh can deadlock when full. `mesh` replaces it.
//! 8. A wake from another thread can be lost, and so can one that meets the preemption timer at a bad moment: the
//!    executor then sleeps with tasks that could run. [`event`] tells how; messages between cores use it instead of
//!    foreign wakers, no queue has a latency class (a foreign wake would write the eventfd each time), and
//!    [`executor`] keeps a slow heartbeat that bounds what is left.

pub mod deadline;
pub mod disk;
pub mod event;
pub mod executor;
pub mod host;
pub mod queue;
pub mod socket;

pub use disk::{GlommioDisk, blocking};
pub use executor::{CoreHandle, CoreOptions, start_core};
pub use glommio::Task;
pub use glommio::timer::sleep;
pub use queue::{Queue, Queues};
