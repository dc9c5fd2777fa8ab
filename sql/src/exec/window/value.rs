//! Values of other rows of the partition.

use arrow_array::{ArrayRef, UInt32Array};
use arrow_select::concat::concat;
use arrow_select::take::take;

use super::frame::Frames;
use super::span::{Place, Span};
use crate::error::execution::Result;
use crate::exec::eval::scalar_array;
use crate::expr::Scalar;
use crate::plan::window::WindowFunction;
use crate::types::array::cast_to;

/// What a call looks up.
pub(super) struct Lookup {
    /// The value of each row, and the default behind them where there is one.
    values: ArrayRef,
    default_at: Option<u32>,
}

impl Lookup {
    /// Of `value`, with a default of its type.
    pub(super) fn new(value: &ArrayRef, default: Option<&Scalar>) -> Result<Self> {
        match default {
            Some(default) if *default != Scalar::Null => {
                let default = cast_to(&scalar_array(default), value.data_type())?;
                let values = concat(&[value.as_ref(), default.as_ref()])?;
                Ok(Self { default_at: Some(value.len() as u32), values })
            }
            _ => Ok(Self { values: ArrayRef::clone(value), default_at: None }),
        }
    }

    /// The values for the rows from `place` on, `rows` of them at most.
    pub(super) fn values(
        &self,
        function: &WindowFunction,
        span: &Span,
        frames: &Frames,
        place: Place,
        rows: usize,
    ) -> Result<ArrayRef> {
        let mut at: Vec<Option<u32>> = Vec::with_capacity(rows.min(span.rows.num_rows()));
        let mut next = Some(place);
        while let Some(place) = next.filter(|_| at.len() < rows) {
            at.push(self.row_for(function, span, frames, place));
            next = span.beside(place, false);
        }
        Ok(take(&self.values, &UInt32Array::from(at), None)?)
    }

    fn row_for(&self, function: &WindowFunction, span: &Span, frames: &Frames, place: Place) -> Option<u32> {
        let row = match function {
            WindowFunction::Shift { by, .. } => {
                let partition = span.partition(place);
                let row = i64::try_from(place.row).ok().and_then(|row| row.checked_add(*by));
                let row = row.and_then(|row| usize::try_from(row).ok()).filter(|row| partition.contains(row));
                return row.map(|row| row as u32).or(self.default_at);
            }
            WindowFunction::First(_) => Some(frames.of(span, place)).filter(|frame| !frame.is_empty()).map(|f| f.start),
            WindowFunction::Last(_) => {
                Some(frames.of(span, place)).filter(|frame| !frame.is_empty()).map(|frame| frame.end - 1)
            }
            WindowFunction::Nth(_, number) => {
                let frame = frames.of(span, place);
                let before = usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
                Some(frame.start.saturating_add(before)).filter(|row| frame.contains(row))
            }
            _ => None,
        };
        row.map(|row| row as u32)
    }
}
