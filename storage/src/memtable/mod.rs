//! Rows that are in the log but not yet in a segment, one set of append-only columns per table.
//!
//! Rows stand in the order they came in. Appending a batch is a bulk copy per column; all order is made when it is
//! wanted: [`sort`] gives the rows of a flush or a scan by (series, time), newest value of each field winning. What a
//! scan has put in order is [`kept`] for the scans after it and the flush, which [`unite`] it with the order of rows
//! that came since; [`view`] hands rows on, as columns to the segment writer or as arrow chunks to a scan.

mod column;
mod growth;
mod kept;
mod order;
mod sort;
mod split;
mod unite;
mod view;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::rc::Rc;

use crate::batch::BatchColumn;
use crate::error::{Error, Result};
use crate::partition::{Partitions, bounds_of};
use crate::schema::{ColumnId, FieldType, TableId};
use crate::tombstone::{Cover, Deletes, Tombstone};
use crate::work;
use column::Column;
use growth::make_room;
use kept::Kept;

pub(crate) use kept::KeptOrder;
pub use order::{Merge, Order};
pub use sort::Sorter;
pub(crate) use split::Splitter;
pub(crate) use unite::Unite;
pub(crate) use view::Copier;
pub use view::PartitionRows;

/// In [`TableRows::positions`]. There are fewer columns than ids.
const NO_COLUMN: u16 = u16::MAX;

/// Phases of the columns that every table has ([`growth`]).
const SERIES_PHASE: u16 = 3;
const TIME_PHASE: u16 = 11;

/// Rows of all tables since the last flush.
#[derive(Debug, Default)]
pub struct Memtable {
    tables: BTreeMap<TableId, TableRows>,
    rows: u64,
    bytes: u64,
    reserved: u64,
    /// Of all tables.
    partitions: usize,
    /// Bytes of the orders that are kept of all tables.
    ordered: Rc<Cell<u64>>,
}

/// Rows of one table.
#[derive(Debug)]
pub struct TableRows {
    series: Vec<u32>,
    time: Vec<i64>,
    columns: Vec<Column>,
    /// Where each stands in `columns`, by its id; [`NO_COLUMN`] for ids of others.
    positions: Vec<u16>,
    time_min: i64,
    time_max: i64,
    partitions: Partitions,
    /// Deletes, by how many rows had come before them.
    deletes: Rc<Cover>,
    /// Series that the table had when rows came last; 0 where none did.
    series_count: u32,
    /// What of them is known in order: scans find that out, which change nothing else.
    kept: RefCell<Kept>,
}

/// The deletes that a reader of a table's rows sees.
#[derive(Debug, Clone, Default)]
pub(crate) struct SeenDeletes {
    /// By how many rows had come before them.
    own: Rc<Cover>,
    /// Newer than all rows.
    later: Deletes,
}

impl SeenDeletes {
    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.own.is_empty() && self.later.is_empty()
    }

    /// Whether rows of a series between such times may be deleted, of those from row `first` on.
    pub(crate) fn touch(&self, series: u32, times: (i64, i64), first: u32) -> bool {
        work::charge(work::LOOK * 4);
        let one = (series, series);
        self.own.overlaps(times, one, u64::from(first)) || self.later.overlaps(times, one)
    }
}

/// Rows to append: those of a batch in `rows`, with the shard's series ids.
#[derive(Debug, Clone)]
pub struct NewRows<'a> {
    /// Series ids of all rows of the batch.
    pub series: &'a [u32],
    /// Their timestamps.
    pub time: &'a [i64],
    /// Their fields.
    pub columns: &'a [BatchColumn],
    /// The rows of the batch to append.
    pub rows: Range<usize>,
    /// Series that the table has by now.
    pub series_count: u32,
}

