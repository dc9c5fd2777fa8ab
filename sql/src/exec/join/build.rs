//! The side of a join that is kept.
//!
//! 1. Small batches are put together to blocks. Text is kept plain: what meets it may come with any dictionary.
//! 2. Each distinct key has a dense number, found by hash ([`GroupTable`]), and rows of one key are a chain in the
//!    order in which they came. A row with a null in its key is in no chain.
//! 3. Of columns that nothing reads behind the join only nulls are kept.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, NullArray, RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema};
use arrow_select::concat::concat_batches;

use super::gather::{BLOCK_ROWS, BLOCKS_MAX, Blocks, NONE, number, place, text_widths};
use super::keys::{BatchKeys, KeyColumns};
use crate::error::execution::{ExecError, Result};
use crate::exec::aggregate::{GroupTable, NO_GROUP};
use crate::exec::batch::{OneForm, batch_bytes};
use crate::exec::context::{QueryContext, Reservation};
use crate::exec::eval::text_bytes;
use crate::exec::sink::{Left, Sink};
use crate::stage::JoinKeys;
use crate::types::array::plain;

/// Text of a block, unless it is that of one row.
const BLOCK_TEXT_MAX: usize = 8 << 20;

/// What a row may take in chains and index while they grow.
const ROW_BYTES: usize = 64;

/// Rows by their keys.
pub(crate) struct BuildSide {
    pub(super) blocks: Blocks,
    /// Bytes of text of each row of each block.
    widths: Vec<Option<Vec<u32>>>,
    table: GroupTable,
    /// By the number of a key: the first and last row that has it.
    chains: Vec<(u32, u32)>,
    /// The next row with the same key, by row.
    next: Vec<u32>,
    /// Whether a row has a null in its key.
    pub(super) has_null: bool,
    /// No more rows come.
    pub(super) is_complete: bool,
    held_bytes: usize,
    /// Numbers of the keys of the block at hand, kept for its memory.
    numbers: Vec<u32>,
    memory: Reservation,
}

impl BuildSide {
    pub(crate) fn new(keys: &JoinKeys, context: &QueryContext) -> Result<Rc<RefCell<Self>>> {
        Ok(Rc::new(RefCell::new(Self {
            blocks: Blocks::default(),
            widths: Vec::new(),
            table: GroupTable::of_types(&keys.types)?,
            chains: Vec::new(),
            next: Vec::new(),
            has_null: false,
            is_complete: false,
            held_bytes: 0,
            numbers: Vec::new(),
            memory: context.reservation(),
        })))
    }

    /// Puts the first row with the key of each of `rows` rows into `first`: [`NONE`] where there is none.
    pub(super) fn first_of(&mut self, keys: &BatchKeys, rows: usize, first: &mut Vec<u32>) -> Result<()> {
        self.table.find(&keys.columns, rows, first)?;
        for number in first.iter_mut().filter(|number| **number != NO_GROUP) {
            // A key with a null has a number too, and no row.
            *number = self.chains[*number as usize].0;
        }
        Ok(())
    }

    /// The row with the same key after `row`.
    pub(super) fn after(&self, row: u32) -> Option<u32> {
        Some(self.next[row as usize]).filter(|next| *next != NONE)
    }

    /// Bytes of a row's text.
    pub(super) fn text_width(&self, row: u32) -> usize {
        let (block, row) = place(row);
        self.widths[block].as_ref().map_or(0, |widths| widths[row] as usize)
    }

    /// Rows there are numbers for; some of them have no row.
    pub(super) fn numbers(&self) -> usize {
        self.next.len()
    }

    /// Whether a number is one of a row.
    pub(super) fn is_row(&self, row: u32) -> bool {
        let (block, row) = place(row);
        row < self.blocks.rows_of(block)
    }

    fn bytes(&self) -> usize {
        self.held_bytes
            + self.table.bytes()
            + self.chains.capacity() * size_of::<(u32, u32)>()
            + (self.next.capacity() + self.numbers.capacity()) * size_of::<u32>()
    }

