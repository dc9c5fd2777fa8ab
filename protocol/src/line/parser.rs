//! The parser that predicts; see the map in `mod.rs`.
//!
//! A call goes through its text in two gaits. [`LineParser::expected_lines`] takes lines for as long as each is what
//! its series and layout make expected, a new series being expected to be a sibling of the last one (`shape.rs`); at
//! the first that is not, one line goes to the scalar parser and the caches learn from it. The readers of the first
//! gait look ahead by whole words and never past the end of their text, so the last line of a text is copied to a place
//! with room behind it: a request of one row takes the fast way too.

use super::cache::{Cache, Hashed, KEY_BYTES_EXPECTABLE, Layout, NONE};
use super::error::{Fault, LineReason};
use super::scalar::{self, ParsedLine, Stop, parse_line};
use super::shape::{Shape, TAGS_MAX};
use super::split::{Piece, Split, next_piece};
use super::value::{Place, VALUE_OFFSET_MAX, WINDOW_BYTES, time};
use super::{Dialect, LINE_BYTES_MAX, LineSink, Progress, State, TimeRule, escape};
use crate::row::{Next, Position, RawValue, SeriesRef};

/// Default bound of a parser's caches. A series of 200 bytes takes about 250, so this is some 130,000 series; a server
/// that expects more says so, since a bound below the number of live series makes every line a miss.
const CACHE_BYTES_MAX: usize = 64 << 20;

/// Work that a call does on lines that are not as expected, blank ones and comments among them, in bytes of text: such
/// a line costs some hundred nanoseconds however short it is, and a kilobyte that is decompressed can be a million of
/// them. Lines that are as expected are bounded by the text of a call, which is for the caller to choose.
const ODD_WORK_MAX: usize = 32 << 10;
/// What a line costs beside its text.
const ODD_LINE_WORK: usize = 128;

