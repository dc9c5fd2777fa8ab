//! The manifest: which files of a shard are live, and up to where the log is in them.
//!
//! Guarantees:
//!
//! 1. A change ([`Edit`]) is durable whole or not at all. It adds and removes in one step, which is what a merge needs.
//!    A file counts from the moment the manifest names it; files that no manifest names are removed at the next start.
//! 2. An edit costs what it changes, not what the manifest holds: bytes on the disk and work in memory.
//! 3. The manifest lies in two files. Where one of them cannot be read, or has lost its end, the other takes its place;
//!    where neither can be read, or an edit that was durable is whole in neither, that is an error which names file and
//!    offset.
//!
//! How: a file begins with a snapshot ([`snapshot`]), which is put in place as a whole, and edits are appended to it
//! ([`frame`]), first to `MANIFEST` and then to `MANIFEST.copy`. When the edits outgrow the snapshot, both files are
//! made anew ([`log`]), in [`pieces`] where they hold much. A start reads both, and what it goes on from is durable in
//! both afterwards. [`entry`] and [`contents`] are the manifest in memory.

mod contents;
mod entry;
mod frame;
mod image;
mod log;
mod pieces;
mod snapshot;
#[cfg(test)]
mod tests;
mod v2;

pub(crate) use contents::Manifest;
pub(crate) use entry::{Edit, SegmentEntry, SeriesFileEntry, TableEntry, TombstoneEntry};
pub(crate) use image::Image;
pub(crate) use log::{COPY, MANIFEST, ManifestLog, Newest, NotStored, load, newest};
