//! The side of a join that passes.
//!
//! 1. Rows that come before the other side is complete wait, accounted.
//! 2. A batch is worked off in chunks of at most [`OUTPUT_ROWS`] pairs: each row meets the chain of its key, or all
//!    rows where there is no key, and a row's chain may go on in the next chunk. The filter sees the columns that it
//!    reads; what it leaves of the pairs comes out with those that are read behind the join, then the rows whose chain
//!    has ended without a pair, where the kind keeps them.
//! 3. At the end come the kept rows that none has met, where the kind keeps them, or all of them with their marks.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, NullArray, RecordBatch, UInt32Array, new_null_array};
use arrow_buffer::NullBuffer;
use arrow_schema::SchemaRef;
use arrow_select::take::take;

use super::build::BuildSide;
use super::gather::{NONE, text_widths};
use super::keys::KeyColumns;
use crate::error::execution::{ExecError, Result};
use crate::exec::batch::{BatchMaker, OUTPUT_ROWS, batch_bytes, rows_at_once};
use crate::exec::context::{QueryContext, Reservation};
use crate::exec::eval::{Input, Room, evaluate_mask};
use crate::exec::sink::{Left, Sink};
use crate::expr::Expr;
use crate::expr::extent::Work;
use crate::plan::JoinKind;
use crate::stage::JoinKeys;

/// Text of the pairs of a chunk, unless it is that of one pair.
const CHUNK_TEXT_MAX: usize = 8 << 20;

/// Numbers of kept rows that one step looks at for those that none has met.
const NUMBERS_AT_ONCE: usize = 8 * OUTPUT_ROWS;

/// What a join does with the rows that pass.
pub(crate) struct JoinPlan<'a> {
    pub(crate) kind: JoinKind,
    pub(crate) keys: &'a JoinKeys,
    pub(crate) filter: Option<&'a Expr>,
    pub(crate) pairs: &'a SchemaRef,
    /// The columns of pairs that are read behind the join; the others are null in them.
    pub(crate) read: &'a [bool],
    pub(crate) left_columns: usize,
    pub(crate) schema: &'a SchemaRef,
}

/// Joins the rows that pass with those that are kept.
pub(crate) struct HashJoin {
    kind: JoinKind,
    keys: KeyColumns,
    filter: Option<Expr>,
    /// The columns of pairs that the filter reads.
    filter_reads: Vec<bool>,
    read: Vec<bool>,
    /// Pairs that the filter sees at a time.
    pairs_at_once: usize,
    pairs: SchemaRef,
    left_columns: usize,
    pair_maker: BatchMaker,
    maker: BatchMaker,
    side: Rc<RefCell<BuildSide>>,
    /// Batches that wait.
    waiting: VecDeque<RecordBatch>,
    waiting_bytes: usize,
    memory: Reservation,
    at: Option<Cursor>,
    /// By number, whether a kept row has been met.
    met: Vec<u64>,
    met_memory: Reservation,
    /// The next kept row to look at, once all rows have passed.
    tail: Option<usize>,
    /// Holds the rows that were put out last.
    out_memory: Reservation,
    room: Room,
}

/// A batch that is worked off.
struct Cursor {
    batch: RecordBatch,
    /// By row, the first kept row with its key.
    first: Vec<u32>,
    /// Rows none of whose keys is null, where there are others.
    valid: Option<NullBuffer>,
    widths: Option<Vec<u32>>,
    row: usize,
    /// The next kept row that `row` meets; not looked up while `is_begun` is false.
    next: Option<u32>,
    is_begun: bool,
    /// Whether a row has met one that the filter leaves.
    has_met: Vec<bool>,
}

/// Pairs of rows to look at.
#[derive(Default)]
struct Chunk {
    left: Vec<u32>,
    right: Vec<u32>,
    /// Rows whose last pair is in this chunk or one before.
    ended: std::ops::Range<usize>,
    text: usize,
}

/// Whether the bit of a kept row is set; not where there is none.
#[inline]
fn is_set(bits: &[u64], row: u32) -> bool {
    bits.get(row as usize / 64).is_some_and(|word| word & (1 << (row % 64)) != 0)
}

