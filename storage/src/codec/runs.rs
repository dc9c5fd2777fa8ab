//! Vectors of words that seldom change: each run of equal words as its word and its length.
//!
//! ```text
//! order u8 = 3 | width u8 | length width u8 | 0 | runs u32 | 0 u64 | base u64
//! words of the runs less `base`, `width` bits each, packed
//! lengths of the runs less 1, `length width` bits each, packed
//! ```
//!
//! Differences of width 0 with an exception for each change do the same at three bytes or more a change; this takes
//! the bits of a word and of a length.

use super::pack::{bits, pack, packed_bytes, unpack};
use super::vectors::HEADER_BYTES;
use super::{Cursor, Damaged, Decoded, VECTOR};

/// Marks a vector of runs where others have the order of their differences.
pub(super) const ORDER: u8 = 3;

/// Shorter runs on average are left to differences.
const RUN_ROWS_MIN: usize = 4;

/// Stretches of a vector that are looked at before all of it is, and neighbours in each: side by side, since single
/// ones could meet just the changes of words that change evenly.
const STRETCHES: usize = 4;
const STRETCH: usize = 16;

/// The runs of a vector.
#[derive(Debug, Default)]
pub(super) struct RunLengths {
    words: Vec<u64>,
    lengths: Vec<u64>,
    base: u64,
    width: u32,
    length_width: u32,
}

impl RunLengths {
    /// The bytes that `words` take as runs; `None` where they change too often to be looked at any closer.
    pub(super) fn look(&mut self, words: &[u64]) -> Option<usize> {
        let changes = |words: &[u64]| -> usize { words.windows(2).map(|pair| usize::from(pair[0] != pair[1])).sum() };
        let stretches = words.chunks(words.len().div_ceil(STRETCHES).max(1));
        let sampled: usize = stretches.map(|stretch| changes(&stretch[..stretch.len().min(STRETCH + 1)])).sum();
        // Twice as often as is worth it: chance must not hide what is.
        if sampled * RUN_ROWS_MIN > 2 * STRETCHES * STRETCH || words.is_empty() {
            return None;
        }
        if (changes(words) + 1) * RUN_ROWS_MIN > words.len() {
            return None;
        }
        self.words.clear();
        self.lengths.clear();
        for run in words.chunk_by(|a, b| a == b) {
            self.words.push(run[0]);
            self.lengths.push(run.len() as u64 - 1);
        }
        let least = self.words.iter().map(|word| *word as i64).min()?;
        let greatest = self.words.iter().map(|word| *word as i64).max()?;
        let longest = *self.lengths.iter().max()?;
        (self.base, self.width) = (least as u64, bits(greatest.wrapping_sub(least) as u64));
        self.length_width = bits(longest);
        let runs = self.words.len();
        Some(HEADER_BYTES + packed_bytes(runs, self.width) + packed_bytes(runs, self.length_width))
    }

    /// Appends the vector that was looked at last.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[ORDER, self.width as u8, self.length_width as u8, 0]);
        out.extend_from_slice(&(self.words.len() as u32).to_le_bytes());
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&self.base.to_le_bytes());
        pack(&self.words, self.base, self.width, out);
        pack(&self.lengths, 0, self.length_width, out);
    }
}

/// A vector of runs as it stands in a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Runs<'a> {
    count: usize,
    base: u64,
    width: u32,
    words: &'a [u8],
    length_width: u32,
    lengths: &'a [u8],
}

impl<'a> Runs<'a> {
    /// Reads a vector of `values` words, at most [`VECTOR`].
    pub(super) fn read(cursor: &mut Cursor<'a>, values: usize) -> Decoded<Self> {
        let [_, width, length_width, _] = cursor.array()?;
        let count = cursor.u32()? as usize;
        cursor.u64()?;
        let base = cursor.u64()?;
        let (width, length_width) = (u32::from(width), u32::from(length_width));
        if width > 64 || length_width > 64 || count > values.min(VECTOR) {
            return Err(Damaged("vector of runs has an impossible header"));
        }
        let words = cursor.take(packed_bytes(count, width))?;
        let lengths = cursor.take(packed_bytes(count, length_width))?;
        Ok(Self { count, base, width, words, length_width, lengths })
    }

    /// Calls `each` with the word and the rows of every run, which are those of `values` in turn.
    fn for_each(&self, values: usize, mut each: impl FnMut(u64, std::ops::Range<usize>)) -> Decoded<()> {
        let (mut words, mut lengths) = ([0; VECTOR], [0; VECTOR]);
        let (words, lengths) = (&mut words[..self.count], &mut lengths[..self.count]);
        unpack(self.words, self.base, self.width, words)?;
        unpack(self.lengths, 1, self.length_width, lengths)?;
        let mut at = 0;
        for (word, length) in words.iter().zip(&*lengths) {
            let left = (values - at) as u64;
            if !(1..=left).contains(length) {
                return Err(Damaged("runs of a vector are longer than it is"));
            }
            let end = at + *length as usize;
            each(*word, at..end);
            at = end;
        }
        if at == values { Ok(()) } else { Err(Damaged("runs of a vector are shorter than it is")) }
    }

