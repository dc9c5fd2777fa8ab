//! `min(x)` and `max(x)` of text.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use super::lane::lane_array;
use crate::error::execution::Result;
use crate::expr::accumulator::{Accumulator, Slices};
use crate::types::array::texts;

/// Least or greatest text, by bytes.
pub(super) struct TextExtreme {
    values: Vec<Option<Box<str>>>,
    text_bytes: usize,
    greatest: bool,
}

impl TextExtreme {
    pub(super) fn new(greatest: bool) -> Self {
        Self { values: Vec::new(), text_bytes: 0, greatest }
    }
}

impl Accumulator for TextExtreme {
    fn resize(&mut self, slots: usize) {
        self.values.resize(slots, None);
    }

    fn update(&mut self, args: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let array = lane_array(args, 0, &DataType::Utf8)?;
        let texts = array.as_string::<i32>();
        for slice in slices.slices {
            let present = slice.range().filter(|&row| texts.is_valid(row)).map(|row| texts.value(row));
            let Some(best) = (if self.greatest { present.max() } else { present.min() }) else { continue };
            let held = &mut self.values[slice.slot as usize];
            let better = held.as_deref().is_none_or(|held| if self.greatest { best > held } else { best < held });
            if better {
                self.text_bytes += best.len();
                self.text_bytes -= held.as_ref().map_or(0, |text| text.len());
                *held = Some(best.into());
            }
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        self.update(states, slices)
    }

    fn states(&self, slots: Range<usize>) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.results(slots)?])
    }

    fn results(&self, slots: Range<usize>) -> Result<ArrayRef> {
        texts(self.values[slots].iter().map(Option::as_deref))
    }

    fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<Option<Box<str>>>() + self.text_bytes
    }
}
