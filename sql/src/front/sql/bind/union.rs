//! `query UNION ALL query …`: the rows of all, under the names of the first.
//!
//! Columns meet by position. Each gets the one type that stands for all of its values; ORDER BY and LIMIT after the
//! last query are those of the union.

use sqlparser::ast::{self, SetExpr, SetOperator, SetQuantifier, Spanned};

use super::binder::Binder;
use super::relation::{Relation, schema_of};
use super::scope::ScopeColumn;
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::coerce::unify;
use crate::expr::{Expr, Typed};
use crate::front::sql::parse::position_at;
use crate::plan::Plan;

impl Binder<'_> {
    /// Binds the set operation that is the body of `query`.
    pub(super) fn union(&self, query: &ast::Query) -> Result<Relation, SqlError> {
        let mut inputs = Vec::new();
        for operand in operands(&query.body)? {
            let input = match operand {
                SetExpr::Select(select) => self.select(select, None, None)?,
                SetExpr::Query(inner) => self.query(inner)?,
                SetExpr::Values(_) => return Err(SqlError::unsupported("VALUES outside INSERT")),
                _ => return Err(SqlError::unsupported("TABLE as a query")),
            };
            same_width(&inputs, &input, operand)?;
            self.budget.take_nodes(input.columns.len())?;
            inputs.push(input);
        }
        self.ordered(joined(inputs)?, query.order_by.as_ref(), query.limit_clause.as_ref())
    }
}

/// The queries of a chain of UNION ALL, first to last. The parser nests them to the left.
fn operands(body: &SetExpr) -> Result<Vec<&SetExpr>, SqlError> {
    let mut operands = Vec::new();
    let mut at = body;
    while let SetExpr::SetOperation { op, set_quantifier, left, right } = at {
        if *op != SetOperator::Union || *set_quantifier != SetQuantifier::All {
            return Err(SqlError::unsupported(op));
        }
        operands.push(&**right);
        at = left;
    }
    operands.push(at);
    operands.reverse();
    Ok(operands)
}

fn same_width(before: &[Relation], input: &Relation, operand: &SetExpr) -> Result<(), SqlError> {
    let Some(first) = before.first().filter(|first| first.columns.len() != input.columns.len()) else { return Ok(()) };
    let (first, number, found) = (first.columns.len(), before.len() + 1, input.columns.len());
    let error = SqlError::new(SqlErrorKind::UnionWidth { first, number, found });
    Err(error.at(position_at(operand.span().start)))
}

/// One relation of all `inputs`, which have the same number of columns.
fn joined(inputs: Vec<Relation>) -> Result<Relation, SqlError> {
    let names: Vec<String> = inputs.iter().take(1).flat_map(|first| &first.columns).map(|c| c.name.clone()).collect();
    let mut types = Vec::with_capacity(names.len());
    let mut exprs: Vec<Vec<Expr>> = inputs.iter().map(|_| Vec::with_capacity(names.len())).collect();
    for (at, name) in names.iter().enumerate() {
        let values = inputs.iter().map(|input| Typed {
            window_ns: input.columns[at].window_ns,
            ..Typed::new(Expr::Column(at), input.columns[at].data_type.clone())
        });
        let (values, data_type) = unify(values.collect(), "UNION").map_err(|error| match *error.kind {
            SqlErrorKind::Branches { types, .. } => {
                SqlErrorKind::UnionTypes { column: name.clone(), number: at + 1, types }.into()
            }
            _ => error,
        })?;
        exprs.iter_mut().zip(values).for_each(|(exprs, value)| exprs.push(value));
        types.push(data_type);
    }
    let schema = schema_of(names.iter().map(String::as_str).zip(&types));
    let inputs = inputs
        .into_iter()
        .zip(exprs)
        .map(|(input, exprs)| match exprs.iter().enumerate().all(|(at, expr)| *expr == Expr::Column(at)) {
            true => input.plan,
            false => Plan::Project { input: Box::new(input.plan), exprs, schema: schema.clone() },
        })
        .collect();
    let column = |(name, data_type)| ScopeColumn { qualifier: None, name, data_type, window_ns: None };
    let columns = names.into_iter().zip(types).map(column).collect();
    Ok(Relation { plan: Plan::Union { inputs, schema }, columns })
}
