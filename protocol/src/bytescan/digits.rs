//! Decimal digits, eight at a time in an ordinary register.
//!
//! Text is loaded little-endian, so the first byte is the lowest and "the digits before the first other byte" is a
//! count of trailing zero bits:
//!
//! 1. `word ^ 0x3030…` turns digits into 0..=9. A byte is no digit when it, or it plus 6, has a bit in its upper half.
//!    A carry out of such a byte can only spoil bytes above it, which do not matter then.
//! 2. Shifting the word left moves its first `count` digits to the top and fills with zeros below, so a number of any
//!    length becomes one of eight digits.
//! 3. Neighbouring digits, then pairs, then fours are joined by multiplications.

/// Powers of ten by exponent, as far as 64 bits hold them.
pub(crate) const POWERS: [u64; 20] = {
    let mut powers = [1; 20];
    let mut exponent = 1;
    while exponent < powers.len() {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
};

/// Powers of ten that float64 holds exactly.
pub(crate) const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// Eight bytes of text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word(u64);

impl Word {
    /// From text in memory order.
    #[inline(always)]
    pub(crate) fn new(bytes: [u8; 8]) -> Self {
        Self(u64::from_le_bytes(bytes))
    }

    /// How many digits it begins with.
    #[inline(always)]
    pub(crate) fn digits(self) -> u32 {
        let values = self.0 ^ 0x3030_3030_3030_3030;
        let others = (values | values.wrapping_add(0x0606_0606_0606_0606)) & 0xf0f0_f0f0_f0f0_f0f0;
        others.trailing_zeros() / 8
    }

    /// The byte at `index`, which is less than 8.
    #[inline(always)]
    pub(crate) fn byte(self, index: u32) -> u8 {
        debug_assert!(index < 8);
        (self.0 >> ((index * 8) & 63)) as u8
    }

    /// The word without the byte at `index`, which is less than 8; a zero byte comes in at the end.
    #[inline(always)]
    pub(crate) fn without(self, index: u32) -> Self {
        let below = (1u64 << ((index * 8) & 63)) - 1;
        Self((self.0 & below) | ((self.0 >> 8) & !below))
    }

    /// The number that its first `count` bytes are, which must be digits; `count` is 1 to 8.
    #[inline(always)]
    pub(crate) fn number(self, count: u32) -> u64 {
        debug_assert!((1..=8).contains(&count));
        let values = (self.0 ^ 0x3030_3030_3030_3030) << (64u32.wrapping_sub(8 * count) & 63);
        let pairs = values.wrapping_mul(10).wrapping_add(values >> 8);
        let mask = 0x0000_00ff_0000_00ff;
        let even = (pairs & mask).wrapping_mul(100 + (1_000_000 << 32));
        let odd = ((pairs >> 16) & mask).wrapping_mul(1 + (10_000 << 32));
        even.wrapping_add(odd) >> 32
    }
}

/// A number read from text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digits {
    pub(crate) value: u64,
    /// How many digits there were.
    pub(crate) count: u32,
}

/// The digits at `at`, joined to `before`, which has `count_before` digits. `None` when there are more than 19 in all,
/// or when they go on to within 8 bytes of the end of the text.
#[inline(always)]
pub(crate) fn read(text: &[u8], mut at: usize, before: u64, count_before: u32) -> Option<Digits> {
    let mut digits = Digits { value: before, count: count_before };
    loop {
        let word = Word::new(*text.get(at..)?.first_chunk()?);
        let count = word.digits();
        digits.count += count;
        if digits.count > 19 {
            return None;
        }
        if count > 0 {
            digits.value = digits.value.wrapping_mul(*POWERS.get(count as usize)?).wrapping_add(word.number(count));
        }
        if count < 8 {
            return Some(digits);
        }
        at += 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_byte_by_byte() {
        for seed in [1, 2, 3] {
            let mut rng = fastrand::Rng::with_seed(seed);
            for _ in 0..20_000 {
                let alphabet: &[u8] = if rng.bool() { b"0123456789" } else { b"0123456789/:.,i -\n\xff\x00" };
                let text: [u8; 32] = std::array::from_fn(|_| alphabet[rng.usize(..alphabet.len())]);
                let word = Word::new(*text.first_chunk().unwrap_or(&[0; 8]));
                let count = text[..8].iter().take_while(|byte| byte.is_ascii_digit()).count();
                assert_eq!(word.digits() as usize, count, "seed {seed}: {text:?}");
                let number = |text: &[u8]| std::str::from_utf8(text).ok().and_then(|text| text.parse::<u64>().ok());
                if count > 0 {
                    assert_eq!(Some(word.number(count as u32)), number(&text[..count]), "seed {seed}: {text:?}");
                }
                for index in 0..8 {
                    assert_eq!(word.byte(index), text[index as usize]);
                    let mut left = text[..8].to_vec();
                    left.remove(index as usize);
                    left.push(0);
                    let without = word.without(index);
                    assert_eq!((0..8).map(|at| without.byte(at)).collect::<Vec<_>>(), left);
                }
                let all = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
                let expected = if all > 19 {
                    None
                } else {
                    Some(Digits { value: number(&text[..all]).unwrap_or(0), count: all as u32 })
                };
                assert_eq!(read(&text, 0, 0, 0), expected, "seed {seed}: {text:?}");
            }
        }
        assert_eq!(read(b"1234567", 0, 0, 0), None);
        assert_eq!(read(b"12 45678", 2, 7, 1), None);
    }
}
