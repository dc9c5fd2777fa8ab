//! InfluxQL front end: text to statements.
//!
//! This floor knows the statements that set up and clear databases: CREATE and DROP DATABASE, retention policies,
//! DELETE, DROP SERIES, DROP MEASUREMENT, SHOW DATABASES, SHOW RETENTION POLICIES and the counts of
//! [`cardinality`], several separated by `;`. Anything else is refused by name, never answered wrongly.
//!
//! [`lexer`] cuts the text into tokens with their position; [`parser`] reads statements, those about policies in
//! [`policy`], those that delete in [`delete`] with their WHERE in [`condition`]. Errors read as InfluxDB's do:
//! `found X, expected Y at line L, char C`. What a condition means for one table is decided by [`condition`] when the
//! table is known; which series have the tags, by [`TagCondition`] on a shard's index.

mod cardinality;
mod condition;
mod delete;
mod duration;
mod lexer;
mod parser;
mod policy;
mod statement;
mod tags;

pub use cardinality::{Cardinality, Counted};
pub use condition::Condition;
pub use delete::Delete;
pub use duration::format_duration;
pub use parser::{ParseError, parse};
pub use statement::Statement;
pub use tags::{TagCondition, TagMatch};
