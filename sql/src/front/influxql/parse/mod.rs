//! Statements from tokens: [`statement`] tells them apart, the others read what follows.

mod cardinality;
mod condition;
mod delete;
mod policy;
mod statement;

pub use statement::parse;
