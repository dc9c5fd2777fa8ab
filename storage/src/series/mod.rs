//! The series of one table in one shard: tags to dense ids and back.
//!
//! Everything is a column. Ids count up in the order in which series came to be; for each tag there is a dictionary of
//! its values, the value's code of every series, and for every code the series that have it. A series is found by its
//! key (see [`NewSeries`](crate::batch::NewSeries)) through one hash and one comparison of bytes. There is no heap
//! object for a series, nor for a tag value that only one series has.
//!
//! A series never leaves the index. One whose rows were all deleted is [`hidden`] until it is written again.
//!
//! Persistence: a new series travels in the log record of the batch that brought it; a flush writes those since the
//! last one to a file ([`file`]), together with those of small files before ([`tiers`]). Ids are positions, so that
//! order is all there is to keep.

mod arena;
pub(crate) mod file;
mod hidden;
mod mark;
mod sketch;
pub(crate) mod tiers;

use std::borrow::Cow;
use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use crate::batch::{NEW_SERIES_BIT, NewSeries};
use crate::schema::{ColumnId, SeriesId, TableId};
use arena::Arena;
pub(crate) use hidden::Hidden;
pub(crate) use mark::SeriesMark;
pub use sketch::SeriesSketch;

/// Code of a series that lacks the tag.
pub const NO_TAG: u32 = u32::MAX;

/// Memory of a bitmap with a few entries: one container and its vector.
const BITMAP_BYTES: usize = 64;

/// Keys that are looked at before the first of them is inserted: enough for a core to have its misses under way, few
/// enough to stay near.
const LOOK_AHEAD: usize = 16;

/// Memory of an entry in a sparse bitmap; in a dense one it takes less.
const ENTRY_BYTES: usize = 2;

/// Up to this many tags a walk finds one as fast as a table of all; a table may have thousands.
const TAGS_WALKED_MAX: usize = 16;

/// The series of one table.
#[derive(Debug, Default)]
pub struct SeriesIndex {
    keys: Arena,
    tags: Vec<TagColumn>,
    /// Where tags stand; filled while they are more than [`TAGS_WALKED_MAX`].
    places: BTreeMap<ColumnId, u32>,
    hidden: Hidden,
}

/// One tag of all series.
#[derive(Debug)]
struct TagColumn {
    id: ColumnId,
    values: Arena,
    /// By series; series after the end lack the tag.
    codes: Vec<u32>,
    /// By code.
    postings: Vec<Postings>,
    /// About what the bitmaps take.
    bitmap_bytes: usize,
}

/// The series that have a value.
#[derive(Debug)]
enum Postings {
    /// Host names and the like: as many values as series.
    One(u32),
    Many(RoaringBitmap),
}

impl SeriesIndex {
    /// Number of series, hidden ones too: their ids are the numbers below.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tags that at least one series has, in the order in which they came to be.
    pub fn tags(&self) -> impl Iterator<Item = ColumnId> {
        self.tags.iter().map(|tag| tag.id)
    }

    /// The code of each series' value of a tag, by series id; [`NO_TAG`] where it has none. Series after the end of
    /// the slice lack the tag too.
    pub fn codes(&self, column: ColumnId) -> &[u32] {
        self.tag(column).map_or(&[], |tag| &tag.codes)
    }

    /// Number of values of a tag: its codes are the numbers below.
    pub fn value_count(&self, column: ColumnId) -> usize {
        self.tag(column).map_or(0, |tag| tag.values.len())
    }

    /// The value that `code` stands for.
    ///
    /// # Panics
    ///
    /// If there is no such code.
    pub fn value(&self, column: ColumnId, code: u32) -> &str {
        // Checked when it was inserted.
        self.tag(column).map_or("", |tag| std::str::from_utf8(tag.values.get(code)).unwrap_or_default())
    }

    /// The code of a value, if a series has it.
    pub fn code(&self, column: ColumnId, value: &str) -> Option<u32> {
        self.tag(column)?.values.find(value.as_bytes())
    }

