//! Remote read: its question beside another decoder, and its answers beside a slow encoder and that decoder.

use std::collections::BTreeMap;

use prost::Message;
use tidewire_protocol::prometheus::{
    Comparison, LabelKey, ReadForm, ReadRequest, SampleSeries, XorChunk, XorSamples, XorWriter, frame_chunks,
    push_frame, push_sample, series_bytes,
};
use tidewire_protocol::row::RowError;

use crate::definition::messages;
use crate::random::{damaged, generator};

messages! {
    message Matcher {
        kind: u32 = 1 uint32 one,
        name: String = 2 string one,
        value: String = 3 string one,
    }
    message Query {
        start: i64 = 1 int64 one,
        end: i64 = 2 int64 one,
        matchers: Vec<Matcher> = 3 message many,
    }
    message Request {
        queries: Vec<Query> = 1 message many,
        accepted: Vec<u32> = 2 uint32 packed,
    }
    message Label {
        name: String = 1 string one,
        value: String = 2 string one,
    }
    message Sample {
        value: f64 = 1 double one,
        timestamp: i64 = 2 int64 one,
    }
    message Series {
        labels: Vec<Label> = 1 message many,
        samples: Vec<Sample> = 2 message many,
    }
    message Chunk {
        first: i64 = 1 int64 one,
        last: i64 = 2 int64 one,
        encoding: u32 = 3 uint32 one,
        bytes: Vec<u8> = 4 bytes one,
    }
    message ChunkedSeries {
        labels: Vec<Label> = 1 message many,
        chunks: Vec<Chunk> = 2 message many,
    }
    message Frame {
        series: Vec<ChunkedSeries> = 1 message many,
        query: i64 = 2 int64 one,
    }
}

fn question(rng: &mut fastrand::Rng) -> Request {
    let matcher = |rng: &mut fastrand::Rng| Matcher {
        kind: rng.u32(..4),
        name: ["__name__", "job", "é"][rng.usize(..3)].to_owned(),
        value: ["", "up", "a.*|b"][rng.usize(..3)].to_owned(),
    };
    let query = |rng: &mut fastrand::Rng| Query {
        start: rng.i64(..),
        end: rng.i64(..),
        matchers: (0..rng.usize(..4)).map(|_| matcher(rng)).collect(),
    };
    Request {
        queries: (0..rng.usize(..3)).map(|_| query(rng)).collect(),
        accepted: (0..rng.usize(..3)).map(|_| rng.u32(..3)).collect(),
    }
}

fn form(accepted: &[u32]) -> Option<ReadForm> {
    let known = accepted.iter().find_map(|kind| [ReadForm::Samples, ReadForm::XorChunks].get(*kind as usize).copied());
    known.or_else(|| accepted.is_empty().then_some(ReadForm::Samples))
}

fn assert_read(request: &Request, found: &ReadRequest<'_>) {
    assert_eq!(Some(found.form), form(&request.accepted));
    assert_eq!(found.queries.len(), request.queries.len());
    for (query, found) in request.queries.iter().zip(&found.queries) {
        assert_eq!((found.start_ms, found.end_ms), (query.start, query.end));
        let kinds = [Comparison::Equal, Comparison::NotEqual, Comparison::Match, Comparison::NoMatch];
        let expected = query
            .matchers
            .iter()
            .map(|matcher| (kinds[matcher.kind as usize], matcher.name.as_str(), matcher.value.as_str()));
        assert!(found.matchers.iter().map(|matcher| (matcher.comparison, matcher.name, matcher.value)).eq(expected));
    }
}

#[test]
fn a_question_is_read_as_its_definition_says() {
    let mut rng = generator();
    for _ in 0..5_000 {
        let request = question(&mut rng);
        let message = request.encode_to_vec();
        match ReadRequest::read(&message) {
            Ok(found) => assert_read(&request, &found),
            Err(RowError::NotSupported(_)) => assert_eq!(form(&request.accepted), None),
            Err(error) => panic!("{error}: {request:?}"),
        }
    }
}

#[test]
fn any_bytes_are_a_question_or_refused() {
    let mut rng = generator();
    let mut refused = 0;
    for round in 0..30_000 {
        let good = question(&mut rng).encode_to_vec();
        let body = damaged(&mut rng, &[&good]);
        match (ReadRequest::read(&body), Request::decode(&*body)) {
            (Ok(found), Ok(request)) => assert_read(&request, &found),
            (Ok(_), Err(error)) => panic!("round {round}: {error}: {}", body.escape_ascii()),
            (Err(_), _) => refused += 1,
        }
    }
    assert!(refused > 1_000, "{refused}");
}

