//! Properties of all codecs together, through the door that segments use: what was encoded comes back, whatever is
//! asked of the encoder; and bytes that no encoder wrote are an error or other values, never a panic, a row too many or
//! memory out of proportion.

use super::column::{Column, Encoder, Nullable, decode, pick};
use super::*;
use crate::batch::{Strings, Values};
use crate::schema::FieldType;
use crate::testing::seeds;

const KINDS: [FieldType; 5] = [FieldType::Int, FieldType::UInt, FieldType::Float, FieldType::Bool, FieldType::String];

const CODECS: [Codec; 11] = [
    Codec::Null,
    Codec::Delta,
    Codec::DeltaTs,
    Codec::Quantile,
    Codec::Gorilla,
    Codec::Gzip,
    Codec::Bzip,
    Codec::Zstd,
    Codec::Snappy,
    Codec::Zlib,
    Codec::BitPack,
];

/// The preferences that a column of type `kind` can have, the default among them.
fn preferences(kind: FieldType) -> impl Iterator<Item = CodecPreference> {
    std::iter::once(CodecPreference::default())
        .chain(CODECS.into_iter().filter(move |codec| codec.suits(kind)).map(CodecPreference::from))
}

/// Values in one of the shapes that fields take: constant, slow, trending, noisy, wild.
fn random_values(rng: &mut fastrand::Rng, kind: FieldType, rows: usize) -> Values {
    let shape = rng.u8(0..5);
    let mut word = rng.u64(..1 << 40);
    let mut words = (0..rows).map(|_| {
        word = match shape {
            0 => word,
            1 if rng.u8(0..50) > 0 => word,
            2 => word.wrapping_add(1000 + rng.u64(0..3)),
            3 | 1 => word.wrapping_add(rng.u64(0..7)).wrapping_sub(3),
            _ => rng.u64(..),
        };
        word
    });
    match kind {
        FieldType::Int => Values::Int(words.map(|word| word as i64).collect()),
        FieldType::UInt => Values::UInt(words.collect()),
        FieldType::Float if shape == 4 => Values::Float(words.map(f64::from_bits).collect()),
        FieldType::Float => Values::Float(words.map(|word| (word % 100_000) as f64 / 100.0).collect()),
        FieldType::Bool => Values::Bool(words.map(|word| (word & 1) as u8).collect()),
        FieldType::String => {
            let mut strings = Strings::default();
            words.by_ref().for_each(|word| {
                let text = if shape == 4 { format!("GET /{word:x}") } else { format!("state-{}", word % 9) };
                strings.bytes.extend_from_slice(text.as_bytes());
                strings.ends.push(strings.bytes.len() as u32);
            });
            Values::String(strings)
        }
    }
}

fn random_validity(rng: &mut fastrand::Rng, rows: usize) -> Option<Vec<u64>> {
    let bits = |rng: &mut fastrand::Rng| (0..bitmap::words(rows)).map(|_| rng.u64(..)).collect();
    match rng.u8(0..4) {
        0 => Some(bits(rng)),
        1 => Some(vec![0; bitmap::words(rows)]),
        _ => None,
    }
}

/// Row `row` of what was given to an encoder, as bytes; `None` where it is null.
fn given(values: &Values, validity: Option<&[u64]>, row: usize) -> Option<Vec<u8>> {
    if !validity.is_none_or(|bits| column::is_valid(bits, row)) {
        return None;
    }
    Some(match values {
        Values::Int(v) => v[row].to_le_bytes().to_vec(),
        Values::UInt(v) => v[row].to_le_bytes().to_vec(),
        Values::Float(v) => v[row].to_bits().to_le_bytes().to_vec(),
        Values::Bool(v) => vec![v[row]],
        Values::String(Strings { ends, bytes }) => {
            let from = if row == 0 { 0 } else { ends[row - 1] as usize };
            bytes[from..ends[row] as usize].to_vec()
        }
    })
}

/// Row `row` of what came back.
fn got((column, validity): &Nullable, row: usize) -> Option<Vec<u8>> {
    if !validity.as_ref().is_none_or(|bits| column::is_valid(bits, row)) {
        return None;
    }
    Some(match column {
        Column::Nothing => return None,
        Column::Words(words) => words[row].to_le_bytes().to_vec(),
        Column::Bits(bits) => vec![u8::from(column::is_valid(bits, row))],
        Column::Text(text) => text.bytes[text.offsets[row] as usize..text.offsets[row + 1] as usize].to_vec(),
    })
}

