//! Whether others write rows of a table while a statement moves its series.
//!
//! Such a statement copies rows and then deletes what it has copied. What somebody has written in between is not among
//! the copies, so it must not be deleted. The statement makes a [`Watch`] and sets it on every shard before it begins
//! to copy; a shard notes, of the table's rows that others append from then on, the first and the last time of each
//! series. Whether a delete would meet one of them is decided by the shard in the step that deletes.
//!
//! A watch ends with the statement: shards hold it weakly, and forget those that are over when rows come. A shard that
//! nobody watches pays one comparison for each request.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use tidewire_storage::batch::{NEW_SERIES_BIT, WriteBatch};
use tidewire_storage::engine::SeriesSelection;
use tidewire_storage::schema::{SeriesId, TableId};

/// Series whose times are noted one by one, 2 MB or so; of more, all count as one.
const SERIES_MAX: usize = 1 << 16;

/// The name of a statement's watch, for as long as the statement runs.
#[derive(Debug, Default)]
pub struct Watch {
    // Two empty allocations could have one address, and the address is the name.
    _named: u8,
}

/// The watches that are set on the shards of a core.
#[derive(Debug, Default)]
pub(super) struct Watches(Vec<Watched>);

#[derive(Debug)]
struct Watched {
    watch: Weak<Watch>,
    round: u32,
    shard: u32,
    table: TableId,
    seen: Seen,
}

/// First and last times of the rows that others have written.
#[derive(Debug, Default)]
struct Seen {
    by_series: BTreeMap<u32, (i64, i64)>,
    /// Of all series that are not among these.
    more: Option<(i64, i64)>,
}

impl Watches {
    /// Sets a watch for a round of its statement. The first round's stays; of later ones, each ends the one before.
    pub(super) fn set(&mut self, watch: &Arc<Watch>, round: u32, shard: u32, table: TableId) {
        let watch = Arc::downgrade(watch);
        self.0.retain(|one| {
            let is_before = one.shard == shard && one.round > 0 && Weak::ptr_eq(&one.watch, &watch);
            !is_before && one.watch.strong_count() > 0
        });
        self.0.push(Watched { watch, round, shard, table, seen: Seen::default() });
    }

    /// Whether there is nothing to note.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes rows that were appended to a shard, by the statement of the watch `by` or by nobody's; `new_series` are
    /// the ids of the batch's new keys.
    pub(super) fn note(&mut self, shard: u32, by: Option<&Arc<Watch>>, batch: &WriteBatch, new_series: &[SeriesId]) {
        self.0.retain(|one| one.watch.strong_count() > 0);
        for one in &mut self.0 {
            let is_own = by.is_some_and(|by| Weak::as_ptr(&one.watch) == Arc::as_ptr(by));
            if is_own || one.shard != shard || batch.table != Some(one.table) {
                continue;
            }
            for (&series, &time) in batch.series.iter().zip(&batch.time) {
                let id = match series & NEW_SERIES_BIT {
                    0 => Some(series),
                    _ => new_series.get((series & !NEW_SERIES_BIT) as usize).map(|id| id.0),
                };
                one.seen.note(id, time);
            }
        }
    }

    /// Whether rows of others, noted since that round began, have such series and times. Also where the watch is not
    /// set: then nobody knows.
    pub(super) fn is_written(
        &self,
        watch: &Arc<Watch>,
        round: u32,
        shard: u32,
        series: &SeriesSelection,
        times: &[(i64, i64)],
    ) -> bool {
        let is_it =
            |one: &&Watched| (one.round, one.shard) == (round, shard) && Weak::as_ptr(&one.watch) == Arc::as_ptr(watch);
        self.0.iter().find(is_it).is_none_or(|one| one.seen.meets(series, times))
    }
}

impl Seen {
    fn note(&mut self, series: Option<u32>, time: i64) {
        let times = match series {
            Some(series) if self.by_series.len() < SERIES_MAX || self.by_series.contains_key(&series) => {
                self.by_series.entry(series).or_insert((time, time))
            }
            _ => self.more.get_or_insert((time, time)),
        };
        *times = (times.0.min(time), times.1.max(time));
    }

