//! The reply as JSON.
//!
//! ```text
//!   begin                                    {"results":[
//!     result(statement_id)                     {"statement_id":0,
//!       series(name, tags, columns)              "series":[{"name":…,"tags":{…},"columns":[…],
//!         row(values) …                            "values":[[…],…]
//!       end_series(partial)                      }]
//!     end_result(tail)                         ,"messages":[…],"partial":true,"error":"…"}
//!   end                                      ]}⏎
//! ```
//!
//! What has nothing to say is left out, as there: no `series` without one, no `values` without a row, no `name` and
//! `tags` when empty, `{}` for no results at all. Text is escaped and floats are spelled as Go's `encoding/json`
//! does. `pretty` puts every value on a line of its own, four spaces a level.

use super::{Epoch, Tail, UnsupportedValue, Value, owned, same_names};
use crate::encode::number::{write_go_f64, write_i64, write_u64};
use crate::encode::sink::Sink;
use crate::encode::text::write_bool;
use crate::encode::time::TimeWriter;

/// Writes documents of JSON.
#[derive(Debug)]
pub(super) struct JsonWriter {
    pretty: bool,
    epoch: Option<Epoch>,
    times: TimeWriter,
    /// Open objects and arrays.
    depth: usize,
    /// The innermost open object or array has a member already.
    filled: bool,
    part: Part,
    heading: Heading,
}

/// What the series of a statement have in common, and how it is written.
#[derive(Debug, Default)]
struct Heading {
    name: String,
    tags: Vec<String>,
    columns: Vec<String>,
    /// All but the values of the tags.
    text: Vec<u8>,
    /// Where in it these go.
    values_at: Vec<usize>,
}

impl Heading {
    fn is<'t>(&self, name: &str, mut tags: impl Iterator<Item = &'t str>, columns: &[impl AsRef<str>]) -> bool {
        !self.text.is_empty()
            && self.name == name
            && self.tags.iter().all(|known| tags.next() == Some(known))
            && tags.next().is_none()
            && same_names(&self.columns, columns)
    }
}

/// Longer ones are written anew for each series.
const HEADING_BYTES_MAX: usize = 4 << 10;

/// What is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// No result written yet.
    Start,
    /// Between results.
    Results,
    /// In a result without series.
    Result,
    /// In a result's list of series, between two.
    SeriesList,
    /// In a series without rows.
    Series,
    /// In a series' rows.
    Rows,
}

impl JsonWriter {
    /// A document with these options.
    pub(super) fn new(pretty: bool, epoch: Option<Epoch>) -> Self {
        let (times, heading) = (TimeWriter::new(1_000_000_000), Heading::default());
        Self { pretty, epoch, times, depth: 0, filled: false, part: Part::Start, heading }
    }

    /// Begins the result of a statement.
    pub(super) fn result(&mut self, out: &mut Vec<u8>, statement_id: usize) {
        debug_assert!(matches!(self.part, Part::Start | Part::Results));
        let mut sink = Sink::new(out);
        if self.part == Part::Start {
            self.open(&mut sink, b'{');
            self.field(&mut sink, "results");
            self.open(&mut sink, b'[');
        }
        self.member(&mut sink);
        self.open(&mut sink, b'{');
        self.field(&mut sink, "statement_id");
        write_u64(&mut sink, statement_id as u64);
        sink.finish();
        self.part = Part::Result;
    }

