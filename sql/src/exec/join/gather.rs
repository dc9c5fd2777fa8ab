//! The rows that a join keeps, by number, and how some of them become columns again.
//!
//! 1. Rows stand in blocks. The number of a row is that of its block and its place there, so that it is found without a
//!    search; columns are kept by form, so that picking a value is two loads.
//! 2. A text of few rows leaves as a dictionary over all of them: what is read of it later is read once a row that is
//!    kept and not once a pair.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, PrimitiveArray, RecordBatch, StringArray, UInt64Array, make_array, new_null_array,
};
use arrow_buffer::{NullBuffer, NullBufferBuilder, ScalarBuffer};
use arrow_schema::DataType;
use arrow_select::interleave::interleave;

use crate::error::execution::{ExecError, Result};
use crate::exec::batch::OUTPUT_ROWS;
use crate::exec::sink::words;

/// No row: what a row that meets none has on the other side.
pub(super) const NONE: u32 = u32::MAX;

/// Rows of a block.
pub(super) const BLOCK_ROWS: usize = 8_192;

const _: () = assert!(BLOCK_ROWS >= OUTPUT_ROWS, "a batch fits into a block");

/// Blocks that there are numbers for, less the one of [`NONE`].
pub(super) const BLOCKS_MAX: usize = (u32::MAX as usize + 1) / BLOCK_ROWS - 1;

/// Text of a column that leaves as a dictionary, at most: batches that hold it may outlive the account of the join.
const SHARED_TEXT_MAX: usize = 1 << 20;

/// The number of a row.
pub(super) fn number(block: usize, row: usize) -> u32 {
    (block * BLOCK_ROWS + row) as u32
}

/// The block of a row, and its place there.
#[inline]
pub(super) fn place(number: u32) -> (usize, usize) {
    (number as usize / BLOCK_ROWS, number as usize % BLOCK_ROWS)
}

/// Blocks of rows.
#[derive(Default)]
pub(super) struct Blocks {
    /// Rows of each.
    rows: Vec<usize>,
    columns: Vec<Column>,
}

/// One column of all blocks.
enum Column {
    /// Values of 64 bits, and the type they have.
    Words(Vec<(ScalarBuffer<u64>, Option<NullBuffer>)>, DataType),
    /// Each as it is, and to be shared.
    Texts(Vec<(StringArray, ArrayRef)>),
    /// Anything else.
    Other(Vec<ArrayRef>),
}

impl Blocks {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.rows.len()
    }

    /// Rows of a block; none of one that is not there.
    pub(super) fn rows_of(&self, block: usize) -> usize {
        self.rows.get(block).copied().unwrap_or_default()
    }

    /// Adds a block. All have the same types.
    pub(super) fn push(&mut self, block: &RecordBatch) {
        if self.columns.is_empty() {
            self.columns = block.columns().iter().map(|column| Column::of(column.data_type())).collect();
        }
        for (held, column) in self.columns.iter_mut().zip(block.columns()) {
            held.push(column);
        }
        self.rows.push(block.num_rows());
    }

    /// A column of the rows `numbers`, null for [`NONE`].
    pub(super) fn gather(&self, column: usize, data_type: &DataType, numbers: &[u32]) -> Result<ArrayRef> {
        match self.columns.get(column) {
            Some(Column::Words(blocks, held)) => gather_words(blocks, held, numbers),
            Some(Column::Texts(blocks)) => gather_texts(blocks, numbers),
            Some(Column::Other(blocks)) => gather_any(blocks, data_type, numbers),
            // Nothing was kept.
            None => Ok(new_null_array(data_type, numbers.len())),
        }
    }
}

impl Column {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Utf8 => Self::Texts(Vec::new()),
            words if words.primitive_width() == Some(8) => Self::Words(Vec::new(), words.clone()),
            _ => Self::Other(Vec::new()),
        }
    }

    fn push(&mut self, column: &ArrayRef) {
        match self {
            Self::Words(blocks, _) => blocks.push((words(column), column.nulls().cloned())),
            Self::Texts(blocks) => blocks.push((column.as_string::<i32>().clone(), Arc::clone(column))),
            Self::Other(blocks) => blocks.push(Arc::clone(column)),
        }
    }
}

