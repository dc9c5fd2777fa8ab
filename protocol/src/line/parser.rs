//! The parser that predicts; see the map in `mod.rs`.
//!
//! A call goes through its text in two gaits. [`LineParser::expected_lines`] takes lines for as long as each is what
//! its series and layout make expected; at the first that is not, one line goes to the scalar parser and the caches
//! learn from it. The readers of the first gait look ahead by whole words and never past the end of their text, so the
//! last line of a text is copied to a place with room behind it: a request of one row takes the fast way too.

use super::cache::{Cache, Layout, NONE};
use super::error::{Fault, LineReason};
use super::scalar::{ParsedLine, Stop, parse_line};
use super::split::{Piece, Split, next_piece};
use super::value::{Place, VALUE_OFFSET_MAX, WINDOW_BYTES, time};
use super::{Dialect, FieldKind, Flow, LINE_BYTES_MAX, LineError, RawValue, RowSink, SeriesText, TimeRule};

/// Default bound of a parser's caches. A series of 200 bytes takes about 250, so this is some 130,000 series; a server
/// that expects more says so, since a bound below the number of live series makes every line a miss.
const CACHE_BYTES_MAX: usize = 64 << 20;

/// Longest last line that is worth its copying.
const LAST_LINE_BYTES_MAX: usize = 16 << 10;

/// How a call of [`LineParser::parse`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the text that are done with; the next call's text begins behind them.
    pub consumed: usize,
    /// Lines done with, blank ones and comments included. A newline in a string starts no line.
    pub lines: u64,
    /// Rows given out.
    pub rows: u64,
    /// Why it ended.
    pub state: State,
}

/// Why a call of [`LineParser::parse`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The text is used up.
    Done,
    /// What is left is the start of a line.
    NeedMore,
    /// The sink asked for a pause; what is left begins with the line it asked at.
    Paused,
    /// The sink stopped at a refused line, which is consumed.
    Stopped,
}

/// Parses the bodies of one database in one dialect. Its caches live long: they hold the sink's slots, so the sink
/// must keep these valid until [`LineParser::forget`].
#[derive(Debug)]
pub struct LineParser {
    dialect: Dialect,
    cache: Cache,
    /// The series of the last row, or [`NONE`].
    previous: u32,
    body: BodyState,
    values: Vec<RawValue>,
    /// Room for the last line of a text.
    last_line: Vec<u8>,
}

/// How far a body has been parsed: all that a parser knows of it and not of its database. A parser that serves several
/// bodies in turn swaps theirs in with [`LineParser::swap_body`].
#[derive(Debug, Default)]
pub struct BodyState {
    /// What has been read of a line whose end is not there yet.
    split: Split,
    /// The text so far ended inside a comment.
    comment: bool,
    lines: u64,
    offset: u64,
}

impl LineParser {
    /// A parser at the start of a body, with empty caches of the default bound.
    pub fn new(dialect: Dialect) -> Self {
        Self::with_cache_bytes(dialect, CACHE_BYTES_MAX)
    }

    /// The same with another bound of the caches; over it they are forgotten.
    pub fn with_cache_bytes(dialect: Dialect, cache_bytes_max: usize) -> Self {
        Self {
            dialect,
            cache: Cache::new(cache_bytes_max),
            previous: NONE,
            body: BodyState::default(),
            values: Vec::new(),
            last_line: Vec::new(),
        }
    }

    /// A new body begins: lines and offsets count from its start, and what was left of the one before is dropped.
    pub fn begin(&mut self) {
        self.body = BodyState::default();
    }

    /// Goes on with another body, and puts the state of the present one in its place.
    pub fn swap_body(&mut self, body: &mut BodyState) {
        std::mem::swap(&mut self.body, body);
    }

    /// Drops the caches. The sink's slots may become meaningless.
    pub fn forget(&mut self) {
        self.cache.forget();
        self.previous = NONE;
    }

