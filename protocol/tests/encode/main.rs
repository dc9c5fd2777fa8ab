//! Result encoders against bytes that CnosDB 2.4.3 and InfluxDB 1.x sent, and against a naive twin on random batches.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests stop at the first surprise")]

mod influx;
mod parts;
mod random;
mod rows;

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema, SchemaRef};
use tidewire_protocol::encode::{EncodeError, Encoder, Format};

/// A batch with these columns, all nullable.
fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

/// The whole result in this format.
fn encode(format: Format, schema: SchemaRef, batches: &[RecordBatch]) -> Result<String, EncodeError> {
    let mut encoder = Encoder::new(format, schema)?;
    let mut out = Vec::new();
    for batch in batches {
        encoder.batch(batch, &mut out)?;
    }
    encoder.finish(&mut out)?;
    Ok(String::from_utf8(out).expect("text"))
}

/// A result of one batch.
fn encode_one(format: Format, batch: &RecordBatch) -> String {
    encode(format, batch.schema(), std::slice::from_ref(batch)).unwrap()
}

const FORMATS: [Format; 5] = [Format::Csv, Format::Tsv, Format::Json, Format::NdJson, Format::Table];
