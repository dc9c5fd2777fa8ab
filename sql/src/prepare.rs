//! Text to what can be run: read, bound against one snapshot of the catalog, optimized.

use tidewire_storage::schema::Catalog;

use crate::budget::Budget;
use crate::error::execution::ExecError;
use crate::error::{SqlError, SqlErrorKind};
use crate::exec::{QueryContext, Reservation};
use crate::front::sql::bind::{BoundStatement, bind, deletion, series_of};
use crate::front::sql::parse::parse;
use crate::optimize::constant_sets::with_sets;
use crate::optimize::optimize_within;
use crate::plan::Plan;
use crate::plan::extent::PlanExtent;
use crate::session::Session;
use crate::statement::{CopyOut, PlanStep, Query, Statement, TagUpdate};

/// Why there is no statement.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The text is none.
    #[error(transparent)]
    Statement(#[from] SqlError),
    /// It was stopped: by the memory that it took, its deadline, or its client.
    #[error(transparent)]
    Stopped(#[from] ExecError),
}

/// Parses, binds and optimizes the one SQL statement in `text`, whatever that takes.
pub fn prepare(text: &str, catalog: &Catalog, session: &Session) -> Result<Statement, SqlError> {
    let budget = Budget::new(&QueryContext::new(u64::MAX, None));
    made_ready(text, catalog, session, &budget)
}

/// The same within the memory and the time of `context`; with what the statement holds of it.
pub fn prepare_within(
    text: &str,
    catalog: &Catalog,
    session: &Session,
    context: &QueryContext,
) -> Result<(Statement, Reservation), PrepareError> {
    let budget = Budget::new(context);
    match made_ready(text, catalog, session, &budget) {
        Ok(statement) => {
            let kept = statement.query().map_or_else(PlanExtent::default, |query| PlanExtent::of(&query.plan));
            Ok((statement, budget.end(kept.exprs.nodes, kept.columns)?))
        }
        Err(error) => Err(match budget.stopped() {
            Some(stopped) => stopped.into(),
            None => error.into(),
        }),
    }
}

fn made_ready(text: &str, catalog: &Catalog, session: &Session, budget: &Budget) -> Result<Statement, SqlError> {
    match bind(parse(text)?, catalog, session, budget)? {
        BoundStatement::Ready(statement) => Ok(statement),
        BoundStatement::Query(plan) => Ok(Statement::Query(optimized(plan, None, budget)?)),
        BoundStatement::Explain { plan, analyze, verbose } => {
            check_levels(&plan)?;
            let mut steps = Vec::new();
            if verbose {
                steps.push(PlanStep { name: "initial_logical_plan".to_owned(), plan: plan.to_string() });
            }
            let query = optimized(plan, verbose.then_some(&mut steps), budget)?;
            Ok(Statement::Explain { query, analyze, verbose, steps })
        }
        BoundStatement::InsertQuery { plan, target } => {
            Ok(Statement::InsertQuery { query: optimized(plan, None, budget)?, target })
        }
        BoundStatement::CopyOut { plan, location, format } => {
            Ok(Statement::CopyOut(CopyOut { query: optimized(plan, None, budget)?, location, format }))
        }
        BoundStatement::UpdateTags { rows, target, tags } => {
            let rows = optimized(rows, None, budget)?;
            let series = series_of(&rows.plan)?;
            Ok(Statement::UpdateTags(Box::new(TagUpdate { rows, target, series, tags })))
        }
        BoundStatement::Delete { rows } => {
            check_levels(&rows)?;
            deletion(optimize_within(rows, None, budget)?).map(Statement::Delete)
        }
    }
}

fn optimized(plan: Plan, steps: Option<&mut Vec<PlanStep>>, budget: &Budget) -> Result<Query, SqlError> {
    check_levels(&plan)?;
    let plan = with_sets(optimize_within(plan, steps, budget)?);
    let schema = plan.schema().clone();
    Ok(Query { plan, schema })
}

/// Refuses what is too deep for the passes over it.
fn check_levels(plan: &Plan) -> Result<(), SqlError> {
    match PlanExtent::of(plan).levels_exceeded() {
        Some(levels_max) => Err(SqlErrorKind::ExpressionTooDeep { levels_max }.into()),
        None => Ok(()),
    }
}
