//! Rule: what a scan's filter says about time becomes the scan's time range.
//!
//! A comparison of time with a constant is decided by the range and goes. Of an OR, and of buckets of time, the range
//! takes the hull, and the conjunct stays. A predicate that nothing satisfies leaves the empty range.

use arrow_schema::TimeUnit;

use crate::expr::conjunction::{join, split};
use crate::expr::constant::as_constant;
use crate::expr::{BinaryOp, Expr, Scalar};
use crate::plan::{Plan, ScanColumn, ScanNode};
use crate::types::tiling::Tiling;

pub(super) fn rule(plan: Plan) -> Plan {
    match plan.map_inputs(&mut rule) {
        Plan::Scan(scan) => Plan::Scan(narrow(scan)),
        other => other,
    }
}

fn narrow(mut scan: ScanNode) -> ScanNode {
    let Some(filter) = scan.filter.take() else {
        return scan;
    };
    let Some(time) = scan.columns.iter().position(|column| *column == ScanColumn::Time) else {
        scan.filter = Some(filter);
        return scan;
    };
    let mut rest = Vec::new();
    for conjunct in split(filter) {
        let Some(range) = range_of(&conjunct, time) else {
            rest.push(conjunct);
            continue;
        };
        scan.time_min = scan.time_min.max(range.min);
        scan.time_max = scan.time_max.min(range.max);
        if !range.exact {
            rest.push(conjunct);
        }
    }
    if scan.time_min > scan.time_max {
        // One spelling of nothing, and nothing more to decide.
        (scan.time_min, scan.time_max) = (i64::MAX, i64::MIN);
        rest.clear();
    }
    scan.filter = join(rest);
    scan
}

/// Times for which a predicate can be true; `exact` where it is true for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    min: i64,
    max: i64,
    exact: bool,
}

/// The first and the last time for which a folded predicate over the column `time` can be true, where it says so.
pub(crate) fn time_bounds(predicate: &Expr, time: usize) -> Option<(i64, i64)> {
    range_of(predicate, time).map(|range| (range.min, range.max))
}

const NEVER: Range = Range { min: i64::MAX, max: i64::MIN, exact: true };

fn range_of(predicate: &Expr, time: usize) -> Option<Range> {
    match predicate {
        Expr::Literal(Scalar::Bool(false) | Scalar::Null) => Some(NEVER),
        Expr::Cast { .. } if as_constant(predicate) == Some(&Scalar::Null) => Some(NEVER),
        Expr::Binary { op: BinaryOp::Or, left, right } => {
            let (left, right) = (range_of(left, time)?, range_of(right, time)?);
            Some(Range { min: left.min.min(right.min), max: left.max.max(right.max), exact: false })
        }
        Expr::Binary { op: BinaryOp::And, left, right } => match (range_of(left, time), range_of(right, time)) {
            (Some(left), Some(right)) => Some(Range {
                min: left.min.max(right.min),
                max: left.max.min(right.max),
                exact: left.exact && right.exact,
            }),
            (one, other) => one.or(other).map(|range| Range { exact: false, ..range }),
        },
        Expr::InList { expr, list, negated: false } if **expr == Expr::Column(time) => {
            let times: Option<Vec<i64>> = list.iter().map(constant_time).collect();
            let times = times?;
            Some(Range { min: *times.iter().min()?, max: *times.iter().max()?, exact: false })
        }
        Expr::Binary { op, left, right } => {
            let Expr::Literal(Scalar::Time(value, unit)) = right.as_ref() else { return None };
            if **left == Expr::Column(time) {
                return compared(*op, *value);
            }
            bucket_range(*op, left, *value, *unit, time)
        }
        _ => None,
    }
}

fn constant_time(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(Scalar::Time(value, _)) => Some(*value),
        _ => None,
    }
}

/// `time op value`.
fn compared(op: BinaryOp, value: i64) -> Option<Range> {
    let range = |min, max| Some(Range { min, max, exact: true });
    match op {
        BinaryOp::Eq => range(value, value),
        BinaryOp::Lt => value.checked_sub(1).map_or(Some(NEVER), |max| range(i64::MIN, max)),
        BinaryOp::LtEq => range(i64::MIN, value),
        BinaryOp::Gt => value.checked_add(1).map_or(Some(NEVER), |min| range(min, i64::MAX)),
        BinaryOp::GtEq => range(value, i64::MAX),
        _ => None,
    }
}

/// `bucket(time) op value`: a time lies in `bucket..bucket + width`.
fn bucket_range(op: BinaryOp, bucket: &Expr, value: i64, unit: TimeUnit, time: usize) -> Option<Range> {
    let (Tiling::Fixed { width, .. }, of) = bucket.tiling(unit)? else { return None };
    if *of != Expr::Column(time) {
        return None;
    }
    let Range { min, max, .. } = compared(op, value)?;
    Some(Range { min, max: max.saturating_add(width - 1), exact: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time_is(op: BinaryOp, value: i64) -> Expr {
        Expr::binary(Expr::Column(0), op, Expr::Literal(Scalar::Time(value, TimeUnit::Nanosecond)))
    }

    #[test]
    fn comparisons_are_ranges() {
        let (min, max) = (i64::MIN, i64::MAX);
        for (op, value, expected) in [
            (BinaryOp::Eq, 5, Some((5, 5))),
            (BinaryOp::Lt, 5, Some((min, 4))),
            (BinaryOp::LtEq, 5, Some((min, 5))),
            (BinaryOp::Gt, 5, Some((6, max))),
            (BinaryOp::GtEq, 5, Some((5, max))),
            (BinaryOp::NotEq, 5, None),
            (BinaryOp::Gt, max, Some((max, min))),
            (BinaryOp::Lt, min, Some((max, min))),
        ] {
            let range = range_of(&time_is(op, value), 0);
            assert_eq!(range.map(|r| (r.min, r.max)), expected, "{op} {value}");
            assert!(range.is_none_or(|r| r.exact));
        }
    }

    #[test]
    fn an_or_is_its_hull_only_if_both_sides_bound_time() {
        let either = |a: Expr, b: Expr| Expr::Binary { op: BinaryOp::Or, left: Box::new(a), right: Box::new(b) };
        let hull = range_of(&either(time_is(BinaryOp::Eq, 3), time_is(BinaryOp::Eq, 9)), 0);
        assert_eq!(hull, Some(Range { min: 3, max: 9, exact: false }));
        assert_eq!(range_of(&either(time_is(BinaryOp::Eq, 3), Expr::Column(1)), 0), None);
    }
}
