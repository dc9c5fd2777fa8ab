//! Byte classes, many bytes at a time.
//!
//! `digits.rs` reads decimal digits eight at a time in ordinary registers (portable, no `unsafe`).

pub(crate) mod digits;