    /// The series that have the value `code` of a tag; none for a code that does not exist.
    pub fn postings(&self, column: ColumnId, code: u32) -> Cow<'_, RoaringBitmap> {
        match self.tag(column).and_then(|tag| tag.postings.get(code as usize)) {
            None => Cow::Owned(RoaringBitmap::new()),
            Some(Postings::One(series)) => Cow::Owned(RoaringBitmap::from_iter([*series])),
            Some(Postings::Many(series)) => Cow::Borrowed(series),
        }
    }

    /// The tags of a series, by column id.
    ///
    /// # Panics
    ///
    /// If there is no such series.
    pub fn key(&self, series: SeriesId) -> impl Iterator<Item = (ColumnId, &str)> {
        Tags(self.keys.get(series.0)).map_while(Result::ok)
    }

    /// The series with exactly these tags, given as a key.
    pub fn find(&self, key: &[u8]) -> Option<SeriesId> {
        self.keys.find(key).map(SeriesId)
    }

    /// The id of the series with this key, which [`check_key`] has let pass, and whether it is new.
    pub(crate) fn insert(&mut self, key: &[u8]) -> (SeriesId, bool) {
        let hash = self.keys.look_ahead(key);
        self.insert_hashed(key, hash)
    }

    /// The ids of the series with these keys, which [`check_key`] has let pass, in their order.
    pub(crate) fn insert_all(&mut self, keys: &NewSeries) -> Vec<SeriesId> {
        let mut ids = Vec::with_capacity(keys.len());
        let mut hashes = [0; LOOK_AHEAD];
        for from in (0..keys.len()).step_by(LOOK_AHEAD) {
            let ordinals = from..(from + LOOK_AHEAD).min(keys.len());
            for (hash, ordinal) in hashes.iter_mut().zip(ordinals.clone()) {
                *hash = self.keys.look_ahead(keys.key(ordinal));
            }
            ids.extend(
                hashes.iter().zip(ordinals).map(|(hash, ordinal)| self.insert_hashed(keys.key(ordinal), *hash).0),
            );
        }
        ids
    }

    fn insert_hashed(&mut self, key: &[u8], hash: u32) -> (SeriesId, bool) {
        let (series, new) = self.keys.insert_hashed(key, hash);
        if new {
            let (mut rest, mut position) = (key, 0);
            while let Some((column, value, behind)) = split_tag(rest) {
                self.tag_or_new(column, position).push(series, value);
                (rest, position) = (behind, position + 1);
            }
        }
        (SeriesId(series), new)
    }

    /// Forgets the series from `len` on, which no row has named yet.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.keys.truncate(len);
        self.tags.iter_mut().for_each(|tag| tag.truncate(len));
        let before = self.tags.len();
        self.tags.retain(|tag| tag.values.len() > 0);
        if self.tags.len() < before {
            self.places.clear();
            self.note_places();
        }
    }

    /// Notes where tags stand that are not noted yet.
    fn note_places(&mut self) {
        if self.tags.len() > TAGS_WALKED_MAX {
            let noted = self.places.len();
            self.places.extend(self.tags[noted..].iter().map(|tag| tag.id).zip(noted as u32..));
        }
    }

    fn place(&self, column: ColumnId) -> Option<usize> {
        match self.tags.len() > TAGS_WALKED_MAX {
            false => self.tags.iter().position(|tag| tag.id == column),
            true => self.places.get(&column).map(|place| *place as usize),
        }
    }

    /// Gives back what growing has taken in advance.
    pub(crate) fn shrink(&mut self) {
        self.keys.shrink();
        for tag in &mut self.tags {
            tag.values.shrink();
            tag.codes.shrink_to_fit();
            tag.postings.shrink_to_fit();
        }
    }

    /// Whether `more` series still have ids that fit below [`NEW_SERIES_BIT`].
    pub(crate) fn has_room(&self, more: usize) -> bool {
        self.len() + more < NEW_SERIES_BIT as usize
    }

    /// The keys of the series from `from` on, laid end to end, and their lengths.
    pub(crate) fn keys_from(&self, from: u32) -> (&[u8], impl Iterator<Item = u32>) {
        self.keys.tail(from)
    }

    /// Counts the series that are not hidden, which are those of `table`, in a sketch.
    pub fn sketch(&self, table: TableId, sketch: &mut SeriesSketch) {
        let live = self.keys.hashes().filter(|(_, series)| !self.hidden.contains(*series));
        live.for_each(|(hash, _)| sketch.add(table, hash));
    }

    /// Memory taken.
    pub fn memory_bytes(&self) -> usize {
        self.keys.memory_bytes()
            + self.tags.iter().map(TagColumn::memory_bytes).sum::<usize>()
            + 2 * self.places.len() * size_of::<(ColumnId, u32)>()
            + self.hidden.memory_bytes()
    }

    fn tag(&self, column: ColumnId) -> Option<&TagColumn> {
        self.tags.get(self.place(column)?)
    }

    /// The tag, which is probably the one at `position`: most series of a table have the same tags.
    fn tag_or_new(&mut self, column: ColumnId, position: usize) -> &mut TagColumn {
        let expected = self.tags.get(position).is_some_and(|tag| tag.id == column);
        let at = match expected {
            true => position,
            false => self.place(column).unwrap_or_else(|| {
                self.tags.push(TagColumn {
                    id: column,
                    values: Arena::default(),
                    codes: Vec::new(),
                    postings: Vec::new(),
                    bitmap_bytes: 0,
                });
                self.note_places();
                self.tags.len() - 1
            }),
        };
        &mut self.tags[at]
    }
}

