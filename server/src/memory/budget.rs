//! The bound divided.
//!
//! What is bounded part by part (rows, block caches, connections) gets a share of the bound up to a size beyond which
//! more does not help. The rest goes to what grows with the data and the questions: series, queries, parser caches.
//! Keys that the operator has set are taken as they are; then the rest is less, and where too little is left the
//! configuration is refused with the sum and the keys that make it.
//!
//! ```text
//!   rows         shards × (memtable.bytes_max + 2 × admission.bytes_max) + cores × memtable.bytes_max
//!                on their way in and in the log both; being parsed
//!   caches       shards × cache.bytes_max
//!   connections  buffers of bodies and replies
//!   decoders     windows of compressed bodies
//!   rest         queries 40 %, parser caches 15 %, series and footers of segments 45 %
//! ```

use tidewire_base::config::Config;
use tidewire_sql::exec::QueryMemory;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Of what the machine has, the bound takes so much by default. The rest is for what is not counted: the allocator's
/// fragments and pages on their way back (a quarter of what is counted, measured at worst), sorting and merging, the
/// kernel's sockets and page cache, and other processes.
const SHARE_PERCENT: u64 = 60;

/// The bound where the machine does not say what it has.
const BYTES_MAX_UNTOLD: u64 = 1 << 30;

/// Of the bound for rows in all their places: what writes need most.
const ROWS_PERCENT: u64 = 35;
/// Full blocks and quick sorting need no more: see `ShardConfig::new`.
const FLUSH_BYTES: u64 = 64 * MIB;
const MEMTABLE_BYTES: u64 = 3 * FLUSH_BYTES;
/// Less makes a segment of each handful of requests.
const FLUSH_BYTES_MIN: u64 = MIB;
const ADMISSION_BYTES: u64 = 32 * MIB;
const ADMISSION_BYTES_MIN: u64 = MIB;

/// Of the bound for blocks of segments.
const CACHES_PERCENT: u64 = 10;
const CACHE_BYTES: u64 = 128 * MIB;
const CACHE_BYTES_MIN: u64 = MIB;

/// Of the bound for buffers of connections.
const CONNECTIONS_PERCENT: u64 = 5;
/// As many large buffers as a core lends, and as much again for replies.
const CONNECTIONS_BYTES: u64 = 128 * MIB;
const CONNECTIONS_BYTES_MIN: u64 = 2 * MIB;

/// Of the bound for decoders of compressed bodies.
const DECODERS_PERCENT: u64 = 6;
/// A few of the largest windows at once, beside hundreds of usual ones.
const DECODERS_BYTES: u64 = 64 * MIB;
const DECODERS_BYTES_MIN: u64 = MIB;

/// Of the rest.
const QUERIES_PERCENT: u64 = 40;
const PARSERS_PERCENT: u64 = 15;
/// A query over some wide chunks on each shard.
const QUERIES_BYTES_MIN: u64 = 8 * MIB;
const PARSER_BYTES_MIN: u64 = MIB;
const SERIES_BYTES_MIN: u64 = 8 * MIB;
/// One query may have a fraction of what all have, so that a few large ones run at once, but no less than this if it is
/// there.
const QUERY_BYTES: u64 = 256 * MIB;
const QUERY_FRACTION: u64 = 8;

/// Keys as set; 0 where the operator has left it to the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keys {
    /// `memtable.flush_bytes`, a shard.
    pub flush_bytes: u64,
    /// `memtable.bytes_max`, a shard.
    pub memtable_bytes_max: u64,
    /// `admission.bytes_max`, a shard.
    pub admission_bytes_max: u64,
    /// `cache.bytes_max`, a shard.
    pub cache_bytes_max: u64,
    /// `query.memory_bytes_max`, a query.
    pub query_bytes_max: u64,
}

/// What each part may hold, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// All of it: `memory.bytes_max`.
    pub bytes_max: u64,
    /// The keys, none of them 0.
    pub keys: Keys,
    /// Rows that requests of a core have parsed and that are not yet granted.
    pub parsing_bytes_max: u64,
    /// Buffers of the connections of a core.
    pub connections_bytes_max: u64,
    /// Decoders of the bodies of all connections.
    pub decoders_bytes_max: u64,
    /// All queries together.
    pub queries_bytes_max: u64,
    /// Parser caches of a core.
    pub parser_bytes_max: u64,
    /// Series of all shards, and the footers of their segments.
    pub series_bytes_max: u64,
}