/// Rows that a decoded column has, where it says so.
fn rows_of((column, _): &Nullable, rows: usize) -> usize {
    match column {
        Column::Nothing => rows,
        Column::Words(words) => words.len(),
        Column::Bits(bits) if bits.len() == bitmap::words(rows) => rows,
        Column::Bits(_) => usize::MAX,
        Column::Text(text) => text.offsets.len() - 1,
    }
}

/// A block of `rows` values, and what was put in.
fn block(
    rng: &mut fastrand::Rng,
    kind: FieldType,
    rows: usize,
    preference: CodecPreference,
) -> (Vec<u8>, Values, Option<Vec<u64>>) {
    let values = random_values(rng, kind, rows);
    let validity = random_validity(rng, rows);
    let mut encoder = Encoder::new(if rng.bool() { Effort::Fast } else { Effort::Hard });
    encoder.set_preference(preference);
    let mut bytes = Vec::new();
    encoder.encode(&values, validity.as_deref(), &mut bytes);
    assert!(bytes.len().is_multiple_of(8), "blocks end on words");
    (bytes, values, validity)
}

#[test]
fn whatever_is_asked_for_comes_back() {
    for seed in seeds() {
        let mut rng = fastrand::Rng::with_seed(seed);
        for kind in KINDS {
            for preference in preferences(kind) {
                for rows in [1, 2, 3, 255, 256, 1024, 1025, rng.usize(1..5000)] {
                    let (bytes, values, validity) = block(&mut rng, kind, rows, preference);
                    let context = || format!("seed {seed} {kind:?} {preference:?} {rows} rows");
                    let from = rng.usize(0..rows);
                    let to = rng.usize(from..=rows);
                    for wanted in [0..rows, from..to] {
                        let back = decode(&bytes, kind, rows, wanted.clone()).unwrap();
                        for (at, row) in wanted.enumerate() {
                            assert_eq!(got(&back, at), given(&values, validity.as_deref(), row), "{}", context());
                        }
                    }
                    let picked: Vec<u32> = (from as u32..to as u32).step_by(1 + rng.usize(0..300)).collect();
                    let back = pick(&bytes, kind, rows, &picked).unwrap();
                    for (at, row) in picked.iter().enumerate() {
                        let expected = given(&values, validity.as_deref(), *row as usize);
                        assert_eq!(got(&back, at), expected, "{} picked", context());
                    }
                }
            }
        }
    }
}

/// Decodes bytes that may be anything, in every way there is.
fn endure(rng: &mut fastrand::Rng, bytes: &[u8], kind: FieldType, rows: usize) -> bool {
    let from = rng.usize(0..=rows);
    let to = rng.usize(from..=rows);
    if let Ok(back) = decode(bytes, kind, rows, from..to) {
        assert_eq!(rows_of(&back, to - from), to - from);
    }
    let picked: Vec<u32> = (from as u32..to as u32).step_by(7).collect();
    if let Ok(back) = pick(bytes, kind, rows, &picked) {
        assert_eq!(rows_of(&back, picked.len()), picked.len());
    }
    assert!(decode(bytes, kind, rows, 0..rows + 1).is_err(), "rows past the end");
    assert!(pick(bytes, kind, rows, &[rows as u32]).is_err() || rows == 0, "rows past the end");
    match decode(bytes, kind, rows, 0..rows) {
        Ok(back) => {
            assert_eq!(rows_of(&back, rows), rows);
            true
        }
        Err(Damaged(reason)) => {
            assert!(!reason.is_empty());
            false
        }
    }
}

#[test]
fn mutated_blocks_are_errors_or_other_values() {
    for seed in seeds() {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut refused = 0;
        for kind in KINDS {
            for preference in preferences(kind) {
                for _ in 0..12 {
                    let rows = [1, 100, 1024, 3000][rng.usize(0..4)];
                    let (bytes, ..) = block(&mut rng, kind, rows, preference);
                    for _ in 0..20 {
                        let mut hurt = bytes.clone();
                        for _ in 0..rng.usize(1..4) {
                            // Headers are the most sensitive: lengths, widths, counts.
                            let at =
                                if rng.bool() { rng.usize(0..hurt.len().min(48)) } else { rng.usize(0..hurt.len()) };
                            hurt[at] = if rng.bool() { hurt[at] ^ 1 << rng.u32(0..8) } else { rng.u8(..) };
                        }
                        refused += usize::from(!endure(&mut rng, &hurt, kind, rows));
                        // Of another type, or with another number of rows than it was written with.
                        let other = KINDS[rng.usize(0..5)];
                        endure(&mut rng, &hurt, other, rows);
                        let rows = rng.usize(0..6000);
                        endure(&mut rng, &bytes, kind, rows);
                    }
                    let cut = rng.usize(0..bytes.len());
                    endure(&mut rng, &bytes[..cut], kind, rows);
                }
            }
        }
        assert!(refused > 1000, "seed {seed}: most damage shows ({refused})");
    }
}

