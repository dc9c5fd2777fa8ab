//! Rows of whole partitions, in one piece.

use std::ops::Range;

use arrow_array::{ArrayRef, RecordBatch};

use super::changes::Changes;
use crate::error::execution::{ExecError, Result};
use crate::expr::Expr;
use crate::plan::SortKey;

/// Rows of whole partitions.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) rows: RecordBatch,
    /// First rows of partitions, then the number of rows.
    partitions: Vec<usize>,
    /// First rows of equals, then the number of rows.
    equals: Vec<usize>,
}

/// Where a row is. Moves from row to row, either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) row: usize,
    /// Number of its partition.
    partition: usize,
    /// Number of its equals among those of the span.
    pub(super) equals: usize,
}

impl Span {
    /// Rows whose partitions begin at `partitions`; those are equal that `order` does not tell apart.
    pub(super) fn new(rows: RecordBatch, mut partitions: Vec<usize>, order: &[SortKey]) -> Result<Self> {
        let columns = order.iter().map(|key| column(&rows, &key.expr)).collect::<Result<Vec<_>>>()?;
        let changes = Changes::default().among(&columns, rows.num_rows())?;
        // A partition begins new equals too.
        let mut equals = changes;
        equals.extend_from_slice(&partitions);
        equals.sort_unstable();
        equals.dedup();
        partitions.push(rows.num_rows());
        equals.push(rows.num_rows());
        Ok(Self { rows, partitions, equals })
    }

    pub(super) fn column(&self, expr: &Expr) -> Result<ArrayRef> {
        column(&self.rows, expr)
    }

    /// The first row, or the last.
    pub(super) fn end(&self, is_last: bool) -> Place {
        if is_last {
            let row = self.rows.num_rows().saturating_sub(1);
            Place {
                row,
                partition: self.partitions.len().saturating_sub(2),
                equals: self.equals.len().saturating_sub(2),
            }
        } else {
            Place { row: 0, partition: 0, equals: 0 }
        }
    }

    /// The next row, or the one before; past the ends there is none.
    pub(super) fn beside(&self, place: Place, is_before: bool) -> Option<Place> {
        let Place { row, mut partition, mut equals } = place;
        let row = if is_before { row.checked_sub(1)? } else { row + 1 };
        if row >= self.rows.num_rows() {
            return None;
        }
        if is_before {
            partition -= usize::from(row < self.partitions[partition]);
            equals -= usize::from(row < self.equals[equals]);
        } else {
            partition += usize::from(row >= self.partitions[partition + 1]);
            equals += usize::from(row >= self.equals[equals + 1]);
        }
        Some(Place { row, partition, equals })
    }

    /// The place that comes N rows later, if there is one.
    pub(super) fn after(&self, place: Place, rows: usize) -> Option<Place> {
        let row = place.row.checked_add(rows).filter(|row| *row < self.rows.num_rows())?;
        let number = |starts: &[usize]| starts.partition_point(|start| *start <= row) - 1;
        Some(Place { row, partition: number(&self.partitions), equals: number(&self.equals) })
    }

    /// The rows of the place's partition.
    pub(super) fn partition(&self, place: Place) -> Range<usize> {
        self.partitions[place.partition]..self.partitions[place.partition + 1]
    }

    /// The rows that are equal in order to the place's.
    pub(super) fn equals(&self, place: Place) -> Range<usize> {
        self.equals[place.equals]..self.equals[place.equals + 1]
    }

    /// The number of the equals that begin with a row.
    pub(super) fn equals_at(&self, row: usize) -> usize {
        self.equals.partition_point(|start| *start < row)
    }

    /// The first row of the equals of a number, or the number of rows past the last.
    pub(super) fn first_of_equals(&self, number: usize) -> usize {
        self.equals.get(number).copied().unwrap_or(self.rows.num_rows())
    }
}

/// The column of `rows` that an expression of a window is: the front ends compute all others before.
pub(super) fn column(rows: &RecordBatch, expr: &Expr) -> Result<ArrayRef> {
    match expr {
        Expr::Column(at) if *at < rows.num_columns() => Ok(ArrayRef::clone(rows.column(*at))),
        other => Err(ExecError::Internal(format!("a window over what is no column: {other:?}"))),
    }
}