impl Keys {
    fn of(config: &Config) -> Self {
        Self {
            flush_bytes: config.memtable.flush_bytes,
            memtable_bytes_max: config.memtable.bytes_max,
            admission_bytes_max: config.admission.bytes_max,
            cache_bytes_max: config.cache.bytes_max,
            query_bytes_max: config.query.memory_bytes_max,
        }
    }

    fn write_to(&self, config: &mut Config) {
        config.memtable.flush_bytes = self.flush_bytes;
        config.memtable.bytes_max = self.memtable_bytes_max;
        config.admission.bytes_max = self.admission_bytes_max;
        config.cache.bytes_max = self.cache_bytes_max;
        config.query.memory_bytes_max = self.query_bytes_max;
    }
}

/// Fills in the keys of `config` that are 0, for `machine` bytes of memory (where that is known), and says what else
/// follows from them.
///
/// # Errors
///
/// A sentence that names the keys and the sum where they do not fit into the bound, or the bound not into the machine.
pub fn settle(config: &mut Config, machine: Option<u64>, shards: usize, cores: usize) -> Result<Budget, String> {
    let bytes_max = match config.memory.bytes_max {
        0 => machine.map_or(BYTES_MAX_UNTOLD, |machine| machine / 100 * SHARE_PERCENT),
        set => set,
    };
    if let Some(machine) = machine.filter(|machine| *machine < bytes_max) {
        return Err(format!(
            "`memory.bytes_max` is {}, and the machine or its control group has {}",
            show(bytes_max),
            show(machine)
        ));
    }
    let budget = divide(bytes_max, shards as u64, cores as u64, Keys::of(config))?;
    config.memory.bytes_max = bytes_max;
    budget.keys.write_to(config);
    config.validate().map_err(|error| error.to_string())?;
    Ok(budget)
}

/// Divides `bytes_max` over `shards` and `cores`, both at least 1.
///
/// # Errors
///
/// A sentence, where the parts do not fit.
pub fn divide(bytes_max: u64, shards: u64, cores: u64, set: Keys) -> Result<Budget, String> {
    let (shards, cores) = (shards.max(1), cores.max(1));
    let percent = |share: u64| bytes_max / 100 * share;
    let or = |set: u64, derived: u64| if set == 0 { derived } else { set };

    // A memtable for each shard with a third of one on its way in and in the log, and one for each core.
    let row_unit = percent(ROWS_PERCENT) / (4 * shards + 3 * cores) * 3;
    let mut memtable = or(set.memtable_bytes_max, whole(row_unit.min(MEMTABLE_BYTES)).max(2 * FLUSH_BYTES_MIN));
    let flush = or(set.flush_bytes, whole((memtable / 3).min(FLUSH_BYTES)).max(FLUSH_BYTES_MIN));
    if set.memtable_bytes_max == 0 {
        memtable = memtable.max(flush.saturating_mul(2));
    }
    let admission = or(set.admission_bytes_max, whole((memtable / 6).min(ADMISSION_BYTES)).max(ADMISSION_BYTES_MIN));
    let cache =
        or(set.cache_bytes_max, whole((percent(CACHES_PERCENT) / shards).min(CACHE_BYTES)).max(CACHE_BYTES_MIN));
    let connections = whole((percent(CONNECTIONS_PERCENT) / cores).min(CONNECTIONS_BYTES)).max(CONNECTIONS_BYTES_MIN);

    let sum =
        |terms: &[(u64, u64)]| terms.iter().fold(0_u64, |sum, (n, each)| sum.saturating_add(n.saturating_mul(*each)));
    let rows = sum(&[(shards, memtable), (2 * shards, admission), (cores, memtable)]);
    let caches = sum(&[(shards, cache)]);
    let decoders = whole(percent(DECODERS_PERCENT).min(DECODERS_BYTES)).max(DECODERS_BYTES_MIN);
    let buffers = sum(&[(cores, connections), (1, decoders)]);
    let fixed = sum(&[(1, rows), (1, caches), (1, buffers)]);
    let queries_min = or(QueryMemory::least_for(set.query_bytes_max), QUERIES_BYTES_MIN);
    let least = sum(&[(1, queries_min), (cores, PARSER_BYTES_MIN), (1, SERIES_BYTES_MIN)]);
    let needed = fixed.saturating_add(least);
    if needed > bytes_max {
        return Err(format!(
            "`memory.bytes_max` is {}, and with {shards} shards on {cores} cores the rest adds up to {}: {} of rows \
             (`memtable.bytes_max` {} for each shard and core, `admission.bytes_max` {} twice for each shard), {} of \
             block caches (`cache.bytes_max` {} for each shard), {} of connections' buffers, and at least {} for \
             queries (`query.memory_bytes_max`), series and parsers",
            show(bytes_max),
            show(needed),
            show(rows),
            show(memtable),
            show(admission),
            show(caches),
            show(cache),
            show(buffers),
            show(least)
        ));
    }
    let rest = bytes_max - fixed;
    let parser_max = (rest - queries_min - SERIES_BYTES_MIN) / cores;
    let parser = (rest / 100 * PARSERS_PERCENT / cores).max(PARSER_BYTES_MIN).min(parser_max);
    let parsers = cores * parser;
    let queries = (rest / 100 * QUERIES_PERCENT).max(queries_min).min(rest - parsers - SERIES_BYTES_MIN);
    let query = (queries / QUERY_FRACTION).max(QUERY_BYTES.min(QueryMemory::most_of_one(queries)));
    let query = or(set.query_bytes_max, query);
    Ok(Budget {
        bytes_max,
        keys: Keys {
            flush_bytes: flush,
            memtable_bytes_max: memtable,
            admission_bytes_max: admission,
            cache_bytes_max: cache,
            query_bytes_max: query,
        },
        parsing_bytes_max: memtable,
        connections_bytes_max: connections,
        decoders_bytes_max: decoders,
        queries_bytes_max: queries,
        parser_bytes_max: parser,
        series_bytes_max: rest - parsers - queries,
    })
}

