//! One shard's data, from a columnar write batch to sorted, compressed, immutable segments and back.
//!
//! What the crate guarantees: a batch whose LSN is durable ([`engine::Shard::durable`]) survives a crash of the
//! process and, with `wal.sync = always`, of the machine; a scan sees for one series and time the newest value of
//! each field; bytes read back from a disk are never trusted (checksums, validated archives, bounded lengths).
//!
//! Every kind of file carries the version of its format. A version that has left the house is read by every later
//! build; `tests/golden` keeps files of each, and a test that reads them.
//!
//! How: `batch` → `wal` → `memtable` → `segment` (codecs per block) → `scan`; `manifest` names what is live, `series`
//! maps tags to dense ids, `disk` is the seam below which files live; `inspect` is the door for tools that only look.
//! No sockets, no SQL, no threads: the caller drives the futures on whatever executor it has.

pub mod batch;
pub mod cache;
pub mod chunk;
pub mod codec;
pub mod compaction;
mod detached;
pub mod disk;
pub mod engine;
pub mod error;
pub mod fields;
pub mod inspect;
mod manifest;
pub mod memtable;
pub mod names;
mod open_files;
mod partition;
pub mod recovery;
pub mod run;
pub mod salvage;
pub mod scan;
pub mod schema;
pub mod segment;
pub mod series;
mod signal;
mod step_sort;
#[cfg(test)]
mod testing;
mod together;
mod tombstone;
pub mod wal;
pub mod work;

pub use error::{Error, Result};