impl HashJoin {
    pub(crate) fn new(plan: &JoinPlan<'_>, side: Rc<RefCell<BuildSide>>, context: &QueryContext) -> Self {
        let mut filter_reads = vec![false; plan.pairs.fields().len()];
        plan.filter.iter().for_each(|filter| filter.for_each_column(&mut |at| filter_reads[at] = true));
        Self {
            kind: plan.kind,
            keys: KeyColumns::new(plan.keys, context),
            filter: plan.filter.cloned(),
            filter_reads,
            read: plan.read.to_vec(),
            pairs_at_once: rows_at_once(Work::of_all(plan.filter)).min(OUTPUT_ROWS),
            pairs: Arc::clone(plan.pairs),
            left_columns: plan.left_columns,
            pair_maker: BatchMaker::new(Arc::clone(plan.pairs)),
            maker: BatchMaker::new(Arc::clone(plan.schema)),
            side,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            memory: context.reservation(),
            at: None,
            met: Vec::new(),
            met_memory: context.reservation(),
            tail: None,
            out_memory: context.reservation(),
            room: Room::new(context),
        }
    }

    /// The next batch to work off.
    fn begin(&mut self, batch: RecordBatch) -> Result<()> {
        let rows = batch.num_rows();
        match self.keys.of(&batch) {
            Err(ExecError::TextTooLong { .. }) if rows > 1 => {
                self.waiting_bytes += batch_bytes(&batch);
                self.memory.resize(self.waiting_bytes)?;
                self.waiting.push_front(batch.slice(rows / 2, rows - rows / 2));
                self.waiting.push_front(batch.slice(0, rows / 2));
            }
            keys => {
                let (keys, widths) = (keys?, text_widths(&batch));
                let (mut first, valid, has_met) = (Vec::new(), keys.valid.clone(), vec![false; rows]);
                self.side.borrow_mut().first_of(&keys, rows, &mut first)?;
                self.at = Some(Cursor { batch, first, valid, widths, row: 0, next: None, is_begun: false, has_met });
            }
        }
        Ok(())
    }

    /// Works a chunk of a batch off; gives the batch back while there is more of it.
    fn work(&mut self, mut cursor: Cursor, out: &mut Vec<RecordBatch>) -> Result<()> {
        let is_mark = matches!(self.kind, JoinKind::Mark { .. });
        let marks_kept = self.kind == JoinKind::MarkKept;
        // Whether there is a pair is enough to know.
        let first_only = is_mark && self.filter.is_none();
        let side = Rc::clone(&self.side);
        let side = side.borrow();
        // Rows of one key are met together, so that those that have been met need not be again.
        let known = if marks_kept && self.filter.is_none() { self.met.as_slice() } else { &[] };
        let mut chunk = cursor.chunk(&side, first_only, known, self.pairs_at_once);
        self.out_memory
            .resize(chunk.text.saturating_add(chunk.left.len() * size_of::<u64>() * self.pairs.fields().len()))?;
        if let Some(mask) = self.kept(&cursor, &side, &chunk)? {
            let kept = |rows: &[u32]| mask.values().set_indices().map(|at| rows[at]).collect();
            (chunk.left, chunk.right) = (kept(&chunk.left), kept(&chunk.right));
        }
        for (&left, &right) in chunk.left.iter().zip(&chunk.right) {
            let known = std::mem::replace(&mut cursor.has_met[left as usize], true);
            if known && self.kind == JoinKind::Single {
                return Err(ExecError::Execution(
                    "a subquery that stands for a value has more than one row".to_owned(),
                ));
            }
            if self.kind.keeps_right() {
                self.met[right as usize / 64] |= 1 << (right % 64);
            }
        }
        if !is_mark && !marks_kept && !chunk.left.is_empty() {
            out.push(self.pairs_of(&cursor, &side, &chunk.left, &chunk.right)?);
        }
        if self.kind.keeps_left() && !is_mark {
            let alone: Vec<u32> =
                chunk.ended.clone().filter(|row| !cursor.has_met[*row]).map(|row| row as u32).collect();
            if !alone.is_empty() {
                let none = vec![NONE; alone.len()];
                out.push(self.pairs_of(&cursor, &side, &alone, &none)?);
            }
        }
        if cursor.row < cursor.batch.num_rows() {
            self.at = Some(cursor);
        } else if is_mark {
            out.push(self.marked(&cursor, &side)?);
        }
        Ok(())
    }