    /// Decodes all words.
    pub(super) fn decode(&self, out: &mut [u64]) -> Decoded<()> {
        self.for_each(out.len(), |word, rows| out[rows].fill(word))
    }

    /// Appends the words at `rows`, ascending places in the vector of `values` words.
    pub(super) fn pick(&self, values: usize, rows: impl Iterator<Item = usize>, out: &mut Vec<u64>) -> Decoded<()> {
        let mut rows = rows.peekable();
        self.for_each(values, |word, run| {
            while rows.next_if(|row| *row < run.end).is_some() {
                out.push(word);
            }
        })?;
        if rows.next().is_some() { Err(Damaged("row wanted past the end of a vector")) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(words: &[u64]) -> Option<Vec<u8>> {
        let (mut found, mut bytes) = (RunLengths::default(), Vec::new());
        let size = found.look(words)?;
        found.encode(&mut bytes);
        assert_eq!(bytes.len(), size, "looking promised this size");
        Some(bytes)
    }

    fn vector(random: &mut fastrand::Rng) -> Vec<u64> {
        let length = random.usize(1..=VECTOR);
        let (longest, distinct) = (random.usize(8..300), random.u64(1..10));
        let shift = random.u32(0..60);
        let mut words = Vec::new();
        while words.len() < length {
            let run = random.usize(4..=longest).min(length - words.len());
            words.extend(std::iter::repeat_n(random.u64(0..=distinct).wrapping_neg() << shift, run));
        }
        words
    }

    #[test]
    fn runs_come_back_whole_and_by_rows() {
        let mut seen = 0;
        for seed in crate::testing::seeds() {
            let mut random = fastrand::Rng::with_seed(seed);
            for _ in 0..200 {
                let words = vector(&mut random);
                let Some(bytes) = encoded(&words) else { continue };
                seen += 1;
                let runs = Runs::read(&mut Cursor::new(&bytes), words.len()).unwrap();
                let mut back = vec![0; words.len()];
                runs.decode(&mut back).unwrap();
                assert_eq!(back, words, "seed {seed}");
                let rows: Vec<usize> = (0..words.len()).filter(|_| random.u8(0..9) == 0).collect();
                let mut picked = vec![9];
                runs.pick(words.len(), rows.iter().copied(), &mut picked).unwrap();
                assert_eq!(picked[1..], rows.iter().map(|row| words[*row]).collect::<Vec<_>>(), "seed {seed}");
                assert!(runs.pick(words.len(), std::iter::once(words.len()), &mut picked).is_err());
                // Another number of rows than were written is noticed.
                assert!(runs.decode(&mut vec![0; words.len() + 1]).is_err());
                assert!(runs.decode(&mut vec![0; words.len() - 1]).is_err());
            }
        }
        assert!(seen > 300, "{seen}");
    }

    #[test]
    fn the_layout_is_that_of_files_that_are_there() {
        // 100 times 7, 50 times 5, 10 times 8.
        let words: Vec<u64> =
            [(7, 100), (5, 50), (8, 10)].iter().flat_map(|(w, n)| std::iter::repeat_n(*w, *n)).collect();
        let mut expected = vec![3, 2, 7, 0, 3, 0, 0, 0];
        expected.extend([0u64, 5, 0b11_00_10, 9 << 14 | 49 << 7 | 99].iter().flat_map(|word| word.to_le_bytes()));
        assert_eq!(encoded(&words), Some(expected));
    }

    #[test]
    fn what_changes_often_is_left_alone() {
        assert!(encoded(&[]).is_none() && encoded(&[1]).is_none());
        let alternating: Vec<u64> = (0..1024).map(|row| row % 2).collect();
        assert!(encoded(&alternating).is_none());
        let pairs: Vec<u64> = (0..1024).map(|row| row / 2).collect();
        assert!(encoded(&pairs).is_none());
        assert!(encoded(&(0..1024).map(|row| row / 8).collect::<Vec<_>>()).is_some());
        assert_eq!(encoded(&[u64::MAX; 1024]).unwrap().len(), HEADER_BYTES + packed_bytes(1, 10));
    }

    #[test]
    fn damage_is_an_error_or_other_words_never_a_panic() {
        for seed in crate::testing::seeds() {
            let mut random = fastrand::Rng::with_seed(seed);
            for _ in 0..100 {
                let words = vector(&mut random);
                let Some(bytes) = encoded(&words) else { continue };
                for _ in 0..40 {
                    let mut hurt = bytes.clone();
                    let at = if random.bool() { random.usize(0..HEADER_BYTES) } else { random.usize(0..hurt.len()) };
                    hurt[at] ^= 1 << random.u32(0..8);
                    if random.bool() {
                        hurt.truncate(random.usize(0..hurt.len()));
                    }
                    if let Ok(runs) = Runs::read(&mut Cursor::new(&hurt), words.len()) {
                        let _ = runs.decode(&mut vec![0; words.len()]);
                        let _ = runs.pick(words.len(), 0..words.len(), &mut Vec::new());
                    }
                }
            }
        }
    }
}
