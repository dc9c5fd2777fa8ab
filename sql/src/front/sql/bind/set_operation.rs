//! Set operations: UNION, INTERSECT and EXCEPT, with ALL or without.
//!
//! Columns meet by position, under the names of the first query. Each gets the one type that stands for all of its
//! values; ORDER BY and LIMIT after the last query are those of the whole.
//!
//! INTERSECT and EXCEPT group the rows of both sides and count those of each. Without ALL, a group is one row or none;
//! with it, a row comes as often as the lesser count says, or as the left one is greater. So nulls are equal, and
//! shards group before they send.

use arrow_schema::DataType;
use sqlparser::ast::{self, SetExpr, SetOperator, SetQuantifier, Spanned};

use super::binder::Binder;
use super::relation::{Relation, schema_of};
use super::scope::ScopeColumn;
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::coerce::unify;
use crate::expr::constant::null;
use crate::expr::{AggregateCall, BinaryOp, Expr, Scalar, Typed};
use crate::front::sql::parse::position_at;
use crate::function::aggregate::COUNT;
use crate::plan::Plan;

/// What is done to the rows so far and those of one more query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Operation {
    operator: SetOperator,
    all: bool,
}

/// One more query, and what is done with it.
type Further<'q> = (Operation, &'q SetExpr);

/// UNION ALL of queries, then, perhaps, each row once.
struct Open {
    inputs: Vec<Relation>,
    is_distinct: bool,
}

