//! What a text of InfluxQL says, as data: [`statement`]s, among them [`select`], over [`expr`]essions. [`print`] writes
//! it in the one form that InfluxDB shows statements in.

pub(super) mod expr;
mod print;
mod select;
mod statement;

pub use expr::{CastType, ColumnSet, Expr, Literal, Op, Regex};
pub use print::quoted_name;
pub use select::{Dimension, Field, Fill, Into, Measurement, MeasurementName, Select, Source};
pub use statement::{Access, Cardinality, ContinuousQuery, Counted, Delete, ShowKind, ShowSchema, Statement, TagKeys};
