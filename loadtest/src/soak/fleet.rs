//! The rows of the soak's main database and what must be found of them: pure, no I/O.
//!
//! 1. A batch is a number: it holds a few ticks of every host. Its values follow from seed, host, field, tick and
//!    version, so nothing but the version of each batch is remembered.
//! 2. [`Fleet::deal`] hands out numbers in order, but holds one in sixteen back for a while (its rows come out of
//!    order), and one in thirty-two times a recent batch is dealt once more with other values (it is overwritten).
//! 3. Below [`Fleet::settled`] no batch is written any more. Only there is deleted and counted, so that what must be
//!    found is known exactly while the writing goes on.
//!
//! Values repeat after a lap of ticks, so that their lines can be made once (`lines`).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::ops::Range;

use crate::query::tsbs::Data;
use crate::workload::{CPU_FIELDS, START_NS, TICK_NS};

/// Ticks whose lines are made: 64 of 4,000 hosts are 90 MB.
pub(super) const LAP: u64 = 64;
/// What a further version adds to the tick that its values are taken from; it has no factor in common with [`LAP`].
pub(super) const VERSION_TICKS: u64 = 17;
/// A value goes up and down once in this many ticks.
const WAVE: u64 = 200;
const HELD_ONE_IN: u32 = 16;
/// A batch that is held back comes after at most this many others.
const HELD_BATCHES: u64 = 300;
const REWRITTEN_ONE_IN: u32 = 32;
/// A batch may be written again while it is among this many newest ones.
const RECENT_BATCHES: usize = 200;

/// The value of a field.
pub(super) fn value(seed: u64, host: u64, field: usize, tick: u64, version: u32) -> i64 {
    let slot = (tick + u64::from(version) * VERSION_TICKS) % LAP;
    let own = mix(seed ^ mix(host * 16 + field as u64));
    let place = (own % WAVE + slot) % WAVE;
    let wave = place.min(WAVE - place);
    (wave + mix(own ^ slot) % 3).min(100) as i64
}

/// Scatters the bits of a number (SplitMix64).
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

pub(super) fn time_of(tick: u64) -> i64 {
    START_NS + tick as i64 * TICK_NS
}

/// One request's worth of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) number: u64,
    /// 0, or 1 when it is written over what is there.
    pub(super) version: u32,
}

/// Sizes of the fleet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) hosts: u64,
    /// Ticks of a batch.
    pub(super) ticks: u64,
    pub(super) seed: u64,
}

impl Size {
    pub(super) fn rows(&self) -> u64 {
        self.hosts * self.ticks
    }

    /// Ticks of these batches.
    pub(super) fn ticks_of(&self, batches: Range<u64>) -> Range<u64> {
        batches.start * self.ticks..batches.end * self.ticks
    }
}

/// Ticks of one host that were deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hole {
    pub(super) host: u64,
    pub(super) ticks: Range<u64>,
}

/// What must be found of one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Found {
    pub(super) rows: u64,
    /// Sums of the first and the last field.
    pub(super) first: i64,
    pub(super) last: i64,
}

/// Which batches are dealt, written, deleted.
pub(super) struct Fleet {
    pub(super) size: Size,
    rng: fastrand::Rng,
    next: u64,
    dealt: u64,
    held: BinaryHeap<Reverse<(u64, u64)>>,
    recent: VecDeque<u64>,
    /// Batches that may be written, or written again.
    open: BTreeSet<u64>,
    /// Acknowledged batches and their versions.
    written: BTreeMap<u64, u32>,
    /// Batches below it are deleted.
    horizon: u64,
    holes: Vec<Hole>,
    /// Batches dealt late and once more.
    pub(super) late: u64,
    pub(super) rewritten: u64,
}

impl Fleet {
    pub(super) fn new(size: Size) -> Self {
        Self {
            size,
            rng: fastrand::Rng::with_seed(size.seed),
            next: 0,
            dealt: 0,
            held: BinaryHeap::new(),
            recent: VecDeque::new(),
            open: BTreeSet::new(),
            written: BTreeMap::new(),
            horizon: 0,
            holes: Vec::new(),
            late: 0,
            rewritten: 0,
        }
    }

    /// The next batch to write.
    pub(super) fn deal(&mut self) -> Batch {
        self.dealt += 1;
        if let Some(&Reverse((due, number))) = self.held.peek()
            && due <= self.dealt
        {
            self.held.pop();
            self.late += 1;
            return Batch { number, version: 0 };
        }
        if self.recent.len() >= RECENT_BATCHES / 2
            && self.rng.u32(..REWRITTEN_ONE_IN) == 0
            && let Some(number) = self.recent.remove(self.rng.usize(..self.recent.len()))
        {
            self.rewritten += 1;
            return Batch { number, version: 1 };
        }
        loop {
            let number = self.next;
            self.next += 1;
            self.open.insert(number);
            if self.rng.u32(..HELD_ONE_IN) != 0 {
                return Batch { number, version: 0 };
            }
            self.held.push(Reverse((self.dealt + self.rng.u64(1..=HELD_BATCHES), number)));
        }
    }