impl Memtable {
    /// An empty memtable with the memory that the rows of `used` took, for more of the same tables and columns. What
    /// had none keeps nothing, and all together no more than `bytes_max`: else there would soon be memory for the
    /// greatest size of every table there ever was.
    pub fn reuse(used: Self, bytes_max: u64) -> Self {
        let mut tables = used.tables;
        let mut reserved = 0;
        tables.retain(|_, rows| {
            if rows.rows() == 0 {
                return false;
            }
            rows.forget_empty_columns();
            let bytes = rows.reserved();
            let is_kept = reserved + bytes <= bytes_max;
            reserved += if is_kept { bytes } else { 0 };
            is_kept
        });
        tables.values_mut().for_each(TableRows::clear);
        Self { tables, rows: 0, bytes: 0, reserved, partitions: 0, ordered: used.ordered }
    }

    /// An error when columns of `new` have another type than here; what is checked can be appended.
    pub fn check(&self, table: TableId, new: &NewRows<'_>) -> Result<()> {
        let Some(rows) = self.tables.get(&table) else { return Ok(()) };
        for column in new.columns {
            let (is, was) = (column.values.kind(), rows.column(column.id).map(Column::kind));
            if let Some(was) = was.filter(|was| *was != is) {
                let reason = format!("column {} of table {} holds {was:?}, not {is:?}", column.id.0, table.0);
                return Err(Error::Rejected(reason));
            }
        }
        if (rows.series.len() + new.rows.len()) as u64 > u64::from(u32::MAX) {
            return Err(Error::Rejected(format!("table {} has 2^32 rows in memory", table.0)));
        }
        Ok(())
    }

    /// Appends rows that [`Memtable::check`] has let pass, to a table with partitions of `length`.
    pub fn append(&mut self, table: TableId, length: i64, new: &NewRows<'_>) {
        let rows = self.tables.entry(table).or_insert_with(|| TableRows::new(&self.ordered));
        let (bytes, reserved) = (rows.bytes(), rows.reserved());
        self.partitions += rows.append(new, length);
        self.bytes += rows.bytes() - bytes;
        self.reserved += rows.reserved().saturating_sub(reserved);
        self.rows += new.rows.len() as u64;
    }

    /// Deletes rows that were appended before.
    pub(crate) fn delete(&mut self, table: TableId, delete: &Rc<Tombstone>) {
        let Some(rows) = self.tables.get_mut(&table) else { return };
        let (min, max) = rows.time_bounds();
        if delete.time_min <= max && min <= delete.time_max {
            let rows_before = rows.rows() as u64;
            Rc::make_mut(&mut rows.deletes).add(delete.series.as_ref(), delete.times(), rows_before);
        }
    }

    /// Tables with rows.
    pub fn tables(&self) -> impl Iterator<Item = (TableId, &TableRows)> {
        self.tables.iter().filter(|(_, rows)| rows.rows() > 0).map(|(id, rows)| (*id, rows))
    }

    /// Tables that had rows or series appended, and how many series they had then.
    pub(crate) fn series_counts(&self) -> impl Iterator<Item = (TableId, u32)> {
        self.tables.iter().filter(|(_, rows)| rows.series_count > 0).map(|(id, rows)| (*id, rows.series_count))
    }

    /// The same of one table.
    pub(crate) fn series_count(&self, table: TableId) -> Option<u32> {
        self.tables.get(&table).map(|rows| rows.series_count).filter(|count| *count > 0)
    }

    /// Rows of a table, if it has any.
    pub fn table(&self, table: TableId) -> Option<&TableRows> {
        self.tables.get(&table).filter(|rows| rows.rows() > 0)
    }

    /// Forgets a table.
    pub fn remove(&mut self, table: TableId) {
        if let Some(rows) = self.tables.remove(&table) {
            self.rows -= rows.rows() as u64;
            self.partitions -= rows.partitions.len();
            self.bytes -= rows.bytes();
            self.reserved = self.reserved.saturating_sub(rows.reserved());
        }
    }

