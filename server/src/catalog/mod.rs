//! The catalog of databases and tables: one core owns it, persists it and hands immutable snapshots to the others.
//!
//! Guarantee: a change is durable before anybody sees it, changes are applied in one order, and an id once given to a
//! table or column never means anything else.
//!
//! How: [`change::apply`] decides purely (old catalog + change → new catalog or refusal), [`store::CatalogStore`]
//! keeps the newest catalog in one file that is replaced atomically, [`owner::MetaOwner`] queues changes, persists
//! those that arrived together with one write, and publishes.

mod alter;
pub mod change;
mod format1;
pub mod owner;
mod policy;
pub mod refusal;
pub mod store;

pub use change::SchemaChange;
pub use owner::{MetaOwner, Published};
pub use refusal::SchemaError;
