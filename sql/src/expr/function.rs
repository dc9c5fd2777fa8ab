//! What an expression knows of a scalar function that it calls.
//!
//! The functions themselves, with their names and arguments in SQL, are those of [`crate::function`].

use std::fmt;

use arrow_array::ArrayRef;
use arrow_schema::{DataType, IntervalUnit, TimeUnit};

use super::scalar::Scalar;
use crate::error::execution::Result;
use crate::types::tiling::Tiling;

/// A scalar function as it runs. There is one of each, so that two are equal if they are the same.
pub struct ScalarFunction {
    /// Name in plans.
    pub name: &'static str,
    pub(crate) returns: Returns,
    pub(crate) kernel: Kernel,
    pub(crate) fails: Fails,
    /// The text that it makes.
    pub(crate) text: TextMade,
    /// The value for constants, where it is what the kernel would give; `None` where that is to decide.
    pub(crate) fold: Option<Fold>,
    /// The tiling of time whose bucket begins the function gives, for times in a unit; its parameters are the kernel's.
    pub(crate) tiling: Option<TilingOf>,
    /// The argument that is a pattern, which is compiled for each row where it is not constant.
    pub(crate) pattern: Option<usize>,
}

/// How much text a function makes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TextMade {
    /// None beyond that of its arguments in another case.
    OfArguments,
    /// No more than these bytes for columns of arguments, as the kernel takes them.
    Bytes(fn(&[ArrayRef]) -> usize),
}

/// The value of a function of constants.
pub(crate) type Fold = fn(&[&Scalar]) -> Option<Scalar>;

/// The tiling that parameters make for times in a unit.
pub(crate) type TilingOf = fn(&[&Scalar], TimeUnit) -> Option<Tiling>;

/// Type of a function's result.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Returns {
    /// DOUBLE.
    Double,
    /// BIGINT.
    BigInt,
    /// BOOLEAN.
    Boolean,
    /// INTERVAL.
    Interval,
    /// Time in a unit.
    Time(TimeUnit),
    /// BIGINT UNSIGNED.
    UBigInt,
    /// STRING.
    Text,
    /// That of the argument at this position.
    Argument(usize),
    /// What is made of the type of the first argument.
    Made(fn(&DataType) -> DataType),
}

/// How a function computes. The binder has cast the arguments to the types that the kernel takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kernel {
    /// Over columns of one length, row by row.
    Columns(fn(&[ArrayRef]) -> Result<ArrayRef>),
    /// The same, with dictionaries as they are.
    Coded(fn(&[ArrayRef]) -> Result<ArrayRef>),
    /// Over the argument at a position; all others are literals, which come first, in their order.
    Parameters(usize, fn(&[&Scalar], &ArrayRef) -> Result<ArrayRef>),
    /// Over nothing: another value in each row, and at each call; given the number of rows.
    Volatile(fn(usize) -> ArrayRef),
}

/// Whether a kernel may refuse a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fails {
    /// It has an answer to every value.
    Never,
    /// An integer may overflow.
    Integers,
    /// There are values that it does not take.
    Values,
}

impl ScalarFunction {
    /// A function that refuses nothing, and whose constants the kernel computes.
    pub(crate) const fn new(name: &'static str, returns: Returns, kernel: Kernel) -> Self {
        let (fails, text) = (Fails::Never, TextMade::OfArguments);
        Self { name, returns, kernel, fails, text, fold: None, tiling: None, pattern: None }
    }

    /// The same where there are values that it does not take.
    pub(crate) const fn failing(self) -> Self {
        Self { fails: Fails::Values, ..self }
    }

    /// The same where it makes text of this size.
    pub(crate) const fn making(self, bytes: fn(&[ArrayRef]) -> usize) -> Self {
        Self { text: TextMade::Bytes(bytes), ..self }
    }

    /// The same where the argument `at` is a pattern.
    pub(crate) const fn compiling(self, at: usize) -> Self {
        Self { pattern: Some(at), ..self }
    }

    /// Whether two calls of it differ.
    pub(crate) fn is_volatile(&self) -> bool {
        matches!(self.kernel, Kernel::Volatile(_))
    }

    /// The type of the result; `argument` gives that of an argument.
    pub(crate) fn data_type(&self, argument: impl Fn(usize) -> DataType) -> DataType {
        match self.returns {
            Returns::Double => DataType::Float64,
            Returns::BigInt => DataType::Int64,
            Returns::Boolean => DataType::Boolean,
            Returns::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
            Returns::Time(unit) => DataType::Timestamp(unit, None),
            Returns::UBigInt => DataType::UInt64,
            Returns::Text => DataType::Utf8,
            Returns::Argument(at) => argument(at),
            Returns::Made(make) => make(&argument(0)),
        }
    }
}

impl PartialEq for ScalarFunction {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl fmt::Debug for ScalarFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