impl TagColumn {
    fn truncate(&mut self, len: usize) {
        for series in (len..self.codes.len()).rev() {
            let code = self.codes[series];
            let is_left = match self.postings.get_mut(code as usize) {
                None => true,
                Some(Postings::One(_)) => false,
                Some(Postings::Many(all)) => {
                    all.remove(series as u32);
                    !all.is_empty()
                }
            };
            if !is_left {
                // Codes are given in the order of the series that bring them: it is the last one.
                self.postings.truncate(code as usize);
                self.values.truncate(code as usize);
            }
        }
        self.codes.truncate(len);
    }

    fn push(&mut self, series: u32, value: &[u8]) {
        let (code, new) = self.values.insert(value);
        self.codes.resize(series as usize, NO_TAG);
        self.codes.push(code);
        if new {
            self.postings.push(Postings::One(series));
            return;
        }
        match &mut self.postings[code as usize] {
            Postings::Many(all) => {
                // Ids only grow, so that it goes to the end; where it is the last one already, nothing is to be done.
                let _ = all.try_push(series);
                self.bitmap_bytes += ENTRY_BYTES;
            }
            one => {
                if let Postings::One(first) = *one {
                    *one = Postings::Many(RoaringBitmap::from_iter([first, series]));
                    self.bitmap_bytes += BITMAP_BYTES;
                }
            }
        }
    }

    fn memory_bytes(&self) -> usize {
        self.values.memory_bytes()
            + self.codes.capacity() * 4
            + self.postings.capacity() * size_of::<Postings>()
            + self.bitmap_bytes
    }
}

/// Whether `key` is a list of tags with ascending column ids and UTF-8 values; says what is wrong.
pub(crate) fn check_key(key: &[u8]) -> Result<(), &'static str> {
    let mut before = None;
    for tag in Tags(key) {
        let (column, _) = tag?;
        if before.is_some_and(|before| before >= column) {
            return Err("its tags are not in order");
        }
        before = Some(column);
    }
    Ok(())
}

/// The tags of a key.
struct Tags<'a>(&'a [u8]);

impl<'a> Iterator for Tags<'a> {
    type Item = Result<(ColumnId, &'a str), &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let tag = split_tag(self.0).ok_or("it is cut short").and_then(|(column, value, rest)| {
            self.0 = rest;
            Ok((column, std::str::from_utf8(value).map_err(|_| "a tag value is not UTF-8")?))
        });
        if tag.is_err() {
            self.0 = &[];
        }
        Some(tag)
    }
}

