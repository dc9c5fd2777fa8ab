//! What making a statement ready may take: memory of the account that all queries share, and time until the deadline
//! or the client's leaving, as running it does.
//!
//! [`Budget::take`] is asked before anything is made that can come to more than the text is long: copies of
//! expressions, the columns of `*`, headings that pass from query to query. What is taken adds up, whatever has been
//! dropped in between. The first [`FREE_BYTES`] need no account: a statement that drops a table to make room must not
//! wait for room.

use std::cell::{Cell, RefCell};

use crate::error::execution::ExecError;
use crate::error::{SqlError, SqlErrorKind};
use crate::exec::context::{QueryContext, Reservation};
use crate::expr::pattern::PATTERNS_KEPT;

/// What nearly every statement is made ready with.
const FREE_BYTES: usize = 64 << 10;

/// Reserved at once.
const STEP_BYTES: usize = 64 << 10;

/// A node of a bound expression, with its type and what holds it while it is bound.
const NODE_BYTES: usize = 96;

/// A column of a query beside its name: its field, its place in the scope, its expression, each for the query and the
/// one around it.
const COLUMN_BYTES: usize = 1 << 10;

/// Times that the name of a column is written while a query is bound.
const NAMES: usize = 8;

/// Functions that compile patterns: as many patterns as each thread keeps compiled.
const COMPILING_MAX: usize = PATTERNS_KEPT;

/// What a statement may take while it is made ready.
#[derive(Debug)]
pub(crate) struct Budget {
    context: QueryContext,
    held: RefCell<Reservation>,
    taken: Cell<usize>,
    /// Of it, what is kept with the statement beside its expressions.
    kept: Cell<usize>,
    /// Calls of functions that compile patterns.
    compiling: Cell<usize>,
    /// What [`Self::take`] may come to without a look at the account.
    allowed: Cell<usize>,
    stopped: RefCell<Option<ExecError>>,
}

impl Budget {
    /// What `context` has.
    pub(crate) fn new(context: &QueryContext) -> Self {
        Self {
            context: context.clone(),
            held: RefCell::new(context.reservation()),
            taken: Cell::new(0),
            kept: Cell::new(0),
            compiling: Cell::new(0),
            allowed: Cell::new(FREE_BYTES),
            stopped: RefCell::default(),
        }
    }

    /// Takes `bytes` more. After an error [`Self::end`] says why.
    pub(crate) fn take(&self, bytes: usize) -> Result<(), SqlError> {
        let taken = self.taken.get().saturating_add(bytes);
        self.taken.set(taken);
        if taken <= self.allowed.get() {
            return Ok(());
        }
        let wanted = taken.saturating_add(STEP_BYTES);
        let had = self.context.check().and_then(|()| self.held.borrow_mut().resize(wanted));
        self.allowed.set(wanted);
        had.map_err(|error| {
            *self.stopped.borrow_mut() = Some(error);
            SqlErrorKind::Stopped.into()
        })
    }

    /// Takes what `nodes` of expressions need.
    pub(crate) fn take_nodes(&self, nodes: usize) -> Result<(), SqlError> {
        self.take(nodes.saturating_mul(NODE_BYTES))
    }

    /// Takes what columns of these names need.
    pub(crate) fn take_columns<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<(), SqlError> {
        self.take(names.fold(0, |bytes, name| bytes.saturating_add(COLUMN_BYTES + NAMES * name.len())))
    }

    /// Takes what stays with the statement beside its expressions: a compiled pattern.
    pub(crate) fn take_kept(&self, bytes: usize) -> Result<(), SqlError> {
        self.kept.set(self.kept.get().saturating_add(bytes));
        self.take(bytes)
    }

    /// Lets one more function compile patterns while the statement runs.
    pub(crate) fn take_compiling(&self) -> Result<(), SqlError> {
        self.compiling.set(self.compiling.get() + 1);
        match self.compiling.get() <= COMPILING_MAX {
            true => Ok(()),
            false => Err(SqlError::unsupported(format!("more than {COMPILING_MAX} calls of functions of patterns"))),
        }
    }

    /// What the statement keeps of what was taken, for `nodes` and `columns`; or why it was stopped.
    pub(crate) fn end(self, nodes: usize, columns: usize) -> Result<Reservation, ExecError> {
        if let Some(error) = self.stopped.into_inner() {
            return Err(error);
        }
        let mut held = self.held.into_inner();
        let kept = nodes.saturating_mul(NODE_BYTES).saturating_add(columns.saturating_mul(COLUMN_BYTES));
        let kept = kept.saturating_add(self.kept.get());
        held.resize(if kept <= FREE_BYTES { 0 } else { kept })?;
        Ok(held)
    }

    /// What the statement runs within.
    pub(crate) fn context(&self) -> &QueryContext {
        &self.context
    }

    /// Stops the statement for what went wrong while a part of it was computed.
    pub(crate) fn stop(&self, error: ExecError) -> SqlError {
        *self.stopped.borrow_mut() = Some(error);
        SqlErrorKind::Stopped.into()
    }

    /// Why it was stopped, if it was.
    pub(crate) fn stopped(self) -> Option<ExecError> {
        self.stopped.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_free_needs_no_account_and_the_rest_is_reserved_before_it_is_taken() {
        let context = QueryContext::new(1 << 20, None);
        let budget = Budget::new(&context);
        budget.take(FREE_BYTES).unwrap();
        assert_eq!(context.memory_used(), 0);
        budget.take(1).unwrap();
        assert!(context.memory_used() > FREE_BYTES as u64);
        let error = budget.take_nodes(1 << 20).unwrap_err();
        assert_eq!(*error.kind, SqlErrorKind::Stopped);
        assert!(matches!(budget.stopped(), Some(ExecError::Memory { .. })));
        assert_eq!(context.memory_used(), 0);
    }

    #[test]
    fn a_client_that_leaves_stops_it_and_what_is_kept_is_held() {
        let context = QueryContext::new(1 << 20, None);
        let budget = Budget::new(&context);
        budget.take_nodes(5_000).unwrap();
        let held = budget.end(2_000, 0).unwrap();
        assert_eq!(context.memory_used(), 2_000 * NODE_BYTES as u64);
        drop(held);
        let budget = Budget::new(&context);
        context.cancel();
        assert!(budget.take(FREE_BYTES).is_ok());
        assert!(budget.take_columns(["a"].into_iter()).is_err());
        assert!(matches!(budget.end(0, 0), Err(ExecError::Cancelled)));
    }
}