    /// Which pairs of a chunk the filter leaves; `None` without one.
    fn kept(&mut self, cursor: &Cursor, side: &BuildSide, chunk: &Chunk) -> Result<Option<BooleanArray>> {
        let Some(filter) = &self.filter else { return Ok(None) };
        if chunk.left.is_empty() {
            return Ok(None);
        }
        let none: ArrayRef = Arc::new(NullArray::new(0));
        let columns =
            self.columns_of(cursor, side, [&chunk.left, &chunk.right], &self.filter_reads, |_| none.clone())?;
        self.room.clear()?;
        let names = self.pairs.as_ref();
        evaluate_mask(filter, Input { columns: &columns, rows: chunk.left.len(), names, room: &self.room }).map(Some)
    }

    /// Rows side by side.
    fn pairs_of(&mut self, cursor: &Cursor, side: &BuildSide, left: &[u32], right: &[u32]) -> Result<RecordBatch> {
        let rows = left.len();
        let null = |at: usize| new_null_array(self.pairs.field(at).data_type(), rows);
        let columns = self.columns_of(cursor, side, [left, right], &self.read, null)?;
        self.pair_maker.make(columns, rows)
    }

    /// The columns of pairs that are `read`, and in the places of the others `other`.
    fn columns_of(
        &self,
        cursor: &Cursor,
        side: &BuildSide,
        [left, right]: [&[u32]; 2],
        read: &[bool],
        other: impl Fn(usize) -> ArrayRef,
    ) -> Result<Vec<ArrayRef>> {
        // Where every row meets one, as rows meet what they name, columns stay as they are.
        let from = left.first().map_or(0, |first| *first as usize);
        let is_span = left.iter().enumerate().all(|(at, row)| *row as usize == from + at);
        let rows = if is_span { None } else { Some(UInt32Array::from(left.to_vec())) };
        let of_left = cursor.batch.columns().iter().enumerate().map(|(at, column)| match &rows {
            _ if !read[at] => Ok(other(at)),
            None => Ok(column.slice(from, left.len())),
            Some(rows) => Ok(take(column, rows, None)?),
        });
        let of_right =
            self.pairs.fields().iter().enumerate().skip(self.left_columns).map(|(at, field)| match read[at] {
                false => Ok(other(at)),
                true => side.blocks.gather(at - self.left_columns, field.data_type(), right),
            });
        of_left.chain(of_right).collect()
    }

    /// All rows of a batch with their marks.
    fn marked(&mut self, cursor: &Cursor, side: &BuildSide) -> Result<RecordBatch> {
        let with_nulls = self.kind == JoinKind::Mark { with_nulls: true };
        let mark = |row: usize| match cursor.has_met[row] {
            true => Some(true),
            false if !with_nulls || side.blocks.count() == 0 => Some(false),
            false if side.has_null || cursor.valid.as_ref().is_some_and(|valid| valid.is_null(row)) => None,
            false => Some(false),
        };
        let marks: BooleanArray = (0..cursor.batch.num_rows()).map(mark).collect();
        let columns = cursor.batch.columns().iter().cloned().chain([Arc::new(marks) as ArrayRef]);
        self.maker.make(columns.collect(), cursor.batch.num_rows())
    }

