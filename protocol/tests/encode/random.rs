//! Random batches, written fast and written plainly, must give the same bytes.

use std::fmt::Write;
use std::sync::Arc;

use arrow_array::types::UInt32Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray, UInt32Array,
};
use tidewire_protocol::encode::{Encoder, Format};

use super::batch;

fn text(random: &mut fastrand::Rng) -> String {
    let alphabet = ['a', 'b', 'é', '"', '\\', ',', '\n', '\t', '\u{1}', ' ', '日', 'x', 'y', 'z', '0', '='];
    (0..random.usize(0..50))
        .map(|_| if random.u8(0..4) == 0 { *random.choice(&alphabet).unwrap() } else { 'q' })
        .collect()
}

fn some<T>(random: &mut fastrand::Rng, value: T) -> Option<T> {
    (random.u8(0..5) > 0).then_some(value)
}

/// Measured values, small enough that the shortest decimal is the exact one, and any finite bits. In between lie floats
/// that are halfway between two shortest decimals, of which two formatters may choose differently.
fn float(random: &mut fastrand::Rng) -> f64 {
    if random.bool() {
        return (random.i64(..) >> random.u32(20..64)) as f64 / 8.0;
    }
    let value = f64::from_bits(random.u64(..));
    if value.is_finite() && !(1e11..1e20).contains(&value.abs()) { value } else { 0.5 }
}

/// Compares line by line, so that a failure prints one line.
fn assert_lines(written: Vec<u8>, plain: &str, label: &str) {
    let written = String::from_utf8(written).unwrap();
    for (number, (written, plain)) in written.split('\n').zip(plain.split('\n')).enumerate() {
        assert_eq!(written, plain, "{label} line {number}");
    }
    assert_eq!(written.len(), plain.len(), "{label}");
}

fn column(kind: usize, rows: usize, dictionary: &ArrayRef, random: &mut fastrand::Rng) -> ArrayRef {
    match kind {
        0 => Arc::new(
            (0..rows)
                .map(|_| {
                    let value = random.i64(..) >> random.u32(0..64);
                    some(random, value)
                })
                .collect::<Int64Array>(),
        ),
        1 => Arc::new(
            (0..rows)
                .map(|_| {
                    let value = float(random);
                    some(random, value)
                })
                .collect::<Float64Array>(),
        ),
        2 => Arc::new(
            (0..rows)
                .map(|_| {
                    let value = random.bool();
                    some(random, value)
                })
                .collect::<BooleanArray>(),
        ),
        3 => Arc::new(
            (0..rows)
                .map(|_| {
                    let value = text(random);
                    some(random, value)
                })
                .collect::<StringArray>(),
        ),
        _ => {
            let keys: UInt32Array = (0..rows)
                .map(|_| {
                    let key = random.u32(0..dictionary.len() as u32);
                    some(random, key)
                })
                .collect();
            Arc::new(DictionaryArray::<UInt32Type>::try_new(keys, Arc::clone(dictionary)).unwrap())
        }
    }
}

/// A cell as text, and whether it is text.
fn cell(array: &ArrayRef, row: usize, json: bool) -> Option<(String, bool)> {
    if array.is_null(row) {
        return None;
    }
    let any = array.as_any();
    Some(if let Some(array) = any.downcast_ref::<Int64Array>() {
        (array.value(row).to_string(), false)
    } else if let Some(array) = any.downcast_ref::<Float64Array>() {
        let value = array.value(row);
        let text = if value == 0.0 || (1e-5..if json { 1e16 } else { 1e10 }).contains(&value.abs()) {
            if value.fract() == 0.0 { format!("{value:.1}") } else { value.to_string() }
        } else {
            let text = format!("{value:e}");
            let (mantissa, exponent) = text.split_once('e').unwrap();
            let point = if json || mantissa.contains('.') { "" } else { ".0" };
            format!("{mantissa}{point}e{exponent}")
        };
        (text, false)
    } else if let Some(array) = any.downcast_ref::<BooleanArray>() {
        (array.value(row).to_string(), false)
    } else if let Some(array) = any.downcast_ref::<StringArray>() {
        (array.value(row).to_owned(), true)
    } else {
        let array = any.downcast_ref::<DictionaryArray<UInt32Type>>().unwrap();
        let values = array.values().as_any().downcast_ref::<StringArray>().unwrap();
        (values.value(array.keys().value(row) as usize).to_owned(), true)
    })
}

