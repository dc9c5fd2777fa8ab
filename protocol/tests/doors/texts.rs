//! Rows that are taken by the text of their series, beside the same rows read by the book.

use prost::Message;
use tidewire_protocol::document::{Bulk, JsonLines, Numbers};
use tidewire_protocol::opentsdb::{JsonPoints, TextPoints};
use tidewire_protocol::prometheus::RemoteWrite;
use tidewire_protocol::row::{RowError, TimeScale};

use crate::documents::rule;
use crate::messages::{Label, Sample, TimeSeries, WriteRequest};
use crate::random::{damaged, generator};
use crate::recorder::{Recorder, now};

/// Reads bodies one after the other with and without knowledge of texts. Gives how many rows were taken by their text.
fn compare(bodies: &[Vec<u8>], mut read: impl FnMut(&[u8], &mut Recorder) -> Result<(), RowError>) -> usize {
    let mut known = Recorder::default();
    let mut book = Recorder { knows_texts: false, ..Recorder::default() };
    for body in bodies {
        let told = [&mut known, &mut book].map(|recorder| {
            recorder.told.clear();
            let end = read(body, recorder).err();
            recorder.told.extend(end.map(|error| error.to_string()));
            std::mem::take(&mut recorder.told)
        });
        assert_eq!(told[0], told[1], "{}", body.escape_ascii());
    }
    assert_eq!(book.expected, 0);
    known.expected
}

/// Bodies that repeat few series in many ways, some of them damaged.
fn bodies(point: impl Fn(&mut fastrand::Rng) -> String, join: impl Fn(&[String]) -> String) -> Vec<Vec<u8>> {
    let mut rng = generator();
    let mut body = || {
        let points: Vec<String> = (0..rng.usize(1..8)).map(|_| point(&mut rng)).collect();
        let body = join(&points).into_bytes();
        if rng.u8(..) < 80 { damaged(&mut rng, &[&body]) } else { body }
    };
    (0..6_000).map(|_| body()).collect()
}

const NUMBERS: [&str; 16] = [
    "0",
    "-0",
    "7",
    "1667456411",
    "1667456411001",
    "-3",
    "12.5",
    "0.1",
    "-1.75",
    "1e3",
    "01",
    "123456789012345678",
    "9007199254740993.5",
    "1.",
    "\"5\"",
    "99999999999999999999",
];

fn number(rng: &mut fastrand::Rng) -> &'static str {
    // Mostly such as are what they should be.
    NUMBERS[rng.usize(..NUMBERS.len()).min(rng.usize(2..NUMBERS.len()))]
}

