//! The catalog's owner on a simulated disk, over several lives: what was acknowledged is there after any crash, a
//! change is done whole or not at all, what failed does not come back, and no row is acknowledged whose table or column
//! the next start lacks, unless somebody asked for that.
//!
//! Clients ask for random changes, writers look for tables and columns in the catalog that is shown and note what they
//! wrote, the disk fails as the seed decides, and the process dies anywhere. `TIDEWIRE_SEED` runs one seed,
//! `TIDEWIRE_SEEDS` runs that many from 0 on.

mod life;
mod model;
mod work;

use std::cell::RefCell;
use std::path::Path;

use fastrand::Rng;
use futures_lite::future::block_on;
use tidewire_storage::disk::Disk;
use tidewire_storage::disk::sim::SimDisk;

use super::initial::initial;
use life::Run;

/// What has happened.
#[derive(Debug, Default)]
struct Tally {
    lives: u64,
    acknowledged: u64,
    refused: u64,
    failed: u64,
    in_doubt: u64,
    settled: u64,
    doubt_at_death: u64,
    unheard: u64,
    rows: u64,
    hidden: u64,
    gone: u64,
    kills: u64,
    crashes: u64,
    ended: u64,
    failed_starts: u64,
    rotations: u64,
    torn_writes: u64,
    lost_writes: u64,
    lost_names: u64,
    io_errors: u64,
    no_space: u64,
    flipped_bits: u64,
    short_writes: u64,
    read_only: u64,
    too_many_files: u64,
    unsupported: u64,
}

fn run(seed: u64, tally: &RefCell<Tally>) {
    let mut random = Rng::with_seed(seed);
    let disk = SimDisk::new(random.u64(..));
    block_on(async {
        disk.create_dir(Path::new("/data")).await.unwrap();
        disk.sync_dir(Path::new("/")).await.unwrap();
    });
    disk.set_delays([0, 1, 4][random.usize(0..3)]);
    if random.u8(0..6) == 0 {
        disk.cannot_reserve();
    }
    let run = Run { seed, disk, tally, rotate_bytes_min: if random.bool() { 16 << 10 } else { 200 << 10 } };
    let mut catalog = initial();
    for _ in 0..random.usize(1..5) {
        catalog = run.live(&mut random, &catalog);
    }
    let counts = run.disk.counts();
    let mut tally = tally.borrow_mut();
    tally.torn_writes += counts.torn_writes;
    tally.lost_writes += counts.lost_writes;
    tally.lost_names += counts.lost_names;
    tally.io_errors += counts.io_errors;
    tally.no_space += counts.no_space;
    tally.flipped_bits += counts.flipped_bits;
    tally.short_writes += counts.short_writes;
    tally.read_only += counts.read_only;
    tally.too_many_files += counts.too_many_files;
    tally.unsupported += counts.unsupported;
}

#[test]
fn what_is_acknowledged_outlives_any_death() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let tally = RefCell::new(Tally::default());
    if let Some(seed) = number("TIDEWIRE_SEED") {
        return run(seed, &tally);
    }
    let seeds = number("TIDEWIRE_SEEDS").unwrap_or(200);
    let started = std::time::Instant::now();
    for seed in 0..seeds {
        run(seed, &tally);
    }
    let text = format!("{:?}", tally.into_inner());
    eprintln!("{seeds} seeds in {:?}: {text}", started.elapsed());
    // A simulation in which something never happens does not test it.
    assert!(!text.contains(": 0,") && !text.contains(": 0 "), "{text}");
}