    /// The reply to a batch has come.
    pub(super) fn acknowledged(&mut self, batch: Batch) {
        self.written.insert(batch.number, batch.version);
        if batch.version > 0 {
            self.open.remove(&batch.number);
            return;
        }
        self.recent.push_back(batch.number);
        if self.recent.len() > RECENT_BATCHES
            && let Some(number) = self.recent.pop_front()
        {
            self.open.remove(&number);
        }
    }

    /// Batches below this one are not written any more.
    pub(super) fn settled(&self) -> u64 {
        self.open.first().copied().unwrap_or(self.next)
    }

    /// Settled batches that are not deleted.
    pub(super) fn kept(&self) -> Range<u64> {
        self.horizon.min(self.settled())..self.settled()
    }

    /// Everything is settled: the writers have ended.
    pub(super) fn end(&mut self) {
        self.held.clear();
        self.open.clear();
    }

    /// The batches below `horizon` were deleted.
    pub(super) fn deleted_below(&mut self, horizon: u64) {
        self.horizon = self.horizon.max(horizon);
        self.written = self.written.split_off(&self.horizon);
        let first = self.horizon * self.size.ticks;
        self.holes.retain(|hole| hole.ticks.end > first);
    }

    pub(super) fn deleted(&mut self, hole: Hole) {
        self.holes.push(hole);
    }

    pub(super) fn holes(&self) -> &[Hole] {
        &self.holes
    }

    /// The horizon as a time.
    pub(super) fn horizon_ns(&self) -> i64 {
        time_of(self.horizon * self.size.ticks)
    }

    /// A host and up to `ticks_max` kept ticks.
    pub(super) fn draw(&self, ticks_max: u64, rng: &mut fastrand::Rng) -> Option<Hole> {
        let ticks = self.size.ticks_of(self.kept());
        let length = ticks_max.min(ticks.end - ticks.start);
        if length == 0 {
            return None;
        }
        let first = ticks.start + rng.u64(..=ticks.end - ticks.start - length);
        Some(Hole { host: rng.u64(..self.size.hosts), ticks: first..first + length })
    }

    /// The same of a host that has no hole, so that no query finds a host empty.
    pub(super) fn draw_to_delete(&self, ticks_max: u64, rng: &mut fastrand::Rng) -> Option<Hole> {
        self.draw(ticks_max, rng).filter(|drawn| self.holes.iter().all(|hole| hole.host != drawn.host))
    }

    fn ticks_written(&self, ticks: Range<u64>) -> impl Iterator<Item = (u64, u32)> {
        let size = self.size.ticks;
        let batches = self.written.range(ticks.start / size..ticks.end.div_ceil(size));
        batches
            .flat_map(move |(number, version)| (number * size..(number + 1) * size).map(|tick| (tick, *version)))
            .filter(move |(tick, _)| ticks.contains(tick))
    }

    /// What must be found of a host.
    pub(super) fn expected(&self, asked: &Hole) -> Found {
        let holes: Vec<&Hole> = self.holes.iter().filter(|hole| hole.host == asked.host).collect();
        let mut found = Found::default();
        for (tick, version) in self.ticks_written(asked.ticks.clone()) {
            if holes.iter().all(|hole| !hole.ticks.contains(&tick)) {
                let of = |field| value(self.size.seed, asked.host, field, tick, version);
                found.rows += 1;
                found.first += of(0);
                found.last += of(CPU_FIELDS.len() - 1);
            }
        }
        found
    }

    /// Rows of all hosts in these ticks.
    pub(super) fn expected_rows(&self, ticks: &Range<u64>) -> u64 {
        let all = self.ticks_written(ticks.clone()).count() as u64 * self.size.hosts;
        let deleted = self.holes.iter().map(|hole| {
            let (start, end) = (hole.ticks.start.max(ticks.start), hole.ticks.end.min(ticks.end));
            if start < end { self.ticks_written(start..end).count() as u64 } else { 0 }
        });
        all - deleted.sum::<u64>()
    }

    /// Where queries look: the newest `hours`, or everything that is kept.
    pub(super) fn data(&self, hours: Option<i64>) -> Option<Data> {
        let (newest, _) = self.written.last_key_value()?;
        let end_ns = time_of((newest + 1) * self.size.ticks);
        let start_ns = hours.map_or(i64::MIN, |hours| end_ns - hours * 3_600_000_000_000).max(self.horizon_ns());
        // Batches that are held back leave gaps: the row counts of answers cannot be foretold.
        Some(Data { hosts: self.size.hosts, start_ns, end_ns, dense: false })
    }
}