    /// Takes a block in.
    fn push(&mut self, batch: &RecordBatch, keys: &mut KeyColumns) -> Result<()> {
        if self.blocks.count() >= BLOCKS_MAX {
            return Err(ExecError::NotImplemented("a join whose kept side has more rows than have numbers".to_owned()));
        }
        let rows = batch.num_rows();
        self.memory.resize(self.bytes() + batch_bytes(batch) + rows * ROW_BYTES)?;
        let BatchKeys { columns, valid } = keys.of(batch)?;
        self.table.groups(&columns, rows, &mut self.numbers)?;
        self.held_bytes += batch_bytes(batch);
        self.has_null |= valid.is_some();
        let block = self.blocks.count();
        // The last block may have been shorter than there are numbers for.
        self.next.resize(block * BLOCK_ROWS + rows, NONE);
        self.widths.push(text_widths(batch));
        self.held_bytes += self.widths[block].as_ref().map_or(0, |widths| widths.len() * size_of::<u32>());
        self.blocks.push(batch);
        self.chains.resize(self.table.len(), (NONE, NONE));
        for (at, key) in self.numbers.iter().enumerate() {
            if valid.as_ref().is_some_and(|valid| valid.is_null(at)) {
                continue;
            }
            let (row, (first, last)) = (number(block, at), &mut self.chains[*key as usize]);
            match *last {
                NONE => *first = row,
                last => self.next[last as usize] = row,
            }
            *last = row;
        }
        self.memory.resize(self.bytes())
    }
}

/// Keeps all rows of a stage; puts none out.
pub(crate) struct Build {
    side: Rc<RefCell<BuildSide>>,
    keys: KeyColumns,
    /// The columns that are read: by keys, or behind the join.
    read: Vec<bool>,
    /// Rows of the next block.
    open: Vec<RecordBatch>,
    open_rows: usize,
    open_text: usize,
    form: OneForm,
    memory: Reservation,
}

impl Build {
    /// Keeps rows on `side`, with what is in the columns that are `read`.
    pub(crate) fn new(keys: &JoinKeys, read: &[bool], side: Rc<RefCell<BuildSide>>, context: &QueryContext) -> Self {
        let mut read = read.to_vec();
        keys.exprs.iter().for_each(|key| key.for_each_column(&mut |at| read[at] = true));
        Self {
            side,
            keys: KeyColumns::new(keys, context),
            read,
            open: Vec::new(),
            open_rows: 0,
            open_text: 0,
            form: OneForm::default(),
            memory: context.reservation(),
        }
    }

    /// Closes the open block.
    fn close(&mut self) -> Result<()> {
        let batch = match self.open.as_slice() {
            [] => return Ok(()),
            [only] => only.clone(),
            [first, ..] => {
                // Beside what is put together.
                let bytes = usize::try_from(self.memory.bytes()).unwrap_or(usize::MAX);
                self.memory.resize(bytes.saturating_mul(2))?;
                concat_batches(&first.schema(), &self.open)?
            }
        };
        self.open.clear();
        (self.open_rows, self.open_text) = (0, 0);
        self.keep(&batch)?;
        self.memory.resize(0)
    }

    /// Takes a block in, by halves where its keys are too much text at once.
    fn keep(&mut self, batch: &RecordBatch) -> Result<()> {
        let rows = batch.num_rows();
        let kept = self.side.borrow_mut().push(batch, &mut self.keys);
        match kept {
            Err(ExecError::TextTooLong { .. }) if rows > 1 => {
                self.keep(&batch.slice(0, rows / 2))?;
                self.keep(&batch.slice(rows / 2, rows - rows / 2))
            }
            kept => kept,
        }
    }
}

impl Sink for Build {
    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        let rows = batch.num_rows();
        let text: usize = batch.columns().iter().map(text_bytes).fold(0, usize::saturating_add);
        if rows > BLOCK_ROWS || (text > BLOCK_TEXT_MAX && rows > 1) {
            self.push(batch.slice(0, rows / 2))?;
            return self.push(batch.slice(rows / 2, rows - rows / 2));
        }
        if self.open_rows + rows > BLOCK_ROWS || self.open_text + text > BLOCK_TEXT_MAX {
            self.close()?;
        }
        let held = usize::try_from(self.memory.bytes()).unwrap_or(usize::MAX);
        self.memory.resize(held.saturating_add(batch_bytes(&batch)).saturating_add(text))?;
        let kept = |(column, is_read): (&ArrayRef, &bool)| match is_read {
            true => plain(column),
            false => Ok(Arc::new(NullArray::new(rows)) as ArrayRef),
        };
        let columns = batch.columns().iter().zip(&self.read).map(kept).collect::<Result<Vec<_>>>()?;
        let fields = batch.schema_ref().fields().iter().zip(&columns);
        let fields = fields.map(|(field, column)| Field::new(field.name(), column.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = self.form.of(RecordBatch::try_new_with_options(schema, columns, &options)?)?;
        self.open_rows += rows;
        self.open_text += text;
        self.open.push(batch);
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.close()?;
        self.side.borrow_mut().is_complete = true;
        Ok(())
    }

    fn step(&mut self, _: &mut Vec<RecordBatch>) -> Result<Left> {
        Ok(Left::Nothing)
    }
}
