//! The functions of SQL, as data: what stands here of a function is all that is said of it.
//!
//! A family of scalar functions is a file with its `FUNCTIONS`, each with names, heading, arguments and their
//! conversion, kernel and documentation; an aggregate is a file of [`aggregate`] with its accumulator. To add a
//! function, add its entry to a family. A [`definition`] turns a call into an expression when a statement is bound; the
//! [`registry`] finds it by name. Kernels take columns and give a column of the same length.

pub(crate) mod aggregate;
pub(crate) mod arithmetic;
pub(crate) mod bucket;
mod conditional;
pub(crate) mod conversion;
mod definition;
mod digest;
pub(crate) mod forecast;
mod gauge;
pub mod influxql;
mod math;
pub(crate) mod over;
mod random;
pub(crate) mod registry;
mod regular;
pub(crate) mod repair;
mod rows;
pub(crate) mod series;
pub(crate) mod session;
mod shapes;
mod simplex;
mod state;
pub(crate) mod technical;
mod text;
mod text_part;
pub(crate) mod time;
pub mod transform;
pub(crate) mod windows;

pub use definition::{Aggregate, Documentation, Function};
pub(crate) use definition::{Arguments, wrong_arguments};
pub use over::over_windows;
pub use registry::{aggregates, scalars};
