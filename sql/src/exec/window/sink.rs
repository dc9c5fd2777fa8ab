//! The sink that holds partitions until they are whole, and lets them out with their answers.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat;

use super::aggregate::FrameAggregate;
use super::changes::Changes;
use super::frame::Frames;
use super::ranking::numbers;
use super::span::{Place, Span, column};
use super::value::Lookup;
use crate::error::execution::{ExecError, Result};
use crate::exec::batch::{BatchMaker, OUTPUT_ROWS, OneForm, batch_bytes, slices};
use crate::exec::context::{QueryContext, Reservation};
use crate::exec::sink::{Left, Sink};
use crate::expr::Expr;
use crate::plan::window::WindowFunction;
use crate::plan::{SortKey, WindowCall};

/// Rows of one span: its rows are numbered in 32 bits.
const ROWS_MAX: usize = u32::MAX as usize - 1;

/// What partitions, equals and an answer take of a row.
const ROW_BYTES: usize = 16;

/// What the number of a row that has a value takes, for a call that ignores nulls.
const PRESENT_BYTES: usize = size_of::<u32>();

/// Window functions of one order.
pub(crate) struct Windows {
    partition: Vec<Expr>,
    order: Vec<SortKey>,
    calls: Vec<WindowCall>,
    maker: BatchMaker,
    form: OneForm,
    changes: Changes,
    /// Rows whose span is not begun.
    held: VecDeque<RecordBatch>,
    held_rows: usize,
    held_bytes: usize,
    /// First rows, among those held, of partitions; the last may not be whole.
    partitions: Vec<usize>,
    work: Option<Work>,
    has_ended: bool,
    memory: Reservation,
}

/// A span in work.
struct Work {
    /// Its rows, until they are in one piece.
    parts: Vec<RecordBatch>,
    partitions: Vec<usize>,
    bytes: usize,
    /// Columns in one piece.
    columns: Vec<ArrayRef>,
    span: Option<Span>,
    /// Answers of calls that are done.
    answers: Vec<ArrayRef>,
    call: Option<Running>,
    /// Rows that have left.
    out: usize,
}

/// A call in work.
struct Running {
    frames: Frames,
    kind: Kind,
}

enum Kind {
    Numbers { next: Option<Place>, done: Vec<ArrayRef> },
    Values { lookup: Lookup, next: Option<Place>, done: Vec<ArrayRef> },
    Aggregate(Box<FrameAggregate>),
}

impl Windows {
    /// Windows over rows that come in the order of `partition` and `order`; `schema` is of the rows and the answers.
    pub(crate) fn new(
        partition: Vec<Expr>,
        order: Vec<SortKey>,
        calls: Vec<WindowCall>,
        schema: SchemaRef,
        context: &QueryContext,
    ) -> Self {
        Self {
            partition,
            order,
            calls,
            maker: BatchMaker::new(schema),
            form: OneForm::default(),
            changes: Changes::default(),
            held: VecDeque::new(),
            held_rows: 0,
            held_bytes: 0,
            partitions: Vec::new(),
            work: None,
            has_ended: false,
            memory: context.reservation(),
        }
    }

    /// Takes whole partitions, once there is about a batch of them or no more rows come.
    fn begin(&mut self) -> Result<()> {
        let whole = if self.has_ended { self.held_rows } else { self.partitions.last().copied().unwrap_or(0) };
        if whole == 0 || (whole < OUTPUT_ROWS && !self.has_ended) {
            return Ok(());
        }
        if whole > ROWS_MAX {
            return Err(ExecError::Execution(format!("a window over more than {ROWS_MAX} rows")));
        }
        let (mut parts, mut rows, mut bytes) = (Vec::new(), 0, 0);
        while let Some(batch) = self.held.pop_front() {
            let wanted = (whole - rows).min(batch.num_rows());
            rows += wanted;
            bytes += batch_bytes(&batch);
            parts.push(batch.slice(0, wanted));
            if wanted < batch.num_rows() {
                let rest = batch.slice(wanted, batch.num_rows() - wanted);
                bytes -= batch_bytes(&rest);
                self.held.push_front(rest);
            }
            if rows == whole {
                break;
            }
        }
        let partitions: Vec<usize> = self.partitions.iter().copied().filter(|start| *start < whole).collect();
        self.partitions.retain(|start| *start >= whole);
        self.partitions.iter_mut().for_each(|start| *start -= whole);
        self.held_rows -= whole;
        self.held_bytes = self.held_bytes.saturating_sub(bytes);
        let of_present = PRESENT_BYTES * self.calls.iter().filter(|call| call.ignore_nulls).count();
        self.work = Some(Work {
            parts,
            partitions,
            // As they are, and in one piece.
            bytes: 2 * bytes + whole * (ROW_BYTES * (1 + self.calls.len()) + of_present),
            columns: Vec::new(),
            span: None,
            answers: Vec::new(),
            call: None,
            out: 0,
        });
        self.account()
    }

