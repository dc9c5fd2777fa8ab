//! Which series of a shard a deletion means.
//!
//! A tag that a series lacks is null to SQL's predicates, and the empty text to InfluxQL's conditions.

use roaring::RoaringBitmap;
use tidewire_storage::engine::SeriesSelection;
use tidewire_storage::schema::{ColumnId, ColumnKind, TableSchema};

use super::reader::{NO_TAG, ShardReader, TagIndex};
use super::series::wanted_series;
use crate::deletion::{SeriesFilter, SeriesKey, TagCondition, TagMatch};
use crate::error::execution::ExecError;
use crate::exec::context::QueryContext;
use crate::exec::eval::Room;

/// Text that a predicate may make of some thousand series.
const TEXT_BYTES_MAX: u64 = 64 << 20;

/// The series of a shard that `filter` selects of a table.
pub fn selected_series<R: ShardReader>(
    filter: &SeriesFilter,
    shard: &R,
    table: &TableSchema,
) -> Result<SeriesSelection, ExecError> {
    if let SeriesFilter::All = filter {
        return Ok(SeriesSelection::All);
    }
    shard.with_index(table.id, |index| {
        let series = match (index, filter) {
            (None, _) => RoaringBitmap::new(),
            (Some(index), SeriesFilter::Predicate { filter, columns }) => {
                wanted_series(index, filter, columns, &Room::new(&QueryContext::new(TEXT_BYTES_MAX, None)))?
            }
            (Some(index), SeriesFilter::Keys(keys)) => of_keys(keys, index, table),
            (Some(index), SeriesFilter::Tags(condition)) => of_condition(condition, index),
            (Some(index), SeriesFilter::All) => all(index),
        };
        Ok(SeriesSelection::Of(series))
    })
}

/// The series for which a condition holds.
fn of_condition<I: TagIndex>(condition: &TagCondition, index: &I) -> RoaringBitmap {
    let of = |part| of_condition(part, index);
    match condition {
        TagCondition::All(parts) => parts.iter().map(of).reduce(|all, one| all & one).unwrap_or_else(|| all(index)),
        TagCondition::Any(parts) => parts.iter().map(of).fold(RoaringBitmap::new(), |any, one| any | one),
        TagCondition::Tag { column, matches, negated } => {
            let matching = matching(index, *column, matches);
            if *negated { all(index) - matching } else { matching }
        }
    }
}

/// The series of these keys.
fn of_keys<I: TagIndex>(keys: &[SeriesKey], index: &I, table: &TableSchema) -> RoaringBitmap {
    let tags: Vec<ColumnId> =
        table.columns.iter().filter(|column| column.kind == ColumnKind::Tag).map(|column| column.id).collect();
    let mut found = RoaringBitmap::new();
    for key in keys {
        let with = |(tag, value): &(ColumnId, Box<str>)| {
            let mut series = RoaringBitmap::new();
            if let Some(code) = index.code(*tag, value) {
                index.add_postings(*tag, code, &mut series);
            }
            series
        };
        let series = key.iter().map(with).reduce(|all, one| all & one).unwrap_or_else(|| all(index));
        let lacks = |tag: &ColumnId, id: u32| index.codes(*tag).get(id as usize).is_none_or(|code| *code == NO_TAG);
        let other = |tag: &&ColumnId| key.iter().all(|(known, _)| known != *tag);
        found.extend(series.iter().filter(|id| tags.iter().filter(other).all(|tag| lacks(tag, *id))));
    }
    found
}

fn all<I: TagIndex>(index: &I) -> RoaringBitmap {
    let mut all = RoaringBitmap::new();
    all.insert_range(0..index.series_count());
    all
}

/// The series whose value matches. Each distinct value is looked at once.
fn matching<I: TagIndex>(index: &I, column: Option<ColumnId>, matches: &TagMatch) -> RoaringBitmap {
    let lacking_match = matches.is_match("");
    let Some(column) = column else {
        return if lacking_match { all(index) } else { RoaringBitmap::new() };
    };
    let mut series = RoaringBitmap::new();
    if let (TagMatch::Text(text), false) = (matches, lacking_match) {
        if let Some(code) = index.code(column, text) {
            index.add_postings(column, code, &mut series);
        }
        return series;
    }
    let of_values = |wanted: bool| {
        let mut series = RoaringBitmap::new();
        for code in (0..index.value_count(column)).filter(|code| matches.is_match(index.value(column, *code)) == wanted)
        {
            index.add_postings(column, code, &mut series);
        }
        series
    };
    if lacking_match { all(index) - of_values(false) } else { of_values(true) }
}