    /// Begins a series of the result. An empty name and no tags are left out.
    pub(super) fn series<'t>(
        &mut self,
        out: &mut Vec<u8>,
        name: &str,
        tags: impl Iterator<Item = (&'t str, &'t str)> + Clone,
        columns: &[impl AsRef<str>],
    ) {
        debug_assert!(matches!(self.part, Part::Result | Part::SeriesList));
        let mut sink = Sink::new(out);
        if self.part == Part::Result {
            self.field(&mut sink, "series");
            self.open(&mut sink, b'[');
        }
        self.member(&mut sink);
        let names = tags.clone().map(|(tag, _)| tag);
        let mut values = tags.map(|(_, value)| value);
        if !self.heading.is(name, names.clone(), columns) {
            self.learn(name, names.clone(), columns);
        }
        if self.heading.text.is_empty() {
            self.head(&mut sink, name, names, columns, |sink| write_go_string(values.next().unwrap_or_default(), sink));
        } else {
            let (mut from, text) = (0, &self.heading.text);
            for (at, value) in self.heading.values_at.iter().zip(values) {
                sink.bytes(&text[from..*at]);
                write_go_string(value, &mut sink);
                from = *at;
            }
            sink.bytes(&text[from..]);
            self.depth += 1;
            self.filled = true;
        }
        sink.finish();
        self.part = Part::Series;
    }

    /// Notes what series of this name and these tags and columns have in common, unless that is long.
    fn learn<'t>(&mut self, name: &str, tags: impl Iterator<Item = &'t str> + Clone, columns: &[impl AsRef<str>]) {
        let lengths = columns.iter().map(|column| column.as_ref().len()).chain(tags.clone().map(str::len));
        self.heading.text.clear();
        if self.pretty || lengths.sum::<usize>() + name.len() > HEADING_BYTES_MAX {
            return;
        }
        let (depth, filled) = (self.depth, self.filled);
        let (mut text, mut values_at) = (Vec::new(), Vec::new());
        let mut sink = Sink::new(&mut text);
        self.head(&mut sink, name, tags.clone(), columns, |sink| values_at.push(sink.position()));
        sink.finish();
        (self.depth, self.filled) = (depth, filled);
        let (name, tags) = (name.to_owned(), tags.map(str::to_owned).collect());
        self.heading = Heading { name, tags, columns: owned(columns), text, values_at };
    }

    /// Begins the object of a series: all that comes before its rows. `value` writes the values of the tags.
    fn head<'t>(
        &mut self,
        sink: &mut Sink<'_>,
        name: &str,
        tags: impl Iterator<Item = &'t str>,
        columns: &[impl AsRef<str>],
        mut value: impl FnMut(&mut Sink<'_>),
    ) {
        self.open(sink, b'{');
        if !name.is_empty() {
            self.field(sink, "name");
            write_go_string(name, sink);
        }
        let mut tags = tags.peekable();
        if tags.peek().is_some() {
            self.field(sink, "tags");
            self.open(sink, b'{');
            for tag in tags {
                self.key(sink, tag);
                value(sink);
            }
            self.close(sink, b'}');
        }
        self.field(sink, "columns");
        self.open(sink, b'[');
        for column in columns {
            self.member(sink);
            write_go_string(column.as_ref(), sink);
        }
        self.close(sink, b']');
    }

    /// Writes a row of the series: one value per column. On an error the document cannot be completed; the caller
    /// discards it or ends it with the error.
    pub(super) fn row<'a>(
        &mut self,
        out: &mut Vec<u8>,
        values: impl IntoIterator<Item = Value<'a>>,
    ) -> Result<(), UnsupportedValue> {
        debug_assert!(matches!(self.part, Part::Series | Part::Rows));
        let mut sink = Sink::new(out);
        if self.part == Part::Series {
            self.field(&mut sink, "values");
            self.open(&mut sink, b'[');
            self.part = Part::Rows;
        }
        self.member(&mut sink);
        self.open(&mut sink, b'[');
        let mut unsupported = None;
        for value in values {
            self.member(&mut sink);
            unsupported = self.value(&mut sink, value).err().or(unsupported);
        }
        self.close(&mut sink, b']');
        sink.finish();
        unsupported.map_or(Ok(()), Err)
    }

    #[inline]
    fn value(&mut self, sink: &mut Sink<'_>, value: Value<'_>) -> Result<(), UnsupportedValue> {
        match value {
            Value::Null => sink.bytes(b"null"),
            Value::Bool(value) => write_bool(value, sink),
            Value::Int(value) => write_i64(sink, value),
            Value::UInt(value) => write_u64(sink, value),
            Value::Float(value) if value.is_finite() => write_go_f64(sink, value),
            Value::Float(value) => {
                sink.bytes(b"null");
                if value.is_infinite() {
                    return Err(UnsupportedValue { negative: value < 0.0 });
                }
            }
            Value::Text(value) => write_go_string(value, sink),
            Value::Time(time) => self.time(sink, time, 0),
            Value::LocalTime(time, ahead_s) => self.time(sink, time, ahead_s),
            Value::Texts(texts) => {
                self.open(sink, b'[');
                for text in texts {
                    self.member(sink);
                    write_go_string(text, sink);
                }
                self.close(sink, b']');
            }
        }
        Ok(())
    }

    /// Ends the series. `partial`: it continues in another document or was cut.
    pub(super) fn end_series(&mut self, out: &mut Vec<u8>, partial: bool) {
        debug_assert!(matches!(self.part, Part::Series | Part::Rows));
        let mut sink = Sink::new(out);
        if self.part == Part::Rows {
            self.close(&mut sink, b']');
        }
        if partial {
            self.field(&mut sink, "partial");
            sink.bytes(b"true");
        }
        self.close(&mut sink, b'}');
        sink.finish();
        self.part = Part::SeriesList;
    }

    /// Ends the result.
    pub(super) fn end_result(&mut self, out: &mut Vec<u8>, tail: Tail<'_>) {
        debug_assert!(matches!(self.part, Part::Result | Part::SeriesList));
        let mut sink = Sink::new(out);
        if self.part == Part::SeriesList {
            self.close(&mut sink, b']');
        }
        if !tail.warnings.is_empty() {
            self.field(&mut sink, "messages");
            self.open(&mut sink, b'[');
            for text in tail.warnings {
                self.member(&mut sink);
                self.open(&mut sink, b'{');
                self.field(&mut sink, "level");
                write_go_string("warning", &mut sink);
                self.field(&mut sink, "text");
                write_go_string(text, &mut sink);
                self.close(&mut sink, b'}');
            }
            self.close(&mut sink, b']');
        }
        if tail.partial {
            self.field(&mut sink, "partial");
            sink.bytes(b"true");
        }
        if let Some(error) = tail.error {
            self.field(&mut sink, "error");
            write_go_string(error, &mut sink);
        }
        self.close(&mut sink, b'}');
        sink.finish();
        self.part = Part::Results;
    }

    /// Ends the document with a line end; the writer can then begin another, for the next line of a chunked reply.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        debug_assert!(matches!(self.part, Part::Start | Part::Results));
        let mut sink = Sink::new(out);
        if self.part == Part::Start {
            sink.bytes(b"{}");
        } else {
            self.close(&mut sink, b']');
            self.close(&mut sink, b'}');
        }
        sink.byte(b'\n');
        sink.finish();
        self.part = Part::Start;
        self.depth = 0;
        self.filled = false;
    }

    fn time(&mut self, sink: &mut Sink<'_>, time: i64, ahead_s: i32) {
        if let Some(epoch) = self.epoch {
            write_i64(sink, time / epoch.nanoseconds());
            return;
        }
        sink.byte(b'"');
        let time = time.saturating_add(i64::from(ahead_s) * 1_000_000_000);
        self.times.write_full(sink, time);
        // Cut the zeros at the end of the fraction, and the point when nothing is left of it.
        let mut fraction = time.rem_euclid(1_000_000_000);
        if fraction == 0 {
            (0..10).for_each(|_| sink.unwrite());
        } else {
            while fraction % 10 == 0 {
                fraction /= 10;
                sink.unwrite();
            }
        }
        if ahead_s == 0 {
            sink.bytes(b"Z\"");
            return;
        }
        let (sign, minutes) = (if ahead_s < 0 { '-' } else { '+' }, ahead_s.unsigned_abs() / 60);
        sink.bytes(format!("{sign}{:02}:{:02}\"", minutes / 60, minutes % 60).as_bytes());
    }

    fn open(&mut self, sink: &mut Sink<'_>, bracket: u8) {
        sink.byte(bracket);
        self.depth += 1;
        self.filled = false;
    }

    fn close(&mut self, sink: &mut Sink<'_>, bracket: u8) {
        self.depth -= 1;
        if self.filled {
            self.line(sink);
        }
        sink.byte(bracket);
        // What was closed is a member of what is open now.
        self.filled = true;
    }

    /// Begins the next member of an array, or the name of an object's.
    #[inline]
    fn member(&mut self, sink: &mut Sink<'_>) {
        if self.filled {
            sink.byte(b',');
        }
        self.filled = true;
        self.line(sink);
    }

    /// The name of a member that is always called so.
    fn field(&mut self, sink: &mut Sink<'_>, name: &'static str) {
        self.member(sink);
        sink.byte(b'"');
        sink.bytes(name.as_bytes());
        sink.bytes(if self.pretty { b"\": " } else { b"\":" });
    }

    fn key(&mut self, sink: &mut Sink<'_>, name: &str) {
        self.member(sink);
        write_go_string(name, sink);
        sink.byte(b':');
        if self.pretty {
            sink.byte(b' ');
        }
    }

    fn line(&self, sink: &mut Sink<'_>) {
        if self.pretty {
            sink.byte(b'\n');
            for _ in 0..self.depth {
                sink.block(b"    ", 4);
            }
        }
    }
}