    fn account(&mut self) -> Result<()> {
        let of_work = self.work.as_ref().map_or(0, |work| {
            let of_call = match &work.call {
                Some(Running { kind: Kind::Aggregate(aggregate), .. }) => aggregate.bytes(),
                _ => 0,
            };
            work.bytes + of_call + work.answers.iter().map(Array::get_array_memory_size).sum::<usize>()
        });
        self.memory.resize(self.held_bytes + of_work)
    }

    /// One step of the span in work; `None` when all of it is out.
    fn advance(&mut self, mut work: Work, out: &mut Vec<RecordBatch>) -> Result<Option<Work>> {
        let Some(span) = &work.span else {
            let width = work.parts.first().map_or(0, RecordBatch::num_columns);
            if work.columns.len() < width {
                let at = work.columns.len();
                let parts: Vec<&dyn Array> = work.parts.iter().map(|part| part.column(at).as_ref()).collect();
                work.columns.push(concat(&parts)?);
                return Ok(Some(work));
            }
            let parts = std::mem::take(&mut work.parts);
            let rows = parts.iter().map(RecordBatch::num_rows).sum();
            if let Some(part) = parts.first() {
                let options = RecordBatchOptions::new().with_row_count(Some(rows));
                let columns = std::mem::take(&mut work.columns);
                let batch = RecordBatch::try_new_with_options(part.schema(), columns, &options)?;
                work.span = Some(Span::new(batch, std::mem::take(&mut work.partitions), &self.order)?);
                return Ok(Some(work));
            }
            return Ok(None);
        };
        let rows = span.rows.num_rows();
        if let Some(call) = self.calls.get(work.answers.len()) {
            let running = match &mut work.call {
                Some(running) => running,
                None => work.call.insert(Running::new(call, span, &self.order)?),
            };
            if let Some(answers) = running.step(&call.function, span)? {
                work.answers.push(answers);
                work.call = None;
            }
            return Ok(Some(work));
        }
        let count = (rows - work.out).min(OUTPUT_ROWS);
        let columns = span.rows.columns().iter().chain(&work.answers).map(|column| column.slice(work.out, count));
        out.push(self.maker.make(columns.collect(), count)?);
        work.out += count;
        Ok((work.out < rows).then_some(work))
    }
}

impl Sink for Windows {
    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        for batch in slices(batch) {
            let batch = self.form.of(batch)?;
            let rows = batch.num_rows();
            let keys = self.partition.iter().map(|key| column(&batch, key)).collect::<Result<Vec<_>>>()?;
            let begun = self.changes.among(&keys, rows)?;
            self.held_bytes += batch_bytes(&batch) + begun.len() * size_of::<usize>();
            self.partitions.extend(begun.into_iter().map(|row| self.held_rows + row));
            self.held_rows += rows;
            self.held.push_back(batch);
        }
        self.account()
    }

    fn end(&mut self) -> Result<()> {
        self.has_ended = true;
        Ok(())
    }

    fn step(&mut self, out: &mut Vec<RecordBatch>) -> Result<Left> {
        match self.work.take() {
            Some(work) => self.work = self.advance(work, out)?,
            None => self.begin()?,
        }
        self.account()?;
        Ok(if self.work.is_some() { Left::Work } else { Left::Nothing })
    }
}

impl Running {
    fn new(call: &WindowCall, span: &Span, order: &[SortKey]) -> Result<Self> {
        let frames = Frames::new(&call.frame, span, order)?;
        let next = Some(span.end(false));
        let kind = match &call.function {
            WindowFunction::Aggregate(aggregate) => {
                Kind::Aggregate(Box::new(FrameAggregate::new(aggregate, span, &frames)?))
            }
            WindowFunction::Shift { .. }
            | WindowFunction::First(_)
            | WindowFunction::Last(_)
            | WindowFunction::Nth(..) => {
                let columns = call.exprs().iter().map(|expr| span.column(expr)).collect::<Result<Vec<_>>>()?;
                Kind::Values { lookup: Lookup::new(&columns, call.ignore_nulls)?, next, done: Vec::new() }
            }
            _ => Kind::Numbers { next, done: Vec::new() },
        };
        Ok(Self { frames, kind })
    }

    /// Answers some rows; all answers once every row has its own.
    fn step(&mut self, function: &WindowFunction, span: &Span) -> Result<Option<ArrayRef>> {
        let (next, done) = match &mut self.kind {
            Kind::Aggregate(aggregate) => return aggregate.step(span, &self.frames),
            Kind::Numbers { next, done } => {
                if let Some(place) = *next {
                    done.push(numbers(function, span, place, OUTPUT_ROWS));
                    *next = span.after(place, OUTPUT_ROWS);
                }
                (next, done)
            }
            Kind::Values { lookup, next, done } => {
                if let Some(place) = *next {
                    done.push(lookup.values(function, span, &self.frames, place, OUTPUT_ROWS)?);
                    *next = span.after(place, OUTPUT_ROWS);
                }
                (next, done)
            }
        };
        if next.is_some() {
            return Ok(None);
        }
        let parts: Vec<&dyn Array> = done.iter().map(AsRef::as_ref).collect();
        Ok(Some(match parts.as_slice() {
            [_] => Arc::clone(&done[0]),
            _ => concat(&parts)?,
        }))
    }
}
