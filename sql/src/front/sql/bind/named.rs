//! The queries that have a name at one place of a statement.

use std::cell::Cell;
use std::rc::Rc;

use super::relation::Relation;

/// The names that WITH has given, the latest last.
#[derive(Clone, Default)]
pub(super) struct NamedQueries {
    pub(super) known: Vec<Rc<(String, Relation)>>,
    /// Operators that have been copied for the statement.
    pub(super) copied: Rc<Cell<usize>>,
}