    /// Makes all keys collide in the hash tables.
    #[cfg(test)]
    pub(super) fn collide_keys(&mut self) {
        self.cache.collide();
    }

    /// Memory that the caches hold.
    pub fn cache_bytes(&self) -> usize {
        self.cache.bytes()
    }

    /// Parses the complete lines of `text`, which goes on where the last call's consumed bytes ended. `last` says that
    /// no text follows, so the final line may lack its newline.
    pub fn parse<S: RowSink>(&mut self, text: &[u8], last: bool, rule: &TimeRule, sink: &mut S) -> Progress {
        let mut progress = Progress { consumed: 0, lines: 0, rows: 0, state: State::Done };
        if self.body.comment {
            self.skip_comment(text, last, &mut progress);
        }
        loop {
            if self.body.split.is_fresh() {
                self.expected_lines(text, rule, sink, &mut progress);
                self.expected_last_line(text, last, rule, sink, &mut progress);
            }
            match next_piece(self.dialect, text, progress.consumed, last, &mut self.body.split) {
                Piece::End => {
                    progress.consumed = text.len();
                    break;
                }
                Piece::More { keep, comment } => {
                    progress.consumed = keep;
                    self.body.comment = comment;
                    if keep < text.len() {
                        progress.state = State::NeedMore;
                    }
                    break;
                }
                Piece::Nothing { next } => progress.consumed = next,
                Piece::Line { start, end, next, terminated } => {
                    let line = &text[start..end];
                    match self.odd_line(line, terminated, rule, sink) {
                        Ok(()) => progress.rows += 1,
                        Err(Stop::Pause) => {
                            progress.consumed = start;
                            progress.state = State::Paused;
                            break;
                        }
                        Err(Stop::Fault(fault)) => {
                            let error = LineError {
                                line: self.body.lines + progress.lines + 1,
                                offset: self.body.offset + start as u64,
                                text: line,
                                column: fault.at + 1,
                                reason: fault.reason,
                            };
                            if sink.reject(&error) == Flow::Stop {
                                progress.state = State::Stopped;
                            }
                        }
                    }
                    progress.consumed = next;
                }
            }
            progress.lines += 1;
            if progress.state == State::Stopped {
                break;
            }
        }
        self.body.lines += progress.lines;
        self.body.offset += progress.consumed as u64;
        progress
    }

    fn skip_comment(&mut self, text: &[u8], last: bool, progress: &mut Progress) {
        let end = memchr::memchr(b'\n', text);
        progress.consumed = end.map_or(text.len(), |end| end + 1);
        self.body.comment = end.is_none() && !last;
        progress.lines = u64::from(!self.body.comment);
    }

    /// Takes lines from `progress.consumed` on while they are as expected.
    fn expected_lines<S: RowSink>(&mut self, text: &[u8], rule: &TimeRule, sink: &mut S, progress: &mut Progress) {
        let mut at = progress.consumed;
        while let Some(rest) = text.get(at..)
            && let Some((series, key_len)) = self.expected_series(rest)
            && let Some(entry) = self.cache.series.get(series as usize)
            && let Some(layout) = self.cache.layouts.get(entry.layout as usize)
        {
            let (slot, expected) = (entry.slot, entry.layout);
            let start = at + key_len;
            let mut found = (expected, layout.slot, layout.fields.len());
            let end = match read_fields(self.dialect, layout, text, at, start, &mut self.values) {
                Some(end) => end,
                None => {
                    let index = layout.alternative;
                    let Some(layout) = self.cache.layouts.get(index as usize) else { break };
                    found = (index, layout.slot, layout.fields.len());
                    let Some(end) = read_fields(self.dialect, layout, text, at, start, &mut self.values) else { break };
                    end
                }
            };
            let Some((time, end)) = (match text.get(end) {
                Some(b' ') => time(text, end + 1, self.dialect, rule),
                _ => Some((rule.now, end)),
            }) else {
                break;
            };
            let next = match text.get(end) {
                Some(b'\n') => end + 1,
                Some(b'\r') if self.dialect == Dialect::Cnos && text.get(end + 1) == Some(&b'\n') => end + 2,
                _ => break,
            };
            let (Some(values), Some(line)) = (self.values.get(..found.2), text.get(at..end)) else { break };
            if line.len() > LINE_BYTES_MAX {
                break;
            }
            sink.row(slot, found.1, time, values, line);
            if found.0 != expected
                && let Some(entry) = self.cache.series.get_mut(series as usize)
            {
                entry.layout = found.0;
            }
            self.previous = series;
            at = next;
            progress.rows += 1;
            progress.lines += 1;
        }
        progress.consumed = at;
    }

