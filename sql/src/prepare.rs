//! Text to what can be run: read, bound against one snapshot of the catalog, optimized.

use tidewire_storage::schema::Catalog;

use crate::error::SqlError;
use crate::front::sql::bind::{BoundStatement, bind, deletion};
use crate::front::sql::parse::parse;
use crate::optimize::constant_sets::with_sets;
use crate::optimize::optimize;
use crate::plan::Plan;
use crate::session::Session;
use crate::statement::{PlanStep, Query, Statement};

/// Parses, binds and optimizes the one SQL statement in `text`.
pub fn prepare(text: &str, catalog: &Catalog, session: &Session) -> Result<Statement, SqlError> {
    match bind(parse(text)?, catalog, session)? {
        BoundStatement::Ready(statement) => Ok(statement),
        BoundStatement::Query(plan) => Ok(Statement::Query(optimized(plan, None))),
        BoundStatement::Explain { plan, analyze, verbose } => {
            let mut steps = Vec::new();
            if verbose {
                steps.push(PlanStep { name: "initial_logical_plan".to_owned(), plan: plan.to_string() });
            }
            let query = optimized(plan, verbose.then_some(&mut steps));
            Ok(Statement::Explain { query, analyze, verbose, steps })
        }
        BoundStatement::Delete { rows } => deletion(optimize(rows, None)).map(Statement::Delete),
    }
}

fn optimized(plan: Plan, steps: Option<&mut Vec<PlanStep>>) -> Query {
    let plan = with_sets(optimize(plan, steps));
    let schema = plan.schema().clone();
    Query { plan, schema }
}