/// Without odd bytes, so that what is shown can be set.
fn whole(bytes: u64) -> u64 {
    bytes / (64 * KIB) * (64 * KIB)
}

/// A size for people, rounded down.
fn show(bytes: u64) -> String {
    const NAMES: [(&str, u32); 3] = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match NAMES.iter().find(|(_, shift)| bytes >> shift >= 10) {
        Some((name, shift)) => format!("{} {name}", bytes >> shift),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    /// What all parts add up to.
    fn sum(budget: &Budget, shards: u64, cores: u64) -> u64 {
        let keys = &budget.keys;
        shards * (keys.memtable_bytes_max + 2 * keys.admission_bytes_max + keys.cache_bytes_max)
            + cores * (budget.parsing_bytes_max + budget.connections_bytes_max + budget.parser_bytes_max)
            + budget.decoders_bytes_max
            + budget.queries_bytes_max
            + budget.series_bytes_max
    }

    #[test]
    fn nothing_set_gives_the_known_sizes_where_there_is_room_and_less_where_there_is_not() {
        // (bound, shards, cores): flush, memtable, admission, cache, query in MiB
        let table = [
            (14 * GIB, 2, 2, [64, 192, 32, 128, 643]),
            (14 * GIB, 8, 8, [64, 192, 32, 128, 447]),
            (96 * GIB, 48, 48, [64, 192, 32, 128, 3_283]),
            (1228 * MIB, 2, 2, [30, 92, 15, 61, 192]),
            (256 * MIB, 2, 2, [6, 19, 3, 12, 39]),
            (64 * MIB, 1, 1, [3, 9, 1, 6, 9]),
        ];
        for (bound, shards, cores, expected) in table {
            let budget = divide(bound, shards, cores, Keys::default()).unwrap();
            let keys = budget.keys;
            let mib = [
                keys.flush_bytes,
                keys.memtable_bytes_max,
                keys.admission_bytes_max,
                keys.cache_bytes_max,
                keys.query_bytes_max,
            ]
            .map(|bytes| bytes / MIB);
            assert_eq!(mib, expected, "{} for {shards} shards on {cores} cores", show(bound));
        }
    }

    #[test]
    fn the_parts_never_add_up_to_more_than_the_bound() {
        for bound in [48, 64, 100, 256, 512, 1 << 10, 3000, 16 << 10, 1 << 20].map(|mib| mib * MIB) {
            for (shards, cores) in [(1, 1), (2, 2), (4, 2), (48, 2), (64, 64), (1024, 4)] {
                let Ok(budget) = divide(bound, shards, cores, Keys::default()) else { continue };
                assert!(sum(&budget, shards, cores) <= bound, "{bound} {shards} {cores}: {budget:?}");
                let keys = budget.keys;
                assert!(keys.memtable_bytes_max >= 2 * keys.flush_bytes && keys.admission_bytes_max > 0);
                assert!(
                    keys.query_bytes_max <= QueryMemory::most_of_one(budget.queries_bytes_max)
                        && budget.series_bytes_max > 0
                );
            }
        }
    }

    #[test]
    fn what_is_set_is_kept_and_the_others_make_room() {
        let set = Keys { cache_bytes_max: 400 * MIB, memtable_bytes_max: 16 * MIB, ..Keys::default() };
        let budget = divide(GIB, 2, 2, set).unwrap();
        assert_eq!((budget.keys.cache_bytes_max, budget.keys.memtable_bytes_max), (400 * MIB, 16 * MIB));
        assert!(budget.keys.flush_bytes * 2 <= 16 * MIB);
        assert!(sum(&budget, 2, 2) <= GIB);
        // A large flush asks for a larger memtable.
        let budget = divide(4 * GIB, 2, 2, Keys { flush_bytes: 200 * MIB, ..Keys::default() }).unwrap();
        assert_eq!(budget.keys.memtable_bytes_max, 400 * MIB);
        let budget = divide(GIB, 2, 2, Keys { query_bytes_max: 300 * MIB, ..Keys::default() }).unwrap();
        assert!(budget.queries_bytes_max >= 300 * MIB && sum(&budget, 2, 2) <= GIB);
        // As much as there is for one.
        let most = |bytes| divide(GIB, 2, 2, Keys { query_bytes_max: bytes, ..Keys::default() });
        let (mut fits, mut fails) = (300 * MIB, GIB);
        while fails - fits > MIB {
            let middle = fits.midpoint(fails);
            match most(middle) {
                Ok(budget) => {
                    assert!(QueryMemory::most_of_one(budget.queries_bytes_max) >= middle && sum(&budget, 2, 2) <= GIB);
                    fits = middle;
                }
                Err(_) => fails = middle,
            }
        }
    }

    #[test]
    fn what_cannot_fit_is_refused_with_its_keys_and_sum() {
        let set = Keys { cache_bytes_max: 600 * MIB, ..Keys::default() };
        let reason = divide(GIB, 2, 2, set).unwrap_err();
        for part in ["`memory.bytes_max` is 1024 MiB", "2 shards on 2 cores", "1200 MiB of block caches", "600 MiB"] {
            assert!(reason.contains(part), "{part}: {reason}");
        }
        assert!(divide(16 * MIB, 1, 1, Keys::default()).is_err());
        assert!(divide(1 << 46, 1024, 64, Keys { memtable_bytes_max: u64::MAX, ..Keys::default() }).is_err());
    }

    #[test]
    fn a_config_is_settled_for_the_machine() {
        let mut config = Config::default();
        let budget = settle(&mut config, Some(24_105 * MIB), 2, 2).unwrap();
        assert_eq!(config.memory.bytes_max, 24_105 * MIB / 100 * 60);
        assert_eq!((config.memtable.bytes_max, config.cache.bytes_max), (192 * MIB, 128 * MIB));
        assert_eq!(budget.bytes_max, config.memory.bytes_max);
        let mut config = Config::default();
        settle(&mut config, Some(2 * GIB), 2, 2).unwrap();
        assert!(config.memtable.bytes_max < 192 * MIB);
        settle(&mut Config::default(), None, 2, 2).unwrap();
        let mut config = Config::default();
        config.memory.bytes_max = 2 * GIB;
        let reason = settle(&mut config, Some(GIB), 2, 2).unwrap_err();
        assert!(reason.contains("`memory.bytes_max`") && reason.contains("1024 MiB"), "{reason}");
    }
}
