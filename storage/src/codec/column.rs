//! One field's block: which rows have a value, then the values.
//!
//! ```text
//! kind u8 | validity u8 | 6 zeros        kind: 0 words, 1 floats, 2 bits, 3 text, 4 nothing (all rows null)
//! validity bitmap, if validity = 1
//! the values of all rows; at null rows a value that packs well
//! ```
//!
//! Nulls keep their place, so a row's position is the same in every column of a group; a run of nulls repeats the
//! value before it, which differences store in no space.

use std::borrow::Cow;
use std::ops::Range;

use super::integer::{self, Scratch};
use super::text::{self, Text, TextBlock};
use super::{CodecPreference, Cursor, Damaged, Decoded, Effort, Transform, bitmap, float};
use crate::batch::{Strings, Values};
use crate::schema::FieldType;
use crate::work;

/// Work to encode a value.
const UNITS_PER_VALUE: u64 = 30;

pub(super) const WORDS: u8 = 0;
pub(super) const FLOATS: u8 = 1;
pub(super) const BITS: u8 = 2;
pub(super) const TEXT: u8 = 3;
pub(super) const NOTHING: u8 = 4;

/// Memory and hints that encoders keep from block to block of one column.
#[derive(Debug, Default)]
pub struct Encoder {
    effort: Effort,
    preference: CodecPreference,
    integers: Scratch,
    floats: float::Search,
    words: Vec<u64>,
}

impl Encoder {
    /// An encoder that takes its time, or not.
    pub fn new(effort: Effort) -> Self {
        let mut encoder = Self { effort, ..Self::default() };
        encoder.set_preference(CodecPreference::default());
        encoder
    }

    /// What is asked of the blocks that follow.
    pub fn set_preference(&mut self, preference: CodecPreference) {
        self.preference = preference;
        let effort = preference.effort.unwrap_or(self.effort);
        self.floats.effort = effort;
        self.integers.effort = effort;
    }

    /// Takes up what a column's earlier blocks have taught. Hints of one column mislead another.
    pub(crate) fn set_hints(&mut self, hints: float::Hints) {
        self.floats.hints = hints;
    }

    /// What the last blocks have taught.
    pub(crate) fn hints(&self) -> float::Hints {
        self.floats.hints
    }

    /// Integers outside of fields (series ids, times) share the scratch.
    pub(crate) fn integers(&mut self) -> &mut Scratch {
        &mut self.integers
    }

    /// Appends the block of `values`. `validity`, where given, has a bit for each row.
    pub fn encode(&mut self, values: &Values, validity: Option<&[u64]>, out: &mut Vec<u8>) {
        let mut text = self.begin(values, validity, out);
        while text.as_mut().is_some_and(|text| !text.step()) {}
        self.end(text, out);
    }