fn split_tag(key: &[u8]) -> Option<(ColumnId, &[u8], &[u8])> {
    let (column, rest) = key.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    Some((ColumnId(u16::from_le_bytes(*column)), value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::seeds;

    fn key(tags: &BTreeMap<u16, String>) -> Vec<u8> {
        let mut keys = NewSeries::default();
        keys.push(tags.iter().map(|(column, value)| (ColumnId(*column), value.as_bytes())));
        keys.bytes
    }

    #[test]
    fn columns_agree_with_the_keys() {
        for seed in seeds() {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut index, mut model) = (SeriesIndex::default(), Vec::<BTreeMap<u16, String>>::new());
            for _ in 0..3000 {
                let mut tags = BTreeMap::new();
                for column in 0..4 {
                    if random.u8(0..4) > 0 {
                        tags.insert(column, format!("v{}", random.u32(0..8 << column)));
                    }
                }
                let key = key(&tags);
                assert_eq!(check_key(&key), Ok(()));
                let known = model.iter().position(|other| *other == tags);
                assert_eq!(index.find(&key), known.map(|id| SeriesId(id as u32)));
                let (id, new) = index.insert(&key);
                assert_eq!((id.0 as usize, new), (known.unwrap_or(model.len()), known.is_none()));
                if new {
                    model.push(tags);
                }
                if random.u8(0..100) == 0 {
                    let len = random.usize(model.len().saturating_sub(20)..=model.len());
                    index.truncate(len);
                    model.truncate(len);
                }
            }
            assert_eq!(index.len(), model.len());
            for (id, tags) in model.iter().enumerate() {
                let back: BTreeMap<u16, String> =
                    index.key(SeriesId(id as u32)).map(|(column, value)| (column.0, value.to_owned())).collect();
                assert_eq!(&back, tags, "seed {seed}");
                for column in 0..4 {
                    let code = index.codes(ColumnId(column)).get(id).copied().unwrap_or(NO_TAG);
                    let value = (code != NO_TAG).then(|| index.value(ColumnId(column), code).to_owned());
                    assert_eq!(value.as_ref(), tags.get(&column), "seed {seed}");
                }
            }
            for column in index.tags().collect::<Vec<_>>() {
                for code in 0..index.value_count(column) as u32 {
                    let value = index.value(column, code).to_owned();
                    assert_eq!(index.code(column, &value), Some(code));
                    let expected = (0..model.len() as u32)
                        .filter(|id| model[*id as usize].get(&column.0) == Some(&value))
                        .collect::<RoaringBitmap>();
                    assert_eq!(*index.postings(column, code), expected, "seed {seed}");
                }
            }
            assert!(index.code(ColumnId(0), "nowhere").is_none());
            assert!(index.postings(ColumnId(0), u32::MAX).is_empty());
        }
    }

    #[test]
    fn keys_that_are_none_are_told() {
        let good = key(&BTreeMap::from([(1, "a".to_owned()), (2, "b".to_owned())]));
        assert_eq!(check_key(&good), Ok(()));
        assert_eq!(check_key(&[]), Ok(()));
        assert_eq!(check_key(&good[..good.len() - 1]), Err("it is cut short"));
        let doubled = [&good[..], &good[..]].concat();
        assert_eq!(check_key(&doubled), Err("its tags are not in order"));
        assert_eq!(check_key(&[1, 0, 1, 0, 0, 0, 0xff]), Err("a tag value is not UTF-8"));
    }

    /// Tags are found where they stand among thousands, also when the last series are forgotten.
    #[test]
    fn the_tags_of_wide_series_are_found() {
        let mut index = SeriesIndex::default();
        let mut keys = NewSeries::default();
        let column = |at: u16| ColumnId(at * 3);
        for series in 0..3_u16 {
            let value = format!("v{series}");
            keys.push((series * 2000..(series + 1) * 2000).map(|at| (column(at), value.as_bytes())));
        }
        index.insert_all(&keys);
        let check = |index: &SeriesIndex, series: u16| {
            for at in [0, 1, 1999, 2000, 3999, 4000, 5999] {
                let wanted = u32::from(at / 2000 < series);
                assert_eq!(index.value_count(column(at)), wanted as usize, "{at} of {series} series");
                assert_eq!(index.value_count(ColumnId(at * 3 + 1)), 0);
            }
        };
        check(&index, 3);
        index.truncate(2);
        check(&index, 2);
        index.insert_all(&keys);
        check(&index, 3);
    }
}
