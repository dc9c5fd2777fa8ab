//! `metric timestamp value tagk=tagv [tagk=tagv]`, a point a line.
//!
//! Blanks separate, tags may stand behind commas too, and `put` may stand before it all. An empty line is none.

use super::VALUE;
use super::known::{line_text, read_known};
use crate::row::{
    FieldKind, Next, Position, RawValue, RowDraft, RowError, RowTaker, SeriesText, TextForm, TimeScale, parse_time,
};

/// How far a body has been read.
#[derive(Debug)]
pub struct TextPoints {
    scale: TimeScale,
    /// Each line begins with `put`.
    are_puts: bool,
    /// Lines read.
    lines: u64,
    draft: RowDraft,
}

impl TextPoints {
    /// Of a body whose times are in `scale`.
    pub fn new(scale: TimeScale) -> Self {
        Self { scale, are_puts: false, lines: 0, draft: RowDraft::default() }
    }

    /// The same of lines that all begin with `put`, so that a metric may be called so.
    pub fn of_puts(scale: TimeScale) -> Self {
        Self { are_puts: true, ..Self::new(scale) }
    }

    /// Reads the lines of `text`, and what is behind them if nothing comes after it. Returns the bytes consumed; the
    /// others must stand at the start of the next piece.
    pub fn read(&mut self, text: &[u8], last: bool, rows: &mut impl RowTaker) -> usize {
        let mut consumed = 0;
        loop {
            let rest = text.get(consumed..).unwrap_or_default();
            let (line, length) = match memchr::memchr(b'\n', rest) {
                Some(end) => (rest.get(..end).unwrap_or_default(), end + 1),
                None if last && !rest.is_empty() => (rest, rest.len()),
                None => return consumed,
            };
            consumed += length;
            self.lines += 1;
            let taken = match self.read_known(line, rows) {
                Some(taken) => taken,
                None => self.read_line(line, rows),
            };
            if taken == Err(Next::Stop) {
                return text.len();
            }
        }
    }

    /// Takes the point of a line, if it is of a series that was seen.
    fn read_known(&mut self, line: &[u8], rows: &mut impl RowTaker) -> Option<Result<(), Next>> {
        let form = if self.are_puts { TextForm::PutLine } else { TextForm::Line };
        let read = |text: SeriesText<'_>| {
            read_known(line, text, self.scale).filter(|known| text.form == form && known.len == line.len())
        };
        let known = match rows.expects(read) {
            Some(known) => known,
            None => {
                let text = line_text(line, self.are_puts)?;
                rows.expect(text).then(|| read(text))??
            }
        };
        Some(rows.take_expected(Position::Line(self.lines), &mut [(known.time_ns, known.value)]))
    }

    fn read_line(&mut self, line: &[u8], rows: &mut impl RowTaker) -> Result<(), Next> {
        let position = Position::Line(self.lines);
        let point = match self.are_puts {
            true => read_put(line, self.scale, &mut self.draft),
            false => read_point(line, self.scale, &mut self.draft),
        };
        match (point, line_text(line, self.are_puts)) {
            (Ok(true), Some(text)) => rows.take_as(position, text, &mut self.draft),
            (Ok(true), None) => rows.take(position, &mut self.draft),
            (Ok(false), _) => Ok(()),
            (Err(error), _) => Err(rows.fault(position, error)),
        }
    }
}

/// Reads one line into `draft`; `false` where it is empty.
pub(super) fn read_point(line: &[u8], scale: TimeScale, draft: &mut RowDraft) -> Result<bool, RowError> {
    let line = std::str::from_utf8(line).map_err(|_| RowError::Utf8)?;
    let mut words = line.split([' ', '\t', '\r']).filter(|word| !word.is_empty());
    let Some(mut metric) = words.next() else { return Ok(false) };
    let mut time = words.next().ok_or(RowError::Missing("the timestamp"))?;
    if metric == "put" && !time.starts_with(|first: char| first.is_ascii_digit() || first == '-') {
        metric = time;
        time = words.next().ok_or(RowError::Missing("the timestamp"))?;
    }
    point(metric, time, words, scale, draft).map(|()| true)
}

/// Reads one line that begins with `put`; `false` where it is empty.
fn read_put(line: &[u8], scale: TimeScale, draft: &mut RowDraft) -> Result<bool, RowError> {
    let line = std::str::from_utf8(line).map_err(|_| RowError::Utf8)?;
    let mut words = line.split([' ', '\t', '\r']).filter(|word| !word.is_empty());
    if words.next().is_none() {
        return Ok(false);
    }
    let metric = words.next().ok_or(RowError::Missing("the metric"))?;
    let time = words.next().ok_or(RowError::Missing("the timestamp"))?;
    point(metric, time, words, scale, draft).map(|()| true)
}

/// Puts a point together; the value and the tags are in `words`.
fn point<'l>(
    metric: &str,
    time: &str,
    mut words: impl Iterator<Item = &'l str>,
    scale: TimeScale,
    draft: &mut RowDraft,
) -> Result<(), RowError> {
    draft.begin(metric);
    draft.time = parse_time(time, scale)?;
    let value = words.next().ok_or(RowError::Missing("the value"))?;
    draft.field(VALUE, FieldKind::Float, RawValue::from_float(parse_value(value)?));
    let mut tags = 0;
    for tag in words.flat_map(|word| word.split(',')).filter(|tag| !tag.is_empty()) {
        match tag.split_once('=') {
            Some((name, value)) if !name.is_empty() && !value.is_empty() => draft.tag(name, value),
            _ => return Err(RowError::invalid("a tag", tag)),
        }
        tags += 1;
    }
    match tags {
        0 => Err(RowError::Missing("a tag")),
        _ => draft.check(),
    }
}

/// A number as points have it: digits, with or without sign, point and exponent.
pub(super) fn parse_value(text: &str) -> Result<f64, RowError> {
    // Rust reads words for infinity and NaN too.
    let is_number = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    let value: Option<f64> = if is_number { text.parse().ok() } else { None };
    value.filter(|value| value.is_finite()).ok_or_else(|| RowError::invalid("the value", text))
}
