//! Other forms of the rows of a workload: what is sent through the doors beside line protocol.
//!
//! The same lines, so the same rows and values, are written as each door has them. Where a door knows one value a row
//! (OpenTSDB, Prometheus), a line becomes as many rows as it has fields.

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};

/// In what form rows are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Door {
    /// Line protocol.
    Line,
    /// OpenTSDB's points as JSON, `/api/put`.
    Opentsdb,
    /// Elasticsearch's bulk.
    Es,
    /// Documents line by line.
    Ndjson,
    /// Loki's push as JSON: a stream for each host, its fields as text.
    Loki,
    /// OpenTelemetry's spans as protobuf: a span for each line, its fields as attributes.
    Otlp,
    /// Prometheus' remote write 1.0.
    Prometheus,
}

/// A line, taken apart.
struct Line<'l> {
    table: &'l str,
    tags: Vec<(&'l str, &'l str)>,
    /// Numbers, without what says their type.
    fields: Vec<(&'l str, &'l str)>,
    time_ns: i64,
}

impl<'l> Line<'l> {
    /// Of a line without escapes and strings.
    fn of(line: &'l str) -> Option<Self> {
        let (series, rest) = line.split_once(' ')?;
        let (fields, time) = rest.split_once(' ')?;
        let (table, tags) = series.split_once(',').unwrap_or((series, ""));
        let pairs = |text: &'l str| text.split(',').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('='));
        let number = |(name, value): (&'l str, &'l str)| {
            let value = value.trim_end_matches('i');
            value.parse::<f64>().ok().map(|_| (name, value))
        };
        Some(Self {
            table,
            tags: pairs(tags).collect::<Option<_>>()?,
            fields: pairs(fields).map(|pair| pair.and_then(number)).collect::<Option<_>>()?,
            time_ns: time.parse().ok()?,
        })
    }
}

impl Door {
    /// Where bodies for a database are posted; line protocol goes where the interface says.
    pub(crate) fn path(self, database: &str) -> Option<String> {
        let db = percent_encoding::utf8_percent_encode(database, percent_encoding::NON_ALPHANUMERIC);
        match self {
            Self::Line => None,
            Self::Opentsdb => Some(format!("/api/put?db={db}")),
            Self::Es => Some(format!("/api/v1/es/_bulk?db={db}&table=es&tag_columns=hostname&precision=ns")),
            Self::Ndjson => Some(format!("/api/v1/ndjson?db={db}&table=ndjson&tag_columns=hostname&precision=ns")),
            Self::Loki => Some(format!("/loki/api/v1/push?db={db}")),
            Self::Otlp => Some(format!("/v1/traces?db={db}")),
            Self::Prometheus => Some(format!("/api/v1/prom/write?db={db}")),
        }
    }

    /// Headers of a request, each with the end of its line.
    pub(crate) fn headers(self) -> &'static str {
        match self {
            Self::Line => "",
            Self::Opentsdb | Self::Loki => "Content-Type: application/json\r\n",
            Self::Es | Self::Ndjson => "Content-Type: application/x-ndjson\r\n",
            Self::Otlp => "Content-Type: application/x-protobuf\r\n",
            Self::Prometheus => "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n",
        }
    }

    /// The body that says what `lines` say.
    pub(crate) fn body(self, lines: &[u8]) -> Result<Vec<u8>> {
        let no_form =
            || Error::Usage("--door: only workloads of numbers have other forms than line protocol".to_owned());
        let text = std::str::from_utf8(lines).map_err(|_| no_form())?;
        let lines: Vec<Line<'_>> = text.lines().map(Line::of).collect::<Option<_>>().ok_or_else(no_form)?;
        let body = match self {
            Self::Line => text.as_bytes().to_vec(),
            Self::Opentsdb => opentsdb(&lines),
            Self::Es => documents(&lines, "{\"create\":{}}\n"),
            Self::Ndjson => documents(&lines, ""),
            Self::Loki => loki(&lines),
            Self::Otlp => otlp(&lines),
            Self::Prometheus => {
                let packed = snap::raw::Encoder::new().compress_vec(&prometheus(&lines));
                packed.map_err(|error| Error::Failed(format!("cannot compress: {error}")))?
            }
        };
        Ok(body)
    }
}

