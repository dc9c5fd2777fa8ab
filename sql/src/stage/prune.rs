//! Value ranges of numeric fields outside which no row can pass the filter, for the scan to skip blocks by.

use arrow_schema::DataType;
use tidewire_storage::scan::PruneRange;
use tidewire_storage::schema::{ColumnId, FieldType};

use crate::expr::{BinaryOp, Expr, Scalar};
use crate::plan::ScanColumn;

/// Ranges that the conjuncts of `filter` imply. Bounds are rounded outwards, so a range may be too wide, never too
/// narrow.
pub(super) fn ranges(filter: &Expr, columns: &[ScanColumn]) -> Vec<PruneRange> {
    let mut found = Vec::new();
    collect(filter, columns, &mut found);
    found
}

fn collect(expr: &Expr, columns: &[ScanColumn], found: &mut Vec<PruneRange>) {
    let Expr::Binary { op, left, right } = expr else { return };
    if *op == BinaryOp::And {
        collect(left, columns, found);
        collect(right, columns, found);
        return;
    }
    let (column, constant, op) = match (numeric_field(left, columns), numeric_field(right, columns)) {
        (Some(column), None) => (column, &**right, *op),
        (None, Some(column)) => (column, &**left, mirrored(*op)),
        _ => return,
    };
    let Expr::Literal(constant) = constant else { return };
    let Some((below, above)) = around(constant) else { return };
    let (min, max) = match op {
        BinaryOp::Eq => (below, above),
        BinaryOp::Gt | BinaryOp::GtEq => (below, f64::INFINITY),
        BinaryOp::Lt | BinaryOp::LtEq => (f64::NEG_INFINITY, above),
        _ => return,
    };
    match found.iter_mut().find(|range| range.column == column) {
        Some(range) => {
            range.min = range.min.max(min);
            range.max = range.max.min(max);
        }
        None => found.push(PruneRange { column, min, max }),
    }
}

/// The numeric field that `expr` is, perhaps cast to DOUBLE.
fn numeric_field(expr: &Expr, columns: &[ScanColumn]) -> Option<ColumnId> {
    match expr {
        Expr::Column(at) => match columns.get(*at)? {
            ScanColumn::Field(id, FieldType::Int | FieldType::UInt | FieldType::Float) => Some(*id),
            _ => None,
        },
        Expr::Cast { expr, to: DataType::Float64 } => numeric_field(expr, columns),
        _ => None,
    }
}

fn mirrored(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Lt => BinaryOp::Gt,
        BinaryOp::LtEq => BinaryOp::GtEq,
        BinaryOp::Gt => BinaryOp::Lt,
        BinaryOp::GtEq => BinaryOp::LtEq,
        other => other,
    }
}

/// Doubles at or around a constant: equal where it is one, else its neighbours on both sides.
fn around(constant: &Scalar) -> Option<(f64, f64)> {
    /// Integers up to 2^53 are doubles.
    const EXACT: u64 = 1 << 53;
    let widened = |value: f64, exact: bool| if exact { (value, value) } else { (value.next_down(), value.next_up()) };
    match *constant {
        Scalar::Int(value) => Some(widened(value as f64, value.unsigned_abs() <= EXACT)),
        Scalar::UInt(value) => Some(widened(value as f64, value <= EXACT)),
        Scalar::Float(value) if !value.is_nan() => Some((value, value)),
        _ => None,
    }
}
