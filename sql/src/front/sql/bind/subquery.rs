//! Queries inside of expressions: `(SELECT …)` as a value, `[NOT] EXISTS (SELECT …)` and `x [NOT] IN (SELECT …)`.
//!
//! Each becomes a join below the operator whose expression it stands in: a value joins the one row that it is of
//! (`JoinKind::Single`), EXISTS and IN mark rows (`JoinKind::Mark`). While binding, query `i` is column
//! `SUBQUERIES_AT + i`; `Subqueries::below` puts the joins in.
//!
//! A query may read columns of the query around it, in its WHERE alone: there they are columns from `OUTER_AT` on.
//! Conjuncts that read them leave the query and become conditions of the join (`Correlation`). What they read of the
//! query goes along as further columns: of an aggregate query that is only possible for equalities, whose inner sides
//! become group keys. So every query runs once, whatever the number of rows around it.
//!
//! IN compares with nulls: its mark is null where nothing is equal and a null was compared. A join tells that of one
//! key. Where the query reads columns around it there are more: a second mark says whether it has a row at all that is
//! null or compared with null.

use std::cell::{Cell, RefCell};

use arrow_schema::DataType;
use sqlparser::ast;

use super::binder::Binder;
use super::expr::ExprBinder;
use super::relation::Relation;
use super::subqueries::{Correlation, OUTER_AT, Outer, Subqueries, Subquery, TIE, reads_outer};
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::coerce::{comparable, convert, no_window};
use crate::expr::{BinaryOp, Expr, Scalar, Typed};
use crate::plan::{JoinKind, Plan};

/// Refuses a plan that reads columns of the query around it: they have not all gone into the join.
fn check_closed(plan: &Plan) -> Result<(), SqlError> {
    let mut open = vec![plan];
    while let Some(plan) = open.pop() {
        if plan.exprs().into_iter().any(reads_outer) {
            let what = "a column of the query around it in a subquery, other than in its WHERE";
            return Err(SqlError::unsupported(what));
        }
        open.extend(plan.inputs());
    }
    Ok(())
}

