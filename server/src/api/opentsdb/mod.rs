//! OpenTSDB's points.
//!
//! ```text
//!   write.rs    /api/v1/opentsdb/write: text
//!   put.rs      /api/v1/opentsdb/put and /api/put: JSON
//!   error.rs    faults in the words of both APIs
//! ```

pub mod error;
mod put;
mod write;

pub use put::{Manner, put};
pub use write::write;
