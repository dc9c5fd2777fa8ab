//! One life of a process: its shards are opened and checked, clients work, and it ends well or badly.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::task::{Poll, Waker};

use fastrand::Rng;
use futures_lite::future::{poll_fn, yield_now};
use tidewire_storage::disk::sim::{Fault, FaultKind, FaultRates, Moment, Operation, SimDisk, SimEnd, SimTasks};
use tidewire_storage::engine::Shard;
use tidewire_storage::schema::TableId;
use tidewire_storage::{Error, Result};

use crate::data;
use crate::latent::Latent;
use crate::model::{Live, Model};
use crate::tally::Tally;
use crate::work::{Client, Expected, Home};

/// More steps than any life needs that is not stuck in a loop.
const STEPS_MAX: u64 = 3_000_000;

/// What a death in the middle of is worth trying more often than chance does: files go, files take the place of others,
/// edits come to the manifest, and log files are begun.
const MOMENTS: [(Operation, &str); 9] = [
    (Operation::Remove, "/series"),
    (Operation::Remove, "/segments"),
    (Operation::Remove, "/wal"),
    (Operation::Rename, "MANIFEST"),
    (Operation::Write, "MANIFEST"),
    (Operation::Sync, "MANIFEST"),
    (Operation::Sync, "MANIFEST.copy"),
    (Operation::Create, "/wal"),
    (Operation::Write, "/wal"),
];

type Shards = Vec<Rc<Shard<SimDisk>>>;

/// What all lives of a run share.
pub(crate) struct Run<'a> {
    pub(crate) disk: SimDisk,
    pub(crate) homes: Vec<Home>,
    pub(crate) tally: &'a RefCell<Tally>,
    /// Failures of the disk are part of this run.
    pub(crate) faulty: bool,
}

/// Ends when as many tasks have ended as there were to be.
struct Latch {
    left: Cell<usize>,
    waiter: RefCell<Option<Waker>>,
}

impl Latch {
    fn ended(&self) {
        self.left.set(self.left.get() - 1);
        if let Some(waker) = self.waiter.borrow_mut().take() {
            waker.wake();
        }
    }

    async fn all_ended(&self) {
        poll_fn(|context| match self.left.get() {
            0 => Poll::Ready(()),
            _ => {
                *self.waiter.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }
        })
        .await;
    }
}

/// What the caller of a task does before it tries again.
async fn pause() {
    for _ in 0..50 {
        yield_now().await;
    }
}

async fn open_all(run: &Run<'_>) -> Result<Shards> {
    let mut shards = Vec::new();
    for home in &run.homes {
        let is_live = |table: TableId| home.is_live(table);
        let (shard, _) = Shard::open(run.disk.clone(), &home.folder, home.config.clone(), &is_live).await?;
        shards.push(shard);
    }
    Ok(shards)
}

