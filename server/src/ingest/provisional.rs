//! Rows of tables and columns that are not in the catalog yet.
//!
//! A request that brings some is parsed whole before anything is made of it: it sees a catalog of its own
//! ([`preview`](tidewire_base::catalog::preview)), in which what it lacks has ids that nobody else knows. When its body
//! is read and its rows are admitted, all that its rows need is made with one durable change ([`needs`]), and the ids
//! in its batches are exchanged for those that the catalog gave ([`settle`]). So a request that is refused, or breaks
//! off, leaves nothing behind.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use tidewire_storage::batch::{NEW_SERIES_BIT, NewSeries, WriteBatch};
use tidewire_storage::schema::{ColumnId, ColumnKind, ColumnSchema, TableSchema};

/// By table, its columns.
pub(super) type Needs = BTreeMap<String, Vec<(String, ColumnKind)>>;

/// A tag and a field may share a name.
fn is_tag(kind: ColumnKind) -> bool {
    kind == ColumnKind::Tag
}

/// Adds to `needs` the table of a batch and the columns that its rows have.
pub(super) fn needs(batch: &WriteBatch, table: &TableSchema, needs: &mut Needs) {
    let mut used: BTreeSet<ColumnId> = batch.columns.iter().map(|column| column.id).collect();
    used.extend((0..batch.new_series.len()).flat_map(|ordinal| tags(batch.new_series.key(ordinal))).map(|(id, _)| id));
    let wanted = needs.entry(table.name.to_string()).or_default();
    let known: HashSet<(String, bool)> = wanted.iter().map(|(name, kind)| (name.clone(), is_tag(*kind))).collect();
    let columns = used.into_iter().filter_map(|id| table.column_by_id(id));
    let missing = columns.filter(|column| !known.contains(&(column.name.to_string(), is_tag(column.kind))));
    wanted.extend(missing.map(|column| (column.name.to_string(), column.kind)));
}

/// Exchanges the ids of `from`, which a batch was made with, for those of `to`: another life of the table, or what
/// became of one that only the request knew. No row of the batch names its series by an id. `false` where `to` lacks a
/// column that rows have, or counts time in another unit: the table has changed since.
#[must_use]
pub(super) fn settle(batch: &mut WriteBatch, from: &TableSchema, to: &TableSchema) -> bool {
    debug_assert!(
        batch.series.iter().all(|series| series & NEW_SERIES_BIT != 0),
        "BUG: ids do not outlive their table"
    );
    if from.time_unit != to.time_unit {
        return false;
    }
    batch.table = Some(to.id);
    let ids = exchange(from, to);
    if ids.iter().all(|(old, new)| *new == Some(*old)) {
        return true;
    }
    for column in &mut batch.columns {
        match ids.get(&column.id).copied().flatten() {
            Some(id) => column.id = id,
            None => return false,
        }
    }
    match keys_of(&batch.new_series, &ids) {
        Some(keys) => batch.new_series = keys,
        None => return false,
    }
    true
}

/// Keys made with `from` as `to` has them; `None` where it lacks one of their tags.
pub(super) fn settled_keys(keys: &NewSeries, from: &TableSchema, to: &TableSchema) -> Option<NewSeries> {
    keys_of(keys, &exchange(from, to))
}

/// For each column of `from` the one of the same name and kind.
fn exchange(from: &TableSchema, to: &TableSchema) -> BTreeMap<ColumnId, Option<ColumnId>> {
    let by_name: HashMap<(&str, ColumnKind), ColumnId> =
        to.columns.iter().map(|column| ((&*column.name, column.kind), column.id)).collect();
    let same = |column: &ColumnSchema| (column.id, by_name.get(&(&*column.name, column.kind)).copied());
    from.columns.iter().map(same).collect()
}

fn keys_of(keys: &NewSeries, ids: &BTreeMap<ColumnId, Option<ColumnId>>) -> Option<NewSeries> {
    let mut exchanged = NewSeries::default();
    for ordinal in 0..keys.len() {
        let key = tags(keys.key(ordinal)).map(|(id, value)| Some((ids.get(&id).copied().flatten()?, value)));
        let mut key = key.collect::<Option<Vec<_>>>()?;
        key.sort_unstable_by_key(|(id, _)| *id);
        exchanged.push(key);
    }
    Some(exchanged)
}

/// The tags of a key, as [`tidewire_storage::batch::push_tag`] laid them out.
fn tags(mut key: &[u8]) -> impl Iterator<Item = (ColumnId, &[u8])> {
    std::iter::from_fn(move || {
        let (id, rest) = key.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        key = rest;
        Some((ColumnId(u16::from_le_bytes(*id)), value))
    })
}