    /// Gives the memory of some tables back, whose rows nobody wants; false when none is left.
    pub(crate) fn forget_some(&mut self) -> bool {
        /// Each takes some calls of the allocator for each of its columns.
        const TABLES: usize = 64;
        (0..TABLES).for_each(|_| drop(self.tables.pop_first()));
        work::charge_each(TABLES, 100 * work::LOOK);
        !self.tables.is_empty()
    }

    /// Rows held.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Partitions that the rows lie in, of all tables: each becomes a segment.
    pub fn partitions(&self) -> usize {
        self.partitions
    }

    /// Bytes that the rows take, the measure of when to flush.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Memory taken, with what is reserved for rows to come, and without orders that are kept.
    pub fn reserved(&self) -> u64 {
        self.reserved
    }

    /// Bytes of the orders that are kept.
    pub(crate) fn ordered_bytes(&self) -> u64 {
        self.ordered.get()
    }

    /// Gives the memory of orders back, but for those that scans hold.
    pub(crate) fn forget_orders(&self) {
        if self.ordered.get() > 0 {
            self.tables.values().for_each(|rows| rows.kept.borrow_mut().clear());
        }
    }
}

impl TableRows {
    fn new(ordered: &Rc<Cell<u64>>) -> Self {
        Self {
            series: Vec::new(),
            time: Vec::new(),
            columns: Vec::new(),
            positions: Vec::new(),
            time_min: i64::MAX,
            time_max: i64::MIN,
            partitions: Partitions::default(),
            deletes: Rc::default(),
            series_count: 0,
            kept: RefCell::new(Kept::new(Rc::clone(ordered))),
        }
    }

    fn clear(&mut self) {
        self.series.clear();
        self.time.clear();
        self.columns.iter_mut().for_each(Column::clear);
        (self.time_min, self.time_max) = (i64::MAX, i64::MIN);
        self.partitions = Partitions::default();
        self.deletes = Rc::default();
        self.series_count = 0;
        self.kept.get_mut().clear();
    }

    /// The orders that are kept, of the oldest rows first.
    pub(crate) fn kept_orders(&self) -> Vec<KeptOrder> {
        self.kept.borrow().orders().to_vec()
    }

    /// Rows that an order is kept of.
    pub(crate) fn kept_end(&self) -> u32 {
        self.kept.borrow().end()
    }

    /// Whether the `tail` rows behind those in order are to be put in order, for a scan that `wants_all` of them or
    /// looks for some.
    pub(crate) fn is_order_worth_it(&self, tail: u32, wants_all: bool) -> bool {
        self.kept.borrow_mut().is_worth_it(tail, wants_all)
    }

    /// Keeps an order of the rows behind those in order; false where others have done so.
    pub(crate) fn keep_order(&self, kept: &KeptOrder) -> bool {
        self.kept.borrow_mut().keep(kept)
    }

    /// The last two orders, where one of both is to be kept instead.
    pub(crate) fn orders_to_unite(&self) -> Option<(KeptOrder, KeptOrder)> {
        self.kept.borrow().to_unite().map(|(older, newer)| (older.clone(), newer.clone()))
    }

    /// Keeps one order instead of those that it was made of.
    pub(crate) fn unite_orders(&self, united: KeptOrder) {
        self.kept.borrow_mut().unite(united);
    }

    /// The deletes that have come here, and `later` ones, which are newer than all rows.
    pub(crate) fn deletes(&self, later: Deletes) -> SeenDeletes {
        SeenDeletes { own: Rc::clone(&self.deletes), later }
    }

    /// Whether a row is not deleted.
    pub(crate) fn is_live(&self, row: u32, deletes: &SeenDeletes) -> bool {
        let (series, time) = (self.series[row as usize], self.time[row as usize]);
        !deletes.own.covers(series, time, u64::from(row)) && !deletes.later.covers(series, time)
    }

