//! What a core does about memory, tick by tick: it counts what it holds, and sheds what it can do without.
//!
//! 1. The parts that change with each request are counted where they change; the others here, at each tick, or less
//!    often where counting takes long (it looks at every table).
//! 2. From [`Level::Shed`] on: batches and memory kept for later are let go, idle parser caches are forgotten, block
//!    caches shrink, and the core's largest memtable is flushed early, one at a time.
//! 3. When memory is no longer short, block caches get their bound back step by step.
//!
//! What is refused at higher levels is refused where it comes in: `ingest::write`, `ingest::commit`, `api::cnos`, and
//! the account of all queries.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::core::shards::Shards;
use crate::core::state::CoreState;
use crate::memory::pressure::cache_bytes_max;
use crate::memory::{Level, Part, machine};
use crate::ring::{self, Queue};

/// How often memory is counted: a core takes in some 10 MiB meanwhile, and those are counted as they come.
const TICK: Duration = Duration::from_millis(20);

/// Ticks between two looks at the process's memory in RAM, a call of the kernel that adds up all threads' counters.
const TICKS_PER_LOOK: u32 = 2;

/// Counting may take this share of a core, one part in as many.
const COUNT_SHARE: u32 = 100;

/// The core that looks at the process as a whole.
const LOOKING_CORE: usize = 0;

/// Keeps a core within its memory.
pub(crate) async fn keep_memory(core: Rc<CoreState>, shards: Rc<Shards>) {
    let mut upkeep = MemoryUpkeep::new(core, shards);
    loop {
        ring::sleep(TICK).await;
        upkeep.take_stock().await;
        upkeep.tick();
    }
}

struct MemoryUpkeep {
    core: Rc<CoreState>,
    shards: Rc<Shards>,
    ticks: u32,
    /// When what takes long is counted again.
    count_at: Option<Instant>,
    /// How long it took the shards to take stock for the next count.
    stock_took: Duration,
    /// Bounds of the block caches, by shard, where they are not as configured.
    caches: BTreeMap<u32, u64>,
    /// A memtable is being flushed early.
    is_flushing: Rc<Cell<bool>>,
}

impl MemoryUpkeep {
    fn new(core: Rc<CoreState>, shards: Rc<Shards>) -> Self {
        Self {
            core,
            shards,
            ticks: 0,
            count_at: None,
            stock_took: Duration::ZERO,
            caches: BTreeMap::new(),
            is_flushing: Rc::default(),
        }
    }

    /// Lets the shards take stock before they are counted.
    async fn take_stock(&mut self) {
        let started = Instant::now();
        self.stock_took = Duration::ZERO;
        if self.count_at.is_none_or(|at| at <= started) {
            for (_, shard) in self.shards.clone().iter() {
                shard.take_stock().await;
            }
            self.stock_took = started.elapsed();
        }
    }

    fn tick(&mut self) {
        self.ticks = self.ticks.wrapping_add(1);
        let core = self.core.clone();
        let memory = core.memory.shared();
        if core.number == LOOKING_CORE
            && self.ticks.is_multiple_of(TICKS_PER_LOOK)
            && let Some(bytes) = machine::resident_bytes()
        {
            memory.set_resident(bytes);
        }
        self.count();
        let level = memory.level();
        let over = if level >= Level::Shed { memory.over() } else { 0 };
        core.caches.shrink(core.memory.get(Part::ParserCaches).saturating_sub(over));
        if level >= Level::Shed {
            core.recycled.clear();
            self.shards.iter().for_each(|(_, shard)| shard.release_idle_memory());
            self.flush_largest();
        }
        if level >= Level::Shed || !self.caches.is_empty() {
            self.bound_caches(over);
        }
    }

    fn count(&mut self) {
        let memory = &self.core.memory;
        memory.set(Part::Requests, self.core.building.used());
        memory.set(Part::Batches, self.core.recycled.bytes());
        let started = Instant::now();
        if self.count_at.is_none_or(|at| at <= started) {
            let mut all = tidewire_storage::engine::ShardMemory::default();
            for (_, shard) in self.shards.iter() {
                let held = shard.memory();
                all.active += held.active;
                all.flushing += held.flushing;
                all.sorting += held.sorting;
                all.ordered += held.ordered;
                all.idle += held.idle;
                all.wal_pending += held.wal_pending;
                all.cache += held.cache;
                all.index += held.index;
                all.segments += held.segments;
            }
            memory.set(Part::Memtables, all.active + all.flushing + all.sorting + all.ordered + all.idle);
            memory.set(Part::Log, all.wal_pending);
            memory.set(Part::BlockCaches, all.cache);
            memory.set(Part::Series, all.index);
            memory.set(Part::Segments, all.segments);
            let ended = Instant::now();
            self.count_at = Some(ended + (ended - started + self.stock_took) * COUNT_SHARE);
        }
        memory.report();
    }

    fn bound_caches(&mut self, over: u64) {
        let bytes_max = self.core.config.cache.bytes_max;
        for (number, shard) in self.shards.iter() {
            let now = self.caches.get(&number).copied().unwrap_or(bytes_max);
            let next = cache_bytes_max(now, shard.cache_bytes(), bytes_max, over);
            shard.set_cache_bytes_max(next);
            if next == bytes_max {
                self.caches.remove(&number);
            } else {
                self.caches.insert(number, next);
            }
        }
    }

    /// Flushes the core's largest memtable, unless it is so small that its segments would cost more than it holds.
    fn flush_largest(&self) {
        let bytes_min = self.core.config.memtable.flush_bytes / 4;
        let largest = self.shards.iter().max_by_key(|(_, shard)| shard.memtable_bytes());
        let Some((number, shard)) = largest.filter(|(_, shard)| shard.memtable_bytes() >= bytes_min) else { return };
        if self.is_flushing.replace(true) {
            return;
        }
        let (shard, shards, is_flushing) = (shard.clone(), self.shards.clone(), self.is_flushing.clone());
        let flush = async move {
            if let Err(error) = shard.flush().await {
                log::error!("shard {number}: a memtable cannot be flushed to make room: {error}");
            }
            shards.report_memtables();
            is_flushing.set(false);
        };
        self.core.queues.spawn(Queue::Maintenance, "a flush for want of memory", flush).detach();
    }
}