/// Appends `{"error":"…"}` and a line end. `line` is the line of a request's body that the error is about: InfluxDB 1.x
/// does not say it, 2.x has a member of this name for it.
pub(super) fn write_error(out: &mut Vec<u8>, error: &str, line: Option<u64>, pretty: bool) {
    let mut writer = JsonWriter::new(pretty, None);
    let mut sink = Sink::new(out);
    writer.open(&mut sink, b'{');
    writer.field(&mut sink, "error");
    write_go_string(error, &mut sink);
    if let Some(line) = line {
        writer.field(&mut sink, "line");
        write_u64(&mut sink, line);
    }
    writer.close(&mut sink, b'}');
    sink.byte(b'\n');
    sink.finish();
}

/// Whether all bytes stand for themselves: ASCII without what Go escapes. Eight at a time.
fn is_plain(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks();
    let mut last = [b' '; 8];
    last[..rest.len()].copy_from_slice(rest);
    words.iter().chain([&last]).fold(0, |special, word| special | special_bits(u64::from_le_bytes(*word))) == 0
}

/// The top bit of some byte is set if one of the bytes of a word is beyond ASCII, a control character, or one of
/// `"` `&` `<` `>` `\`.
#[inline]
fn special_bits(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    // Of a byte below `bound`; of those above one that is, too, which changes nothing for the word.
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word;
    let equal = |word: u64, byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    // `"` and `&` differ in one bit, `<` and `>` in another.
    let special = equal(word | (ONES * 4), b'&') | equal(word | (ONES * 2), b'>') | equal(word, b'\\');
    (word | below(word, 0x20) | special) & TOPS
}

