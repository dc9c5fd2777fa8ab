//! Numbers in their plainest form, byte by byte: what a door reads by itself where it need not ask a parser of its
//! format. Any other form is that parser's.

use super::digits::EXACT_POWERS;

/// Digits that 64 bits have room for, whatever they are: the nanoseconds of a time have as many.
const DIGITS_MAX: usize = 19;

/// A sign, digits without a 0 before others, and perhaps a point and digits behind it. It is no negative 0, of which
/// formats think differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plain {
    digits: i64,
    /// Digits behind the point, if it has one.
    fraction: Option<usize>,
}

impl Plain {
    /// The number at the start of `text`, and what is behind it.
    #[inline]
    pub(crate) fn read(text: &[u8]) -> Option<(Self, &[u8])> {
        let (is_negative, unsigned) = match text {
            [b'-', rest @ ..] => (true, rest),
            _ => (false, text),
        };
        let (mut digits, mut count) = (0_u64, 0);
        let mut read = |text: &mut &[u8]| {
            let before = count;
            while let [digit @ b'0'..=b'9', rest @ ..] = *text {
                count += 1;
                if count > DIGITS_MAX {
                    return None;
                }
                digits = digits * 10 + u64::from(digit - b'0');
                *text = rest;
            }
            (count > before).then_some(count - before)
        };
        let mut rest = unsigned;
        let whole = read(&mut rest)?;
        let fraction = match rest {
            [b'.', behind @ ..] => {
                rest = behind;
                Some(read(&mut rest)?)
            }
            _ => None,
        };
        let is_odd = whole > 1 && unsigned.starts_with(b"0") || is_negative && digits == 0;
        if is_odd || matches!(rest, [b'e' | b'E' | b'.' | b'+' | b'-', ..]) {
            return None;
        }
        let digits = i64::try_from(digits).ok()?;
        Some((Self { digits: if is_negative { -digits } else { digits }, fraction }, rest))
    }

    /// The number, if it has no point.
    #[inline]
    pub(crate) fn integer(self) -> Option<i64> {
        self.fraction.is_none().then_some(self.digits)
    }

    /// The number as a float, if what it takes to be the right one is exact.
    #[inline]
    pub(crate) fn float(self) -> Option<f64> {
        match self.fraction {
            None => Some(self.digits as f64),
            // Both are exact, so that the quotient is rounded once.
            Some(fraction) if self.digits.unsigned_abs() < 1 << 53 => {
                EXACT_POWERS.get(fraction).map(|power| self.digits as f64 / power)
            }
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_numbers_are_what_the_book_says_and_others_are_left_to_it() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut plain = 0;
        for _ in 0..200_000 {
            let text: String =
                (0..rng.usize(1..20)).map(|_| char::from(b"0123456789999.-e+"[rng.usize(..17)])).collect();
            let Some((number, b" ")) = Plain::read(format!("{text} ").as_bytes()) else { continue };
            assert_eq!(number.integer(), text.parse().ok(), "{text}");
            let Some(value) = number.float() else { continue };
            assert_eq!(text.parse().map(f64::to_bits), Ok(value.to_bits()), "{text}");
            assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
            plain += 1;
        }
        assert!(plain > 10_000, "{plain}");
        for text in ["", "-", ".5", "1.", "01", "-0", "-0.0", "1e3", "1.5e3", "1.5.", "1-", "9999999999999999999", "+1"]
        {
            assert_eq!(Plain::read(text.as_bytes()), None, "{text}");
        }
        for (text, integer) in
            [(&b"1451606400000000000"[..], 1_451_606_400_000_000_000), (b"9223372036854775807", i64::MAX)]
        {
            assert_eq!(Plain::read(text).and_then(|(number, _)| number.integer()), Some(integer));
        }
        assert_eq!(Plain::read(b"9223372036854775808"), None);
        assert_eq!(Plain::read(b"9007199254740993.5,").and_then(|(number, _)| number.float()), None);
    }
}
