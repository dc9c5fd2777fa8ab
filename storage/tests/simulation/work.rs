//! What clients of a shard do: one random operation after the other. A further kind of operation is one more variant
//! of [`Operation`], with its weight and, where it changes rows, a variant of [`Change`].

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;
use futures_lite::future::yield_now;
use tidewire_storage::batch::WriteBatch;
use tidewire_storage::disk::sim::SimDisk;
use tidewire_storage::engine::{Shard, ShardConfig};
use tidewire_storage::schema::{TableId, TableSchema};
use tidewire_storage::wal::{Lsn, WalSync};
use tidewire_storage::{Error, Result};

use crate::data::{self, Names};
use crate::latent::Latent;
use crate::model::{Change, History, Key, Model, Row, same};
use crate::tally::Tally;

/// One shard over all its lives: where it is, its part of the catalog, and what it must hold.
pub(crate) struct Home {
    pub(crate) folder: PathBuf,
    pub(crate) config: ShardConfig,
    pub(crate) habit: data::Habit,
    pub(crate) tables: RefCell<Vec<TableSchema>>,
    pub(crate) live: RefCell<BTreeSet<TableId>>,
    pub(crate) next_table: Cell<u32>,
    /// Tables dropped in the last life, and whether the shard had said that they are gone.
    pub(crate) dropped: RefCell<BTreeMap<TableId, bool>>,
    /// The catalog of the next start is older than the last life, as one that was put back is.
    pub(crate) catalog_is_old: Cell<bool>,
    pub(crate) history: RefCell<History>,
    /// The time that the shard is given; it need not begin at the same time in each life.
    pub(crate) clock: Cell<Duration>,
}

/// What may go wrong now, so that errors of these kinds are no failures of the test.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Expected<'a> {
    pub(crate) io_errors: bool,
    pub(crate) flipped_bits: bool,
    pub(crate) no_space: bool,
    /// The one segment that is damaged at rest.
    pub(crate) damaged: Option<&'a Path>,
    /// A segment may come to be damaged meanwhile.
    pub(crate) latent: Option<&'a Latent>,
}

impl Home {
    /// Whether the catalog of a start has a table.
    pub(crate) fn is_live(&self, table: TableId) -> bool {
        self.live.borrow().contains(&table) || (self.catalog_is_old.get() && self.dropped.borrow().contains_key(&table))
    }

    /// A start has succeeded: from now on the catalog is what it is.
    pub(crate) fn opened(&self) {
        self.dropped.borrow_mut().clear();
        self.catalog_is_old.set(false);
    }
}

impl Expected<'_> {
    /// Whether a segment is damaged at rest.
    fn is_damaged(&self, path: &Path) -> bool {
        self.damaged == Some(path) || self.latent.is_some_and(|latent| latent.is_of(path))
    }

    /// Panics at an error that nothing excuses.
    pub(crate) fn check(&self, error: &Error) {
        let excused = match error {
            Error::Overloaded { .. } | Error::Crowded { .. } => true,
            Error::LogFailed { .. } => self.io_errors || self.no_space,
            Error::Corrupt { path, .. } => self.flipped_bits || self.is_damaged(path),
            error if error.is_no_space() => self.no_space,
            Error::Io { .. } => self.io_errors,
            _ => false,
        };
        assert!(excused, "{error} ({self:?})");
    }
}

#[derive(Debug, Clone, Copy)]
enum Operation {
    /// Writes a batch, and mostly waits until it is durable.
    Append,
    /// Writes a batch that takes several log records.
    AppendLarge,
    /// Writes a batch that no log file takes.
    AppendTooLarge,
    /// Writes a row with a text of a mebibyte, where a log file takes that.
    AppendLongText,
    AddColumn,
    Flush,
    SyncLog,
    Delete,
    Expire,
    /// Merges until nothing is left to merge.
    Compact,
    /// Time goes on, so that partitions turn cold.
    Tick,
    ScanAll,
    ScanPart,
    /// Reads all of a table in spans, while the others go on.
    ScanSpans,
    ReplaceTable,
}

