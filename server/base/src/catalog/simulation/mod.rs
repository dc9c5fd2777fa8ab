//! The catalog's owner on a simulated disk, over several lives: what was acknowledged is there after any crash, a
//! change is done whole or not at all, what failed does not come back, and no row is acknowledged whose table or column
//! the next start lacks, unless somebody asked for that.
//!
//! Clients ask for random changes, writers look for tables and columns in the catalog that is shown and note what they
//! wrote, the disk fails as the seed decides, and the process dies anywhere. `TIDEWIRE_SEED` runs one seed.

mod life;
mod model;
mod work;

use std::cell::RefCell;
use std::path::Path;

use fastrand::Rng;
use futures_lite::future::block_on;
use tidewire_storage::disk::Disk;
use tidewire_storage::disk::sim::{self, SimDisk, few};
use tidewire_storage::sim_tally;

use super::initial::initial;
use life::Run;

sim_tally! {
    /// What has happened.
    struct Tally {
        lives,
        acknowledged,
        refused,
        failed,
        in_doubt,
        settled,
        doubt_at_death,
        unheard,
        rows,
        hidden,
        gone,
        kills,
        crashes,
        ended,
        failed_starts,
        rotations,
        torn_writes,
        lost_writes,
        lost_names,
        io_errors,
        no_space,
        flipped_bits,
        short_writes,
        read_only,
        too_many_files,
        unsupported,
    }
}

fn run(seed: u64) -> Tally {
    let tally = RefCell::new(Tally::default());
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
    let run = Run { seed, disk, tally: &tally, rotate_bytes_min: if random.bool() { 16 << 10 } else { 200 << 10 } };
    let mut catalog = initial();
    for _ in 0..random.usize(1..5) {
        catalog = run.live(&mut random, &catalog);
    }
    let counts = run.disk.counts();
    let mut tally = tally.take();
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
    tally
}

#[test]
fn what_is_acknowledged_outlives_any_death() {
    few(0..200, run);
}

#[test]
#[ignore = "runs for minutes: see docs/internals/simulation.md"]
fn soak() {
    sim::soak("catalog", run);
}
