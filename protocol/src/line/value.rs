//! Field values and times by the kind that is expected. A reader gives what the scalar parser would give and where it
//! ends, or `None`: then the scalar parser judges the line. Nothing here reports faults, and the byte behind a value
//! is for the caller to check.

use super::decimal;
use super::{Dialect, LINE_BYTES_MAX, TimeRule, escape, number};
use crate::bytescan::digits::{self, Word};
use crate::row::FieldKind;

/// Bytes of text that are looked at together: a key and the start of its value.
pub(super) const WINDOW_BYTES: usize = 64;

/// Greatest offset of a value in its window, so that a sign and eight digits follow inside it without a check.
pub(super) const VALUE_OFFSET_MAX: usize = 30;

/// A place in the text where a value is expected.
#[derive(Clone, Copy)]
pub(super) struct Place<'t> {
    pub(super) text: &'t [u8],
    /// Where the line starts in the text.
    pub(super) line: usize,
    /// The bytes from `start` of the text on.
    pub(super) window: &'t [u8; WINDOW_BYTES],
    pub(super) start: usize,
    /// Where in the window the value stands, at most [`VALUE_OFFSET_MAX`].
    pub(super) offset: usize,
}

/// A float64's sign.
const SIGN: u64 = 1 << 63;

/// The bits of a value and where in the text the value ends.
pub(super) type Found = Option<(u64, usize)>;

impl Place<'_> {
    /// Eight bytes of the window.
    #[inline(always)]
    fn word(&self, offset: usize) -> Word {
        // The mask changes nothing and lets the compiler see that no check is needed.
        let offset = offset & (VALUE_OFFSET_MAX + 1);
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.window[offset..offset + 8]);
        Word::new(bytes)
    }

    #[inline(always)]
    fn first(&self) -> u8 {
        self.window[self.offset & (VALUE_OFFSET_MAX + 1)]
    }

    /// Reads a value of `kind`.
    #[inline(always)]
    pub(super) fn read(self, dialect: Dialect, kind: FieldKind) -> Found {
        match kind {
            FieldKind::Int => self.int(),
            FieldKind::Float => self.float(dialect),
            FieldKind::UInt => self.uint(),
            FieldKind::Bool => self.bool(),
            FieldKind::String => self.string(dialect),
        }
    }

    #[inline(always)]
    fn int(self) -> Found {
        // A sign is not looked for before digits are: where the digits start would wait for its answer.
        if let Some(found) = self.short_whole(self.offset, b'i') {
            return Some(found);
        }
        self.other_int()
    }

    #[inline(never)]
    fn other_int(self) -> Found {
        let negative = self.first() == b'-';
        let offset = self.offset + usize::from(negative);
        let found = self.short_whole(offset, b'i');
        let (value, end) = found.or_else(|| long_whole(self.text, self.start + offset, b'i'))?;
        let value = if negative { value.wrapping_neg() } else { value };
        // Zero aside, a value with the wrong sign has overflowed.
        (value == 0 || (value.cast_signed() < 0) == negative).then_some((value, end))
    }

    #[inline(always)]
    fn uint(self) -> Found {
        match self.short_whole(self.offset, b'u') {
            Some(found) => Some(found),
            None => long_whole(self.text, self.start + self.offset, b'u'),
        }
    }

    /// Up to seven digits and `suffix`.
    #[inline(always)]
    fn short_whole(self, offset: usize, suffix: u8) -> Found {
        let word = self.word(offset);
        let count = word.digits();
        ((1..8).contains(&count) && word.byte(count) == suffix)
            .then(|| (word.number(count), self.start + offset + count as usize + 1))
    }

    #[inline(always)]
    fn float(self, dialect: Dialect) -> Found {
        match self.plain_float(self.offset) {
            Some(found) => Some(found),
            None => self.other_float(dialect),
        }
    }

    #[inline(never)]
    fn other_float(self, dialect: Dialect) -> Found {
        if self.first() == b'-'
            && let Some((bits, end)) = self.plain_float(self.offset + 1)
        {
            return Some((bits | SIGN, end));
        }
        odd_float(dialect, self.text, self.start + self.offset)
    }

    /// A float without sign, with one to seven digits before the point and not more than 19 in all.
    #[inline(always)]
    fn plain_float(self, offset: usize) -> Found {
        let word = self.word(offset);
        let whole = word.digits();
        if !(1..8).contains(&whole) {
            return None;
        }
        let after = word.byte(whole);
        let start = self.start + offset;
        if after != b'.' {
            return is_separator(after).then(|| ((word.number(whole) as f64).to_bits(), start + whole as usize));
        }
        // Without its point, a number of up to six digits lies in the word together with the byte behind it.
        let joined = word.without(whole);
        let count = joined.digits();
        if count < 7 && count > whole && is_separator(joined.byte(count)) {
            let value = decimal::divide_small(joined.number(count), count - whole);
            return Some((value.to_bits(), start + count as usize + 1));
        }
        fraction(self.text, start + whole as usize + 1, word.number(whole), whole)
    }

    #[inline(always)]
    fn bool(self) -> Found {
        // The longest spelling is `false`.
        let token = self.window.get(self.offset..self.offset + 6)?;
        let len = token.iter().position(|&byte| is_separator(byte))?;
        let value = number::boolean(token.get(..len)?)?;
        Some((u64::from(value), self.start + self.offset + len))
    }

    #[inline(always)]
    fn string(self, dialect: Dialect) -> Found {
        if self.first() != b'"' {
            return None;
        }
        let start = self.start + self.offset + 1;
        let rest = self.text.get(start..)?;
        let mut close = memchr::memchr2(b'"', b'\\', rest)?;
        let mut escaped = false;
        while rest.get(close) == Some(&b'\\') {
            escaped = true;
            let next = *rest.get(close + 1)?;
            if dialect == Dialect::Cnos && !matches!(next, b'"' | b'\\' | b'\'') {
                return None;
            }
            close += 2 + memchr::memchr2(b'"', b'\\', rest.get(close + 2..)?)?;
        }
        let value = rest.get(..close)?;
        if !value.is_ascii() && std::str::from_utf8(value).is_err() {
            return None;
        }
        let offset = start - self.line;
        if offset + close > LINE_BYTES_MAX {
            return None;
        }
        Some((escape::string(offset, close, escaped).0, start + close + 1))
    }
}

