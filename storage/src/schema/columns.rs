//! The columns of a table, found by name and by id.
//!
//! A table may have thousands of columns, and a row may name all of them: a walk over all columns for each would cost
//! the square of their number. So a table with more than [`WALKED_MAX`] of them has an index, made when it is first
//! looked into and kept while columns are added; a change of another kind ends it.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::ops::Deref;
use std::sync::{LazyLock, OnceLock};

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use super::{Codec, ColumnId, ColumnKind, ColumnSchema, Geometry};

/// Up to this many columns a walk is as fast as an index, and costs no memory.
const WALKED_MAX: usize = 16;

/// Names come from clients, so that the hash has a seed of its own.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// See the module. As a slice they stand in display order.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Columns {
    all: Vec<ColumnSchema>,
    #[serde(skip)]
    index: OnceLock<Index>,
}

/// Places in the list.
struct Index {
    by_name: HashTable<u16>,
    /// Sorted by id.
    by_id: Vec<(ColumnId, u16)>,
}

impl Index {
    fn of(columns: &[ColumnSchema]) -> Self {
        let mut index = Self { by_name: HashTable::with_capacity(columns.len()), by_id: Vec::new() };
        for (place, column) in (0..).zip(columns) {
            index.by_id.push((column.id, place));
            index.add_name(columns, place);
        }
        index.by_id.sort_unstable();
        index
    }

    fn add_name(&mut self, columns: &[ColumnSchema], place: u16) {
        let hash_of = |place: &u16| hash(columns.get(usize::from(*place)).map_or("", |column| &*column.name));
        self.by_name.insert_unique(hash_of(&place), place, hash_of);
    }
}

fn hash(name: &str) -> u64 {
    HASHER.hash_one(name)
}

impl Columns {
    /// The place of the column called `name`, case-sensitive: of the field, where a tag has the name too.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.place_in(name, Self::is_field).or_else(|| self.place_in(name, Self::is_tag))
    }

    /// The column called `name`, case-sensitive: the field, where a tag has the name too.
    pub fn named(&self, name: &str) -> Option<&ColumnSchema> {
        self.all.get(self.place(name)?)
    }

    /// The tag called `name`, case-sensitive.
    pub fn tag(&self, name: &str) -> Option<&ColumnSchema> {
        self.all.get(self.place_in(name, Self::is_tag)?)
    }

    /// The field called `name`, case-sensitive.
    pub fn field(&self, name: &str) -> Option<&ColumnSchema> {
        self.all.get(self.place_in(name, Self::is_field)?)
    }

    fn is_tag(column: &ColumnSchema) -> bool {
        column.kind == ColumnKind::Tag
    }

    fn is_field(column: &ColumnSchema) -> bool {
        !Self::is_tag(column)
    }

    fn place_in(&self, name: &str, is_meant: impl Fn(&ColumnSchema) -> bool) -> Option<usize> {
        let is_it = |column: &ColumnSchema| &*column.name == name && is_meant(column);
        let Some(index) = self.index() else { return self.all.iter().position(is_it) };
        let is_there = |place: &u16| self.all.get(usize::from(*place)).is_some_and(is_it);
        index.by_name.find(hash(name), is_there).map(|place| usize::from(*place))
    }

    /// The place of the column with identity `id`.
    pub fn place_of(&self, id: ColumnId) -> Option<usize> {
        let Some(index) = self.index() else { return self.all.iter().position(|column| column.id == id) };
        let at = index.by_id.binary_search_by_key(&id, |(known, _)| *known).ok()?;
        Some(usize::from(index.by_id[at].1))
    }

    /// The column with identity `id`.
    pub fn with_id(&self, id: ColumnId) -> Option<&ColumnSchema> {
        self.all.get(self.place_of(id)?)
    }

    /// `None` where a walk does, or where places do not fit the index, which is for no table: ids have 16 bits.
    fn index(&self) -> Option<&Index> {
        let is_indexed = self.all.len() > WALKED_MAX && self.all.len() <= usize::from(u16::MAX);
        is_indexed.then(|| self.index.get_or_init(|| Index::of(&self.all)))
    }

    /// Adds a column at the end.
    pub fn push(&mut self, column: ColumnSchema) {
        let id = column.id;
        self.all.push(column);
        let Some(mut index) = self.index.take() else { return };
        // Ids are given in ascending order.
        if let Ok(place) = u16::try_from(self.all.len() - 1)
            && index.by_id.last().is_none_or(|(last, _)| *last < id)
        {
            index.by_id.push((id, place));
            index.add_name(&self.all, place);
            self.index = OnceLock::from(index);
        }
    }

    /// Leaves the columns that `keeps` says.
    pub fn retain(&mut self, keeps: impl FnMut(&ColumnSchema) -> bool) {
        self.all.retain(keeps);
        self.index = OnceLock::new();
    }

    /// Gives the column at `place` another codec.
    pub fn set_codec(&mut self, place: usize, codec: Option<Codec>) {
        if let Some(column) = self.all.get_mut(place) {
            column.codec = codec;
        }
    }

    /// Says what shapes the column at `place` holds.
    pub fn set_geometry(&mut self, place: usize, geometry: Option<Geometry>) {
        if let Some(column) = self.all.get_mut(place) {
            column.geometry = geometry;
        }
    }

    /// Those from `place` on, in a list of their own.
    pub fn into_later(mut self, place: usize) -> Vec<ColumnSchema> {
        self.all.split_off(place.min(self.all.len()))
    }
}