#[cfg(test)]
mod tests {
    use super::super::lines::Lines;
    use super::*;
    use crate::http::Target;

    const SIZE: Size = Size { hosts: 3, ticks: 2, seed: 5 };

    fn written(batches: u64) -> Fleet {
        let mut fleet = Fleet::new(SIZE);
        while fleet.next < batches {
            let batch = fleet.deal();
            fleet.acknowledged(batch);
        }
        fleet
    }

    #[test]
    fn every_batch_is_dealt_once_some_late_some_again() {
        let mut fleet = Fleet::new(SIZE);
        let (mut first, mut again) = (Vec::new(), 0);
        for _ in 0..5_000 {
            let settled = fleet.settled();
            let batch = fleet.deal();
            assert!(batch.number >= settled, "{batch:?} is written below {settled}");
            if batch.version == 0 {
                first.push(batch.number);
            } else {
                again += 1;
            }
            fleet.acknowledged(batch);
        }
        let backwards = first.windows(2).filter(|pair| pair[1] < pair[0]).count();
        assert!(backwards > 100 && again > 100, "{backwards} late, {again} again");
        assert_eq!((fleet.late > 100, fleet.rewritten), (true, again));
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len() + again as usize, 5_000);
        assert!(fleet.settled() > 4_000, "{}", fleet.settled());
    }

    #[test]
    fn lines_carry_the_values_that_are_expected() {
        let lines = Lines::make(SIZE);
        let mut fleet = Fleet::new(SIZE);
        let mut bytes = Vec::new();
        let batch = Batch { number: 70, version: 1 };
        lines.request(&Target::local(1), "/w", batch, &mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
        fleet.written.insert(70, 1);
        let (mut rows, mut first, mut last) = (0, 0, 0);
        for line in body.lines().filter(|line| line.contains("hostname=host_2,")) {
            let number = |name: &str| {
                let rest = line.split(&format!("{name}=")).nth(1).unwrap();
                rest.split('i').next().unwrap().parse::<i64>().unwrap()
            };
            let time: i64 = line.rsplit(' ').next().unwrap().parse().unwrap();
            assert_eq!(time, time_of(140 + rows));
            rows += 1;
            first += number("usage_user");
            last += number("usage_guest_nice");
        }
        let expected = fleet.expected(&Hole { host: 2, ticks: 0..1_000 });
        assert_eq!(expected, Found { rows, first, last });
        assert_eq!((rows, body.lines().count()), (2, 6));
        assert_ne!(value(5, 2, 0, 140, 0), value(5, 2, 0, 140, 1));
    }

    #[test]
    fn what_was_deleted_is_not_expected() {
        let mut fleet = written(2_000);
        let kept = fleet.kept();
        assert_eq!(kept.start, 0);
        let ticks = 0..kept.end * 2;
        assert_eq!(fleet.expected_rows(&ticks), kept.end * 2 * 3);
        fleet.deleted(Hole { host: 1, ticks: 100..150 });
        assert_eq!(fleet.expected_rows(&ticks), kept.end * 6 - 50);
        assert_eq!(fleet.expected(&Hole { host: 1, ticks: 90..160 }).rows, 20);
        assert_eq!(fleet.expected(&Hole { host: 2, ticks: 90..160 }).rows, 70);
        fleet.deleted_below(60);
        assert_eq!(fleet.expected_rows(&ticks), kept.end * 6 - 60 * 6 - 30);
        assert_eq!(fleet.expected_rows(&(0..120)), 0);
        fleet.deleted_below(75);
        assert!(fleet.holes().is_empty());
        assert_eq!(fleet.horizon_ns(), time_of(150));
        assert_eq!(fleet.kept().start, 75);
    }

    #[test]
    fn draws_stay_in_what_is_kept_and_delete_a_host_once() {
        let mut fleet = written(2_000);
        fleet.deleted_below(100);
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..100 {
            let drawn = fleet.draw(50, &mut rng).unwrap();
            assert!(drawn.ticks.start >= 200 && drawn.ticks.end <= fleet.kept().end * 2, "{drawn:?}");
            assert_eq!(drawn.ticks.end - drawn.ticks.start, 50);
        }
        (0..3).for_each(|host| fleet.deleted(Hole { host, ticks: 300..301 }));
        assert_eq!(fleet.draw_to_delete(50, &mut rng), None);
        assert!(Fleet::new(SIZE).draw(50, &mut rng).is_none());
        let data = fleet.data(Some(1)).unwrap();
        assert_eq!(data.end_ns - data.start_ns, 3_600_000_000_000);
        assert_eq!(fleet.data(None).unwrap().start_ns, fleet.horizon_ns());
    }
}
