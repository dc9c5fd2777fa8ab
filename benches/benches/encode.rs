//! Result encoders, in bytes of output a second: the columns of the TSBS cpu table (time, ten tags, ten fields) with
//! integers, with two-decimal floats and with floats of full precision, 8,192 rows a batch as queries produce them.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to measure")]

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_array::{TimestampNanosecondArray, UInt32Array};
use arrow_schema::{Field, Schema};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidewire_benches::devops::{FIELDS, TAGS};
use tidewire_protocol::encode::{Encoder, Format};

const ROWS: usize = 8_192;
/// Distinct values of each tag.
const DISTINCT: [usize; TAGS.len()] = [4_000, 9, 30, 100, 3, 2, 4, 20, 2, 3];

fn batch(field: impl Fn(&mut fastrand::Rng) -> ArrayRef) -> RecordBatch {
    let mut random = fastrand::Rng::with_seed(1);
    let start = 1_451_606_400_000_000_000;
    let time: TimestampNanosecondArray = (0..ROWS as i64).map(|row| Some(start + row / 40 * 10_000_000_000)).collect();
    let mut columns: Vec<(&str, ArrayRef)> = vec![("time", Arc::new(time))];
    for (name, distinct) in TAGS.into_iter().zip(DISTINCT) {
        let values: StringArray = (0..distinct).map(|value| Some(format!("{name}_{value}"))).collect();
        let keys: UInt32Array = (0..ROWS).map(|_| Some(random.u32(0..distinct as u32))).collect();
        columns.push((name, Arc::new(DictionaryArray::new(keys, Arc::new(values)))));
    }
    columns.extend(FIELDS.map(|name| (name, field(&mut random))));
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("equal lengths")
}

/// What an encoder has to find back: row count, and the sum of one field read from the text.
fn check(format: Format, batch: &RecordBatch, text: &str) {
    assert_eq!(text.matches("hostname_").count(), batch.num_rows());
    let last = batch.columns().last().expect("columns");
    let expected: f64 = match last.as_any().downcast_ref::<Int64Array>() {
        Some(array) => array.values().iter().map(|&value| value as f64).sum(),
        None => last.as_any().downcast_ref::<Float64Array>().expect("floats").values().iter().sum(),
    };
    let found: f64 = match format {
        Format::Csv => text
            .lines()
            .skip(1)
            .map(|line| line.rsplit(',').next().expect("cell").parse::<f64>().expect("number"))
            .sum(),
        _ => text
            .split("\"usage_guest_nice\":")
            .skip(1)
            .map(|rest| rest.split([',', '}']).next().expect("cell").parse::<f64>().expect("number"))
            .sum(),
    };
    assert_eq!(found, expected);
}

fn encoders(criterion: &mut Criterion) {
    let kinds: [(&str, RecordBatch); 3] = [
        ("integers", batch(|random| Arc::new((0..ROWS).map(|_| Some(random.i64(0..=100))).collect::<Int64Array>()))),
        (
            "decimals",
            batch(|random| {
                Arc::new((0..ROWS).map(|_| Some(random.i64(0..10_000) as f64 / 100.0)).collect::<Float64Array>())
            }),
        ),
        ("floats", batch(|random| Arc::new((0..ROWS).map(|_| Some(random.f64() * 100.0)).collect::<Float64Array>()))),
    ];
    for (kind, full) in &kinds {
        let numbers = full.project(&[0, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]).expect("columns");
        for (shape, batch) in [("all columns", full), ("time and fields", &numbers)] {
            let mut group = criterion.benchmark_group(format!("encode {kind}, {shape}"));
            for (name, format) in
                [("csv", Format::Csv), ("json", Format::Json), ("arrow", Format::Arrow), ("parquet", Format::Parquet)]
            {
                let mut encoder = Encoder::new(format, batch.schema()).expect("known types");
                let mut out = Vec::new();
                encoder.batch(batch, &mut out).expect("the schema's columns");
                encoder.finish(&mut out).expect("an end");
                let is_text = matches!(format, Format::Csv | Format::Json);
                if is_text && batch.num_columns() == full.num_columns() {
                    check(format, batch, std::str::from_utf8(&out).expect("text"));
                }
                group.throughput(Throughput::Bytes(out.len() as u64));
                // One that has ended takes no more rows.
                let mut encoder = Encoder::new(format, batch.schema()).expect("known types");
                group.bench_function(name, |bencher| {
                    bencher.iter(|| {
                        out.clear();
                        encoder.batch(batch, &mut out).expect("the schema's columns");
                        out.len()
                    });
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, encoders);
criterion_main!(benches);
