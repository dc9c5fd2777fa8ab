//! Taking batches: check them, give their series ids, log them, insert them.
//!
//! All of it happens without waiting. What cannot be logged is taken back: ids and records that it had already got.

use std::ops::Range;

use super::state::{State, TableState};
use super::{Appended, Shard};
use crate::batch::{BatchColumn, NEW_SERIES_BIT, Values, WriteBatch};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::memtable::{Memtable, NewRows};
use crate::schema::{ColumnKind, SeriesId, TableId, TableSchema};
use crate::series::{SeriesIndex, check_key};
use crate::wal::{Lsn, RECORD_ROWS_MAX, RowsRef};

impl<D: Disk> Shard<D> {
    /// Gives the batch's new keys their series ids, queues its log records, and inserts its rows. The batch's memory
    /// stays the caller's. A batch that is refused leaves nothing behind, neither here nor in the log.
    pub fn append(&self, batch: &WriteBatch, table: &TableSchema) -> Result<Appended> {
        let (lsn, mut new_series) = self.append_all(&[(batch, table)])?;
        Ok(Appended { lsn, new_series: new_series.pop().unwrap_or_default() })
    }

    /// The same for batches of several tables, or several of one: scans see the rows of all or of none, and if one is
    /// refused nothing is left of any. Gives the LSN to wait for, and the ids of each batch's new keys.
    pub fn append_all(&self, batches: &[(&WriteBatch, &TableSchema)]) -> Result<(Lsn, Vec<Vec<SeriesId>>)> {
        self.check_sound()?;
        self.wal.check_open()?;
        self.check_space()?;
        for (batch, table) in batches {
            if batch.table != Some(table.id) {
                let reason = format!("a batch of table {:?} came for table {}", batch.table, table.name);
                return Err(Error::Rejected(reason));
            }
            check_columns(batch, table)?;
            self.check_life(table)?;
        }
        let mut state = self.state.borrow_mut();
        self.check_room(&state)?;
        let queue_before = self.wal.mark();
        let mut staged = Vec::with_capacity(batches.len());
        for (batch, table) in batches {
            match self.stage(&mut state, batch, table) {
                Ok(one) => staged.push(one),
                Err(error) => {
                    self.wal.rollback(&queue_before);
                    staged.into_iter().rev().for_each(|one| one.take_back(&mut state));
                    return Err(error);
                }
            }
        }
        let State { tables, hidden_in, active, .. } = &mut *state;
        let mut new_series = Vec::with_capacity(batches.len());
        for ((batch, table), one) in batches.iter().zip(staged) {
            let known = tables.entry(table.id).or_insert_with(|| TableState::new(table.partition_length));
            let series = one.series.as_deref().unwrap_or(&batch.series);
            for Logged { first_series, rows } in one.records {
                match rows.is_empty() {
                    true => {
                        known.series.hide_new(first_series);
                        hidden_in.insert(table.id);
                    }
                    false => known.series.show(&series[rows.clone()]),
                }
                let rows = rows_of(batch, series, rows, known.series.len());
                active.append(table.id, known.partition_length, &rows);
            }
            new_series.push(one.new_series);
        }
        let lsn = self.wal.appended();
        let due = self.is_flush_due(active);
        drop(state);
        self.count(|counts| {
            counts.rows += batches.iter().map(|(batch, _)| batch.rows() as u64).sum::<u64>();
            counts.batches += batches.len() as u64;
        });
        if due {
            self.changed.notify();
        }
        Ok((lsn, new_series))
    }

    /// Gives a batch's new keys their ids and queues its records; on an error the index is as it was.
    fn stage(&self, state: &mut State<D>, batch: &WriteBatch, table: &TableSchema) -> Result<Staged> {
        let State { tables, active, .. } = state;
        active.check(table.id, &rows_of(batch, &batch.series, 0..batch.rows(), 0))?;
        let is_new = !tables.contains_key(&table.id);
        let known = tables.entry(table.id).or_insert_with(|| TableState::new(table.partition_length));
        let mut one = Staged {
            table: table.id,
            is_new,
            series_before: known.series.len(),
            new_series: Vec::new(),
            series: None,
            records: Vec::new(),
        };
        let logged = insert_series(batch, &mut known.series).and_then(|new_series| {
            one.series = resolve(batch, &new_series);
            one.new_series = new_series;
            self.log(table.id, known, batch, one.series.as_deref().unwrap_or(&batch.series))
        });
        match logged {
            Ok(records) => Ok(Staged { records, ..one }),
            Err(error) => {
                one.take_back(state);
                Err(error)
            }
        }
    }

