//! One simulated folder: its names as programs see them, as the medium holds them, and the changes between the two.

use std::collections::BTreeMap;

use super::random::Random;

/// Names and the numbers of their files.
pub(super) type Names = BTreeMap<String, u64>;

/// A change of one or two names that is made as one.
#[derive(Debug, Clone)]
pub(super) enum NameChange {
    Set(String, u64),
    Remove(String),
    Rename { from: String, to: String, inode: u64 },
}

/// A folder.
#[derive(Debug, Default)]
pub(super) struct Folder {
    /// Its own name is durable.
    pub(super) durable: bool,
    pub(super) cached: Names,
    pub(super) stored: Names,
    pending: Vec<(u64, NameChange)>,
}

fn apply(names: &mut Names, change: &NameChange) {
    match change {
        NameChange::Set(name, inode) => {
            names.insert(name.clone(), *inode);
        }
        NameChange::Remove(name) => {
            names.remove(name);
        }
        NameChange::Rename { from, to, inode } => {
            names.remove(from);
            names.insert(to.clone(), *inode);
        }
    }
}

impl Folder {
    /// An empty one.
    pub(super) fn new(durable: bool) -> Self {
        Self { durable, ..Self::default() }
    }

    pub(super) fn change(&mut self, change: NameChange, sequence: u64) {
        apply(&mut self.cached, &change);
        self.pending.push((sequence, change));
    }

    /// Names as they were before `until` are durable.
    pub(super) fn sync(&mut self, until: u64) {
        let covered = self.pending.partition_point(|(sequence, _)| *sequence < until);
        for (_, change) in self.pending.drain(..covered) {
            apply(&mut self.stored, &change);
        }
    }

    /// Power is lost: the first of the unsynced changes survive, as with a journal, or any. Gives how many are lost.
    pub(super) fn crash(&mut self, random: &mut Random) -> u64 {
        let in_order = random.coin();
        let kept = random.below(self.pending.len() as u64 + 1) as usize;
        let mut lost = 0;
        for (number, (_, change)) in self.pending.drain(..).enumerate() {
            if if in_order { number < kept } else { random.coin() } {
                apply(&mut self.stored, &change);
            } else {
                lost += 1;
            }
        }
        self.cached = self.stored.clone();
        lost
    }

    /// Numbers of files that a name stands for, or may stand for after a crash.
    pub(super) fn inodes(&self) -> impl Iterator<Item = u64> {
        let pending = self.pending.iter().filter_map(|(_, change)| match change {
            NameChange::Set(_, inode) | NameChange::Rename { inode, .. } => Some(*inode),
            NameChange::Remove(_) => None,
        });
        self.cached.values().chain(self.stored.values()).copied().chain(pending)
    }
}
