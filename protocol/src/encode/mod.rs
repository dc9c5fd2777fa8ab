//! Result rows as text or bytes: arrow batches to csv, tsv, json, nd-json or table, to Arrow's IPC stream or Parquet,
//! and to the reply format of InfluxDB's `/query`.
//!
//! An [`Encoder`] is made once per result from its schema, is given the batches in order and appends to a buffer that
//! the caller sends and clears. What the formats look like is fixed by CnosDB's `/api/v1/sql`:
//!
//! | | null | float | timestamp | no rows |
//! |---|---|---|---|---|
//! | csv, tsv | nothing (a lone column: `""`) | `1.0` `3.5e10` `NaN` | nine digits | the header line |
//! | json, nd-json | member left out, NaN and infinities too | `1.0` `1e16` | 0, 3, 6 or 9 digits | nothing |
//! | table | blank | as csv | as json | the header between borders |
//!
//! Arrow and Parquet keep values as they are; text columns that are dictionaries in memory are plain text in both.
//!
//! How it is fast: the type of a column is looked at once per result ([`column`]), the buffers are taken out of the
//! arrow array once per batch, and a cell is a jump over a small enum, a few arithmetic instructions and one store of
//! constant size ([`sink`]). Tag values are escaped once per distinct value, timestamps recompute only what changed
//! since the row before ([`time`]).

mod arrow;
mod column;
mod csv;
mod display;
pub mod influx;
mod json;
mod number;
mod parquet;
pub mod pprof;
mod sink;
mod table;
mod text;
mod time;

use std::ops::Range;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, SchemaRef};
use column::Column;

/// Formats of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values with a header line.
    Csv,
    /// Tab-separated values with a header line.
    Tsv,
    /// One JSON array of objects.
    Json,
    /// One JSON object a line.
    NdJson,
    /// A table drawn with `+`, `-` and `|`.
    Table,
    /// Arrow's IPC streaming format.
    Arrow,
    /// A Parquet file.
    Parquet,
}

impl Format {
    /// The format of a name, in any case.
    pub fn from_name(name: &str) -> Option<Format> {
        use Format::{Arrow, Csv, Json, NdJson, Parquet, Table, Tsv};
        [Csv, Tsv, Json, NdJson, Table, Arrow, Parquet]
            .into_iter()
            .find(|format| format.name().eq_ignore_ascii_case(name))
    }

    /// What the reply's `Content-Type` says.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Csv => "text/csv",
            Format::Tsv => "text/tsv",
            Format::Json => "application/json",
            Format::NdJson => "application/nd-json",
            Format::Table => "text/table",
            Format::Arrow => "application/vnd.apache.arrow.stream",
            Format::Parquet => "application/vnd.apache.parquet",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Tsv => "tsv",
            Format::Json => "json",
            Format::NdJson => "nd-json",
            Format::Table => "table",
            Format::Arrow => "vnd.apache.arrow.stream",
            Format::Parquet => "vnd.apache.parquet",
        }
    }
}

/// A result that the format cannot show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A column type that JSON has no spelling for.
    #[error("JSON has no form for {0}")]
    JsonType(DataType),
    /// A list or struct in csv or tsv.
    #[error("CSV has no form for the nested type {0}")]
    CsvNested(DataType),
    /// Binary in csv or tsv.
    #[error("CSV has no form for {0}")]
    CsvType(DataType),
    /// A type that Parquet has no form for.
    #[error("Parquet has no form for {0}")]
    ParquetType(DataType),
    /// Rows that a library could not write.
    #[error("the rows cannot be written as {format}: {reason}")]
    Unwritable {
        /// The format's name.
        format: &'static str,
        /// What the library says.
        reason: String,
    },
    /// A type that no format knows.
    #[error("no format has a form for {0}")]
    Type(DataType),
    /// A batch whose columns are not those of the schema.
    #[error("result column {column} is {found}, expected {expected}")]
    Schema {
        /// The column's name.
        column: String,
        /// The type in the batch.
        found: DataType,
        /// The type in the schema.
        expected: DataType,
    },
    /// A batch with fewer columns than the schema.
    #[error("result batch has {found} columns, expected at least {expected}")]
    Columns {
        /// Columns in the batch.
        found: usize,
        /// Columns that the schema has at least.
        expected: usize,
    },
}

