//! What a function of SQL is declared with: its names and description, its arguments, and what a call of it becomes.

use arrow_array::ArrayRef;
use arrow_schema::DataType;

use crate::error::execution::Result as ExecResult;
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::coerce::{convert, no_window};
use crate::expr::function::{Kernel, Returns};
use crate::expr::{AggregateCall, AggregateFunction, Expr, ScalarFunction, Typed};
use crate::session::Session;

/// What a function is called and does, for statements and for readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Documentation {
    /// Name.
    pub name: &'static str,
    /// Other names that mean it.
    pub aliases: &'static [&'static str],
    /// How a column that is a call of it, and has no name of its own, is named.
    pub heading: &'static str,
    /// A call with its arguments.
    pub usage: &'static str,
    /// What it gives.
    pub text: &'static str,
}

impl Documentation {
    /// A function of one name, which is its heading too.
    pub(super) const fn new(name: &'static str, usage: &'static str, text: &'static str) -> Self {
        Self { name, aliases: &[], heading: name, usage, text }
    }

    /// The same with other names.
    pub(super) const fn aliases(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    /// The same with another heading.
    pub(super) const fn heading(self, heading: &'static str) -> Self {
        Self { heading, ..self }
    }
}

/// A scalar function.
#[derive(Debug)]
pub struct Function {
    /// Names and description.
    pub documentation: Documentation,
    rule: Rule,
}

/// What a call becomes.
#[derive(Debug)]
enum Rule {
    /// A call of the function, its arguments converted one by one to what is wanted in their place.
    Call(Signature, ScalarFunction),
    /// What this makes of the function's name, as it was written, and its arguments.
    Own(fn(&str, Vec<Typed>, &Session) -> Result<Typed, SqlError>),
}

/// Which arguments a function takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signature {
    parameters: &'static [Parameter],
    /// How many of them must be there.
    required: usize,
    /// Whether the last may come again and again.
    repeats: bool,
}

impl Signature {
    /// All of these.
    pub(super) const fn of(parameters: &'static [Parameter]) -> Self {
        Self { parameters, required: parameters.len(), repeats: false }
    }

    /// These, of which only the first `required` must be there.
    pub(super) const fn at_least(required: usize, parameters: &'static [Parameter]) -> Self {
        Self { parameters, required, repeats: false }
    }

    /// These, and more like the last.
    pub(super) const fn and_more(parameters: &'static [Parameter]) -> Self {
        Self { parameters, required: parameters.len(), repeats: true }
    }

    /// The arguments of a call of `name`, converted.
    fn take(self, name: &str, args: Vec<Typed>) -> Result<Vec<Typed>, SqlError> {
        let fits = args.len() >= self.required && (self.repeats || args.len() <= self.parameters.len());
        let last = self.parameters.last();
        if !fits {
            return Err(wrong_arguments(name, &args));
        }
        let of = |at: usize| self.parameters.get(at).or(last).copied();
        let types: Vec<DataType> = args.iter().map(|arg| arg.data_type.clone()).collect();
        let taken = args.into_iter().enumerate().map(|(at, arg)| match of(at).and_then(|of| of.take(arg)) {
            Some(taken) => taken,
            None => Err(SqlErrorKind::Arguments { name: name.to_owned(), types: types.clone() }.into()),
        });
        taken.collect()
    }
}

/// What an argument is converted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parameter {
    /// A number as DOUBLE.
    Double,
    /// BIGINT.
    BigInt,
    /// Text.
    Text,
    /// Any value as text.
    AnyText,
}

impl Parameter {
    /// The argument converted; `None` where its type is not of the right kind.
    fn take(self, arg: Typed) -> Option<Result<Typed, SqlError>> {
        let to = match (self, &arg.data_type) {
            (Self::Double, DataType::Int64 | DataType::UInt64 | DataType::Float64 | DataType::Null) => {
                DataType::Float64
            }
            (Self::BigInt, DataType::Int64 | DataType::Null) => DataType::Int64,
            (Self::Text | Self::AnyText, DataType::Utf8 | DataType::Null) => DataType::Utf8,
            (
                Self::AnyText,
                DataType::Int64 | DataType::UInt64 | DataType::Float64 | DataType::Boolean | DataType::Timestamp(..),
            ) => DataType::Utf8,
            _ => return None,
        };
        Some(convert(arg, &to).map(|expr| Typed::new(expr, to)))
    }

    /// The argument, if its type is of the right kind; else the error of a call of `name`.
    pub(super) fn take_for(self, name: &str, arg: Typed) -> Result<Typed, SqlError> {
        let data_type = arg.data_type.clone();
        let refused = || SqlErrorKind::Arguments { name: name.to_owned(), types: vec![data_type] }.into();
        self.take(arg).unwrap_or_else(|| Err(refused()))
    }
}

impl Function {
    /// A function that computes row by row over columns, of these arguments.
    pub(super) const fn columns(
        documentation: Documentation,
        parameters: &'static [Parameter],
        returns: Returns,
        kernel: fn(&[ArrayRef]) -> ExecResult<ArrayRef>,
    ) -> Self {
        let function = ScalarFunction::new(documentation.name, returns, Kernel::Columns(kernel));
        Self::of(documentation, Signature::of(parameters), function)
    }

    /// A function of these arguments.
    pub(super) const fn of(documentation: Documentation, signature: Signature, function: ScalarFunction) -> Self {
        Self { documentation, rule: Rule::Call(signature, function) }
    }

