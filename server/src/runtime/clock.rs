//! The clock of the world, by which the age of rows is counted. A request reads it once.
//!
//! It may be wrong for a while and then jump: at a start before the time is synchronised, after a pause of a virtual
//! machine, by hand. Nothing that cannot be taken back may follow from it before it has been consistent for some time:
//! [`ClockWatch`] compares it with a clock that only goes on.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a test adds to the clock of the world, in nanoseconds.
static OFFSET_NS: AtomicI64 = AtomicI64::new(0);

/// How often the file is read that says so.
const OFFSET_READ_EVERY: Duration = Duration::from_millis(10);

/// Nanoseconds since the Unix epoch; 0 before it.
pub fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let now_ns = i64::try_from(since).unwrap_or(i64::MAX);
    now_ns.saturating_add(OFFSET_NS.load(Ordering::Relaxed)).max(0)
}

/// From now on the clock of the world is the host's with the nanoseconds added that stand in a file, as long as the
/// process lives. For tests that cannot set the host's clock. A file that is missing or says something else changes
/// nothing.
pub fn follow_offset(path: PathBuf) -> std::io::Result<()> {
    read_offset(&path);
    let follow = move || loop {
        thread::sleep(OFFSET_READ_EVERY);
        read_offset(&path);
    };
    thread::Builder::new().name("clock".to_owned()).spawn(follow).map(drop)
}

fn read_offset(path: &Path) {
    if let Some(offset_ns) = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()) {
        OFFSET_NS.store(offset_ns, Ordering::Relaxed);
    }
}

/// Whether the clock of the world may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockState {
    /// It has been consistent for as long as is wanted.
    Settled,
    /// It has not, but for the first time or since a jump.
    Settling,
    /// It has jumped since the last look, by so much.
    Jumped {
        /// Forward, or back if negative.
        by_ns: i64,
    },
}

/// Looks at the clock of the world now and then, beside one that only goes on.
#[derive(Debug)]
pub struct ClockWatch {
    settle: Duration,
    /// Both clocks at an earlier look, and since when the clock of the world has been consistent, as far as is known.
    reference: Option<Reference>,
}

#[derive(Debug, Clone, Copy)]
struct Reference {
    now_ns: i64,
    elapsed: Duration,
    since: Duration,
}

impl ClockWatch {
    /// The clocks may drift apart by this: a clock that is slewed gains or loses half a thousandth.
    const DRIFT_PARTS: u32 = 1000;
    /// And by this at once: a leap second, and what one of the two reads late.
    const STEP_NS: i64 = 2_000_000_000;
    /// A look is compared with one that is no older than this by much: what may add up as drift in it is no more than
    /// some seconds, however long the process has been running.
    const WINDOW: Duration = Duration::from_secs(3600);

    /// A watch that believes the clock when it has been consistent for `settle`.
    pub fn new(settle: Duration) -> Self {
        Self { settle, reference: None }
    }

    /// Looks: the clock of the world shows `now_ns`, the other one `elapsed`.
    pub fn look(&mut self, now_ns: i64, elapsed: Duration) -> ClockState {
        let Some(reference) = self.reference else {
            self.reference = Some(Reference { now_ns, elapsed, since: elapsed });
            return if self.settle.is_zero() { ClockState::Settled } else { ClockState::Settling };
        };
        let passed = elapsed.saturating_sub(reference.elapsed);
        let expected_ns = reference.now_ns.saturating_add(i64::try_from(passed.as_nanos()).unwrap_or(i64::MAX));
        let by_ns = now_ns.saturating_sub(expected_ns);
        let drift_ns = i64::try_from((passed / Self::DRIFT_PARTS).as_nanos()).unwrap_or(i64::MAX);
        if by_ns.saturating_abs() > drift_ns.saturating_add(Self::STEP_NS) {
            self.reference = Some(Reference { now_ns, elapsed, since: elapsed });
            return ClockState::Jumped { by_ns };
        }
        if passed >= Self::WINDOW {
            self.reference = Some(Reference { now_ns, elapsed, ..reference });
        }
        if elapsed.saturating_sub(reference.since) >= self.settle { ClockState::Settled } else { ClockState::Settling }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: i64 = 1_000_000_000;

    /// A clock of the world that a test moves, beside one that only goes on.
    struct Clocks {
        world_ns: i64,
        elapsed: Duration,
        watch: ClockWatch,
    }

    impl Clocks {
        fn new(settle_s: u64) -> Self {
            let watch = ClockWatch::new(Duration::from_secs(settle_s));
            Self { world_ns: 1_700_000_000 * SECOND_NS, elapsed: Duration::from_secs(5), watch }
        }

        /// Time passes, of which the clock of the world shows `parts` thousandths.
        fn pass(&mut self, seconds: u64, parts: i64) -> ClockState {
            self.elapsed += Duration::from_secs(seconds);
            self.world_ns += seconds as i64 * SECOND_NS / 1000 * parts;
            self.watch.look(self.world_ns, self.elapsed)
        }

        fn jump(&mut self, by_s: i64) -> ClockState {
            self.world_ns += by_s * SECOND_NS;
            self.pass(30, 1000)
        }
    }

    #[test]
    fn a_clock_is_believed_when_it_has_been_consistent_and_not_before() {
        let mut clocks = Clocks::new(100);
        let states: Vec<_> = (0..5).map(|_| clocks.pass(30, 1000)).collect();
        assert_eq!(states[..4], [ClockState::Settling; 4]);
        assert_eq!(states[4], ClockState::Settled, "120 s after the first look");
        assert_eq!(Clocks::new(0).pass(1, 1000), ClockState::Settled, "0 waits for nothing");
    }

    #[test]
    fn a_jump_forward_or_back_begins_anew() {
        for by_s in [3600, -3600, 3, -3, 40_000_000] {
            let mut clocks = Clocks::new(60);
            for _ in 0..4 {
                clocks.pass(30, 1000);
            }
            assert_eq!(clocks.jump(by_s), ClockState::Jumped { by_ns: by_s * SECOND_NS });
            assert_eq!(clocks.pass(30, 1000), ClockState::Settling);
            // It is set right again.
            assert_eq!(clocks.jump(-by_s), ClockState::Jumped { by_ns: -by_s * SECOND_NS });
            assert_eq!([clocks.pass(30, 1000), clocks.pass(30, 1000)], [ClockState::Settling, ClockState::Settled]);
        }
    }

    #[test]
    fn a_jump_is_one_however_long_the_clock_has_been_consistent() {
        let mut clocks = Clocks::new(600);
        for look in 0..100 * 24 * 120 {
            assert!(!matches!(clocks.pass(30, 1000), ClockState::Jumped { .. }), "look {look}");
        }
        for by_s in [-10, 10, 3600] {
            assert_eq!(clocks.jump(by_s), ClockState::Jumped { by_ns: by_s * SECOND_NS });
            (0..500).for_each(|_| _ = clocks.pass(30, 1000));
        }
    }

    #[test]
    fn a_clock_that_is_slewed_does_not_jump_and_steps_that_add_up_do() {
        let mut clocks = Clocks::new(60);
        for look in 0..1000 {
            let state = clocks.pass(30, if look % 2 == 0 { 1000 } else { 1001 });
            assert!(!matches!(state, ClockState::Jumped { .. }), "look {look}: {state:?}");
        }
        let mut clocks = Clocks::new(3600);
        let jumped = (0..20).any(|_| {
            clocks.world_ns += SECOND_NS;
            matches!(clocks.pass(30, 1000), ClockState::Jumped { .. })
        });
        assert!(jumped, "a second every half a minute");
    }
}
