//! Rows of one table on their way into a shard, column by column.
//!
//! `write_batch.rs` is what crosses cores and is written to the log, `builder.rs` the one place where it is put
//! together; `places.rs` finds the columns of wide tables.

mod builder;
mod places;
mod write_batch;

pub use builder::{BatchBuilder, FieldCell};
pub(crate) use places::ColumnPlaces;
pub use write_batch::{BatchColumn, NEW_SERIES_BIT, NewSeries, PARTITIONS_MAX, Strings, Values, WriteBatch, push_tag};
