//! Byte classes, many bytes at a time.
//!
//! `digits.rs` reads decimal digits eight at a time in ordinary registers (portable, no `unsafe`); `plain.rs` reads
//! short numbers one by one.

pub(crate) mod digits;
pub(crate) mod plain;
