//! Slots by name: what doors keep that meet names row by row.
//!
//! A series and a layout are found by the bytes that a [`RowDraft`] has of them; the bytes are always compared, a hash
//! is never trusted alone. Rows that follow each other mostly have the series of the row before, or the layout of the
//! row of that table before: these are compared first, without a hash. Only what was never seen is read by name: tags
//! are sorted, those without a value are left out, and of names that come twice the last counts.
//!
//! An integer that comes to a column of floats becomes one: formats without types write `1` for `1.0`. Which fields
//! are concerned is part of the layout, asked of the sink once.

use hashbrown::HashTable;

use super::draft::TABLE_BYTES;
use super::hash::{Hasher, SPREAD};
use super::texts::{Known, NONE, Texts};
use super::{
    FieldKind, Halt, LayoutSlot, Next, Position, RawValue, RowDraft, RowSink, SeriesRef, SeriesSlot, SeriesText,
};

/// See the module.
#[derive(Debug)]
pub struct SlotCache {
    series: Keyed<Series>,
    layouts: Keyed<Layout>,
    tables: Keyed<Table>,
    /// Series by the text of their rows. Those are not in `series`.
    texts: Texts,
    /// The series of the last row.
    last: u32,
    /// Values of a row whose fields are not those of its draft.
    values: Vec<RawValue>,
    /// Bytes that conversions hold.
    heap_bytes: usize,
    bytes_max: usize,
    hasher: Hasher,
}

#[derive(Debug, Clone, Copy)]
struct Series {
    slot: SeriesSlot,
    table: u32,
}

#[derive(Debug, Clone, Copy)]
struct Table {
    /// The layout of its last row.
    layout: u32,
}

#[derive(Debug)]
struct Layout {
    slot: LayoutSlot,
    /// How the values of the draft become those of the row, where they are not these.
    picks: Option<Box<[Pick]>>,
}

/// The value of one field of a row.
#[derive(Debug, Clone, Copy)]
struct Pick {
    /// Which value of the draft.
    at: u32,
    /// The integer becomes a float.
    cast: Option<FieldKind>,
}

