//! The parser that predicts; see the map in `mod.rs`.

use super::cache::{Cache, NONE};
use super::error::{Fault, LineReason};
use super::scalar::{ParsedLine, Stop, parse_line};
use super::split::{Piece, Split, next_piece};
use super::{Dialect, FieldKind, Flow, LineError, RawValue, RowSink, SeriesText, TimeRule};

/// Default bound of a parser's caches. A series of 200 bytes takes about 250, so this is some 130,000 series; a server
/// that expects more says so, since a bound below the number of live series makes every line a miss.
const CACHE_BYTES_MAX: usize = 64 << 20;

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
    /// What has been read of a line whose end is not there yet.
    split: Split,
    /// The text so far ended inside a comment.
    comment: bool,
    lines: u64,
    offset: u64,
    values: Vec<RawValue>,
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
            split: Split::default(),
            comment: false,
            lines: 0,
            offset: 0,
            values: Vec::new(),
        }
    }

    /// A new body begins: lines and offsets count from its start, and what was left of the one before is dropped.
    pub fn begin(&mut self) {
        self.split = Split::default();
        self.comment = false;
        self.lines = 0;
        self.offset = 0;
    }

    /// Drops the caches. The sink's slots may become meaningless.
    pub fn forget(&mut self) {
        self.cache.forget();
        self.previous = NONE;
    }

    /// Memory that the caches hold.
    pub fn cache_bytes(&self) -> usize {
        self.cache.bytes()
    }

    /// Parses the complete lines of `text`, which goes on where the last call's consumed bytes ended. `last` says that
    /// no text follows, so the final line may lack its newline.
    pub fn parse<S: RowSink>(&mut self, text: &[u8], last: bool, rule: &TimeRule, sink: &mut S) -> Progress {
        let mut progress = Progress { consumed: 0, lines: 0, rows: 0, state: State::Done };
        if self.comment {
            self.skip_comment(text, last, &mut progress);
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
                                line: self.lines + progress.lines + 1,
                                offset: self.offset + start as u64,
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
        self.lines += progress.lines;
        self.offset += progress.consumed as u64;
        progress
    }

    fn skip_comment(&mut self, text: &[u8], last: bool, progress: &mut Progress) {
        let end = memchr::memchr(b'\n', text);
        progress.consumed = end.map_or(text.len(), |end| end + 1);
        self.comment = end.is_none() && !last;
        progress.lines = u64::from(!self.comment);
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
