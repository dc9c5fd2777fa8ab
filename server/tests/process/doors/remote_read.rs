//! Prometheus' remote read: what was written comes back, by matchers and times, in both forms.

use tidewire_protocol::prometheus::XorSamples;

use super::packed::{PROTOBUF, SNAPPY, field, number, packed, pair, sample};
use super::post;
use crate::common::{Response, Server, fresh_folder};

const WRITE: &str = "/api/v1/prom/write";
const READ: &str = "/api/v1/prom/read";

/// A message's fields that have a length, and its numbers.
struct Parts {
    texts: Vec<(u64, Vec<u8>)>,
    numbers: Vec<(u64, u64)>,
}

fn varint(rest: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first().expect("a varint");
        *rest = behind;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            break;
        }
    }
    value
}

fn parts(mut rest: &[u8]) -> Parts {
    let mut parts = Parts { texts: Vec::new(), numbers: Vec::new() };
    while !rest.is_empty() {
        let tag = varint(&mut rest);
        match tag & 7 {
            0 => parts.numbers.push((tag >> 3, varint(&mut rest))),
            1 => {
                let (word, behind) = rest.split_first_chunk().expect("eight bytes");
                parts.numbers.push((tag >> 3, u64::from_le_bytes(*word)));
                rest = behind;
            }
            _ => {
                let length = varint(&mut rest) as usize;
                let (text, behind) = rest.split_at(length);
                parts.texts.push((tag >> 3, text.to_vec()));
                rest = behind;
            }
        }
    }
    parts
}

impl Parts {
    fn texts(&self, number: u64) -> impl Iterator<Item = &[u8]> {
        self.texts.iter().filter(move |(found, _)| *found == number).map(|(_, text)| text.as_slice())
    }

    fn number(&self, number: u64) -> u64 {
        self.numbers.iter().find(|(found, _)| *found == number).map_or(0, |(_, value)| *value)
    }
}

/// Labels and samples of a series, as PromQL would show them.
type Series = (String, Vec<(i64, f64)>);

fn labels(series: &Parts) -> String {
    let labels = series.texts(1).map(|label| {
        let label = parts(label);
        let text = |number| String::from_utf8(label.texts(number).next().unwrap_or_default().to_vec()).expect("UTF-8");
        format!("{}={}", text(1), text(2))
    });
    labels.collect::<Vec<_>>().join(",")
}

/// The results of an answer with samples.
fn samples(reply: &Response) -> Vec<Vec<Series>> {
    assert_eq!(reply.header("content-type"), Some("application/x-protobuf"));
    assert_eq!(reply.header("content-encoding"), Some("snappy"));
    let message = snap::raw::Decoder::new().decompress_vec(&reply.body).expect("a block");
    let results = parts(&message);
    let series = |series: &[u8]| {
        let series = parts(series);
        let samples = series.texts(2).map(|sample| {
            let sample = parts(sample);
            (sample.number(2).cast_signed(), f64::from_bits(sample.number(1)))
        });
        (labels(&series), samples.collect())
    };
    results.texts(1).map(|result| parts(result).texts(1).map(series).collect()).collect()
}

/// The series of an answer with chunks, and the queries that they are of.
fn chunks(reply: &Response) -> Vec<(u64, Series)> {
    let kind = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
    assert_eq!(reply.header("content-type"), Some(kind));
    let mut rest = reply.body.as_slice();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let length = varint(&mut rest) as usize;
        let (message, behind) = rest[4..].split_at(length);
        rest = behind;
        let frame = parts(message);
        for series in frame.texts(1).map(parts) {
            let samples = series.texts(2).flat_map(|chunk| {
                let chunk = parts(chunk);
                let bytes = chunk.texts(4).next().expect("bytes").to_vec();
                XorSamples::of(&bytes).map(|(time, bits)| (time, f64::from_bits(bits))).collect::<Vec<_>>()
            });
            found.push((frame.number(2), (labels(&series), samples.collect())));
        }
    }
    found
}

