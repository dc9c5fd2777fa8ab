//! OpenTSDB's points.
//!
//! ```text
//!   write.rs    /api/v1/opentsdb/write: text
//!   put.rs      /api/v1/opentsdb/put and /api/put: JSON
//!   version.rs  /api/version
//!   telnet.rs   commands on connections of their own: `put`, and what goes with it
//!   error.rs    faults in the words of both APIs
//! ```

pub mod error;
mod put;
mod telnet;
mod version;
mod write;

pub use put::{Manner, put};
pub(in crate::api) use telnet::Telnet;
pub use version::version;
pub use write::write;
