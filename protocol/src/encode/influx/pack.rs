//! The reply as MessagePack.
//!
//! A list or map begins with the number of its members, so that rows are kept until their series ends, series until
//! their result does, and results until the document does. A failed statement is its error alone. Times are the
//! extension type 5: seconds and nanoseconds.

use super::{Epoch, Tail, Value};

/// The extension type of times.
const TIME: u8 = 5;

/// Members of a list or map, and how many.
#[derive(Debug, Default)]
struct Members {
    bytes: Vec<u8>,
    count: usize,
}

/// Writes the documents of a reply.
#[derive(Debug)]
pub(super) struct PackWriter {
    epoch: Option<Epoch>,
    statement: usize,
    results: Members,
    series: Members,
    /// The open series but for its rows.
    head: Members,
    rows: Members,
}

impl PackWriter {
    pub(super) fn new(epoch: Option<Epoch>) -> Self {
        let [results, series, head, rows] = [const { Members { bytes: Vec::new(), count: 0 } }; 4];
        Self { epoch, statement: 0, results, series, head, rows }
    }

    pub(super) fn kept_bytes(&self) -> usize {
        let Self { results, series, head, rows, .. } = self;
        [results, series, head, rows].into_iter().map(|members| members.bytes.len()).sum()
    }

    pub(super) fn result(&mut self, statement: usize) {
        self.statement = statement;
    }

    pub(super) fn series<'t>(
        &mut self,
        name: &str,
        tags: impl Iterator<Item = (&'t str, &'t str)>,
        columns: &[impl AsRef<str>],
    ) {
        let tags: Vec<_> = tags.collect();
        let Members { bytes, count } = &mut self.head;
        if !name.is_empty() {
            *count += 1;
            write_text(bytes, "name");
            write_text(bytes, name);
        }
        if !tags.is_empty() {
            *count += 1;
            write_text(bytes, "tags");
            write_count(bytes, tags.len(), MAP);
            for (tag, value) in &tags {
                write_text(bytes, tag);
                write_text(bytes, value);
            }
        }
        *count += 1;
        write_text(bytes, "columns");
        write_count(bytes, columns.len(), LIST);
        columns.iter().for_each(|column| write_text(bytes, column.as_ref()));
    }

    pub(super) fn row<'a>(&mut self, values: impl IntoIterator<Item = Value<'a>>) {
        let mut cells = Members::default();
        for value in values {
            cells.count += 1;
            self.value(&mut cells.bytes, value);
        }
        self.rows.count += 1;
        write_count(&mut self.rows.bytes, cells.count, LIST);
        self.rows.bytes.append(&mut cells.bytes);
    }

    fn value(&self, out: &mut Vec<u8>, value: Value<'_>) {
        match value {
            Value::Null => out.push(0xc0),
            Value::Float(value) if value.is_nan() => out.push(0xc0),
            Value::Bool(value) => out.push(if value { 0xc3 } else { 0xc2 }),
            Value::Int(value) => write_int(out, value),
            Value::UInt(value) => write_uint(out, value),
            Value::Float(value) => {
                out.push(0xcb);
                out.extend_from_slice(&value.to_be_bytes());
            }
            Value::Text(text) => write_text(out, text),
            Value::Texts(texts) => {
                write_count(out, texts.len(), LIST);
                texts.iter().for_each(|text| write_text(out, text));
            }
            Value::Time(time) | Value::LocalTime(time, _) => match self.epoch {
                Some(epoch) => write_int(out, time / epoch.nanoseconds()),
                None => {
                    out.extend_from_slice(&[0xc7, 12, TIME]);
                    out.extend_from_slice(&time.div_euclid(1_000_000_000).to_be_bytes());
                    out.extend_from_slice(&(time.rem_euclid(1_000_000_000) as u32).to_be_bytes());
                }
            },
        }
    }

    pub(super) fn end_series(&mut self, partial: bool) {
        let (mut head, mut rows) = (std::mem::take(&mut self.head), std::mem::take(&mut self.rows));
        let out = &mut self.series.bytes;
        self.series.count += 1;
        write_count(out, head.count + 1 + usize::from(partial), MAP);
        out.append(&mut head.bytes);
        write_text(out, "values");
        write_count(out, rows.count, LIST);
        out.append(&mut rows.bytes);
        if partial {
            write_text(out, "partial");
            out.push(0xc3);
        }
    }

    pub(super) fn end_result(&mut self, tail: Tail<'_>) {
        let mut series = std::mem::take(&mut self.series);
        let out = &mut self.results.bytes;
        self.results.count += 1;
        if let Some(error) = tail.error {
            return write_error(out, error);
        }
        let messages = usize::from(!tail.warnings.is_empty());
        write_count(out, 2 + messages + usize::from(tail.partial), MAP);
        write_text(out, "statement_id");
        write_int(out, self.statement as i64);
        if messages > 0 {
            write_text(out, "messages");
            write_count(out, tail.warnings.len(), LIST);
            for text in tail.warnings {
                write_count(out, 2, MAP);
                ["level", "warning", "text", text].into_iter().for_each(|text| write_text(out, text));
            }
        }
        write_text(out, "series");
        write_count(out, series.count, LIST);
        out.append(&mut series.bytes);
        if tail.partial {
            write_text(out, "partial");
            out.push(0xc3);
        }
    }

    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        let mut results = std::mem::take(&mut self.results);
        write_count(out, 1, MAP);
        write_text(out, "results");
        write_count(out, results.count, LIST);
        out.append(&mut results.bytes);
    }
}

