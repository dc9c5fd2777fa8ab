//! The specification of line protocol: plain code that looks at one byte after the other.
//!
//! [`Parser`] parses whole texts with it, asking the sink for every series and layout anew; it is the oracle that the
//! fast parser must equal on every input. The fast parser comes here itself with every line that is not of the common
//! form, so an odd line costs time, never meaning.

mod cnos;
mod influx;

use std::borrow::Cow;

use super::error::{Fault, LineReason};
use super::split::{Piece, Split, next_piece};
use super::{Dialect, LINE_BYTES_MAX, LineSink, Progress, State, TimeRule, escape};
use crate::row::{FieldKind, Halt, Next, Position, RawValue, SeriesRef};

/// One field of a line.
#[derive(Debug)]
pub(super) struct ParsedField<'t> {
    /// Where in the line the key begins.
    pub(super) at: usize,
    /// The key as it stands.
    pub(super) raw: &'t str,
    pub(super) name: Cow<'t, str>,
    pub(super) kind: FieldKind,
    pub(super) value: RawValue,
}

/// One line.
#[derive(Debug)]
pub(super) struct ParsedLine<'t> {
    /// Where measurement and tags end; a space stands there.
    pub(super) series_end: usize,
    pub(super) measurement: Cow<'t, str>,
    pub(super) tags: Vec<(Cow<'t, str>, Cow<'t, str>)>,
    /// No name twice.
    pub(super) fields: Vec<ParsedField<'t>>,
    /// Some field came twice.
    pub(super) repeated: bool,
    /// In the table's unit.
    pub(super) time: i64,
}

/// Parses one line as [`next_piece`] cuts it.
pub(super) fn parse_line<'t>(
    dialect: Dialect,
    line: &'t [u8],
    terminated: bool,
    rule: &TimeRule,
) -> Result<ParsedLine<'t>, Fault> {
    if line.len() > LINE_BYTES_MAX {
        return Err(Fault::new(LINE_BYTES_MAX, LineReason::LineTooLong));
    }
    let line = std::str::from_utf8(line).map_err(|error| Fault::new(error.valid_up_to(), LineReason::InvalidUtf8))?;
    match dialect {
        Dialect::Influx => influx::parse(line, rule),
        Dialect::Cnos => cnos::parse(line, terminated, rule),
    }
}

/// `text` without the backslashes before bytes of `set`.
fn unescape<'t>(text: &'t str, set: &[u8]) -> Cow<'t, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(char) = rest.next() {
        let drops = char == '\\' && rest.peek().is_some_and(|&next| next.is_ascii() && set.contains(&(next as u8)));
        out.push(if drops { rest.next().unwrap_or(char) } else { char });
    }
    Cow::Owned(out)
}

/// Drops fields whose name came before with the same value. Whether there were any. With another value there is no
/// telling which of the two is meant, and neither may be lost.
fn drop_repeated(fields: &mut Vec<ParsedField<'_>>, line: &[u8]) -> Result<bool, Fault> {
    let count = fields.len();
    let mut kept: Vec<ParsedField<'_>> = Vec::with_capacity(count);
    // Few fields: comparing all pairs beats a table. Many: a table keeps a hostile line linear.
    let mut places = (count > 32).then(|| std::collections::HashMap::with_capacity(count));
    for field in fields.drain(..) {
        let earlier = match &mut places {
            None => kept.iter().position(|earlier| earlier.name == field.name),
            Some(places) => match places.entry(field.name.clone()) {
                std::collections::hash_map::Entry::Occupied(place) => Some(*place.get()),
                std::collections::hash_map::Entry::Vacant(place) => {
                    place.insert(kept.len());
                    None
                }
            },
        };
        match earlier {
            None => kept.push(field),
            Some(at) if is_same_value(&kept[at], &field, line) => {}
            Some(_) => return Err(Fault::new(field.at, LineReason::FieldTwice(field.name.into_owned()))),
        }
    }
    *fields = kept;
    Ok(fields.len() < count)
}

fn is_same_value(a: &ParsedField<'_>, b: &ParsedField<'_>, line: &[u8]) -> bool {
    a.kind == b.kind
        && match a.kind {
            // Both zeros are one number.
            FieldKind::Float => a.value.float() == b.value.float(),
            FieldKind::String => escape::unescaped(a.value, line) == escape::unescaped(b.value, line),
            FieldKind::Int | FieldKind::UInt | FieldKind::Bool => a.value == b.value,
        }
}

