//! What a fragment without a row filter lets the scan leave out: rows whose statistics are enough, or all but the first
//! or last row of a series.

use tidewire_storage::scan::{ScanMode, SummaryRule, TimeBuckets};
use tidewire_storage::schema::FieldType;

use super::{FusedKey, FusedKeys, Leaders, Shape};
use crate::expr::aggregate::{Needs, SeriesEnd};
use crate::expr::{AggregateCall, Expr};
use crate::plan::ScanColumn;
use crate::types::tiling::Tiling;

/// The mode of a scan of `columns` for `shape`.
pub(super) fn of(shape: &Shape, columns: &[ScanColumn]) -> ScanMode {
    let (calls, keys) = match shape {
        Shape::Rows { exprs, leaders: Some(leaders), .. } => return ends(exprs, leaders, columns).unwrap_or_default(),
        Shape::Aggregate { calls, fused: Some(keys), .. } => (calls, keys),
        _ => return ScanMode::Rows,
    };
    if calls.is_empty() {
        // Only which series there are.
        return if keys.bucket.is_none() { ScanMode::FirstRow } else { ScanMode::Rows };
    }
    endpoints(calls, keys, columns).or_else(|| summaries(calls, keys, columns)).unwrap_or_default()
}

/// One row of each group is wanted, the first or last in time, and nothing divides a series.
fn ends(exprs: &[Expr], leaders: &Leaders, columns: &[ScanColumn]) -> Option<ScanMode> {
    let column = |at: usize| match exprs.get(at) {
        Some(Expr::Column(of)) => columns.get(*of),
        _ => None,
    };
    let of_tags = leaders.group.iter().all(|at| matches!(column(*at), Some(ScanColumn::Tag(_))));
    if leaders.fetch != 1 || !of_tags || column(leaders.order.column) != Some(&ScanColumn::Time) {
        return None;
    }
    Some(if leaders.order.descending { ScanMode::LastRow } else { ScanMode::FirstRow })
}

/// All calls want the same end of each series, and nothing divides a series.
fn endpoints(calls: &[AggregateCall], keys: &FusedKeys, columns: &[ScanColumn]) -> Option<ScanMode> {
    if keys.bucket.is_some() {
        return None;
    }
    let is_time = |expr: &Expr| matches!(expr, Expr::Column(at) if columns.get(*at) == Some(&ScanColumn::Time));
    let all = |end: SeriesEnd| {
        calls.iter().all(|call| {
            call.function.end == Some(end)
                && match call.args.as_slice() {
                    // Of a value computed from several columns, the last one that is not null may be in neither
                    // column's last row.
                    [time, Expr::Column(_)] | [time] => is_time(time),
                    _ => false,
                }
        })
    };
    if all(SeriesEnd::Last) {
        Some(ScanMode::LastRow)
    } else if all(SeriesEnd::First) {
        Some(ScanMode::FirstRow)
    } else {
        None
    }
}

/// All calls can be answered from counts, sums and extremes of fields.
fn summaries(calls: &[AggregateCall], keys: &FusedKeys, columns: &[ScanColumn]) -> Option<ScanMode> {
    let bucket = match keys.bucket {
        None => None,
        Some(Tiling::Fixed { width, origin }) => Some(TimeBuckets { origin, width }),
        Some(Tiling::Months { .. }) => return None,
    };
    let mut values = vec![false; columns.iter().filter(|c| matches!(c, ScanColumn::Field(..))).count()];
    for call in calls {
        match (call.function.needs, call.args.as_slice()) {
            (Needs::RowCount, _) => {}
            (Needs::ValueCount, [arg]) => {
                field_at(arg, columns)?;
            }
            (Needs::Numbers, [arg]) => {
                let (at, kind) = field_at(arg, columns)?;
                if matches!(kind, FieldType::Bool | FieldType::String) {
                    return None;
                }
                values[at] = true;
            }
            _ => return None,
        }
    }
    let one_series = keys.keys.iter().any(|key| matches!(key, FusedKey::Tag(_)));
    Some(ScanMode::Summaries(SummaryRule { one_series, bucket, values }))
}

/// Where a field stands among the fields that the scan yields, and its type.
pub(crate) fn field_at(expr: &Expr, columns: &[ScanColumn]) -> Option<(usize, FieldType)> {
    let Expr::Column(at) = expr else { return None };
    let ScanColumn::Field(_, kind) = columns.get(*at)? else { return None };
    let before = columns[..*at].iter().filter(|c| matches!(c, ScanColumn::Field(..))).count();
    Some((before, *kind))
}
