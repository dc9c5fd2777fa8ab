//! Calls of aggregates: bound over the input and set aside, so that what is around them sees a column.

use arrow_schema::DataType;
use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::coerce::{Bound, boolean, no_window};
use super::expr::ExprBinder;
use super::function::{Aggregate, arguments, wrong_arguments};
use crate::error::SqlError;
use crate::expr::constant::as_constant;
use crate::expr::{AggregateCall, AggregateFunction, Expr, Scalar};
use crate::optimize::fold_constants;

impl ExprBinder<'_> {
    pub(super) fn aggregate(
        &mut self,
        aggregate: Aggregate,
        name: &str,
        function: &ast::Function,
    ) -> Result<Bound, SqlError> {
        let Some(calls) = self.calls.take() else {
            return Err(SqlError::planning(format!("Aggregate function '{name}' is not allowed in {}", self.clause)));
        };
        // With `calls` taken, an aggregate inside the arguments is an error. Names in there are the input's: the alias
        // in `sum(i) AS i … HAVING sum(i) > 1` stands for the aggregate itself.
        let clause = std::mem::replace(&mut self.clause, "the arguments of an aggregate");
        let aliases_first = std::mem::replace(&mut self.aliases_first, false);
        let call = self.aggregate_call(aggregate, name, function);
        self.clause = clause;
        self.aliases_first = aliases_first;
        let result = call.map(|call| {
            let data_type = call.data_type.clone();
            let at = calls.calls.iter().position(|known| *known == call).unwrap_or_else(|| {
                calls.headings.push(super::heading::heading(&ast::Expr::Function(function.clone()), self.scope));
                calls.calls.push(call);
                calls.calls.len() - 1
            });
            Bound::new(Expr::Column(calls.width + at), data_type)
        });
        self.calls = Some(calls);
        result
    }

    fn aggregate_call(
        &mut self,
        aggregate: Aggregate,
        name: &str,
        function: &ast::Function,
    ) -> Result<AggregateCall, SqlError> {
        let distinct = match &function.args {
            FunctionArguments::List(list) => list.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct),
            _ => false,
        };
        let filter = match &function.filter {
            Some(filter) => Some(boolean(self.bind(filter)?, "FILTER")?),
            None => None,
        };
        let only_if = |expr: Expr| match &filter {
            Some(filter) => Expr::Case { branches: vec![(filter.clone(), expr)], otherwise: None },
            None => expr,
        };
        let is_star = matches!(&function.args, FunctionArguments::List(list)
            if matches!(list.args.as_slice(), [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] | []));
        if aggregate == Aggregate::Count && is_star {
            if distinct {
                return Err(SqlError::not_implemented("COUNT(DISTINCT *)"));
            }
            return Ok(match filter {
                Some(_) => {
                    call(AggregateFunction::Count, vec![only_if(Expr::Literal(Scalar::Int(1)))], DataType::Int64)
                }
                None => call(AggregateFunction::CountRows, Vec::new(), DataType::Int64),
            });
        }
        let args = arguments(function)?.into_iter().map(|arg| self.bind(arg)).collect::<Result<Vec<_>, _>>()?;
        args.iter().try_for_each(no_window)?;
        if matches!(aggregate, Aggregate::First | Aggregate::Last) {
            let Ok([time, value]) = <[Bound; 2]>::try_from(args) else {
                return Err(wrong_arguments(name, &[]));
            };
            if !matches!(time.data_type, DataType::Timestamp(..)) || distinct {
                return Err(wrong_arguments(name, &[time, value]));
            }
            let function =
                if aggregate == Aggregate::First { AggregateFunction::First } else { AggregateFunction::Last };
            let data_type = value.data_type;
            return Ok(call(function, vec![time.expr, only_if(value.expr)], data_type));
        }
        let Ok([arg]) = <[Bound; 1]>::try_from(args) else {
            return Err(wrong_arguments(name, &[]));
        };
        let unsupported = |data_type: &DataType| {
            let title = super::function::heading_name(name);
            SqlError::planning(format!("The function {title} does not support inputs of type {data_type}."))
        };
        match aggregate {
            Aggregate::Count => {
                let constant = as_constant(&fold_constants(arg.expr.clone())).cloned();
                if !distinct && filter.is_none() && constant.is_some_and(|value| value != Scalar::Null) {
                    return Ok(call(AggregateFunction::CountRows, Vec::new(), DataType::Int64));
                }
                Ok(AggregateCall {
                    distinct,
                    ..call(AggregateFunction::Count, vec![only_if(arg.expr)], DataType::Int64)
                })
            }
            Aggregate::Sum => match arg.data_type.clone() {
                data_type @ (DataType::Int64 | DataType::UInt64 | DataType::Float64) => {
                    Ok(AggregateCall { distinct, ..call(AggregateFunction::Sum, vec![only_if(arg.expr)], data_type) })
                }
                other => Err(unsupported(&other)),
            },
            Aggregate::Avg => match arg.data_type {
                DataType::Int64 | DataType::UInt64 | DataType::Float64 => Ok(AggregateCall {
                    distinct,
                    ..call(AggregateFunction::Avg, vec![only_if(arg.expr)], DataType::Float64)
                }),
                other => Err(unsupported(&other)),
            },
            // Repetitions change neither the least nor the greatest.
            _ => match arg.data_type.clone() {
                data_type @ (DataType::Int64
                | DataType::UInt64
                | DataType::Float64
                | DataType::Utf8
                | DataType::Timestamp(..)) => {
                    let function =
                        if aggregate == Aggregate::Min { AggregateFunction::Min } else { AggregateFunction::Max };
                    Ok(call(function, vec![only_if(arg.expr)], data_type))
                }
                other => Err(unsupported(&other)),
            },
        }
    }
}

fn call(function: AggregateFunction, args: Vec<Expr>, data_type: DataType) -> AggregateCall {
    AggregateCall { function, args, distinct: false, data_type }
}
