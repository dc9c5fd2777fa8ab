//! InfluxQL front end: text to statements, and statements to what can be run.
//!
//! [`text`] is tokens, [`parse`] reads statements from them ([`ast`], which also prints them), and [`bind`] says what a
//! statement means for the databases at hand: SELECT becomes a plan of the one engine, conditions on tags and times
//! become a choice of series and a range. [`needs`] says what it takes to be allowed to run one. [`continuous`] is
//! about statements that run by themselves. An [`error`] is worded as InfluxDB words it, since clients match that.

mod ast;
mod bind;
mod continuous;
mod error;
mod needs;
mod parse;
mod text;

pub use ast::{
    Access, Cardinality, CastType, ColumnSet, ContinuousQuery, Counted, Delete, Dimension, Expr, Field, Fill, Into,
    Literal, Measurement, MeasurementName, Op, Regex, Select, ShowKind, ShowSchema, Source, Statement, TagKeys,
    quoted_name,
};
pub use bind::{
    BindError, BoundSelect, SchemaSelection, Scope, SelectError, bind_select, schema_selection, speaks_of_time,
};
pub use continuous::Due;
pub use error::{ParseError, ParseErrorKind};
pub use parse::{parse, parse_counted, parse_with};
pub use text::cursor::{Parameter, Parameters};
pub use text::duration::{DurationError, format_duration};
