//! Shards on a simulated disk against a map: random writes, schema changes, flushes, failures of the disk, deaths of
//! the process and losses of power, with every task of several shards in one thread under one seed.
//!
//! What is checked after each recovery, and by scans all the while:
//!
//! 1. Every acknowledged batch is there with its last values; so is what an earlier recovery has shown.
//! 2. The rows are those of the map after some record of the log, not older than the last acknowledged one: a batch
//!    that was not acknowledged is there whole or not at all, and never without the ones before it. Only a batch
//!    larger than a quarter of a log file may be there in part: its first rows, in pieces.
//! 3. The series that count (no delete over all times has emptied them since their last row) are those of the map.
//! 4. Files that nothing names are gone.
//!
//! All the while no task works for longer than it may without a yield; [`stalls`] has what takes long.
//!
//! `TIDEWIRE_SEED=n` runs one seed. The long run is
//! `TIDEWIRE_SEEDS=10000 cargo test -p tidewire-storage --release -- --ignored soak`.

#![expect(clippy::unwrap_used, reason = "helpers of tests stop at the first surprise")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

mod cases;
mod damage;
mod data;
mod detached;
mod golden;
mod latent;
mod life;
mod model;
mod partitions;
mod rot;
mod run;
mod snapshots;
mod stalls;
mod tally;
mod work;
mod world;

/// Seeds of the ordinary tests, done in seconds without optimisation.
const SEEDS: std::ops::Range<u64> = 100..108;

/// Seeds of the long run, where `TIDEWIRE_SEEDS` does not say how many.
const SOAK_SEEDS: u64 = 10_000;

/// The long run ends after this many failures: there is enough to look at.
const FAILURES_MAX: usize = 20;

/// Seeds that failed once. A change of what clients do gives them another history; the faults of storage that they have
/// shown have tests of their own.
const KNOWN_SEEDS: [u64; 9] = [1296, 20_075, 20_276, 20_405, 20_533, 30_013, 200_327, 204_982, 300_436];

/// A number from the environment.
fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs one seed; a failure names it.
fn check(seed: u64) -> tally::Tally {
    match std::panic::catch_unwind(|| run::run(seed)) {
        Ok(tally) => tally,
        Err(_) => panic!("the simulation failed; to replay: TIDEWIRE_SEED={seed} (and the command of this test)"),
    }
}

#[test]
fn shards_are_maps_that_survive() {
    let mut tally = tally::Tally::default();
    match variable("TIDEWIRE_SEED") {
        Some(seed) => tally.add(&check(seed)),
        None => {
            SEEDS.chain(KNOWN_SEEDS).for_each(|seed| tally.add(&check(seed)));
            assert!(tally.crashes > 0 && tally.io_errors > 0 && tally.no_space > 0 && tally.merges > 0, "{tally:?}");
        }
    }
}

/// Runs every seed of the long run, on all processors, and names all that fail.
#[test]
#[ignore = "runs for minutes: cargo test -p tidewire-storage --release -- --ignored soak"]
#[expect(clippy::print_stdout, reason = "a long run shows how far it is")]
fn soak() {
    if let Some(seed) = variable("TIDEWIRE_SEED") {
        println!("{:?}", check(seed));
        return;
    }
    let seeds = variable("TIDEWIRE_SEEDS").unwrap_or(SOAK_SEEDS);
    let first = variable("TIDEWIRE_FIRST_SEED").unwrap_or(1000);
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let threads = variable("TIDEWIRE_THREADS").unwrap_or(processors).max(1);
    let started = std::time::Instant::now();
    let next = AtomicU64::new(0);
    let all = Mutex::new((0, tally::Tally::default(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= seeds {
                        return;
                    }
                    let ran = std::panic::catch_unwind(|| run::run(first + number));
                    let mut all = all.lock().unwrap();
                    let (done, tally, failed) = &mut *all;
                    *done += 1;
                    match ran {
                        Ok(ran) => tally.add(&ran),
                        Err(_) => {
                            println!("seed {} failed; to replay: TIDEWIRE_SEED={}", first + number, first + number);
                            failed.push(first + number);
                        }
                    }
                    if failed.len() >= FAILURES_MAX {
                        next.store(seeds, Ordering::Relaxed);
                    }
                    if *done % (seeds / 20).max(1) == 0 {
                        let seconds = started.elapsed().as_secs_f64();
                        println!("{done} of {seeds} seeds, {seconds:.0} s: {tally:?}");
                    }
                }
            });
        }
    });
    let (done, tally, failed) = all.into_inner().unwrap();
    let seconds = started.elapsed().as_secs_f64();
    println!("{done} seeds from {first} on in {seconds:.0} s with {threads} threads, {} failed", failed.len());
    assert!(failed.is_empty(), "seeds that failed: {failed:?}");
    tally.check_variety();
}