    /// The series that `rest` begins with, and the length of its key with the space behind it.
    #[inline(always)]
    fn expected_series(&mut self, rest: &[u8]) -> Option<(u32, usize)> {
        if let Some(previous) = self.cache.series.get(self.previous as usize)
            && let Some(entry) = self.cache.series.get(previous.next as usize)
        {
            let key = self.cache.key(entry);
            if rest.starts_with(key) {
                return Some((previous.next, key.len()));
            }
        }
        self.known_series(rest)
    }

    /// The same by lookup.
    #[inline(never)]
    fn known_series(&mut self, rest: &[u8]) -> Option<(u32, usize)> {
        let len = key_end(self.dialect, rest)? + 1;
        let found = self.cache.find_series(rest.get(..len)?)?;
        if let Some(previous) = self.cache.series.get_mut(self.previous as usize) {
            previous.next = found;
        }
        Some((found, len))
    }

    /// [`Self::expected_lines`] for a last line, which has too little text behind it.
    fn expected_last_line<S: RowSink>(
        &mut self,
        text: &[u8],
        last: bool,
        rule: &TimeRule,
        sink: &mut S,
        progress: &mut Progress,
    ) {
        let start = progress.consumed;
        let Some(rest) = text.get(start..) else { return };
        if rest.is_empty() || rest.len() > LAST_LINE_BYTES_MAX || self.cache.series.is_empty() {
            return;
        }
        // Lines that end before the last window failed for another reason.
        match memchr::memchr(b'\n', rest) {
            Some(end) if end + WINDOW_BYTES < rest.len() => return,
            None if !last => return,
            _ => {}
        }
        let mut room = std::mem::take(&mut self.last_line);
        room.clear();
        room.extend_from_slice(rest);
        if last && rest.last() != Some(&b'\n') {
            room.push(b'\n');
        }
        // No key is empty, so no line is found in the padding.
        room.resize(room.len() + WINDOW_BYTES, 0);
        progress.consumed = 0;
        self.expected_lines(&room, rule, sink, progress);
        progress.consumed = start + progress.consumed.min(rest.len());
        self.last_line = room;
    }

