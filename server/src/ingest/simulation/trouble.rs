//! A disk that fails for a while.

use std::rc::Rc;

use fastrand::Rng;
use tidewire_storage::disk::sim::{Fault, FaultKind, FaultRates, Operation, SimDisk};

use super::world::World;

/// The disk fails from now on, in one way or another.
fn begin(disk: &SimDisk, random: &mut Rng) {
    match random.u8(0..8) {
        0 => {
            let free = [0, 40 << 10, 200 << 10][random.usize(0..3)];
            disk.set_capacity(Some(disk.used_bytes() + free));
        }
        1 | 2 => {
            let rates = [20, 100, 500];
            let mut rate = || if random.bool() { rates[random.usize(0..3)] } else { 0 };
            let (read, write, sync, names) = (rate(), rate(), rate(), rate());
            disk.set_rates(FaultRates { read, write, sync, names, ..FaultRates::default() });
        }
        3 => disk.set_open_files_max(Some(disk.open_files() + random.u64(0..6))),
        4 => disk.set_read_only(),
        5 => {
            // Of any file, time and again.
            let (after, times) = (random.u32(0..20), random.u32(1..10));
            disk.inject(Fault { after, times, ..Fault::next(Operation::Write, "/", FaultKind::ShortWrite) });
        }
        _ => {
            let operations = [
                Operation::Create,
                Operation::Write,
                Operation::Sync,
                Operation::Rename,
                Operation::SyncDir,
                Operation::Read,
                Operation::Allocate,
            ];
            let parts = ["/wal", "/segments", "/series", "MANIFEST", "meta", "meta", "shard-0"];
            let kinds = [FaultKind::Io, FaultKind::Io, FaultKind::ShortWrite, FaultKind::ReadOnly, FaultKind::NoSpace];
            disk.inject(Fault {
                operation: operations[random.usize(0..operations.len())],
                path_part: parts[random.usize(0..parts.len())].to_owned(),
                kind: kinds[random.usize(0..kinds.len())],
                after: random.u32(0..20),
                times: [1, 3, u32::MAX][random.usize(0..3)],
            });
        }
    }
}

/// The disk is well again.
pub(super) fn end(disk: &SimDisk) {
    disk.heal();
    disk.set_capacity(None);
}

/// Now and then the disk fails for a while.
pub(super) async fn trouble(world: Rc<World<'_>>) {
    loop {
        world.pause(400).await;
        begin(&world.disk, &mut world.random.borrow_mut());
        world.tally.borrow_mut().troubles += 1;
        world.pause(300).await;
        end(&world.disk);
    }
}