impl Binder<'_> {
    /// Binds the set operation that is the body of `query`.
    pub(super) fn set_operation(&self, query: &ast::Query) -> Result<Relation, SqlError> {
        let whole = self.operands_joined(&query.body)?;
        self.ordered(whole, query.order_by.as_ref(), query.limit_clause.as_ref())
    }

    fn operands_joined(&self, body: &SetExpr) -> Result<Relation, SqlError> {
        let (first, rest) = operands(body)?;
        let mut open = Open { inputs: vec![self.operand(first)?], is_distinct: false };
        for (number, (operation, operand)) in (2..).zip(rest) {
            let input = self.operand(operand)?;
            self.budget.take_nodes(input.columns.len())?;
            same_width(&open.inputs, &input, number, operand)?;
            match operation {
                Operation { operator: SetOperator::Union, all } => {
                    // What was once each row stays so only if each row is once in the whole.
                    if open.is_distinct && all {
                        open = Open { inputs: vec![self.closed(open)?], is_distinct: false };
                    }
                    open.inputs.push(input);
                    open.is_distinct |= !all;
                }
                Operation { operator, all } => {
                    let left = self.closed(open)?;
                    self.budget.take_nodes(2 * input.columns.len())?;
                    let both = self.counted(left, input, operator, all)?;
                    open = Open { inputs: vec![both], is_distinct: false };
                }
            }
        }
        self.closed(open)
    }

    fn operand(&self, operand: &SetExpr) -> Result<Relation, SqlError> {
        match operand {
            SetExpr::Select(select) => self.select(select, None, None),
            SetExpr::Query(inner) => self.query(inner),
            SetExpr::Values(values) => self.values(values),
            SetExpr::SetOperation { .. } => self.operands_joined(operand),
            _ => Err(SqlError::unsupported("TABLE as a query")),
        }
    }

    fn closed(&self, open: Open) -> Result<Relation, SqlError> {
        let Open { mut inputs, is_distinct } = open;
        let Relation { plan, columns } = match (inputs.len(), inputs.pop()) {
            (1, Some(only)) => only,
            (_, last) => {
                inputs.extend(last);
                joined(inputs)?
            }
        };
        let plan = if is_distinct { Plan::Distinct { input: Box::new(plan) } } else { plan };
        self.check_operators(&plan)?;
        Ok(Relation { plan, columns })
    }

    /// INTERSECT and EXCEPT.
    fn counted(&self, left: Relation, right: Relation, operator: SetOperator, all: bool) -> Result<Relation, SqlError> {
        let Relation { plan, columns } = joined(vec![left, right])?;
        let Plan::Union { inputs, schema } = plan else { return Err(SqlError::unsupported(operator)) };
        let (width, one, none) = (columns.len(), Expr::Literal(Scalar::Int(1)), null(DataType::Int64));
        let with = |types: &[DataType], names: &[&str]| {
            let own = schema.fields().iter().map(|field| (field.name().as_str(), field.data_type()));
            schema_of(own.chain(names.iter().copied().zip(types)))
        };
        let counts = [DataType::Int64, DataType::Int64];
        let counted = with(&counts, &["of the left", "of the right"]);
        let marks = [[one.clone(), none.clone()], [none, one]];
        let inputs = inputs
            .into_iter()
            .zip(marks)
            .map(|(input, mark)| Plan::Project {
                input: Box::new(input),
                exprs: (0..width).map(Expr::Column).chain(mark).collect(),
                schema: counted.clone(),
            })
            .collect();
        let call = |at: usize| AggregateCall {
            function: &COUNT,
            args: vec![Expr::Column(at)],
            distinct: false,
            data_type: DataType::Int64,
        };
        let groups = Plan::Aggregate {
            input: Box::new(Plan::Union { inputs, schema: counted.clone() }),
            group: (0..width).map(Expr::Column).collect(),
            calls: vec![call(width), call(width + 1)],
            schema: counted,
        };
        let (of_left, of_right) = (Expr::Column(width), Expr::Column(width + 1));
        let zero = || Expr::Literal(Scalar::Int(0));
        let is = |left: &Expr, op, right: Expr| Expr::binary(left.clone(), op, right);
        let has_left = is(&of_left, BinaryOp::Gt, zero());
        let predicate = match (operator, all) {
            (SetOperator::Intersect, _) => Expr::binary(has_left, BinaryOp::And, is(&of_right, BinaryOp::Gt, zero())),
            (_, false) => Expr::binary(has_left, BinaryOp::And, is(&of_right, BinaryOp::Eq, zero())),
            (_, true) => is(&of_left, BinaryOp::Gt, of_right.clone()),
        };
        let groups = Box::new(Plan::Filter { input: Box::new(groups), predicate });
        let own = (0..width).map(Expr::Column);
        let plan = if all {
            let times = match operator {
                SetOperator::Intersect => Expr::Case {
                    branches: vec![(is(&of_left, BinaryOp::Lt, of_right.clone()), of_left)],
                    otherwise: Some(Box::new(of_right)),
                },
                _ => Expr::binary(of_left, BinaryOp::Minus, of_right),
            };
            let exprs = own.chain([times]).collect();
            let times = Plan::Project { input: groups, exprs, schema: with(&[DataType::Int64], &["times"]) };
            Plan::Repeat { input: Box::new(times), schema }
        } else {
            Plan::Project { input: groups, exprs: own.collect(), schema }
        };
        Ok(Relation { plan, columns })
    }
}

/// The first query of a chain of operations, and what follows. The parser nests them to the left.
fn operands(body: &SetExpr) -> Result<(&SetExpr, Vec<Further<'_>>), SqlError> {
    let mut rest = Vec::new();
    let mut at = body;
    while let SetExpr::SetOperation { op, set_quantifier, left, right } = at {
        let all = match set_quantifier {
            SetQuantifier::All => true,
            SetQuantifier::Distinct | SetQuantifier::None => false,
            other => return Err(SqlError::unsupported(format!("{op} {other}"))),
        };
        let operator = if *op == SetOperator::Minus { SetOperator::Except } else { *op };
        rest.push((Operation { operator, all }, &**right));
        at = left;
    }
    rest.reverse();
    Ok((at, rest))
}

fn same_width(before: &[Relation], input: &Relation, number: usize, operand: &SetExpr) -> Result<(), SqlError> {
    let Some(first) = before.first().filter(|first| first.columns.len() != input.columns.len()) else { return Ok(()) };
    let (first, found) = (first.columns.len(), input.columns.len());
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
    let columns = names.into_iter().zip(types).map(|(name, data_type)| ScopeColumn::new(name, data_type)).collect();
    Ok(Relation { plan: Plan::Union { inputs, schema }, columns })
}
