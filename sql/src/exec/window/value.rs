//! Values of other rows of the partition.

use arrow_array::{ArrayRef, UInt32Array};
use arrow_select::concat::concat;
use arrow_select::take::take;

use super::frame::Frames;
use super::span::{Place, Span};
use crate::error::execution::{ExecError, Result};
use crate::plan::window::WindowFunction;
use crate::types::array::cast_to;

/// What a call looks up.
pub(super) struct Lookup {
    /// The value of each row, and behind them the default of each where there are some.
    values: ArrayRef,
    defaults_at: Option<usize>,
    /// Rows that have a value, where others do not count.
    present: Option<Vec<u32>>,
}

impl Lookup {
    /// Of a value, and of a default behind it; with `ignore_nulls` rows without a value do not count.
    pub(super) fn new(columns: &[ArrayRef], ignore_nulls: bool) -> Result<Self> {
        let [value, defaults @ ..] = columns else {
            return Err(ExecError::Internal("a window function of no value".to_owned()));
        };
        let present = ignore_nulls.then(|| match value.logical_nulls() {
            Some(nulls) => nulls.valid_indices().map(|row| row as u32).collect(),
            None => (0..value.len() as u32).collect(),
        });
        let Some(defaults) = defaults.first() else {
            return Ok(Self { values: ArrayRef::clone(value), defaults_at: None, present });
        };
        let defaults = cast_to(defaults, value.data_type())?;
        let values = concat(&[value.as_ref(), defaults.as_ref()])?;
        Ok(Self { values, defaults_at: Some(value.len()), present })
    }

    /// Where the default of a row is.
    fn default_of(&self, row: usize) -> Option<u32> {
        self.defaults_at.map(|at| (at + row) as u32)
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
                if let Some(present) = &self.present
                    && *by != 0
                {
                    let row = shifted(present, place.row, *by).filter(|row| partition.contains(&(*row as usize)));
                    return row.or_else(|| self.default_of(place.row));
                }
                let row = i64::try_from(place.row).ok().and_then(|row| row.checked_add(*by));
                let row = row.and_then(|row| usize::try_from(row).ok()).filter(|row| partition.contains(row));
                return row.map(|row| row as u32).or_else(|| self.default_of(place.row));
            }
            WindowFunction::First(_) | WindowFunction::Last(_) | WindowFunction::Nth(..) if self.present.is_some() => {
                return among(self.present.as_deref().unwrap_or_default(), function, &frames.of(span, place));
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

/// The row that is `by` of those in `present` behind `row`, or before it if that is negative.
fn shifted(present: &[u32], row: usize, by: i64) -> Option<u32> {
    let at = match by > 0 {
        true => {
            let next = present.partition_point(|one| *one as usize <= row);
            next.checked_add(usize::try_from(by - 1).ok()?)?
        }
        false => {
            let before = present.partition_point(|one| (*one as usize) < row);
            before.checked_sub(usize::try_from(by.unsigned_abs()).ok()?)?
        }
    };
    present.get(at).copied()
}

/// The row that a call means of those in `present` that are in a frame.
fn among(present: &[u32], function: &WindowFunction, frame: &std::ops::Range<usize>) -> Option<u32> {
    let start = present.partition_point(|one| (*one as usize) < frame.start);
    let end = present.partition_point(|one| (*one as usize) < frame.end);
    let rows = present.get(start..end)?;
    match function {
        WindowFunction::First(_) => rows.first(),
        WindowFunction::Last(_) => rows.last(),
        WindowFunction::Nth(_, number) => rows.get(usize::try_from(number.checked_sub(1)?).ok()?),
        _ => None,
    }
    .copied()
}
