//! One simulated file: what programs see of it, what the medium holds, and the changes between the two.

use std::collections::BTreeSet;

use super::random::Random;
use crate::disk::DISK_ALIGN;

/// The least unit that a medium writes whole.
pub(super) const SECTOR: usize = 512;

/// A file's bytes and the blocks of space it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) bytes: Vec<u8>,
    /// Numbers of blocks that are written or reserved; others within the length are holes.
    pub(super) blocks: BTreeSet<u64>,
}

/// A change of the content.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Allocate(u64),
    Truncate(u64),
}

/// A change that no sync has covered yet.
#[derive(Debug, Clone)]
struct Pending {
    sequence: u64,
    change: Change,
    /// It is on the medium for certain, while some change before it is not.
    durable: bool,
}

/// A file without its names.
#[derive(Debug, Default)]
pub(super) struct Inode {
    /// What reads return.
    pub(super) cached: Content,
    /// What a crash leaves for certain.
    durable: Content,
    pending: Vec<Pending>,
    /// Open handles.
    pub(super) handles: u32,
}

/// What a crash does to the changes that were not synced.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// None has reached the medium.
    Lost,
    /// All have.
    Kept,
    /// The first ones have, the last of them in part.
    Prefix(usize),
    /// Any have, each of them whole, in part or not at all.
    Any,
}

/// How unsynced changes fared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fared {
    pub(super) lost: u64,
    pub(super) torn: u64,
    /// Some later change survived an earlier one that did not.
    pub(super) reordered: bool,
}

impl Content {
    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::Write { offset, bytes } => self.write(*offset as usize, bytes),
            Change::Allocate(length) => {
                if (self.bytes.len() as u64) < *length {
                    self.bytes.resize(*length as usize, 0);
                }
                self.blocks.extend(0..length.div_ceil(DISK_ALIGN as u64));
            }
            Change::Truncate(length) => {
                self.bytes.resize(*length as usize, 0);
                let past = length.div_ceil(DISK_ALIGN as u64);
                self.blocks.split_off(&past);
            }
        }
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[offset..end].copy_from_slice(bytes);
        self.blocks.extend(blocks_of(offset as u64, bytes.len() as u64));
    }

    /// Blocks that a change would have to find free.
    pub(super) fn blocks_needed(&self, change: &Change) -> u64 {
        let blocks = match change {
            Change::Write { offset, bytes } => blocks_of(*offset, bytes.len() as u64),
            Change::Allocate(length) => 0..length.div_ceil(DISK_ALIGN as u64),
            Change::Truncate(_) => return 0,
        };
        blocks.filter(|block| !self.blocks.contains(block)).count() as u64
    }

    /// Applies a part of a write: its first sectors or blocks, or any of them. Says whether it is all of it.
    fn tear(&mut self, offset: u64, bytes: &[u8], in_order: bool, random: &mut Random) -> bool {
        let unit = if random.coin() { SECTOR } else { DISK_ALIGN };
        let units = bytes.len().div_ceil(unit);
        let first_lost = random.below(units as u64 + 1) as usize;
        let mut kept = 0;
        for (number, part) in bytes.chunks(unit).enumerate() {
            if if in_order { number < first_lost } else { random.coin() } {
                self.write(offset as usize + number * unit, part);
                kept += 1;
            }
        }
        // The new length may be there without the bytes; then they are zeros.
        let end = offset as usize + bytes.len();
        if random.coin() && self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        kept == units
    }
}

fn blocks_of(offset: u64, length: u64) -> std::ops::Range<u64> {
    offset / DISK_ALIGN as u64..(offset + length).div_ceil(DISK_ALIGN as u64)
}

impl Inode {
    /// A file that has been on the medium for long.
    pub(super) fn durable(bytes: Vec<u8>) -> Self {
        let blocks = (0..(bytes.len() as u64).div_ceil(DISK_ALIGN as u64)).collect();
        let content = Content { bytes, blocks };
        Self { cached: content.clone(), durable: content, ..Self::default() }
    }

    /// Makes a change that is visible at once, and durable some time.
    pub(super) fn change(&mut self, change: Change, sequence: u64) {
        self.cached.apply(&change);
        self.pending.push(Pending { sequence, change, durable: false });
    }

    /// The change made at `sequence` is durable by itself: those before it need not be.
    pub(super) fn make_durable(&mut self, sequence: u64) {
        if let Some(pending) = self.pending.iter_mut().find(|pending| pending.sequence == sequence) {
            pending.durable = true;
        }
        let first = self.pending.iter().position(|pending| !pending.durable).unwrap_or(self.pending.len());
        for pending in self.pending.drain(..first) {
            self.durable.apply(&pending.change);
        }
    }

