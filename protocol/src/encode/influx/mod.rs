//! The reply of InfluxDB 1.x's `/query`: results, their series, messages and errors, in the formats that its clients
//! ask for.
//!
//! A [`QueryWriter`] learns what the result is, in order, and appends as it goes, so that a long series streams as
//! [`json`] and [`csv`]. [`pack`] says the number of things before the things, so that there a document is kept until
//! its end.

mod csv;
mod json;
mod pack;

use std::sync::Arc;

use csv::CsvWriter;
use json::JsonWriter;
use pack::PackWriter;

/// Unit in which times are sent; without one they are RFC 3339 text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epoch {
    /// Nanoseconds, also for every spelling that is not known.
    Nanoseconds,
    /// `u`
    Microseconds,
    /// `ms`
    Milliseconds,
    /// `s`
    Seconds,
    /// `m`
    Minutes,
    /// `h`
    Hours,
}

impl Epoch {
    /// From the parameter `epoch`; `None` when it is empty.
    pub fn from_parameter(text: &str) -> Option<Epoch> {
        Some(match text {
            "" => return None,
            "u" => Epoch::Microseconds,
            "ms" => Epoch::Milliseconds,
            "s" => Epoch::Seconds,
            "m" => Epoch::Minutes,
            "h" => Epoch::Hours,
            _ => Epoch::Nanoseconds,
        })
    }

    pub(super) fn nanoseconds(self) -> i64 {
        match self {
            Epoch::Nanoseconds => 1,
            Epoch::Microseconds => 1_000,
            Epoch::Milliseconds => 1_000_000,
            Epoch::Seconds => 1_000_000_000,
            Epoch::Minutes => 60_000_000_000,
            Epoch::Hours => 3_600_000_000_000,
        }
    }
}

/// One cell of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// No value; NaN is shown so too.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An unsigned integer.
    UInt(u64),
    /// A float. Infinities have no spelling in JSON: [`QueryWriter::row`] refuses them there.
    Float(f64),
    /// Text.
    Text(&'a str),
    /// Nanoseconds since 1970, shown by [`Options::epoch`].
    Time(i64),
    /// The same, shown as text by clocks that are this many seconds ahead of UTC.
    LocalTime(i64, i32),
    /// Several texts in one cell. CSV has no form for that and shows the column's name, as InfluxDB does.
    Texts(&'a [Arc<str>]),
}

/// An infinity in a row, which JSON cannot say. InfluxDB replaces the whole body by this error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("json: unsupported value: {}Inf", if *.negative { "-" } else { "+" })]
pub struct UnsupportedValue {
    /// Minus infinity.
    pub negative: bool,
}

/// Formats of a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    #[default]
    Json,
    /// Comma-separated values.
    Csv,
    /// MessagePack.
    MessagePack,
}

/// How the client wants the reply.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The format.
    pub format: Format,
    /// One value a line, indented; of JSON.
    pub pretty: bool,
    /// Times as numbers of this unit.
    pub epoch: Option<Epoch>,
}

/// What stands at the end of a result, after its series.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tail<'a> {
    /// Warnings about the statement.
    pub warnings: &'a [&'a str],
    /// More of this statement's result follows in another document.
    pub partial: bool,
    /// Why the statement failed.
    pub error: Option<&'a str>,
}

/// Writes documents: `result`, `series`, `row`, `end_series`, `end_result` and `end`, as they are nested.
#[derive(Debug)]
pub struct QueryWriter(Writer);

#[derive(Debug)]
enum Writer {
    Json(JsonWriter),
    Csv(CsvWriter),
    Pack(PackWriter),
}

impl QueryWriter {
    /// Documents with these options.
    pub fn new(options: Options) -> Self {
        Self(match options.format {
            Format::Json => Writer::Json(JsonWriter::new(options.pretty, options.epoch)),
            Format::Csv => Writer::Csv(CsvWriter::new(options.epoch)),
            Format::MessagePack => Writer::Pack(PackWriter::new(options.epoch)),
        })
    }

    /// Bytes that are kept back until the document ends.
    pub fn kept_bytes(&self) -> usize {
        match &self.0 {
            Writer::Pack(writer) => writer.kept_bytes(),
            Writer::Json(_) | Writer::Csv(_) => 0,
        }
    }

    /// Begins the result of a statement.
    pub fn result(&mut self, out: &mut Vec<u8>, statement_id: usize) {
        match &mut self.0 {
            Writer::Json(writer) => writer.result(out, statement_id),
            Writer::Csv(writer) => writer.result(statement_id),
            Writer::Pack(writer) => writer.result(statement_id),
        }
    }

    /// Begins a series of the result. An empty name and no tags are left out.
    pub fn series<'t>(
        &mut self,
        out: &mut Vec<u8>,
        name: &str,
        tags: impl Iterator<Item = (&'t str, &'t str)> + Clone,
        columns: &[impl AsRef<str>],
    ) {
        match &mut self.0 {
            Writer::Json(writer) => writer.series(out, name, tags, columns),
            Writer::Csv(writer) => writer.series(out, name, tags, columns),
            Writer::Pack(writer) => writer.series(name, tags, columns),
        }
    }

    /// Writes a row of the series: one value per column. On an error the document cannot be completed; the caller
    /// discards it or ends it with the error.
    pub fn row<'a>(
        &mut self,
        out: &mut Vec<u8>,
        values: impl IntoIterator<Item = Value<'a>>,
    ) -> Result<(), UnsupportedValue> {
        match &mut self.0 {
            Writer::Json(writer) => writer.row(out, values),
            Writer::Csv(writer) => {
                writer.row(out, values);
                Ok(())
            }
            Writer::Pack(writer) => {
                writer.row(values);
                Ok(())
            }
        }
    }

    /// Ends the series. `partial`: it continues in another document or was cut.
    pub fn end_series(&mut self, out: &mut Vec<u8>, partial: bool) {
        match &mut self.0 {
            Writer::Json(writer) => writer.end_series(out, partial),
            Writer::Csv(_) => {}
            Writer::Pack(writer) => writer.end_series(partial),
        }
    }

    /// Ends the result.
    pub fn end_result(&mut self, out: &mut Vec<u8>, tail: Tail<'_>) {
        match &mut self.0 {
            Writer::Json(writer) => writer.end_result(out, tail),
            Writer::Csv(_) => {}
            Writer::Pack(writer) => writer.end_result(tail),
        }
    }

    /// Ends the document; the writer can then begin another, for the next of a chunked reply.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        match &mut self.0 {
            Writer::Json(writer) => writer.end(out),
            Writer::Csv(writer) => writer.end(),
            Writer::Pack(writer) => writer.end(out),
        }
    }
}

/// Whether the names of columns are those that are known.
fn same_names(known: &[String], columns: &[impl AsRef<str>]) -> bool {
    known.len() == columns.len() && known.iter().zip(columns).all(|(known, column)| known == column.as_ref())
}

/// Names of columns, to be known.
fn owned(columns: &[impl AsRef<str>]) -> Vec<String> {
    columns.iter().map(|column| column.as_ref().to_owned()).collect()
}

/// Appends the body of a failed request on the InfluxDB routes: in JSON `{"error":"…"}` and a line end. `line` is the
/// line of a request's body that the error is about.
pub fn write_error(out: &mut Vec<u8>, error: &str, line: Option<u64>, options: Options) {
    match options.format {
        Format::Json => json::write_error(out, error, line, options.pretty),
        Format::Csv => csv::write_error(out, error),
        Format::MessagePack => pack::write_error(out, error),
    }
}
