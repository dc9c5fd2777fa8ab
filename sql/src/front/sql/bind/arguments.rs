//! The arguments of a call, as they are written.

use std::borrow::Cow;

use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments};

use crate::error::SqlError;

/// Whether each value counts once.
pub(super) fn is_distinct(function: &ast::Function) -> bool {
    matches!(&function.args, FunctionArguments::List(list)
        if list.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct))
}

/// Whether the arguments are `*`, or none.
pub(super) fn is_star(function: &ast::Function) -> bool {
    matches!(&function.args, FunctionArguments::List(list)
        if matches!(list.args.as_slice(), [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] | []))
}

/// What ORDER BY in the arguments of a call names: the order in which an aggregate is to see rows.
pub(super) fn argument_order(function: &ast::Function) -> Vec<&ast::Expr> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    let orders = list.clauses.iter().filter_map(|clause| match clause {
        FunctionArgumentClause::OrderBy(order) => Some(order.iter().map(|by| &by.expr)),
        _ => None,
    });
    orders.flatten().collect()
}

/// IGNORE NULLS or RESPECT NULLS, behind the arguments of a call or behind the call.
pub(super) fn null_treatment(function: &ast::Function) -> Option<ast::NullTreatment> {
    let among = match &function.args {
        FunctionArguments::List(list) => list.clauses.as_slice(),
        _ => &[],
    };
    function.null_treatment.or_else(|| {
        among.iter().find_map(|clause| match clause {
            FunctionArgumentClause::IgnoreOrRespectNulls(treatment) => Some(*treatment),
            _ => None,
        })
    })
}

/// `f(g(x) IGNORE NULLS) OVER …` as `f(g(x)) IGNORE NULLS OVER …`. The parser takes the words for those of `g`, which
/// is no call over a window and has none.
pub(super) fn with_own_nulls(function: &ast::Function) -> Cow<'_, ast::Function> {
    let mut own = Cow::Borrowed(function);
    if function.over.is_some()
        && null_treatment(function).is_none()
        && let FunctionArguments::List(list) = &function.args
        && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(ast::Expr::Function(last)))) = list.args.last()
        && last.over.is_none()
        && last.null_treatment.is_some()
    {
        let own = own.to_mut();
        own.null_treatment = last.null_treatment;
        if let FunctionArguments::List(list) = &mut own.args
            && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(ast::Expr::Function(last)))) = list.args.last_mut()
        {
            last.null_treatment = None;
        }
    }
    own
}

/// Plain positional arguments of a call.
pub(super) fn arguments(function: &ast::Function) -> Result<Vec<&ast::Expr>, SqlError> {
    let FunctionArguments::List(list) = &function.args else {
        return match function.args {
            FunctionArguments::None => Ok(Vec::new()),
            _ => Err(SqlError::unsupported("subqueries as arguments")),
        };
    };
    // Order and nulls are looked at elsewhere.
    let is_known = |clause: &FunctionArgumentClause| {
        matches!(clause, FunctionArgumentClause::OrderBy(_) | FunctionArgumentClause::IgnoreOrRespectNulls(_))
    };
    if !list.clauses.iter().all(is_known) {
        return Err(SqlError::unsupported(format!("clauses in the arguments of {}", function.name)));
    }
    let plain = list.args.iter().map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr),
        _ => Err(SqlError::unsupported(format!("the argument {arg} of {}", function.name))),
    });
    plain.collect()
}
