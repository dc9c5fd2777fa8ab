//! What became of the writes of a round: pure bookkeeping, no I/O.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

/// Rows of each write; they belong to as many series, and so to all shards.
pub(super) const WRITE_ROWS: u64 = 40;

/// What was heard of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing yet, or nothing that says whether it was done.
    Nothing,
    Done,
    /// It was not done, and never will be.
    Refused,
}

/// All writes of a round, by number.
#[derive(Debug, Default)]
pub(super) struct Ledger(Vec<Heard>);

impl Ledger {
    /// A new write; gives its number.
    pub(super) fn begin(&mut self) -> u64 {
        self.0.push(Heard::Nothing);
        self.0.len() as u64 - 1
    }

    pub(super) fn hear(&mut self, write: u64, heard: Heard) {
        if let Some(place) = usize::try_from(write).ok().and_then(|write| self.0.get_mut(write)) {
            *place = heard;
        }
    }

    /// Compares with what was found: numbers of writes, and rows of each.
    pub(super) fn check(&self, found: Vec<(u64, u64)>) -> Finding {
        let mut finding = Finding::default();
        let found: HashMap<u64, u64> = found.into_iter().collect();
        let known = self.0.len() as u64;
        finding.wrong += found.keys().filter(|write| **write >= known).count() as u64;
        for (write, heard) in self.0.iter().enumerate() {
            let rows = found.get(&(write as u64)).copied().unwrap_or(0);
            finding.acknowledged += u64::from(*heard == Heard::Done);
            match (rows, heard) {
                (0, Heard::Done) => finding.lost += 1,
                (0, _) => {}
                (WRITE_ROWS, Heard::Refused) => finding.wrong += 1,
                (WRITE_ROWS, _) => {}
                _ => finding.partial += 1,
            }
        }
        finding
    }
}

/// What a check has found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) acknowledged: u64,
    /// Acknowledged, and not there.
    pub(super) lost: u64,
    /// Some of the rows are there.
    pub(super) partial: u64,
    /// There, and refused or never sent.
    pub(super) wrong: u64,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, lost, partial, wrong } = self;
        write!(f, "{acknowledged} acknowledged, {lost} lost, {partial} in part, {wrong} wrong")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_write_is_judged_by_what_was_heard_of_it() {
        let mut ledger = Ledger::default();
        for heard in [Heard::Done, Heard::Done, Heard::Refused, Heard::Nothing, Heard::Nothing] {
            let write = ledger.begin();
            ledger.hear(write, heard);
        }
        let good = vec![(0, WRITE_ROWS), (1, WRITE_ROWS), (3, WRITE_ROWS)];
        assert_eq!(ledger.check(good), Finding { acknowledged: 2, ..Finding::default() });
        let bad = vec![(0, WRITE_ROWS - 1), (2, WRITE_ROWS), (3, 1), (9, WRITE_ROWS)];
        assert_eq!(ledger.check(bad), Finding { acknowledged: 2, lost: 1, partial: 2, wrong: 2 });
    }
}
