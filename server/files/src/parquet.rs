//! Parquet: row groups as the `parquet` crate decodes them, as rows of a table.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use tidewire_sql::copy::external_type;
use tidewire_sql::plan::ExternalScan;
use tidewire_storage::schema::ExternalColumn;

use crate::csv::TextFault;
use crate::text::{BASE_BYTES, batch, missing};

/// Rows decoded at once.
const ROWS: usize = 4_096;

/// What a footer becomes in memory, by its own length.
const FOOTER_FACTOR: usize = 16;

/// What a reader holds of a column: a page, packed and unpacked, and its dictionary. Writers end a page and give up a
/// dictionary at 1 MiB by default; the rest is for those that do otherwise.
const COLUMN_BYTES: u64 = 8 << 20;

/// The rows of a file.
pub(crate) struct ParquetRows {
    state: State,
    scan: Arc<ExternalScan>,
    /// The number of the first row of the batch that is read.
    pub(crate) number: u64,
}

enum State {
    Closed(Option<File>),
    /// A builder, and the memory that its reader wants.
    Known(Option<Box<ParquetRecordBatchReaderBuilder<File>>>, usize),
    Open(Box<ParquetRecordBatchReader>),
}

impl ParquetRows {
    pub(crate) fn new(file: File, scan: &Arc<ExternalScan>) -> Self {
        Self { state: State::Closed(Some(file)), scan: Arc::clone(scan), number: 1 }
    }

    /// The next rows; `Err` in `Ok` says how much memory is wanted first.
    pub(crate) fn next(&mut self, room: usize) -> Result<Result<Option<RecordBatch>, usize>, TextFault> {
        loop {
            match &mut self.state {
                State::Closed(file) => {
                    let Some(file_here) = file.as_mut() else { return Ok(Ok(None)) };
                    let wanted = footer_bytes(file_here)?;
                    if wanted > room {
                        return Ok(Err(wanted));
                    }
                    let Some(file) = file.take() else { return Ok(Ok(None)) };
                    let builder = builder(file)?;
                    let wanted = wanted + self.wanted(&builder);
                    self.state = State::Known(Some(Box::new(builder)), wanted);
                }
                State::Known(builder, wanted) => {
                    if *wanted > room {
                        return Ok(Err(*wanted));
                    }
                    let Some(builder) = builder.take() else { return Ok(Ok(None)) };
                    let reader = open(*builder, &self.scan)?;
                    self.state = State::Open(Box::new(reader));
                }
                State::Open(reader) => {
                    let Some(rows) = reader.next() else { return Ok(Ok(None)) };
                    let rows = rows.map_err(|error| TextFault::Row(error.to_string()))?;
                    let rows = self.rows(&rows)?;
                    self.number += rows.num_rows() as u64;
                    return Ok(Ok(Some(rows)));
                }
            }
        }
    }

    /// The memory that reading takes beside the footer.
    fn wanted(&self, builder: &ParquetRecordBatchReaderBuilder<File>) -> usize {
        let is_read = |name: &str| {
            let columns = &self.scan.table.columns;
            self.scan.columns.iter().filter_map(|at| columns.get(*at)).any(|column| *column.name == *name)
        };
        let of_group = |group: &parquet::file::metadata::RowGroupMetaData| -> u64 {
            let columns = group
                .columns()
                .iter()
                .filter(|column| column.column_path().parts().first().is_some_and(|name| is_read(name)));
            columns.map(|column| u64::try_from(column.uncompressed_size()).unwrap_or(0).min(COLUMN_BYTES)).sum()
        };
        let most = builder.metadata().row_groups().iter().map(of_group).max().unwrap_or(0);
        BASE_BYTES.saturating_add(usize::try_from(most).unwrap_or(usize::MAX))
    }

    /// A batch as it is decoded, with the columns of the table in their order and types.
    fn rows(&self, decoded: &RecordBatch) -> Result<RecordBatch, TextFault> {
        let mut columns = Vec::with_capacity(self.scan.columns.len());
        for column in self.scan.columns.iter().filter_map(|at| self.scan.table.columns.get(*at)) {
            let values = decoded.column_by_name(&column.name).ok_or_else(|| no_column(column))?;
            columns.push(self.converted(values, column)?);
        }
        batch(&self.scan, columns, decoded.num_rows()).map_err(TextFault::Row)
    }

