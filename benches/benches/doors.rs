//! The doors beside line protocol on one core: bodies of the same points into a sink that only counts, by way of the
//! cache that all of them share. Every run must find the rows that were written.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures_lite::future::block_on;
use tidewire_protocol::document::{Bulk, DocumentRule, JsonLines, Numbers};
use tidewire_protocol::loki::LokiPush;
use tidewire_protocol::opentsdb::{JsonPoints, TextPoints};
use tidewire_protocol::otlp::SpanReader;
use tidewire_protocol::prometheus::{RemoteWrite, push_sample};
use tidewire_protocol::protobuf::{push_header, push_varint};
use tidewire_protocol::row::{
    Apart, FieldKind, Halt, LayoutSlot, Next, Position, RawValue, RowDraft, RowError, RowSink, RowTaker, SeriesRef,
    SeriesSlot, SeriesText, SlotCache, TimeScale,
};

/// Series in a body, and rows of each.
const HOSTS: u32 = 1_000;
const ROUNDS: u32 = 20;
const ROWS: u64 = HOSTS as u64 * ROUNDS as u64;

/// Samples of a series in a message of remote write: as many as a scraper collects before it sends.
const SAMPLES: u32 = 20;

const START_S: u64 = 1_700_000_000;

/// Fields of a document, as many as a web server's log has.
const FIELDS: u32 = 10;

/// Counts rows, and gives slots by order of asking.
#[derive(Default)]
struct Counting {
    series: u32,
    layouts: u32,
    rows: u64,
    sum: u64,
}

impl RowSink for Counting {
    type Refusal = Infallible;

    fn series(&mut self, _: SeriesRef<'_>) -> Result<SeriesSlot, Halt<Infallible>> {
        self.series += 1;
        Ok(SeriesSlot(self.series - 1))
    }

    fn layout(&mut self, _: SeriesSlot, _: &[(&str, FieldKind)]) -> Result<LayoutSlot, Halt<Infallible>> {
        self.layouts += 1;
        Ok(LayoutSlot(self.layouts - 1))
    }

    fn row(
        &mut self,
        _: SeriesSlot,
        _: LayoutSlot,
        time: i64,
        values: &[RawValue],
        text: &[u8],
    ) -> Result<(), Infallible> {
        self.rows += 1;
        self.sum = values.iter().fold(self.sum ^ time.cast_unsigned(), |sum, value| sum.wrapping_add(value.0));
        self.sum = self.sum.wrapping_add(text.len() as u64);
        Ok(())
    }

    fn refuse(&mut self, _: Position, refusal: Infallible) -> Next {
        match refusal {}
    }
}

/// Takes rows as a server does, up to the sink.
struct Taker {
    cache: SlotCache,
    sink: Counting,
}

impl Default for Taker {
    fn default() -> Self {
        Self { cache: SlotCache::new(64 << 20), sink: Counting::default() }
    }
}

impl RowTaker for Taker {
    fn take(&mut self, _: Position, draft: &mut RowDraft) -> Result<(), Next> {
        match self.cache.put(draft, &mut self.sink) {
            Ok(()) => Ok(()),
            Err(Halt::Pause) => panic!("the sink never pauses"),
            Err(Halt::Refuse(refusal)) => match refusal {},
        }
    }

    fn take_as(&mut self, _: Position, text: SeriesText<'_>, draft: &mut RowDraft) -> Result<(), Next> {
        match self.cache.put_as(text, draft, &mut self.sink) {
            Ok(()) => Ok(()),
            Err(Halt::Pause) => panic!("the sink never pauses"),
            Err(Halt::Refuse(refusal)) => match refusal {},
        }
    }