    /// A line that was not predicted.
    fn odd_line<S: RowSink>(
        &mut self,
        line: &[u8],
        terminated: bool,
        rule: &TimeRule,
        sink: &mut S,
    ) -> Result<(), Stop> {
        let parsed = parse_line(self.dialect, line, terminated, rule).map_err(Stop::Fault)?;
        let ParsedLine { series_end, measurement, tags, fields, repeated, time } = parsed;
        // The scalar parser stopped at a space there.
        let Some(key) = line.get(..=series_end) else {
            return Err(Stop::Fault(Fault::new(series_end, LineReason::MissingFields)));
        };
        let (mut index, slot) = match self.cache.find_series(key) {
            Some(index) => (Some(index), self.cache.series[index as usize].slot),
            None => {
                let text = SeriesText { raw: &line[..series_end], measurement, tags };
                let slot = sink.series(&text)?;
                let before = self.cache.series.len();
                let index = self.cache.add_series(key, &text.measurement, slot);
                if self.cache.series.len() <= before {
                    self.previous = NONE;
                }
                (index, slot)
            }
        };
        let known =
            index.and_then(|index| self.cache.find_layout(self.cache.series[index as usize].table, &fields, repeated));
        let layout_slot = match known {
            Some(layout) => self.cache.layouts[layout as usize].slot,
            None => {
                let names: Vec<(&str, FieldKind)> =
                    fields.iter().map(|field| (field.name.as_ref(), field.kind)).collect();
                sink.layout(slot, &names)?
            }
        };
        let layout = match (index, known) {
            (_, Some(layout)) => Some(layout),
            (Some(series), None) => {
                let table = self.cache.series[series as usize].table;
                let added = self.cache.add_layout(table, &fields, repeated, layout_slot);
                if added.is_none() {
                    index = None;
                }
                added
            }
            (None, None) => None,
        };
        self.values.clear();
        self.values.extend(fields.iter().map(|field| field.value));
        sink.row(slot, layout_slot, time, &self.values, line);
        self.learn(index, layout);
        Ok(())
    }

    /// Notes what this line had, for the next time one like it is expected.
    fn learn(&mut self, series: Option<u32>, layout: Option<u32>) {
        let (Some(series), Some(layout)) = (series, layout) else {
            self.previous = NONE;
            return;
        };
        if let Some(previous) = self.cache.series.get_mut(self.previous as usize) {
            previous.next = series;
        }
        self.previous = series;
        let Some(entry) = self.cache.series.get_mut(series as usize) else { return };
        let expected = std::mem::replace(&mut entry.layout, layout);
        if expected != layout
            && let Some(expected) = self.cache.layouts.get_mut(expected as usize)
        {
            expected.alternative = layout;
        }
    }
}

/// The space that ends measurement and tags, if it stands on this line.
fn key_end(dialect: Dialect, line: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr::memchr2(b' ', b'\n', line.get(from..)?)?;
        if line.get(at) != Some(&b' ') {
            return None;
        }
        let backslashes = line.get(..at)?.iter().rev().take_while(|&&byte| byte == b'\\').count();
        let escaped = match dialect {
            Dialect::Influx => backslashes > 0,
            Dialect::Cnos => backslashes % 2 == 1,
        };
        if !escaped {
            return Some(at);
        }
        from = at + 1;
    }
}

/// Reads the fields of a line that starts at `line`, which must be those of `layout`, into the first of `values`.
/// Gives where they end.
#[inline(always)]
fn read_fields(
    dialect: Dialect,
    layout: &Layout,
    text: &[u8],
    line: usize,
    start: usize,
    values: &mut Vec<RawValue>,
) -> Option<usize> {
    if !layout.expectable {
        return None;
    }
    if values.len() < layout.fields.len() {
        values.resize(layout.fields.len(), RawValue::default());
    }
    let mut at = start;
    let mut separator = b',';
    for (field, value) in layout.fields.iter().zip(values.iter_mut()) {
        if separator != b',' {
            return None;
        }
        let window = text.get(at..)?.first_chunk::<WINDOW_BYTES>()?;
        let len = field.key.len();
        let place = if len <= VALUE_OFFSET_MAX {
            if !field.key.begins(window) {
                return None;
            }
            Place { text, line, window, start: at, offset: len }
        } else {
            if !field.key.begins_text(text.get(at..)?) {
                return None;
            }
            let window = text.get(at + len..)?.first_chunk::<WINDOW_BYTES>()?;
            Place { text, line, window, start: at + len, offset: 0 }
        };
        let (bits, end) = place.read(dialect, field.kind)?;
        *value = RawValue(bits);
        separator = *text.get(end)?;
        at = end + 1;
    }
    // What stands here, a space or the end of the line, is for the caller to judge; a comma announces another field.
    (separator != b',').then_some(at - 1)
}
