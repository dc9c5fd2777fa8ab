//! Which partitions are to be looked at, and what was found the last time. Pure.
//!
//! A shard may have a hundred thousand partitions, of which a few change at a time. So each is looked at when something
//! of it has changed, or it may have turned cold, and the merge that it needs is remembered until it is looked at
//! again; the most urgent one of all is found without a walk.

use std::collections::{BTreeMap, BTreeSet};

use super::picker::{Choice, Reason};
use crate::schema::TableId;

/// A table and the first time of one of its partitions.
pub(crate) type Spot = (TableId, i64);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    noted: BTreeSet<Spot>,
    due: BTreeMap<Spot, Choice>,
    /// The same by urgency.
    by_priority: BTreeSet<((Reason, u64), Spot)>,
    debt_bytes: u64,
}

impl Agenda {
    /// Something of a partition has changed.
    pub(crate) fn note(&mut self, spot: Spot) {
        self.noted.insert(spot);
    }

    /// Whether there is something to look at, or to merge.
    pub(crate) fn is_empty(&self) -> bool {
        self.noted.is_empty() && self.due.is_empty()
    }

    /// A partition to look at.
    pub(crate) fn take_noted(&mut self) -> Option<Spot> {
        self.noted.pop_first()
    }

    /// What a look has found.
    pub(crate) fn set(&mut self, spot: Spot, choice: Option<Choice>) {
        if let Some(before) = self.due.remove(&spot) {
            self.by_priority.remove(&(before.priority(), spot));
            self.debt_bytes -= before.bytes;
        }
        if let Some(choice) = choice {
            self.by_priority.insert((choice.priority(), spot));
            self.debt_bytes += choice.bytes;
            self.due.insert(spot, choice);
        }
    }

    /// Forgets a table.
    pub(crate) fn forget(&mut self, table: TableId) {
        let all = (table, i64::MIN)..=(table, i64::MAX);
        let due: Vec<Spot> = self.due.range(all.clone()).map(|(spot, _)| *spot).collect();
        due.into_iter().for_each(|spot| self.set(spot, None));
        let noted: Vec<Spot> = self.noted.range(all).copied().collect();
        for spot in noted {
            self.noted.remove(&spot);
        }
    }

    /// The most urgent merge. It stays due until the partition is looked at again.
    pub(crate) fn most_urgent(&self) -> Option<(Spot, &Choice)> {
        let (_, spot) = self.by_priority.last()?;
        Some((*spot, self.due.get(spot)?))
    }

    /// The most urgent merge of some tables.
    pub(crate) fn most_urgent_of(&self, tables: &BTreeSet<TableId>) -> Option<(Spot, &Choice)> {
        let (_, spot) = self.by_priority.iter().rev().find(|(_, (table, _))| tables.contains(table))?;
        Some((*spot, self.due.get(spot)?))
    }

    /// Bytes that the merges that are due have to read.
    pub(crate) fn debt_bytes(&self) -> u64 {
        self.debt_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Effort;

    fn choice(reason: Reason, bytes: u64) -> Choice {
        Choice { segments: 0..4, reason, effort: Effort::Fast, bytes }
    }

    #[test]
    fn the_most_urgent_is_that_of_all_that_are_due() {
        for seed in crate::testing::seeds() {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut agenda, mut expected) = (Agenda::default(), BTreeMap::<Spot, Choice>::new());
            for _ in 0..2000 {
                let spot = (TableId(random.u32(0..5)), random.i64(0..20));
                match random.u8(0..20) {
                    0 => {
                        agenda.forget(spot.0);
                        expected.retain(|(table, _), _| *table != spot.0);
                    }
                    1..8 => {
                        agenda.set(spot, None);
                        expected.remove(&spot);
                    }
                    _ => {
                        let reason = [Reason::Cold, Reason::Tier, Reason::Overlap][random.usize(0..3)];
                        let found = choice(reason, random.u64(1 << 12..1 << 40));
                        agenda.set(spot, Some(found.clone()));
                        expected.insert(spot, found);
                    }
                }
                let most = expected.values().map(Choice::priority).max();
                assert_eq!(agenda.most_urgent().map(|(_, choice)| choice.priority()), most, "seed {seed}");
                let of_two = BTreeSet::from([TableId(1), TableId(3)]);
                let within = expected.iter().filter(|((table, _), _)| of_two.contains(table));
                let most = within.map(|(_, choice)| choice.priority()).max();
                let found = agenda.most_urgent_of(&of_two);
                assert!(found.is_none_or(|((table, _), _)| of_two.contains(&table)), "seed {seed}");
                assert_eq!(found.map(|(_, choice)| choice.priority()), most, "seed {seed}");
                assert_eq!(agenda.debt_bytes(), expected.values().map(|choice| choice.bytes).sum::<u64>());
            }
        }
    }

    #[test]
    fn what_is_noted_is_looked_at_once() {
        let mut agenda = Agenda::default();
        assert!(agenda.is_empty());
        [3, 1, 3].into_iter().for_each(|table| agenda.note((TableId(table), 7)));
        agenda.note((TableId(2), 7));
        agenda.forget(TableId(2));
        let taken: Vec<_> = std::iter::from_fn(|| agenda.take_noted()).collect();
        assert_eq!(taken, [(TableId(1), 7), (TableId(3), 7)]);
        assert!(agenda.is_empty());
    }
}
