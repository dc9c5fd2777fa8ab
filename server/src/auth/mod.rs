//! Who asks, and what proves it.
//!
//! ```text
//!   password.rs    a password's hash, and whether a password is the one of a hash: beside the core
//! ```

pub mod password;
