//! An aggregate over the frame of each row.
//!
//! A frame that holds the last one's rows takes in only those that are new, at either end; the rows go from the last to
//! the first where frames end with their partition. Any other frame is taken in anew, at the cost of its length.

use std::ops::Range;

use arrow_array::{ArrayRef, UInt32Array};
use arrow_select::concat::concat;
use arrow_select::take::take;

use super::frame::Frames;
use super::span::{Place, Span};
use crate::error::execution::Result;
use crate::exec::aggregate::accumulator_of;
use crate::expr::AggregateCall;
use crate::expr::accumulator::{Accumulator, Slice, Slices};

/// Answers that a step makes.
const STEP_ANSWERS: usize = 1_024;

/// Rows that a step takes in, but for one frame more.
const STEP_ROWS: usize = 131_072;

/// Runs one call over a span.
pub(super) struct FrameAggregate {
    call: AggregateCall,
    args: Vec<ArrayRef>,
    /// Of the frame `of`.
    accumulator: Box<dyn Accumulator>,
    of: Range<usize>,
    /// Whether `accumulator` has taken nothing in.
    is_new: bool,
    next: Option<Place>,
    is_backwards: bool,
    /// Answers of different frames, and which of them each row has; in the order in which rows are visited.
    done: Vec<ArrayRef>,
}

impl FrameAggregate {
    pub(super) fn new(call: &AggregateCall, span: &Span, frames: &Frames) -> Result<Self> {
        let is_backwards = frames.ends_with_partition();
        let args = call.args.iter().map(|arg| span.column(arg)).collect::<Result<_>>()?;
        Ok(Self {
            call: call.clone(),
            args,
            accumulator: fresh(call)?,
            of: 0..0,
            is_new: true,
            next: Some(span.end(is_backwards)),
            is_backwards,
            done: Vec::new(),
        })
    }

    /// Answers some rows; all of them, in their order, once every row has its answer.
    pub(super) fn step(&mut self, span: &Span, frames: &Frames) -> Result<Option<ArrayRef>> {
        let (mut answers, mut of_rows): (Vec<ArrayRef>, Vec<u32>) = (Vec::new(), Vec::new());
        let (mut taken, mut answered) = (0, None);
        while let Some(place) = self.next {
            if of_rows.len() >= STEP_ANSWERS || taken >= STEP_ROWS {
                break;
            }
            let frame = frames.of(span, place);
            if answered.as_ref() != Some(&frame) {
                taken += self.take_in(&frame)?;
                answers.push(self.accumulator.results(0..1)?);
                answered = Some(frame);
            }
            of_rows.push(answers.len() as u32 - 1);
            self.next = span.beside(place, self.is_backwards);
        }
        if !of_rows.is_empty() {
            self.done.push(gathered(&answers, of_rows)?);
        }
        if self.next.is_some() {
            return Ok(None);
        }
        let rows = self.done.iter().map(|part| part.len() as u32).sum();
        let order = if self.is_backwards { (0..rows).rev().collect() } else { (0..rows).collect() };
        gathered(&std::mem::take(&mut self.done), order).map(Some)
    }

    /// Memory held.
    pub(super) fn bytes(&self) -> usize {
        self.accumulator.bytes() + self.done.iter().map(|part| part.get_array_memory_size()).sum::<usize>()
    }

    /// Makes the accumulator that of `frame`; with the rows that it has taken in for that.
    fn take_in(&mut self, frame: &Range<usize>) -> Result<usize> {
        let of = self.of.clone();
        let grows = frame.start <= of.start && frame.end >= of.end;
        if !self.is_new && !grows {
            self.accumulator = fresh(&self.call)?;
            self.is_new = true;
        }
        let parts = if self.is_new { [frame.clone(), 0..0] } else { [frame.start..of.start, of.end..frame.end] };
        for part in parts.iter().filter(|part| !part.is_empty()) {
            // Of a part of its arguments, for some look at the whole of them.
            let args: Vec<ArrayRef> = self.args.iter().map(|arg| arg.slice(part.start, part.len())).collect();
            let slice = Slice { slot: 0, start: 0, end: part.len() as u32 };
            self.accumulator.update(&args, Slices { slices: &[slice], ascending: false })?;
            self.is_new = false;
        }
        self.of = frame.clone();
        Ok(parts.iter().map(ExactSizeIterator::len).sum())
    }
}

fn fresh(call: &AggregateCall) -> Result<Box<dyn Accumulator>> {
    let mut accumulator = accumulator_of(call)?;
    accumulator.resize(1);
    Ok(accumulator)
}

/// The parts as one column, of which `rows` are taken.
fn gathered(parts: &[ArrayRef], rows: Vec<u32>) -> Result<ArrayRef> {
    let parts: Vec<_> = parts.iter().map(AsRef::as_ref).collect();
    Ok(take(&concat(&parts)?, &UInt32Array::from(rows), None)?)
}
