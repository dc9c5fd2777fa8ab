//! Rule: filters move down to the scan.
//!
//! Conjuncts are carried down one by one: through a projection with its expressions in place of columns, through order,
//! DISTINCT and into every input of a union as they are, through a grouping where they read keys alone. LIMIT stops
//! them, since it chooses rows; and a lower filter stops a conjunct that can fail, since it may keep away the very rows
//! that make it fail.

use arrow_schema::{DataType, Schema};

use crate::expr::conjunction::{join, split};
use crate::expr::function::Fails;
use crate::expr::{BinaryOp, Expr};
use crate::optimize::merge_projects::substitute;
use crate::plan::Plan;

pub(super) fn rule(plan: Plan) -> Plan {
    push(plan, Vec::new())
}

/// `plan` filtered by `conjuncts`, which are over its output.
fn push(plan: Plan, mut conjuncts: Vec<Expr>) -> Plan {
    match plan {
        Plan::Filter { input, predicate } => {
            let schema = input.schema().clone();
            let (above, mut below): (Vec<_>, Vec<_>) =
                conjuncts.into_iter().partition(|conjunct| can_fail(conjunct, &schema));
            let mut all = split(predicate);
            all.append(&mut below);
            filtered(push(*input, all), above)
        }
        Plan::Project { input, exprs, schema } => {
            let below = conjuncts.into_iter().map(|expr| substitute(expr, &exprs)).collect();
            Plan::Project { input: Box::new(push(*input, below)), exprs, schema }
        }
        Plan::Sort { input, keys, fetch: None } => {
            Plan::Sort { input: Box::new(push(*input, conjuncts)), keys, fetch: None }
        }
        Plan::Distinct { input } => Plan::Distinct { input: Box::new(push(*input, conjuncts)) },
        Plan::Aggregate { input, group, calls, schema } => {
            // A constant conjunct stays above: without rows, a grouping without keys still has one.
            let (below, above): (Vec<_>, Vec<_>) = conjuncts.into_iter().partition(|expr| {
                let mut keys_alone = true;
                expr.for_each_column(&mut |at| keys_alone &= at < group.len());
                keys_alone && !expr.is_constant()
            });
            let below = below.into_iter().map(|expr| substitute(expr, &group)).collect();
            let input = Box::new(push(*input, below));
            filtered(Plan::Aggregate { input, group, calls, schema }, above)
        }
        Plan::Scan(mut scan) => {
            let mut all = scan.filter.take().map(split).unwrap_or_default();
            all.append(&mut conjuncts);
            scan.filter = join(all);
            Plan::Scan(scan)
        }
        Plan::Union { inputs, schema } => {
            let inputs = inputs.into_iter().map(|input| push(input, conjuncts.clone())).collect();
            Plan::Union { inputs, schema }
        }
        Plan::Limit { input, skip, fetch } => {
            let input = Box::new(push(*input, Vec::new()));
            filtered(Plan::Limit { input, skip, fetch }, conjuncts)
        }
        Plan::Sort { input, keys, fetch } => {
            let input = Box::new(push(*input, Vec::new()));
            filtered(Plan::Sort { input, keys, fetch }, conjuncts)
        }
        Plan::Series { input, step, schema } => {
            // What a row becomes depends on those before it.
            let input = Box::new(push(*input, Vec::new()));
            filtered(Plan::Series { input, step, schema }, conjuncts)
        }
        values @ Plan::Values { .. } => filtered(values, conjuncts),
    }
}

/// Whether a kernel may refuse a value: overflow, division by zero, text that is no number.
fn can_fail(expr: &Expr, input: &Schema) -> bool {
    let fails = match expr {
        Expr::Cast { expr, to } => !matches!(
            (expr.data_type(input), to),
            (DataType::Null, _)
                | (_, DataType::Utf8)
                | (DataType::Int64 | DataType::UInt64, DataType::Float64 | DataType::Decimal128(..))
        ),
        Expr::Binary {
            op: BinaryOp::Plus | BinaryOp::Minus | BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo,
            ..
        }
        | Expr::Negative(_) => expr.data_type(input) != DataType::Float64,
        Expr::Call { function, .. } => match function.fails {
            Fails::Never => false,
            Fails::Integers => expr.data_type(input) != DataType::Float64,
        },
        _ => false,
    };
    fails || expr.children().into_iter().any(|child| can_fail(child, input))
}

fn filtered(input: Plan, conjuncts: Vec<Expr>) -> Plan {
    match join(conjuncts) {
        Some(predicate) => Plan::Filter { input: Box::new(input), predicate },
        None => input,
    }
}
