//! CAST and TRY_CAST, and the types that they name.

use arrow_schema::{DataType, IntervalUnit, TimeUnit};
use sqlparser::ast;

use super::expr::ExprBinder;
use crate::error::SqlError;
use crate::expr::Typed;
use crate::expr::coerce::explicit_cast;
use crate::function::conversion::try_cast;

impl ExprBinder<'_> {
    /// CAST, `::` and TRY_CAST.
    pub(super) fn cast(
        &mut self,
        kind: &ast::CastKind,
        expr: &ast::Expr,
        to: &ast::DataType,
    ) -> Result<Typed, SqlError> {
        let bound = self.bind(expr)?;
        let to = cast_target(to)?;
        match kind {
            ast::CastKind::Cast | ast::CastKind::DoubleColon => explicit_cast(bound, to),
            ast::CastKind::TryCast | ast::CastKind::SafeCast => try_cast(bound, to),
        }
    }
}

/// The type that CAST names. Lengths of text are not kept, and the narrower integers and floats are the wide ones.
fn cast_target(written: &ast::DataType) -> Result<DataType, SqlError> {
    use ast::DataType as Written;
    Ok(match written {
        Written::BigInt(_)
        | Written::Int8(_)
        | Written::Int64
        | Written::Int(_)
        | Written::Integer(_)
        | Written::SmallInt(_)
        | Written::TinyInt(_) => DataType::Int64,
        Written::BigIntUnsigned(_)
        | Written::IntUnsigned(_)
        | Written::IntegerUnsigned(_)
        | Written::SmallIntUnsigned(_)
        | Written::TinyIntUnsigned(_)
        | Written::UnsignedInteger => DataType::UInt64,
        Written::Double(_) | Written::DoublePrecision | Written::Float8 | Written::Float(_) | Written::Real => {
            DataType::Float64
        }
        Written::Boolean | Written::Bool => DataType::Boolean,
        Written::String(_) | Written::Text | Written::Varchar(_) | Written::Char(_) | Written::Character(_) => {
            DataType::Utf8
        }
        Written::Timestamp(_, ast::TimezoneInfo::None | ast::TimezoneInfo::WithoutTimeZone) => {
            DataType::Timestamp(TimeUnit::Nanosecond, None)
        }
        Written::Interval { fields: None, .. } => DataType::Interval(IntervalUnit::MonthDayNano),
        other => return Err(SqlError::unsupported(format!("CAST to {other}"))),
    })
}
