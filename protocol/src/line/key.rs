//! Field keys, kept so that text can be compared with them in a few words.
//!
//! A key with its `=` is kept as four words that together cover it: for up to 16 bytes the first and the last eight,
//! for up to 30 also the two in between. Where they overlap they check the same byte twice, which costs nothing. A
//! shorter key than a word is compared under a mask; a longer one than 30 bytes byte by byte.

use super::value::{VALUE_OFFSET_MAX, WINDOW_BYTES};

const WORD_BYTES: usize = 8;

/// The raw text of a field key with its `=`.
#[derive(Debug)]
pub(super) struct FieldKey {
    words: [u64; 4],
    /// For keys below a word: the bytes that count.
    mask: u64,
    text: Box<[u8]>,
}

/// The word of `bytes` at `at`, zeros behind the end.
fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; WORD_BYTES];
    for (slot, &byte) in word.iter_mut().zip(bytes.get(at..).unwrap_or_default()) {
        *slot = byte;
    }
    u64::from_le_bytes(word)
}

impl FieldKey {
    pub(super) fn new(key: &[u8]) -> Self {
        let text = [key, b"="].concat().into_boxed_slice();
        let len = text.len();
        let last = len.saturating_sub(WORD_BYTES);
        let words =
            [word(&text, 0), word(&text, last), word(&text, WORD_BYTES), word(&text, last.saturating_sub(WORD_BYTES))];
        let mask = if len < WORD_BYTES { (1 << (8 * len)) - 1 } else { u64::MAX };
        Self { words, mask, text }
    }

    /// Whether this is `key`, given without `=`.
    pub(super) fn is(&self, key: &[u8]) -> bool {
        self.text.split_last() == Some((&b'=', key))
    }

    /// Length with `=`.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether the window begins with a key of at most [`VALUE_OFFSET_MAX`] bytes, `=` included.
    #[inline(always)]
    pub(super) fn begins(&self, window: &[u8; WINDOW_BYTES]) -> bool {
        let load = |at: usize| {
            let at = at & (VALUE_OFFSET_MAX + 1);
            let mut bytes = [0; WORD_BYTES];
            bytes.copy_from_slice(&window[at..at + WORD_BYTES]);
            u64::from_le_bytes(bytes)
        };
        let len = self.len();
        let [first, last, second, third] = self.words;
        if len < WORD_BYTES {
            return (load(0) ^ first) & self.mask == 0;
        }
        let ends = (load(0) ^ first) | (load(len - WORD_BYTES) ^ last);
        if len <= 2 * WORD_BYTES {
            return ends == 0;
        }
        len <= VALUE_OFFSET_MAX && ends | (load(WORD_BYTES) ^ second) | (load(len - 2 * WORD_BYTES) ^ third) == 0
    }

    /// Whether `text` begins with the key, of any length.
    pub(super) fn begins_text(&self, text: &[u8]) -> bool {
        text.starts_with(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_difference() {
        for len in 0..40 {
            let key: Vec<u8> = (0..len).map(|index| b'a' + index as u8 % 26).collect();
            let known = FieldKey::new(&key);
            assert!(known.is(&key));
            let mut window = [b'x'; WINDOW_BYTES];
            window[..len].copy_from_slice(&key);
            window[len] = b'=';
            assert_eq!(known.begins(&window), len < VALUE_OFFSET_MAX, "{len}");
            assert!(known.begins_text(&window));
            for at in 0..=len {
                let mut other = window;
                other[at] ^= 0x20;
                assert!(!known.begins(&other), "{len} {at}");
                assert!(!known.begins_text(&other));
            }
        }
    }
}