impl Deref for Columns {
    type Target = [ColumnSchema];

    fn deref(&self) -> &[ColumnSchema] {
        &self.all
    }
}

impl From<Vec<ColumnSchema>> for Columns {
    fn from(all: Vec<ColumnSchema>) -> Self {
        Self { all, index: OnceLock::new() }
    }
}

impl FromIterator<ColumnSchema> for Columns {
    fn from_iter<I: IntoIterator<Item = ColumnSchema>>(columns: I) -> Self {
        columns.into_iter().collect::<Vec<_>>().into()
    }
}

impl IntoIterator for Columns {
    type Item = ColumnSchema;
    type IntoIter = std::vec::IntoIter<ColumnSchema>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.into_iter()
    }
}

impl<'c> IntoIterator for &'c Columns {
    type Item = &'c ColumnSchema;
    type IntoIter = std::slice::Iter<'c, ColumnSchema>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.iter()
    }
}

/// Most clones are made to be changed: they find their columns anew.
impl Clone for Columns {
    fn clone(&self) -> Self {
        self.all.clone().into()
    }
}

impl PartialEq for Columns {
    fn eq(&self, other: &Self) -> bool {
        self.all == other.all
    }
}

impl Eq for Columns {}

impl std::fmt::Debug for Columns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.all.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::FieldType;

    fn column(id: u16) -> ColumnSchema {
        ColumnSchema {
            id: ColumnId(id),
            name: format!("c{id}").into(),
            kind: ColumnKind::Tag,
            codec: None,
            geometry: None,
        }
    }

    /// Every column is found in its place by its name and its id, and none that is not there.
    fn check(columns: &Columns) {
        for (place, column) in columns.iter().enumerate() {
            assert_eq!(columns.place(&column.name), Some(place));
            assert_eq!(columns.named(&column.name), Some(column));
            assert_eq!(columns.with_id(column.id), Some(column));
        }
        assert_eq!((columns.place("c"), columns.named("C1"), columns.with_id(ColumnId(9999))), (None, None, None));
    }

    #[test]
    fn columns_are_found_whatever_has_become_of_their_list() {
        for seed in 0..50 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut columns = Columns::default();
            let mut next = 0;
            for _ in 0..random.usize(1..6) {
                for _ in 0..random.usize(0..40) {
                    columns.push(column(next));
                    next += random.u16(1..3);
                    if random.u8(0..8) == 0 {
                        check(&columns);
                    }
                }
                let dropped = random.u16(0..8);
                columns.retain(|column| column.id.0 % 8 != dropped);
                check(&columns);
                check(&columns.clone());
            }
            assert_eq!(columns, columns.iter().cloned().collect(), "seed {seed}");
        }
    }

    #[test]
    fn a_tag_and_a_field_of_one_name_are_two_columns_in_lists_of_any_length() {
        for others in [0, 2, 40] {
            let mut columns: Columns = (0..others).map(column).collect();
            columns.push(ColumnSchema { name: "x".into(), ..column(50) });
            let kind = ColumnKind::Field(FieldType::Int);
            columns.push(ColumnSchema { name: "x".into(), kind, ..column(51) });
            columns.push(ColumnSchema { name: "y".into(), kind, ..column(52) });
            let id = |column: Option<&ColumnSchema>| column.map(|column| column.id.0);
            assert_eq!((id(columns.tag("x")), id(columns.field("x"))), (Some(50), Some(51)));
            assert_eq!((id(columns.tag("y")), id(columns.field("y"))), (None, Some(52)));
            assert_eq!((id(columns.named("x")), id(columns.named("y"))), (Some(51), Some(52)));
            columns.retain(|column| column.id.0 != 51);
            assert_eq!((id(columns.named("x")), columns.field("x")), (Some(50), None));
        }
    }

    #[test]
    fn an_index_is_kept_while_columns_are_added_and_a_short_list_has_none() {
        let mut columns: Columns = (0..WALKED_MAX as u16).map(column).collect();
        check(&columns);
        assert!(columns.index.get().is_none());
        columns.push(column(100));
        check(&columns);
        assert!(columns.index.get().is_some());
        columns.push(column(101));
        assert!(columns.index.get().is_some(), "or a table that is made column by column costs their square");
        check(&columns);
        // Ids that do not ascend come from nowhere we know of, and are found all the same.
        columns.push(column(50));
        check(&columns);
    }
}
