//! What statements mean for the databases at hand.
//!
//! SELECT: a [`compile`]d statement is sound in itself; [`select`] binds it to [`relation`]s, puts out what [`outputs`]
//! says, and makes the plan of each by its shape ([`raw`], [`aggregate`], [`rows`]) from common pieces ([`plan`]); what
//! is computed apart is [`joined`], and a [`forecast`] comes last. [`expr`] binds expressions over [`types`]; a
//! [`condition`] is split into times and the rest; a [`leaf`] is a call of an aggregate. Statements about [`series`]
//! need no plan.

mod aggregate;
mod compile;
mod condition;
mod error;
mod expr;
mod forecast;
mod joined;
mod leaf;
mod outputs;
mod plan;
mod raw;
mod reduce;
mod relation;
mod rows;
mod select;
mod series;
mod types;

pub use condition::speaks_of_time;
pub use error::{BindError, SelectError};
pub use relation::Scope;
pub use select::{BoundSelect, bind_select};
pub use series::{SchemaSelection, schema_selection};