    fn expects<T>(&mut self, is_it: impl FnOnce(SeriesText<'_>) -> Option<T>) -> Option<T> {
        self.cache.expected().and_then(is_it)
    }

    fn expect(&mut self, text: SeriesText<'_>) -> bool {
        self.cache.expect(text)
    }

    fn take_expected(&mut self, position: Position, rows: &mut [(i64, RawValue)]) -> Result<(), Next> {
        self.cache.put_expected(position, rows, &mut self.sink)
    }

    fn fault(&mut self, position: Position, error: RowError) -> Next {
        panic!("{position}: {error}");
    }

    async fn turn(&mut self) -> Next {
        Next::Continue
    }
}

/// Calls `each` for every row: its host, its time in seconds, and a value.
fn rows(mut each: impl FnMut(u32, u64, u32)) {
    let mut rng = fastrand::Rng::with_seed(1);
    for round in 0..ROUNDS {
        for host in 0..HOSTS {
            each(host, START_S + 10 * u64::from(round), rng.u32(0..10_000));
        }
    }
}

fn opentsdb_text() -> Vec<u8> {
    let mut body = String::new();
    rows(|host, time, value| {
        let _ = writeln!(body, "sys.cpu.user {time} {value}.5 host=host_{host} region=eu-west-1 rack={}", host % 40);
    });
    body.into_bytes()
}

fn opentsdb_json() -> Vec<u8> {
    let mut body = String::from("[");
    rows(|host, time, value| {
        let comma = if body.len() > 1 { "," } else { "" };
        let _ = write!(
            body,
            r#"{comma}{{"metric":"sys.cpu.user","timestamp":{time},"value":{value}.5,"tags":{{"host":"host_{host}","region":"eu-west-1","rack":"{}"}}}}"#,
            host % 40
        );
    });
    body.push(']');
    body.into_bytes()
}

/// A document with a time, two texts and numbers.
fn document(body: &mut String, host: u32, time: u64, value: u32) {
    let _ = write!(
        body,
        r#"{{"@timestamp":{time}000,"host":"host_{host}","message":"GET /api/items/{value} HTTP/1.1 answered in {value} us""#
    );
    for field in 0..FIELDS {
        let _ = write!(body, r#","field_{field}":{}"#, value.wrapping_mul(field + 1) % 1000);
    }
    body.push_str("}\n");
}

fn bulk() -> Vec<u8> {
    let mut body = String::new();
    rows(|host, time, value| {
        body.push_str("{\"create\":{}}\n");
        document(&mut body, host, time, value);
    });
    body.into_bytes()
}

fn ndjson() -> Vec<u8> {
    let mut body = String::new();
    rows(|host, time, value| document(&mut body, host, time, value));
    body.into_bytes()
}

fn field(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    push_header(out, number, bytes.len());
    out.extend_from_slice(bytes);
}

fn number(out: &mut Vec<u8>, number: u32, value: u64) {
    push_varint(out, u64::from(number) << 3);
    push_varint(out, value);
}

fn fixed(out: &mut Vec<u8>, number: u32, value: u64) {
    push_varint(out, u64::from(number) << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

fn pair(name: &str, value: &str) -> Vec<u8> {
    let mut pair = Vec::new();
    field(&mut pair, 1, name.as_bytes());
    field(&mut pair, 2, value.as_bytes());
    pair
}

/// A push of streams, an entry a row.
fn loki() -> Vec<u8> {
    let mut body = Vec::new();
    for host in 0..HOSTS {
        let mut stream = Vec::new();
        field(&mut stream, 1, format!("{{host=\"host_{host}\", job=\"app\"}}").as_bytes());
        for round in 0..ROUNDS {
            let (mut entry, mut time) = (Vec::new(), Vec::new());
            number(&mut time, 1, START_S + u64::from(round));
            field(&mut entry, 1, &time);
            field(&mut entry, 2, format!("GET /api/items/{round} HTTP/1.1 answered in {host} us").as_bytes());
            field(&mut stream, 2, &entry);
        }
        field(&mut body, 1, &stream);
    }
    body
}

/// Messages of version 1, samples a row each.
fn prometheus() -> Vec<u8> {
    let mut body = Vec::new();
    for series in 0..HOSTS * ROUNDS / SAMPLES {
        let mut message = Vec::new();
        for (name, value) in [
            ("__name__", "http_requests_total".to_owned()),
            ("handler", format!("/api/v1/{}", series % 50)),
            ("instance", format!("10.0.0.{}:9100", series / 50)),
            ("job", "node".to_owned()),
        ] {
            field(&mut message, 1, &pair(name, &value));
        }
        for sample in 0..SAMPLES {
            let time_ms = (START_S + 15 * u64::from(sample)) * 1000;
            push_sample(&mut message, time_ms.cast_signed(), f64::from(series * sample).to_bits());
        }
        field(&mut body, 1, &message);
    }
    body
}

/// An export of spans with four attributes each.
fn otlp() -> Vec<u8> {
    let attribute = |name: &str, value: &str| {
        let (mut attribute, mut any) = (Vec::new(), Vec::new());
        field(&mut any, 1, value.as_bytes());
        field(&mut attribute, 1, name.as_bytes());
        field(&mut attribute, 2, &any);
        attribute
    };
    let mut scope_spans = Vec::new();
    field(&mut scope_spans, 1, &pair("lib", "1.0"));
    rows(|host, time, value| {
        let mut span = Vec::new();
        field(&mut span, 1, &(u128::from(value) << 64 | u128::from(time + u64::from(host))).to_be_bytes());
        field(&mut span, 2, &(time << 20 | u64::from(host)).to_be_bytes());
        field(&mut span, 5, b"GET /api/items");
        number(&mut span, 6, 2);
        fixed(&mut span, 7, time * 1_000_000_000);
        fixed(&mut span, 8, time * 1_000_000_000 + u64::from(value));
        for name in ["http.method", "http.route", "net.peer.name", "thread.id"] {
            field(&mut span, 9, &attribute(name, "some value"));
        }
        field(&mut scope_spans, 2, &span);
    });
    let (mut resource, mut resource_spans, mut body) = (Vec::new(), Vec::new(), Vec::new());
    field(&mut resource, 1, &attribute("service.name", "shop"));
    field(&mut resource_spans, 1, &resource);
    field(&mut resource_spans, 2, &scope_spans);
    field(&mut body, 1, &resource_spans);
    body
}

fn rule(numbers: Numbers) -> DocumentRule {
    DocumentRule {
        time_column: None,
        tag_columns: vec!["host".to_owned()],
        numbers,
        scale: TimeScale::Digits,
        now_ns: 1,
        apart: Apart::default(),
    }
}

fn doors(criterion: &mut Criterion) {
    let mut run = |name: &str, body: Vec<u8>, read: &dyn Fn(&[u8], &mut Taker)| {
        let mut group = criterion.benchmark_group(format!("doors/{name}"));
        group.sample_size(20);
        for (unit, throughput) in
            [("bytes", Throughput::Bytes(body.len() as u64)), ("rows", Throughput::Elements(ROWS))]
        {
            group.throughput(throughput);
            group.bench_function(unit, |bencher| {
                // The cache is warm, as that of a server is between two requests.
                let mut taker = Taker::default();
                bencher.iter(|| {
                    taker.sink.rows = 0;
                    read(black_box(&body), &mut taker);
                    assert_eq!(taker.sink.rows, ROWS, "{name}");
                    black_box(taker.sink.sum)
                });
            });
        }
    };
    run("opentsdb_text", opentsdb_text(), &|body, rows| {
        assert_eq!(TextPoints::new(TimeScale::Digits).read(body, true, rows), body.len());
    });
    run("opentsdb_json", opentsdb_json(), &|body, rows| {
        let read = JsonPoints::new(TimeScale::Digits, false).read(body, true, rows);
        assert_eq!(read, Ok(body.len()));
    });
    run("es_bulk", bulk(), &|body, rows| {
        let read = Bulk::new(Some("logs".to_owned()), rule(Numbers::Floats)).read(body, true, rows);
        assert_eq!(read, Ok(body.len()));
    });
    run("ndjson", ndjson(), &|body, rows| {
        let read = JsonLines::new("logs".to_owned(), rule(Numbers::Typed)).read(body, true, rows);
        assert_eq!(read, Ok(body.len()));
    });
    run("loki", loki(), &|body, rows| {
        let mut push = LokiPush::new("logs".to_owned());
        assert_eq!(block_on(push.read_message(body, rows)), Ok(Next::Continue));
    });
    run("otlp_spans", otlp(), &|body, rows| {
        // Ids of spans are tags: each is a new series.
        *rows = Taker::default();
        let mut spans = SpanReader::new("traces".to_owned());
        assert_eq!(block_on(spans.read_message(body, rows)), Ok(Next::Continue));
    });
    run("prometheus", prometheus(), &|body, rows| {
        let mut remote = RemoteWrite::default();
        assert_eq!(block_on(remote.read_first(body, rows)), Ok(Next::Continue));
    });
}

criterion_group!(benches, doors);
criterion_main!(benches);
