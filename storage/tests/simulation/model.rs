//! What a shard must hold: a map, and how it came to be record after record.

use std::collections::{BTreeMap, BTreeSet};

use tidewire_storage::wal::Lsn;

/// One value, comparable bit by bit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Int(i64),
    UInt(u64),
    Float(u64),
    Bool(bool),
    Text(String),
}

/// Table, series (its tags as text), time.
pub(crate) type Key = (u32, String, i64);
/// Fields by column.
pub(crate) type Row = BTreeMap<u16, Cell>;
/// All rows of a shard.
pub(crate) type Model = BTreeMap<Key, Row>;
/// Series of a shard that are not hidden: by table, the tags as text.
pub(crate) type Live = BTreeSet<(u32, String)>;

/// What one operation does to the map. A further kind of operation is one more variant.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// Rows written, in the batch's order.
    Rows(Vec<(Key, Row)>),
    /// Rows deleted.
    Delete(Range),
}

/// Rows of some series of a table in a range of time.
#[derive(Debug, Clone)]
pub(crate) struct Range {
    pub(crate) table: u32,
    pub(crate) time_min: i64,
    pub(crate) time_max: i64,
    /// `None` for all.
    pub(crate) series: Option<BTreeSet<String>>,
}

impl Range {
    fn covers(&self, key: &Key) -> bool {
        key.0 == self.table
            && (self.time_min..=self.time_max).contains(&key.2)
            && self.series.as_ref().is_none_or(|series| series.contains(&key.1))
    }
}

impl Change {
    fn apply(&self, model: &mut Model) {
        match self {
            Self::Rows(rows) => rows.iter().for_each(|row| write(model, row)),
            Self::Delete(range) => model.retain(|key, _| !range.covers(key)),
        }
    }
}

/// What a change does to the series that count: rows show them, whatever becomes of the rows; a delete over all times
/// hides them.
#[derive(Debug)]
enum LiveChange {
    Show(Live),
    Hide(Range),
    None,
}

impl LiveChange {
    fn of(change: &Change) -> Self {
        match change {
            Change::Rows(rows) => {
                Self::Show(rows.iter().map(|((table, series, _), _)| (*table, series.clone())).collect())
            }
            Change::Delete(range) if (range.time_min, range.time_max) == (i64::MIN, i64::MAX) => {
                Self::Hide(range.clone())
            }
            Change::Delete(_) => Self::None,
        }
    }

    fn apply(&self, live: &mut Live) {
        match self {
            Self::Show(series) => live.extend(series.iter().cloned()),
            Self::Hide(range) => live.retain(|(table, series)| !range.covers(&(*table, series.clone(), 0))),
            Self::None => {}
        }
    }
}

fn write(model: &mut Model, (key, fields): &(Key, Row)) {
    let row = model.entry(key.clone()).or_default();
    row.extend(fields.iter().map(|(column, cell)| (*column, cell.clone())));
}

/// A change and the log records that hold it: those after `before`, up to `last`.
#[derive(Debug)]
struct Entry {
    before: Lsn,
    last: Lsn,
    change: Change,
    live: LiveChange,
}

/// The map, and what it was after each record that is not acknowledged.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// After the last acknowledged change.
    base: Model,
    acknowledged: Lsn,
    entries: Vec<Entry>,
    current: Model,
    /// The series that count after the last acknowledged change, and now.
    live_base: Live,
    live_current: Live,
    /// Expiries whose end is not known: tables, and the time before which rows may be gone.
    expiring: Vec<(u32, i64)>,
    /// Those that are over, with the record that deleted rows in memory, until that is acknowledged.
    expired: Vec<(u32, i64, Lsn)>,
}

impl History {
    /// The rows of one table now.
    pub(crate) fn table(&self, table: u32) -> Model {
        self.current.iter().filter(|(key, _)| key.0 == table).map(|(key, row)| (key.clone(), row.clone())).collect()
    }

    /// The series of one table that count now.
    pub(crate) fn live(&self, table: u32) -> Live {
        self.live_current.iter().filter(|(of, _)| *of == table).cloned().collect()
    }

    /// A change was made and logged in the records after `before` up to `last`.
    pub(crate) fn push(&mut self, before: Lsn, last: Lsn, change: Change) {
        let live = LiveChange::of(&change);
        live.apply(&mut self.live_current);
        change.apply(&mut self.current);
        self.entries.push(Entry { before, last, change, live });
    }

    /// Everything up to `lsn` must survive from now on.
    pub(crate) fn acknowledge(&mut self, lsn: Lsn) {
        self.acknowledged = self.acknowledged.max(lsn);
        self.expired.retain(|(_, _, record)| *record > self.acknowledged);
        self.settle();
    }

    /// Changes that are acknowledged become the base, but not while it is open which of them an expiry has met.
    fn settle(&mut self) {
        if !self.expiring.is_empty() {
            return;
        }
        let settled = self.entries.partition_point(|entry| entry.last <= self.acknowledged);
        for entry in self.entries.drain(..settled) {
            entry.change.apply(&mut self.base);
            entry.live.apply(&mut self.live_base);
        }
    }

