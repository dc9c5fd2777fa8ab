//! Doors whose bodies are protobuf, beside another decoder (`prost`) that goes by the definitions of their messages:
//! what one reads the other reads, and what one refuses the other refuses.

use prost::Message;
use tidewire_protocol::loki::LokiPush;
use tidewire_protocol::prometheus::{RemoteWrite, symbols};
use tidewire_protocol::protobuf::{decode_snappy_block, split};
use tidewire_protocol::row::RowError;

use crate::definition::messages;
use crate::random::{damaged, generator};
use crate::recorder::{Recorder, now};

messages! {
    message Label {
        name: String = 1 string one,
        value: String = 2 string one,
    }
    message Sample {
        value: f64 = 1 double one,
        timestamp: i64 = 2 int64 one,
    }
    message TimeSeries {
        labels: Vec<Label> = 1 message many,
        samples: Vec<Sample> = 2 message many,
    }
    message WriteRequest {
        timeseries: Vec<TimeSeries> = 1 message many,
    }
    message SecondSeries {
        labels: Vec<u32> = 1 uint32 packed,
        samples: Vec<Sample> = 2 message many,
    }
    message SecondRequest {
        symbols: Vec<String> = 4 string many,
        timeseries: Vec<SecondSeries> = 5 message many,
    }
    message Timestamp {
        seconds: i64 = 1 int64 one,
        nanos: i32 = 2 int32 one,
    }
    message Entry {
        timestamp: Timestamp = 1 message one,
        line: String = 2 string one,
        metadata: Vec<Label> = 3 message many,
    }
    message Stream {
        labels: String = 1 string one,
        entries: Vec<Entry> = 2 message many,
    }
    message PushRequest {
        streams: Vec<Stream> = 1 message many,
    }
}

/// The bits by which Prometheus says that a series has ended.
const STALE: u64 = 0x7ff0_0000_0000_0002;

/// What a door tells of a message that it gets in parts of at least `part_bytes`.
fn told(
    message: &[u8],
    part_bytes: usize,
    mut read: impl FnMut(&[u8], &mut Recorder) -> Result<(), RowError>,
) -> Result<Vec<String>, RowError> {
    let mut recorder = Recorder::default();
    let mut rest = message;
    while !rest.is_empty() {
        let (part, behind) = rest.split_at(split(rest, part_bytes)?);
        rest = behind;
        read(part, &mut recorder)?;
    }
    Ok(recorder.told)
}

fn first(message: &[u8], part_bytes: usize) -> Result<Vec<String>, RowError> {
    let mut remote = RemoteWrite::default();
    told(message, part_bytes, |fields, rows| now(remote.read_first(fields, rows)).map(drop))
}

fn second(message: &[u8], part_bytes: usize) -> Result<Vec<String>, RowError> {
    let symbols = symbols(message)?;
    let mut remote = RemoteWrite::default();
    told(message, part_bytes, |fields, rows| now(remote.read_second(fields, &symbols, rows)).map(drop))
}

fn loki(message: &[u8], part_bytes: usize) -> Result<Vec<String>, RowError> {
    let mut push = LokiPush::new("t".to_owned());
    told(message, part_bytes, |fields, rows| now(push.read_message(fields, rows)).map(drop))
}

/// The rows of a series, as a recorder writes them.
fn expected(item: usize, labels: &[(&str, &str)], samples: &[Sample]) -> Vec<String> {
    let named = labels.iter().find(|(name, _)| *name == "__name__").map_or("", |(_, value)| value);
    let table = if named.is_empty() { "prom_metric_not_specified" } else { named };
    let mut tags = std::collections::BTreeMap::new();
    tags.extend(labels.iter().copied());
    let tags: Vec<String> =
        tags.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!(",{name}={value}")).collect();
    let row = |sample: &Sample| match sample.timestamp.checked_mul(1_000_000) {
        None => format!("item {item}: the time is out of range"),
        Some(_) if labels.iter().any(|(name, _)| name.is_empty()) => format!("item {item}: a tag's name is missing"),
        Some(time) if sample.value.to_bits() == STALE => format!("{table}{} __stale__=true {time}", tags.concat()),
        Some(time) => format!("{table}{} value={:?} {time}", tags.concat(), sample.value),
    };
    samples.iter().map(row).collect()
}

