//! The catalog of databases and tables: one core owns it, persists it and hands immutable snapshots to the others.
//!
//! Guarantee: a change is durable before anybody sees it, changes are applied in one order, and an id once given to a
//! table or column never means anything else.
//!
//! How: [`apply`] decides purely (old catalog + change → new catalog or refusal), [`store::CatalogStore`] keeps the
//! newest catalog in one file that is replaced atomically, [`owner::CatalogOwner`] queues changes, persists those that
//! arrived together with one write, and publishes. A refusal ([`CatalogError`]) says what is wrong; each API has its
//! own words for it.

mod alter;
mod apply;
pub mod bounds;
pub mod change;
pub mod error;
mod format1;
pub mod initial;
mod name;
pub mod owner;
mod policy;
pub mod store;
mod table;

pub use change::SchemaChange;
pub use error::CatalogError;
pub use owner::{CatalogOwner, Published};
