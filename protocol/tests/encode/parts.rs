//! A batch that is given in parts, and a result that ends in parts, are the same bytes as all at once.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use tidewire_protocol::encode::Encoder;

use super::{FORMATS, batch};

/// Rows with lines and wide characters, so that a table has rows of several lines.
fn rows(first: i64, count: i64) -> RecordBatch {
    let texts: StringArray = (first..first + count).map(|row| (row % 3 > 0).then(|| format!("日{row}\nb"))).collect();
    let numbers: ArrayRef = Arc::new((first..first + count).collect::<Int64Array>());
    batch(vec![("n", numbers), ("s", Arc::new(texts))])
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
            at_once.finish(&mut whole);

            let mut in_parts = encoder();
            for batch in &batches {
                for start in (0..batch.num_rows()).step_by(257) {
                    let length = 257.min(batch.num_rows() - start);
                    let is_last = start + length == batch.num_rows();
                    in_parts.part(&batch.slice(start, length), is_last, &mut parts).unwrap();
                }
            }
            while in_parts.finish_part(&mut parts) {}
            assert!(whole == parts, "{format:?}, chunked: {is_chunked}");
        }
    }
}