impl ExprBinder<'_> {
    /// A query inside of an expression.
    pub(super) fn subquery(&mut self, expr: &ast::Expr) -> Result<Typed, SqlError> {
        // What is looked for may hold a query of its own.
        let operand = match expr {
            ast::Expr::InSubquery { expr, .. } => Some(self.bind(expr)?),
            _ => None,
        };
        let Some(queries) = self.queries.take() else {
            return Err(SqlError::unsupported(format!("a subquery in {}", self.clause)));
        };
        let bound = match (expr, operand) {
            (ast::Expr::Subquery(query), _) => self.value_of(query, queries),
            (ast::Expr::Exists { subquery, negated }, _) => self.exists(subquery, *negated, queries),
            (ast::Expr::InSubquery { subquery, negated, .. }, Some(operand)) => {
                self.is_in(operand, subquery, *negated, queries)
            }
            (other, _) => Err(SqlError::unsupported(format!("the expression {other}"))),
        };
        self.queries = Some(queries);
        bound
    }

    /// Whether a query has a row.
    fn exists(&self, query: &ast::Query, negated: bool, queries: &mut Subqueries) -> Result<Typed, SqlError> {
        let (relation, Correlation { keys, filters, whole }) = self.inner_query(query, true)?;
        if whole.is_some_and(|whole| !whole.has_having) {
            return Ok(marked(Expr::Literal(Scalar::Bool(true)), negated));
        }
        let kind = JoinKind::Mark { with_nulls: false };
        let mark = queries.add(Subquery { plan: relation.plan, kind, keys, filters, of_nothing: None })?;
        Ok(marked(mark, negated))
    }

    /// The one value of a query, or null.
    fn value_of(&self, query: &ast::Query, queries: &mut Subqueries) -> Result<Typed, SqlError> {
        let (relation, correlation) = self.inner_query(query, false)?;
        self.single(relation, correlation, queries)
    }

    /// The same of a query that is bound.
    fn single(
        &self,
        relation: Relation,
        Correlation { keys, filters, whole }: Correlation,
        queries: &mut Subqueries,
    ) -> Result<Typed, SqlError> {
        let data_type = one_column(&relation, keys.len() + filters.len())?;
        let window_ns = relation.columns[0].window_ns;
        let kind = JoinKind::Single;
        let whole = whole.filter(|whole| whole.of_nothing != Scalar::Null);
        let is_nullable = whole.as_ref().is_some_and(|whole| whole.is_nullable);
        let of_nothing = whole.map(|whole| whole.of_nothing);
        let value = if is_nullable {
            // Null may be its value of some rows: a mark says whether there are any.
            let plan = self.binder.copied(&relation.plan)?;
            let (keys_too, filters_too) = (keys.clone(), filters.clone());
            let value = queries.add(Subquery { plan, kind, keys: keys_too, filters: filters_too, of_nothing: None })?;
            let kind = JoinKind::Mark { with_nulls: false };
            let has_rows = queries.add(Subquery { plan: relation.plan, kind, keys, filters, of_nothing: None })?;
            let otherwise = of_nothing.map(|value| Box::new(Expr::Literal(value)));
            Expr::Case { branches: vec![(has_rows, value)], otherwise }
        } else {
            queries.add(Subquery { plan: relation.plan, kind, keys, filters, of_nothing })?
        };
        Ok(Typed { window_ns, ..Typed::new(value, data_type) })
    }

    fn is_in(
        &self,
        operand: Typed,
        query: &ast::Query,
        negated: bool,
        queries: &mut Subqueries,
    ) -> Result<Typed, SqlError> {
        no_window(&operand)?;
        let (relation, correlation) = self.inner_query(query, false)?;
        let has_one_row = correlation.whole.as_ref().is_some_and(|whole| !whole.has_having);
        if has_one_row {
            let value = self.single(relation, correlation, queries)?;
            no_window(&value)?;
            let (left, right) = (operand.data_type.clone(), value.data_type.clone());
            let to = comparable(&operand, &value)
                .ok_or_else(|| SqlError::new(SqlErrorKind::Comparison(left, BinaryOp::Eq, right)))?;
            let equal = Expr::binary(convert(operand, &to)?, BinaryOp::Eq, convert(value, &to)?);
            return Ok(marked(equal, negated));
        }
        let Correlation { mut keys, filters, .. } = correlation;
        let data_type = one_column(&relation, keys.len() + filters.len())?;
        let value = Typed { window_ns: relation.columns[0].window_ns, ..Typed::new(Expr::Column(0), data_type) };
        no_window(&value)?;
        let to = comparable(&operand, &value).ok_or_else(|| {
            let (left, right) = (operand.data_type.clone(), value.data_type.clone());
            SqlError::new(SqlErrorKind::Comparison(left, BinaryOp::Eq, right))
        })?;
        let key = (convert(operand, &to)?, convert(value, &to)?);
        if keys.is_empty() && filters.is_empty() {
            let kind = JoinKind::Mark { with_nulls: true };
            let (plan, keys) = (relation.plan, vec![key]);
            let mark = queries.add(Subquery { plan, kind, keys, filters, of_nothing: None })?;
            return Ok(marked(mark, negated));
        }
        // What is compared with null: rows that are tied to this one whose value is null, or all where this one's is.
        let kind = JoinKind::Mark { with_nulls: false };
        let outer = key.0.clone().map_columns(&mut |at| Expr::Column(OUTER_AT + at));
        let is_null = |expr: Expr| Expr::IsNull(Box::new(expr));
        let has_null = Expr::binary(is_null(outer), BinaryOp::Or, is_null(key.1.clone()));
        let (nulls_keys, mut nulls_filters) = (keys.clone(), filters.clone());
        nulls_filters.push(has_null);
        keys.push(key);
        let plan = self.binder.copied(&relation.plan)?;
        let mark = queries.add(Subquery { plan, kind, keys, filters, of_nothing: None })?;
        let (keys, filters) = (nulls_keys, nulls_filters);
        let null = queries.add(Subquery { plan: relation.plan, kind, keys, filters, of_nothing: None })?;
        let unknown = Expr::Cast { expr: Box::new(Expr::Literal(Scalar::Null)), to: DataType::Boolean };
        let branches = vec![(mark, Expr::Literal(Scalar::Bool(true))), (null, unknown)];
        let is_in = Expr::Case { branches, otherwise: Some(Box::new(Expr::Literal(Scalar::Bool(false)))) };
        Ok(marked(is_in, negated))
    }

    /// A query that sees the columns here.
    fn inner_query(&self, query: &ast::Query, exists: bool) -> Result<(Relation, Correlation), SqlError> {
        let (correlation, is_read) = (RefCell::default(), Cell::new(false));
        let (scope, depth) = (self.scope, self.depth);
        let outer = Outer { scope, exists, depth, correlation: &correlation, is_read: &is_read };
        let binder = Binder { outer: Some(outer), ..self.binder.clone() };
        let relation = binder.query(query)?;
        self.binder.check_operators(&relation.plan)?;
        if is_read.get() {
            check_closed(&relation.plan)?;
        }
        Ok((relation, correlation.into_inner()))
    }

    /// The column of the query around this one that a name means.
    pub(super) fn outer_column(&self, parts: &[String]) -> Result<Option<Typed>, SqlError> {
        let Some(outer) = &self.binder.outer else { return Ok(None) };
        let Some(at) = outer.scope.find(parts)? else { return Ok(None) };
        outer.is_read.set(true);
        let column = &outer.scope.columns[at];
        let expr = Expr::Column(OUTER_AT + at);
        Ok(Some(Typed { window_ns: column.window_ns, ..Typed::new(expr, column.data_type.clone()) }))
    }
}

fn marked(mark: Expr, negated: bool) -> Typed {
    Typed::new(if negated { Expr::Not(Box::new(mark)) } else { mark }, DataType::Boolean)
}

/// The type of the only column that a query has, but for those that tie it to the one around it.
fn one_column(relation: &Relation, conditions: usize) -> Result<DataType, SqlError> {
    match relation.columns.as_slice() {
        [only] => Ok(only.data_type.clone()),
        [first, rest @ ..] if conditions > 0 && rest.iter().all(|column| column.name.starts_with(TIE)) => {
            Ok(first.data_type.clone())
        }
        columns => Err(SqlErrorKind::SubqueryWidth(columns.len()).into()),
    }
}
