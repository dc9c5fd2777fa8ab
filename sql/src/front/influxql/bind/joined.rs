//! Functions that are computed each for itself, over the same rows, and then stand beside each other: rows of one group
//! and time become one.

use arrow_schema::DataType;

use super::error::BindError;
use super::relation::schema_of;
use super::select::Setting;
use crate::expr::constant::null;
use crate::expr::{AggregateCall, Expr as Native, Typed};
use crate::front::influxql::ast::Expr;
use crate::function::aggregate as agg;
use crate::plan::Plan;

/// A plan whose rows are keys, and behind them the values of these expressions.
pub(super) struct Part {
    pub(super) plan: Plan,
    pub(super) values: Vec<(Expr, DataType)>,
}

/// A plan, and where the value of each expression is in its rows.
pub(super) type Joined = (Plan, Vec<(Expr, Typed)>);

impl Setting<'_> {
    /// The parts as one plan, whose rows are the `keys`, of which one is a time, and all values; and where each is.
    pub(super) fn joined(&self, parts: Vec<Part>, keys: usize, time: usize) -> Result<Option<Joined>, BindError> {
        let all: Vec<(Expr, DataType)> = parts.iter().flat_map(|part| part.values.iter().cloned()).collect();
        let typed = |(at, (expr, data_type)): (usize, (Expr, DataType))| {
            (expr, Typed::new(Native::Column(keys + at), data_type))
        };
        // Each part has all columns, those of others as nulls.
        self.budget.take_nodes(parts.len().saturating_mul(keys + all.len()))?;
        let mut parts = parts.into_iter();
        let Some(first) = parts.next() else { return Ok(None) };
        if parts.len() == 0 {
            return Ok(Some((first.plan, all.into_iter().enumerate().map(typed).collect())));
        }
        let types: Vec<DataType> = all.iter().map(|(_, data_type)| data_type.clone()).collect();
        let key_types = |plan: &Plan| -> Vec<DataType> {
            plan.schema().fields()[..keys].iter().map(|field| field.data_type().clone()).collect()
        };
        let types: Vec<DataType> = key_types(&first.plan).into_iter().chain(types).collect();
        let schema = schema_of(types.iter().map(|data_type| ("", data_type)));
        let mut inputs = Vec::with_capacity(parts.len() + 1);
        let mut begin = keys;
        for part in std::iter::once(first).chain(parts) {
            let own = begin..begin + part.values.len();
            begin = own.end;
            let exprs = types.iter().enumerate().map(|(at, data_type)| match at {
                at if at < keys => Native::Column(at),
                at if own.contains(&at) => Native::Column(keys + at - own.start),
                _ => null(data_type.clone()),
            });
            let exprs = exprs.collect();
            inputs.push(Plan::Project { input: Box::new(part.plan), exprs, schema: schema.clone() });
        }
        let calls = types.iter().enumerate().skip(keys).map(|(at, data_type)| AggregateCall {
            function: &agg::FIRST,
            args: vec![Native::Column(time), Native::Column(at)],
            distinct: false,
            data_type: data_type.clone(),
        });
        let plan = Plan::Aggregate {
            group: (0..keys).map(Native::Column).collect(),
            calls: calls.collect(),
            input: Box::new(Plan::Union { inputs, schema: schema.clone() }),
            schema,
        };
        Ok(Some((plan, all.into_iter().enumerate().map(typed).collect())))
    }
}