const EQUAL: u64 = 0;
const NOT_EQUAL: u64 = 1;
const MATCH: u64 = 2;
const NO_MATCH: u64 = 3;

fn query(matchers: &[(u64, &str, &str)], start_ms: i64, end_ms: i64) -> Vec<u8> {
    let matchers = matchers.iter().map(|(kind, name, value)| {
        field(3, &[number(1, *kind), field(2, name.as_bytes()), field(3, value.as_bytes())].concat())
    });
    let times = [number(1, start_ms.cast_unsigned()), number(2, end_ms.cast_unsigned())].concat();
    field(1, &[times, matchers.collect::<Vec<_>>().concat()].concat())
}

fn ask(server: &Server, target: &str, message: &[u8], status: u16) -> Response {
    post(server, target, &[PROTOBUF, SNAPPY], &packed(message), status)
}

fn series(labels: &[(&str, &str)], samples: &[(f64, i64)]) -> Vec<u8> {
    let labels = labels.iter().map(|(name, value)| field(1, &pair(name, value)));
    let samples = samples.iter().map(|(value, time)| field(2, &sample(*value, *time)));
    field(1, &labels.chain(samples).collect::<Vec<_>>().concat())
}

/// A server with two metrics.
fn filled() -> Server {
    let server = Server::start();
    let message = [
        series(&[("__name__", "up"), ("job", "b"), ("value", "v")], &[(1.5, 1000), (2.5, 2000), (-0.0, 3000)]),
        series(&[("__name__", "up"), ("job", "a")], &[(f64::INFINITY, 1000), (7.0, 4000)]),
        series(&[("__name__", "up")], &[(8.0, 1000)]),
        series(&[("__name__", "down"), ("job", "b"), ("zone", "z")], &[(9.0, -1000)]),
    ]
    .concat();
    ask(&server, WRITE, &message, 200);
    server
}

#[test]
fn matchers_choose_series() {
    let server = filled();
    let found = |matchers: &[(u64, &str, &str)]| {
        let reply = ask(&server, READ, &query(matchers, i64::MIN, i64::MAX), 200);
        let mut results = samples(&reply);
        assert_eq!(results.len(), 1);
        results.remove(0).into_iter().map(|(labels, _)| labels).collect::<Vec<_>>()
    };
    let (down, none, a, b) =
        ("__name__=down,job=b,zone=z", "__name__=up", "__name__=up,job=a", "__name__=up,job=b,value=v");
    assert_eq!(found(&[]), [down, none, a, b]);
    let up = (EQUAL, "__name__", "up");
    for (matchers, expected) in [
        (&[up][..], &[none, a, b][..]),
        (&[(EQUAL, "__name__", "nothing")], &[]),
        (&[(MATCH, "__name__", "u.|x")], &[none, a, b]),
        (&[(MATCH, "__name__", "u")], &[]),
        (&[(NOT_EQUAL, "__name__", "up")], &[down]),
        (&[(NO_MATCH, "__name__", "d.*")], &[none, a, b]),
        (&[(EQUAL, "job", "b")], &[down, b]),
        (&[up, (EQUAL, "job", "")], &[none]),
        (&[up, (NOT_EQUAL, "job", "a")], &[none, b]),
        (&[up, (NOT_EQUAL, "job", "")], &[a, b]),
        (&[up, (MATCH, "job", "a|")], &[none, a]),
        (&[up, (NO_MATCH, "job", "a|")], &[b]),
        (&[up, (NO_MATCH, "job", "[b]")], &[none, a]),
        (&[up, (EQUAL, "value", "v")], &[b]),
        (&[(EQUAL, "zone", "")], &[none, a, b]),
        (&[(MATCH, "zone", "z")], &[down]),
        (&[up, (EQUAL, "job", "it's \"quoted\"")], &[]),
    ] {
        assert_eq!(found(matchers), expected, "{matchers:?}");
    }
}

