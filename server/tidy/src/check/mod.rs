//! The checks, one a file. Each returns its findings, a line each.

mod circles;
mod names;
mod order;
mod pages;
mod phrases;
mod size;

pub use circles::circles;
pub use names::{config_keys, metrics};
pub use order::order;
pub use pages::links;
pub use phrases::phrases;
pub use size::{file_lines, line_columns, undeclared_modules};
