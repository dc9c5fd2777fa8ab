//! Bytes to borrowed views and back: HTTP/1.1, the formats that rows are written in, reply encoders. No I/O, no
//! sockets, no clocks.
//!
//! [`row`] is the boundary that all write protocols give their rows through.

mod bytescan;
pub mod document;
pub mod encode;
pub mod http;
pub mod json;
pub mod line;
pub mod loki;
pub mod opentsdb;
pub mod otlp;
pub mod prometheus;
pub mod protobuf;
pub mod row;
mod shapes;