#[test]
fn a_question_has_bounds() {
    let many = |count: usize| Request { queries: vec![Query::default(); count], accepted: vec![] }.encode_to_vec();
    assert_eq!(ReadRequest::read(&many(1024)).map(|request| request.queries.len()), Ok(1024));
    let too_many = |what| Err(RowError::TooMany { what, count_max: 1024 });
    assert_eq!(ReadRequest::read(&many(1025)), too_many("queries in a request"));
    let matcher = Matcher { kind: 0, name: "a".to_owned(), value: String::new() };
    let query = |matchers| Request { queries: vec![Query { matchers, ..Query::default() }], accepted: vec![] };
    let message = query(vec![matcher.clone(); 1025]).encode_to_vec();
    assert_eq!(ReadRequest::read(&message), too_many("matchers in a query"));
    for bad in [Matcher { kind: 4, ..matcher.clone() }, Matcher { name: String::new(), ..matcher }] {
        assert!(ReadRequest::read(&query(vec![bad]).encode_to_vec()).is_err());
    }
}

/// A chunk written bit by bit, as the format is described.
#[derive(Default)]
struct SlowBits(Vec<bool>);

impl SlowBits {
    fn bits(&mut self, value: u64, count: usize) {
        self.0.extend((0..count).rev().map(|at| value >> at & 1 == 1));
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bits(value & 0x7f | 0x80, 8);
            value >>= 7;
        }
        self.bits(value, 8);
    }

    fn bytes(mut self) -> Vec<u8> {
        self.0.resize(self.0.len().next_multiple_of(8), false);
        self.0.chunks(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | u8::from(*bit))).collect()
    }
}

fn slow_chunk(samples: &[(i64, u64)]) -> Vec<u8> {
    let mut out = SlowBits::default();
    out.bits(samples.len() as u64, 16);
    let mut window = None;
    for (at, &(time, bits)) in samples.iter().enumerate() {
        let before = |back: usize| samples[at - back].0;
        match at {
            0 => {
                out.varint(if time < 0 { !(time as u64) * 2 + 1 } else { time as u64 * 2 });
                out.bits(bits, 64);
                continue;
            }
            1 => out.varint(time.wrapping_sub(before(1)) as u64),
            _ => {
                let change = time.wrapping_sub(before(1)).wrapping_sub(before(1).wrapping_sub(before(2)));
                match change {
                    0 => out.bits(0, 1),
                    -8191..=8192 => {
                        out.bits(0b10, 2);
                        out.bits(change as u64, 14);
                    }
                    -65535..=65536 => {
                        out.bits(0b110, 3);
                        out.bits(change as u64, 17);
                    }
                    -524_287..=524_288 => {
                        out.bits(0b1110, 4);
                        out.bits(change as u64, 20);
                    }
                    _ => {
                        out.bits(0b1111, 4);
                        out.bits(change as u64, 64);
                    }
                }
            }
        }
        let changed = bits ^ samples[at - 1].1;
        if changed == 0 {
            out.bits(0, 1);
            continue;
        }
        out.bits(1, 1);
        let (leading, trailing) = (changed.leading_zeros().min(31) as usize, changed.trailing_zeros() as usize);
        match window {
            Some((left, right)) if leading >= left && trailing >= right => {
                out.bits(0, 1);
                out.bits(changed >> right, 64 - left - right);
            }
            _ => {
                window = Some((leading, trailing));
                out.bits(1, 1);
                out.bits(leading as u64, 5);
                out.bits((64 - leading - trailing) as u64 % 64, 6);
                out.bits(changed >> trailing, 64 - leading - trailing);
            }
        }
    }
    out.bytes()
}

/// Samples whose times rise, by steps of all sizes.
fn samples(rng: &mut fastrand::Rng, count: usize) -> Vec<(i64, u64)> {
    let mut time = rng.i64(-1 << 41..1 << 41);
    let (mut step, mut bits) = (15_000, 1.0_f64.to_bits());
    let sample = |_| {
        step = match rng.usize(..8) {
            0 => {
                let bits = rng.u32(1..42);
                rng.i64(1..1 << bits)
            }
            1 => step + rng.i64(0..20),
            _ => step,
        };
        time += step.max(1);
        bits = match rng.usize(..6) {
            0 => rng.u64(..),
            1 => rng.u64(..100_000),
            2 => f64::from(rng.i32(-5..100_000)).to_bits(),
            3 => (f64::from_bits(bits) + 0.1).to_bits(),
            4 => 0x7ff0_0000_0000_0002,
            _ => bits,
        };
        (time, bits)
    };
    (0..count).map(sample).collect()
}

fn chunk_of(samples: &[(i64, u64)]) -> XorChunk {
    let mut writer = XorWriter::begin(samples[0].0, samples[0].1);
    samples[1..].iter().for_each(|(time, bits)| writer.push(*time, *bits));
    writer.end()
}