/// The plain parser. Its sink is asked for the slots of every line.
#[derive(Debug)]
pub struct Parser {
    dialect: Dialect,
    split: Split,
    comment: bool,
    lines: u64,
    offset: u64,
}

impl Parser {
    /// A parser at the start of a body.
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, split: Split::default(), comment: false, lines: 0, offset: 0 }
    }

    /// As [`super::LineParser::parse`].
    pub fn parse<S: LineSink>(&mut self, text: &[u8], last: bool, rule: &TimeRule, sink: &mut S) -> Progress {
        let mut progress = Progress { consumed: 0, lines: 0, rows: 0, state: State::Done };
        if self.comment {
            match memchr::memchr(b'\n', text) {
                Some(end) => progress.consumed = end + 1,
                None => progress.consumed = text.len(),
            }
            self.comment = progress.consumed == text.len() && text.last() != Some(&b'\n') && !last;
            progress.lines = u64::from(!self.comment);
        }
        loop {
            match next_piece(self.dialect, text, progress.consumed, last, &mut self.split) {
                Piece::End => {
                    progress.consumed = text.len();
                    break;
                }
                Piece::More { keep, comment } => {
                    progress.consumed = keep;
                    self.comment = comment;
                    progress.state = if keep == text.len() { State::Done } else { State::NeedMore };
                    break;
                }
                Piece::Nothing { next } => {
                    progress.consumed = next;
                    progress.lines += 1;
                }
                Piece::Line { start, end, next, terminated } => {
                    let line = &text[start..end];
                    let number = self.lines + progress.lines + 1;
                    let then = match self.line(line, terminated, rule, sink) {
                        Ok(()) => {
                            progress.rows += 1;
                            Next::Continue
                        }
                        Err(Stop::Pause) => {
                            progress.consumed = start;
                            progress.state = State::Paused;
                            break;
                        }
                        Err(Stop::Refused(refusal)) => sink.refuse(Position::Line(number), refusal),
                        Err(Stop::Fault(fault)) => sink.fault(&fault.in_body(number, self.offset + start as u64, line)),
                    };
                    progress.consumed = next;
                    progress.lines += 1;
                    if then == Next::Stop {
                        progress.state = State::Stopped;
                        break;
                    }
                }
            }
        }
        self.lines += progress.lines;
        self.offset += progress.consumed as u64;
        progress
    }

    fn line<S: LineSink>(
        &self,
        line: &[u8],
        terminated: bool,
        rule: &TimeRule,
        sink: &mut S,
    ) -> Result<(), Stop<S::Refusal>> {
        let parsed = parse_line(self.dialect, line, terminated, rule).map_err(Stop::Fault)?;
        let tags = tags_ref(&parsed.tags);
        let series = sink.series(SeriesRef { table: &parsed.measurement, tags: &tags })?;
        let layout = sink.layout(series, &names(&parsed.fields))?;
        let mut values = Vec::new();
        let mut strings = Vec::new();
        let text = values_of(&parsed.fields, line, &mut values, &mut strings);
        sink.row(series, layout, parsed.time, &values, text).map_err(Stop::Refused)
    }
}

/// Names and types of fields, as a sink is asked for their layout.
pub(super) fn names<'f>(fields: &'f [ParsedField<'_>]) -> Vec<(&'f str, FieldKind)> {
    fields.iter().map(|field| (field.name.as_ref(), field.kind)).collect()
}

/// Tags as a sink is asked for their series.
pub(super) fn tags_ref<'t>(tags: &'t [(Cow<'_, str>, Cow<'_, str>)]) -> Vec<(&'t str, &'t str)> {
    tags.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect()
}

/// The values of a line's fields, and the text that the strings among them are places in.
pub(super) fn values_of<'t>(
    fields: &[ParsedField<'_>],
    line: &'t [u8],
    values: &mut Vec<RawValue>,
    strings: &'t mut Vec<u8>,
) -> &'t [u8] {
    values.clear();
    values.extend(fields.iter().map(|field| field.value));
    escape::without_escapes(fields.iter().map(|field| field.kind), values, line, strings)
}

/// Why a line gave no row.
#[derive(Debug)]
pub(super) enum Stop<R> {
    Pause,
    Fault(Fault),
    Refused(R),
}

impl<R> From<Halt<R>> for Stop<R> {
    fn from(halt: Halt<R>) -> Self {
        match halt {
            Halt::Pause => Self::Pause,
            Halt::Refuse(refusal) => Self::Refused(refusal),
        }
    }
}