    /// First times of the partitions that rows lie in, deleted ones included.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = i64> {
        self.partitions.starts()
    }

    /// Whether one delete of all series, after the last row, covers all of these times.
    pub(crate) fn are_deleted(&self, times: (i64, i64), deletes: &SeenDeletes) -> bool {
        let last = (self.rows() as u64).saturating_sub(1);
        deletes.own.covers_all_series(times, last) || deletes.later.cover_all_series(times)
    }

    /// Appends rows, and says how many partitions have come with them.
    fn append(&mut self, new: &NewRows<'_>, length: i64) -> usize {
        let start = self.rows();
        self.series_count = new.series_count;
        let time = &new.time[new.rows.clone()];
        make_room(&mut self.series, start + time.len(), SERIES_PHASE);
        self.series.extend_from_slice(&new.series[new.rows.clone()]);
        make_room(&mut self.time, start + time.len(), TIME_PHASE);
        self.time.extend_from_slice(time);
        let (min, max) = bounds_of(time);
        let partitions = self.partitions.add(time, (min, max), length);
        (self.time_min, self.time_max) = (self.time_min.min(min), self.time_max.max(max));
        for (position, column) in new.columns.iter().enumerate() {
            // Batches of a table mostly have the same columns in the same order.
            let at = match self.columns.get(position).filter(|c| c.id() == column.id) {
                Some(_) => position,
                None => self.position(column.id).unwrap_or_else(|| self.add_column(column)),
            };
            self.columns[at].append(start, &column.values, column.validity.as_deref(), new.rows.clone());
        }
        partitions
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.series.len()
    }

    /// Least and greatest time.
    pub fn time_bounds(&self) -> (i64, i64) {
        (self.time_min, self.time_max)
    }

    /// Series ids, in the order the rows came.
    pub fn series(&self) -> &[u32] {
        &self.series
    }

    /// Times, in the order the rows came.
    pub fn time(&self) -> &[i64] {
        &self.time
    }

    /// The greatest id of a field with values.
    pub(crate) fn greatest_field(&self) -> Option<ColumnId> {
        self.columns.iter().map(Column::id).max()
    }

    fn column(&self, id: ColumnId) -> Option<&Column> {
        self.columns.get(self.position(id)?)
    }

    fn position(&self, id: ColumnId) -> Option<usize> {
        self.positions.get(usize::from(id.0)).filter(|at| **at != NO_COLUMN).map(|at| usize::from(*at))
    }

    /// Forgets columns without values.
    fn forget_empty_columns(&mut self) {
        if self.columns.iter().all(|column| !column.values().is_empty()) {
            return;
        }
        self.columns.retain(|column| !column.values().is_empty());
        self.positions.clear();
        for (column, at) in self.columns.iter().zip(0..) {
            note_position(&mut self.positions, column.id(), at);
        }
    }

    /// Adds an empty column like that of a batch, and says where it stands.
    fn add_column(&mut self, like: &BatchColumn) -> usize {
        let at = self.columns.len();
        note_position(&mut self.positions, like.id, at as u16);
        self.columns.push(Column::new(like.id, like.values.kind()));
        at
    }

    fn bytes(&self) -> u64 {
        self.rows() as u64 * 12 + self.columns.iter().map(Column::bytes).sum::<u64>()
    }

    /// About what a copy of all rows takes, with `columns` of them.
    pub(crate) fn copy_bytes(&self, columns: &[(ColumnId, FieldType)]) -> u64 {
        let wanted: HashSet<ColumnId> = columns.iter().map(|(id, _)| *id).collect();
        let taken = self.columns.iter().filter(|column| wanted.contains(&column.id()));
        self.rows() as u64 * 8 + taken.map(Column::bytes).sum::<u64>()
    }

    /// About what it takes to put `rows` of the rows in order.
    pub(crate) fn order_bytes(rows: usize) -> u64 {
        // Time and number of each in order; and meanwhile their numbers, the same dealt to series, and keys.
        const ORDER_BYTES: u64 = 12 + 2 * 4 + 16;
        rows as u64 * ORDER_BYTES
    }

    /// Whether a row, or an older one of those beside it, has a value in each of `columns`.
    pub(crate) fn has_all(&self, columns: &[(ColumnId, FieldType)], row: u32, older: &[u32]) -> bool {
        work::charge_each(columns.len(), work::LOOK);
        let has = |column: &Column| column.is_present(row) || older.iter().any(|row| column.is_present(*row));
        columns.iter().all(|(id, _)| self.column(*id).is_some_and(has))
    }

    fn reserved(&self) -> u64 {
        let rows = self.series.capacity() * 4 + self.time.capacity() * 8;
        rows as u64 + self.columns.iter().map(Column::reserved).sum::<u64>()
    }
}

