//! Statements from tokens: [`statement`] recognises them, the others read what follows.

mod cardinality;
mod condition;
mod delete;
mod policy;
mod statement;

pub use statement::parse;
