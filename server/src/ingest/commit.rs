//! The last step of every write: rows that are admitted, to their tables as these are now and to all owner shards,
//! durable in all of them.
//!
//! Ids of tables and columns are never given again, and series ids belong to a table's id, so rows cannot come under
//! another name. What is left to decide is whether rows whose table or column has been dropped meanwhile are written:
//!
//! 1. A request looks at the catalog once, when all its rows are read and admitted ([`renew`]). Where a table or column
//!    of its rows is gone by then it writes nothing, and is read anew or refused.
//! 2. A DROP that becomes visible later is answered later, too, since this core has to take it over first. The rows
//!    were written before it, and it takes them away: a shard that has heard of it passes them over, one that has not
//!    loses them with the table, and both come to the same. So no request is written in part for the sake of a DROP.
//! 3. A shard makes the rows of a request visible at once, unless they take more than [`HANDED_BYTES_MAX`]: then they
//!    come in runs, in their order, and others have their turn between two.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use tidewire_storage::schema::{Catalog, ColumnId, SeriesId, Subscription};

use super::batch::ShardRows;
use super::error::WriteError;
use super::host::WriteHost;
use super::provisional::{Needs, needs, settle};
use super::target::Place;
use crate::core::message::{Append, TableBatch};
use crate::core::watch::Watch;
use crate::forward::Subscribed;
use crate::ring;
use tidewire_base::catalog::{CatalogError, SchemaChange};

/// Writes all of `rows` or, when they are refused, none of them. Returns for each element the ids of its new series.
/// The batches' memory is recycled. A statement that moves rows from other series has its watch in `by`.
pub(super) async fn commit<H: WriteHost>(
    host: &H,
    place: Place<'_>,
    mut rows: Vec<ShardRows>,
    by: Option<&Arc<Watch>>,
) -> Result<Vec<Vec<SeriesId>>, WriteError> {
    let grant = match host.admit(place, &rows).await {
        Ok(grant) => grant,
        Err(refused) => {
            host.recycled().put(rows.into_iter().map(|part| part.batch));
            return Err(refused);
        }
    };
    make_durable(host, place, &mut rows).await?;
    let catalog = host.catalog();
    renew(&mut rows, place, &catalog)?;
    let new_series = send(host, rows, by, subscribed(place, &catalog)).await;
    drop(grant);
    new_series
}

/// Makes the tables and columns of provisional rows, all with one change, and exchanges the ids.
async fn make_durable<H: WriteHost>(host: &H, place: Place<'_>, rows: &mut [ShardRows]) -> Result<(), WriteError> {
    let mut tables = Needs::new();
    rows.iter().filter(|part| part.is_provisional).for_each(|part| needs(&part.batch, &part.table, &mut tables));
    if tables.is_empty() {
        return Ok(());
    }
    let (database, policy) = (place.database.to_owned(), place.policy.to_owned());
    let catalog = match host.change(SchemaChange::Ensure { database, policy, tables }).await {
        Ok(catalog) => catalog,
        // Somebody else was faster, with another type: which row it is about is known when they are parsed anew.
        Err(CatalogError::ColumnConflict { .. } | CatalogError::TooManyColumns { .. }) => {
            return Err(WriteError::TableChanged);
        }
        Err(refusal) => return Err(refusal.into()),
    };
    for part in rows.iter_mut().filter(|part| part.is_provisional) {
        let table = place.table(&catalog, &part.table.name).ok_or(WriteError::TableChanged)?;
        if !settle(&mut part.batch, &part.table, table) {
            return Err(WriteError::TableChanged);
        }
        part.table = table.clone();
    }
    Ok(())
}

/// Gives rows their tables as `catalog` has them. An error where it has another life of one, or has lost a column: one
/// comparison for each batch, unless its table has changed.
fn renew(rows: &mut [ShardRows], place: Place<'_>, catalog: &Catalog) -> Result<(), WriteError> {
    for part in rows {
        let table = place.table(catalog, &part.table.name).ok_or(WriteError::TableChanged)?;
        if Arc::ptr_eq(table, &part.table) {
            continue;
        }
        let live: HashSet<ColumnId> = table.columns.iter().map(|column| column.id).collect();
        if table.id != part.table.id || part.batch.columns.iter().any(|column| !live.contains(&column.id)) {
            return Err(WriteError::TableChanged);
        }
        part.table = table.clone();
    }
    Ok(())
}