    fn converted(&self, values: &ArrayRef, column: &ExternalColumn) -> Result<ArrayRef, TextFault> {
        let values = without_zone(values);
        let to = column.kind.data_type();
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        let converted = cast_with_options(&values, &to, &strict).map_err(|error| {
            let reason = format!("column {}: {error}", column.name);
            // Which row it is, the cast does not say.
            let loose = cast_with_options(&values, &to, &CastOptions::default());
            let lost =
                loose.ok().and_then(|loose| (0..values.len()).find(|row| loose.is_null(*row) && !values.is_null(*row)));
            match lost {
                Some(row) => TextFault::Row(format!("{reason} (row {})", self.number + row as u64)),
                None => TextFault::Row(reason),
            }
        })?;
        if column.not_null && converted.null_count() > 0 {
            return Err(TextFault::Row(missing(column)));
        }
        Ok(converted)
    }
}

/// The memory that the footer of a file wants, which its last eight bytes tell the length of.
fn footer_bytes(file: &mut File) -> Result<usize, TextFault> {
    let not_one = || TextFault::Row("it is no Parquet file".to_owned());
    let length = file.metadata()?.len();
    let mut tail = [0; 8];
    if length < tail.len() as u64 {
        return Err(not_one());
    }
    file.seek(SeekFrom::End(-(tail.len() as i64)))?;
    file.read_exact(&mut tail)?;
    file.rewind()?;
    let [a, b, c, d, magic @ ..] = tail;
    let footer = u64::from(u32::from_le_bytes([a, b, c, d]));
    if magic != *b"PAR1" || footer > length {
        return Err(not_one());
    }
    Ok(BASE_BYTES.saturating_add(usize::try_from(footer).unwrap_or(usize::MAX).saturating_mul(FOOTER_FACTOR)))
}

fn builder(file: File) -> Result<ParquetRecordBatchReaderBuilder<File>, TextFault> {
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| TextFault::Row(error.to_string()))
}

fn open(
    builder: ParquetRecordBatchReaderBuilder<File>,
    scan: &ExternalScan,
) -> Result<ParquetRecordBatchReader, TextFault> {
    let mut roots = Vec::with_capacity(scan.columns.len());
    for column in scan.columns.iter().filter_map(|at| scan.table.columns.get(*at)) {
        let root = builder.schema().fields().iter().position(|field| *field.name() == *column.name);
        roots.push(root.ok_or_else(|| no_column(column))?);
    }
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
    let reader = builder.with_projection(mask).with_batch_size(ROWS).build();
    reader.map_err(|error| TextFault::Row(error.to_string()))
}

fn no_column(column: &ExternalColumn) -> TextFault {
    TextFault::Row(format!("it has no column {}", column.name))
}

/// The columns of a file, with `room` bytes of memory; `Err` in `Ok` says how much memory is wanted first.
pub(crate) fn columns(mut file: File, room: usize) -> Result<Result<Vec<ExternalColumn>, usize>, TextFault> {
    let wanted = footer_bytes(&mut file)?;
    if wanted > room {
        return Ok(Err(wanted));
    }
    let builder = builder(file)?;
    let column = |field: &arrow_schema::FieldRef| {
        let kind = external_type(field.data_type()).ok_or_else(|| {
            TextFault::Row(format!("column {} is {}, which is not read", field.name(), field.data_type()))
        })?;
        Ok(ExternalColumn { name: field.name().as_str().into(), kind, not_null: false })
    };
    builder.schema().fields().iter().map(column).collect::<Result<_, _>>().map(Ok)
}

/// Times without their zone: whatever that is, they are counted in UTC.
fn without_zone(values: &ArrayRef) -> ArrayRef {
    match values.data_type() {
        DataType::Timestamp(TimeUnit::Second, Some(_)) => {
            Arc::new(values.as_primitive::<TimestampSecondType>().clone().with_timezone_opt(None::<Arc<str>>))
        }
        DataType::Timestamp(TimeUnit::Millisecond, Some(_)) => {
            Arc::new(values.as_primitive::<TimestampMillisecondType>().clone().with_timezone_opt(None::<Arc<str>>))
        }
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            Arc::new(values.as_primitive::<TimestampMicrosecondType>().clone().with_timezone_opt(None::<Arc<str>>))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, Some(_)) => {
            Arc::new(values.as_primitive::<TimestampNanosecondType>().clone().with_timezone_opt(None::<Arc<str>>))
        }
        _ => Arc::clone(values),
    }
}
