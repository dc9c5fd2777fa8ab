//! From what is held to what is to be done.

/// What the server does about its memory; each level does also what those before it do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Level {
    /// Nothing.
    #[default]
    Calm,
    /// Caches shrink, memory kept for later is given back, the largest memtable is flushed.
    Shed,
    /// No new queries, no more memory for those that run, no new series.
    Sparing,
    /// No writes.
    Full,
}

impl Level {
    /// All levels, the calm one first.
    pub const ALL: [Self; 4] = [Self::Calm, Self::Shed, Self::Sparing, Self::Full];
}

/// Work that is refused when memory is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedWork {
    /// Queries, before they begin.
    Queries,
    /// Writes that bring new series.
    Series,
    /// All writes.
    Writes,
}

/// Memory is shed above this share of the bound, in percent: what is shed comes back in one or two ticks, in which a
/// core parses some 10 MiB.
const SHED_PERCENT: u64 = 80;
/// Queries and new series are refused above this.
const SPARE_PERCENT: u64 = 90;
/// All writes are refused above this. What is under way when it is reached has the rest.
const FULL_PERCENT: u64 = 97;

/// What the process may have in RAM, for a bound of what is counted: a quarter more for fragments, pages on their way
/// back to the kernel and what is not counted, and the process itself. Never more than the machine has.
pub fn resident_bytes_max(bytes_max: u64, machine: Option<u64>) -> u64 {
    /// Code, stacks, rings and their registered memory.
    const PROCESS_BYTES: u64 = 64 << 20;
    let wanted = (bytes_max + bytes_max / 4).saturating_add(PROCESS_BYTES);
    // The kernel needs something too.
    machine.map_or(wanted, |machine| wanted.min(machine / 100 * 95))
}

/// The level for `used` bytes counted of `bytes_max`.
pub fn level(used: u64, bytes_max: u64) -> Level {
    let above = |percent: u64| used > bytes_max / 100 * percent;
    match () {
        () if above(FULL_PERCENT) => Level::Full,
        () if above(SPARE_PERCENT) => Level::Sparing,
        () if above(SHED_PERCENT) => Level::Shed,
        () => Level::Calm,
    }
}

/// Bytes above which memory is shed; 0 when nothing is to be.
pub fn over(used: u64, bytes_max: u64) -> u64 {
    used.saturating_sub(bytes_max / 100 * SHED_PERCENT)
}

/// The next bound of a block cache whose bound is `now`, that holds `held` bytes and may hold `bytes_max` in calm
/// times. When the server is `over` by some bytes, the cache loses them, but keeps a sixteenth; when it is not, the
/// bound comes back step by step.
pub fn cache_bytes_max(now: u64, held: u64, bytes_max: u64, over: u64) -> u64 {
    let floor = bytes_max / 16;
    match over {
        0 => (now + bytes_max / 64).min(bytes_max),
        over => held.saturating_sub(over).clamp(floor, now.max(floor)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_rise_with_what_is_held() {
        let table = [(0, 0), (80, 0), (81, 1), (90, 1), (91, 2), (97, 2), (98, 3), (1000, 3)];
        for (used, expected) in table {
            assert_eq!(level(used * 1000, 100_000), Level::ALL[expected], "{used} %");
        }
        assert!(Level::ALL.is_sorted());
    }

    #[test]
    fn the_resident_bound_leaves_room_and_stays_within_the_machine() {
        assert_eq!(resident_bytes_max(400 << 20, None), 564 << 20);
        assert_eq!(resident_bytes_max(400 << 20, Some(100 << 20)), 95 << 20);
    }

    #[test]
    fn a_cache_gives_up_what_is_over_down_to_its_floor_and_grows_back() {
        // now, held, over: next
        let table = [
            (160, 160, 50, 110),
            (160, 40, 20, 20),
            (160, 160, 1200, 10),
            (10, 10, 100, 10),
            (10, 10, 0, 12),
            (159, 100, 0, 160),
        ];
        for (now, held, over, expected) in table {
            assert_eq!(cache_bytes_max(now, held, 160, over), expected, "{now} {held} {over}");
        }
        assert_eq!((over(800, 1000), over(850, 1000)), (0, 50));
    }
}