fn expected_first(request: &WriteRequest) -> Vec<String> {
    let series = request.timeseries.iter().zip(1..).map(|(series, item)| {
        let labels: Vec<_> = series.labels.iter().map(|label| (&*label.name, &*label.value)).collect();
        expected(item, &labels, &series.samples)
    });
    series.flatten().collect()
}

fn text(rng: &mut fastrand::Rng) -> String {
    ["", "a", "job", "__name__", "up", "é", "x=y,z"][rng.usize(..7)].to_owned()
}

fn samples(rng: &mut fastrand::Rng) -> Vec<Sample> {
    let sample = |rng: &mut fastrand::Rng| Sample {
        value: if rng.u8(..) < 32 { f64::from_bits(STALE) } else { f64::from(rng.i32(..)) / 8.0 },
        timestamp: if rng.u8(..) < 8 { rng.i64(..) } else { rng.i64(-10..1 << 41) },
    };
    (0..rng.usize(..4)).map(|_| sample(rng)).collect()
}

fn write_request(rng: &mut fastrand::Rng) -> WriteRequest {
    let series = |rng: &mut fastrand::Rng| TimeSeries {
        labels: (0..rng.usize(..4)).map(|_| Label { name: text(rng), value: text(rng) }).collect(),
        samples: samples(rng),
    };
    WriteRequest { timeseries: (0..rng.usize(..5)).map(|_| series(rng)).collect() }
}

#[test]
fn version_1_is_read_as_its_definition_says() {
    let mut rng = generator();
    for round in 0..5_000 {
        let request = write_request(&mut rng);
        let message = request.encode_to_vec();
        let part_bytes = rng.usize(..100) + 1;
        assert_eq!(first(&message, part_bytes), Ok(expected_first(&request)), "round {round}: {request:?}");
    }
}

#[test]
fn version_2_is_read_as_its_definition_says() {
    let mut rng = generator();
    for round in 0..5_000 {
        let symbols: Vec<String> = (0..5).map(|_| text(&mut rng)).collect();
        let series = |rng: &mut fastrand::Rng| SecondSeries {
            labels: (0..2 * rng.usize(..3)).map(|_| rng.u32(..5)).collect(),
            samples: samples(rng),
        };
        let timeseries = (0..rng.usize(..5)).map(|_| series(&mut rng)).collect();
        let request = SecondRequest { symbols, timeseries };
        let series = request.timeseries.iter().zip(1..).map(|(series, item)| {
            let symbol = |at: &u32| request.symbols[*at as usize].as_str();
            let labels: Vec<_> = series.labels.chunks(2).map(|pair| (symbol(&pair[0]), symbol(&pair[1]))).collect();
            expected(item, &labels, &series.samples)
        });
        let expected: Vec<String> = series.flatten().collect();
        let part_bytes = rng.usize(..100) + 1;
        assert_eq!(second(&request.encode_to_vec(), part_bytes), Ok(expected), "round {round}: {request:?}");
    }
}

#[test]
fn a_push_is_read_as_its_definition_says() {
    let mut rng = generator();
    for round in 0..5_000 {
        let entry = |rng: &mut fastrand::Rng| Entry {
            // No two entries of a stream have one time here.
            timestamp: Timestamp { seconds: rng.i64(-5..1 << 33), nanos: rng.i32(0..1_000_000_000) },
            line: text(rng),
            metadata: (0..rng.usize(..3)).map(|at| Label { name: format!("m{at}"), value: text(rng) }).collect(),
        };
        let stream = |rng: &mut fastrand::Rng| Stream {
            labels: ["{}", "{a=\"b\"}", "{a=\"\", b=\"c\"}"][rng.usize(..3)].to_owned(),
            entries: (0..rng.usize(..3)).map(|_| entry(rng)).collect(),
        };
        let request = PushRequest { streams: (0..rng.usize(..3)).map(|_| stream(&mut rng)).collect() };
        let rows = request.streams.iter().flat_map(|stream| {
            let tags = match &*stream.labels {
                "{}" => "",
                "{a=\"b\"}" => ",a=b",
                _ => ",b=c",
            };
            stream.entries.iter().map(move |entry| {
                let time = &entry.timestamp;
                let time = time.seconds * 1_000_000_000 + i64::from(time.nanos);
                let metadata: Vec<String> =
                    entry.metadata.iter().map(|pair| format!(",metadata.{}={:?}", pair.name, pair.value)).collect();
                format!("t{tags} msg={:?}{} {time}", entry.line, metadata.concat())
            })
        });
        let expected: Vec<String> = rows.collect();
        let part_bytes = rng.usize(..100) + 1;
        assert_eq!(loki(&request.encode_to_vec(), part_bytes), Ok(expected), "round {round}: {request:?}");
    }
}

