//! A bound query.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::scope::ScopeColumn;
use crate::plan::Plan;

/// A bound query: its plan, and what its columns are called and mean.
pub(super) struct Relation {
    pub(super) plan: Plan,
    pub(super) columns: Vec<ScopeColumn>,
}

/// Names and types as a plan's schema; every column may be null.
pub(super) fn schema_of<'a>(columns: impl Iterator<Item = (&'a str, &'a DataType)>) -> SchemaRef {
    Arc::new(Schema::new(columns.map(|(name, t)| Field::new(name, t.clone(), true)).collect::<Vec<_>>()))
}
