//! The front end from text to optimized plan, over one small catalog.

mod bounds;
mod catalog;
mod changes;
mod coercions;
mod errors;
mod functions;
mod headings;
mod hostile;
mod influxql_hostile;
mod plans;
mod rules;
mod stages;
mod statements;

use catalog::{catalog, session};
use tidewire_sql::{SqlError, Statement, prepare};

/// Prepares `text` in the default session.
fn prepared(text: &str) -> Result<Statement, SqlError> {
    prepare(text, &catalog(), &session())
}

/// The plan of a query as text.
fn plan(text: &str) -> String {
    match prepared(text) {
        Ok(Statement::Query(query)) => query.plan.to_string(),
        other => panic!("{text}: {other:?}"),
    }
}