impl SlotCache {
    /// A cache that forgets everything when it would hold more than `bytes_max`.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            series: Keyed::default(),
            layouts: Keyed::default(),
            tables: Keyed::default(),
            texts: Texts::default(),
            last: NONE,
            values: Vec::new(),
            heap_bytes: 0,
            bytes_max,
            hasher: Hasher::new(),
        }
    }

    /// Memory held.
    pub fn bytes(&self) -> usize {
        self.series.bytes() + self.layouts.bytes() + self.tables.bytes() + self.texts.bytes() + self.heap_bytes
    }

    /// Gives the row of `draft`, which [`RowDraft::check`] has passed, to `sink`.
    pub fn put<S: RowSink>(&mut self, draft: &mut RowDraft, sink: &mut S) -> Result<(), Halt<S::Refusal>> {
        let series = self.series(draft, sink)?;
        let layout = self.layout(series, draft, sink)?;
        self.row(series.slot, layout, draft, sink)
    }

    fn row<S: RowSink>(
        &mut self,
        series: SeriesSlot,
        layout: u32,
        draft: &RowDraft,
        sink: &mut S,
    ) -> Result<(), Halt<S::Refusal>> {
        let Layout { slot, picks } = &self.layouts.entries[layout as usize].what;
        let values = match picks {
            None => draft.values.values(),
            Some(picks) => {
                let given = draft.values.values();
                self.values.clear();
                self.values.extend(picks.iter().map(|pick| pick.of(given)));
                &self.values
            }
        };
        sink.row(series, *slot, draft.time, values, draft.values.text()).map_err(Halt::Refuse)
    }

    /// The text of the row that is expected to come next, if any is.
    #[inline]
    pub fn expected(&self) -> Option<SeriesText<'_>> {
        self.texts.expected()
    }

    /// Expects a row with this text next. `false` where there is none in [`Self::expected`] then.
    pub fn expect(&mut self, text: SeriesText<'_>) -> bool {
        self.texts.expect(text, &self.hasher).is_some_and(|known| known.layout.is_some())
    }

    /// Gives rows of the series in [`Self::expected`], which stand at `position`, to `sink`: their times, and the value
    /// of their one field. The sink hears of those that it refuses; the error says what follows the last of these.
    #[inline]
    pub fn put_expected<S: RowSink>(
        &mut self,
        position: Position,
        rows: &[(i64, RawValue)],
        sink: &mut S,
    ) -> Result<(), Next> {
        let mut taken = Ok(());
        let expected = self.texts.follow().and_then(|known| Some((known.slot, known.layout?)));
        assert!(expected.is_some(), "BUG: rows of a series that nothing was known of");
        let Some((slot, layout)) = expected else { return taken };
        for (time, value) in rows {
            if let Err(refusal) = sink.row(slot, layout, *time, &[*value], &[]) {
                let next = sink.refuse(position, refusal);
                taken = Err(next);
                if next == Next::Stop {
                    break;
                }
            }
        }
        taken
    }

    /// Gives the row of `draft`, which [`RowDraft::check`] has passed and which has one field, a float, to `sink`. It
    /// was read from `text`: rows with this text are of the same series from now on.
    pub fn put_as<S: RowSink>(
        &mut self,
        text: SeriesText<'_>,
        draft: &mut RowDraft,
        sink: &mut S,
    ) -> Result<(), Halt<S::Refusal>> {
        let known = match self.texts.expect(text, &self.hasher) {
            Some(known) => known,
            None => {
                self.make_room();
                let Series { slot, table } = self.new_series(draft, sink)?;
                let known = Known { slot, table, layout: None };
                // What the layout waits for must not make it another series.
                self.texts.add(text, known, &self.hasher);
                known
            }
        };
        let layout = self.layout(Series { slot: known.slot, table: known.table }, draft, sink)?;
        let Layout { slot, picks } = &self.layouts.entries[layout as usize].what;
        self.texts.learn(picks.is_none().then_some(*slot));
        self.texts.follow();
        self.row(known.slot, layout, draft, sink)
    }

    fn series<S: RowSink>(&mut self, draft: &RowDraft, sink: &mut S) -> Result<Series, Halt<S::Refusal>> {
        let key = &*draft.series;
        if self.series.is(self.last, key) {
            return Ok(self.series.entries[self.last as usize].what);
        }
        let hash = self.hasher.hash(key);
        if let Some(index) = self.series.find(key, hash) {
            self.last = index;
            return Ok(self.series.entries[index as usize].what);
        }
        self.make_room();
        let series = self.new_series(draft, sink)?;
        self.last = self.series.add(key, hash, series);
        Ok(series)
    }

    /// Asks `sink` for the series of a draft.
    fn new_series<S: RowSink>(&mut self, draft: &RowDraft, sink: &mut S) -> Result<Series, Halt<S::Refusal>> {
        let (name, mut pieces) = draft.table_and_tags();
        let mut tags = Vec::new();
        while let (Some(name), Some(value)) = (pieces.next(), pieces.next()) {
            tags.push((name, value));
        }
        // Stable, so that what came last of one name stands last.
        tags.sort_by_key(|(name, _)| *name);
        tags.dedup_by(|later, kept| {
            let is_same = later.0 == kept.0;
            if is_same {
                kept.1 = later.1;
            }
            is_same
        });
        tags.retain(|(_, value)| !value.is_empty());
        let slot = sink.series(SeriesRef { table: name, tags: &tags })?;
        let table_hash = self.hasher.hash(name.as_bytes());
        let table = match self.tables.find(name.as_bytes(), table_hash) {
            Some(table) => table,
            None => self.tables.add(name.as_bytes(), table_hash, Table { layout: NONE }),
        };
        Ok(Series { slot, table })
    }

    fn layout<S: RowSink>(
        &mut self,
        series: Series,
        draft: &mut RowDraft,
        sink: &mut S,
    ) -> Result<u32, Halt<S::Refusal>> {
        if let Some(number) = draft.layout.get_mut(..TABLE_BYTES) {
            number.copy_from_slice(&series.table.to_le_bytes());
        }
        let last = self.tables.entries[series.table as usize].what.layout;
        if self.layouts.is(last, &draft.layout) {
            return Ok(last);
        }
        let hash = self.hasher.hash(&draft.layout);
        let index = match self.layouts.find(&draft.layout, hash) {
            Some(index) => index,
            None => {
                let layout = new_layout(series.slot, draft, sink)?;
                self.heap_bytes += layout.picks.as_ref().map_or(0, |picks| size_of_val(&**picks));
                self.layouts.add(&draft.layout, hash, layout)
            }
        };
        self.tables.entries[series.table as usize].what.layout = index;
        Ok(index)
    }

    fn make_room(&mut self) {
        if self.bytes() > self.bytes_max {
            *self = Self::new(self.bytes_max);
        }
    }
}

