//! Codecs block by block, and a whole segment: how fast, and how many bytes a value takes.
//!
//! `cargo bench -p tidewire-benches --bench segment`; sizes are printed before the timings.
#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to measure")]

use std::hint::black_box;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_lite::future::block_on;
use tidewire_storage::batch::{Strings, Values};
use tidewire_storage::codec::column::{Column, Encoder, decode};
use tidewire_storage::disk::plain::PlainDisk;
use tidewire_storage::schema::TableId;
use tidewire_storage::segment::write_segment;

mod devops;

const ROWS: usize = 4096;

/// A block of each kind of data that the codecs are made for.
fn blocks() -> Vec<(&'static str, Values)> {
    let mut rng = fastrand::Rng::with_seed(1);
    let devops = (0..ROWS / 256).flat_map(|_| devops::walk(&mut rng, 256)).collect();
    let mut total = 0;
    let counter = (0..ROWS)
        .map(|_| {
            total += 900 + rng.i64(0..200);
            total
        })
        .collect();
    let mut level = 50;
    let slow = (0..ROWS)
        .map(|_| {
            level += if rng.u8(0..30) == 0 { rng.i64(-2..=2) } else { 0 };
            level
        })
        .collect();
    let words = ["running", "stopped", "starting", "failed"];
    let mut states = Strings::default();
    let mut lines = Strings::default();
    for i in 0..ROWS {
        states.bytes.extend_from_slice(words[rng.usize(0..4)].as_bytes());
        states.ends.push(states.bytes.len() as u32);
        lines.bytes.extend_from_slice(format!("GET /item/{i} took {} us", rng.u16(..)).as_bytes());
        lines.ends.push(lines.bytes.len() as u32);
    }
    vec![
        ("devops ints", Values::Int(devops)),
        ("uniform ints", Values::Int((0..ROWS).map(|_| rng.i64(0..100)).collect())),
        ("counter", Values::Int(counter)),
        ("seldom changing", Values::Int(slow)),
        ("constant", Values::Int(vec![7; ROWS])),
        ("decimals", Values::Float((0..ROWS).map(|_| f64::from(rng.i32(0..10_000)) / 100.0).collect())),
        ("long floats", Values::Float((0..ROWS).map(|_| rng.f64() * 100.0).collect())),
        ("bools", Values::Bool((0..ROWS).map(|_| u8::from(rng.bool())).collect())),
        ("bools in long runs", Values::Bool((0..ROWS).map(|i| u8::from(i / 500 % 2 == 0)).collect())),
        ("states", Values::String(states)),
        ("lines", Values::String(lines)),
    ]
}

fn check(values: &Values, column: &Column) {
    match (values, column) {
        (Values::Int(values), Column::Words(words)) => {
            assert!(values.iter().zip(words).all(|(value, word)| *value as u64 == *word));
        }
        (Values::Float(values), Column::Words(words)) => {
            assert!(values.iter().zip(words).all(|(value, word)| value.to_bits() == *word));
        }
        (Values::Bool(values), Column::Bits(bits)) => {
            assert!((0..values.len()).all(|i| u64::from(values[i]) == bits[i / 64] >> (i % 64) & 1));
        }
        (Values::String(strings), Column::Text(text)) => assert!(strings.bytes == text.bytes),
        _ => panic!("a block came back as another type"),
    }
}

fn codecs(c: &mut Criterion) {
    let mut encode = c.benchmark_group("encode");
    encode.throughput(Throughput::Elements(ROWS as u64));
    for (name, values) in &blocks() {
        let mut encoder = Encoder::default();
        let mut out = Vec::new();
        encode.bench_with_input(BenchmarkId::from_parameter(name), values, |b, values| {
            b.iter(|| {
                out.clear();
                encoder.encode(black_box(values), None, &mut out);
                out.len()
            });
        });
    }
    encode.finish();
    let mut group = c.benchmark_group("decode");
    // Of numbers, 8 bytes each; strings and booleans differ.
    group.throughput(Throughput::Bytes(8 * ROWS as u64));
    for (name, values) in &blocks() {
        let mut out = Vec::new();
        Encoder::default().encode(values, None, &mut out);
        eprintln!("{name}: {:.3} bytes/value", out.len() as f64 / ROWS as f64);
        let (column, _) = decode(&out, values.kind(), ROWS, 0..ROWS).expect("own block");
        check(values, &column);
        group.bench_with_input(BenchmarkId::from_parameter(name), &out, |b, bytes| {
            b.iter(|| decode(black_box(bytes), values.kind(), ROWS, 0..ROWS));
        });
    }
    group.finish();
}

fn whole(c: &mut Criterion) {
    let (series, rows) = (400, 250);
    let table = devops::Table::new(series, rows, 0, 2);
    // Memory, so that the disk's moods do not show.
    let shared = Path::new("/dev/shm");
    let folder = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
    let path = folder.join(format!("tidewire-bench-{}.seg", std::process::id()));
    let mut group = c.benchmark_group("segment");
    group.throughput(Throughput::Elements((series * rows) as u64));
    group.bench_function("write devops rows", |b| {
        b.iter(|| block_on(write_segment(&PlainDisk, &path, TableId(1), 0, &table)).expect("written"));
    });
    group.finish();
    let meta = block_on(write_segment(&PlainDisk, &path, TableId(1), 0, &table)).expect("written");
    assert_eq!(meta.rows, table.values(0).len() as u64);
    let values = (series * rows * devops::FIELDS) as f64;
    eprintln!("segment of {} rows: {:.3} bytes/value", meta.rows, meta.bytes as f64 / values);
    let _ = std::fs::remove_file(&path);
}

criterion_group!(benches, codecs, whole);
criterion_main!(benches);
