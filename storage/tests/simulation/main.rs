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

use tidewire_storage::disk::sim::few;

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

/// Seeds that failed once. A change of what clients do gives them another history; the faults of storage that they have
/// shown have tests of their own.
const KNOWN_SEEDS: [u64; 9] = [1296, 20_075, 20_276, 20_405, 20_533, 30_013, 200_327, 204_982, 300_436];

#[test]
fn shards_are_maps_that_survive() {
    few(SEEDS.chain(KNOWN_SEEDS), run::run);
}

/// The long run of the shards' simulation.
#[test]
#[ignore = "runs for minutes: cargo test -p tidewire-storage --release -- --ignored soak"]
fn soak() {
    tidewire_storage::disk::sim::soak("shards", run::run);
}
