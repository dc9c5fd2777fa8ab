//! The picker over random histories of flushes, and merges against a map.

mod histories;
mod merges;
