//! Runs a simulation for one seed, for a few, or for many over hours.
//!
//! 1. A simulation is a function from a seed to a tally of what has happened. It panics where a promise is broken.
//! 2. [`few`] is for an ordinary test: some seeds one after the other, or the one that `TIDEWIRE_SEED` names.
//! 3. [`soak`] is for a long run: `TIDEWIRE_SEEDS` seeds from `TIDEWIRE_FIRST_SEED` on, on `TIDEWIRE_THREADS` threads.
//!    It says how far it is, continues after a seed that fails, and names all of them at the end.
//! 4. Tallies add up ([`SimTally`]). A simulation in which something never happens does not test it: both fail then.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Seeds of a long run, where the environment does not say how many.
const SOAK_SEEDS: u64 = 10_000;

/// A long run ends after this many failures: there is enough to look at.
const FAILURES_MAX: usize = 20;

/// How many times a long run says how far it is.
const REPORTS: u64 = 20;

/// What has happened in one run or more, as numbers that add up. Made by [`sim_tally!`](crate::sim_tally).
pub trait SimTally: fmt::Debug + Default + Send {
    /// Its numbers with their names, in the same order at any time.
    fn numbers(&mut self) -> Vec<(&'static str, &mut u64)>;

    /// Adds another one.
    fn add(&mut self, mut other: Self) {
        for ((_, sum), (_, number)) in self.numbers().into_iter().zip(other.numbers()) {
            *sum += *number;
        }
    }

    /// Names of what has never happened.
    fn missing(&mut self) -> Vec<&'static str> {
        self.numbers().into_iter().filter(|(_, number)| **number == 0).map(|(name, _)| name).collect()
    }
}

/// A struct of numbers that is a [`SimTally`](crate::disk::sim::SimTally).
#[macro_export]
macro_rules! sim_tally {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($field:ident),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, Default)]
        $vis struct $name { $($vis $field: u64),* }

        impl $crate::disk::sim::SimTally for $name {
            fn numbers(&mut self) -> Vec<(&'static str, &mut u64)> {
                vec![$((stringify!($field), &mut self.$field)),*]
            }
        }
    };
}

/// A number from the environment.
fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs the seed that `TIDEWIRE_SEED` names, or else `seeds`, and panics at the first that fails.
pub fn few<T: SimTally>(seeds: impl IntoIterator<Item = u64>, run: impl Fn(u64) -> T) -> T {
    let one = variable("TIDEWIRE_SEED");
    let mut tally = T::default();
    match one {
        Some(seed) => tally.add(run_named(seed, &run)),
        None => seeds.into_iter().for_each(|seed| tally.add(run_named(seed, &run))),
    }
    let missing = tally.missing();
    assert!(one.is_some() || missing.is_empty(), "never happened: {missing:?} ({tally:?})");
    tally
}

/// Runs a seed; a failure names it.
fn run_named<T>(seed: u64, run: impl Fn(u64) -> T) -> T {
    match catch_unwind(AssertUnwindSafe(|| run(seed))) {
        Ok(tally) => tally,
        Err(_) => panic!("the simulation failed; to replay: TIDEWIRE_SEED={seed} (and the command of this test)"),
    }
}

/// Runs as many seeds as the environment says, and panics at the end if some have failed.
pub fn soak<T: SimTally>(name: &str, run: impl Fn(u64) -> T + Sync) {
    if let Some(seed) = variable("TIDEWIRE_SEED") {
        eprintln!("{name}: {:?}", run(seed));
        return;
    }
    let seeds = variable("TIDEWIRE_SEEDS").unwrap_or(SOAK_SEEDS);
    let first = variable("TIDEWIRE_FIRST_SEED").unwrap_or(1000);
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let threads = variable("TIDEWIRE_THREADS").unwrap_or(processors).max(1);
    let started = Instant::now();
    let next = AtomicU64::new(0);
    let all = Mutex::new(Soaked { done: 0, tally: T::default(), failed: Vec::new() });
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= seeds {
                        return;
                    }
                    let seed = first + number;
                    let ran = catch_unwind(AssertUnwindSafe(|| run(seed)));
                    let Ok(mut all) = all.lock() else { return };
                    all.done += 1;
                    match ran {
                        Ok(ran) => all.tally.add(ran),
                        Err(_) => {
                            eprintln!("{name}: seed {seed} failed; to replay: TIDEWIRE_SEED={seed}");
                            all.failed.push(seed);
                        }
                    }
                    if all.failed.len() >= FAILURES_MAX {
                        next.store(seeds, Ordering::Relaxed);
                    }
                    if all.done % (seeds / REPORTS).max(1) == 0 {
                        let seconds = started.elapsed().as_secs_f64();
                        eprintln!("{name}: {} of {seeds} seeds, {seconds:.0} s: {:?}", all.done, all.tally);
                    }
                }
            });
        }
    });
    let Ok(Soaked { done, mut tally, failed }) = all.into_inner() else { return };
    let seconds = started.elapsed().as_secs_f64();
    eprintln!("{name}: {done} seeds from {first} on in {seconds:.0} s with {threads} threads, {} failed", failed.len());
    assert!(failed.is_empty(), "{name}: seeds that failed: {failed:?}");
    let missing = tally.missing();
    assert!(missing.is_empty(), "{name}: never happened: {missing:?} ({tally:?})");
}

struct Soaked<T> {
    done: u64,
    tally: T,
    failed: Vec<u64>,
}