/// Who has subscribed to rows of a place.
fn subscribed(place: Place<'_>, catalog: &Catalog) -> Option<Arc<Subscribed>> {
    let database = catalog.databases.get(place.database)?;
    let of_policy = |known: &&Arc<Subscription>| *known.policy == *place.policy;
    let to: Vec<_> = database.subscriptions.iter().filter(of_policy).cloned().collect();
    (!to.is_empty()).then(|| Arc::new(Subscribed { database: database.name.clone(), to }))
}

/// Bytes of rows that a shard is handed at once, but for a batch that has more: it takes and logs them in a few
/// milliseconds.
const HANDED_BYTES_MAX: usize = 4 << 20;

/// Parts in runs of at most `bytes_max`, in their order; one that has more is a run of its own.
fn runs<T>(parts: Vec<T>, bytes_max: usize, bytes_of: impl Fn(&T) -> usize) -> impl Iterator<Item = Vec<T>> {
    let mut left = parts.into_iter().peekable();
    std::iter::from_fn(move || {
        let first = left.next()?;
        let mut bytes = bytes_of(&first);
        let mut run = vec![first];
        while let Some(part) = left.next_if(|part| bytes.saturating_add(bytes_of(part)) <= bytes_max) {
            bytes += bytes_of(&part);
            run.push(part);
        }
        Some(run)
    })
}

/// Hands each shard its rows, all at once unless they are many, and waits until all have answered.
async fn send<H: WriteHost>(
    host: &H,
    rows: Vec<ShardRows>,
    by: Option<&Arc<Watch>>,
    subscribed: Option<Arc<Subscribed>>,
) -> Result<Vec<Vec<SeriesId>>, WriteError> {
    // Not to be cut short between two shards.
    let _held = ring::hold();
    let mut new_series = vec![Vec::new(); rows.len()];
    let mut by_shard: BTreeMap<u32, Vec<(usize, TableBatch)>> = BTreeMap::new();
    for (place, ShardRows { shard, batch, table, .. }) in rows.into_iter().enumerate() {
        by_shard.entry(shard).or_default().push((place, TableBatch { batch, table }));
    }
    let mut calls = Vec::with_capacity(by_shard.len());
    for (shard, batches) in by_shard {
        for run in runs(batches, HANDED_BYTES_MAX, |(_, part)| part.batch.bytes()) {
            let (places, rows): (Vec<_>, Vec<_>) = run.into_iter().unzip();
            // Reading them, or handing over the last ones, may have taken a while.
            H::yield_if_needed().await;
            let (by, subscribed) = (by.cloned(), subscribed.clone());
            calls.push((places, host.append(Append { shard, rows, by, subscribed }).await));
        }
    }
    let mut failure = None;
    for (places, call) in calls {
        let appended = call.await;
        match appended.outcome {
            Ok(ids) => places.into_iter().zip(ids).for_each(|(place, ids)| new_series[place] = ids),
            Err(error) => failure = Some(error),
        }
        host.recycled().put(appended.rows.into_iter().map(|part| part.batch));
    }
    match failure {
        None => Ok(new_series),
        Some(error) => Err(WriteError::Storage(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_in_order_and_no_longer_than_they_may_be() {
        let of = |parts: &[usize]| runs(parts.to_vec(), 10, |part| *part).collect::<Vec<_>>();
        assert_eq!(of(&[]), [[0; 0]; 0]);
        assert_eq!(of(&[1, 2, 3]), [[1, 2, 3]]);
        assert_eq!(of(&[5, 5, 1, 90, 2, 2]), [vec![5, 5], vec![1], vec![90], vec![2, 2]]);
        assert_eq!(of(&[usize::MAX, usize::MAX]), [[usize::MAX], [usize::MAX]]);
    }
}
