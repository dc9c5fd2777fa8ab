//! Scalar functions as kernels over whole columns: `time` (bins, parts, windows), `math`, `text`.
//!
//! A kernel takes arrays and gives an array of the same length; where its arguments must be constant it says so.

pub(crate) mod math;
pub(crate) mod text;
pub(crate) mod time;
