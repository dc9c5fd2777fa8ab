//! The SQL front end: [`parse`] makes a syntax tree of the text, [`bind`] a plan or a change of the tree; [`memory`]
//! tells beforehand what that takes.

pub(crate) mod bind;
pub(crate) mod memory;
pub(crate) mod parse;