#[test]
fn times_bound_samples_and_both_forms_have_the_same() {
    let server = filled();
    let b = ("__name__=up,job=b,value=v".to_owned(), vec![(2000, 2.5), (3000, -0.0)]);
    let down = ("__name__=down,job=b,zone=z".to_owned(), vec![(-1000, 9.0)]);
    let first = query(&[(EQUAL, "__name__", "up"), (EQUAL, "job", "b")], 1001, 3000);
    let message = [first, query(&[(EQUAL, "job", "b")], -1000, -1000), query(&[], 5, 4)].concat();
    let found = samples(&ask(&server, READ, &message, 200));
    assert_eq!(found, [vec![b.clone()], vec![down.clone()], vec![]]);
    assert!(found[0][0].1[1].1.is_sign_negative());
    // The first type of those accepted that there is.
    for accepted in [&b"\x12\x01\x01"[..], b"\x12\x03\x07\x01\x00", b"\x10\x01\x10\x00"] {
        let found = chunks(&ask(&server, READ, &[&message, accepted].concat(), 200));
        assert_eq!(found, [(0, b.clone()), (1, down.clone())]);
    }
    assert_eq!(samples(&ask(&server, READ, &[&message, &b"\x12\x02\x00\x01"[..]].concat(), 200)), found);
    assert_eq!(samples(&ask(&server, READ, b"", 200)), Vec::<Vec<Series>>::new());
    assert_eq!(chunks(&ask(&server, READ, b"\x12\x01\x01", 200)), []);
}

#[test]
fn a_series_that_has_ended_says_so() {
    let server = Server::start();
    let stale = f64::from_bits(0x7ff0_0000_0000_0002);
    let message =
        series(&[("__name__", "up"), ("job", "a")], &[(1.0, 1000), (stale, 2000), (2.0, 3000), (stale, 4000)]);
    ask(&server, WRITE, &message, 200);
    let all = query(&[(EQUAL, "__name__", "up")], 0, i64::MAX);
    let found = samples(&ask(&server, READ, &all, 200)).remove(0).remove(0);
    let bits: Vec<(i64, u64)> = found.1.iter().map(|(time, value)| (*time, value.to_bits())).collect();
    let expected =
        [(1000, 1.0_f64.to_bits()), (2000, stale.to_bits()), (3000, 2.0_f64.to_bits()), (4000, stale.to_bits())];
    assert_eq!(bits, expected);
}

#[test]
fn many_samples_stream_in_order() {
    let server = Server::start();
    let many: Vec<(f64, i64)> = (0..60_000).map(|at| (f64::from(at) / 8.0, i64::from(at) * 15_000)).collect();
    let message =
        [series(&[("__name__", "m"), ("s", "2")], &many), series(&[("__name__", "m"), ("s", "1")], &many[1..])]
            .concat();
    ask(&server, WRITE, &message, 200);
    // What is written once more, and in another order, is there once.
    let again: Vec<(f64, i64)> = many[..100].iter().rev().copied().collect();
    ask(&server, WRITE, &series(&[("__name__", "m"), ("s", "2")], &again), 200);
    let expected: Vec<(i64, f64)> = many.iter().map(|(value, time)| (*time, *value)).collect();
    let all = query(&[(EQUAL, "__name__", "m")], 0, i64::MAX);
    let reply = ask(&server, READ, &all, 200);
    assert_eq!(reply.header("transfer-encoding"), Some("chunked"));
    let found = samples(&reply).remove(0);
    assert_eq!(
        found.iter().map(|(labels, _)| labels.as_str()).collect::<Vec<_>>(),
        ["__name__=m,s=1", "__name__=m,s=2"]
    );
    assert!(found[0].1 == expected[1..] && found[1].1 == expected);
    let of_chunks = chunks(&ask(&server, READ, &[all, b"\x12\x01\x01".to_vec()].concat(), 200));
    let of_second = of_chunks.iter().filter(|(_, (labels, _))| labels == "__name__=m,s=2");
    assert!(of_second.flat_map(|(_, (_, samples))| samples.clone()).eq(expected));
    assert!(server.metric("tidewire_rows_read_total", "") >= 239_998.0);
}

