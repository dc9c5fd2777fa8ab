//! Text to syntax tree. sqlparser reads queries; what is CnosDB's own (DDL with TAGS, CODEC and WITH options, SHOW,
//! DESCRIBE, INSERT without INTO) is read here on the same token stream, so that positions and quoting are the same.
//!
//! Guarantees: one statement or none; nothing that recurses over the tree later can overflow the stack, because the
//! depth of the tree is bounded from its tokens before it is built ([`depth`]).

mod alter;
mod change;
mod codec;
mod ddl;
mod delete;
mod depth;
mod dialect;
mod external;
mod name;
mod options;
mod parsed;
mod reader;
mod show;
mod statement;
mod tenant;
mod user;

pub(crate) use name::{fold, position_at, position_of};
pub(crate) use parsed::{ColumnDefinition, ColumnType, CopySource, Parsed, ShowOfTable, TableAlteration, TagNames};
pub(crate) use statement::parse;
