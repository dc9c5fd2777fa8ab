//! Statements from tokens: [`statement`] recognises them, the others read what follows.

mod access;
mod background;
mod delete;
mod expr;
mod policy;
mod select;
mod show;
mod source;
mod statement;

pub use statement::{parse, parse_counted, parse_with};