/// Digits and `suffix`.
#[inline(never)]
fn long_whole(text: &[u8], start: usize, suffix: u8) -> Found {
    let digits = digits::read(text, start, 0, 0)?;
    let end = start + digits.count as usize;
    (digits.count > 0 && text.get(end) == Some(&suffix)).then_some((digits.value, end + 1))
}

/// A float of up to 19 digits whose digits behind the point stand at `start`; before it were `whole`, `count` digits.
#[inline(always)]
fn fraction(text: &[u8], start: usize, whole: u64, count: u32) -> Found {
    let digits = digits::read(text, start, whole, count)?;
    let end = start + (digits.count - count) as usize;
    if !is_separator(*text.get(end)?) {
        return None;
    }
    let value = decimal::divide(digits.value, digits.count - count)?;
    Some((value.to_bits(), end))
}

/// Any other float at `start`: with an exponent, with many digits, on the edge of rounding.
#[inline(never)]
fn odd_float(dialect: Dialect, text: &[u8], start: usize) -> Found {
    let rest = text.get(start..)?;
    let len = rest.iter().position(|&byte| is_separator(byte))?;
    let token = rest.get(..len)?;
    let (kind, bits) = match dialect {
        Dialect::Influx => number::influx_number(token).ok()?,
        Dialect::Cnos if matches!(token.first(), Some(b'0'..=b'9' | b'+' | b'-')) => number::cnos_number(token)?,
        Dialect::Cnos => return None,
    };
    (kind == FieldKind::Float).then_some((bits, start + len))
}

/// Whether a field value can end before `byte`.
#[inline(always)]
pub(super) fn is_separator(byte: u8) -> bool {
    matches!(byte, b',' | b' ' | b'\n')
}

/// The timestamp at `at`, scaled, and where it ends.
#[inline(always)]
pub(super) fn time(text: &[u8], at: usize, dialect: Dialect, rule: &TimeRule) -> Option<(i64, usize)> {
    let negative = text.get(at) == Some(&b'-');
    let start = at + usize::from(negative);
    let digits = digits::read(text, start, 0, 0)?;
    // What is reserved or out of range is not below this.
    if digits.count == 0 || digits.value > i64::MAX.cast_unsigned() - 2 {
        return None;
    }
    let value = digits.value.cast_signed();
    let value = if negative { -value } else { value };
    let time = if rule.multiply == 1 && rule.divide == 1 { value } else { rule.scale(dialect, value)? };
    Some((time, start + digits.count as usize))
}