/// Notes where the column `id` stands.
fn note_position(positions: &mut Vec<u16>, id: ColumnId, at: u16) {
    let id = usize::from(id.0);
    if positions.len() <= id {
        positions.resize(id + 1, NO_COLUMN);
    }
    positions[id] = at;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Values;

    /// Appends rows of one column.
    fn append(memtable: &mut Memtable, table: u32, column: u16, rows: usize) {
        let (series, time) = (vec![0; rows], vec![0; rows]);
        let columns = [BatchColumn { id: ColumnId(column), values: Values::Int(vec![1; rows]), validity: None }];
        let new = NewRows { series: &series, time: &time, columns: &columns, rows: 0..rows, series_count: 1 };
        memtable.check(TableId(table), &new).unwrap();
        memtable.append(TableId(table), 1, &new);
    }

    #[test]
    fn memory_is_kept_for_what_the_last_rows_were_of() {
        const ROWS: usize = 10_000;
        let mut memtable = Memtable::default();
        for life in 0..24 {
            append(&mut memtable, life, 0, ROWS);
            // One table is there in every life, with a column that is new each time.
            append(&mut memtable, 100, life as u16, ROWS);
            assert_eq!((memtable.rows(), memtable.tables().count()), (2 * ROWS as u64, 2));
            let reserved = memtable.reserved();
            // Of two tables and two lives, and columns may be twice as long as their rows.
            assert!(reserved <= 2 * 2 * 2 * 20 * ROWS as u64, "life {life}: {reserved}");
            memtable = Memtable::reuse(memtable, 1 << 20);
            assert_eq!((memtable.rows(), memtable.bytes(), memtable.tables().count()), (0, 0, 0));
            assert!(memtable.reserved() > 0 && memtable.reserved() <= reserved);
            assert!(memtable.tables.len() <= 2 && memtable.tables.values().all(|rows| rows.columns.len() == 1));
        }
        for table in 0..10 {
            append(&mut memtable, table, 0, ROWS);
        }
        let memtable = Memtable::reuse(memtable, 500_000);
        assert!(memtable.reserved() <= 500_000 && !memtable.tables.is_empty(), "{}", memtable.reserved());
    }

    /// Columns are found among thousands, in whatever order they come.
    #[test]
    fn wide_rows_are_appended_in_any_order_of_their_columns() {
        let ids: Vec<u16> = (0..5_000).collect();
        let mut memtable = Memtable::default();
        for row in 0..4 {
            let order: Vec<u16> = if row % 2 == 0 { ids.clone() } else { ids.iter().rev().copied().collect() };
            let column =
                |id: &u16| BatchColumn { id: ColumnId(*id), values: Values::Int(vec![i64::from(*id)]), validity: None };
            let columns: Vec<BatchColumn> = order.iter().map(column).collect();
            let new = NewRows { series: &[0], time: &[row], columns: &columns, rows: 0..1, series_count: 1 };
            memtable.check(TableId(1), &new).unwrap();
            memtable.append(TableId(1), 1, &new);
        }
        let rows = memtable.table(TableId(1)).unwrap();
        assert_eq!((rows.rows(), rows.columns.len()), (4, ids.len()));
        for column in &rows.columns {
            assert_eq!(*column.values(), Values::Int(vec![i64::from(column.id().0); 4]));
        }
    }
}
