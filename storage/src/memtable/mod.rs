//! Rows that are in the log but not yet in a segment, one set of append-only columns per table.
//!
//! Rows stand in the order they came in. Appending a batch is a bulk copy per column; all order is made when it is
//! wanted: [`sort`] gives the rows of a flush or a scan by (series, time), newest value of each field winning, and
//! [`view`] hands them on, as columns to the segment writer or as arrow chunks to a scan.

mod column;
mod sort;
mod view;

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::rc::Rc;

use crate::batch::{BatchColumn, ColumnPlaces};
use crate::error::{Error, Result};
use crate::partition::{Partitions, bounds_of};
use crate::schema::{ColumnId, FieldType, TableId};
use crate::tombstone::Tombstone;
use column::Column;

pub use sort::{Merge, Order, Sorter};
pub use view::PartitionRows;
pub(crate) use view::{chunk, split_partitions};

/// Rows of all tables since the last flush.
#[derive(Debug, Default)]
pub struct Memtable {
    tables: BTreeMap<TableId, TableRows>,
    rows: u64,
    bytes: u64,
    reserved: u64,
    /// Of all tables.
    partitions: usize,
}

/// Rows of one table.
#[derive(Debug)]
pub struct TableRows {
    series: Vec<u32>,
    time: Vec<i64>,
    columns: Vec<Column>,
    time_min: i64,
    time_max: i64,
    partitions: Partitions,
    deletes: Vec<RowsDeleted>,
}

/// A delete, and how many rows had come before it.
#[derive(Debug)]
struct RowsDeleted {
    rows: u32,
    delete: Rc<Tombstone>,
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
            rows.columns.retain(|column| !column.values().is_empty());
            let bytes = rows.reserved();
            let is_kept = reserved + bytes <= bytes_max;
            reserved += if is_kept { bytes } else { 0 };
            is_kept
        });
        tables.values_mut().for_each(TableRows::clear);
        Self { tables, rows: 0, bytes: 0, reserved, partitions: 0 }
    }

    /// An error when columns of `new` have another type than here; what is checked can be appended.
    pub fn check(&self, table: TableId, new: &NewRows<'_>) -> Result<()> {
        let Some(rows) = self.tables.get(&table) else { return Ok(()) };
        let mut places = None;
        for (position, column) in new.columns.iter().enumerate() {
            let known = rows.place(position, column.id, new.columns.len(), &mut places).map(|at| &rows.columns[at]);
            let (is, was) = (column.values.kind(), known.map(Column::kind));
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
        let rows = self.tables.entry(table).or_insert_with(TableRows::new);
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
            rows.deletes.push(RowsDeleted { rows: rows.rows() as u32, delete: delete.clone() });
        }
    }

    /// Tables with rows.
    pub fn tables(&self) -> impl Iterator<Item = (TableId, &TableRows)> {
        self.tables.iter().filter(|(_, rows)| rows.rows() > 0).map(|(id, rows)| (*id, rows))
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

    /// Memory taken, with what is reserved for rows to come.
    pub fn reserved(&self) -> u64 {
        self.reserved
    }
}

impl TableRows {
    fn new() -> Self {
        Self {
            series: Vec::new(),
            time: Vec::new(),
            columns: Vec::new(),
            time_min: i64::MAX,
            time_max: i64::MIN,
            partitions: Partitions::default(),
            deletes: Vec::new(),
        }
    }

    fn clear(&mut self) {
        self.series.clear();
        self.time.clear();
        self.columns.iter_mut().for_each(Column::clear);
        (self.time_min, self.time_max) = (i64::MAX, i64::MIN);
        self.partitions = Partitions::default();
        self.deletes.clear();
    }

    /// Deletes that have come here.
    pub(crate) fn deletes(&self) -> usize {
        self.deletes.len()
    }

    /// Leaves of `rows` those that are not deleted, by the first `deletes` that came here or by `later` ones.
    pub(crate) fn retain_live(&self, rows: &mut Vec<u32>, deletes: usize, later: &[Rc<Tombstone>]) {
        let own = self.deletes[..deletes].iter().map(|own| (own.rows, &own.delete));
        for (before, delete) in own.chain(later.iter().map(|delete| (u32::MAX, delete))) {
            let (min, max) = self.time_bounds();
            if delete.time_min <= max && min <= delete.time_max {
                rows.retain(|row| {
                    *row >= before || !delete.covers(self.series[*row as usize], self.time[*row as usize])
                });
            }
        }
    }

    /// Appends rows, and says how many partitions have come with them.
    fn append(&mut self, new: &NewRows<'_>, length: i64) -> usize {
        let start = self.rows();
        let time = &new.time[new.rows.clone()];
        self.series.extend_from_slice(&new.series[new.rows.clone()]);
        self.time.extend_from_slice(time);
        let (min, max) = bounds_of(time);
        let partitions = self.partitions.add(time, (min, max), length);
        (self.time_min, self.time_max) = (self.time_min.min(min), self.time_max.max(max));
        let mut places = None;
        for (position, column) in new.columns.iter().enumerate() {
            let known = self.place(position, column.id, new.columns.len(), &mut places);
            let at = known.unwrap_or_else(|| {
                self.columns.push(Column::new(column.id, column.values.kind()));
                self.columns.len() - 1
            });
            self.columns[at].append(start, &column.values, column.validity.as_deref(), new.rows.clone());
        }
        partitions
    }

    /// Where the column `id` stands, which is at `position` among the `wanted` of a batch: these mostly have a table's
    /// columns in their order. Where not, `places` are looked into; a batch has no column twice, so that it does not
    /// matter if some of its own have come since they were made.
    fn place(&self, position: usize, id: ColumnId, wanted: usize, places: &mut Option<ColumnPlaces>) -> Option<usize> {
        if self.columns.get(position).is_some_and(|column| column.id() == id) {
            return Some(position);
        }
        places.get_or_insert_with(|| ColumnPlaces::of(self.columns.iter().map(Column::id), wanted)).find(id)
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

    fn bytes(&self) -> u64 {
        self.rows() as u64 * 12 + self.columns.iter().map(Column::bytes).sum::<u64>()
    }

    /// About what a copy of `rows` of the rows takes, with `columns` of them, while it is put in order.
    pub(crate) fn copy_bytes(&self, rows: usize, columns: &[(ColumnId, FieldType)]) -> u64 {
        // Position, and time and series in order.
        const ORDER_BYTES: u64 = 16;
        let wanted: HashSet<ColumnId> = columns.iter().map(|(id, _)| *id).collect();
        let taken = self.columns.iter().filter(|column| wanted.contains(&column.id()));
        let share = rows as f64 / self.rows().max(1) as f64;
        rows as u64 * ORDER_BYTES + (taken.map(Column::bytes).sum::<u64>() as f64 * share) as u64
    }

    fn reserved(&self) -> u64 {
        let rows = self.series.capacity() * 4 + self.time.capacity() * 8;
        rows as u64 + self.columns.iter().map(Column::reserved).sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Values;

    /// Appends rows of one column.
    fn append(memtable: &mut Memtable, table: u32, column: u16, rows: usize) {
        let (series, time) = (vec![0; rows], vec![0; rows]);
        let columns = [BatchColumn { id: ColumnId(column), values: Values::Int(vec![1; rows]), validity: None }];
        let new = NewRows { series: &series, time: &time, columns: &columns, rows: 0..rows };
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
            assert!(reserved <= 2 * 2 * 20 * ROWS as u64, "life {life}: {reserved}");
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
            let new = NewRows { series: &[0], time: &[row], columns: &columns, rows: 0..1 };
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
