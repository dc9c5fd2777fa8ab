//! Line protocol on one core: ours into a sink that only counts and into one that appends to columns, against the
//! crate `influxdb-line-protocol` on the same text. Every run must give the same rows and the same checksum.

use std::convert::Infallible;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidewire_benches::lines::{self, Shape};
use tidewire_protocol::line::{Dialect, LineError, LineParser, LineSink, TimeRule};
use tidewire_protocol::row::{FieldKind, Halt, LayoutSlot, Next, Position, RawValue, RowSink, SeriesRef, SeriesSlot};

/// Series in the text, as in TSBS runs of this size, and lines of each: 7 MB, more than the caches near the core.
const HOSTS: usize = 4_000;
const ROUNDS: usize = 5;

/// Rows and a sum over everything in them that a parser could get wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Answer {
    rows: u64,
    sum: u64,
}

impl Answer {
    #[inline]
    fn add(&mut self, bits: u64) {
        self.sum = self.sum.wrapping_add(bits);
    }
}

/// What both sinks of ours share: slots by order of asking.
#[derive(Default)]
struct Slots {
    series: u32,
    layouts: Vec<Vec<FieldKind>>,
}

impl Slots {
    fn series(&mut self) -> Result<SeriesSlot, Halt<Infallible>> {
        self.series += 1;
        Ok(SeriesSlot(self.series - 1))
    }

    fn layout(&mut self, fields: &[(&str, FieldKind)]) -> Result<LayoutSlot, Halt<Infallible>> {
        self.layouts.push(fields.iter().map(|field| field.1).collect());
        Ok(LayoutSlot(self.layouts.len() as u32 - 1))
    }
}

#[derive(Default)]
struct Counting {
    slots: Slots,
    answer: Answer,
}

impl RowSink for Counting {
    type Refusal = Infallible;

    fn series(&mut self, _: SeriesRef<'_>) -> Result<SeriesSlot, Halt<Infallible>> {
        self.slots.series()
    }

    fn layout(&mut self, _: SeriesSlot, fields: &[(&str, FieldKind)]) -> Result<LayoutSlot, Halt<Infallible>> {
        self.slots.layout(fields)
    }

    fn row(
        &mut self,
        _: SeriesSlot,
        layout: LayoutSlot,
        time: i64,
        values: &[RawValue],
        text: &[u8],
    ) -> Result<(), Infallible> {
        self.answer.rows += 1;
        self.answer.add(time.cast_unsigned());
        for (kind, value) in self.slots.layouts[layout.0 as usize].iter().zip(values) {
            let string = || value.string(text).len() as u64;
            self.answer.add(if *kind == FieldKind::String { string() } else { value.0 });
        }
        Ok(())
    }

    fn refuse(&mut self, _: Position, refusal: Infallible) -> Next {
        match refusal {}
    }
}

impl LineSink for Counting {
    fn fault(&mut self, error: &LineError<'_>) -> Next {
        panic!("{error}");
    }
}

/// Appends rows to columns of one table, as the ingest room does.
#[derive(Default)]
struct Columns {
    slots: Slots,
    series: Vec<u32>,
    times: Vec<i64>,
    columns: Vec<Vec<u64>>,
    strings: Vec<u8>,
}

impl Columns {
    fn clear(&mut self) {
        self.series.clear();
        self.times.clear();
        self.strings.clear();
        self.columns.iter_mut().for_each(Vec::clear);
    }

    fn answer(&self) -> Answer {
        let mut answer = Answer { rows: self.times.len() as u64, sum: 0 };
        self.times.iter().for_each(|time| answer.add(time.cast_unsigned()));
        self.columns.iter().flatten().for_each(|bits| answer.add(*bits));
        answer
    }
}

impl RowSink for Columns {
    type Refusal = Infallible;

    fn series(&mut self, _: SeriesRef<'_>) -> Result<SeriesSlot, Halt<Infallible>> {
        self.slots.series()
    }

    fn layout(&mut self, _: SeriesSlot, fields: &[(&str, FieldKind)]) -> Result<LayoutSlot, Halt<Infallible>> {
        self.columns.resize(fields.len(), Vec::new());
        self.slots.layout(fields)
    }

    fn row(
        &mut self,
        series: SeriesSlot,
        layout: LayoutSlot,
        time: i64,
        values: &[RawValue],
        text: &[u8],
    ) -> Result<(), Infallible> {
        self.series.push(series.0);
        self.times.push(time);
        let kinds = &self.slots.layouts[layout.0 as usize];
        for ((column, value), kind) in self.columns.iter_mut().zip(values).zip(kinds) {
            if *kind == FieldKind::String {
                let bytes = value.string(text);
                self.strings.extend_from_slice(bytes);
                column.push(bytes.len() as u64);
            } else {
                column.push(value.0);
            }
        }
        Ok(())
    }

    fn refuse(&mut self, _: Position, refusal: Infallible) -> Next {
        match refusal {}
    }
}

impl LineSink for Columns {
    fn fault(&mut self, error: &LineError<'_>) -> Next {
        panic!("{error}");
    }
}

fn peer(text: &str) -> Answer {
    use influxdb_line_protocol::{FieldValue, parse_lines};
    let mut answer = Answer::default();
    for line in parse_lines(text) {
        let line = match line {
            Ok(line) => line,
            Err(error) => panic!("{error}"),
        };
        answer.rows += 1;
        answer.add(line.timestamp.unwrap_or_default().cast_unsigned());
        for (_, value) in &line.field_set {
            answer.add(match value {
                FieldValue::I64(value) => value.cast_unsigned(),
                FieldValue::U64(value) => *value,
                FieldValue::F64(value) => value.to_bits(),
                FieldValue::Boolean(value) => u64::from(*value),
                FieldValue::String(value) => value.len() as u64,
            });
        }
    }
    answer
}

fn line(criterion: &mut Criterion) {
    let rule = TimeRule::identity(0);
    for shape in Shape::ALL {
        let text = lines::text(shape, HOSTS, ROUNDS);
        let expected = peer(&text);
        assert_eq!(expected.rows, (HOSTS * ROUNDS) as u64);
        let mut group = criterion.benchmark_group(format!("line/{}", shape.name()));
        group.throughput(Throughput::Bytes(text.len() as u64));

        let mut parser = LineParser::new(Dialect::Influx);
        let mut sink = Counting::default();
        group.bench_function("count", |bencher| {
            bencher.iter(|| {
                sink.answer = Answer::default();
                parser.begin();
                lines::parse_whole(&mut parser, black_box(text.as_bytes()), &rule, &mut sink);
                assert_eq!(sink.answer, expected);
            });
        });

        let mut parser = LineParser::new(Dialect::Influx);
        let mut sink = Columns::default();
        group.bench_function("columns", |bencher| {
            bencher.iter(|| {
                sink.clear();
                parser.begin();
                lines::parse_whole(&mut parser, black_box(text.as_bytes()), &rule, &mut sink);
                assert_eq!(sink.times.len() as u64, expected.rows);
            });
            assert_eq!(sink.answer(), expected);
        });

        group.bench_function("influxdb-line-protocol", |bencher| {
            bencher.iter(|| assert_eq!(peer(black_box(&text)), expected));
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = line
}
criterion_main!(benches);
