//! Who holds how much: each core counts its own parts, and reports the sum to the others.
//!
//! A core's parts are plain cells. Their sum goes to a counter of the core, on a cache line of its own, at each tick
//! and whenever it has changed by [`STEP_BYTES`]; the core that reports adds up all cores and sets the level that
//! everyone reads. So on the data path a core reads one line that seldom changes
//! (`docs/decisions/0002-admission-counters-are-shared.md` has the style). Queries count in an account of their own,
//! which all cores share: [`QueryMemory`].

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use tidewire_sql::exec::QueryMemory;

use super::Budget;
use super::decoders::DecoderMemory;
use super::pressure::{Level, level, over, resident_bytes_max};

/// A change that is reported at once: small beside every bound, large beside what a request of a few lines moves.
const STEP_BYTES: u64 = 1 << 20;

/// What memory is held for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Rows of memtables, and memory kept for more.
    Memtables,
    /// Log records not yet written.
    Log,
    /// Blocks of segments.
    BlockCaches,
    /// Series and their tags.
    Series,
    /// Footers of open segments.
    Segments,
    /// Rows of requests that are not yet answered.
    Requests,
    /// What parsers remember of series and lines.
    ParserCaches,
    /// Batches kept for use again.
    Batches,
    /// Buffers of heads, bodies and replies.
    Connections,
    /// Windows and tables of compressed bodies.
    Decoders,
}

impl Part {
    /// All parts, with the names that metrics show.
    pub const ALL: [(Self, &'static str); 10] = [
        (Self::Memtables, "memtables"),
        (Self::Log, "log"),
        (Self::BlockCaches, "block_caches"),
        (Self::Series, "series"),
        (Self::Segments, "segments"),
        (Self::Requests, "requests"),
        (Self::ParserCaches, "parser_caches"),
        (Self::Batches, "batches"),
        (Self::Connections, "connections"),
        (Self::Decoders, "decoders"),
    ];
}

/// What one core has reported.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Reported {
    total: AtomicU64,
    /// Series and segments, which cannot be shed.
    series: AtomicU64,
}

/// The memory of the server, shared by all cores.
#[derive(Debug)]
pub struct Memory {
    budget: Budget,
    resident_bytes_max: u64,
    cores: Vec<Reported>,
    queries: Arc<QueryMemory>,
    decoders: Arc<DecoderMemory>,
    resident: AtomicU64,
    level: AtomicU8,
    are_series_full: AtomicU8,
}

impl Memory {
    /// For `cores` cores on a machine of so much memory, if that is known.
    pub fn new(budget: Budget, machine: Option<u64>, cores: usize) -> Arc<Self> {
        Arc::new(Self {
            budget,
            resident_bytes_max: resident_bytes_max(budget.bytes_max, machine),
            cores: (0..cores).map(|_| Reported::default()).collect(),
            queries: QueryMemory::new(budget.queries_bytes_max),
            decoders: DecoderMemory::new(budget.decoders_bytes_max),
            resident: AtomicU64::new(0),
            level: AtomicU8::new(0),
            are_series_full: AtomicU8::new(0),
        })
    }

    /// How the bound is divided.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The account of all queries.
    pub fn queries(&self) -> &Arc<QueryMemory> {
        &self.queries
    }

    /// The account of all decoders of bodies.
    pub fn decoders(&self) -> &Arc<DecoderMemory> {
        &self.decoders
    }

    /// Bytes that are counted, of all cores and queries.
    pub fn used(&self) -> u64 {
        let cores: u64 = self.cores.iter().map(|core| core.total.load(Ordering::Relaxed)).sum();
        cores + self.queries.used()
    }

    /// The process's memory in RAM, when somebody looked last, and its bound.
    pub fn resident(&self) -> (u64, u64) {
        (self.resident.load(Ordering::Relaxed), self.resident_bytes_max)
    }