#[test]
fn random_bytes_are_errors_or_other_values() {
    for seed in seeds() {
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..4000 {
            let kind = KINDS[rng.usize(0..5)];
            let mut bytes: Vec<u8> = (0..rng.usize(0..400)).map(|_| rng.u8(..)).collect();
            // A believable beginning leads deeper.
            let believable =
                [rng.u8(0..5), rng.u8(0..2), 0, 0, 0, 0, 0, 0, rng.u8(0..4), rng.u8(0..66), rng.u8(0..9), 0];
            let length = rng.usize(0..=believable.len()).min(bytes.len());
            bytes[..length].copy_from_slice(&believable[..length]);
            let rows = [0, 1, 300, 5000, BLOCK_VALUES_MAX][rng.usize(0..5)];
            endure(&mut rng, &bytes, kind, rows);
        }
    }
}

#[test]
fn a_block_that_lies_about_its_length_costs_no_memory() {
    // Text: a gigabyte of bytes promised, a few there; compressed or not, with a dictionary or not.
    for kind in [0u8, 1] {
        for compressed in [0u8, 1] {
            let mut bytes = vec![3, 0, 0, 0, 0, 0, 0, 0, kind, compressed, 0, 0];
            for number in [1u32, 1 << 30, 8] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            // One length of a gigabyte: order, width and exceptions 0, `first` and `base` as given.
            bytes.extend_from_slice(&[0; 16]);
            bytes.extend_from_slice(&(1u64 << 30).to_le_bytes());
            bytes.extend_from_slice(&[0x5a; 8]);
            bytes.extend_from_slice(&[0; 24]);
            assert!(decode(&bytes, FieldType::String, 1, 0..1).is_err(), "kind {kind} compressed {compressed}");
        }
    }
}

#[test]
fn what_is_asked_for_is_done() {
    let sizes = |values: &Values, codecs: &[Codec]| -> Vec<usize> {
        let size = |codec: &Codec| {
            let mut encoder = Encoder::default();
            encoder.set_preference((*codec).into());
            let mut bytes = Vec::new();
            encoder.encode(values, None, &mut bytes);
            bytes.len()
        };
        codecs.iter().map(size).collect()
    };
    let trend = Values::Int((0..4096).map(|i| i * 1000 + i * i).collect());
    let found = sizes(&trend, &[Codec::Null, Codec::Delta, Codec::DeltaTs]);
    assert_eq!(found[0], 8 + 4 * (24 + 8 * 1024), "64 bits a value");
    assert!(found[1] > 2 * found[2], "steps grow by two: {found:?}");
    let decimals = Values::Float((0..4096).map(|i| f64::from(i * 37 % 1000) / 10.0).collect());
    let found = sizes(&decimals, &[Codec::Quantile, Codec::Gorilla, Codec::Null]);
    assert!(found[0] * 2 < found[1] && found[1] <= found[2], "decimals lose as bits: {found:?}");
    let rare = Values::Bool((0..4096).map(|i| u8::from(i > 2000)).collect());
    assert_eq!(sizes(&rare, &[Codec::BitPack]), [8 + 8 + 512]);
    let mut lines = Strings::default();
    for i in 0..2000 {
        lines
            .bytes
            .extend_from_slice(format!("GET /api/v1/item/{} took {} ms", i * 7919 % 2000, i * 31 % 977).as_bytes());
        lines.ends.push(lines.bytes.len() as u32);
    }
    let raw = lines.bytes.len();
    let found = sizes(&Values::String(lines), &[Codec::Zstd, Codec::Snappy, Codec::Null]);
    assert!(found[0] <= found[1] && found[1] * 2 < found[2] && found[2] > raw, "{found:?} of {raw}");
}
