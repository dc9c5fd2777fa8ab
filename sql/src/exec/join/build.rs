//! The side of a join that is kept.
//!
//! 1. Small batches are put together to blocks. Text is kept plain: what meets it may come with any dictionary.
//! 2. Each distinct key has a dense number, found by hash ([`DenseIndex`]), and rows of one key are a chain in the
//!    order in which they came. A row with a null in its key is in no chain.

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

use arrow_array::{Array, RecordBatch};
use arrow_select::concat::concat_batches;

use super::gather::{BLOCK_ROWS, BLOCKS_MAX, NONE, number, place, text_widths};
use super::keys::{BatchKeys, KeyBytes};
use crate::error::execution::{ExecError, Result};
use crate::exec::aggregate::DenseIndex;
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
    pub(super) blocks: Vec<RecordBatch>,
    keys: Vec<BatchKeys>,
    /// Bytes of text of each row of each block.
    widths: Vec<Option<Vec<u32>>>,
    index: DenseIndex,
    hasher: RandomState,
    /// By the number of a key: its hash, and the first and last row that has it.
    hashes: Vec<u64>,
    chains: Vec<(u32, u32)>,
    /// The next row with the same key, by row.
    next: Vec<u32>,
    /// Whether a row has a null in its key.
    pub(super) has_null: bool,
    /// No more rows come.
    pub(super) is_complete: bool,
    held_bytes: usize,
    memory: Reservation,
}

impl BuildSide {
    pub(crate) fn new(context: &QueryContext) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            blocks: Vec::new(),
            keys: Vec::new(),
            widths: Vec::new(),
            index: DenseIndex::default(),
            hasher: RandomState::new(),
            hashes: Vec::new(),
            chains: Vec::new(),
            next: Vec::new(),
            has_null: false,
            is_complete: false,
            held_bytes: 0,
            memory: context.reservation(),
        }))
    }

    /// The first row with this key.
    pub(super) fn first(&self, key: &[u8]) -> Option<u32> {
        let is_it = |at: u32| self.key_of(self.chains[at as usize].0) == Some(key);
        let found = self.index.find(self.hasher.hash_one(key), is_it)?;
        Some(self.chains[found as usize].0)
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
        self.blocks.get(block).is_some_and(|block| row < block.num_rows())
    }

    fn key_of(&self, row: u32) -> Option<&[u8]> {
        let (block, row) = place(row);
        self.keys[block].get(row)
    }

    fn bytes(&self) -> usize {
        self.held_bytes
            + self.hashes.capacity() * size_of::<u64>()
            + self.chains.capacity() * size_of::<(u32, u32)>()
            + self.next.capacity() * size_of::<u32>()
            + self.index.bytes()
    }

    /// Takes a block in.
    fn push(&mut self, batch: RecordBatch, keys: &mut KeyBytes) -> Result<()> {
        if self.blocks.len() >= BLOCKS_MAX {
            return Err(ExecError::NotImplemented("a join whose kept side has more rows than have numbers".to_owned()));
        }
        let rows = batch.num_rows();
        self.memory.resize(self.bytes() + batch_bytes(&batch) + rows * ROW_BYTES)?;
        let keys = keys.of(&batch)?;
        self.held_bytes += batch_bytes(&batch) + keys.bytes();
        self.has_null |= keys.has_null();
        let block = self.blocks.len();
        // The last block may have been shorter than there are numbers for.
        self.next.resize(block * BLOCK_ROWS + rows, NONE);
        self.widths.push(text_widths(&batch));
        self.held_bytes += self.widths[block].as_ref().map_or(0, |widths| widths.len() * size_of::<u32>());
        self.blocks.push(batch);
        self.keys.push(keys);
        let Self { keys, hashes, chains, next, index, hasher, .. } = self;
        for row in 0..rows {
            let Some(key) = keys[block].get(row) else { continue };
            let (hash, new) = (hasher.hash_one(key), chains.len() as u32);
            let is_it = |at: u32| {
                let (block, row) = place(chains[at as usize].0);
                keys[block].get(row) == Some(key)
            };
            let at = index.get_or_insert(hash, new, is_it, |at| hashes[at as usize]);
            let row = number(block, row);
            if at == new {
                hashes.push(hash);
                chains.push((row, row));
            } else {
                let (_, last) = &mut chains[at as usize];
                next[*last as usize] = row;
                *last = row;
            }
        }
        self.memory.resize(self.bytes())
    }
}

/// Keeps all rows of a stage; puts none out.
pub(crate) struct Build {
    side: Rc<RefCell<BuildSide>>,
    keys: KeyBytes,
    /// Rows of the next block.
    open: Vec<RecordBatch>,
    open_rows: usize,
    open_text: usize,
    form: OneForm,
    memory: Reservation,
}

impl Build {
    pub(crate) fn new(keys: &JoinKeys, side: Rc<RefCell<BuildSide>>, context: &QueryContext) -> Result<Self> {
        Ok(Self {
            side,
            keys: KeyBytes::new(keys, context)?,
            open: Vec::new(),
            open_rows: 0,
            open_text: 0,
            form: OneForm::default(),
            memory: context.reservation(),
        })
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
        let kept = self.side.borrow_mut().push(batch.clone(), &mut self.keys);
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
        let columns = batch.columns().iter().map(plain).collect::<Result<Vec<_>>>()?;
        let fields = batch
            .schema_ref()
            .fields()
            .iter()
            .zip(&columns)
            .map(|(field, column)| arrow_schema::Field::new(field.name(), column.data_type().clone(), true));
        let schema = std::sync::Arc::new(arrow_schema::Schema::new(fields.collect::<Vec<_>>()));
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(rows));
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
