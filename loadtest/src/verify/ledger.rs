//! What was written and what must be found: pure bookkeeping, no I/O.
//!
//! Every row is a function of (seed, connection, number of the row), so nothing but batch boundaries is remembered.
//! A batch is in one of these states:
//!
//! - `Acknowledged`: the reply came; all its rows must stay there.
//! - `InFlight`: the server was killed before the reply came; any part of it may be there.
//! - `Settled`: it was in flight, and a check after the restart found this much of it; that much must stay.
//! - `Deleting`: the server was killed before the reply to its delete came; any part of it may be gone.
//! - `Deleted`: the reply to its delete came; nothing of it may ever be seen again.

use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::workload::START_NS;

/// Series of one connection; rows go round them, so that a batch spreads over the shards.
pub(super) const SERIES: u64 = 7;
/// Time between two rows of a connection: a run spans several daily partitions.
const STEP_NS: i64 = 100_000_000;

/// The values of one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row {
    pub(super) time_ns: i64,
    pub(super) series: u64,
    /// Below 2^32, so that sums of billions of rows fit.
    pub(super) v: i64,
    /// A multiple of 1/8 below 2^16, so that sums are exact in any order.
    pub(super) f: f64,
    pub(super) ok: bool,
}

/// Row `number` of a connection.
pub(super) fn row(seed: u64, connection: u32, number: u64) -> Row {
    let mut rng =
        fastrand::Rng::with_seed(seed ^ (u64::from(connection) << 48) ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    Row {
        time_ns: START_NS + number as i64 * STEP_NS,
        series: number % SERIES,
        v: i64::from(rng.u32(..)),
        f: f64::from(rng.u32(..1 << 19)) / 8.0,
        ok: rng.bool(),
    }
}

/// The text value of a row.
pub(super) fn text(batch: u64, number: u64) -> String {
    format!("batch {batch}, row {number}")
}

/// RFC 3339.
pub(super) fn instant(time_ns: i64) -> Result<String> {
    let outlived = |_| Error::Usage("the run outlived the range of times".to_owned());
    Ok(jiff::Timestamp::from_nanosecond(i128::from(time_ns)).map_err(outlived)?.to_string())
}

/// Sums over the rows of a batch that are found (or must be).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Sums {
    pub(super) rows: u64,
    /// Rows with a text value.
    pub(super) texts: u64,
    pub(super) numbers: i64,
    pub(super) v: i64,
    pub(super) f: f64,
}

impl Sums {
    fn add(&mut self, number: u64, row: &Row) {
        self.rows += 1;
        self.texts += 1;
        self.numbers += number as i64;
        self.v += row.v;
        self.f += row.f;
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum State {
    Acknowledged,
    InFlight,
    Settled(Sums),
    /// With what was there before.
    Deleting(Sums),
    Deleted,
}

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) connection: u32,
    /// Unique in its connection.
    pub(super) id: u64,
    /// Number of its first row in the connection.
    pub(super) first: u64,
    pub(super) rows: u64,
    pub(super) sums: Sums,
    pub(super) state: State,
}

impl Batch {
    /// A new batch, and its lines.
    pub(super) fn make(seed: u64, connection: u32, id: u64, first: u64, rows: u64, lines: &mut Vec<u8>) -> Self {
        let mut sums = Sums::default();
        for number in first..first + rows {
            let row = row(seed, connection, number);
            sums.add(number, &row);
            let Row { time_ns, series, v, f, ok } = row;
            let text = text(id, number);
            // Writing into a Vec cannot fail.
            let _ = writeln!(
                lines,
                "verify,connection=c{connection},series=s{series} \
                 batch={id}i,number={number}i,v={v}i,f={f},ok={ok},text=\"{text}\" {time_ns}"
            );
        }
        Self { connection, id, first, rows, sums, state: State::InFlight }
    }

    /// What selects its rows and no others: the times of a connection's rows are all different.
    pub(super) fn condition(&self) -> Result<String> {
        let time = |number: u64| instant(START_NS + number as i64 * STEP_NS);
        let (first, last) = (time(self.first)?, time(self.first + self.rows - 1)?);
        Ok(format!("connection = 'c{}' AND time >= '{first}' AND time <= '{last}'", self.connection))
    }

    /// What is there of it for sure, if all of it is known and a delete may take it.
    pub(super) fn settled(&self) -> Option<Sums> {
        match self.state {
            State::Acknowledged => Some(self.sums),
            State::Settled(sums) if sums.rows > 0 => Some(sums),
            _ => None,
        }
    }

    /// A delete of all its rows was asked for.
    pub(super) fn delete(&mut self, is_acknowledged: bool) {
        self.state = match (is_acknowledged, self.settled()) {
            (true, _) => State::Deleted,
            (false, before) => State::Deleting(before.unwrap_or_default()),
        };
    }

