//! Rows that come late: which times somebody wants to know of when rows of them are written, and which were.
//!
//! A continuous query that computes windows anew when rows come for them has a [`LateWatch`] on every core, which is
//! set anew every second: its tables, and the times that it has computed already. A core notes the times of such rows
//! in the step that makes them visible, as a few [`Spans`]: who collects these first and reads then sees the rows.
//!
//! What is noted does not grow with the rows. It is in memory alone: after a start nobody knows what came late before.
//! A core that watches nothing pays one comparison for each request; rows of other tables one look at their table, and
//! those that are watched two comparisons each.

use std::collections::HashMap;
use std::sync::Arc;

use tidewire_storage::schema::{TableId, TableSchema};

/// Spans that are kept apart. Where there are more, those that are nearest to each other become one, with what lies
/// between them. Rows in any order soon fall into a span that is there, and until then each moves some hundred bytes.
const SPANS_MAX: usize = 32;

/// Spans of time, each from a first to before an end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spans(Vec<(i64, i64)>);

impl Spans {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a span in.
    pub fn add(&mut self, (first, end): (i64, i64)) {
        if first >= end {
            return;
        }
        // Those from here on end at its first or later, and those before there begin at its end or earlier.
        let from = self.0.partition_point(|span| span.1 < first);
        let to = self.0.partition_point(|span| span.0 <= end);
        let merged = match from < to {
            true => (first.min(self.0[from].0), end.max(self.0[to - 1].1)),
            false => (first, end),
        };
        self.0.splice(from..to, [merged]);
        if self.0.len() > SPANS_MAX {
            let gap = |at: usize| self.0[at + 1].0.saturating_sub(self.0[at].1);
            let nearest = (0..self.0.len() - 1).min_by_key(|at| gap(*at)).unwrap_or(0);
            let (_, end) = self.0.remove(nearest + 1);
            self.0[nearest].1 = end;
        }
    }

    /// Takes in what another has.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|span| self.add(*span));
    }

    /// Leaves out what is before `first`, or not before `end`.
    pub fn clip(&mut self, first: i64, end: i64) {
        self.0.iter_mut().for_each(|span| *span = (span.0.max(first), span.1.min(end)));
        self.0.retain(|span| span.0 < span.1);
    }

    /// Takes the last `length` of the last span out, or all of it if it is shorter.
    pub fn take_last(&mut self, length: i64) -> Option<(i64, i64)> {
        let (first, end) = self.0.pop()?;
        let cut = first.max(end.saturating_sub(length));
        self.add((first, cut));
        Some((cut, end))
    }
}

/// What somebody wants to know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateWatch {
    /// Its name.
    pub id: u64,
    /// Rows of these tables count.
    pub tables: Arc<[TableId]>,
    /// What times are rounded to, in nanoseconds: spans begin and end at multiples of this. More than 0.
    pub grain_ns: i64,
    /// Times count from here on.
    pub from_ns: i64,
    /// Times count before this.
    pub before_ns: i64,
}

/// What a core has noted for each watch.
#[derive(Debug, Default)]
pub(super) struct LateNotes {
    notes: Vec<(LateWatch, Spans)>,
    by_table: HashMap<TableId, Vec<usize>>,
}

