//! Files outside the data folder as rows of tables, and rows as files.
//!
//! Guarantee: nothing is opened, made or listed but below the folders that the configuration names ([`folders`]): a
//! location is taken apart by its text, and the kernel refuses whatever leaves the folder on the way, links included.
//! What a file holds is not trusted: each step of a reading has a bound in rows and bytes and says beforehand what
//! memory it wants ([`Step`]).
//!
//! ```text
//! location ─► folders ─► Reading ─┬─► csv      ┐
//!             (beneath)           ├─► json     ├─► values, a builder a column ─► batches
//!                                 └─► parquet  ┘
//! batches ─► Writing ─► a file that has no name until it is whole
//! ```
//!
//! All calls here block. The server makes them on a thread beside its cores.

mod csv;
mod error;
pub mod folders;
mod infer;
mod json;
mod parquet;
mod reading;
#[cfg(test)]
mod tests;
mod text;
mod values;
mod writing;

pub use error::FileError;
pub use folders::Folders;
pub use infer::columns;
pub use reading::{Reading, Step};
pub use writing::Writing;