impl Run<'_> {
    /// The process ends where it is, and the machine perhaps with it.
    fn die(&self, random: &mut Rng) {
        if random.u8(0..3) == 0 {
            self.disk.kill();
            self.tally.borrow_mut().kills += 1;
        } else {
            self.disk.crash();
            self.tally.borrow_mut().crashes += 1;
        }
    }

    /// Opens the shards; some starts are cut short, some fail with the disk.
    pub(crate) fn open(&self, random: &mut Rng) -> Shards {
        for attempt in 0.. {
            let mut expected = Expected { no_space: self.disk.is_bounded(), ..Expected::default() };
            let calm = attempt >= 3;
            if calm {
                self.disk.set_capacity(None);
            }
            if self.faulty && !calm && random.bool() {
                expected = self.trouble(random);
                expected.no_space = self.disk.is_bounded();
            }
            let steps = if !calm && random.u8(0..4) == 0 { random.u64(1..300) } else { STEPS_MAX };
            let end = SimTasks::new(random.u64(..)).run(open_all(self), steps);
            self.disk.heal();
            match end {
                // Bits that flipped time and again can look like damage.
                SimEnd::Done(Ok(shards)) if shards.iter().any(|shard| !shard.quarantined().is_empty()) => {
                    assert!(expected.flipped_bits, "a damaged segment");
                }
                SimEnd::Done(Ok(shards)) => return shards,
                SimEnd::Done(Err(error)) => expected.check(&error),
                SimEnd::Steps => assert!(steps < STEPS_MAX, "a start that does not end"),
                SimEnd::Stuck => panic!("a start that waits for nothing"),
            }
            self.tally.borrow_mut().failed_starts += 1;
            self.die(random);
        }
        unreachable!("a start that nothing disturbs fails on an error above")
    }

    /// Opens the shards after something has happened to one of their segments: none of them may stay closed for it.
    pub(crate) fn open_damaged(&self, random: &mut Rng) -> Shards {
        self.disk.set_capacity(None);
        match SimTasks::new(random.u64(..)).run(open_all(self), STEPS_MAX) {
            SimEnd::Done(Ok(shards)) => {
                let quarantined: usize = shards.iter().map(|shard| shard.quarantined().len()).sum();
                self.tally.borrow_mut().quarantined += quarantined as u64;
                // The last start's were not made to last.
                let again = async {
                    for (shard, home) in shards.iter().zip(&self.homes) {
                        self.expire_again(shard, home).await;
                    }
                };
                assert_eq!(SimTasks::new(random.u64(..)).run(again, STEPS_MAX), SimEnd::Done(()));
                shards
            }
            SimEnd::Done(Err(error)) => panic!("a damaged segment keeps a shard from opening: {error}"),
            SimEnd::Steps | SimEnd::Stuck => panic!("a start beside a damaged segment does not end"),
        }
    }

    /// Failures of the disk from now on.
    fn trouble(&self, random: &mut Rng) -> Expected<'static> {
        match random.u8(0..8) {
            0 => {
                let free = [0, 40 << 10, 200 << 10, 600 << 10][random.usize(0..4)];
                self.disk.set_capacity(Some(self.disk.used_bytes() + free));
                return Expected { no_space: true, ..Expected::default() };
            }
            1 => {
                let rates = [20, 100, 500];
                let mut rate = || if random.bool() { rates[random.usize(0..3)] } else { 0 };
                let (read, write, sync, names) = (rate(), rate(), rate(), rate());
                let rates = FaultRates { read, write, sync, names, ..FaultRates::default() };
                self.disk.set_rates(rates);
            }
            2 => {
                let operations = [
                    Operation::Create,
                    Operation::Write,
                    Operation::Sync,
                    Operation::Rename,
                    Operation::SyncDir,
                    Operation::Read,
                    Operation::Remove,
                    Operation::Allocate,
                ];
                let parts = ["/wal", "/segments", "/series", "MANIFEST", "/"];
                self.disk.inject(Fault {
                    operation: operations[random.usize(0..operations.len())],
                    path_part: parts[random.usize(0..parts.len())].to_owned(),
                    kind: [FaultKind::Io, FaultKind::Io, FaultKind::ShortWrite, FaultKind::ReadOnly]
                        [random.usize(0..4)],
                    after: random.u32(0..20),
                    times: [1, 2, u32::MAX][random.usize(0..3)],
                });
            }
            3 => {
                let most = self.disk.open_files() + random.u64(0..8);
                self.disk.set_open_files_max(Some(most));
            }
            4 => self.disk.set_read_only(),
            5 => {
                // Of any file, time and again.
                let (after, times) = (random.u32(0..100), random.u32(1..20));
                self.disk.inject(Fault { after, times, ..Fault::next(Operation::Write, "/", FaultKind::ShortWrite) });
            }
            6 => {
                self.disk.set_rates(FaultRates { short_read: 100, ..FaultRates::default() });
                return Expected { flipped_bits: true, io_errors: true, ..Expected::default() };
            }
            _ => {
                self.disk.set_rates(FaultRates { flipped_bit: 100, ..FaultRates::default() });
                return Expected { flipped_bits: true, ..Expected::default() };
            }
        }
        Expected { io_errors: true, ..Expected::default() }
    }

    /// Expiries that were under way, and those whose record is lost: all rows that are left are older.
    async fn expire_again(&self, shard: &Shard<SimDisk>, home: &Home) {
        let undone = home.history.borrow_mut().undone_expiries(shard.lsn());
        if !undone.is_empty() {
            self.disk.set_capacity(None);
        }
        for (table, horizon) in undone {
            if shard.series(TableId(table)).is_none() {
                // Nothing of it has survived.
                home.history.borrow_mut().forget_expiry(table, horizon);
                continue;
            }
            let expired = shard.expire(TableId(table), horizon).await.unwrap();
            home.history.borrow_mut().end_expiry(table, horizon, expired.lsn.unwrap());
        }
    }

    /// Every shard holds what it must, and nothing is left lying about.
    pub(crate) fn check(&self, shards: &Shards, random: &mut Rng) {
        let all = async {
            for (shard, home) in shards.iter().zip(&self.homes) {
                let lsn = shard.lsn();
                self.expire_again(shard, home).await;
                for (&table, _) in home.dropped.borrow().iter().filter(|(_, is_gone)| **is_gone) {
                    assert!(shard.series(table).is_none(), "a dropped table is back: {table:?}");
                }
                home.opened();
                let tables = home.tables.borrow().clone();
                let (mut found, mut live) = (Model::new(), Live::new());
                for table in &tables {
                    let scan = shard.scan(data::everything(table), u64::MAX).unwrap();
                    found.append(&mut data::rows(shard, scan).await.unwrap());
                    live.append(&mut data::live(shard, table.id));
                }
                home.history.borrow_mut().recovered(lsn, found, live);
                let in_segments = |path: &&std::path::PathBuf| path.starts_with(home.folder.join("segments"));
                let files = self.disk.paths().iter().filter(in_segments).count() as u64;
                assert_eq!(files, shard.stats().segments, "files in the folder of segments, and live segments");
            }
        };
        assert_eq!(SimTasks::new(random.u64(..)).run(all, STEPS_MAX), SimEnd::Done(()));
        self.tally.borrow_mut().recoveries += 1;
    }

    /// Clients work, until they are done or the process dies; perhaps with a segment that is damaged at rest.
    pub(crate) fn live(&self, shards: &Shards, random: &mut Rng, damaged: Option<&Path>) {
        let mut expected = match self.faulty && random.bool() {
            true => self.trouble(random),
            false => Expected::default(),
        };
        // A shard that was opened without space finds out only when it tries again.
        expected.no_space = self.disk.is_bounded() || shards.iter().any(|shard| shard.stats().no_space);
        expected.damaged = damaged;
        let latent = Latent::default();
        if damaged.is_none() && random.u8(0..5) == 0 {
            expected.latent = Some(&latent);
        }
        let dies = random.u8(0..4) > 0;
        let steps = if dies { [300, 2000, 10_000][random.usize(0..3)] } else { STEPS_MAX };
        let mut steps = if dies { random.u64(1..steps) } else { steps };
        if dies && random.u8(0..3) == 0 {
            let (operation, part) = MOMENTS[random.usize(0..MOMENTS.len())];
            let most = [1, 4, 40][random.usize(0..3)];
            let after = random.u32(0..most);
            self.disk.set_moment(Some(Moment { operation, path_part: part.to_owned(), after }));
            steps = STEPS_MAX;
        }
        let clients = random.usize(1..4);
        let latch = Latch { left: Cell::new(clients * shards.len()), waiter: RefCell::default() };
        let mut tasks = SimTasks::new(random.u64(..));
        if let Some(latent) = expected.latent {
            let random = Rng::with_seed(random.u64(..));
            let folders = self.homes.iter().map(|home| home.folder.clone()).collect();
            tasks.spawn(latent.happen(self.disk.clone(), folders, random));
        }
        for (shard, home) in shards.iter().zip(&self.homes) {
            tasks.spawn(async {
                while let Err(error) = shard.run_wal().await {
                    expected.check(&error);
                    if !self.heal(shard, expected).await {
                        break;
                    }
                }
            });
            tasks.spawn(async {
                while let Err(error) = shard.run_compaction().await {
                    expected.check(&error);
                    pause().await;
                }
            });
            tasks.spawn(async {
                while let Err(error) = shard.run_flush().await {
                    expected.check(&error);
                    pause().await;
                }
            });
            for _ in 0..clients {
                let (seed, operations) = (random.u64(..), random.usize(1..40));
                let latch = &latch;
                tasks.spawn(async move {
                    let random = Rng::with_seed(seed);
                    let mut client = Client { shard, home, random, expected, tally: self.tally };
                    client.work(operations).await;
                    latch.ended();
                });
            }
        }
        let end = tasks.run_until(latch.all_ended(), steps, || self.disk.moment_has_come());
        self.disk.set_moment(None);
        assert_ne!(end, SimEnd::Stuck, "everybody waits, and nobody will wake them");
        if end == SimEnd::Steps {
            assert!(dies || expected.io_errors || expected.no_space, "a life that does not end");
        }
        if end == SimEnd::Done(()) && random.bool() {
            self.disk.heal();
            self.disk.set_capacity(None);
            let seed = random.u64(..);
            let resume = async {
                for (shard, home) in shards.iter().zip(&self.homes) {
                    let random = Rng::with_seed(seed);
                    Client { shard, home, random, expected, tally: self.tally }.resume().await;
                }
            };
            assert_eq!(tasks.run(resume, STEPS_MAX), SimEnd::Done(()), "a shard on a disk that is well again");
        }
        if end == SimEnd::Done(()) && random.bool() {
            self.close(shards, &mut tasks, expected);
        }
        drop(tasks);
        self.tally.borrow_mut().latent_damage += u64::from(latent.mend(&self.disk));
        self.disk.heal();
        if random.u8(0..4) > 0 {
            self.disk.set_capacity(None);
        }
        let merges: u64 = shards.iter().map(|shard| shard.stats().merges).sum();
        self.tally.borrow_mut().merges += merges;
        for home in &self.homes {
            home.catalog_is_old.set(random.u8(0..4) == 0);
        }
        if random.u8(0..5) > 0 {
            self.die(random);
        } else {
            // Another process opens the files while this one still has its handles: it must be no different.
            self.disk.kill();
        }
    }

    /// Tries to get the log going again; false when it never will.
    async fn heal(&self, shard: &Shard<SimDisk>, expected: Expected<'_>) -> bool {
        loop {
            pause().await;
            match shard.heal().await {
                Ok(()) => {
                    self.tally.borrow_mut().healed += 1;
                    return true;
                }
                Err(Error::Closed) => return false,
                Err(error) => expected.check(&error),
            }
        }
    }

    /// An orderly end: all that was appended is there at the next start.
    fn close(&self, shards: &Shards, tasks: &mut SimTasks<'_>, expected: Expected<'_>) {
        let close = async {
            for (shard, home) in shards.iter().zip(&self.homes) {
                match shard.close().await {
                    Ok(()) => home.history.borrow_mut().acknowledge(shard.lsn()),
                    Err(error) => expected.check(&error),
                }
                let refused = shard.append(&Default::default(), &home.tables.borrow()[0]);
                assert!(matches!(refused, Err(Error::Closed | Error::LogFailed { .. })));
            }
        };
        assert_eq!(tasks.run(close, STEPS_MAX), SimEnd::Done(()), "closing ends");
        self.tally.borrow_mut().closed += 1;
    }
}
