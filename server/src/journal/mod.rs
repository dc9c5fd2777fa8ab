//! Lines about requests: what was asked, what was administered, which statements were slow.
//!
//! ```text
//!   text.rs      what comes from a client, in plain form
//!   record.rs    a line: its fields as text, or as JSON
//!   files.rs     where lines go: into files of their own, written by a thread and opened again on SIGHUP, or into the
//!                server's log
//!   server.rs    the lines of the server's log
//! ```

pub mod files;
pub mod record;
pub mod server;
pub mod text;
