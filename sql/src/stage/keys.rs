//! Group keys that the fused aggregate can take: tags, and one tiling of time.

use arrow_schema::{DataType, TimeUnit};
use tidewire_storage::schema::ColumnId;

use crate::expr::Expr;
use crate::plan::ScanColumn;
use crate::types::tiling::Tiling;
use crate::types::unit::unit_ns;

/// Keys of a fused aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FusedKeys {
    /// One for each group key.
    pub(crate) keys: Vec<FusedKey>,
    /// The tiling of time, in the table's unit, that every bucket key shares.
    pub(crate) bucket: Option<Tiling>,
}

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FusedKey {
    /// A tag: decided by the series.
    Tag(ColumnId),
    /// The start of the row's time bucket.
    Bucket(BucketKey),
}

/// How the start of a bucket shows as a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BucketKey {
    /// Unit of the key column, at least as fine as the table's.
    pub(crate) unit: TimeUnit,
    /// Units of the key column in one of the table's.
    pub(crate) factor: i64,
}

/// The keys in fused form; `None` if one of them is neither a tag nor the shared tiling.
pub(super) fn fuse(keys: &[Expr], columns: &[ScanColumn], table_unit: TimeUnit) -> Option<FusedKeys> {
    let mut fused = FusedKeys { keys: Vec::with_capacity(keys.len()), bucket: None };
    for key in keys {
        if let Expr::Column(at) = key
            && let Some(ScanColumn::Tag(tag)) = columns.get(*at)
        {
            fused.keys.push(FusedKey::Tag(*tag));
            continue;
        }
        let (bucket, key) = bucket_key(key, columns, table_unit)?;
        if fused.bucket.as_ref().is_some_and(|known| *known != bucket) {
            return None;
        }
        fused.bucket = Some(bucket);
        fused.keys.push(FusedKey::Bucket(key));
    }
    Some(fused)
}

fn bucket_key(key: &Expr, columns: &[ScanColumn], table_unit: TimeUnit) -> Option<(Tiling, BucketKey)> {
    let (bucket, time) = match key {
        Expr::Call { .. } => key.tiling(table_unit)?,
        // The time itself is a tiling by single units.
        time => (Tiling::fixed(1, 0), time),
    };
    let unit = time_unit(time, columns, table_unit)?;
    let (coarse, fine) = (unit_ns(table_unit), unit_ns(unit));
    (coarse >= fine).then_some((bucket, BucketKey { unit, factor: coarse / fine }))
}

/// The unit of an expression that is the time column, perhaps cast to another unit.
fn time_unit(expr: &Expr, columns: &[ScanColumn], table_unit: TimeUnit) -> Option<TimeUnit> {
    match expr {
        Expr::Column(at) if columns.get(*at) == Some(&ScanColumn::Time) => Some(table_unit),
        Expr::Cast { expr, to: DataType::Timestamp(unit, None) } => {
            time_unit(expr, columns, table_unit).filter(|from| *from == table_unit).map(|_| *unit)
        }
        _ => None,
    }
}