fn plain_csv(batch: &RecordBatch) -> String {
    let mut out = String::new();
    for row in 0..batch.num_rows() {
        let cells: Vec<String> = batch
            .columns()
            .iter()
            .map(|array| match cell(array, row, false) {
                Some((text, true)) if text.contains([',', '"', '\n', '\r']) => {
                    format!("\"{}\"", text.replace('"', "\"\""))
                }
                Some((text, _)) => text,
                None => String::new(),
            })
            .collect();
        let line = cells.join(",");
        writeln!(out, "{}", if line.is_empty() { "\"\"" } else { &line }).unwrap();
    }
    out
}

fn plain_lines(batch: &RecordBatch) -> String {
    let mut out = String::new();
    for row in 0..batch.num_rows() {
        let members: Vec<String> = batch
            .columns()
            .iter()
            .enumerate()
            .filter_map(|(index, array)| {
                let (text, quoted) = cell(array, row, true)?;
                let mut value = text;
                if quoted {
                    value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t");
                    value = format!("\"{}\"", value.replace('\u{1}', "\\u0001"));
                }
                Some(format!("\"c{index}\":{value}"))
            })
            .collect();
        writeln!(out, "{{{}}}", members.join(",")).unwrap();
    }
    out
}

#[test]
fn fast_equals_plain() {
    let seeds = std::env::var("TIDEWIRE_SEED").map_or(vec![1, 2, 3, 4], |seed| vec![seed.parse().unwrap()]);
    for seed in seeds {
        let mut random = fastrand::Rng::with_seed(seed);
        for round in 0..60 {
            let width = random.usize(1..8);
            let kinds: Vec<usize> = (0..width).map(|_| random.usize(0..5)).collect();
            let mut dictionary: ArrayRef = Arc::new((0..20).map(|_| Some(text(&mut random))).collect::<StringArray>());
            let names: Vec<String> = (0..width).map(|index| format!("c{index}")).collect();
            let mut encoders: Option<(Encoder, Encoder)> = None;
            let (mut csv, mut lines) = (Vec::new(), Vec::new());
            let (mut csv_plain, mut lines_plain) = (names.join(",") + "\n", String::new());
            for _ in 0..random.usize(1..4) {
                if random.bool() {
                    dictionary = Arc::new((0..30).map(|_| Some(text(&mut random))).collect::<StringArray>());
                }
                let rows = random.usize(0..300);
                let columns = names
                    .iter()
                    .zip(&kinds)
                    .map(|(name, &kind)| (name.as_str(), column(kind, rows, &dictionary, &mut random)));
                let batch = batch(columns.collect());
                // A slice, so that offsets are not zero.
                let start = random.usize(0..=rows);
                let batch = batch.slice(start, random.usize(0..=rows - start));
                let (to_csv, to_lines) = encoders.get_or_insert_with(|| {
                    (
                        Encoder::new(Format::Csv, batch.schema()).unwrap(),
                        Encoder::new(Format::NdJson, batch.schema()).unwrap(),
                    )
                });
                to_csv.batch(&batch, &mut csv).unwrap();
                to_lines.batch(&batch, &mut lines).unwrap();
                csv_plain += &plain_csv(&batch);
                lines_plain += &plain_lines(&batch);
            }
            assert_lines(csv, &csv_plain, &format!("seed {seed} round {round}"));
            assert_lines(lines, &lines_plain, &format!("seed {seed} round {round}"));
        }
    }
}
