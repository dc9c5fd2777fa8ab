//! Syntax to plan: names become tables and columns, types are settled, clauses become operators.
//!
//! A [`statement`] is recognised; its names are looked up by a [`binder`] in the catalog. A [`query`] is a [`select`]
//! over the [`relation`] of its FROM, whose columns are the [`scope`] of names in expressions ([`expr`], [`call`],
//! [`cast`], [`spelled`], [`literal`]), a [`set_operation`] over several, or [`values`]; several tables in FROM are a
//! [`join`], functions over rows around a row a [`window`], queries inside of expressions a [`subquery`], what chooses
//! rows a [`selection`], what makes a series whole a [`repair`], and [`with`] gives queries names ([`named`]). An
//! output without a name is called by its [`heading`]. What is not run here is refused at the place where it is met,
//! never passed over.

mod arguments;
mod binder;
mod call;
mod cast;
mod codec;
mod ddl;
mod delete;
mod expr;
mod external;
mod gap_fill;
mod gaps;
mod grouping;
mod heading;
mod insert;
mod join;
mod literal;
mod named;
mod outputs;
mod query;
mod relation;
mod repair;
mod scope;
mod select;
mod selection;
mod series;
mod set_operation;
mod show;
mod sort_order;
mod spelled;
mod statement;
mod subqueries;
mod subquery;
mod system;
mod system_tenants;
mod tenant;
mod update;
mod values;
mod window;
mod window_calls;
mod with;

pub(crate) use delete::{deletion, series_of};
pub use show::sql_name;
pub(crate) use statement::{BoundStatement, bind};
