//! What a catalog holds at most.

/// Columns one table may have, tags and fields together: ids are 16 bits wide and never used again, so the bound
/// leaves three quarters of them for columns that replace dropped ones.
pub const TABLE_COLUMNS_MAX: usize = 16_384;

/// Bytes a database, table or column name may have; InfluxDB's bound for names.
pub const NAME_BYTES_MAX: usize = 65_535;
