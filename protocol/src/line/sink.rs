//! What the parser gives out: series, layouts and rows, handed to a [`RowSink`].
//!
//! The parser knows text, the sink knows tables. They meet in two kinds of handles that the sink chooses and the
//! parser keeps: a [`SeriesSlot`] for a series, a [`LayoutSlot`] for an ordered list of typed fields of one table.
//! A row then is two handles, a time and one [`RawValue`] a field: nothing in it has to be looked up by name.

use std::borrow::Cow;

use super::LineError;

/// Whose rules a text follows. The two differ in escapes, duplicates, empty values, carriage returns and in how they
/// word errors; `scalar/influx.rs` and `scalar/cnos.rs` hold each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// InfluxDB 1.x: a bad line is left out, the others are written.
    Influx,
    /// CnosDB 2.4: a bad line refuses the request.
    Cnos,
}

/// The type a field value is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldKind {
    /// `-3i`
    Int,
    /// `3u`
    UInt,
    /// `1`, `-.5`, `1e3`
    Float,
    /// `t`, `True`, `FALSE`, …
    Bool,
    /// `"text"`
    String,
}

/// The sink's own handle of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SeriesSlot(pub u32);

/// The sink's own handle of (table, ordered list of (field, kind)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LayoutSlot(pub u32);

/// How a timestamp in the text becomes the table's unit, and what a missing one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRule {
    /// Applied first; a product outside the dialect's range refuses the line.
    pub multiply: i64,
    /// Applied second, truncating toward zero; at least 1.
    pub divide: i64,
    /// The time of a line that has none, already in the target unit.
    pub now: i64,
}

impl TimeRule {
    /// Timestamps stay as they stand.
    pub fn identity(now: i64) -> Self {
        Self { multiply: 1, divide: 1, now }
    }
}

/// A series the parser has no slot for, as text. Everything is valid UTF-8.
#[derive(Debug)]
pub struct SeriesText<'a> {
    /// Measurement and tags as they stand in the text, escapes and order included.
    pub raw: &'a [u8],
    /// The table, unescaped.
    pub measurement: Cow<'a, str>,
    /// Tags unescaped, sorted by the bytes of the key, without duplicates and without empty values.
    pub tags: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// One field value as parsed: the 64 bits of an `i64`, `u64`, `f64` or bool (0, 1), or where a string stands in the
/// line. Which of them it is, its field's [`FieldKind`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RawValue(pub u64);

/// Set in a string's [`RawValue`] when it holds escapes.
const ESCAPED: u64 = 1 << 63;

/// A line longer than this is refused: a string's offset and length must fit 32 and 31 bits.
pub const LINE_BYTES_MAX: usize = (1 << 31) - 1;

impl RawValue {
    /// A string of `len` bytes at `offset` of its line, quotes left out.
    pub(super) fn string(offset: usize, len: usize, escaped: bool) -> Self {
        debug_assert!(offset <= LINE_BYTES_MAX && len <= LINE_BYTES_MAX);
        let escaped = if escaped { ESCAPED } else { 0 };
        Self(offset as u64 | (len as u64) << 32 | escaped)
    }

    /// The value of a [`FieldKind::Int`] field.
    pub fn int(self) -> i64 {
        self.0.cast_signed()
    }

    /// The value of a [`FieldKind::UInt`] field.
    pub fn uint(self) -> u64 {
        self.0
    }

    /// The value of a [`FieldKind::Float`] field; always finite.
    pub fn float(self) -> f64 {
        f64::from_bits(self.0)
    }

    /// The value of a [`FieldKind::Bool`] field.
    pub fn bool(self) -> bool {
        self.0 != 0
    }

    /// A string's bytes as they stand between the quotes, and whether they hold escapes. Valid UTF-8.
    /// `line` is what [`RowSink::row`] got as `text`.
    pub fn raw_string(self, line: &[u8]) -> (&[u8], bool) {
        let start = (self.0 & 0xffff_ffff) as usize;
        let len = (self.0 >> 32 & 0x7fff_ffff) as usize;
        (line.get(start..start + len).unwrap_or_default(), self.0 & ESCAPED != 0)
    }

    /// The bytes of a [`FieldKind::String`] field, unescaped. Valid UTF-8: the parser has checked it.
    pub fn bytes(self, line: &[u8]) -> Cow<'_, [u8]> {
        let (raw, escaped) = self.raw_string(line);
        if !escaped {
            return Cow::Borrowed(raw);
        }
        let mut out = Vec::with_capacity(raw.len());
        let mut rest = raw.iter().copied().peekable();
        while let Some(byte) = rest.next() {
            match (byte, rest.peek()) {
                (b'\\', Some(&next @ (b'"' | b'\\'))) => {
                    out.push(next);
                    rest.next();
                }
                _ => out.push(byte),
            }
        }
        Cow::Owned(out)
    }

    /// The value of a [`FieldKind::String`] field.
    pub fn text(self, line: &[u8]) -> Cow<'_, str> {
        match self.bytes(line) {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }
}

/// Why a sink does not give a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Halt {
    /// The sink must first do something that waits (a schema change). Parsing stops before this line and can be
    /// called again from there.
    Pause,
    /// The line is refused for this reason; [`RowSink::reject`] is told and decides whether parsing goes on.
    Reject(String),
}

/// What follows a refused line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// The next line.
    Continue,
    /// Nothing: [`super::State::Stopped`].
    Stop,
}

/// Where rows go. The parser calls `series` and `layout` only for a line that is valid as a whole, and only when its
/// own caches do not know the slot.
pub trait RowSink {
    /// The slot of a series.
    fn series(&mut self, series: &SeriesText<'_>) -> Result<SeriesSlot, Halt>;

    /// The slot of a series that differs from `like` in the values of its tags alone: `values` are theirs, in the order
    /// in which [`RowSink::series`] got those of `like`, each plain ASCII without separators and not empty. `None`: the
    /// sink wants to be asked by [`RowSink::series`]. A slot that is given is followed by a row of it at once.
    fn sibling(&mut self, like: SeriesSlot, values: &[&[u8]]) -> Option<SeriesSlot> {
        let _ = (like, values);
        None
    }

    /// The slot of a list of fields of the table of `series`, in the order of the text. No name comes twice.
    fn layout(&mut self, series: SeriesSlot, fields: &[(&str, FieldKind)]) -> Result<LayoutSlot, Halt>;

    /// One row. `values` has one value a field of the layout; `text` is the line, which strings point into.
    fn row(&mut self, series: SeriesSlot, layout: LayoutSlot, time: i64, values: &[RawValue], text: &[u8]);

    /// A line was refused.
    fn reject(&mut self, error: &LineError<'_>) -> Flow;
}