    /// A table is gone, whatever becomes of the log.
    pub(crate) fn forget_table(&mut self, table: u32) {
        self.expiring.retain(|(expiring, _)| *expiring != table);
        self.expired.retain(|(expired, _, _)| *expired != table);
        self.forget(Lsn(u64::MAX), |key| key.0 == table);
        self.live_base.retain(|(of, _)| *of != table);
        self.live_current.retain(|(of, _)| *of != table);
        for entry in &mut self.entries {
            if let LiveChange::Show(series) = &mut entry.live {
                series.retain(|(of, _)| *of != table);
            }
        }
    }

    /// Rows of a table before `horizon` may go from now on.
    pub(crate) fn begin_expiry(&mut self, table: u32, horizon: i64) {
        self.expiring.push((table, horizon));
    }

    /// Those of records up to `lsn` are gone. Others were written meanwhile, and stay.
    pub(crate) fn end_expiry(&mut self, table: u32, horizon: i64, lsn: Lsn) {
        if let Some(at) = self.expiring.iter().position(|expiring| *expiring == (table, horizon)) {
            self.expiring.swap_remove(at);
            if lsn > self.acknowledged {
                self.expired.push((table, horizon, lsn));
            }
            self.forget(lsn, |key| key.0 == table && key.2 < horizon);
            self.settle();
        }
    }

    /// Expiries that a death cut short, or whose record a recovery at `lsn` has lost: they are to be done again.
    pub(crate) fn undone_expiries(&mut self, lsn: Lsn) -> Vec<(u32, i64)> {
        let undone = self.expired.extract_if(.., |(_, _, record)| *record > lsn);
        self.expiring.extend(undone.map(|(table, horizon, _)| (table, horizon)));
        self.expiring.clone()
    }

    /// They were never there.
    pub(crate) fn forget_expiry(&mut self, table: u32, horizon: i64) {
        self.expiring.retain(|expiring| *expiring != (table, horizon));
    }

    /// The expiries whose end is not known.
    pub(crate) fn expiring(&self) -> Vec<(u32, i64)> {
        self.expiring.clone()
    }

    /// Takes out of `rows` what may or may not be there.
    pub(crate) fn leave_certain(&self, rows: &mut Model) {
        rows.retain(|key, _| !self.expiring.iter().any(|(table, horizon)| key.0 == *table && key.2 < *horizon));
    }

    /// Takes away for good what changes up to `last` have written.
    fn forget(&mut self, last: Lsn, gone: impl Fn(&Key) -> bool) {
        self.base.retain(|key, _| !gone(key));
        for entry in self.entries.iter_mut().filter(|entry| entry.last <= last) {
            if let Change::Rows(rows) = &mut entry.change {
                rows.retain(|(key, _)| !gone(key));
            }
        }
        self.current = self.base.clone();
        for entry in &self.entries {
            entry.change.apply(&mut self.current);
        }
    }

    /// A recovery has found `found` and the series `live`, and its last record is `lsn`: that is what survives from now
    /// on.
    pub(crate) fn recovered(&mut self, lsn: Lsn, found: Model, live: Live) {
        assert!(lsn >= self.acknowledged, "{lsn:?} came back of at least {:?}", self.acknowledged);
        let mut expected = std::mem::take(&mut self.base);
        let mut live_least = std::mem::take(&mut self.live_base);
        let mut live_most = live_least.clone();
        for entry in self.entries.drain(..) {
            if entry.last <= lsn {
                entry.change.apply(&mut expected);
                entry.live.apply(&mut live_least);
                entry.live.apply(&mut live_most);
            } else if entry.before < lsn
                && let Change::Rows(rows) = &entry.change
            {
                // Its first record has the keys of all its new series.
                entry.live.apply(&mut live_most);
                for row in rows {
                    if found == expected {
                        break;
                    }
                    live_least.insert((row.0.0, row.0.1.clone()));
                    write(&mut expected, row);
                }
            }
        }
        same(&found, &expected, &format!("after a recovery at {lsn:?}"));
        let (missing, beyond): (Vec<_>, Vec<_>) =
            (live_least.difference(&live).collect(), live.difference(&live_most).collect());
        assert!(
            missing.is_empty() && beyond.is_empty(),
            "series after a recovery at {lsn:?}: {missing:?} do not count, {beyond:?} do"
        );
        self.live_current = live.clone();
        self.live_base = live;
        self.acknowledged = lsn;
        self.expired.retain(|(_, _, record)| *record > lsn);
        self.current = found.clone();
        self.base = found;
    }
}

/// Equality with a message that one can read.
pub(crate) fn same(found: &Model, expected: &Model, what: &str) {
    if found == expected {
        return;
    }
    let keys: BTreeSet<&Key> = found.keys().chain(expected.keys()).collect();
    let differing: Vec<_> = keys.into_iter().filter(|key| found.get(*key) != expected.get(*key)).collect();
    let first = differing[0];
    let (is, wanted) = (found.get(first), expected.get(first));
    panic!("{what}: {} rows differ, the first is {first:?}: {is:?} instead of {wanted:?}", differing.len());
}