/// Takes the columns of a batch, in the schema's order.
fn load_columns(columns: &mut [Column], batch: &RecordBatch, rows: &Range<usize>) -> Result<(), EncodeError> {
    columns.iter_mut().enumerate().try_for_each(|(index, column)| load_column(column, index, batch, rows))
}

fn load_column(column: &mut Column, index: usize, batch: &RecordBatch, rows: &Range<usize>) -> Result<(), EncodeError> {
    let found = batch.num_columns();
    column.load(batch.columns().get(index).ok_or(EncodeError::Columns { found, expected: index + 1 })?, rows.clone())
}

/// Turns the batches of one result into bytes.
#[derive(Debug)]
pub struct Encoder {
    rows: Rows,
}

#[derive(Debug)]
enum Rows {
    Separated(csv::Separated),
    Objects(json::Objects),
    Table(table::Table),
    Arrow(Box<arrow::Stream>),
    Parquet(Box<parquet::File>),
}

impl Encoder {
    /// For a result with these columns. Fails where the format cannot show one of the types, before a byte is written.
    #[expect(clippy::needless_pass_by_value, reason = "takes what `RecordBatch::schema` gives")]
    pub fn new(format: Format, schema: SchemaRef) -> Result<Self, EncodeError> {
        let schema = &*schema;
        Ok(Encoder {
            rows: match format {
                Format::Csv => Rows::Separated(csv::Separated::new(b',', schema)?),
                Format::Tsv => Rows::Separated(csv::Separated::new(b'\t', schema)?),
                Format::Json => Rows::Objects(json::Objects::array(schema)?),
                Format::NdJson => Rows::Objects(json::Objects::lines(schema)?),
                Format::Table => Rows::Table(table::Table::new(schema)?),
                Format::Arrow => Rows::Arrow(Box::new(arrow::Stream::new(schema)?)),
                Format::Parquet => Rows::Parquet(Box::new(parquet::File::new(schema)?)),
            },
        })
    }

    /// Makes json close its array after every batch and open another for the next: what a chunked reply does, since
    /// each of its chunks is to be readable alone. No effect on the other formats.
    #[must_use]
    pub fn array_per_batch(mut self) -> Self {
        if let Rows::Objects(objects) = &mut self.rows {
            objects.array_per_batch();
        }
        self
    }

    /// Appends the rows of a batch. The table format keeps them until [`Encoder::finish`], which knows the widths.
    ///
    /// On an error nothing of the batch has been appended.
    pub fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.part(batch, 0..batch.num_rows(), out)
    }

    /// Appends the next rows of a batch: [`Encoder::batch`] for callers with other things to do between. Parts come in
    /// order, and the last of a batch ends with its last row.
    ///
    /// On an error nothing of these rows has been appended.
    pub fn part(&mut self, batch: &RecordBatch, rows: Range<usize>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match &mut self.rows {
            Rows::Separated(separated) => separated.part(batch, rows, out),
            Rows::Objects(objects) => objects.part(batch, rows, out),
            Rows::Table(table) => table.part(batch, rows),
            Rows::Arrow(stream) => stream.part(batch, rows, out),
            Rows::Parquet(file) => file.part(batch, rows, out),
        }
    }

    /// Appends what ends the result, and the header where no batch came.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        while self.finish_part(out)? {}
        Ok(())
    }

    /// Appends a part of what ends the result, some hundred rows of a table at most. Returns whether there is more.
    pub fn finish_part(&mut self, out: &mut Vec<u8>) -> Result<bool, EncodeError> {
        match &mut self.rows {
            Rows::Separated(rows) => rows.finish(out),
            Rows::Objects(rows) => rows.finish(out),
            Rows::Table(rows) => return Ok(rows.finish_part(out)),
            Rows::Arrow(stream) => stream.finish(out)?,
            Rows::Parquet(file) => file.finish(out)?,
        }
        Ok(false)
    }

    /// Bytes that the encoder itself holds for rows not yet written: those of a table, or of a group of Parquet.
    pub fn held_bytes(&self) -> usize {
        match &self.rows {
            Rows::Table(rows) => rows.held_bytes(),
            Rows::Parquet(file) => file.held_bytes(),
            _ => 0,
        }
    }
}