    /// The bounds of what is held in memory, the last line of defence behind admission.
    fn check_room(&self, state: &State<D>) -> Result<()> {
        let rows = state.memtables().map(Memtable::bytes).sum();
        let (pending, shard) = (self.wal.pending_bytes() as u64, self.config.shard);
        if rows >= self.config.memtable_bytes_max {
            let limit_bytes = self.config.memtable_bytes_max;
            return Err(Error::Overloaded { shard, held_bytes: rows, limit_bytes });
        }
        let partitions = state.memtables().map(Memtable::partitions).sum();
        if partitions >= self.config.memtable_partitions_max {
            let partitions_max = self.config.memtable_partitions_max;
            return Err(Error::Crowded { shard, partitions, partitions_max });
        }
        if pending >= self.config.wal_pending_bytes_max {
            let limit_bytes = self.config.wal_pending_bytes_max;
            return Err(Error::Overloaded { shard, held_bytes: pending, limit_bytes });
        }
        Ok(())
    }

    /// Queues the records of a batch: nearly always one, with all its rows and the keys of the series that they make.
    ///
    /// 1. Rows and keys go into records of about a quarter of a log file at most, so that a change of files wastes
    ///    little.
    /// 2. Keys come no later than the first row of theirs, in the order of their ids; where they are many, in records
    ///    of their own before it.
    /// 3. Rows that take more than a file together, since some are far larger than others, are halved until they fit.
    fn log(
        &self,
        table: TableId,
        known: &mut TableState<D>,
        batch: &WriteBatch,
        series: &[u32],
    ) -> Result<Vec<Logged>> {
        let piece_bytes = self.config.wal_file_bytes / 4;
        let rows = batch.rows();
        let row_bytes = batch.bytes() - batch.new_series.bytes.len();
        let count = ((row_bytes as u64).div_ceil(piece_bytes) as usize).max(rows.div_ceil(RECORD_ROWS_MAX)).max(1);
        let piece = rows.div_ceil(count).max(1);
        let mut left: Vec<Range<usize>> = (0..rows).step_by(piece).map(|at| at..(at + piece).min(rows)).rev().collect();
        if rows == 0 && known.series.len() as u32 > known.series_logged {
            left.push(0..0);
        }
        let mut logged = Vec::with_capacity(left.len());
        while let Some(rows) = left.pop() {
            // The last record has all keys that are left, such as no row has named.
            let end = match left.is_empty() {
                true => known.series.len() as u32,
                false => series[rows.clone()].iter().max().map_or(0, |last| last + 1).max(known.series_logged),
            };
            while let Some(keys_end) = first_keys(known, end, piece_bytes) {
                logged.push(self.log_record(table, known, batch, series, 0..0, keys_end)?);
            }
            match self.log_record(table, known, batch, series, rows.clone(), end) {
                Ok(record) => logged.push(record),
                // A row may be as long as a file, then keys do not fit beside it.
                Err(Error::RecordTooLarge { .. }) if known.series_logged < end && !rows.is_empty() => {
                    logged.push(self.log_record(table, known, batch, series, 0..0, end)?);
                    left.push(rows);
                }
                Err(Error::RecordTooLarge { .. }) if rows.len() > 1 => {
                    let middle = rows.start + rows.len() / 2;
                    left.extend([middle..rows.end, rows.start..middle]);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(logged)
    }

    /// Queues one record, with the keys of the series up to `keys_end` that have none yet.
    fn log_record(
        &self,
        table: TableId,
        known: &mut TableState<D>,
        batch: &WriteBatch,
        series: &[u32],
        rows: Range<usize>,
        keys_end: u32,
    ) -> Result<Logged> {
        let first_series = known.series_logged;
        let (keys, lengths) = known.series.keys_from(first_series);
        let key_lengths: Vec<u32> = lengths.take((keys_end - first_series) as usize).collect();
        let keys = &keys[..key_lengths.iter().map(|length| *length as usize).sum()];
        let columns = if rows.is_empty() { &[][..] } else { &batch.columns };
        self.wal.append(&RowsRef {
            table,
            partition_length: known.partition_length,
            series,
            time: &batch.time,
            columns,
            rows: rows.clone(),
            first_series,
            key_lengths: &key_lengths,
            keys,
        })?;
        known.series_logged = keys_end;
        Ok(Logged { first_series, rows })
    }
}

/// A batch whose records are queued and whose rows are not yet in memory.
struct Staged {
    table: TableId,
    /// The shard knew nothing of the table before.
    is_new: bool,
    series_before: usize,
    /// The ids of its new keys.
    new_series: Vec<SeriesId>,
    /// The ids of its rows, where the batch has others.
    series: Option<Vec<u32>>,
    records: Vec<Logged>,
}

impl Staged {
    /// Forgets the series that the batch has made. Batches are taken back in the opposite order.
    fn take_back<D: Disk>(&self, state: &mut State<D>) {
        if self.is_new {
            state.tables.remove(&self.table);
        } else if let Some(known) = state.tables.get_mut(&self.table) {
            known.series.truncate(self.series_before);
            known.series_logged = self.series_before as u32;
        }
    }
}

/// What a record that was queued has: the keys of series from `first_series` on, and rows of the batch.
struct Logged {
    first_series: u32,
    rows: Range<usize>,
}

/// Where the first keys end that go into a record of their own; `None` where those up to `end` are few enough to go
/// with their rows.
fn first_keys<D: Disk>(known: &TableState<D>, end: u32, bytes_max: u64) -> Option<u32> {
    let (mut bytes, mut at) = (0, known.series_logged);
    for length in known.series.keys_from(at).1.take((end - at) as usize) {
        bytes += u64::from(length) + 4;
        if bytes > bytes_max {
            return Some(at.max(known.series_logged + 1));
        }
        at += 1;
    }
    None
}

fn rows_of<'a>(batch: &'a WriteBatch, series: &'a [u32], rows: Range<usize>, series_count: usize) -> NewRows<'a> {
    NewRows { series, time: &batch.time, columns: &batch.columns, rows, series_count: series_count as u32 }
}

/// Gives all keys of the batch their ids, after a look that every series it names exists.
fn insert_series(batch: &WriteBatch, index: &mut SeriesIndex) -> Result<Vec<SeriesId>> {
    const _: () = assert!(NEW_SERIES_BIT == 1 << 31);
    let keys = &batch.new_series;
    let (mut known_max, mut new_max) = (0_u32, 0_u32);
    for &series in &batch.series {
        // Masks instead of branches, so that the loop is one over vectors.
        let new_mask = (series >> 31).wrapping_neg();
        known_max = known_max.max(series.wrapping_add(1) & !new_mask);
        new_max = new_max.max((series & !NEW_SERIES_BIT).wrapping_add(1) & new_mask);
    }
    if known_max as usize > index.len() || new_max as usize > keys.len() {
        return Err(Error::Rejected("a batch names a series that does not exist".to_owned()));
    }
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    if keys.len() > RECORD_ROWS_MAX || !index.has_room(keys.len()) {
        return Err(Error::Rejected("too many series in one table of a shard".to_owned()));
    }
    check_ends(&keys.ends, keys.bytes.len()).ok_or_else(|| misshapen("its keys"))?;
    for ordinal in 0..keys.len() {
        check_key(keys.key(ordinal)).map_err(|reason| Error::Rejected(format!("a series key: {reason}")))?;
    }
    Ok(index.insert_all(keys))
}

/// The series ids of the rows; `None` where the batch has them already.
fn resolve(batch: &WriteBatch, new_series: &[SeriesId]) -> Option<Vec<u32>> {
    if new_series.is_empty() {
        return None;
    }
    let id = |&series: &u32| match series & NEW_SERIES_BIT {
        0 => series,
        _ => new_series[(series & !NEW_SERIES_BIT) as usize].0,
    };
    Some(batch.series.iter().map(id).collect())
}

/// Checks that all columns are of the batch's length, fields of the table, of its types, and each there once.
fn check_columns(batch: &WriteBatch, table: &TableSchema) -> Result<()> {
    let rows = batch.rows();
    if batch.time.len() != rows {
        return Err(misshapen("its times"));
    }
    // Columns mostly come in the table's order: the next one is looked at before any is looked for.
    let mut next = 0;
    let mut ascending = true;
    for (position, column) in batch.columns.iter().enumerate() {
        let is_next = table.columns.get(next).is_some_and(|schema| schema.id == column.id);
        let place = if is_next { Some(next) } else { table.columns.place_of(column.id) };
        let Some((place, found)) = place.and_then(|place| Some((place, table.columns.get(place)?))) else {
            let reason = format!("table {} has no column {}", table.name, column.id.0);
            return Err(Error::Rejected(reason));
        };
        next = place + 1;
        let kind = column.values.kind();
        if found.kind != ColumnKind::Field(kind) {
            let reason = format!("column {} of table {} is {:?}, not {kind:?}", found.name, table.name, found.kind);
            return Err(Error::Rejected(reason));
        }
        check_column(column, rows).ok_or_else(|| misshapen(&found.name))?;
        ascending &= position == 0 || batch.columns[position - 1].id < column.id;
    }
    if !ascending {
        let mut ids: Vec<_> = batch.columns.iter().map(|column| column.id).collect();
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Error::Rejected(format!("a batch of table {} has a column twice", table.name)));
        }
    }
    Ok(())
}

fn check_column(column: &BatchColumn, rows: usize) -> Option<()> {
    if column.values.len() != rows || column.validity.as_ref().is_some_and(|words| words.len() < rows.div_ceil(64)) {
        return None;
    }
    if let Values::String(strings) = &column.values {
        check_ends(&strings.ends, strings.bytes.len())?;
        let text = std::str::from_utf8(&strings.bytes).ok()?;
        strings.ends.iter().all(|&end| text.is_char_boundary(end as usize)).then_some(())?;
    }
    Some(())
}

/// Ends must not fall, and the last is where the bytes end.
fn check_ends(ends: &[u32], bytes: usize) -> Option<()> {
    (ends.is_sorted() && ends.last().map_or(0, |&end| end as usize) == bytes).then_some(())
}

fn misshapen(what: &str) -> Error {
    Error::Rejected(format!("a batch contradicts itself in {what}"))
}