/// Longest last line that is worth its copying.
const LAST_LINE_BYTES_MAX: usize = 16 << 10;

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
    /// Room for the strings of a line that has escapes.
    strings: Vec<u8>,
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
            strings: Vec::new(),
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
    /// no text follows, so the final line may lack its newline. A call may end before the text does, and says why.
    pub fn parse<S: LineSink>(&mut self, text: &[u8], last: bool, rule: &TimeRule, sink: &mut S) -> Progress {
        let mut progress = Progress { consumed: 0, lines: 0, rows: 0, state: State::Done };
        if self.body.comment {
            self.skip_comment(text, last, &mut progress);
        }
        let mut work = 0;
        loop {
            if self.body.split.is_fresh() {
                self.expected_lines(text, rule, sink, &mut progress);
                if progress.state != State::Stopped {
                    self.expected_last_line(text, last, rule, sink, &mut progress);
                }
                if progress.state == State::Stopped {
                    break;
                }
            }
            let before = progress.consumed;
            match next_piece(self.dialect, text, before, last, &mut self.body.split) {
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
                    let number = self.body.lines + progress.lines + 1;
                    let then = match self.odd_line(line, terminated, rule, sink) {
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
                        Err(Stop::Fault(fault)) => {
                            sink.fault(&fault.in_body(number, self.body.offset + start as u64, line))
                        }
                    };
                    if then == Next::Stop {
                        progress.state = State::Stopped;
                    }
                    progress.consumed = next;
                }
            }
            progress.lines += 1;
            if progress.state == State::Stopped {
                break;
            }
            work += progress.consumed - before + ODD_LINE_WORK;
            if work >= ODD_WORK_MAX && progress.consumed < text.len() {
                progress.state = State::Yielded;
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

    /// Takes lines from `progress.consumed` on while they are as expected and the sink does not stop.
    fn expected_lines<S: LineSink>(&mut self, text: &[u8], rule: &TimeRule, sink: &mut S, progress: &mut Progress) {
        let mut at = progress.consumed;
        while let Some(rest) = text.get(at..) {
            let next = match self.expected_series(rest) {
                Ahead::Known(series, key_len) => self.known_line(text, at, key_len, series, rule, sink, progress),
                Ahead::New(key) => self.sibling_line(text, at, key, rule, sink, progress),
                Ahead::Odd => None,
            };
            let Some((next, then)) = next else { break };
            at = next;
            progress.lines += 1;
            if then == Next::Stop {
                progress.state = State::Stopped;
                break;
            }
        }
        progress.consumed = at;
    }

    /// The line at `at` of a series that is known, if it is as expected; gives where the next one begins, and whether
    /// the sink wants it.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "the parts of a place in a text, for two callers")]
    fn known_line<S: LineSink>(
        &mut self,
        text: &[u8],
        at: usize,
        key_len: usize,
        series: u32,
        rule: &TimeRule,
        sink: &mut S,
        progress: &mut Progress,
    ) -> Option<(usize, Next)> {
        let entry = self.cache.use_series(series)?;
        let (slot, expected) = (entry.slot, entry.layout);
        let line = read_line(self.dialect, &self.cache, text, at, key_len, expected, rule, &mut self.values)?;
        let layout = self.cache.layouts.get(line.layout as usize)?;
        let values = self.values.get_mut(..layout.fields.len())?;
        let row_text = row_text(text.get(at..line.end)?, layout, values, &mut self.strings);
        let then = match sink.row(slot, layout.slot, line.time, values, row_text) {
            Ok(()) => {
                progress.rows += 1;
                Next::Continue
            }
            Err(refusal) => refused(refusal, self.body.lines + progress.lines + 1, sink),
        };
        if line.layout != expected
            && let Some(entry) = self.cache.use_series(series)
        {
            entry.layout = line.layout;
        }
        self.previous = series;
        Some((line.next, then))
    }

    /// The line at `at` of a series that is new, if it differs from one that is known in the values of its tags only.
    #[inline(never)]
    fn sibling_line<S: LineSink>(
        &mut self,
        text: &[u8],
        at: usize,
        key: Hashed<'_>,
        rule: &TimeRule,
        sink: &mut S,
        progress: &mut Progress,
    ) -> Option<(usize, Next)> {
        let raw = key.key.get(..key.key.len().checked_sub(1)?)?;
        if key.key.len() > KEY_BYTES_EXPECTABLE {
            return None;
        }
        let previous = self.cache.series(self.previous).map(|(previous, _)| (previous.table, previous.layout));
        let mut values = [&[][..]; TAGS_MAX];
        let same_table = previous.and_then(|(table, layout)| {
            let shape = self.cache.shape(table)?;
            Some((shape, shape.read(raw, &mut values)?, layout))
        });
        let (shape, count, layout) = match same_table {
            Some(found) => found,
            None => {
                let shape = self.cache.shape_by_name(raw)?;
                (shape, shape.read(raw, &mut values)?, shape.layout?)
            }
        };
        let (like, table) = (shape.like, shape.table);
        let line = read_line(self.dialect, &self.cache, text, at, key.key.len(), layout, rule, &mut self.values)?;
        let layout = self.cache.layouts.get(line.layout as usize)?;
        if layout.table != table {
            return None;
        }
        let row_values = self.values.get_mut(..layout.fields.len())?;
        let row_text = row_text(text.get(at..line.end)?, layout, row_values, &mut self.strings);
        let slot = sink.sibling(like, values.get(..count)?)?;
        let then = match sink.row(slot, layout.slot, line.time, row_values, row_text) {
            Ok(()) => {
                progress.rows += 1;
                Next::Continue
            }
            Err(refusal) => refused(refusal, self.body.lines + progress.lines + 1, sink),
        };
        let series = self.cache.add_series(key, table, slot);
        self.follow(series.unwrap_or(NONE));
        if let Some(entry) = series.and_then(|series| self.cache.use_series(series)) {
            entry.layout = line.layout;
        }
        Some((line.next, then))
    }

    /// The series that `rest` begins with.
    #[inline(always)]
    fn expected_series<'t>(&mut self, rest: &'t [u8]) -> Ahead<'t> {
        if let Some((previous, _)) = self.cache.series(self.previous)
            && let Some((_, key)) = self.cache.series(previous.next)
            && rest.starts_with(key)
        {
            return Ahead::Known(previous.next, key.len());
        }
        self.looked_up_series(rest)
    }

    /// The same by lookup.
    #[inline(never)]
    fn looked_up_series<'t>(&mut self, rest: &'t [u8]) -> Ahead<'t> {
        let Some(key) = key_end(self.dialect, rest).and_then(|end| rest.get(..=end)) else { return Ahead::Odd };
        let key = self.cache.hashed(key);
        let Some(found) = self.cache.find_series(key) else { return Ahead::New(key) };
        if let Some(previous) = self.cache.use_series(self.previous) {
            previous.next = found;
        }
        Ahead::Known(found, key.key.len())
    }

    /// Notes that `series`, or one that is not kept, came after the previous one.
    fn follow(&mut self, series: u32) {
        if let Some(previous) = self.cache.use_series(self.previous).filter(|_| series != NONE) {
            previous.next = series;
        }
        self.previous = series;
    }

    /// [`Self::expected_lines`] for a last line, which has too little text behind it.
    fn expected_last_line<S: LineSink>(
        &mut self,
        text: &[u8],
        last: bool,
        rule: &TimeRule,
        sink: &mut S,
        progress: &mut Progress,
    ) {
        let start = progress.consumed;
        let Some(rest) = text.get(start..) else { return };
        if rest.is_empty() || rest.len() > LAST_LINE_BYTES_MAX || self.cache.has_no_series() {
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
    fn odd_line<S: LineSink>(
        &mut self,
        line: &[u8],
        terminated: bool,
        rule: &TimeRule,
        sink: &mut S,
    ) -> Result<(), Stop<S::Refusal>> {
        let parsed = parse_line(self.dialect, line, terminated, rule).map_err(Stop::Fault)?;
        let ParsedLine { series_end, measurement, tags, fields, repeated, time } = parsed;
        // The scalar parser stopped at a space there.
        let Some(key) = line.get(..=series_end) else {
            return Err(Stop::Fault(Fault::new(series_end, LineReason::MissingFields)));
        };
        let key = self.cache.hashed(key);
        let found = self.cache.find_series(key).and_then(|index| Some((index, self.cache.series(index)?.0)));
        let (mut index, slot, table) = match found {
            Some((index, series)) => (Some(index), series.slot, series.table),
            None => {
                let slot = sink.series(SeriesRef { table: &measurement, tags: &scalar::tags_ref(&tags) })?;
                let (table, forgotten) = self.cache.add_table(&measurement);
                if forgotten {
                    self.previous = NONE;
                }
                if let Some(shape) = Shape::of(&line[..series_end], &tags, slot, table) {
                    self.cache.set_shape(table, shape);
                }
                (self.cache.add_series(key, table, slot), slot, table)
            }
        };
        let known = self.cache.find_layout(table, &fields, repeated);
        let layout_slot = match known {
            Some(layout) => self.cache.layouts[layout as usize].slot,
            None => sink.layout(slot, &scalar::names(&fields))?,
        };
        let layout = known.or_else(|| {
            let added = self.cache.add_layout(table, &fields, repeated, layout_slot);
            if added.is_none() {
                index = None;
            }
            added
        });
        let text = scalar::values_of(&fields, line, &mut self.values, &mut self.strings);
        let taken = sink.row(slot, layout_slot, time, &self.values, text);
        self.learn(index, layout);
        taken.map_err(Stop::Refused)
    }

    /// Notes what this line had, for the next time one like it is expected.
    fn learn(&mut self, series: Option<u32>, layout: Option<u32>) {
        let (Some(series), Some(layout)) = (series, layout) else {
            self.previous = NONE;
            return;
        };
        self.follow(series);
        let Some(entry) = self.cache.use_series(series) else { return };
        let expected = std::mem::replace(&mut entry.layout, layout);
        let table = entry.table;
        self.cache.expect_layout(table, layout);
        if expected != layout
            && let Some(expected) = self.cache.layouts.get_mut(expected as usize)
        {
            expected.alternative = layout;
        }
    }
}

/// Tells the sink at which line the row stands that it has refused.
#[cold]
#[inline(never)]
fn refused<S: LineSink>(refusal: S::Refusal, line: u64, sink: &mut S) -> Next {
    sink.refuse(Position::Line(line), refusal)
}

/// What the next line begins with.
enum Ahead<'t> {
    /// A known series and the length of its key, with the space behind it.
    Known(u32, usize),
    /// A key that no known series has.
    New(Hashed<'t>),
    /// No key that ends on the line.
    Odd,
}

/// What stands behind a key.
struct LineRest {
    layout: u32,
    time: i64,
    /// Where the line ends.
    end: usize,
    /// Where the next one begins.
    next: usize,
}

/// Reads fields, time and end of the line at `at`, which must have the layout `expected` or its alternative; the values
/// become the first of `values`.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "the parts of a parser and of a place in a text, each used once")]
fn read_line(
    dialect: Dialect,
    cache: &Cache,
    text: &[u8],
    at: usize,
    key_len: usize,
    expected: u32,
    rule: &TimeRule,
    values: &mut Vec<RawValue>,
) -> Option<LineRest> {
    let start = at + key_len;
    let layout = cache.layouts.get(expected as usize)?;
    let (found, end) = match read_fields(dialect, layout, text, at, start, values) {
        Some(end) => (expected, end),
        None => {
            let index = layout.alternative;
            let layout = cache.layouts.get(index as usize)?;
            (index, read_fields(dialect, layout, text, at, start, values)?)
        }
    };
    let (time, end) = match text.get(end) {
        Some(b' ') => time(text, end + 1, dialect, rule)?,
        _ => (rule.now, end),
    };
    let next = match text.get(end) {
        Some(b'\n') => end + 1,
        Some(b'\r') if dialect == Dialect::Cnos && text.get(end + 1) == Some(&b'\n') => end + 2,
        _ => return None,
    };
    (end - at <= LINE_BYTES_MAX).then_some(LineRest { layout: found, time, end, next })
}

/// What the strings among the values of a line, `text`, are places in from now on.
#[inline(always)]
fn row_text<'t>(text: &'t [u8], layout: &Layout, values: &mut [RawValue], strings: &'t mut Vec<u8>) -> &'t [u8] {
    match layout.has_strings {
        true => escape::without_escapes(layout.fields.iter().map(|field| field.kind), values, text, strings),
        false => text,
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
