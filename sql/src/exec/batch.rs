//! The batches that flow between operators. Columns carry the plan's names. Their types are the plan's, except that
//! text may be a dictionary at any point.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::error::execution::Result;
use crate::expr::extent::Work;
use crate::types::array::cast_to;

/// Makes batches under the names and types of a plan's schema.
#[derive(Debug)]
pub(crate) struct BatchMaker {
    declared: SchemaRef,
    /// The schema of the last batch: mostly that of the next.
    last: SchemaRef,
}

impl BatchMaker {
    /// Batches as `declared`.
    pub(crate) fn new(declared: SchemaRef) -> Self {
        Self { last: Arc::clone(&declared), declared }
    }

    /// The name of a column; empty beyond the last.
    pub(crate) fn name(&self, at: usize) -> &str {
        self.declared.fields().get(at).map_or("", |field| field.name())
    }

    /// The schema of a batch of `columns`: nullable wherever there is a null, whatever was declared.
    fn schema_of(&self, columns: &[ArrayRef]) -> SchemaRef {
        let fields = self.declared.fields().iter().zip(columns);
        let fields: Vec<Field> = fields.map(|(f, c)| Field::new(f.name(), c.data_type().clone(), true)).collect();
        Arc::new(Schema::new(fields))
    }

    /// A batch of columns, converted to the declared types where they differ (a dictionary of text is text).
    pub(crate) fn make(&mut self, mut columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        for (column, field) in columns.iter_mut().zip(self.declared.fields()) {
            if !is_form_of(column.data_type(), field.data_type()) {
                *column = cast_to(column, field.data_type())?;
            }
        }
        let mut fields = self.last.fields().iter().zip(&columns);
        if !fields.all(|(f, c)| f.data_type() == c.data_type() && f.is_nullable()) {
            self.last = self.schema_of(&columns);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.last), columns, &options)?)
    }
}

/// Whether a column of type `found` may stand for `declared`.
fn is_form_of(found: &DataType, declared: &DataType) -> bool {
    match found {
        DataType::Dictionary(_, value) => found == declared || **value == *declared,
        _ => found == declared,
    }
}

/// Gives text of a column the same form in all batches: that of the first, dictionary or plain. Batches differ in that
/// where they come from several sources.
#[derive(Debug, Default)]
pub(crate) struct OneForm {
    first: Option<SchemaRef>,
}

impl OneForm {
    /// The next batch.
    pub(crate) fn of(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        let first = self.first.get_or_insert_with(|| batch.schema());
        let mut columns = batch.columns().iter().zip(first.fields());
        if Arc::ptr_eq(first, batch.schema_ref()) || columns.all(|(c, field)| c.data_type() == field.data_type()) {
            return Ok(batch);
        }
        let columns = batch.columns().iter().zip(first.fields()).map(|(c, field)| cast_to(c, field.data_type()));
        BatchMaker::new(Arc::clone(first)).make(columns.collect::<Result<_>>()?, batch.num_rows())
    }
}

/// Memory of a batch's own rows. The values of a dictionary are left out: they are shared by all batches of a scan or a
/// table of groups, which accounts for them.
pub fn batch_bytes(batch: &RecordBatch) -> usize {
    batch
        .columns()
        .iter()
        .map(|column| match column.as_any_dictionary_opt() {
            Some(dictionary) => dictionary.keys().len() * size_of::<u32>(),
            // Slices of one large array count for their own part of it.
            None => column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size()),
        })
        .sum()
}

/// Rows of an output batch: large enough that per-batch work vanishes, small enough to stream.
pub(crate) const OUTPUT_ROWS: usize = 8_192;

/// Rows times nodes that are evaluated before others get their turn: some milliseconds.
const EVALUATED_AT_ONCE: usize = 1 << 20;

/// Fewer rows than this cost as much by the node as by the row.
const ROWS_AT_ONCE_MIN: usize = 512;

/// Patterns of rows that are compiled before others get their turn: each may take four milliseconds.
const COMPILED_AT_ONCE: usize = 4;

/// Rows times bytes of patterns that they are held against before others get their turn: a pattern of 1.5 MB takes some
/// nine microseconds for a text of twenty letters, the usual one much less.
const MATCHED_AT_ONCE: usize = 3 << 29;

/// Rows that expressions that take this work are evaluated over at a time.
pub(crate) fn rows_at_once(work: Work) -> usize {
    let rows = match work.patterns {
        0 => (EVALUATED_AT_ONCE / work.nodes.max(1)).max(ROWS_AT_ONCE_MIN),
        patterns => (COMPILED_AT_ONCE / patterns).max(1),
    };
    rows.min((MATCHED_AT_ONCE / work.pattern_bytes.max(1)).max(1))
}

/// A large batch in parts of [`OUTPUT_ROWS`] that share its memory.
pub(crate) fn slices(batch: RecordBatch) -> impl Iterator<Item = RecordBatch> {
    let rows = batch.num_rows();
    (0..rows).step_by(OUTPUT_ROWS).map(move |start| match rows <= OUTPUT_ROWS {
        true => batch.clone(),
        false => batch.slice(start, OUTPUT_ROWS.min(rows - start)),
    })
}
