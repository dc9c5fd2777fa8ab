//! Taking a batch: check it, give its series ids, log it, insert it.

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
    /// Gives the batch's new keys their series ids, queues its log record, and inserts its rows. The batch's memory
    /// stays the caller's. A batch that is refused leaves nothing behind, with one exception: of a batch larger than a
    /// quarter of a log file, rows before one that does not fit into a log file may stay.
    pub fn append(&self, batch: &WriteBatch, table: &TableSchema) -> Result<Appended> {
        self.wal.check_open()?;
        self.check_space()?;
        if batch.table != Some(table.id) {
            return Err(Error::Rejected(format!("a batch of table {:?} came for table {}", batch.table, table.name)));
        }
        check_columns(batch, table)?;
        let mut state = self.state.borrow_mut();
        self.check_room(&state)?;
        if state.dropped.contains(&table.id) {
            return Err(Error::Rejected(format!("table {} was dropped", table.name)));
        }

        let State { tables, active, .. } = &mut *state;
        let known = tables.entry(table.id).or_insert_with(|| TableState::new(table.partition_length));
        active.check(table.id, &rows_of(batch, &batch.series, 0..batch.rows()))?;
        let new_series = insert_series(batch, &mut known.series)?;
        let resolved = resolve(batch, &new_series);
        let series = resolved.as_deref().unwrap_or(&batch.series);

        let mut lsn = self.wal.appended();
        for rows in self.pieces(batch) {
            let first_series = known.series_logged;
            lsn = self.log(table.id, known, batch, series, rows.clone())?;
            known.series.show(first_series, &series[rows.clone()]);
            active.append(table.id, &rows_of(batch, series, rows));
        }
        let due = active.bytes() >= self.config.flush_at();
        drop(state);
        self.count(|counts| {
            counts.rows += batch.rows() as u64;
            counts.batches += 1;
        });
        if due {
            self.changed.notify();
        }
        Ok(Appended { lsn, new_series })
    }

    /// The bounds of what is held in memory, the last line of defence behind admission.
    fn check_room(&self, state: &State<D>) -> Result<()> {
        let rows = state.memtables().map(Memtable::bytes).sum();
        let (pending, shard) = (self.wal.pending_bytes() as u64, self.config.shard);
        if rows >= self.config.memtable_bytes_max {
            let limit_bytes = self.config.memtable_bytes_max;
            return Err(Error::Overloaded { shard, held_bytes: rows, limit_bytes });
        }
        if pending >= self.config.wal_pending_bytes_max {
            let limit_bytes = self.config.wal_pending_bytes_max;
            return Err(Error::Overloaded { shard, held_bytes: pending, limit_bytes });
        }
        Ok(())
    }

    /// Ranges of rows that make one log record each: nearly always all of them in one.
    fn pieces(&self, batch: &WriteBatch) -> impl Iterator<Item = Range<usize>> + use<D> {
        let rows = batch.rows();
        let piece_bytes = self.config.wal_file_bytes / 4;
        let by_bytes = (batch.bytes() as u64).div_ceil(piece_bytes) as usize;
        let count = by_bytes.max(rows.div_ceil(RECORD_ROWS_MAX)).clamp(1, rows.max(1));
        let piece = rows.div_ceil(count).max(1);
        (0..rows).step_by(piece).map(move |start| start..(start + piece).min(rows))
    }

    /// Logs rows together with the keys of all series that no record has yet: those of this batch, and of one that
    /// was refused after it had got its ids.
    fn log(
        &self,
        table: TableId,
        known: &mut TableState<D>,
        batch: &WriteBatch,
        series: &[u32],
        rows: Range<usize>,
    ) -> Result<Lsn> {
        let first_series = known.series_logged;
        let (keys, key_lengths) = known.series.keys_from(first_series);
        let key_lengths: Vec<u32> = key_lengths.collect();
        let lsn = self.wal.append(&RowsRef {
            table,
            partition_length: known.partition_length,
            series,
            time: &batch.time,
            columns: &batch.columns,
            rows,
            first_series,
            key_lengths: &key_lengths,
            keys,
        })?;
        known.series_logged = known.series.len() as u32;
        Ok(lsn)
    }
}

fn rows_of<'a>(batch: &'a WriteBatch, series: &'a [u32], rows: Range<usize>) -> NewRows<'a> {
    NewRows { series, time: &batch.time, columns: &batch.columns, rows }
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
    // Columns mostly come in the table's order, so that a search from the last hit on ends at once.
    let mut from = 0;
    let mut ascending = true;
    for (position, column) in batch.columns.iter().enumerate() {
        let schema = table.columns.iter().cycle().skip(from).take(table.columns.len()).zip(from..);
        let Some((found, at)) = schema.into_iter().find(|(schema, _)| schema.id == column.id) else {
            let reason = format!("table {} has no column {}", table.name, column.id.0);
            return Err(Error::Rejected(reason));
        };
        from = (at + 1) % table.columns.len();
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
