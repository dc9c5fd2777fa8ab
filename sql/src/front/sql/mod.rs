//! The SQL front end: [`parse`] makes a syntax tree of the text, [`bind`] a plan or a change of the tree.

pub(crate) mod bind;
pub(crate) mod parse;
