//! Conversion by name of a type: TRY_CAST, `arrow_cast`, and `arrow_typeof`, which gives the name.

use arrow_array::ArrayRef;
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, TimeUnit};

use super::definition::{Documentation, Function, call, exactly, wrong_arguments};
use crate::error::execution::Result as ExecResult;
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::coerce::{casts, explicit_cast, no_window};
use crate::expr::function::{Kernel, Returns};
use crate::expr::{Scalar, ScalarFunction, Typed};
use crate::session::Session;
use crate::types::array::plain;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::own(
        Documentation::new("arrow_typeof", "arrow_typeof(x)", "The type of `x` by arrow's name, STRING."),
        |name, args, _| {
            let [arg] = exactly::<1>(name, args)?;
            Ok(Typed::literal(Scalar::Str(arrow_name(&arg.data_type).into())))
        },
    ),
    Function::own(
        Documentation::new(
            "arrow_cast",
            "arrow_cast(x, type)",
            "`x` as the type of that name of arrow's: `Int64`, `UInt64`, `Float64`, `Boolean`, `Utf8` or \
             `Timestamp(unit, None)` with `Second`, `Millisecond`, `Microsecond` or `Nanosecond`.",
        ),
        arrow_cast,
    ),
];

/// The name that `arrow_cast` takes.
fn arrow_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Timestamp(unit, None) => format!("Timestamp({unit:?}, None)"),
        DataType::Interval(unit) => format!("Interval({unit:?})"),
        other => other.to_string(),
    }
}

fn arrow_cast(name: &str, args: Vec<Typed>, _: &Session) -> Result<Typed, SqlError> {
    let [arg, written] = exactly::<2>(name, args)?;
    let Some(Scalar::Str(text)) = written.constant() else {
        return Err(wrong_arguments(name, &[arg, written]));
    };
    let to = match text.parse::<DataType>() {
        Ok(
            to @ (DataType::Int64
            | DataType::UInt64
            | DataType::Float64
            | DataType::Boolean
            | DataType::Utf8
            | DataType::Timestamp(_, None)),
        ) => to,
        _ => return Err(SqlError::unsupported(format!("arrow_cast to {text}"))),
    };
    explicit_cast(arg, to)
}

/// A cast to a type that gives null where there is no value.
macro_rules! try_to {
    ($static:ident, $returns:expr, $to:expr) => {
        static $static: ScalarFunction =
            ScalarFunction::new("try_cast", $returns, Kernel::Columns(|args| safe_cast(args, &$to)));
    };
}

try_to!(TRY_INT, Returns::BigInt, DataType::Int64);
try_to!(TRY_UINT, Returns::UBigInt, DataType::UInt64);
try_to!(TRY_FLOAT, Returns::Double, DataType::Float64);
try_to!(TRY_BOOL, Returns::Boolean, DataType::Boolean);
try_to!(TRY_TIME, Returns::Time(TimeUnit::Nanosecond), DataType::Timestamp(TimeUnit::Nanosecond, None));

/// `TRY_CAST(typed AS to)`: null where CAST fails.
pub(crate) fn try_cast(typed: Typed, to: DataType) -> Result<Typed, SqlError> {
    no_window(&typed)?;
    if !casts(&typed.data_type, &to) {
        return Err(SqlErrorKind::Cast { from: typed.data_type, to }.into());
    }
    let function = match to {
        DataType::Int64 => &TRY_INT,
        DataType::UInt64 => &TRY_UINT,
        DataType::Float64 => &TRY_FLOAT,
        DataType::Boolean => &TRY_BOOL,
        DataType::Timestamp(TimeUnit::Nanosecond, None) => &TRY_TIME,
        // Everything has a text.
        DataType::Utf8 => return explicit_cast(typed, to),
        other => return Err(SqlError::unsupported(format!("TRY_CAST to {other}"))),
    };
    Ok(call(function, vec![typed]))
}

fn safe_cast(args: &[ArrayRef], to: &DataType) -> ExecResult<ArrayRef> {
    const SAFE: CastOptions<'static> =
        CastOptions { safe: true, format_options: arrow_cast::display::FormatOptions::new() };
    Ok(cast_with_options(&plain(&args[0])?, to, &SAFE)?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{Float64Array, StringArray};

    use super::*;

    #[test]
    fn what_does_not_convert_is_null() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("7"), Some("x"), None]));
        let ints = safe_cast(&[texts], &DataType::Int64).unwrap();
        assert_eq!(ints.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(7), None, None]);
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.9, 1e300, f64::NAN]));
        let ints = safe_cast(&[floats], &DataType::Int64).unwrap();
        assert_eq!(ints.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(1), None, None]);
    }
}