    fn meets(&self, series: &SeriesSelection, times: &[(i64, i64)]) -> bool {
        let overlap = |seen: &(i64, i64)| times.iter().any(|(from, to)| seen.0 <= *to && *from <= seen.1);
        let is_of = |id: u32| match series {
            SeriesSelection::All => true,
            SeriesSelection::Of(of) => of.contains(id),
        };
        self.more.as_ref().is_some_and(overlap) || self.by_series.iter().any(|(id, seen)| is_of(*id) && overlap(seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: TableId = TableId(4);

    fn batch(rows: &[(u32, i64)]) -> WriteBatch {
        let (series, time) = rows.iter().copied().unzip();
        WriteBatch { table: Some(TABLE), series, time, ..WriteBatch::default() }
    }

    fn of(ids: &[u32]) -> SeriesSelection {
        SeriesSelection::Of(ids.iter().copied().collect())
    }

    #[test]
    fn rows_of_others_are_met_by_series_and_time_and_ones_own_are_not() {
        let (mine, theirs) = (Arc::new(Watch::default()), Arc::new(Watch::default()));
        let mut watches = Watches::default();
        watches.set(&mine, 0, 1, TABLE);
        watches.set(&theirs, 0, 1, TABLE);
        let new = [SeriesId(9)];
        watches.note(1, Some(&mine), &batch(&[(3, 10), (NEW_SERIES_BIT, 11)]), &new);
        assert!(!watches.is_written(&mine, 0, 1, &SeriesSelection::All, &[(i64::MIN, i64::MAX)]));
        assert!(watches.is_written(&theirs, 0, 1, &of(&[9]), &[(11, 11)]));
        assert!(!watches.is_written(&theirs, 0, 1, &of(&[9]), &[(i64::MIN, 10), (12, 20)]));
        assert!(!watches.is_written(&theirs, 0, 1, &of(&[4, 5]), &[(i64::MIN, i64::MAX)]));
        // Another shard's rows, and another table's.
        watches.note(0, None, &batch(&[(3, 10)]), &[]);
        watches.note(1, None, &WriteBatch { table: Some(TableId(5)), ..batch(&[(3, 10)]) }, &[]);
        assert!(!watches.is_written(&mine, 0, 1, &of(&[3]), &[(10, 10)]));
        watches.note(1, None, &batch(&[(3, 10)]), &[]);
        assert!(watches.is_written(&mine, 0, 1, &of(&[3]), &[(10, 10)]));
        assert!(watches.is_written(&mine, 0, 0, &of(&[3]), &[(99, 99)]), "not set there");
    }

    #[test]
    fn a_later_round_begins_with_nothing_and_the_first_stays() {
        let watch = Arc::new(Watch::default());
        let mut watches = Watches::default();
        for round in 0..3 {
            watches.set(&watch, round, 0, TABLE);
            let met = |round| watches.is_written(&watch, round, 0, &SeriesSelection::All, &[(0, 0)]);
            assert_eq!((met(0), met(round)), (round > 0, false), "round {round}");
            watches.note(0, None, &batch(&[(1, 0)]), &[]);
        }
        assert!(watches.is_written(&watch, 2, 0, &SeriesSelection::All, &[(0, 0)]));
        assert_eq!(watches.0.len(), 2);
        drop(watch);
        watches.note(0, None, &batch(&[]), &[]);
        assert!(watches.is_empty());
    }

    #[test]
    fn series_beyond_the_bound_count_as_one() {
        let watch = Arc::new(Watch::default());
        let mut watches = Watches::default();
        watches.set(&watch, 0, 0, TABLE);
        let rows: Vec<(u32, i64)> = (0..=SERIES_MAX as u32).map(|id| (id, i64::from(id))).collect();
        watches.note(0, None, &batch(&rows), &[]);
        let last = SERIES_MAX as i64;
        let met = |ids: &[u32], time| watches.is_written(&watch, 0, 0, &of(ids), &[(time, time)]);
        assert!(met(&[7], 7) && !met(&[7], 8) && met(&[7], last) && met(&[SERIES_MAX as u32], last));
    }
}
