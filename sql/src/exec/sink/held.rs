//! The rows that a sort holds, and how some of them become columns again.
//!
//! Batches stay as they came. Their columns are kept by form, so that picking a value by (batch, row) is two loads:
//! values of 64 bits by their bits, texts with what their dictionary is. A text column that came with few dictionaries
//! leaves as one over all their values, else as plain text.

use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, PrimitiveArray, RecordBatch, StringArray, UInt64Array, make_array,
};
use arrow_buffer::{NullBuffer, NullBufferBuilder, ScalarBuffer};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::concat::concat;
use arrow_select::interleave::interleave;

use super::entry::Entry;
use super::words::words;
use crate::error::execution::{ExecError, Result};
use crate::exec::batch::{BatchMaker, OUTPUT_ROWS};
use crate::types::array::cast_to;

/// Values of all dictionaries of a column that leave as one dictionary: putting them together is a step of the sort.
const DICTIONARY_VALUES_MAX: usize = 4 * OUTPUT_ROWS;

/// Rows of some batches.
#[derive(Default)]
pub(super) struct HeldRows {
    schema: Option<SchemaRef>,
    columns: Vec<Column>,
    batches: usize,
    rows: usize,
}

/// One column of all batches.
enum Column {
    /// Values of 64 bits, and the type they have.
    Words(Vec<(ScalarBuffer<u64>, Option<NullBuffer>)>, DataType),
    Bools(Vec<BooleanArray>),
    Texts(Texts),
    /// Anything else.
    Other(Vec<ArrayRef>),
}

#[derive(Default)]
struct Texts {
    parts: Vec<TextPart>,
    /// The dictionaries of the parts, each once.
    dictionaries: Vec<ArrayRef>,
    /// Made when the first rows leave.
    leaving: Option<Leaving>,
}

enum TextPart {
    Plain(StringArray),
    /// Keys, and the dictionary's number.
    Coded(PrimitiveArray<UInt32Type>, usize),
}

/// The form of a text column that leaves.
enum Leaving {
    Plain,
    /// All values, and where those of each dictionary begin among them.
    Coded(ArrayRef, Vec<u32>),
}

impl HeldRows {
    /// Rows held.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Batches held, which is the number of the next one.
    pub(super) fn batches(&self) -> usize {
        self.batches
    }

    /// Columns of each row.
    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    /// Takes a batch in.
    pub(super) fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        if self.schema.is_none() {
            let plain = batch.schema_ref().fields().iter().map(|field| match field.data_type() {
                DataType::Dictionary(_, values) => Arc::new(Field::new(field.name(), (**values).clone(), true)),
                _ => Arc::clone(field),
            });
            self.schema = Some(Arc::new(Schema::new(plain.collect::<Vec<_>>())));
            self.columns = batch.columns().iter().map(|column| Column::of(column.data_type())).collect();
        }
        if batch.num_columns() != self.columns.len() {
            return Err(ExecError::Internal("batches of different widths in one sort".into()));
        }
        for (held, column) in self.columns.iter_mut().zip(batch.columns()) {
            held.push(column)?;
        }
        self.batches += 1;
        self.rows += batch.num_rows();
        Ok(())
    }

    /// One column of the rows `entries`.
    pub(super) fn gather(&mut self, column: usize, entries: &[Entry]) -> Result<ArrayRef> {
        match self.columns.get_mut(column) {
            Some(column) => column.gather(entries),
            None => Err(ExecError::Internal(format!("column {column} of a sort"))),
        }
    }

    /// A batch of gathered columns.
    pub(super) fn batch(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let schema = self.schema.clone().unwrap_or_else(|| Arc::new(Schema::empty()));
        BatchMaker::new(schema).make(columns, rows)
    }
}

impl Column {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Boolean => Self::Bools(Vec::new()),
            DataType::Utf8 => Self::Texts(Texts::default()),
            DataType::Dictionary(_, values) if **values == DataType::Utf8 => Self::Texts(Texts::default()),
            words if words.primitive_width() == Some(8) => Self::Words(Vec::new(), words.clone()),
            _ => Self::Other(Vec::new()),
        }
    }

    fn push(&mut self, column: &ArrayRef) -> Result<()> {
        match self {
            Self::Words(parts, data_type) => {
                let column = cast_to(column, data_type)?;
                parts.push((words(&column), column.nulls().cloned()));
            }
            Self::Bools(parts) => parts.push(cast_to(column, &DataType::Boolean)?.as_boolean().clone()),
            Self::Texts(texts) => texts.push(column)?,
            Self::Other(parts) => parts.push(Arc::clone(column)),
        }
        Ok(())
    }

    fn gather(&mut self, entries: &[Entry]) -> Result<ArrayRef> {
        Ok(match self {
            Self::Words(parts, data_type) => gather_words(parts, data_type, entries)?,
            Self::Bools(parts) => {
                let mut values = BooleanBuilder::with_capacity(entries.len());
                for entry in entries {
                    let (part, row) = (&parts[entry.batch()], entry.row());
                    values.append_option(part.is_valid(row).then(|| part.value(row)));
                }
                Arc::new(values.finish())
            }
            Self::Texts(texts) => texts.gather(entries)?,
            Self::Other(parts) => {
                // Only the batches that are met, since arrow looks at all it is given.
                let mut met: Vec<usize> = entries.iter().map(Entry::batch).collect();
                met.sort_unstable();
                met.dedup();
                let arrays: Vec<&dyn Array> = met.iter().map(|at| &*parts[*at] as &dyn Array).collect();
                let place = |entry: &Entry| (met.binary_search(&entry.batch()).unwrap_or_default(), entry.row());
                interleave(&arrays, &entries.iter().map(place).collect::<Vec<_>>())?
            }
        })
    }
}

