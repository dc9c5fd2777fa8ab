//! How fast merges go: a token bucket, and the gate that a merge passes block by block.
//!
//! There is no clock in here: the caller says what time it is.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::signal::Signal;

/// Bytes that may be moved: they come in at a constant rate, and what is not used is kept for a moment only. Pure.
#[derive(Debug, Clone, Copy, Default)]
pub struct Budget {
    /// 0: no bound.
    bytes_per_s: u64,
    /// Below zero when more was spent than there was: then the next one waits.
    bytes: i64,
    now: Option<Duration>,
}

impl Budget {
    /// A budget of `bytes_per_s`; unlimited if 0.
    pub fn new(bytes_per_s: u64) -> Self {
        Self { bytes_per_s, bytes: Self::burst(bytes_per_s), now: None }
    }

    /// A quarter of a second's worth: enough to hide that ticks are not evenly spaced, too little to hurt a neighbour.
    fn burst(bytes_per_s: u64) -> i64 {
        i64::try_from(bytes_per_s / 4).unwrap_or(i64::MAX)
    }

    /// Says what time it is, on any clock that does not go back.
    pub fn tick(&mut self, now: Duration) {
        let passed = self.now.map_or(Duration::ZERO, |before| now.saturating_sub(before));
        self.now = Some(now);
        let earned = u128::from(self.bytes_per_s) * passed.as_nanos() / 1_000_000_000;
        let bytes = self.bytes.saturating_add(i64::try_from(earned).unwrap_or(i64::MAX));
        self.bytes = bytes.min(Self::burst(self.bytes_per_s));
    }

    /// Whether something may be moved now.
    pub fn is_open(&self) -> bool {
        self.bytes_per_s == 0 || self.bytes > 0
    }

    /// Bytes were moved.
    pub fn spend(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

/// What goes between a merge under way and those who pace it.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    budget: RefCell<Budget>,
    stopped: Cell<bool>,
    read_bytes: Cell<u64>,
    written_bytes: Cell<u64>,
    changed: Signal,
}

impl Pace {
    pub(crate) fn new(bytes_per_s: u64) -> Self {
        Self { budget: RefCell::new(Budget::new(bytes_per_s)), ..Self::default() }
    }

    pub(crate) fn tick(&self, now: Duration) {
        self.budget.borrow_mut().tick(now);
        self.changed.notify();
    }

    /// Ends merges at their next block.
    pub(crate) fn stop(&self) {
        self.stopped.set(true);
        self.changed.notify();
    }

    /// Bytes read and written since the start.
    pub(crate) fn moved(&self) -> (u64, u64) {
        (self.read_bytes.get(), self.written_bytes.get())
    }

    /// Bytes were read; waits until more may be moved.
    pub(crate) async fn read(&self, bytes: u64) -> Result<()> {
        self.read_bytes.set(self.read_bytes.get() + bytes);
        self.pass(bytes).await
    }

    /// Bytes were written; waits until more may be moved.
    pub(crate) async fn written(&self, bytes: u64) -> Result<()> {
        self.written_bytes.set(self.written_bytes.get() + bytes);
        self.pass(bytes).await
    }

    async fn pass(&self, bytes: u64) -> Result<()> {
        self.budget.borrow_mut().spend(bytes);
        let open = || match self.stopped.get() {
            true => Some(Err(Error::Closed)),
            false => self.budget.borrow().is_open().then_some(Ok(())),
        };
        self.changed.until(open).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_any_time_no_more_is_moved_than_was_earned() {
        for seed in crate::testing::seeds() {
            let mut random = fastrand::Rng::with_seed(seed);
            let rate = random.u64(1_000..10_000_000);
            let mut budget = Budget::new(rate);
            let (mut now, mut moved) = (Duration::ZERO, 0);
            let piece_max = random.u64(1..1_000_000);
            budget.tick(now);
            for _ in 0..10_000 {
                now += Duration::from_micros(random.u64(0..100_000));
                budget.tick(now);
                while budget.is_open() {
                    let piece = random.u64(1..=piece_max);
                    budget.spend(piece);
                    moved += piece;
                }
            }
            let earned = (rate as f64 * now.as_secs_f64()) as u64;
            assert!(moved <= earned + rate / 4 + piece_max, "seed {seed}: {moved} of {earned}");
            assert!(moved + piece_max >= earned / 2, "seed {seed}: what is earned can be used, {moved} of {earned}");
        }
        let mut free = Budget::new(0);
        free.spend(u64::MAX);
        assert!(free.is_open());
    }
}