    /// What is to be done.
    #[inline]
    pub fn level(&self) -> Level {
        Level::ALL[usize::from(self.level.load(Ordering::Relaxed)).min(Level::ALL.len() - 1)]
    }

    /// Why no series may be added now; `None` when some may.
    pub fn refuses_series(&self) -> Option<Shortage> {
        if self.are_series_full.load(Ordering::Relaxed) != 0 {
            let used = self.cores.iter().map(|core| core.series.load(Ordering::Relaxed)).sum();
            return Some(Shortage::Series { used, bytes_max: self.budget.series_bytes_max });
        }
        self.shortage(Level::Sparing)
    }

    /// Why what is refused from `from` on is refused now; `None` when it is not.
    pub fn shortage(&self, from: Level) -> Option<Shortage> {
        (self.level() >= from).then(|| {
            let (resident, resident_bytes_max) = self.resident();
            match level(self.used(), self.budget.bytes_max) < from && level(resident, resident_bytes_max) >= from {
                true => Shortage::Resident { used: resident, bytes_max: resident_bytes_max },
                false => Shortage::Total { used: self.used(), bytes_max: self.budget.bytes_max },
            }
        })
    }

    /// Bytes to be shed.
    pub fn over(&self) -> u64 {
        let (resident, resident_bytes_max) = self.resident();
        over(self.used(), self.budget.bytes_max).max(over(resident, resident_bytes_max))
    }

    /// Says how much of the process is in RAM.
    pub fn set_resident(&self, bytes: u64) {
        self.resident.store(bytes, Ordering::Relaxed);
        self.decide();
    }

    fn report(&self, core: usize, total: u64, series: u64) {
        let reported = &self.cores[core];
        reported.total.store(total, Ordering::Relaxed);
        reported.series.store(series, Ordering::Relaxed);
        self.decide();
    }

    fn decide(&self) {
        let counted = level(self.used(), self.budget.bytes_max);
        let (resident, resident_bytes_max) = self.resident();
        let in_ram = level(resident, resident_bytes_max);
        let now = counted.max(in_ram);
        let series: u64 = self.cores.iter().map(|core| core.series.load(Ordering::Relaxed)).sum();
        set(&self.level, now as u8);
        set(&self.are_series_full, u8::from(series > self.budget.series_bytes_max));
        self.queries.set_closed(now >= Level::Sparing);
    }
}

/// Writes only what changes, so that the line stays with those who read it.
fn set(cell: &AtomicU8, value: u8) {
    if cell.load(Ordering::Relaxed) != value {
        cell.store(value, Ordering::Relaxed);
    }
}

/// Which bound is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Shortage {
    /// What is counted.
    #[error("the server holds {used} of `memory.bytes_max` = {bytes_max} bytes")]
    Total {
        /// Bytes held.
        used: u64,
        /// The bound.
        bytes_max: u64,
    },
    /// The process as the kernel sees it.
    #[error("the process has {used} bytes in RAM, {bytes_max} follow from `memory.bytes_max`")]
    Resident {
        /// Bytes in RAM.
        used: u64,
        /// The bound.
        bytes_max: u64,
    },
    /// Series: they stay until their tables are dropped.
    #[error(
        "the series of all tables take {used} bytes of memory and their share of `memory.bytes_max` is {bytes_max}: \
         drop tables, or raise the bound"
    )]
    Series {
        /// Bytes held.
        used: u64,
        /// The bound.
        bytes_max: u64,
    },
}

/// What one core holds.
#[derive(Debug)]
pub struct CoreMemory {
    core: usize,
    shared: Arc<Memory>,
    parts: [Cell<u64>; Part::ALL.len()],
    total: Cell<u64>,
    reported: Cell<u64>,
}

impl CoreMemory {
    /// Nothing, for core number `core`.
    pub fn new(core: usize, shared: Arc<Memory>) -> Rc<Self> {
        Rc::new(Self { core, shared, parts: Default::default(), total: Cell::default(), reported: Cell::default() })
    }