fn gather_words(
    parts: &[(ScalarBuffer<u64>, Option<NullBuffer>)],
    data_type: &DataType,
    entries: &[Entry],
) -> Result<ArrayRef> {
    let values: Vec<u64> = entries.iter().map(|entry| parts[entry.batch()].0[entry.row()]).collect();
    let nulls = parts.iter().any(|(_, nulls)| nulls.is_some()).then(|| {
        let mut builder = NullBufferBuilder::new(entries.len());
        for entry in entries {
            builder.append(parts[entry.batch()].1.as_ref().is_none_or(|nulls| nulls.is_valid(entry.row())));
        }
        builder.finish()
    });
    let words = UInt64Array::new(values.into(), nulls.flatten());
    Ok(make_array(words.into_data().into_builder().data_type(data_type.clone()).build()?))
}

impl Texts {
    fn push(&mut self, column: &ArrayRef) -> Result<()> {
        let coded = column.as_dictionary_opt::<UInt32Type>().filter(|c| *c.values().data_type() == DataType::Utf8);
        self.parts.push(match coded {
            // Values that are null would need a look at each key.
            Some(coded) if coded.values().null_count() == 0 => {
                let known = self.dictionaries.iter().position(|values| Arc::ptr_eq(values, coded.values()));
                let dictionary = known.unwrap_or_else(|| {
                    self.dictionaries.push(Arc::clone(coded.values()));
                    self.dictionaries.len() - 1
                });
                TextPart::Coded(coded.keys().clone(), dictionary)
            }
            _ => TextPart::Plain(cast_to(column, &DataType::Utf8)?.as_string::<i32>().clone()),
        });
        Ok(())
    }

    fn leaving(&self) -> Result<Leaving> {
        let values: usize = self.dictionaries.iter().map(Array::len).sum();
        let has_plain = self.parts.iter().any(|part| matches!(part, TextPart::Plain(_)));
        if has_plain || self.dictionaries.is_empty() {
            return Ok(Leaving::Plain);
        }
        if let [only] = self.dictionaries.as_slice() {
            return Ok(Leaving::Coded(Arc::clone(only), vec![0]));
        }
        if values > DICTIONARY_VALUES_MAX {
            return Ok(Leaving::Plain);
        }
        let starts = self.dictionaries.iter().scan(0, |next, values| {
            let start = *next;
            *next += values.len() as u32;
            Some(start)
        });
        let all: Vec<&dyn Array> = self.dictionaries.iter().map(|values| &**values as &dyn Array).collect();
        Ok(Leaving::Coded(concat(&all)?, starts.collect()))
    }

    fn gather(&mut self, entries: &[Entry]) -> Result<ArrayRef> {
        let leaving = match self.leaving.take() {
            Some(known) => known,
            None => self.leaving()?,
        };
        let gathered = match &leaving {
            Leaving::Coded(values, starts) => self.gather_coded(values, starts, entries),
            Leaving::Plain => self.gather_plain(entries),
        };
        self.leaving = Some(leaving);
        gathered
    }

    fn gather_coded(&self, values: &ArrayRef, starts: &[u32], entries: &[Entry]) -> Result<ArrayRef> {
        // Most tags are there in all rows.
        fn whole<'p>(part: &'p TextPart, starts: &[u32]) -> Option<(&'p [u32], u32)> {
            match part {
                TextPart::Coded(keys, dictionary) if keys.null_count() == 0 => {
                    Some((keys.values(), starts[*dictionary]))
                }
                _ => None,
            }
        }
        let parts: Option<Vec<_>> = self.parts.iter().map(|part| whole(part, starts)).collect();
        let keys: PrimitiveArray<UInt32Type> = match parts {
            Some(parts) => {
                let key = |entry: &Entry| {
                    let (keys, start) = parts[entry.batch()];
                    keys[entry.row()] + start
                };
                entries.iter().map(key).collect::<Vec<u32>>().into()
            }
            None => entries
                .iter()
                .map(|entry| match &self.parts[entry.batch()] {
                    TextPart::Coded(keys, dictionary) if keys.is_valid(entry.row()) => {
                        Some(starts[*dictionary] + keys.value(entry.row()))
                    }
                    _ => None,
                })
                .collect(),
        };
        Ok(Arc::new(DictionaryArray::try_new(keys, Arc::clone(values))?))
    }

    fn gather_plain(&self, entries: &[Entry]) -> Result<ArrayRef> {
        let dictionaries: Vec<&StringArray> = self.dictionaries.iter().map(AsArray::as_string).collect();
        let text = |entry: &Entry| match &self.parts[entry.batch()] {
            TextPart::Plain(texts) => texts.is_valid(entry.row()).then(|| texts.value(entry.row())),
            TextPart::Coded(keys, dictionary) => {
                keys.is_valid(entry.row()).then(|| dictionaries[*dictionary].value(keys.value(entry.row()) as usize))
            }
        };
        let bytes: usize = entries.iter().filter_map(text).map(str::len).sum();
        // The offsets of a string array are i32.
        if bytes > i32::MAX as usize {
            return Err(ExecError::Execution("more than 2 GiB of text in some thousand rows of a sort".into()));
        }
        let mut texts = StringBuilder::with_capacity(entries.len(), bytes);
        entries.iter().for_each(|entry| texts.append_option(text(entry)));
        Ok(Arc::new(texts.finish()))
    }
}
