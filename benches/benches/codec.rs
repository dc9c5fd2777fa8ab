//! The codecs of blocks beside others that could take their place: how many bytes a value takes, and how many bytes of
//! values are decoded a second.
//!
//! * numbers: beside `pco`, and beside run length with values and lengths packed by the codecs;
//! * text: beside FSST, with a symbol table a block, and beside zstd on the bytes alone, which is a part of the codec.
//!
//! `cargo bench -p tidewire-benches --bench codec`; sizes are printed before the timings. What follows from the figures
//! is in `docs/internals/storage.md`.
#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to measure")]

use std::fmt::Write;
use std::hint::black_box;
use std::ops::Range;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fastrand::Rng;
use fsst::Compressor;
use pco::ChunkConfig;
use pco::standalone::{simple_compress, simple_decompress};
use tidewire_benches::devops;
use tidewire_storage::batch::{Strings, Values};
use tidewire_storage::codec::Effort;
use tidewire_storage::codec::column::{Column, Encoder, decode};
use tidewire_storage::schema::FieldType;

/// Rows of a full block.
const ROWS: usize = 4096;

/// The levels of zstd that blocks of text are packed with, young and cold.
const ZSTD_LEVELS: [i32; 2] = [1, 12];

fn numbers() -> Vec<(&'static str, Values)> {
    let mut rng = Rng::with_seed(1);
    let integers: Vec<i64> = (0..ROWS / 256).flat_map(|_| devops::walk(&mut rng, 256)).collect();
    let mut walk = 5000;
    let decimals = (0..ROWS)
        .map(|_| {
            walk += rng.i64(-150..=150);
            walk as f64 / 100.0
        })
        .collect();
    let mut walk = 50.0;
    let floats = (0..ROWS)
        .map(|_| {
            walk += rng.f64() - 0.5;
            walk
        })
        .collect();
    let mut codes = |lengths: Range<usize>| {
        let mut codes = Vec::new();
        while codes.len() < ROWS {
            let code = rng.choice([200, 204, 301, 404, 500, 503]).unwrap_or_default();
            codes.resize(ROWS.min(codes.len() + rng.usize(lengths.clone())), code);
        }
        Values::Int(codes)
    };
    vec![
        ("integers", Values::Int(integers)),
        ("decimals", Values::Float(decimals)),
        ("17 digits", Values::Float(floats)),
        ("long runs", codes(100..600)),
        ("short runs", codes(5..40)),
    ]
}

fn texts() -> Vec<(&'static str, Strings)> {
    let mut rng = Rng::with_seed(2);
    let hex = |rng: &mut Rng| format!("{:016x}", rng.u64(..));
    let pick = |rng: &mut Rng, words: &[&'static str]| words[rng.usize(0..words.len())];
    let mut log = |out: &mut String, row: usize| {
        let method = pick(&mut rng, &["GET", "GET", "GET", "POST", "PUT"]);
        let (id, status) = (rng.u32(0..100_000), pick(&mut rng, &["200", "200", "200", "304", "404", "500"]));
        let worker = rng.u8(0..16);
        match rng.u8(0..4) {
            0 => write!(
                out,
                "{row} WARN [worker-{worker}] retrying upstream 10.0.{}.{}:8080 after {} ms, attempt {}",
                rng.u8(0..4),
                rng.u8(..),
                rng.u16(10..3000),
                rng.u8(1..6)
            ),
            1 => write!(
                out,
                "{row} INFO [worker-{worker}] session {} of user_{id} opened from 192.168.{}.{}",
                hex(&mut rng),
                rng.u8(..),
                rng.u8(..)
            ),
            _ => write!(
                out,
                "{row} INFO [worker-{worker}] {method} /api/v2/orders/{id}/items status={status} bytes={} took={}us",
                rng.u32(100..60_000),
                rng.u32(80..90_000)
            ),
        }
    };
    let logs = strings(&mut log);
    let mut rng = Rng::with_seed(3);
    let urls = strings(&mut |out, _| {
        let host = pick(&mut rng, &["www.example.com", "shop.example.org", "cdn.example.net", "api.example.com"]);
        let path = pick(&mut rng, &["products", "search", "account/orders", "static/images", "blog/2024/05"]);
        let source = pick(&mut rng, &["newsletter", "google", "direct", "partner"]);
        let id = rng.u32(0..1_000_000);
        write!(out, "https://{host}/{path}/{id}?utm_source={source}&session={}", hex(&mut rng))
    });
    let mut rng = Rng::with_seed(4);
    let words = ["running", "stopped", "starting", "failed", "degraded"];
    let enums = strings(&mut |out, _| write!(out, "{}", pick(&mut rng, &words)));
    vec![("log lines", logs), ("urls", urls), ("enums", enums)]
}

fn strings(write: &mut dyn FnMut(&mut String, usize) -> std::fmt::Result) -> Strings {
    let (mut text, mut ends) = (String::new(), Vec::new());
    for row in 0..ROWS {
        write(&mut text, row).expect("a string takes everything");
        ends.push(text.len() as u32);
    }
    Strings { ends, bytes: text.into_bytes() }
}

/// The lengths of strings as a block of integers: what any coding of their bytes needs beside it.
fn lengths_block(strings: &Strings) -> Vec<u8> {
    let starts = std::iter::once(0).chain(strings.ends.iter().copied());
    block(
        &Values::Int(strings.ends.iter().zip(starts).map(|(end, start)| i64::from(end - start)).collect()),
        Effort::Fast,
    )
}

fn block(values: &Values, effort: Effort) -> Vec<u8> {
    let mut out = Vec::new();
    Encoder::new(effort).encode(values, None, &mut out);
    out
}

fn words(bytes: &[u8], values: &Values, rows: usize) -> Vec<u64> {
    match decode(bytes, values.kind(), rows, 0..rows) {
        Ok((Column::Words(words), None)) => words,
        other => panic!("a block of numbers came back as {other:?}"),
    }
}

fn text(bytes: &[u8], values: &Values) -> Vec<u8> {
    match decode(bytes, values.kind(), ROWS, 0..ROWS) {
        Ok((Column::Text(text), None)) => text.bytes,
        other => panic!("a block of text came back as {other:?}"),
    }
}

/// Prints the size, and times `decode`, which must give `expected`.
fn measure<T: PartialEq>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    (shape, codec): (&str, &str),
    bytes: usize,
    expected: &T,
    mut decode: impl FnMut() -> T,
) {
    eprintln!("{shape}, {codec}: {:.3} bytes/value", bytes as f64 / ROWS as f64);
    assert!(decode() == *expected, "{shape}, {codec}");
    group.bench_function(BenchmarkId::new(shape, codec), |b| b.iter(|| black_box(decode())));
}