/// Asks `sink` for the layout of a draft.
fn new_layout<S: RowSink>(series: SeriesSlot, draft: &RowDraft, sink: &mut S) -> Result<Layout, Halt<S::Refusal>> {
    let mut fields: Vec<(&str, FieldKind, Pick)> = Vec::new();
    let mut is_plain = true;
    for (at, (name, kind)) in (0..).zip(draft.fields()) {
        let is_integer = matches!(kind, FieldKind::Int | FieldKind::UInt);
        let casts = is_integer && sink.field_kind(series, name) == Some(FieldKind::Float);
        is_plain &= !casts;
        let pick = Pick { at, cast: casts.then_some(kind) };
        fields.push((name, if casts { FieldKind::Float } else { kind }, pick));
    }
    let count = fields.len();
    if count > 1 {
        // Of fields with one name the last stays, where it stands.
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by_key(|at| fields[*at].0);
        let mut dropped: Vec<usize> =
            order.windows(2).filter(|pair| fields[pair[0]].0 == fields[pair[1]].0).map(|pair| pair[0]).collect();
        dropped.sort_unstable();
        let mut at = 0..;
        fields.retain(|_| at.next().is_some_and(|at| dropped.binary_search(&at).is_err()));
    }
    is_plain &= fields.len() == count;
    let asked: Vec<(&str, FieldKind)> = fields.iter().map(|(name, kind, _)| (*name, *kind)).collect();
    let slot = sink.layout(series, &asked)?;
    let picks = (!is_plain).then(|| fields.iter().map(|(.., pick)| *pick).collect());
    Ok(Layout { slot, picks })
}

impl Pick {
    fn of(self, given: &[RawValue]) -> RawValue {
        let value = given.get(self.at as usize).copied().unwrap_or_default();
        match self.cast {
            Some(FieldKind::Int) => RawValue::from_float(value.int() as f64),
            Some(FieldKind::UInt) => RawValue::from_float(value.uint() as f64),
            _ => value,
        }
    }
}

/// Entries by key; keys lie end to end.
#[derive(Debug)]
struct Keyed<T> {
    arena: Vec<u8>,
    entries: Vec<Entry<T>>,
    /// 32 bits of the hash and the index.
    by_hash: HashTable<(u32, u32)>,
}

#[derive(Debug)]
struct Entry<T> {
    start: usize,
    len: u32,
    what: T,
}

impl<T> Default for Keyed<T> {
    fn default() -> Self {
        Self { arena: Vec::new(), entries: Vec::new(), by_hash: HashTable::new() }
    }
}

impl<T> Keyed<T> {
    fn bytes(&self) -> usize {
        self.arena.capacity() + self.entries.capacity() * size_of::<Entry<T>>() + self.by_hash.allocation_size()
    }

    fn is(&self, index: u32, key: &[u8]) -> bool {
        self.entries.get(index as usize).is_some_and(|entry| self.key(entry) == key)
    }

    fn key(&self, entry: &Entry<T>) -> &[u8] {
        self.arena.get(entry.start..entry.start + entry.len as usize).unwrap_or_default()
    }

    fn find(&self, key: &[u8], hash: u32) -> Option<u32> {
        let is_it = |(known, index): &(u32, u32)| *known == hash && self.is(*index, key);
        self.by_hash.find(u64::from(hash).wrapping_mul(SPREAD), is_it).map(|(_, index)| *index)
    }

    fn add(&mut self, key: &[u8], hash: u32, what: T) -> u32 {
        let index = self.entries.len() as u32;
        self.entries.push(Entry { start: self.arena.len(), len: key.len() as u32, what });
        self.arena.extend_from_slice(key);
        let spread = |(hash, _): &(u32, u32)| u64::from(*hash).wrapping_mul(SPREAD);
        self.by_hash.insert_unique(u64::from(hash).wrapping_mul(SPREAD), (hash, index), spread);
        index
    }
}
