//! Bytes to borrowed views and back: HTTP/1.1, line protocol, reply encoders. No I/O, no sockets, no clocks.
//!
//! [`row`] is the boundary that all write protocols give their rows through.

mod bytescan;
pub mod encode;
pub mod http;
pub mod line;
pub mod row;