    /// The same up to what of strings may take long: that is what comes back, to be given to [`Encoder::end`] when its
    /// steps are done.
    pub(crate) fn begin<'a>(
        &mut self,
        values: &'a Values,
        validity: Option<&[u64]>,
        out: &mut Vec<u8>,
    ) -> Option<TextBlock<'a>> {
        // Lengths and codes of strings are packed as samples say, whatever is asked for.
        if !matches!(values, Values::String(_)) {
            self.integers.transform = self.preference.transform;
        }
        let text = self.encode_block(values, validity, out);
        self.integers.transform = Transform::Sampled;
        text
    }

    /// Appends the rest of a block.
    pub(crate) fn end(&mut self, text: Option<TextBlock<'_>>, out: &mut Vec<u8>) {
        if let Some(text) = text {
            text.put(&mut self.integers, out);
        }
    }

    fn encode_block<'a>(
        &mut self,
        values: &'a Values,
        validity: Option<&[u64]>,
        out: &mut Vec<u8>,
    ) -> Option<TextBlock<'a>> {
        work::charge_each(values.len(), UNITS_PER_VALUE);
        let rows = values.len();
        let present = validity.map_or(rows, |bits| bitmap::count(bits, rows));
        let validity = validity.filter(|_| present < rows);
        let kind = match values {
            _ if present == 0 => NOTHING,
            Values::Int(_) | Values::UInt(_) => WORDS,
            Values::Float(_) => FLOATS,
            Values::Bool(_) => BITS,
            Values::String(_) => TEXT,
        };
        let with_validity = validity.is_some() && kind != NOTHING;
        out.extend_from_slice(&[kind, u8::from(with_validity), 0, 0, 0, 0, 0, 0]);
        if kind == NOTHING {
            return None;
        }
        if let Some(bits) = validity {
            bitmap::encode(bits, rows, out);
        }
        let words = &mut self.words;
        words.clear();
        match values {
            Values::Int(v) => words.extend(v.iter().map(|v| *v as u64)),
            Values::UInt(v) => words.extend_from_slice(v),
            Values::Float(v) => words.extend(v.iter().map(|v| v.to_bits())),
            Values::Bool(v) => {
                words.extend(v.chunks(64).map(|bytes| {
                    bytes.iter().enumerate().fold(0, |word, (i, byte)| word | u64::from(*byte != 0) << i)
                }));
                match self.preference.transform {
                    Transform::Bits | Transform::Stored => bitmap::encode_words(words, rows, out),
                    _ => bitmap::encode(words, rows, out),
                }
                return None;
            }
            Values::String(strings) => {
                let strings = match validity {
                    None => Cow::Borrowed(strings),
                    Some(bits) => Cow::Owned(without_nulls(strings, bits)),
                };
                let is_stored = matches!(self.preference.transform, Transform::Stored);
                return Some(TextBlock::new(strings, (!is_stored).then_some(self.floats.effort)));
            }
        }
        if let Some(bits) = validity {
            repeat_over_nulls(words, bits);
        }
        if kind == FLOATS {
            float::encode(words, &mut self.floats, &mut self.integers, out);
        } else {
            integer::encode(words, &mut self.integers, out);
        }
        None
    }
}

/// Whether `row` has a value.
pub(crate) fn is_valid(bits: &[u64], row: usize) -> bool {
    bits.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
}

fn repeat_over_nulls(words: &mut [u64], bits: &[u64]) {
    let first = (0..words.len()).find(|row| is_valid(bits, *row)).unwrap_or(0);
    let mut previous = words.get(first).copied().unwrap_or(0);
    for (row, word) in words.iter_mut().enumerate() {
        if is_valid(bits, row) {
            previous = *word;
        } else {
            *word = previous;
        }
    }
}

/// Null rows as the empty string, whatever stood there.
fn without_nulls(strings: &Strings, bits: &[u64]) -> Strings {
    let mut kept = Strings { ends: Vec::with_capacity(strings.ends.len()), bytes: Vec::new() };
    let mut start = 0;
    for (row, end) in strings.ends.iter().enumerate() {
        if is_valid(bits, row) {
            kept.bytes.extend_from_slice(&strings.bytes[start as usize..*end as usize]);
        }
        kept.ends.push(kept.bytes.len() as u32);
        start = *end;
    }
    kept
}

/// Values of some rows of one field.
#[derive(Debug, PartialEq, Eq)]
pub enum Column {
    /// i64, u64 or the bits of f64.
    Words(Vec<u64>),
    /// Booleans, one bit a row.
    Bits(Vec<u64>),
    /// Strings.
    Text(Text),
    /// Every row is null.
    Nothing,
}

impl Column {
    /// Memory of the values.
    pub(crate) fn bytes(&self) -> u64 {
        let bytes = match self {
            Self::Words(words) | Self::Bits(words) => words.len() * 8,
            Self::Text(text) => text.bytes.len() + text.offsets.len() * 4,
            Self::Nothing => 0,
        };
        bytes as u64
    }