#[test]
fn chunks_are_what_the_format_says_and_come_back() {
    let mut rng = generator();
    for round in 0..5_000 {
        let count = rng.usize(1..121);
        let samples = samples(&mut rng, count);
        let chunk = chunk_of(&samples);
        assert_eq!(*chunk.bytes, *slow_chunk(&samples), "round {round}: {samples:?}");
        assert_eq!((chunk.time_min, chunk.time_max), (samples[0].0, samples[count - 1].0));
        assert!(XorSamples::of(&chunk.bytes).eq(samples.iter().copied()), "round {round}: {samples:?}");
    }
}

#[test]
fn any_bytes_are_samples_or_end() {
    let mut rng = generator();
    for _ in 0..20_000 {
        let count = rng.usize(1..20);
        let good = chunk_of(&samples(&mut rng, count));
        let bytes = damaged(&mut rng, &[&good.bytes]);
        let count = XorSamples::of(&bytes).count();
        assert!(count <= usize::from(XorSamples::of(&bytes).left()));
    }
}

#[test]
fn series_are_in_order_however_their_runs_come() {
    let mut rng = generator();
    for round in 0..2_000 {
        let (mut series, mut expected) = (SampleSeries::default(), BTreeMap::new());
        for _ in 0..rng.usize(..6) {
            let mut time = rng.i64(..2_000);
            for _ in 0..rng.usize(..200) {
                // A time that comes twice in a run has the later value; between runs none comes twice here.
                expected.entry(time).or_insert_with(|| {
                    let bits = rng.u64(..3);
                    series.push(time, rng.u64(..));
                    series.push(time, bits);
                    bits
                });
                time += rng.i64(0..5);
            }
        }
        series.end();
        assert!(series.samples().eq(expected), "round {round}");
        assert!(series.chunks().is_sorted_by(|one, next| one.time_max < next.time_min), "round {round}");
        let bytes: usize = series.chunks().iter().map(|chunk| chunk.bytes.len() + size_of::<XorChunk>()).sum();
        assert_eq!((series.bytes(), series.bytes_to_end()), (bytes, 0));
    }
}

#[test]
fn answers_are_read_as_their_definition_says() {
    let mut rng = generator();
    for _ in 0..300 {
        let labels: Vec<Label> = ["__name__", "a", "b"][..rng.usize(..4)]
            .iter()
            .map(|name| Label { name: (*name).to_owned(), value: format!("v\0{}", rng.u8(..)) })
            .collect();
        let mut key = LabelKey::default();
        labels.iter().for_each(|label| key.push(&label.name, &label.value));
        let count = rng.usize(1..400);
        let samples = samples(&mut rng, count);
        let mut series = SampleSeries::default();
        samples.iter().for_each(|(time, bits)| series.push(*time, *bits));
        series.end();

        let mut message = key.message();
        series.samples().for_each(|(time, bits)| push_sample(&mut message, time, bits));
        assert_eq!(series_bytes(&key.message(), &series), message.len());
        let read = Series::decode(&*message).expect("a message");
        assert_eq!(read.labels, labels);
        assert!(read.samples.iter().map(|sample| (sample.timestamp, sample.value.to_bits())).eq(samples.clone()));

        let mut out = Vec::new();
        push_frame(&mut out, &key, series.chunks(), 300);
        let mut rest = out.as_slice();
        let length = prost::encoding::decode_varint(&mut rest).expect("a length");
        let (crc, message) = rest.split_first_chunk().expect("a checksum");
        assert_eq!((message.len() as u64, u32::from_be_bytes(*crc)), (length, crc32c(message)));
        let frame = Frame::decode(message).expect("a message");
        assert_eq!((frame.query, frame.series.len(), &frame.series[0].labels), (300, 1, &labels));
        let read = frame.series[0].chunks.iter().flat_map(|chunk| {
            assert_eq!(chunk.encoding, 1);
            let found: Vec<_> = XorSamples::of(&chunk.bytes).collect();
            assert_eq!((found[0].0, found[found.len() - 1].0), (chunk.first, chunk.last));
            found
        });
        assert!(read.eq(samples));
    }
}

/// The checksum bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 })
    })
}

#[test]
fn a_frame_has_about_a_mebibyte_and_a_chunk_at_least() {
    let chunk = |bytes: usize| XorChunk { time_min: 0, time_max: 0, bytes: vec![0; bytes].into() };
    let chunks: Vec<XorChunk> = (0..100).map(|_| chunk(100_000)).collect();
    assert_eq!(frame_chunks(0, &chunks), 10);
    assert_eq!(frame_chunks(500_000, &chunks), 5);
    assert_eq!(frame_chunks(5_000_000, &chunks), 1);
    assert_eq!(frame_chunks(0, &chunks[..3]), 3);
}
