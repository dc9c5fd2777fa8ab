//! The catalog of databases and tables: one core owns it, makes its changes durable and hands immutable snapshots to
//! the others.
//!
//! Guarantee: a change is durable before anybody sees it, done whole or not at all, and costs what it changes, not what
//! the catalog holds; changes are applied in one order; an id once given to a table or column never means anything
//! else; nothing is shown that the next start might lack.
//!
//! How: [`decide`] decides purely (catalog + change → edits or refusal), [`edit`] makes the next catalog of edits,
//! [`owner::CatalogOwner`] queues changes, appends the edits of those that arrived together to the log in one write,
//! and publishes. [`log`] writes files of [`frame`]s through the shards' disk trait, [`read`] reads them, also for
//! tools; [`document`] reads what earlier builds wrote. [`fence`] hides what a failed save leaves open. A refusal
//! ([`CatalogError`]) says what is wrong; each API has its own words for it.

mod alter;
pub mod bounds;
pub mod change;
mod decide;
mod decided;
mod document;
pub mod edit;
pub mod error;
mod fence;
mod frame;
pub mod handover;
pub mod initial;
pub mod log;
mod name;
pub mod owner;
mod policy;
mod preview;
pub mod read;
#[cfg(test)]
mod simulation;
mod subscription;
mod table;
mod tenant;
#[cfg(test)]
mod tests;
mod user;

pub use change::{SchemaChange, TenantChange, UserChange};
pub use error::CatalogError;
pub use owner::{CatalogOwner, Published};
pub use preview::preview;