/// Appends the body of a failed request: its error.
pub(super) fn write_error(out: &mut Vec<u8>, error: &str) {
    write_count(out, 1, MAP);
    write_text(out, "error");
    write_text(out, error);
}

/// First bytes of a list or map of up to 15 members, up to 65,535 and more.
type Kind = (u8, u8, u8);

const LIST: Kind = (0x90, 0xdc, 0xdd);
const MAP: Kind = (0x80, 0xde, 0xdf);

fn write_count(out: &mut Vec<u8>, count: usize, (few, some, many): Kind) {
    match count {
        0..=15 => out.push(few | count as u8),
        16..=0xffff => {
            out.push(some);
            out.extend_from_slice(&(count as u16).to_be_bytes());
        }
        _ => {
            out.push(many);
            out.extend_from_slice(&(count as u32).to_be_bytes());
        }
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    match text.len() {
        len @ 0..=31 => out.push(0xa0 | len as u8),
        len @ 32..=0xff => out.extend_from_slice(&[0xd9, len as u8]),
        len @ 0x100..=0xffff => {
            out.push(0xda);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(0xdb);
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
    }
    out.extend_from_slice(text.as_bytes());
}

fn write_int(out: &mut Vec<u8>, value: i64) {
    if let Ok(value @ -32..) = i8::try_from(value) {
        out.push(value as u8);
    } else if let (Ok(value), true) = (i8::try_from(value), value < 0) {
        out.extend_from_slice(&[0xd0, value as u8]);
    } else if let Ok(value) = i16::try_from(value) {
        out.push(0xd1);
        out.extend_from_slice(&value.to_be_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        out.push(0xd2);
        out.extend_from_slice(&value.to_be_bytes());
    } else {
        out.push(0xd3);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

fn write_uint(out: &mut Vec<u8>, value: u64) {
    match value {
        0..=0x7f => out.push(value as u8),
        0x80..=0xff => out.extend_from_slice(&[0xcc, value as u8]),
        0x100..=0xffff => {
            out.push(0xcd);
            out.extend_from_slice(&(value as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xce);
            out.extend_from_slice(&(value as u32).to_be_bytes());
        }
        _ => {
            out.push(0xcf);
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}