/// A string between quotes as Go writes it for HTML's sake: `<`, `>`, `&` and U+2028, U+2029 as `\u….`.
fn write_go_string(text: &str, sink: &mut Sink<'_>) {
    sink.byte(b'"');
    if is_plain(text.as_bytes()) {
        sink.bytes(text.as_bytes());
        return sink.byte(b'"');
    }
    let mut plain = 0;
    for (at, character) in text.char_indices() {
        let short: &[u8] = match character {
            '"' => b"\\\"",
            '\\' => b"\\\\",
            '\n' => b"\\n",
            '\r' => b"\\r",
            '\t' => b"\\t",
            '\0'..='\x1f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => b"",
            _ => continue,
        };
        sink.bytes(&text.as_bytes()[plain..at]);
        if short.is_empty() {
            sink.bytes(format!("\\u{:04x}", u32::from(character)).as_bytes());
        } else {
            sink.bytes(short);
        }
        plain = at + character.len_utf8();
    }
    sink.bytes(&text.as_bytes()[plain..]);
    sink.byte(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_is_what_stands_for_itself() {
        let plain = |byte: &u8| (0x20..0x80).contains(byte) && !b"\"\\<>&".contains(byte);
        for byte in 0..=u8::MAX {
            for length in [1, 7, 8, 9, 16, 19] {
                for at in 0..length {
                    let mut text = vec![b'a'; length];
                    text[at] = byte;
                    assert_eq!(is_plain(&text), plain(&byte), "{byte:#x} at {at} of {length}");
                }
            }
            // Beside each other byte: what is borrowed from one does not reach the next.
            for other in 0..=u8::MAX {
                let text = [byte, other, b'0', other, byte, b'z', b' ', byte];
                assert_eq!(is_plain(&text), plain(&byte) && plain(&other), "{byte:#x} and {other:#x}");
            }
        }
        assert!(is_plain(b""));
    }
}