    /// The change made at `sequence` should have become durable by itself, and did not: see [`Inode::fail_sync`].
    pub(super) fn fail_durable(&mut self, sequence: u64, random: &mut Random) {
        let Some(at) = self.pending.iter().position(|pending| pending.sequence == sequence) else { return };
        let Change::Write { offset, bytes } = self.pending.remove(at).change else { return };
        // What is left of it comes after what was pending before it, as far as that survives.
        for (number, part) in bytes.chunks(SECTOR).enumerate() {
            if random.coin() {
                let offset = offset + (number * SECTOR) as u64;
                let change = Change::Write { offset, bytes: part.to_vec() };
                self.pending.insert(at, Pending { sequence, change, durable: true });
            }
        }
        self.look_at_medium(random);
    }

    /// Perhaps reads bypass the cache, and see what the medium would hold with what is still pending.
    fn look_at_medium(&mut self, random: &mut Random) {
        if random.coin() {
            let mut seen = self.durable.clone();
            self.pending.iter().for_each(|pending| seen.apply(&pending.change));
            self.cached = seen;
        }
    }

    /// A write that fails: any part of it may have been done.
    pub(super) fn write_in_part(&mut self, offset: u64, bytes: &[u8], sequence: u64, random: &mut Random) {
        for (number, part) in bytes.chunks(SECTOR).enumerate() {
            // A write that needs new space has not got it.
            let at = offset + (number * SECTOR) as u64;
            if random.coin() && at + part.len() as u64 <= self.cached.bytes.len() as u64 {
                self.change(Change::Write { offset: at, bytes: part.to_vec() }, sequence);
            }
        }
    }

    /// What was changed before `until` is durable.
    pub(super) fn sync(&mut self, until: u64) {
        let covered = self.pending.partition_point(|pending| pending.sequence < until);
        for pending in self.pending.drain(..covered) {
            self.durable.apply(&pending.change);
        }
    }

    /// A sync that fails: of what it should have covered, any part is durable, and the rest never will be, although
    /// reads may show it and a later sync reports no error.
    pub(super) fn fail_sync(&mut self, until: u64, random: &mut Random) {
        let covered = self.pending.partition_point(|pending| pending.sequence < until);
        for pending in self.pending.drain(..covered) {
            match &pending.change {
                Change::Write { offset, bytes } if !pending.durable => {
                    self.durable.tear(*offset, bytes, false, random);
                }
                other => self.durable.apply(other),
            }
        }
        self.look_at_medium(random);
    }

    /// Power is lost.
    pub(super) fn crash(&mut self, random: &mut Random) -> Fared {
        let count = self.pending.len();
        let fate = match random.below(4) {
            0 => Fate::Lost,
            1 => Fate::Kept,
            2 => Fate::Prefix(random.below(count as u64 + 1) as usize),
            _ => Fate::Any,
        };
        let mut fared = Fared::default();
        for (number, pending) in self.pending.drain(..).enumerate() {
            let (whole, part) = match fate {
                _ if pending.durable => (true, false),
                Fate::Lost => (false, false),
                Fate::Kept => (true, false),
                Fate::Prefix(kept) => (number < kept, number == kept),
                Fate::Any => {
                    let die = random.below(3);
                    (die == 0, die == 1)
                }
            };
            let kept = match (&pending.change, part) {
                _ if whole => {
                    self.durable.apply(&pending.change);
                    true
                }
                (Change::Write { offset, bytes }, true) => {
                    fared.torn += 1;
                    self.durable.tear(*offset, bytes, matches!(fate, Fate::Prefix(_)), random)
                }
                _ => {
                    fared.lost += 1;
                    false
                }
            };
            fared.reordered |= kept && fared.lost > 0;
        }
        self.cached = self.durable.clone();
        self.handles = 0;
        fared
    }

    /// Changes the bit wherever the byte is.
    pub(super) fn flip(&mut self, offset: u64, bit: u8) {
        for bytes in [&mut self.cached.bytes, &mut self.durable.bytes] {
            if let Some(byte) = bytes.get_mut(offset as usize) {
                *byte ^= 1 << (bit % 8);
            }
        }
        for pending in &mut self.pending {
            if let Change::Write { offset: start, bytes } = &mut pending.change
                && let Some(at) = offset.checked_sub(*start)
                && let Some(byte) = bytes.get_mut(at as usize)
            {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    pub(super) fn unsynced(&self) -> usize {
        self.pending.iter().filter(|pending| !pending.durable).count()
    }
}
