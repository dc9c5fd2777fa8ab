//! Rows of a join by number, and how much text they have.
//!
//! Kept rows stand in blocks. The number of a row is that of its block and its place there, so that it is found
//! without a search.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow_schema::DataType;
use arrow_select::interleave::interleave;

use crate::error::execution::Result;
use crate::exec::batch::OUTPUT_ROWS;

/// No row: what a row that meets none has on the other side.
pub(super) const NONE: u32 = u32::MAX;

/// Rows of a block.
pub(super) const BLOCK_ROWS: usize = 8_192;

const _: () = assert!(BLOCK_ROWS >= OUTPUT_ROWS, "a batch fits into a block");

/// Blocks that there are numbers for, less the one of [`NONE`].
pub(super) const BLOCKS_MAX: usize = (u32::MAX as usize + 1) / BLOCK_ROWS - 1;

/// The number of a row.
pub(super) fn number(block: usize, row: usize) -> u32 {
    (block * BLOCK_ROWS + row) as u32
}

/// The block of a row, and its place there.
pub(super) fn place(number: u32) -> (usize, usize) {
    (number as usize / BLOCK_ROWS, number as usize % BLOCK_ROWS)
}

/// A column of the rows `numbers`, null for [`NONE`].
pub(super) fn gather(blocks: &[RecordBatch], column: usize, data_type: &DataType, numbers: &[u32]) -> Result<ArrayRef> {
    // Only the blocks that are met, since arrow looks at all it is given.
    let mut met: Vec<usize> = numbers.iter().filter(|row| **row != NONE).map(|row| place(*row).0).collect();
    met.sort_unstable();
    met.dedup();
    if met.is_empty() {
        return Ok(new_null_array(data_type, numbers.len()));
    }
    let null = new_null_array(data_type, 1);
    let mut arrays: Vec<&dyn Array> = met.iter().map(|at| &**blocks[*at].column(column) as &dyn Array).collect();
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
