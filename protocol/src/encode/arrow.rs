//! Arrow's IPC streaming format: the schema, a message for each part of a batch, the end of the stream.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_cast::cast;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

use super::EncodeError;

/// A stream under way.
pub(super) struct Stream {
    /// Text is plain.
    schema: SchemaRef,
    writer: StreamWriter<Vec<u8>>,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("schema", &self.schema).finish_non_exhaustive()
    }
}

fn unwritable(error: &ArrowError) -> EncodeError {
    EncodeError::Unwritable { format: "Arrow", reason: error.to_string() }
}

/// The schema with plain text where it has dictionaries, all columns nullable: one shard may know a null that the first
/// batch did not have.
pub(super) fn plain_schema(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let data_type = match field.data_type() {
            DataType::Dictionary(_, value) => (**value).clone(),
            other => other.clone(),
        };
        Field::new(field.name(), data_type, true)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Some rows of a batch under a plain schema.
pub(super) fn plain_rows(
    schema: &SchemaRef,
    batch: &RecordBatch,
    rows: &Range<usize>,
    format: &'static str,
) -> Result<RecordBatch, EncodeError> {
    let (found, expected) = (batch.num_columns(), schema.fields().len());
    if found < expected {
        return Err(EncodeError::Columns { found, expected });
    }
    let failed = |error: ArrowError| EncodeError::Unwritable { format, reason: error.to_string() };
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(expected);
    for (column, field) in batch.columns().iter().zip(schema.fields()) {
        let column = column.slice(rows.start, rows.len());
        columns.push(match column.data_type() {
            same if same == field.data_type() => column,
            DataType::Dictionary(_, value) if **value == *field.data_type() => {
                cast(&column, field.data_type()).map_err(failed)?
            }
            other => {
                let (column, found, expected) = (field.name().clone(), other.clone(), field.data_type().clone());
                return Err(EncodeError::Schema { column, found, expected });
            }
        });
    }
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(failed)
}

impl Stream {
    pub(super) fn new(schema: &Schema) -> Result<Self, EncodeError> {
        let schema = plain_schema(schema);
        let writer = StreamWriter::try_new(Vec::new(), &schema).map_err(|error| unwritable(&error))?;
        Ok(Self { schema, writer })
    }

    pub(super) fn part(
        &mut self,
        batch: &RecordBatch,
        rows: Range<usize>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        if rows.is_empty() {
            return Ok(());
        }
        let rows = plain_rows(&self.schema, batch, &rows, "Arrow")?;
        self.writer.write(&rows).map_err(|error| unwritable(&error))?;
        out.append(self.writer.get_mut());
        Ok(())
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.writer.finish().map_err(|error| unwritable(&error))?;
        out.append(self.writer.get_mut());
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use arrow_array::types::UInt32Type;
    use arrow_array::{BooleanArray, DictionaryArray, Float64Array, Int64Array, StringArray, TimestampNanosecondArray};
    use arrow_ipc::reader::StreamReader;

    use super::*;

    /// Columns of the types that results have, with nulls.
    pub(crate) fn batch(from: i64, rows: i64) -> RecordBatch {
        let numbers = from..from + rows;
        let tags: DictionaryArray<UInt32Type> =
            numbers.clone().map(|n| (n % 4 > 0).then(|| ["a", "b", "c"][(n % 3) as usize])).collect();
        let columns: [(&str, ArrayRef); 6] = [
            ("time", Arc::new(TimestampNanosecondArray::from_iter_values(numbers.clone()))),
            ("tag", Arc::new(tags)),
            ("i", Arc::new(numbers.clone().map(|n| (n % 5 > 0).then_some(n)).collect::<Int64Array>())),
            ("f", Arc::new(numbers.clone().map(|n| (n % 7 > 0).then_some(n as f64 / 4.0)).collect::<Float64Array>())),
            ("b", Arc::new(numbers.clone().map(|n| (n % 3 > 0).then_some(n % 2 > 0)).collect::<BooleanArray>())),
            ("s", Arc::new(numbers.map(|n| (n % 6 > 0).then(|| format!("text {n}"))).collect::<StringArray>())),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
    }

    #[test]
    fn what_is_written_in_parts_is_read_back() {
        let batches = [batch(0, 100), batch(100, 1), batch(101, 900)];
        let (mut stream, mut out) = (Stream::new(&batches[0].schema()).unwrap(), Vec::new());
        for batch in &batches {
            let half = batch.num_rows() / 2;
            stream.part(batch, 0..half, &mut out).unwrap();
            stream.part(batch, half..batch.num_rows(), &mut out).unwrap();
        }
        stream.finish(&mut out).unwrap();
        let read: Vec<RecordBatch> =
            StreamReader::try_new(out.as_slice(), None).unwrap().collect::<Result<_, _>>().unwrap();
        let schema = plain_schema(&batches[0].schema());
        let expected = batches.map(|batch| plain_rows(&schema, &batch, &(0..batch.num_rows()), "Arrow").unwrap());
        let whole = |batches: &[RecordBatch]| arrow_select::concat::concat_batches(&schema, batches).unwrap();
        assert_eq!(whole(&read), whole(&expected));
    }

    #[test]
    fn no_rows_are_a_schema() {
        let (mut stream, mut out) = (Stream::new(&batch(0, 1).schema()).unwrap(), Vec::new());
        stream.finish(&mut out).unwrap();
        let reader = StreamReader::try_new(out.as_slice(), None).unwrap();
        assert_eq!(reader.schema(), plain_schema(&batch(0, 1).schema()));
        assert_eq!(reader.count(), 0);
    }

    #[test]
    fn columns_of_other_types_are_refused() {
        let mut stream = Stream::new(&batch(0, 1).schema()).unwrap();
        let other = RecordBatch::try_from_iter([("time", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
        let error = stream.part(&other, 0..1, &mut Vec::new()).unwrap_err();
        assert_eq!(error, EncodeError::Columns { found: 1, expected: 6 });
        let mut columns = batch(0, 1).columns().to_vec();
        columns.swap(2, 3);
        let other = RecordBatch::try_from_iter(["time", "tag", "i", "f", "b", "s"].into_iter().zip(columns)).unwrap();
        let error = stream.part(&other, 0..1, &mut Vec::new()).unwrap_err();
        assert!(matches!(error, EncodeError::Schema { column, .. } if column == "i"));
    }
}