    /// A function with a rule of its own.
    pub(super) const fn own(
        documentation: Documentation,
        rule: fn(&str, Vec<Typed>, &Session) -> Result<Typed, SqlError>,
    ) -> Self {
        Self { documentation, rule: Rule::Own(rule) }
    }

    /// A call under `name`, as it was written.
    pub(crate) fn bind(&'static self, name: &str, args: Vec<Typed>, session: &Session) -> Result<Typed, SqlError> {
        args.iter().try_for_each(no_window)?;
        match &self.rule {
            Rule::Own(rule) => rule(name, args, session),
            Rule::Call(signature, function) => Ok(call(function, signature.take(name, args)?)),
        }
    }
}

/// An aggregate function.
#[derive(Debug)]
pub struct Aggregate {
    /// Names and description.
    pub documentation: Documentation,
    /// Whether it takes `*`.
    pub(crate) takes_star: bool,
    rule: AggregateRule,
}

/// What a call becomes.
#[derive(Debug)]
enum AggregateRule {
    /// A call of the function with one value.
    Value {
        function: AggregateFunction,
        takes: Takes,
        gives: Gives,
        /// Whether values that are there more than once count more than once.
        repeats: bool,
    },
    /// What this makes of the function's name, as it was written, and its arguments.
    Own(fn(&str, Arguments) -> Result<AggregateCall, SqlError>),
}

/// Values that an aggregate takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// Numbers.
    Numbers,
    /// Numbers, texts, times and BOOLEAN.
    Ordered,
}

/// Type of an aggregate's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gives {
    /// That of its value.
    Value,
    /// DOUBLE.
    Double,
}

/// What an aggregate is called with.
#[derive(Debug)]
pub(crate) struct Arguments {
    /// `*`, or nothing, where the function takes it.
    pub(crate) star: bool,
    /// The arguments.
    pub(crate) args: Vec<Typed>,
    /// DISTINCT.
    pub(crate) distinct: bool,
    /// FILTER (WHERE …)
    pub(crate) filter: Option<Expr>,
}

impl Arguments {
    /// The value of `expr` where the filter lets a row in, null elsewhere.
    pub(super) fn only_if(&self, expr: Expr) -> Expr {
        match &self.filter {
            Some(filter) => Expr::Case { branches: vec![(filter.clone(), expr)], otherwise: None },
            None => expr,
        }
    }
}

impl Aggregate {
    /// An aggregate of one value. `repeats` says whether values that are there more than once count more than once.
    pub(super) const fn of_value(
        documentation: Documentation,
        takes: Takes,
        gives: Gives,
        repeats: bool,
        function: AggregateFunction,
    ) -> Self {
        Self { documentation, takes_star: false, rule: AggregateRule::Value { function, takes, gives, repeats } }
    }

    /// An aggregate with a rule of its own.
    pub(super) const fn own(
        documentation: Documentation,
        takes_star: bool,
        rule: fn(&str, Arguments) -> Result<AggregateCall, SqlError>,
    ) -> Self {
        Self { documentation, takes_star, rule: AggregateRule::Own(rule) }
    }

    /// The function of an aggregate of one value.
    pub(crate) fn of_one_value(&'static self) -> Option<&'static AggregateFunction> {
        match &self.rule {
            AggregateRule::Value { function, .. } => Some(function),
            AggregateRule::Own(_) => None,
        }
    }

    /// A call under `name`, as it was written.
    pub(crate) fn bind(&'static self, name: &str, mut arguments: Arguments) -> Result<AggregateCall, SqlError> {
        arguments.args.iter().try_for_each(no_window)?;
        let (function, takes, gives, repeats) = match &self.rule {
            AggregateRule::Own(rule) => return rule(name, arguments),
            AggregateRule::Value { function, takes, gives, repeats } => (function, *takes, *gives, *repeats),
        };
        let Some(arg) = arguments.args.pop().filter(|_| arguments.args.is_empty()) else {
            return Err(wrong_arguments(name, &[]));
        };
        let taken = match arg.data_type {
            DataType::Int64 | DataType::UInt64 | DataType::Float64 => true,
            DataType::Utf8 | DataType::Timestamp(..) | DataType::Boolean => takes == Takes::Ordered,
            _ => false,
        };
        if !taken {
            let heading = self.documentation.heading;
            return Err(SqlErrorKind::AggregateArgument { heading, data_type: arg.data_type }.into());
        }
        let data_type = match gives {
            Gives::Value => arg.data_type,
            Gives::Double => DataType::Float64,
        };
        let distinct = arguments.distinct && repeats;
        Ok(AggregateCall { function, args: vec![arguments.only_if(arg.expr)], distinct, data_type })
    }
}

/// A call with its type, of arguments that the function's kernel takes.
pub(super) fn call(function: &'static ScalarFunction, args: Vec<Typed>) -> Typed {
    let data_type = function.data_type(|at| args.get(at).map_or(DataType::Null, |arg| arg.data_type.clone()));
    let args = args.into_iter().map(|arg| arg.expr).collect();
    Typed::new(Expr::Call { function, args }, data_type)
}

/// Exactly `N` arguments.
pub(super) fn exactly<const N: usize>(name: &str, args: Vec<Typed>) -> Result<[Typed; N], SqlError> {
    <[Typed; N]>::try_from(args).map_err(|args| wrong_arguments(name, &args))
}

/// The error for arguments of wrong number or type.
pub(crate) fn wrong_arguments(name: &str, args: &[Typed]) -> SqlError {
    let types = args.iter().map(|arg| arg.data_type.clone()).collect();
    SqlErrorKind::Arguments { name: name.to_owned(), types }.into()
}