    /// Rows of the batch that belong to a series.
    fn rows_of_series(&self, series: u64) -> u64 {
        let below = |end: u64| (end + SERIES - 1 - series) / SERIES;
        below(self.first + self.rows) - below(self.first)
    }
}

/// A check's result.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Verdict {
    pub(super) acknowledged_batches: u64,
    pub(super) acknowledged_rows: u64,
    /// Acknowledged (or once found) and not there.
    pub(super) lost_rows: u64,
    /// There more than once.
    pub(super) duplicated_rows: u64,
    pub(super) deleted_batches: u64,
    /// Deleted, acknowledged, and there again.
    pub(super) undeleted_rows: u64,
    /// Batches whose rows are all there but whose values are not those written, and batches never written.
    pub(super) wrong_batches: u64,
    /// Batches of this round that were in flight at the kill: all rows there, none, some.
    pub(super) in_flight_whole: u64,
    pub(super) in_flight_absent: u64,
    pub(super) in_flight_partial: u64,
    /// The first findings in words.
    pub(super) findings: Vec<String>,
}

impl Verdict {
    const FINDINGS_MAX: usize = 10;

    pub(super) fn find(&mut self, text: String) {
        if self.findings.len() < Self::FINDINGS_MAX {
            self.findings.push(text);
        }
    }

    pub(super) fn is_good(&self) -> bool {
        let bad = self.lost_rows + self.duplicated_rows + self.undeleted_rows + self.wrong_batches;
        bad == 0 && self.findings.is_empty()
    }
}

/// What a query found of each batch, by connection and batch number.
pub(super) type Found = BTreeMap<(u32, u64), Sums>;

/// All batches of a run.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) batches: BTreeMap<(u32, u64), Batch>,
}

impl Ledger {
    /// Compares with what a query found, batch by batch. What was in flight becomes settled.
    pub(super) fn check(&mut self, found: &Found) -> Verdict {
        let mut verdict = Verdict::default();
        for (key, batch) in &mut self.batches {
            let seen = found.get(key).copied().unwrap_or_default();
            let expected = match batch.state {
                State::Acknowledged => {
                    verdict.acknowledged_batches += 1;
                    verdict.acknowledged_rows += batch.rows;
                    batch.sums
                }
                State::Settled(sums) => sums,
                State::Deleted => {
                    verdict.deleted_batches += 1;
                    Sums::default()
                }
                State::Deleting(before) => {
                    batch.state = State::Settled(seen);
                    // All or nothing can be judged by every value, a part only by its count.
                    if seen.rows < before.rows { seen } else { before }
                }
                State::InFlight => {
                    *match seen.rows {
                        0 => &mut verdict.in_flight_absent,
                        rows if rows == batch.rows => &mut verdict.in_flight_whole,
                        _ => &mut verdict.in_flight_partial,
                    } += 1;
                    batch.state = State::Settled(seen);
                    // A whole batch must be whole in every value; of a part only the count can be judged here.
                    if seen.rows >= batch.rows { batch.sums } else { seen }
                }
            };
            if seen == expected {
                continue;
            }
            let (connection, id) = key;
            verdict.lost_rows += expected.rows.saturating_sub(seen.rows);
            let too_many = seen.rows.saturating_sub(expected.rows);
            let is_deleted = batch.state == State::Deleted;
            *(if is_deleted { &mut verdict.undeleted_rows } else { &mut verdict.duplicated_rows }) += too_many;
            if seen.rows == expected.rows {
                verdict.wrong_batches += 1;
            }
            verdict.find(format!("batch {id} of connection {connection}: found {seen:?}, expected {expected:?}"));
        }
        for ((connection, id), sums) in found {
            if !self.batches.contains_key(&(*connection, *id)) {
                verdict.wrong_batches += 1;
                verdict.find(format!("batch {id} of connection {connection} was never written: {sums:?}"));
            }
        }
        verdict
    }

    /// Least and most rows that a series of a connection may hold: partial batches leave room.
    pub(super) fn series_rows(&self, connection: u32, series: u64) -> (u64, u64) {
        let mut bounds = (0, 0);
        for batch in self.batches.values().filter(|batch| batch.connection == connection) {
            let rows = batch.rows_of_series(series);
            let (least, most) = match batch.state {
                State::Acknowledged => (rows, rows),
                State::Settled(sums) if sums.rows == batch.rows => (rows, rows),
                State::Settled(sums) => (0, rows.min(sums.rows)),
                State::InFlight => (0, rows),
                State::Deleting(before) => (0, rows.min(before.rows)),
                State::Deleted => (0, 0),
            };
            bounds = (bounds.0 + least, bounds.1 + most);
        }
        bounds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        let mut lines = Vec::new();
        for (id, first, rows) in [(0, 0, 1), (1, 1, 100), (2, 101, 33)] {
            let mut batch = Batch::make(9, 3, id, first, rows, &mut lines);
            if id < 2 {
                batch.state = State::Acknowledged;
            }
            ledger.batches.insert((3, id), batch);
        }
        assert_eq!(lines.iter().filter(|&&byte| byte == b'\n').count(), 134);
        ledger
    }

