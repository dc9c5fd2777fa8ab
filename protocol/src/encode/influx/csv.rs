//! The reply as comma-separated values.
//!
//! A statement that has series begins with a line of its first one's columns, behind `name` and `tags`, and an empty
//! line stands between the statements, and before a series whose columns are others than those of the one before it in
//! the document. Times are numbers, and a failed statement says nothing: so does InfluxDB.

use super::{Epoch, Value, owned, same_names};

/// Writes the documents of a reply.
#[derive(Debug)]
pub(super) struct CsvWriter {
    epoch: Option<Epoch>,
    /// The statement whose result is written.
    statement: usize,
    /// That whose header was the last one.
    told: Option<usize>,
    /// Columns of the series before in this document.
    columns: Option<Vec<String>>,
    /// Name and tags of the series, as its rows begin.
    lead: String,
    /// A cell under way.
    cell: String,
}

impl CsvWriter {
    pub(super) fn new(epoch: Option<Epoch>) -> Self {
        Self { epoch, statement: 0, told: None, columns: None, lead: String::new(), cell: String::new() }
    }

    pub(super) fn result(&mut self, statement: usize) {
        self.statement = statement;
    }

    pub(super) fn series<'t>(
        &mut self,
        out: &mut Vec<u8>,
        name: &str,
        tags: impl Iterator<Item = (&'t str, &'t str)>,
        columns: &[impl AsRef<str>],
    ) {
        let is_first = self.told != Some(self.statement);
        let differs = self.columns.as_ref().is_some_and(|known| !same_names(known, columns));
        if is_first || differs {
            if self.told.is_some() {
                out.push(b'\n');
            }
            out.extend_from_slice(b"name,tags");
            for column in columns {
                out.push(b',');
                cell(out, column.as_ref());
            }
            out.push(b'\n');
        }
        self.told = Some(self.statement);
        if differs || self.columns.is_none() {
            self.columns = Some(owned(columns));
        }
        let mut pairs = String::new();
        for (tag, value) in tags.filter(|(_, value)| !value.is_empty()) {
            if !pairs.is_empty() {
                pairs.push(',');
            }
            escape(&mut pairs, tag);
            pairs.push('=');
            escape(&mut pairs, value);
        }
        let mut lead = Vec::new();
        cell(&mut lead, name);
        lead.push(b',');
        cell(&mut lead, &pairs);
        self.lead = String::from_utf8_lossy(&lead).into_owned();
    }

    pub(super) fn row<'a>(&mut self, out: &mut Vec<u8>, values: impl IntoIterator<Item = Value<'a>>) {
        use std::fmt::Write as _;
        out.extend_from_slice(self.lead.as_bytes());
        for (at, value) in values.into_iter().enumerate() {
            out.push(b',');
            self.cell.clear();
            let spelled = &mut self.cell;
            let _ = match value {
                Value::Null => continue,
                Value::Float(value) if value.is_nan() => continue,
                Value::Text(text) => {
                    cell(out, text);
                    continue;
                }
                Value::Texts(_) => {
                    cell(out, self.columns.as_ref().and_then(|columns| columns.get(at)).map_or("", String::as_str));
                    continue;
                }
                Value::Bool(value) => write!(spelled, "{value}"),
                Value::Int(value) => write!(spelled, "{value}"),
                Value::UInt(value) => write!(spelled, "{value}"),
                Value::Float(f64::INFINITY) => write!(spelled, "+Inf"),
                Value::Float(f64::NEG_INFINITY) => write!(spelled, "-Inf"),
                Value::Float(value) => write!(spelled, "{value}"),
                Value::Time(time) | Value::LocalTime(time, _) => {
                    write!(spelled, "{}", time / self.epoch.map_or(1, Epoch::nanoseconds))
                }
            };
            out.extend_from_slice(self.cell.as_bytes());
        }
        out.push(b'\n');
    }

    pub(super) fn end(&mut self) {
        self.columns = None;
    }
}

/// Appends the body of a failed request.
pub(super) fn write_error(out: &mut Vec<u8>, error: &str) {
    out.extend_from_slice(b"error\n");
    cell(out, error);
    out.push(b'\n');
}

/// A text between quotes, if it needs them.
fn cell(out: &mut Vec<u8>, text: &str) {
    let needs_quotes =
        text == "\\." || text.contains([',', '"', '\r', '\n']) || text.chars().next().is_some_and(char::is_whitespace);
    if !needs_quotes {
        return out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// A tag's name or value as line protocol has it.
fn escape(pairs: &mut String, text: &str) {
    for character in text.chars() {
        if matches!(character, ',' | '=' | ' ') {
            pairs.push('\\');
        }
        pairs.push(character);
    }
}