fn gather_words(
    blocks: &[(ScalarBuffer<u64>, Option<NullBuffer>)],
    data_type: &DataType,
    numbers: &[u32],
) -> Result<ArrayRef> {
    let value = |number: &u32| match *number {
        NONE => 0,
        number => {
            let (block, row) = place(number);
            blocks[block].0[row]
        }
    };
    let values: Vec<u64> = numbers.iter().map(value).collect();
    let may_be_null = numbers.contains(&NONE) || blocks.iter().any(|(_, nulls)| nulls.is_some());
    let nulls = may_be_null.then(|| {
        let is_there = |number: u32| {
            let (block, row) = place(number);
            blocks[block].1.as_ref().is_none_or(|nulls| nulls.is_valid(row))
        };
        let mut builder = NullBufferBuilder::new(numbers.len());
        numbers.iter().for_each(|number| builder.append(*number != NONE && is_there(*number)));
        builder.finish()
    });
    let words = UInt64Array::new(values.into(), nulls.flatten());
    Ok(make_array(words.into_data().into_builder().data_type(data_type.clone()).build()?))
}

fn gather_texts(blocks: &[(StringArray, ArrayRef)], numbers: &[u32]) -> Result<ArrayRef> {
    if let [(only, shared)] = blocks
        && only.value_data().len() <= SHARED_TEXT_MAX
    {
        let is_there = |number: &u32| *number != NONE && only.is_valid(*number as usize);
        let keys: PrimitiveArray<UInt32Type> = match only.null_count() == 0 && !numbers.contains(&NONE) {
            true => numbers.to_vec().into(),
            false => numbers.iter().map(|number| is_there(number).then_some(*number)).collect(),
        };
        return Ok(Arc::new(DictionaryArray::try_new(keys, Arc::clone(shared))?));
    }
    let text = |number: &u32| match *number {
        NONE => None,
        number => {
            let (block, row) = place(number);
            blocks[block].0.is_valid(row).then(|| blocks[block].0.value(row))
        }
    };
    let bytes = numbers.iter().filter_map(text).map(str::len).fold(0, usize::saturating_add);
    // The offsets of a string array are i32.
    if bytes > i32::MAX as usize {
        return Err(ExecError::Execution("more than 2 GiB of text in some thousand rows of a join".to_owned()));
    }
    let mut texts = StringBuilder::with_capacity(numbers.len(), bytes);
    numbers.iter().for_each(|number| texts.append_option(text(number)));
    Ok(Arc::new(texts.finish()))
}

fn gather_any(blocks: &[ArrayRef], data_type: &DataType, numbers: &[u32]) -> Result<ArrayRef> {
    // Only the blocks that are met, since arrow looks at all it is given.
    let mut met: Vec<usize> = numbers.iter().filter(|row| **row != NONE).map(|row| place(*row).0).collect();
    met.sort_unstable();
    met.dedup();
    if met.is_empty() {
        return Ok(new_null_array(data_type, numbers.len()));
    }
    let null = new_null_array(data_type, 1);
    let mut arrays: Vec<&dyn Array> = met.iter().map(|at| &*blocks[*at] as &dyn Array).collect();
    arrays.push(&*null);
    let last = met.len();
    let at = |row: &u32| match *row {
        NONE => (last, 0),
        row => {
            let (block, row) = place(row);
            (met.binary_search(&block).unwrap_or(last), row)
        }
    };
    Ok(interleave(&arrays, &numbers.iter().map(at).collect::<Vec<_>>())?)
}

/// Bytes of plain text by row; `None` where there is none. A dictionary's text is not copied with its rows.
pub(super) fn text_widths(batch: &RecordBatch) -> Option<Vec<u32>> {
    let mut widths: Option<Vec<u32>> = None;
    for column in batch.columns() {
        let Some(texts) = column.as_string_opt::<i32>() else { continue };
        let widths = widths.get_or_insert_with(|| vec![0; batch.num_rows()]);
        for (row, width) in widths.iter_mut().enumerate() {
            *width = width.saturating_add(u32::try_from(texts.value_length(row)).unwrap_or(0));
        }
    }
    widths
}
