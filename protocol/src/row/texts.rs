//! Series by the text that names them, as clients write it row by row.
//!
//! Where a row is one number, its text but for the number and the time is what names the series, and clients repeat it
//! byte by byte. So a door need not read it again: a row is compared with the text of the series that followed the last
//! one before, and only where that is another one a hash is looked up. The bytes are always compared.
//!
//! ```text
//!   {"metric":"cpu.load","timestamp":  1667456411  ,"value":  0.5  ,"tags":{"host":"a"}}
//!   part 0                                         part 1          part 2
//! ```

use hashbrown::HashTable;

use super::hash::{Hasher, SPREAD};
use super::{LayoutSlot, SeriesSlot};

/// No entry.
pub(super) const NONE: u32 = u32::MAX;

/// How a text names a series: equal bytes do so only in one form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextForm {
    /// Labels of a series of Prometheus' remote write, as fields of its message.
    Labels,
    /// A point of OpenTSDB in JSON, its time before its value.
    TimeFirst,
    /// The same with the value before the time.
    ValueFirst,
    /// A point of OpenTSDB in a line.
    Line,
    /// The same in a line that begins with `put` always.
    PutLine,
}

/// The text that names the series of a row: what stands before its numbers, between and behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeriesText<'t> {
    /// In which form.
    pub form: TextForm,
    /// The text around the numbers. Where these stand apart, it is the first part alone.
    pub parts: [&'t [u8]; 3],
}

/// What a text stands for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) slot: SeriesSlot,
    /// The table, as the cache numbers it.
    pub(super) table: u32,
    /// The layout of its rows, once it is known.
    pub(super) layout: Option<LayoutSlot>,
}

#[derive(Debug)]
struct Entry {
    start: usize,
    /// Where the parts end, from the start.
    ends: [u32; 3],
    form: TextForm,
    /// The text that followed last time, or [`NONE`].
    next: u32,
    known: Known,
}

/// The texts that were seen.
#[derive(Debug)]
pub(super) struct Texts {
    /// Texts end to end.
    arena: Vec<u8>,
    entries: Vec<Entry>,
    /// 32 bits of the hash and the index.
    by_hash: HashTable<(u32, u32)>,
    /// The text of the last row, or [`NONE`].
    last: u32,
    /// That of the next one, as far as can be told, or [`NONE`].
    expected: u32,
}

impl Default for Texts {
    fn default() -> Self {
        Self { arena: Vec::new(), entries: Vec::new(), by_hash: HashTable::new(), last: NONE, expected: NONE }
    }
}

impl Texts {
    pub(super) fn bytes(&self) -> usize {
        self.arena.capacity() + self.entries.capacity() * size_of::<Entry>() + self.by_hash.allocation_size()
    }

    fn text(&self, index: u32) -> Option<(&Entry, SeriesText<'_>)> {
        let entry = self.entries.get(index as usize)?;
        let part = |from: u32, to: u32| self.arena.get(entry.start + from as usize..entry.start + to as usize);
        let [first, second, third] = entry.ends;
        let parts = [part(0, first)?, part(first, second)?, part(second, third)?];
        Some((entry, SeriesText { form: entry.form, parts }))
    }

    /// The text of the row that is expected, if any is, and if what it stands for is known whole.
    #[inline]
    pub(super) fn expected(&self) -> Option<SeriesText<'_>> {
        let (entry, text) = self.text(self.expected)?;
        entry.known.layout.map(|_| text)
    }

    /// Expects a row with this text, if it was seen. Gives what it stands for.
    pub(super) fn expect(&mut self, text: SeriesText<'_>, hasher: &Hasher) -> Option<Known> {
        if self.text(self.last).is_none_or(|(_, last)| last != text) {
            let hash = hash(text, hasher);
            let is_it = |(known, index): &(u32, u32)| {
                *known == hash && self.text(*index).is_some_and(|(_, known)| known == text)
            };
            self.expected = self.by_hash.find(u64::from(hash).wrapping_mul(SPREAD), is_it)?.1;
        } else {
            self.expected = self.last;
        }
        self.entries.get(self.expected as usize).map(|entry| entry.known)
    }

    /// The row that is expected has this layout, as far as it is always the same.
    pub(super) fn learn(&mut self, layout: Option<LayoutSlot>) {
        if let Some(entry) = self.entries.get_mut(self.expected as usize) {
            entry.known.layout = layout;
        }
    }

    /// The row that was expected is there: what its text stands for.
    #[inline]
    pub(super) fn follow(&mut self) -> Option<Known> {
        let now = self.expected;
        if let Some(last) = self.entries.get_mut(self.last as usize).filter(|last| last.next != now) {
            last.next = now;
        }
        let entry = self.entries.get(now as usize)?;
        (self.last, self.expected) = (now, entry.next);
        Some(entry.known)
    }

    /// Adds a text that was not seen, and expects it.
    pub(super) fn add(&mut self, text: SeriesText<'_>, known: Known, hasher: &Hasher) {
        let start = self.arena.len();
        let ends = text.parts.map(|part| {
            self.arena.extend_from_slice(part);
            (self.arena.len() - start) as u32
        });
        let index = self.entries.len() as u32;
        self.entries.push(Entry { start, ends, form: text.form, next: NONE, known });
        let hash = hash(text, hasher);
        let spread = |(hash, _): &(u32, u32)| u64::from(*hash).wrapping_mul(SPREAD);
        self.by_hash.insert_unique(u64::from(hash).wrapping_mul(SPREAD), (hash, index), spread);
        self.expected = index;
    }
}

fn hash(text: SeriesText<'_>, hasher: &Hasher) -> u32 {
    text.parts.iter().fold(0, |hash: u32, part| match part.is_empty() {
        true => hash,
        false => hash.rotate_left(7) ^ hasher.hash(part),
    })
}