#[test]
fn any_bytes_give_what_the_definition_gives_or_an_error() {
    let mut rng = generator();
    let mut refused = 0;
    for round in 0..30_000 {
        let good = write_request(&mut rng).encode_to_vec();
        let body = damaged(&mut rng, &[&good]);
        let found = first(&body, usize::MAX);
        let parts = first(&body, 1);
        assert_eq!(parts.is_ok(), found.is_ok(), "round {round}: {}", body.escape_ascii());
        match (&found, WriteRequest::decode(&*body)) {
            // A fourth field is a histogram here, and none of the definition above.
            (Ok(rows), Ok(request)) if !rows.iter().any(|row| row.contains("histogram")) => {
                assert_eq!(*rows, expected_first(&request), "round {round}: {}", body.escape_ascii());
            }
            (Ok(_), Ok(_)) => {}
            (Err(_), _) => refused += 1,
            // The decoder looks into no more than it must: groups and numbers of unknown fields are another's business.
            (Ok(rows), Err(error)) => panic!("round {round}: {rows:?} and {error}: {}", body.escape_ascii()),
        }
        // These say something of anything too.
        let _ = (second(&body, 64), loki(&body, 64));
    }
    assert!(refused > 1_000, "{refused}");
}

#[test]
fn labels_with_the_names_of_other_columns_keep_apart() {
    let label = |name: &str| Label { name: name.to_owned(), value: "x".to_owned() };
    let samples = vec![Sample { value: 1.0, timestamp: 1 }];
    let series = TimeSeries { labels: ["__name__", "time", "value"].map(label).to_vec(), samples };
    let request = WriteRequest { timeseries: vec![series] };
    let row = "x,__name__=x,label.time=x,label.value=x value=1.0 1000000".to_owned();
    assert_eq!(first(&request.encode_to_vec(), usize::MAX), Ok(vec![row]));
    let timestamp = Timestamp { seconds: 0, nanos: 5 };
    let entry = Entry { timestamp, line: "l".to_owned(), metadata: Vec::new() };
    let stream = Stream { labels: "{msg=\"m\",time=\"t\"}".to_owned(), entries: vec![entry] };
    let request = PushRequest { streams: vec![stream] };
    let row = "t,label.msg=m,label.time=t msg=\"l\" 5".to_owned();
    assert_eq!(loki(&request.encode_to_vec(), usize::MAX), Ok(vec![row]));
}

#[test]
fn a_series_has_a_bounded_number_of_labels() {
    let labels = vec![Label { name: "a".to_owned(), value: "b".to_owned() }; 1025];
    let request = WriteRequest { timeseries: vec![TimeSeries { labels, samples: Vec::new() }] };
    let too_many = Err(RowError::TooMany { what: "labels of a series", count_max: 1024 });
    assert_eq!(first(&request.encode_to_vec(), usize::MAX), too_many);
    let series = SecondSeries { labels: vec![0; 2050], samples: Vec::new() };
    let request = SecondRequest { symbols: vec!["a".to_owned()], timeseries: vec![series] };
    assert_eq!(second(&request.encode_to_vec(), usize::MAX), too_many);
}

#[test]
fn a_block_is_decompressed_within_its_bound() {
    let message = vec![7; 100_000];
    let block = snap::raw::Encoder::new().compress_vec(&message).expect("a block");
    assert_eq!(decode_snappy_block(&block, 100_000).as_ref(), Ok(&message));
    for (block, bytes_max) in
        [(&block[..], 99_999), (b"junk", 1000), (b"", 1000), (b"\xff\xff\xff\xff\x0f\0", u64::MAX)]
    {
        let found = decode_snappy_block(block, bytes_max);
        assert!(matches!(found, Err(RowError::Compression(_))), "{found:?}");
    }
}
