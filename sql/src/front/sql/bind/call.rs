//! Calls of functions. An aggregate is bound over the input and set aside, so that what is around it sees a column.

use sqlparser::ast::{self, FunctionArguments};

use super::arguments::{argument_order, arguments, is_distinct, is_star, null_treatment};
use super::expr::ExprBinder;
use super::gap_fill::filling;
use super::heading;
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::coerce::boolean;
use crate::expr::{AggregateCall, Expr, Typed};
use crate::front::sql::parse::position_of;
use crate::function::registry::{Known, find};
use crate::function::{Aggregate, Arguments};

impl ExprBinder<'_> {
    /// A call as it is written. An error of which no part of it has a place is at its name.
    pub(super) fn function(&mut self, function: &ast::Function) -> Result<Typed, SqlError> {
        self.called(function).map_err(|error| match error.position {
            Some(_) => error,
            None => error.at(function.name.0.first().and_then(ast::ObjectNamePart::as_ident).and_then(position_of)),
        })
    }

    fn called(&mut self, function: &ast::Function) -> Result<Typed, SqlError> {
        if !function.within_group.is_empty() || (null_treatment(function).is_some() && function.over.is_none()) {
            return Err(SqlError::unsupported("WITHIN GROUP and IGNORE NULLS"));
        }
        if !matches!(function.parameters, FunctionArguments::None) {
            return Err(SqlError::unsupported(format!("parameters of {}", function.name)));
        }
        if function.over.is_some() {
            return self.over_window(function);
        }
        let name = function.name.to_string().to_ascii_lowercase();
        if name == "grouping" {
            return self.grouping(function);
        }
        if name == "time_window_gapfill" {
            return self.gap_fill(function);
        }
        if let Some(with) = filling(&name) {
            return self.filled(function, with);
        }
        if let Some(Known::Aggregate(aggregate)) = find(&name) {
            return self.aggregate(aggregate, &name, function);
        }
        if function.filter.is_some() {
            return Err(SqlErrorKind::FilterOfScalar(name).into());
        }
        if !argument_order(function).is_empty() {
            return Err(SqlError::unsupported(format!("ORDER BY in the arguments of {}", function.name)));
        }
        let args = arguments(function)?.into_iter().map(|arg| self.bind(arg)).collect::<Result<Vec<_>, _>>()?;
        // One that is made of operators may write an argument twice.
        args.iter().try_for_each(|arg| self.copies(arg, 1))?;
        self.scalar(&name, args)
    }

    /// The call of the scalar function `name`, in lower case, on bound arguments.
    pub(super) fn scalar(&self, name: &str, args: Vec<Typed>) -> Result<Typed, SqlError> {
        match find(name) {
            Some(Known::Scalar(function)) => {
                let bound = function.bind(name, args, self.session)?;
                if let Expr::Call { function, .. } = &bound.expr
                    && function.pattern.is_some()
                {
                    self.budget.take_compiling()?;
                }
                Ok(bound)
            }
            _ => Err(SqlErrorKind::FunctionUnknown(name.to_owned()).into()),
        }
    }

    fn aggregate(
        &mut self,
        aggregate: &'static Aggregate,
        name: &str,
        function: &ast::Function,
    ) -> Result<Typed, SqlError> {
        let Some(calls) = self.calls.take() else {
            return Err(SqlErrorKind::AggregateMisplaced { name: name.to_owned(), clause: self.clause }.into());
        };
        // With `calls` taken, an aggregate inside the arguments is an error. Names in there are the input's: the alias
        // in `sum(i) AS i … HAVING sum(i) > 1` stands for the aggregate itself.
        let clause = std::mem::replace(&mut self.clause, "the arguments of an aggregate");
        let aliases_first = std::mem::replace(&mut self.aliases_first, false);
        let (queries, gaps) = (self.queries.take(), self.gaps.take());
        let call = self.aggregate_call(aggregate, name, function);
        (self.queries, self.gaps) = (queries, gaps);
        self.clause = clause;
        self.aliases_first = aliases_first;
        let result = call.map(|call| {
            let data_type = call.data_type.clone();
            let at = calls.calls.iter().position(|known| *known == call).unwrap_or_else(|| {
                calls.headings.push(heading::call(function, self.scope));
                calls.calls.push(call);
                calls.calls.len() - 1
            });
            Typed::new(Expr::Column(calls.width + at), data_type)
        });
        self.calls = Some(calls);
        result
    }

    /// The call of an aggregate, bound.
    pub(super) fn aggregate_call(
        &mut self,
        aggregate: &'static Aggregate,
        name: &str,
        function: &ast::Function,
    ) -> Result<AggregateCall, SqlError> {
        let distinct = is_distinct(function);
        // No aggregate's answer depends on the order of rows but by the times among its arguments.
        for by in argument_order(function) {
            self.bind(by)?;
        }
        let filter = match &function.filter {
            Some(filter) => Some(boolean(self.bind(filter)?, "FILTER")?),
            None => None,
        };
        let star = aggregate.takes_star && is_star(function);
        let args = if star { Vec::new() } else { arguments(function)? };
        let args = args.into_iter().map(|arg| self.bind(arg)).collect::<Result<_, _>>()?;
        aggregate.bind(name, Arguments { star, args, distinct, filter })
    }
}