/// How often each comes.
const WEIGHTS: [(Operation, u32); 15] = [
    (Operation::Append, 60),
    (Operation::AppendLarge, 1),
    (Operation::AppendTooLarge, 1),
    (Operation::AppendLongText, 1),
    (Operation::AddColumn, 4),
    (Operation::Flush, 4),
    (Operation::SyncLog, 4),
    (Operation::Delete, 8),
    (Operation::Expire, 1),
    (Operation::Compact, 1),
    (Operation::Tick, 10),
    (Operation::ScanAll, 6),
    (Operation::ScanPart, 8),
    (Operation::ScanSpans, 6),
    (Operation::ReplaceTable, 1),
];

/// One client.
pub(crate) struct Client<'a> {
    pub(crate) shard: &'a Rc<Shard<SimDisk>>,
    pub(crate) home: &'a Home,
    pub(crate) random: Rng,
    pub(crate) expected: Expected<'a>,
    pub(crate) tally: &'a RefCell<Tally>,
}

impl Client<'_> {
    /// Does `operations` operations, one after the other.
    pub(crate) async fn work(&mut self, operations: usize) {
        for _ in 0..operations {
            if let Err(error) = self.one().await {
                self.expected.check(&error);
                let met = matches!(&error, Error::Corrupt { path, .. } if self.expected.is_damaged(path));
                self.count(|tally| {
                    tally.refused += 1;
                    tally.damage_met += u64::from(met);
                });
                // Who is refused waits a little.
                for _ in 0..self.random.u32(0..20) {
                    yield_now().await;
                }
            }
        }
    }

    async fn one(&mut self) -> Result<()> {
        let total = WEIGHTS.iter().map(|(_, weight)| weight).sum();
        let mut die = self.random.u32(0..total);
        let chosen = WEIGHTS.iter().find(|(_, weight)| {
            let hit = die < *weight;
            die = die.wrapping_sub(*weight);
            hit
        });
        match chosen.map_or(Operation::Append, |(operation, _)| *operation) {
            Operation::Append => {
                self.append(self.home.habit.rows_max, Names::Short).await?;
                match self.home.habit.grows && self.random.bool() {
                    true => self.flush().await,
                    false => Ok(()),
                }
            }
            Operation::AppendLarge => match self.random.bool() {
                true => self.append(4000, Names::Short).await,
                false => self.append(200, Names::Long).await,
            },
            Operation::AppendTooLarge => self.append_too_large(),
            Operation::AppendLongText => self.append_long_text().await,
            Operation::AddColumn => {
                let table = self.random.usize(0..self.home.tables.borrow().len());
                data::add_column(&mut self.random, &mut self.home.tables.borrow_mut()[table]);
                Ok(())
            }
            Operation::Flush => self.flush().await,
            Operation::SyncLog => {
                let lsn = self.shard.lsn();
                self.shard.sync_wal().await?;
                self.home.history.borrow_mut().acknowledge(lsn);
                Ok(())
            }
            Operation::Delete => self.delete().await,
            Operation::Expire => self.expire().await,
            // With a budget it would wait for others to say that time passes, who may wait for the same.
            Operation::Compact if self.home.config.compaction.bytes_per_s > 0 => Ok(()),
            Operation::Compact => match self.shard.compact().await {
                // Closing breaks a merge off.
                Err(Error::Closed) => Ok(()),
                done => done,
            },
            Operation::Tick => {
                self.home.clock.set(self.home.clock.get() + Duration::from_millis(self.random.u64(0..3000)));
                self.shard.tick(self.home.clock.get());
                Ok(())
            }
            Operation::ScanAll => {
                let table = self.table();
                self.scan(data::everything(&table)).await
            }
            Operation::ScanPart => {
                let table = self.table();
                let request = data::part(&mut self.random, &table, &self.home.habit);
                self.scan(request).await
            }
            Operation::ScanSpans => self.scan_spans().await,
            Operation::ReplaceTable => self.replace_table().await,
        }
    }

    /// Whatever went wrong is over: writes are taken again, without anybody doing more than trying.
    pub(crate) async fn resume(&mut self) {
        for _ in 0..100 {
            match self.append(10, Names::Short).await {
                Ok(()) => return,
                Err(error) => self.expected.check(&error),
            }
            for _ in 0..50 {
                yield_now().await;
            }
        }
        panic!("the shard takes no writes, and nothing is wrong any more: {:?}", self.shard.stats());
    }

    /// Any table.
    fn table(&mut self) -> TableSchema {
        let tables = self.home.tables.borrow();
        tables[self.random.usize(0..tables.len())].clone()
    }

    async fn append(&mut self, rows_max: usize, names: Names) -> Result<()> {
        let table = self.table();
        let (batch, rows) = data::batch(&mut self.random, &table, self.shard, &self.home.habit, (rows_max, names));
        self.append_batch(&table, &batch, rows).await
    }

    async fn append_long_text(&mut self) -> Result<()> {
        // A record may take a quarter of a log file and is not cut within a row.
        if self.home.config.wal_file_bytes < 4 * data::LONG_TEXT_BYTES as u64 {
            return Ok(());
        }
        let table = self.table();
        let (mut batch, mut rows) =
            data::batch(&mut self.random, &table, self.shard, &self.home.habit, (4, Names::Short));
        if data::make_long_text(&mut self.random, &table, &mut batch, &mut rows) {
            self.count(|tally| tally.long_texts += 1);
        }
        self.append_batch(&table, &batch, rows).await
    }

    async fn append_batch(&mut self, table: &TableSchema, batch: &WriteBatch, rows: Vec<(Key, Row)>) -> Result<()> {
        let before = self.shard.lsn();
        let appended = self.shard.append(batch, table)?;
        self.count(|tally| {
            tally.batches += 1;
            tally.large_batches += u64::from(appended.lsn.0 > before.0 + 1);
        });
        self.home.history.borrow_mut().push(before, appended.lsn, Change::Rows(rows));
        if self.random.u8(0..4) > 0 {
            self.durable(appended.lsn).await?;
        }
        Ok(())
    }

    /// Nothing of it may stay, nor come back.
    fn append_too_large(&mut self) -> Result<()> {
        let table = self.table();
        let names = if self.random.bool() { Names::Short } else { Names::Long };
        let (mut batch, _) = data::batch(&mut self.random, &table, self.shard, &self.home.habit, (100, names));
        data::make_too_large(&mut self.random, &table, &mut batch, self.home.config.wal_file_bytes as usize);
        let before = self.shard.lsn();
        match self.shard.append(&batch, &table) {
            Err(Error::RecordTooLarge { .. }) => self.count(|tally| tally.too_large += 1),
            Err(error) => return Err(error),
            Ok(appended) => panic!("a log of small files took a large record: {appended:?}"),
        }
        assert_eq!(self.shard.lsn(), before);
        self.check_live(table.id);
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        let lsn = self.shard.lsn();
        self.shard.flush().await?;
        self.count(|tally| tally.flushes += 1);
        self.home.history.borrow_mut().acknowledge(lsn);
        Ok(())
    }

    /// Waits, and from then on the record must survive if that is what the shard has promised.
    async fn durable(&mut self, lsn: Lsn) -> Result<()> {
        self.shard.durable(lsn).await?;
        if self.home.config.wal_sync == WalSync::Always {
            self.home.history.borrow_mut().acknowledge(lsn);
            self.count(|tally| tally.acknowledged += 1);
        }
        Ok(())
    }

    /// Deletes some series or all in some range of time.
    async fn delete(&mut self) -> Result<()> {
        let table = self.table();
        let (range, selection) = data::range(&mut self.random, &table, self.shard, &self.home.habit);
        let before = self.shard.lsn();
        let lsn = self.shard.delete(table.id, &selection, range.time_min, range.time_max)?;
        if lsn > before {
            self.count(|tally| tally.deletes += 1);
            self.home.history.borrow_mut().push(before, lsn, Change::Delete(range));
        }
        if self.random.u8(0..4) > 0 {
            self.durable(lsn).await?;
        }
        Ok(())
    }

    /// Drops old partitions.
    async fn expire(&mut self) -> Result<()> {
        let table = self.table();
        if self.shard.series(table.id).is_none() {
            return Ok(());
        }
        let time = self.home.habit.old(&mut self.random);
        let horizon = time - time.rem_euclid(table.partition_length);
        self.home.history.borrow_mut().begin_expiry(table.id.0, horizon);
        // Where the log takes no record, rows in memory may come back, and go when it is done again.
        if let Some(lsn) = self.shard.expire(table.id, time).await?.lsn {
            self.home.history.borrow_mut().end_expiry(table.id.0, horizon, lsn);
            self.count(|tally| tally.expiries += 1);
        }
        Ok(())
    }

    /// Whether a table is being dropped, or was in this life.
    fn is_dropped(&self, table: TableId) -> bool {
        self.home.dropped.borrow().contains_key(&table)
    }

    /// A scan sees what the map held when it was made.
    async fn scan(&mut self, request: tidewire_storage::scan::ScanRequest) -> Result<()> {
        let Some(snapshot) = self.shard.snapshot(request.table, request.time_min, request.time_max) else {
            return Ok(());
        };
        self.check_live(request.table);
        let table = self.home.history.borrow().table(request.table.0);
        let expected = data::expected(self.shard, &request, &table);
        let mut expected = expected;
        self.home.history.borrow().leave_certain(&mut expected);
        let uncertain = self.home.history.borrow().expiring();
        let names = data::names(self.shard, request.table);
        let scan = match snapshot.scan(request.clone(), u64::MAX).await {
            Err(Error::SnapshotGone { .. }) => return Ok(()),
            scan => scan?,
        };
        let mut found = match data::rows_named(&names, scan).await {
            // What was in memory and not read yet goes with its table.
            Err(Error::SnapshotGone { .. }) if self.is_dropped(request.table) => return Ok(()),
            found => found?,
        };
        found.retain(|key, _| !uncertain.iter().any(|(table, horizon)| key.0 == *table && key.2 < *horizon));
        same(&found, &expected, &format!("a scan of {request:?}"));
        self.count(|tally| tally.scans += 1);
        Ok(())
    }

    /// All spans of a snapshot see what the map held when it was taken.
    async fn scan_spans(&mut self) -> Result<()> {
        let table = self.table();
        let Some(snapshot) = self.shard.snapshot(table.id, i64::MIN, i64::MAX) else { return Ok(()) };
        let mut expected = self.home.history.borrow().table(table.id.0);
        self.home.history.borrow().leave_certain(&mut expected);
        let uncertain = self.home.history.borrow().expiring();
        let names = data::names(self.shard, table.id);
        let mut found = Model::new();
        let mut border = i64::MAX;
        for from in [self.home.habit.border(&mut self.random), self.home.habit.old(&mut self.random), i64::MIN] {
            let from = from.min(border.saturating_sub(1));
            let to = if border == i64::MAX { i64::MAX } else { border - 1 };
            let request =
                tidewire_storage::scan::ScanRequest { time_min: from, time_max: to, ..data::everything(&table) };
            let scan = match snapshot.scan(request, u64::MAX).await {
                // Rows of a table that was dropped meanwhile, or too much was written.
                Err(Error::SnapshotGone { .. }) => return Ok(()),
                scan => scan?,
            };
            match data::rows_named(&names, scan).await {
                Err(Error::SnapshotGone { .. }) if self.is_dropped(table.id) => return Ok(()),
                some => found.append(&mut some?),
            }
            border = from;
            for _ in 0..self.random.u32(0..30) {
                yield_now().await;
            }
        }
        found.retain(|key, _| !uncertain.iter().any(|(table, horizon)| key.0 == *table && key.2 < *horizon));
        same(&found, &expected, "a snapshot in spans");
        self.count(|tally| tally.span_scans += 1);
        Ok(())
    }

    /// The series that count are those of the map, at any moment.
    fn check_live(&self, table: TableId) {
        let (found, expected) = (data::live(self.shard, table), self.home.history.borrow().live(table.0));
        assert_eq!(found, expected, "series of table {}", table.0);
    }

    /// Drops a table, as the catalog and then the shard do, and makes another.
    async fn replace_table(&mut self) -> Result<()> {
        let id = self.home.next_table.get();
        self.home.next_table.set(id + 1);
        let position = self.random.usize(0..self.home.tables.borrow().len());
        let new = data::new_table(&mut self.random, id);
        self.home.live.borrow_mut().insert(new.id);
        let old = std::mem::replace(&mut self.home.tables.borrow_mut()[position], new);
        self.home.live.borrow_mut().remove(&old.id);
        self.home.history.borrow_mut().forget_table(old.id.0);
        self.home.dropped.borrow_mut().insert(old.id, false);
        self.count(|tally| tally.tables_dropped += 1);
        self.shard.drop_table(old.id).await?;
        self.home.dropped.borrow_mut().insert(old.id, true);
        Ok(())
    }

    fn count(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tally.borrow_mut());
    }
}