fn object<'p>(pairs: impl Iterator<Item = (&'p str, Value)>) -> Value {
    Value::Object(pairs.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

fn number(text: &str) -> Value {
    match text.parse::<i64>() {
        Ok(value) => value.into(),
        Err(_) => text.parse::<f64>().unwrap_or_default().into(),
    }
}

fn opentsdb(lines: &[Line<'_>]) -> Vec<u8> {
    let points = lines.iter().flat_map(|line| {
        let tags = object(line.tags.iter().map(|(name, value)| (*name, (*value).into())));
        line.fields.iter().map(move |(name, value)| {
            json!({
                "metric": format!("{}.{name}", line.table),
                "timestamp": line.time_ns / 1_000_000,
                "value": number(value),
                "tags": tags,
            })
        })
    });
    Value::Array(points.collect()).to_string().into_bytes()
}

fn documents(lines: &[Line<'_>], before: &str) -> Vec<u8> {
    let mut body = String::new();
    for line in lines {
        let tags = line.tags.iter().map(|(name, value)| (*name, Value::from(*value)));
        let fields = line.fields.iter().map(|(name, value)| (*name, number(value)));
        let time = std::iter::once(("time", Value::from(line.time_ns)));
        body.push_str(before);
        body.push_str(&object(time.chain(tags).chain(fields)).to_string());
        body.push('\n');
    }
    body.into_bytes()
}

fn loki(lines: &[Line<'_>]) -> Vec<u8> {
    let streams = lines.iter().map(|line| {
        let fields: Vec<String> = line.fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        json!({
            "stream": object(line.tags.iter().map(|(name, value)| (*name, (*value).into()))),
            "values": [[line.time_ns.to_string(), fields.join(" ")]],
        })
    });
    json!({ "streams": streams.collect::<Vec<_>>() }).to_string().into_bytes()
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A field that has a length.
fn field(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    varint(out, number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A field of 64 bits.
fn fixed(out: &mut Vec<u8>, number: u64, value: u64) {
    varint(out, number << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

fn pair(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut pair = Vec::new();
    field(&mut pair, 1, name);
    field(&mut pair, 2, value);
    pair
}

fn prometheus(lines: &[Line<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for line in lines {
        for (name, value) in &line.fields {
            let (mut series, mut sample) = (Vec::new(), Vec::new());
            field(&mut series, 1, &pair(b"__name__", format!("{}_{name}", line.table).as_bytes()));
            for (name, value) in &line.tags {
                field(&mut series, 1, &pair(name.as_bytes(), value.as_bytes()));
            }
            fixed(&mut sample, 1, value.parse::<f64>().unwrap_or_default().to_bits());
            varint(&mut sample, 2 << 3);
            varint(&mut sample, (line.time_ns / 1_000_000).cast_unsigned());
            field(&mut series, 2, &sample);
            field(&mut body, 1, &series);
        }
    }
    body
}

fn otlp(lines: &[Line<'_>]) -> Vec<u8> {
    let attribute = |name: &str, value: &str| {
        let mut any = Vec::new();
        field(&mut any, 1, value.as_bytes());
        pair(name.as_bytes(), &any)
    };
    let mut scope = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let mut span = Vec::new();
        let time_ns = line.time_ns.cast_unsigned();
        // No two lines of a workload have one host and one time.
        let host = line.tags.first().map_or("", |(_, value)| value);
        let id = host.bytes().fold(time_ns, |id, byte| id.rotate_left(7) ^ u64::from(byte));
        field(&mut span, 1, &[id.to_be_bytes(), (time_ns ^ at as u64).to_be_bytes()].concat());
        field(&mut span, 2, &(id | 1).to_be_bytes());
        field(&mut span, 5, line.table.as_bytes());
        varint(&mut span, 6 << 3);
        varint(&mut span, 2);
        fixed(&mut span, 7, time_ns);
        fixed(&mut span, 8, time_ns + 1_000_000);
        for (name, value) in line.tags.iter().chain(&line.fields) {
            field(&mut span, 9, &attribute(name, value));
        }
        field(&mut scope, 2, &span);
    }
    let (mut resource, mut spans, mut body) = (Vec::new(), Vec::new(), Vec::new());
    field(&mut resource, 1, &attribute("service.name", "loadtest"));
    field(&mut spans, 1, &resource);
    field(&mut spans, 2, &scope);
    field(&mut body, 1, &spans);
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &[u8] =
        b"cpu,hostname=h,region=r user=5i,idle=1.5 1451606400000000007\ncpu,hostname=i user=6i 1451606400000000008";

    fn text(door: Door) -> String {
        String::from_utf8(door.body(LINES).unwrap()).unwrap()
    }

    #[test]
    fn lines_have_other_forms() {
        assert_eq!(text(Door::Line).as_bytes(), LINES);
        let points: Value = serde_json::from_str(&text(Door::Opentsdb)).unwrap();
        let first = json!({
            "metric": "cpu.user", "timestamp": 1_451_606_400_000_i64, "value": 5, "tags": { "hostname": "h", "region": "r" },
        });
        assert_eq!((&points[0], &points[1]["value"], points.as_array().map(Vec::len)), (&first, &json!(1.5), Some(3)));
        let document = json!({
            "time": 1_451_606_400_000_000_007_i64, "hostname": "h", "region": "r", "user": 5, "idle": 1.5,
        });
        let bulk = text(Door::Es);
        let bulk: Vec<&str> = bulk.lines().collect();
        assert_eq!((bulk.len(), bulk[0], bulk[2]), (4, "{\"create\":{}}", "{\"create\":{}}"));
        assert_eq!(serde_json::from_str::<Value>(bulk[1]).unwrap(), document);
        let lines = text(Door::Ndjson);
        assert_eq!(lines.lines().collect::<Vec<_>>(), [bulk[1], bulk[3]]);
        let push: Value = serde_json::from_str(&text(Door::Loki)).unwrap();
        let stream = json!({
            "stream": { "hostname": "h", "region": "r" }, "values": [["1451606400000000007", "user=5 idle=1.5"]],
        });
        assert_eq!(push["streams"][0], stream);
    }

    #[test]
    fn messages_have_a_sample_a_value_and_a_span_a_line() {
        let packed = Door::Prometheus.body(LINES).unwrap();
        let message = snap::raw::Decoder::new().decompress_vec(&packed).unwrap();
        let first = b"\x0a\x44\x0a\x14\x0a\x08__name__\x12\x08cpu_user\x0a\x0d\x0a\x08hostname\x12\x01h";
        assert_eq!(message[..first.len()], *first, "{}", message.escape_ascii());
        let count = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).filter(|window| *window == part).count();
        assert_eq!((count(&message, b"cpu_user"), count(&message, b"cpu_idle")), (2, 1));
        let spans = Door::Otlp.body(LINES).unwrap();
        assert_eq!((count(&spans, b"\x2a\x03cpu"), count(&spans, b"service.name")), (2, 1));
        assert_eq!((count(&spans, b"hostname"), count(&spans, b"idle")), (2, 1));
    }

    #[test]
    fn strings_have_no_other_form() {
        for line in ["t,a=b s=\"x\" 1", "t,a=b v=t 1", "t", "t v=1"] {
            assert!(Door::Es.body(line.as_bytes()).is_err(), "{line}");
        }
    }
}
