//! Front ends: text of a language to a bound plan, or to a change as data.
//!
//! `sql` reads CnosDB's SQL, `influxql` InfluxDB's language. Both bind to the one plan that the engine runs.

pub mod influxql;
pub(crate) mod sql;
