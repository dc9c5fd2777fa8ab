//! A Parquet file, written as rows come: a group of rows is held until it is full, the directory comes at the end.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, IntervalUnit, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::EncodeError;
use super::arrow::{plain_rows, plain_schema};

/// Rows of a group. Closing one compresses the last page of each column, which is to stay a matter of milliseconds.
const GROUP_ROWS: usize = 32 << 10;

/// A group of wide rows is closed when it holds this much.
const GROUP_BYTES: usize = 8 << 20;

/// A file under way.
pub(super) struct File {
    /// Text is plain.
    schema: SchemaRef,
    writer: ArrowWriter<Vec<u8>>,
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File").field("schema", &self.schema).finish_non_exhaustive()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` hands it over")]
fn unwritable(error: ParquetError) -> EncodeError {
    EncodeError::Unwritable { format: "Parquet", reason: error.to_string() }
}

impl File {
    pub(super) fn new(schema: &Schema) -> Result<Self, EncodeError> {
        let schema = plain_schema(schema);
        let has_form = |data_type: &DataType| {
            !matches!(data_type, DataType::Interval(IntervalUnit::MonthDayNano) | DataType::Duration(_))
        };
        if let Some(field) = schema.fields().iter().find(|field| !has_form(field.data_type())) {
            return Err(EncodeError::ParquetType(field.data_type().clone()));
        }
        let properties = WriterProperties::builder()
            // What every reader knows, and quick.
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_created_by(format!("tidewire {}", env!("CARGO_PKG_VERSION")))
            .build();
        let writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), Some(properties)).map_err(unwritable)?;
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
        let rows = plain_rows(&self.schema, batch, &rows, "Parquet")?;
        self.writer.write(&rows).map_err(unwritable)?;
        if self.writer.in_progress_size() >= GROUP_BYTES {
            self.writer.flush().map_err(unwritable)?;
        }
        out.append(self.writer.inner_mut());
        Ok(())
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.writer.finish().map_err(unwritable)?;
        out.append(self.writer.inner_mut());
        Ok(())
    }

    /// Bytes of the group that is not yet written.
    pub(super) fn held_bytes(&self) -> usize {
        self.writer.memory_size()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use arrow_array::{ArrayRef, IntervalMonthDayNanoArray, StringArray};
    use arrow_select::concat::concat_batches;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::super::arrow::tests::batch;
    use super::*;

    /// Schema, rows and number of groups of a file.
    fn read(bytes: &[u8]) -> (SchemaRef, Vec<RecordBatch>, usize) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("tidewire-parquet-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).unwrap();
        let file = std::fs::File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let (schema, groups) = (Arc::clone(builder.schema()), builder.metadata().num_row_groups());
        (schema, builder.build().unwrap().collect::<Result<_, _>>().unwrap(), groups)
    }

    #[test]
    fn what_is_written_in_parts_is_read_back_and_groups_leave_as_they_are_full() {
        let batches: Vec<RecordBatch> = (0..9).map(|n| batch(n * 8_000, 8_000)).collect();
        let (mut file, mut out) = (File::new(&batches[0].schema()).unwrap(), Vec::new());
        for batch in &batches {
            file.part(batch, 0..3_000, &mut out).unwrap();
            file.part(batch, 3_000..8_000, &mut out).unwrap();
        }
        assert!(out.len() > 100_000 && file.held_bytes() > 0, "{} bytes left before the end", out.len());
        file.finish(&mut out).unwrap();
        let (schema, found, groups) = read(&out);
        assert_eq!(groups, 3);
        let whole = |batches: &[RecordBatch]| concat_batches(&schema, batches).unwrap();
        let expected: Vec<RecordBatch> =
            batches.iter().map(|batch| plain_rows(&file.schema, batch, &(0..8_000), "Parquet").unwrap()).collect();
        assert_eq!(whole(&found).columns(), whole(&expected).columns());
    }

    #[test]
    fn wide_rows_leave_in_smaller_groups_and_no_rows_are_a_file() {
        // What cannot be packed.
        let mut random = fastrand::Rng::with_seed(7);
        let mut long = || (0..200_000).map(|_| random.char('!'..'~')).collect::<String>();
        let text: ArrayRef = Arc::new(StringArray::from_iter_values((0..128).map(|_| long())));
        let wide = RecordBatch::try_from_iter([("text", text)]).unwrap();
        let (mut file, mut out) = (File::new(&wide.schema()).unwrap(), Vec::new());
        for row in 0..128 {
            file.part(&wide, row..row + 1, &mut out).unwrap();
            assert!(file.held_bytes() < 4 * GROUP_BYTES, "{}", file.held_bytes());
        }
        file.finish(&mut out).unwrap();
        let (_, found, groups) = read(&out);
        assert!(groups > 1, "{groups}");
        assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), 128);
        let (mut file, mut out) = (File::new(&batch(0, 1).schema()).unwrap(), Vec::new());
        file.finish(&mut out).unwrap();
        let (schema, found, _) = read(&out);
        assert_eq!((schema.fields().len(), found.len()), (6, 0));
    }

    #[test]
    fn intervals_are_refused_before_a_byte_is_written() {
        let column: ArrayRef = Arc::new(IntervalMonthDayNanoArray::new_null(1));
        let batch = RecordBatch::try_from_iter([("every", column)]).unwrap();
        let error = File::new(&batch.schema()).unwrap_err();
        assert_eq!(error, EncodeError::ParquetType(DataType::Interval(IntervalUnit::MonthDayNano)));
    }
}
