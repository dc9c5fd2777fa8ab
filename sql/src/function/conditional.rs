//! Functions that choose between values.

use super::definition::{Documentation, Function, exactly, wrong_arguments};
use crate::error::SqlError;
use crate::expr::coerce::{comparison, unify};
use crate::expr::constant::null;
use crate::expr::{BinaryOp, Expr, Typed};
use crate::session::Session;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::own(Documentation::new("coalesce", "coalesce(x, …)", "The first argument that is not null."), coalesce),
    Function::own(Documentation::new("nullif", "nullif(x, y)", "Null where `x = y`, else `x`."), nullif),
];

fn coalesce(name: &str, args: Vec<Typed>, _: &Session) -> Result<Typed, SqlError> {
    if args.is_empty() {
        return Err(wrong_arguments(name, &args));
    }
    let (args, data_type) = unify(args, "COALESCE")?;
    Ok(Typed::new(Expr::Coalesce(args), data_type))
}

/// `CASE WHEN x = y THEN NULL ELSE x END`.
fn nullif(name: &str, args: Vec<Typed>, _: &Session) -> Result<Typed, SqlError> {
    let [value, other] = exactly::<2>(name, args)?;
    let data_type = value.data_type.clone();
    let equal = comparison(BinaryOp::Eq, value.clone(), other)?;
    let branches = vec![(equal, null(data_type.clone()))];
    Ok(Typed::new(Expr::Case { branches, otherwise: Some(Box::new(value.expr)) }, data_type))
}
