//! Tidiness of the workspace, as a test.
//!
//! [`workspace::Workspace`] reads every source and page below the root; each check is a file and returns its findings
//! as lines that name file, place and rule, so that one run lists them all. `tests/workspace.rs` holds the list against
//! nothing.
//!
//! ```text
//!   source      a text with comments and strings told apart
//!   module      which file declares which, per crate
//!   import      which file names which
//!   check/      circles, order, size, width, dead modules, links, names, phrases
//! ```
//!
//! Everything is read as text: no compiler runs, so that the test takes a second and needs no dependency. What packages
//! of others there are, cargo is asked (`tests/dependencies.rs`).

pub mod check;
pub mod import;
pub mod module;
pub mod source;
pub mod workspace;
