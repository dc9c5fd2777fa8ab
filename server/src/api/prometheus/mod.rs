//! Prometheus' remote write, `/api/v1/prom/write`, and its remote read, `/api/v1/prom/read`.
//!
//! ```text
//!   write.rs    samples as rows
//!   read.rs     a request to read, from its body to its answer
//!   wanted.rs   what it wants: labels and times as statements over tables
//!   found.rs    the rows of these statements as series
//!   send.rs     series as an answer, whole or in a stream
//! ```

mod found;
mod read;
mod send;
mod wanted;
mod write;

pub use read::read;
pub use write::write;