fn of_numbers(c: &mut Criterion) {
    let mut group = c.benchmark_group("numbers");
    group.throughput(Throughput::Bytes(8 * ROWS as u64));
    for (shape, values) in &numbers() {
        let expected: Vec<u64> = match values {
            Values::Int(values) => values.iter().map(|value| *value as u64).collect(),
            Values::Float(values) => values.iter().map(|value| value.to_bits()).collect(),
            _ => panic!("{shape} are no numbers"),
        };
        let ours = block(values, Effort::Fast);
        measure(&mut group, (shape, "tidewire"), ours.len(), &expected, || words(black_box(&ours), values, ROWS));
        let hard = block(values, Effort::Hard);
        measure(&mut group, (shape, "tidewire cold"), hard.len(), &expected, || words(black_box(&hard), values, ROWS));

        let config = ChunkConfig::default();
        let packed = match values {
            Values::Float(values) => simple_compress(values, &config),
            _ => simple_compress(&expected, &config),
        }
        .expect("packed by pco");
        match values {
            Values::Float(values) => measure(&mut group, (shape, "pco"), packed.len(), values, || {
                simple_decompress::<f64>(black_box(&packed)).expect("own bytes")
            }),
            _ => measure(&mut group, (shape, "pco"), packed.len(), &expected, || {
                simple_decompress::<u64>(black_box(&packed)).expect("own bytes")
            }),
        }

        let runs: Vec<(u64, i64)> =
            expected.chunk_by(|one, other| one == other).map(|run| (run[0], run.len() as i64)).collect();
        let run_values = Values::UInt(runs.iter().map(|(value, _)| *value).collect());
        let run_lengths = Values::Int(runs.iter().map(|(_, length)| *length).collect());
        let (packed_values, packed_lengths) = (block(&run_values, Effort::Fast), block(&run_lengths, Effort::Fast));
        let size = packed_values.len() + packed_lengths.len();
        measure(&mut group, (shape, "run length"), size, &expected, || {
            let values = words(black_box(&packed_values), &run_values, runs.len());
            let lengths = words(black_box(&packed_lengths), &run_lengths, runs.len());
            let mut all = Vec::with_capacity(ROWS);
            for (value, length) in values.iter().zip(lengths) {
                all.resize(all.len() + length as usize, *value);
            }
            all
        });
    }
    group.finish();
}

fn of_text(c: &mut Criterion) {
    let mut group = c.benchmark_group("text");
    for (shape, strings) in texts() {
        group.throughput(Throughput::Bytes(strings.bytes.len() as u64));
        eprintln!("{shape}: {:.1} bytes/value as they are", strings.bytes.len() as f64 / ROWS as f64);
        let lengths = lengths_block(&strings);
        let bytes = strings.bytes.clone();
        let starts = std::iter::once(0).chain(strings.ends.iter().copied());
        let rows: Vec<&[u8]> =
            strings.ends.iter().zip(starts).map(|(end, start)| &bytes[start as usize..*end as usize]).collect();

        let values = Values::String(strings);
        for (codec, effort) in [("tidewire", Effort::Fast), ("tidewire cold", Effort::Hard)] {
            let ours = block(&values, effort);
            measure(&mut group, (shape, codec), ours.len(), &bytes, || text(black_box(&ours), &values));
        }

        let compressor = Compressor::train(&rows);
        let codes = compressor.compress_bulk(&rows).concat();
        let symbols =
            compressor.symbol_table().len() + compressor.symbol_lengths().iter().map(|n| *n as usize).sum::<usize>();
        let decompressor = compressor.decompressor();
        // The lengths too, as text blocks have them.
        measure(&mut group, (shape, "fsst"), codes.len() + symbols + lengths.len(), &bytes, || {
            black_box(decode(black_box(&lengths), FieldType::Int, ROWS, 0..ROWS)).expect("own block");
            decompressor.decompress(black_box(&codes))
        });
        for level in ZSTD_LEVELS {
            let packed = zstd::bulk::compress(&bytes, level).expect("packed by zstd");
            let size = packed.len() + lengths.len();
            measure(&mut group, (shape, &format!("zstd {level}, bytes alone")), size, &bytes, || {
                zstd::bulk::decompress(black_box(&packed), bytes.len()).expect("own bytes")
            });
        }
    }
    group.finish();
}

criterion_group!(benches, of_numbers, of_text);
criterion_main!(benches);
