//! What a line may be: whose rules it follows, how its time is meant, how long it may be.

/// Whose rules a text follows. The two differ in escapes, duplicates, empty values and carriage returns;
/// `scalar/influx.rs` and `scalar/cnos.rs` hold each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// InfluxDB 1.x.
    Influx,
    /// CnosDB 2.4.
    Cnos,
}

/// How a timestamp in the text becomes the table's unit, and what a missing one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRule {
    /// Applied first; a product outside the dialect's range refuses the line.
    pub multiply: i64,
    /// Applied second, rounding down, so that a time before 1970 does not fall on that of a later row; at least 1.
    pub divide: i64,
    /// The time of a line that has none, already in the target unit.
    pub now: i64,
}

impl TimeRule {
    /// Timestamps stay as they stand.
    pub fn identity(now: i64) -> Self {
        Self { multiply: 1, divide: 1, now }
    }

    /// A timestamp in the table's unit. InfluxDB reserves the two least and the greatest nanosecond.
    pub(super) fn scale(&self, dialect: Dialect, time: i64) -> Option<i64> {
        let product = time.checked_mul(self.multiply)?;
        let reserved = dialect == Dialect::Influx && (product < i64::MIN + 2 || product == i64::MAX);
        if reserved { None } else { product.checked_div_euclid(self.divide) }
    }
}

/// A line longer than this is refused: what a string's place in it takes must leave a bit free.
pub const LINE_BYTES_MAX: usize = (1 << 31) - 1;

/// Longest measurement with tags, and longest of these with a field key, that InfluxDB takes.
pub(super) const KEY_BYTES_MAX: usize = 65_535;