    /// The memory of all cores.
    pub fn shared(&self) -> &Arc<Memory> {
        &self.shared
    }

    /// Bytes held of a part.
    pub fn get(&self, part: Part) -> u64 {
        self.parts[part as usize].get()
    }

    /// Says what is held of a part.
    pub fn set(&self, part: Part, bytes: u64) {
        let before = self.parts[part as usize].replace(bytes);
        if before == bytes {
            return;
        }
        self.total.set(self.total.get() - before + bytes);
        if self.total.get().abs_diff(self.reported.get()) >= STEP_BYTES {
            self.report();
        }
    }

    /// Says that a holder of `before` bytes of a part now holds `after`.
    pub fn change(&self, part: Part, before: u64, after: u64) {
        if before != after {
            self.set(part, self.get(part).saturating_sub(before) + after);
        }
    }

    /// Reports the sum to the others.
    pub fn report(&self) {
        self.reported.set(self.total.get());
        self.shared.report(self.core, self.total.get(), self.get(Part::Series) + self.get(Part::Segments));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::budget::{Keys, divide};

    const MIB: u64 = 1 << 20;

    fn memory() -> Arc<Memory> {
        Memory::new(divide(256 * MIB, 2, 2, Keys::default()).unwrap(), None, 2)
    }

    #[test]
    fn parts_of_all_cores_add_up_and_small_changes_wait_for_a_tick() {
        let memory = memory();
        let (one, two) = (CoreMemory::new(0, memory.clone()), CoreMemory::new(1, memory.clone()));
        one.set(Part::Memtables, 5 * MIB);
        two.set(Part::Requests, 3 * MIB);
        two.change(Part::Connections, 0, 100);
        assert_eq!(memory.used(), 8 * MIB);
        two.report();
        assert_eq!(memory.used(), 8 * MIB + 100);
        two.change(Part::Connections, 100, 0);
        one.set(Part::Memtables, 0);
        two.report();
        assert_eq!(memory.used(), 3 * MIB);
        assert!(Part::ALL.iter().enumerate().all(|(at, (part, _))| *part as usize == at));
    }

    #[test]
    fn the_level_follows_the_sum_and_says_which_bound_is_in_the_way() {
        let memory = memory();
        let (one, two) = (CoreMemory::new(0, memory.clone()), CoreMemory::new(1, memory.clone()));
        one.set(Part::Memtables, 120 * MIB);
        assert_eq!((memory.level(), memory.shortage(Level::Sparing)), (Level::Calm, None));
        two.set(Part::ParserCaches, 112 * MIB);
        assert_eq!(memory.level(), Level::Sparing);
        let shortage = Shortage::Total { used: 232 * MIB, bytes_max: 256 * MIB };
        assert_eq!((memory.shortage(Level::Sparing), memory.refuses_series()), (Some(shortage), Some(shortage)));
        assert_eq!(memory.shortage(Level::Full), None);
        assert!(memory.queries().bytes_max() > 0);
        two.set(Part::ParserCaches, 0);
        assert_eq!((memory.level(), memory.refuses_series()), (Level::Calm, None));

        memory.set_resident(memory.resident().1 + 1);
        assert!(matches!(memory.shortage(Level::Full), Some(Shortage::Resident { .. })));
        memory.set_resident(0);
        assert_eq!(memory.level(), Level::Calm);
    }

    #[test]
    fn series_have_a_share_that_writes_to_known_ones_do_not_feel() {
        let memory = memory();
        let one = CoreMemory::new(0, memory.clone());
        one.set(Part::Series, memory.budget().series_bytes_max + MIB);
        assert_eq!(memory.level(), Level::Calm);
        assert!(matches!(memory.refuses_series(), Some(Shortage::Series { .. })));
        assert_eq!(memory.shortage(Level::Full), None);
    }
}
