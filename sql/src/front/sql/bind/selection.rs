//! `topk(x, k)` and `bottom(x, k)` in the SELECT list: of all rows those with the `k` greatest, or least, values, nulls
//! last. They choose rows before DISTINCT, ORDER BY and LIMIT do.

use sqlparser::ast;

use super::arguments::arguments;
use super::literal;
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::{Expr, Scalar};
use crate::plan::{Plan, SortKey};

/// Rows that may be chosen, as the reference has it.
const ROWS_MAX: i64 = 255;

/// Which rows are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Selection {
    /// The output column that chooses.
    pub(super) output: usize,
    rows: usize,
    greatest: bool,
}

/// What an item of the SELECT list chooses rows by, if it does.
pub(super) fn selection(expr: &ast::Expr, output: usize) -> Result<Option<(&ast::Expr, Selection)>, SqlError> {
    let ast::Expr::Function(function) = expr else { return Ok(None) };
    let [part] = function.name.0.as_slice() else { return Ok(None) };
    let is_called = |name: &str| part.as_ident().is_some_and(|ident| ident.value.eq_ignore_ascii_case(name));
    let greatest = is_called("topk");
    if !greatest && !is_called("bottom") || function.over.is_some() {
        return Ok(None);
    }
    let refused = || SqlError::from(SqlErrorKind::SelectionArguments { greatest });
    let args = arguments(function)?;
    let [value, rows] = args.as_slice() else { return Err(refused()) };
    match literal::constant(rows) {
        Some(Ok(Scalar::Int(rows))) if (1..=ROWS_MAX).contains(&rows) => {
            Ok(Some((value, Selection { output, rows: rows as usize, greatest })))
        }
        _ => Err(refused()),
    }
}

impl Selection {
    /// The chosen rows of `plan`, whose columns are the outputs.
    pub(super) fn of(self, plan: Plan) -> Plan {
        let key = SortKey { expr: Expr::Column(self.output), descending: self.greatest, nulls_first: false };
        let sorted = Plan::Sort { input: Box::new(plan), keys: vec![key], fetch: None };
        Plan::Limit { input: Box::new(sorted), skip: 0, fetch: Some(self.rows) }
    }
}
