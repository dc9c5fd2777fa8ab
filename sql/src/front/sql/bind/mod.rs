//! Syntax to plan: names become tables and columns, types are settled, clauses become operators.
//!
//! A [`statement`] is recognised; its names are looked up by a [`binder`] in the catalog. A [`query`] is a [`select`]
//! over the [`relation`] of its FROM, whose columns are the [`scope`] of names in expressions ([`expr`], [`call`],
//! [`cast`], [`spelled`], [`literal`]), a [`set_operation`] over several, or [`values`]; several tables in FROM are a
//! [`join`], and [`with`] gives queries names ([`named`]). An output without a name is called by its [`heading`]. What
//! is not run here is refused at the place where it is met, never passed over.

mod arguments;
mod binder;
mod call;
mod cast;
mod codec;
mod ddl;
mod delete;
mod expr;
mod heading;
mod insert;
mod join;
mod literal;
mod named;
mod query;
mod relation;
mod scope;
mod select;
mod set_operation;
mod show;
mod spelled;
mod statement;
mod values;
mod with;

pub(crate) use delete::deletion;
pub use show::sql_name;
pub(crate) use statement::{BoundStatement, bind};