#[cfg(test)]
mod tests {
    use tidewire_storage::batch::{BatchColumn, Values};
    use tidewire_storage::schema::{FieldType, TableId, TimeUnit};

    use super::*;

    const INT: ColumnKind = ColumnKind::Field(FieldType::Int);

    fn table(id: u32, columns: &[(u16, &str, ColumnKind)]) -> TableSchema {
        let column = |(id, name, kind): &(u16, &str, ColumnKind)| ColumnSchema {
            id: ColumnId(*id),
            name: (*name).into(),
            kind: *kind,
            codec: None,
            geometry: None,
        };
        TableSchema {
            id: TableId(id),
            name: "t".into(),
            columns: columns.iter().map(column).collect(),
            time_unit: TimeUnit::Nanosecond,
            partition_length: 1,
            next_column: 9,
        }
    }

    fn batch() -> WriteBatch {
        let mut batch = WriteBatch { table: Some(TableId(1)), ..WriteBatch::default() };
        batch.new_series.push([(ColumnId(0), &b"x"[..]), (ColumnId(1), &b"y"[..])]);
        batch.new_series.push([(ColumnId(1), &b""[..])]);
        batch.series = vec![NEW_SERIES_BIT, NEW_SERIES_BIT | 1];
        batch.time = vec![1, 2];
        batch.columns.push(BatchColumn { id: ColumnId(2), values: Values::Int(vec![5, 6]), validity: None });
        batch
    }

    #[test]
    fn what_rows_have_is_needed_and_nothing_else() {
        let from = table(1, &[(0, "a", ColumnKind::Tag), (1, "b", ColumnKind::Tag), (2, "v", INT), (3, "unused", INT)]);
        let mut found = Needs::new();
        needs(&batch(), &from, &mut found);
        needs(&batch(), &from, &mut found);
        let tag = |name: &str| (name.to_owned(), ColumnKind::Tag);
        assert_eq!(found, [("t".to_owned(), vec![tag("a"), tag("b"), ("v".to_owned(), INT)])].into());
    }

    #[test]
    fn ids_are_exchanged_for_those_of_the_catalog() {
        let from = table(1, &[(0, "a", ColumnKind::Tag), (1, "b", ColumnKind::Tag), (2, "v", INT)]);
        let mut same = batch();
        assert!(settle(
            &mut same,
            &from,
            &table(7, &[(0, "a", ColumnKind::Tag), (1, "b", ColumnKind::Tag), (2, "v", INT)])
        ));
        assert_eq!(same, WriteBatch { table: Some(TableId(7)), ..batch() });
        let mut moved = batch();
        let to = table(8, &[(0, "v", INT), (3, "b", ColumnKind::Tag), (5, "a", ColumnKind::Tag)]);
        assert!(settle(&mut moved, &from, &to));
        assert_eq!((moved.table, moved.columns[0].id), (Some(TableId(8)), ColumnId(0)));
        let mut keys = NewSeries::default();
        keys.push([(ColumnId(3), &b"y"[..]), (ColumnId(5), &b"x"[..])]);
        keys.push([(ColumnId(3), &b""[..])]);
        assert_eq!(moved.new_series, keys);
        // A tag and a field of one name are two columns.
        let from = table(1, &[(0, "a", ColumnKind::Tag), (1, "v", ColumnKind::Tag), (2, "v", INT)]);
        let mut found = Needs::new();
        needs(&batch(), &from, &mut found);
        assert_eq!(found["t"][1..], [("v".to_owned(), ColumnKind::Tag), ("v".to_owned(), INT)]);
        let mut moved = batch();
        let to = table(8, &[(0, "a", ColumnKind::Tag), (3, "v", INT), (4, "v", ColumnKind::Tag)]);
        assert!(settle(&mut moved, &from, &to));
        assert_eq!(moved.columns[0].id, ColumnId(3));
        let mut keys = NewSeries::default();
        keys.push([(ColumnId(0), &b"x"[..]), (ColumnId(4), &b"y"[..])]);
        keys.push([(ColumnId(4), &b""[..])]);
        assert_eq!(moved.new_series, keys);
        let from = table(1, &[(0, "a", ColumnKind::Tag), (1, "b", ColumnKind::Tag), (2, "v", INT)]);
        for lacking in [table(8, &[(0, "v", INT), (3, "b", ColumnKind::Tag)]), table(8, &[(0, "v", ColumnKind::Tag)])] {
            assert!(!settle(&mut batch(), &from, &lacking));
        }
        let to = table(7, &[(0, "a", ColumnKind::Tag), (1, "b", ColumnKind::Tag), (2, "v", INT)]);
        assert!(!settle(&mut batch(), &from, &TableSchema { time_unit: TimeUnit::Millisecond, ..to }));
    }
}
