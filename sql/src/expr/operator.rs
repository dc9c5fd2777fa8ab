//! Operators of two operands.

use arrow_schema::{DataType, IntervalUnit};

/// Operators of two operands. Comparison and arithmetic see operands of one type: the binder has put the casts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `=`
    Eq,
    /// `<>`
    NotEq,
    /// `<`
    Lt,
    /// `<=`
    LtEq,
    /// `>`
    Gt,
    /// `>=`
    GtEq,
    /// Three-valued AND.
    And,
    /// Three-valued OR.
    Or,
    /// `+`; also time + interval.
    Plus,
    /// `-`; also time - interval, and time - time, an interval of whole days and the nanoseconds left over.
    Minus,
    /// `*`
    Multiply,
    /// `/`, truncating on integers.
    Divide,
    /// `%`
    Modulo,
    /// `||`
    Concat,
}

impl BinaryOp {
    /// Type of the result for operands of these types.
    pub fn data_type(self, left: &DataType, right: &DataType) -> DataType {
        match self {
            Self::Plus | Self::Minus | Self::Multiply | Self::Divide | Self::Modulo => match (left, right) {
                (DataType::Timestamp(..), DataType::Timestamp(..)) => DataType::Interval(IntervalUnit::MonthDayNano),
                (DataType::Interval(_), time @ DataType::Timestamp(..)) => time.clone(),
                (DataType::Null, other) => other.clone(),
                _ => left.clone(),
            },
            Self::Concat => DataType::Utf8,
            _ => DataType::Boolean,
        }
    }

    /// Whether it compares its operands.
    pub(crate) fn is_comparison(self) -> bool {
        self.opposite().is_some()
    }

    /// The operator for exchanged operands.
    pub(crate) fn swapped(self) -> Self {
        match self {
            Self::Lt => Self::Gt,
            Self::LtEq => Self::GtEq,
            Self::Gt => Self::Lt,
            Self::GtEq => Self::LtEq,
            other => other,
        }
    }

    /// The comparison that is true where this one is false; `None` for what compares nothing. Floats are totally
    /// ordered by the kernels, so that this holds for NaN.
    pub(crate) fn opposite(self) -> Option<Self> {
        Some(match self {
            Self::Eq => Self::NotEq,
            Self::NotEq => Self::Eq,
            Self::Lt => Self::GtEq,
            Self::LtEq => Self::Gt,
            Self::Gt => Self::LtEq,
            Self::GtEq => Self::Lt,
            _ => return None,
        })
    }
}