    /// Some of the kept rows that none has met, or that are marked; whether there may be more.
    fn rest(&mut self, from: usize, out: &mut Vec<RecordBatch>) -> Result<bool> {
        let marks_kept = self.kind == JoinKind::MarkKept;
        let side = Rc::clone(&self.side);
        let side = side.borrow();
        let (mut numbers, mut text, mut at) = (Vec::new(), 0_usize, from);
        let end = side.numbers().min(from + NUMBERS_AT_ONCE);
        while at < end && numbers.len() < OUTPUT_ROWS && text <= CHUNK_TEXT_MAX {
            let row = at as u32;
            if (marks_kept || !is_set(&self.met, row)) && side.is_row(row) {
                text = text.saturating_add(side.text_width(row));
                numbers.push(row);
            }
            at += 1;
        }
        self.out_memory.resize(text.saturating_add(numbers.len() * size_of::<u64>() * self.pairs.fields().len()))?;
        if !numbers.is_empty() {
            let mut columns = Vec::with_capacity(self.pairs.fields().len());
            let first = if marks_kept { self.left_columns } else { 0 };
            for (column, field) in self.pairs.fields().iter().enumerate().skip(first) {
                columns.push(match column.checked_sub(self.left_columns) {
                    Some(of_right) if self.read[column] => side.blocks.gather(of_right, field.data_type(), &numbers)?,
                    _ => new_null_array(field.data_type(), numbers.len()),
                });
            }
            if marks_kept {
                let marks: BooleanArray = numbers.iter().map(|row| Some(is_set(&self.met, *row))).collect();
                columns.push(Arc::new(marks));
            }
            out.push(self.maker.make(columns, numbers.len())?);
        }
        self.tail = Some(at);
        Ok(at < side.numbers())
    }
}

impl Cursor {
    /// The next pairs; of a key whose first kept row is among the `known` none.
    fn chunk(&mut self, side: &BuildSide, first_only: bool, known: &[u64], pairs_max: usize) -> Chunk {
        let mut chunk = Chunk { ended: self.row..self.row, ..Chunk::default() };
        while self.row < self.batch.num_rows() {
            if !self.is_begun {
                let is_wanted = |first: &u32| *first != NONE && !is_set(known, *first);
                self.next = Some(self.first[self.row]).filter(is_wanted);
                self.is_begun = true;
            }
            let own = self.widths.as_ref().map_or(0, |widths| widths[self.row] as usize);
            while let Some(right) = self.next {
                if chunk.left.len() == pairs_max || chunk.text > CHUNK_TEXT_MAX {
                    return chunk;
                }
                chunk.left.push(self.row as u32);
                chunk.right.push(right);
                chunk.text = chunk.text.saturating_add(own).saturating_add(side.text_width(right));
                self.next = if first_only { None } else { side.after(right) };
            }
            // A row that meets none comes out with its own text.
            chunk.text = chunk.text.saturating_add(own);
            self.row += 1;
            self.is_begun = false;
            chunk.ended.end = self.row;
        }
        chunk
    }
}

impl Sink for HashJoin {
    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.waiting_bytes += batch_bytes(&batch);
        self.memory.resize(self.waiting_bytes)?;
        self.waiting.push_back(batch);
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.tail = Some(0);
        Ok(())
    }

    fn step(&mut self, out: &mut Vec<RecordBatch>) -> Result<Left> {
        {
            let side = self.side.borrow();
            if !side.is_complete {
                return Ok(Left::Nothing);
            }
            let words = side.numbers().div_ceil(64);
            if self.kind.keeps_right() && self.met.len() < words {
                self.met_memory.resize(words * size_of::<u64>())?;
                self.met.resize(words, 0);
            }
        }
        if let Some(cursor) = self.at.take() {
            self.work(cursor, out)?;
            return Ok(Left::Work);
        }
        if let Some(batch) = self.waiting.pop_front() {
            self.waiting_bytes = self.waiting_bytes.saturating_sub(batch_bytes(&batch));
            self.memory.resize(self.waiting_bytes)?;
            self.begin(batch)?;
            return Ok(Left::Work);
        }
        let Some(from) = self.tail else { return Ok(Left::Nothing) };
        if self.kind.keeps_right() && self.rest(from, out)? {
            return Ok(Left::Work);
        }
        self.out_memory.resize(0)?;
        Ok(Left::Nothing)
    }
}