impl LateNotes {
    /// Whether there is nothing to note.
    pub(super) fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }

    /// Watches these and no others from now on; returns what was noted since the last time.
    pub(super) fn collect(&mut self, watches: &[LateWatch]) -> Vec<(u64, Spans)> {
        let noted = std::mem::take(&mut self.notes).into_iter().map(|(watch, spans)| (watch.id, spans));
        self.notes = watches.iter().map(|watch| (watch.clone(), Spans::default())).collect();
        self.by_table.clear();
        for (at, watch) in watches.iter().enumerate() {
            watch.tables.iter().for_each(|table| self.by_table.entry(*table).or_default().push(at));
        }
        noted.filter(|(_, spans)| !spans.is_empty()).collect()
    }

    /// Notes rows of a table that were appended. Their times are in the unit of the table.
    pub(super) fn note(&mut self, table: &TableSchema, times: &[i64]) {
        let unit_ns = table.time_unit.nanoseconds();
        for &at in self.by_table.get(&table.id).into_iter().flatten() {
            let (watch, spans) = &mut self.notes[at];
            // The span that was added last: the next row is often in it.
            let mut last = (0, 0);
            for time in times {
                let ns = time.saturating_mul(unit_ns);
                if ns >= watch.before_ns || ns < watch.from_ns || (last.0 <= ns && ns < last.1) {
                    continue;
                }
                let first = ns.saturating_sub(ns.rem_euclid(watch.grain_ns));
                last = (first, first.saturating_add(watch.grain_ns));
                spans.add(last);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tidewire_storage::schema::{Columns, TimeUnit};

    use super::*;

    fn spans(of: &[(i64, i64)]) -> Spans {
        let mut spans = Spans::default();
        of.iter().for_each(|span| spans.add(*span));
        spans
    }

    #[test]
    fn spans_that_touch_are_one() {
        assert_eq!(spans(&[(5, 7), (1, 2), (7, 9), (3, 3)]).0, [(1, 2), (5, 9)]);
        assert_eq!(spans(&[(5, 7), (1, 2), (9, 11), (2, 9)]).0, [(1, 11)]);
        assert_eq!(spans(&[(1, 9), (3, 4)]).0, [(1, 9)]);
        let mut merged = spans(&[(1, 2), (8, 9)]);
        merged.merge(&spans(&[(2, 5)]));
        assert_eq!(merged.0, [(1, 5), (8, 9)]);
        merged.clip(4, 8);
        assert_eq!(merged.0, [(4, 5)]);
    }

    #[test]
    fn spans_are_bounded_and_lose_nothing() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..50 {
            let (mut spans, mut all) = (Spans::default(), Vec::new());
            for _ in 0..500 {
                let first = random.i64(0..10_000);
                all.push((first, first + random.i64(1..20)));
                spans.add(all[all.len() - 1]);
                assert!(spans.0.len() <= SPANS_MAX && spans.0.is_sorted());
                assert!(spans.0.windows(2).all(|two| two[0].1 < two[1].0));
            }
            assert!(all.iter().all(|one| spans.0.iter().any(|span| span.0 <= one.0 && one.1 <= span.1)));
        }
        // The two that are nearest become one.
        let apart: Vec<_> =
            (0..=SPANS_MAX as i64).map(|at| (at * 100, at * 100 + if at == 4 { 90 } else { 10 })).collect();
        let found = spans(&apart);
        assert_eq!((found.0.len(), found.0[4]), (SPANS_MAX, (400, 510)));
    }

    #[test]
    fn the_last_is_taken_in_steps() {
        let mut spans = spans(&[(0, 5), (10, 35)]);
        let taken: Vec<_> = std::iter::from_fn(|| spans.take_last(10)).collect();
        assert_eq!(taken, [(25, 35), (15, 25), (10, 15), (0, 5)]);
    }

    #[test]
    fn rows_before_what_is_computed_are_noted_for_who_watches_their_table() {
        let mut notes = LateNotes::default();
        assert!(notes.is_empty());
        let watch = |id, tables: &[u32], (from_ns, before_ns)| LateWatch {
            id,
            tables: tables.iter().map(|table| TableId(*table)).collect(),
            grain_ns: 10_000,
            from_ns,
            before_ns,
        };
        let watches = [watch(4, &[1, 2], (-20_000, 100_000)), watch(9, &[2], (0, 40_000))];
        assert_eq!(notes.collect(&watches), []);
        let mut table = TableSchema {
            id: TableId(1),
            name: "m".into(),
            columns: Columns::default(),
            time_unit: TimeUnit::Nanosecond,
            partition_length: 1,
            next_column: 0,
        };
        notes.note(&table, &[100_000, 99_999, 7, 9_999, -1, -20_001, 12_000]);
        (table.id, table.time_unit) = (TableId(2), TimeUnit::Microsecond);
        notes.note(&table, &[35, 55]);
        table.id = TableId(3);
        notes.note(&table, &[1]);
        let first = spans(&[(-10_000, 20_000), (30_000, 40_000), (50_000, 60_000), (90_000, 100_000)]);
        assert_eq!(notes.collect(&watches), [(4, first), (9, spans(&[(30_000, 40_000)]))]);
        assert_eq!(notes.collect(&[]), []);
        assert!(notes.is_empty());
    }
}