#[test]
fn tables_of_other_doors_are_metrics_too() {
    let server = Server::start();
    post(&server, "/api/v1/opentsdb/write", &[], b"sys.if 1000 4 host=a data.center=x\n", 200);
    for (unit, lines) in [("ms", "m value=1i 10\nm value=2i 11\n"), ("us", "m value=1i 10999\nm value=2i 11000\n")] {
        assert_eq!(server.sql("public", &format!("CREATE DATABASE {unit} WITH PRECISION '{unit}'")).status(), 200);
        post(&server, &format!("/api/v1/write?db={unit}&precision={unit}"), &[], lines.as_bytes(), 200);
        let reply = ask(&server, &format!("{READ}?db={unit}"), &query(&[], 11, 11), 200);
        assert_eq!(samples(&reply), [vec![("__name__=m".to_owned(), vec![(11, 2.0)])]]);
    }
    let named = |name: &str| samples(&ask(&server, READ, &query(&[(EQUAL, "__name__", name)], 0, i64::MAX), 200));
    let expected = |name: &str| [vec![(format!("__name__={name},data_center=x,host=a"), vec![(1_000_000, 4.0)])]];
    assert_eq!(named("sys.if"), expected("sys.if"));
    assert_eq!(named("sys_if"), expected("sys_if"));
    // What has no number called `value` is no metric.
    post(&server, "/api/v1/write", &[], b"text value=\"x\" 1\nother v=1 1\n", 200);
    assert_eq!(samples(&ask(&server, READ, &query(&[], 0, i64::MAX), 200))[0].len(), 1);
}

#[test]
fn what_is_no_question_is_refused() {
    let server = filled();
    for (message, reason) in [
        (b"\xff".to_vec(), "not a protobuf message"),
        (query(&[(4, "a", "b")], 0, 1), "the type of a matcher cannot be read: \"4\""),
        (query(&[(EQUAL, "", "b")], 0, 1), "the name of a matcher is missing"),
        (query(&[(MATCH, "a", "(")], 0, 1), "a pattern cannot be read"),
        (query(&[(MATCH, "a", "a)|(b")], 0, 1), "a pattern cannot be read"),
        (query(&[(MATCH, "a", "(\\w{1000}){1000}")], 0, 1), "a pattern cannot be read"),
        (query(&[(MATCH, "a", "b"); 65], 0, 1), "there are more than 64 patterns in a request"),
        (b"\x12\x01\x07".to_vec(), "any of the types of response that are accepted is not supported"),
    ] {
        let told = ask(&server, READ, &message, 400).text();
        assert!(told.contains(reason), "{told}");
    }
    post(&server, READ, &[PROTOBUF, SNAPPY], b"junk", 400);
    post(&server, READ, &[("Content-Type", "text/csv"), SNAPPY], b"", 415);
    ask(&server, &format!("{READ}?db=nowhere"), &query(&[], 0, 1), 404);
    ask(&server, &format!("{READ}?database=public"), &query(&[], 0, 1), 400);
    assert_eq!(server.request("GET", READ, &[], b"").status(), 405);
}

#[test]
fn memory_of_what_is_found_is_bounded() {
    let folder = fresh_folder();
    let server = Server::start_in(&folder, true, &[("TIDEWIRE_QUERY_MEMORY_BYTES_MAX", "4194304")]);
    let mut rng = fastrand::Rng::with_seed(7);
    let noise: Vec<(f64, i64)> = (0..400_000).map(|at| (rng.f64(), i64::from(at))).collect();
    for part in noise.chunks(100_000) {
        ask(&server, WRITE, &series(&[("__name__", "noise")], part), 200);
    }
    let message = query(&[(EQUAL, "__name__", "noise")], 0, i64::MAX);
    let told = ask(&server, READ, &message, 422).text();
    assert!(told.contains("memory"), "{told}");
    let some = query(&[(EQUAL, "__name__", "noise")], 0, 999);
    assert_eq!(samples(&ask(&server, READ, &some, 200))[0][0].1.len(), 1000);
    assert_eq!(server.metric("tidewire_queries_running", ""), 0.0);
}