    fn all(ledger: &Ledger) -> Found {
        ledger.batches.iter().map(|(key, batch)| (*key, batch.sums)).collect()
    }

    #[test]
    fn everything_there() {
        let mut ledger = ledger();
        let found = all(&ledger);
        let verdict = ledger.check(&found);
        assert!(verdict.is_good(), "{verdict:?}");
        assert_eq!((verdict.acknowledged_batches, verdict.acknowledged_rows, verdict.in_flight_whole), (2, 101, 1));
        let rows: u64 = (0..SERIES).map(|series| ledger.series_rows(3, series).0).sum();
        assert_eq!(rows, 134);
    }

    #[test]
    fn what_was_in_flight_may_be_absent_but_not_vanish_later() {
        let mut ledger = ledger();
        let mut found = all(&ledger);
        found.remove(&(3, 2));
        let verdict = ledger.check(&found);
        assert!(verdict.is_good() && verdict.in_flight_absent == 1);
        assert!(ledger.check(&found).is_good());

        let mut ledger = self::ledger();
        let whole = all(&ledger);
        assert!(ledger.check(&whole).is_good());
        let verdict = ledger.check(&found);
        assert_eq!(verdict.lost_rows, 33);
    }

    #[test]
    fn losses_duplicates_wrong_values_and_strangers() {
        let good = all(&ledger());
        let judge = |change: &dyn Fn(&mut Found)| {
            let mut found = good.clone();
            change(&mut found);
            ledger().check(&found)
        };
        let lost = judge(&|found| found.retain(|key, _| *key != (3, 0)));
        assert_eq!((lost.lost_rows, lost.is_good()), (1, false));
        let twice = judge(&|found| found.entry((3, 1)).or_default().rows += 5);
        assert_eq!((twice.duplicated_rows, twice.is_good()), (5, false));
        let wrong = judge(&|found| found.entry((3, 1)).or_default().v += 1);
        assert_eq!((wrong.wrong_batches, wrong.is_good()), (1, false));
        let wrong_in_flight = judge(&|found| found.entry((3, 2)).or_default().f += 0.125);
        assert_eq!((wrong_in_flight.wrong_batches, wrong_in_flight.is_good()), (1, false));
        let stranger = judge(&|found| found.entry((8, 8)).or_default().rows = 1);
        assert_eq!((stranger.wrong_batches, stranger.is_good()), (1, false));
        let partial = judge(&|found| found.entry((3, 2)).or_default().rows = 4);
        assert_eq!((partial.in_flight_partial, partial.is_good()), (1, true));
    }

    #[test]
    fn a_delete_stays_and_one_in_flight_may_have_done_a_part() {
        let mut ledger = ledger();
        let whole = all(&ledger);
        ledger.batches.get_mut(&(3, 1)).unwrap().delete(true);
        assert_eq!(ledger.check(&whole).undeleted_rows, 100);
        let mut found = whole.clone();
        found.remove(&(3, 1));
        let verdict = ledger.check(&found);
        assert!(verdict.is_good() && verdict.deleted_batches == 1, "{verdict:?}");
        assert!(ledger.batches[&(3, 1)].settled().is_none());

        for rows in [0, 40, 100] {
            let mut ledger = self::ledger();
            ledger.batches.get_mut(&(3, 1)).unwrap().delete(false);
            let mut found = whole.clone();
            if rows < 100 {
                found.insert((3, 1), Sums { rows, ..Sums::default() });
            }
            assert!(ledger.check(&found).is_good(), "{rows} rows are left");
            // What is left must stay.
            let verdict = ledger.check(&whole);
            assert_eq!(verdict.duplicated_rows, 100 - rows);
        }
        let mut ledger = self::ledger();
        ledger.batches.get_mut(&(3, 1)).unwrap().delete(false);
        let mut found = whole;
        found.entry((3, 1)).or_default().v += 1;
        assert_eq!(ledger.check(&found).wrong_batches, 1);
    }

    #[test]
    fn series_bounds_follow_the_rows() {
        let ledger = ledger();
        for series in 0..SERIES {
            let count = |range: std::ops::Range<u64>| range.filter(|number| number % SERIES == series).count() as u64;
            assert_eq!(ledger.series_rows(3, series), (count(0..101), count(0..134)), "series {series}");
        }
        assert_eq!(ledger.series_rows(4, 0), (0, 0));
    }
}
