//! Loki's push, `/loki/api/v1/push`.

mod push;

pub use push::{push, write};