    /// Leaves the rows `ranges`, ascending and apart; others close up.
    pub(crate) fn keep(&mut self, ranges: &[Range<usize>]) {
        match self {
            Self::Nothing => {}
            Self::Words(words) => {
                let mut kept = 0;
                for range in ranges {
                    words.copy_within(range.clone(), kept);
                    kept += range.len();
                }
                words.truncate(kept);
            }
            Self::Bits(bits) => *bits = bitmap::keep(bits, ranges),
            Self::Text(text) => {
                let mut kept = Text { offsets: vec![0], bytes: Vec::new() };
                for range in ranges {
                    let (from, to) = (text.offsets[range.start], text.offsets[range.end]);
                    let shift = from - kept.bytes.len() as i32;
                    kept.offsets.extend(text.offsets[range.start + 1..=range.end].iter().map(|end| end - shift));
                    kept.bytes.extend_from_slice(&text.bytes[from as usize..to as usize]);
                }
                *text = kept;
            }
        }
    }
}

/// A column, and which of its rows have a value if some have none.
pub type Nullable = (Column, Option<Vec<u64>>);

/// The rows `wanted` of a block of `total` rows of type `kind`.
pub fn decode(bytes: &[u8], kind: FieldType, total: usize, wanted: Range<usize>) -> Decoded<Nullable> {
    if wanted.end > total || wanted.start > wanted.end {
        return Err(Damaged("rows wanted past the end of a block"));
    }
    let mut cursor = Cursor::new(bytes);
    let (stored, with_validity) = read_kind(&mut cursor, kind)?;
    let rows = wanted.len();
    work::charge_each(rows, work::LOOK);
    let validity = match with_validity {
        false => None,
        true => Some(bitmap::slice(&bitmap::decode(&mut cursor, total)?, wanted.start, rows)),
    };
    let mut words = Vec::new();
    let column = match stored {
        NOTHING => Column::Nothing,
        BITS => Column::Bits(bitmap::slice(&bitmap::decode(&mut cursor, total)?, wanted.start, rows)),
        TEXT => {
            let text = text::decode(&mut cursor, total, wanted)?;
            work::charge(text.bytes.len() as u64);
            Column::Text(text)
        }
        FLOATS => {
            float::decode(&mut cursor, total, wanted, &mut words)?;
            Column::Words(words)
        }
        _ => {
            integer::decode(&mut cursor, total, wanted, &mut words)?;
            Column::Words(words)
        }
    };
    Ok((column, validity))
}

/// The ascending `rows` of a block of `total` rows of type `kind`; numbers without nulls cost less than all rows.
pub fn pick(bytes: &[u8], kind: FieldType, total: usize, rows: &[u32]) -> Decoded<Nullable> {
    let mut cursor = Cursor::new(bytes);
    let mut words = Vec::with_capacity(rows.len());
    match read_kind(&mut cursor, kind)? {
        (WORDS, false) => integer::pick(&mut cursor, total, rows, &mut words)?,
        (FLOATS, false) => float::pick(&mut cursor, total, rows, &mut words)?,
        _ => {
            if rows.last().is_some_and(|last| *last as usize >= total) {
                return Err(Damaged("rows wanted past the end of a block"));
            }
            let ranges: Vec<Range<usize>> = rows.iter().map(|row| *row as usize..*row as usize + 1).collect();
            let (mut column, validity) = decode(bytes, kind, total, 0..total)?;
            column.keep(&ranges);
            return Ok((column, validity.map(|bits| bitmap::keep(&bits, &ranges))));
        }
    }
    Ok((Column::Words(words), None))
}

/// What a block holds, which must suit a column of type `kind`, and whether a validity bitmap comes first.
fn read_kind(cursor: &mut Cursor<'_>, kind: FieldType) -> Decoded<(u8, bool)> {
    let [stored, with_validity, ..] = cursor.array::<8>()?;
    let expected = match kind {
        FieldType::Int | FieldType::UInt => WORDS,
        FieldType::Float => FLOATS,
        FieldType::Bool => BITS,
        FieldType::String => TEXT,
    };
    if stored != expected && stored != NOTHING || with_validity > 1 {
        return Err(Damaged("block is of another type than its column"));
    }
    Ok((stored, with_validity == 1 && stored != NOTHING))
}