#[test]
fn points_in_json() {
    let point = |rng: &mut fastrand::Rng| {
        let (metric, tag) = (["cpu.load", "m\u{e9}"][rng.usize(..2)], ["a", "b", "c\\n"][rng.usize(..3)]);
        let (time, value) = (number(rng), number(rng));
        let tags = format!(r#""tags":{{"host":"{tag}","rack":"}}]"}}"#);
        match rng.u8(..4) {
            0 => format!(r#"{{"metric":"{metric}",{tags},"timestamp":{time},"value":{value}}}"#),
            1 => format!(r#" {{ "value": {value} , "metric":"{metric}", "timestamp": {time}, {tags} }}"#),
            2 => format!(r#"{{"metric":"{metric}","timestamp":{time},"value":{value},"ttl":[1,{{}}],{tags}}}"#),
            _ => format!(r#"{{"metric":"{metric}","timestamp":{time},"value":{value},{tags}}}"#),
        }
    };
    let bodies = bodies(point, |points| format!("[{}]", points.join(",")));
    for takes_text in [false, true] {
        let read = |body: &[u8], rows: &mut Recorder| {
            JsonPoints::new(TimeScale::Digits, takes_text).read(body, true, rows).map(drop)
        };
        let known = compare(&bodies, read);
        assert!(known > 3_000, "{known}");
    }
}

#[test]
fn points_in_lines() {
    let point = |rng: &mut fastrand::Rng| {
        let put = ["", "put ", "put put "][rng.usize(..3)];
        let (metric, tag) = (["cpu.load", "m\u{e9}", "12"][rng.usize(..3)], ["a", "b", "c,d=e"][rng.usize(..3)]);
        let end = ["", "\r"][rng.usize(..2)];
        format!("{put}{metric} {} {} host={tag}{end}", number(rng), number(rng))
    };
    let bodies = bodies(point, |points| points.join("\n"));
    let scale = TimeScale::Digits;
    let lines = compare(&bodies, |body, rows| {
        TextPoints::new(scale).read(body, true, rows);
        Ok(())
    });
    let puts = compare(&bodies, |body, rows| {
        TextPoints::of_puts(scale).read(body, true, rows);
        Ok(())
    });
    assert!(lines > 3_000 && puts > 2_000, "{lines} {puts}");
    // What a line means, the form of all lines says.
    let (mut known, mut book) = (Recorder::default(), Recorder { knows_texts: false, ..Recorder::default() });
    for body in &bodies {
        for rows in [&mut known, &mut book] {
            TextPoints::new(scale).read(body, true, rows);
            TextPoints::of_puts(scale).read(body, true, rows);
        }
        assert_eq!(known.told, book.told, "{}", body.escape_ascii());
        known.told.clear();
        book.told.clear();
    }
}

#[test]
fn documents_that_are_like_one_before() {
    let mut rng = generator();
    let value = |rng: &mut fastrand::Rng| match rng.u8(..8) {
        0 => ["\"\"", "\"x\"", "\"\u{e9}\"", "\"\\n\"", "\"a\tb\""][rng.usize(..5)],
        1 => ["true", "false", "null", "[]", "{}"][rng.usize(..5)],
        _ => number(rng),
    };
    let mut document = || {
        let mut names = ["time", "@timestamp", "host", "o", "load", "load"];
        let (from, to) = (rng.usize(..3), rng.usize(3..=6));
        if rng.u8(..) < 8 {
            rng.shuffle(&mut names);
        }
        let entries: Vec<String> = names[from..to]
            .iter()
            .map(|name| match *name {
                "time" if rng.bool() => format!("\"time\":{}", 1_600_000_000 + rng.u32(..1000)),
                "time" => "\"time\":\"2024-05-01T00:00:00Z\"".to_owned(),
                "o" => format!("\"o\":{{\"k\":\"{}\",\"l\":[{},{}]}}", rng.u8(..), value(&mut rng), value(&mut rng)),
                "host" if rng.u8(..) < 200 => format!("\"host\":\"h{}\"", rng.u8(..3)),
                _ => format!("\"{name}\":{}", value(&mut rng)),
            })
            .collect();
        let document = format!("{{{}}}", entries.join(","));
        if rng.u8(..) < 16 { damaged(&mut rng, &[document.as_bytes()]) } else { document.into_bytes() }
    };
    for round in 0..500 {
        let documents: Vec<Vec<u8>> = (0..30).map(|_| document()).collect();
        for numbers in [Numbers::Typed, Numbers::Floats] {
            let body = documents.join(&b'\n');
            let lines = || JsonLines::new("t".to_owned(), rule(numbers));
            let told = |mut lines: JsonLines| {
                let mut rows = Recorder::default();
                let read = lines.read(&body, true, &mut rows);
                (rows.told, read)
            };
            assert_eq!(told(lines()), told(lines().by_the_book()), "round {round}: {}", body.escape_ascii());
        }
        let actions: Vec<&[u8]> = vec![b"{\"create\":{}}"; documents.len()];
        let body: Vec<&[u8]> = actions.into_iter().zip(&documents).flat_map(|(action, text)| [action, text]).collect();
        let body = body.join(&b'\n');
        let bulk = || Bulk::new(Some("t".to_owned()), rule(Numbers::Floats));
        let told = |mut bulk: Bulk| {
            let mut rows = Recorder::default();
            let read = bulk.read(&body, true, &mut rows);
            (rows.told, read, bulk.items().to_vec())
        };
        assert_eq!(told(bulk()), told(bulk().by_the_book()), "round {round}: {}", body.escape_ascii());
    }
}

#[test]
fn samples_of_remote_write() {
    let mut rng = generator();
    let mut body = || {
        let label = |name: &str, value: &str| Label { name: name.to_owned(), value: value.to_owned() };
        let series = |rng: &mut fastrand::Rng| {
            let mut labels = vec![label("__name__", ["up", "load"][rng.usize(..2)])];
            labels.push(label("host", ["a", "b", ""][rng.usize(..3)]));
            labels.extend((rng.u8(..) < 8).then(|| label("", "x")));
            let sample = |rng: &mut fastrand::Rng| Sample {
                value: if rng.u8(..) < 16 {
                    f64::from_bits(0x7ff0_0000_0000_0002)
                } else {
                    f64::from(rng.i32(..)) / 8.0
                },
                timestamp: if rng.u8(..) < 8 { i64::MAX } else { rng.i64(-10..1 << 41) },
            };
            TimeSeries { labels, samples: (0..rng.usize(..4) * rng.usize(..5)).map(|_| sample(rng)).collect() }
        };
        let request = WriteRequest { timeseries: (0..rng.usize(1..8)).map(|_| series(&mut rng)).collect() };
        let body = request.encode_to_vec();
        if rng.u8(..) < 80 { damaged(&mut rng, &[&body]) } else { body }
    };
    let bodies: Vec<Vec<u8>> = (0..6_000).map(|_| body()).collect();
    let known = compare(&bodies, |body, rows| now(RemoteWrite::default().read_first(body, rows)).map(drop));
    assert!(known > 3_000, "{known}");
}
