//! The lanes that accumulators hold values in: i64, u64, f64 and text. Other types are converted on the way in and back
//! on the way out.

use arrow_array::ArrayRef;
use arrow_schema::DataType;

use crate::error::execution::{ExecError, Result};
use crate::types::array::cast_to;

/// The lane that values of a type are held in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LaneKind {
    Int,
    UInt,
    Float,
    Text,
}

/// The lane of `data_type`, and the type its array has there.
pub(super) fn lane_of(data_type: &DataType) -> Result<(LaneKind, DataType)> {
    Ok(match data_type {
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Timestamp(..)
        | DataType::Duration(_)
        | DataType::Null => (LaneKind::Int, DataType::Int64),
        DataType::Boolean | DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => {
            (LaneKind::UInt, DataType::UInt64)
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 => (LaneKind::Float, DataType::Float64),
        DataType::Utf8 => (LaneKind::Text, DataType::Utf8),
        DataType::Dictionary(_, value) => lane_of(value)?,
        other => return Err(ExecError::NotImplemented(format!("aggregates over {other}"))),
    })
}

/// The error of a call that cannot read summaries.
pub(super) fn no_summary() -> ExecError {
    ExecError::Internal("a summary for an aggregate that needs rows".into())
}

/// The argument at `at`, converted to the lane type `to`.
pub(super) fn lane_array(args: &[ArrayRef], at: usize, to: &DataType) -> Result<ArrayRef> {
    let array = args.get(at).ok_or_else(|| ExecError::Internal(format!("aggregate without argument {at}")))?;
    cast_to(array, to)
}
