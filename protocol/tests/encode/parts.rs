//! A batch that is given in parts, and a result that ends in parts, are the same bytes as all at once.

use std::sync::Arc;

use arrow_array::types::UInt32Type;
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, DictionaryArray, Float32Array, Float64Array, Int64Array, RecordBatch,
    StringArray, TimestampNanosecondArray, UInt64Array,
};
use tidewire_protocol::encode::Encoder;

use super::{FORMATS, batch};

/// Rows with lines and wide characters, so that a table has rows of several lines, and columns of all kinds: read in
/// place and made of what a batch holds.
fn rows(first: i64, count: i64) -> RecordBatch {
    let texts: StringArray = (first..first + count).map(|row| (row % 3 > 0).then(|| format!("日{row}\nb"))).collect();
    let some = |row: i64| (row % 5 > 0).then_some(row);
    let numbers: ArrayRef = Arc::new((first..first + count).collect::<Int64Array>());
    let floats: Float64Array = (first..first + count).map(|row| some(row).map(|row| row as f64 / 4.0)).collect();
    let narrow: Float32Array = (first..first + count).map(|row| some(row).map(|row| row as f32 / 8.0)).collect();
    let counts: UInt64Array = (first..first + count).map(|row| some(row).map(|row| row as u64)).collect();
    let flags: BooleanArray = (first..first + count).map(|row| some(row).map(|row| row % 2 == 0)).collect();
    let hosts: DictionaryArray<UInt32Type> =
        (first..first + count).map(|row| ["a", "b,", "c"][row as usize % 3]).collect();
    let times: TimestampNanosecondArray = (first..first + count).map(|row| some(row).map(|row| row * 1_000)).collect();
    let days: Date32Array = (first..first + count).map(|row| some(row).map(|row| row as i32)).collect();
    batch(vec![
        ("n", numbers),
        ("s", Arc::new(texts)),
        ("f", Arc::new(floats)),
        ("narrow", Arc::new(narrow)),
        ("u", Arc::new(counts)),
        ("b", Arc::new(flags)),
        ("host", Arc::new(hosts)),
        ("time", Arc::new(times)),
        ("day", Arc::new(days)),
    ])
}

#[test]
fn parts_of_batches_are_the_same_bytes() {
    // More cells than a table writes at one time.
    let batches = [rows(0, 5_000), rows(5_000, 1), rows(5_001, 700)];
    for format in FORMATS {
        for is_chunked in [false, true] {
            let encoder = || {
                let encoder = Encoder::new(format, batches[0].schema()).unwrap();
                if is_chunked { encoder.array_per_batch() } else { encoder }
            };
            let (mut whole, mut parts) = (Vec::new(), Vec::new());
            let mut at_once = encoder();
            batches.iter().for_each(|batch| at_once.batch(batch, &mut whole).unwrap());
            at_once.finish(&mut whole).unwrap();

            let mut in_parts = encoder();
            for batch in &batches {
                for start in (0..batch.num_rows()).step_by(257) {
                    let end = batch.num_rows().min(start + 257);
                    in_parts.part(batch, start..end, &mut parts).unwrap();
                }
            }
            while in_parts.finish_part(&mut parts).unwrap() {}
            assert!(whole == parts, "{format:?}, chunked: {is_chunked}");
        }
    }
}
