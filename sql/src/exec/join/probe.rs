//! The side of a join that passes.
//!
//! 1. Rows that come before the other side is complete wait, accounted.
//! 2. A batch is worked off in chunks of at most [`OUTPUT_ROWS`] pairs: each row meets the chain of its key, or all
//!    rows where there is no key, and a row's chain may go on in the next chunk. What the filter leaves of the pairs
//!    comes out, then the rows whose chain has ended without one, where the kind keeps them.
//! 3. At the end come the kept rows that none has met, where the kind keeps them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, RecordBatch, UInt32Array, new_null_array};
use arrow_schema::SchemaRef;
use arrow_select::filter::filter_record_batch;
use arrow_select::take::take;

use super::build::BuildSide;
use super::gather::{NONE, gather, text_widths};
use super::keys::{BatchKeys, KeyBytes};
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
    pub(crate) left_columns: usize,
    pub(crate) schema: &'a SchemaRef,
}

/// Joins the rows that pass with those that are kept.
pub(crate) struct HashJoin {
    kind: JoinKind,
    keys: KeyBytes,
    filter: Option<Expr>,
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
    keys: BatchKeys,
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

impl HashJoin {
    pub(crate) fn new(plan: &JoinPlan<'_>, side: Rc<RefCell<BuildSide>>, context: &QueryContext) -> Result<Self> {
        Ok(Self {
            kind: plan.kind,
            keys: KeyBytes::new(plan.keys, context)?,
            filter: plan.filter.cloned(),
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
        })
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
                let has_met = vec![false; rows];
                self.at = Some(Cursor { batch, keys, widths, row: 0, next: None, is_begun: false, has_met });
            }
        }
        Ok(())
    }

    /// Works a chunk of a batch off; gives the batch back while there is more of it.
    fn work(&mut self, mut cursor: Cursor, out: &mut Vec<RecordBatch>) -> Result<()> {
        let is_mark = matches!(self.kind, JoinKind::Mark { .. });
        // Whether there is a pair is enough to know.
        let first_only = is_mark && self.filter.is_none();
        let side = Rc::clone(&self.side);
        let side = side.borrow();
        let chunk = cursor.chunk(&side, first_only, self.pairs_at_once);
        self.out_memory
            .resize(chunk.text.saturating_add(chunk.left.len() * size_of::<u64>() * self.pairs.fields().len()))?;
        let kept = self.kept(&cursor, &side, &chunk)?;
        for (at, (&left, &right)) in chunk.left.iter().zip(&chunk.right).enumerate() {
            if kept.as_ref().is_some_and(|(mask, _)| !mask.value(at)) {
                continue;
            }
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
        if !is_mark && !chunk.left.is_empty() {
            out.push(match kept {
                Some((mask, pairs)) => filter_record_batch(&pairs, &mask)?,
                None => self.pairs_of(&cursor, &side, &chunk.left, &chunk.right)?,
            });
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

    /// The pairs of a chunk and which of them the filter leaves; `None` without one.
    fn kept(
        &mut self,
        cursor: &Cursor,
        side: &BuildSide,
        chunk: &Chunk,
    ) -> Result<Option<(BooleanArray, RecordBatch)>> {
        let Some(filter) = self.filter.clone() else { return Ok(None) };
        if chunk.left.is_empty() {
            return Ok(None);
        }
        let pairs = self.pairs_of(cursor, side, &chunk.left, &chunk.right)?;
        self.room.clear()?;
        let mask = evaluate_mask(&filter, Input::of(&pairs, &self.room))?;
        Ok(Some((mask, pairs)))
    }

    /// Rows side by side.
    fn pairs_of(&mut self, cursor: &Cursor, side: &BuildSide, left: &[u32], right: &[u32]) -> Result<RecordBatch> {
        let rows = left.len();
        let left = UInt32Array::from(left.to_vec());
        let mut columns = Vec::with_capacity(self.pairs.fields().len());
        for column in cursor.batch.columns() {
            columns.push(take(column, &left, None)?);
        }
        for (at, field) in self.pairs.fields().iter().skip(self.left_columns).enumerate() {
            columns.push(gather(&side.blocks, at, field.data_type(), right)?);
        }
        self.pair_maker.make(columns, rows)
    }

    /// All rows of a batch with their marks.
    fn marked(&mut self, cursor: &Cursor, side: &BuildSide) -> Result<RecordBatch> {
        let with_nulls = self.kind == JoinKind::Mark { with_nulls: true };
        let mark = |row: usize| match cursor.has_met[row] {
            true => Some(true),
            false if !with_nulls || side.blocks.is_empty() => Some(false),
            false if side.has_null || cursor.keys.get(row).is_none() => None,
            false => Some(false),
        };
        let marks: BooleanArray = (0..cursor.batch.num_rows()).map(mark).collect();
        let columns = cursor.batch.columns().iter().cloned().chain([Arc::new(marks) as ArrayRef]);
        self.maker.make(columns.collect(), cursor.batch.num_rows())
    }

    /// Some of the kept rows that none has met; whether there may be more.
    fn unmet(&mut self, from: usize, out: &mut Vec<RecordBatch>) -> Result<bool> {
        let side = Rc::clone(&self.side);
        let side = side.borrow();
        let (mut numbers, mut text, mut at) = (Vec::new(), 0_usize, from);
        let end = side.numbers().min(from + NUMBERS_AT_ONCE);
        while at < end && numbers.len() < OUTPUT_ROWS && text <= CHUNK_TEXT_MAX {
            let row = at as u32;
            if self.met[at / 64] & (1 << (at % 64)) == 0 && side.is_row(row) {
                text = text.saturating_add(side.text_width(row));
                numbers.push(row);
            }
            at += 1;
        }
        self.out_memory.resize(text.saturating_add(numbers.len() * size_of::<u64>() * self.pairs.fields().len()))?;
        if !numbers.is_empty() {
            let mut columns = Vec::with_capacity(self.pairs.fields().len());
            for (column, field) in self.pairs.fields().iter().enumerate() {
                columns.push(match column.checked_sub(self.left_columns) {
                    None => new_null_array(field.data_type(), numbers.len()),
                    Some(column) => gather(&side.blocks, column, field.data_type(), &numbers)?,
                });
            }
            out.push(self.maker.make(columns, numbers.len())?);
        }
        self.tail = Some(at);
        Ok(at < side.numbers())
    }
}

impl Cursor {
    /// The next pairs.
    fn chunk(&mut self, side: &BuildSide, first_only: bool, pairs_max: usize) -> Chunk {
        let mut chunk = Chunk { ended: self.row..self.row, ..Chunk::default() };
        while self.row < self.batch.num_rows() {
            if !self.is_begun {
                self.next = self.keys.get(self.row).and_then(|key| side.first(key));
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
        if self.kind.keeps_right() && self.unmet(from, out)? {
            return Ok(Left::Work);
        }
        self.out_memory.resize(0)?;
        Ok(Left::Nothing)
    }
}
