//! Inputs that several benchmarks share. The benchmarks are in `benches/`, one file a room.

pub mod devops;
pub mod lines;
pub mod sensors;
