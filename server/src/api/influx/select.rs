//! SELECT, run on the one engine; its rows become series.

use std::rc::Rc;

use arrow_array::RecordBatch;
use tidewire_protocol::encode::influx::Value;
use tidewire_sql::exec::{ExecError, QueryContext};
use tidewire_sql::explain::analyzed;
use tidewire_sql::influxql::{BindError, BoundSelect, Into, Scope as BindScope, Select, SelectError, bind_select};
use tidewire_sql::types::zone::Zone;

use super::answer::{Answer, Heading};
use super::into::{LinesOut, Measurement, Writing};
use super::scope::Scope;
use crate::api::cells::Cells;
use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::api::patience::Patience;
use crate::api::queries::{influx_bounds, measured, query_place};
use crate::core::running::Registered;
use crate::core::state::CoreState;
use crate::query::run::{RowsOut, run as run_query};
use crate::ring::{calculate, yield_if_needed};

/// Rows that are written before others get the core: some 100 µs.
const ROWS_STEP: usize = 512;

/// Binds a SELECT; one of a long text, or that may be of many columns, beside the core.
async fn bind(core: &CoreState, now_ns: i64, select: &Select, scope: &Scope) -> Result<BoundSelect, Fault> {
    let catalog = core.catalog();
    let windows_max = Some(core.config.influxql.windows_max).filter(|windows_max| *windows_max > 0);
    let context = influx_bounds(core);
    let bound = move |select: &Select, Scope { database, policy, .. }: &Scope| {
        let scope = BindScope { catalog: &catalog, database, policy, now_ns, windows_max };
        bind_select(select, scope, &context)
    };
    let outcome = if scope.is_long || core.may_read_wide_tables(select) {
        let (select, scope) = (select.clone(), scope.clone());
        let outcome = calculate(move || bound(&select, &scope)).await;
        outcome.map_err(|error| ExecError::Internal(format!("a statement was not bound: {error}")))?
    } else {
        bound(select, scope)
    };
    outcome.map_err(|error| match error {
        SelectError::Refused(error) => error.into(),
        SelectError::Stopped(error) => error.into(),
    })
}

/// Runs a SELECT.
pub(super) async fn run(
    context: &RequestContext<'_>,
    select: &Select,
    scope: &Scope,
    answer: &mut Answer<'_>,
) -> Result<(), Fault> {
    let bound = bind(context.core, context.now_ns, select, scope).await?;
    context.queries.count(run_bound(context, select, &bound, scope, answer)).await
}

async fn run_bound(
    context: &RequestContext<'_>,
    select: &Select,
    bound: &BoundSelect,
    scope: &Scope,
    answer: &mut Answer<'_>,
) -> Result<(), Fault> {
    if let Some(into) = &select.into {
        let writing = Writing { core: context.core, written: &context.rows.written, now_ns: context.now_ns };
        let rows = write(writing, bound, into, scope, Some(answer.registered())).await?;
        context.moved.set(context.moved.get() + rows);
        let row = vec![Value::Time(0), Value::UInt(rows)];
        return answer.whole_series("result", &["time", "written"], [row]);
    }
    let (place, bounds) = (query_place(context.core)?, influx_bounds(context.core));
    answer.registered().runs(&bounds);
    answer.of_query(Some(Patience::new(bounds.clone(), context.core.admission.clone(), place)));
    let outcome = show(context, bound, &bounds, answer).await;
    answer.of_query(None);
    outcome
}

/// Runs what is bound; its rows are the reply's.
async fn show(
    context: &RequestContext<'_>,
    bound: &BoundSelect,
    bounds: &QueryContext,
    answer: &mut Answer<'_>,
) -> Result<(), Fault> {
    for (name, query) in &bound.parts {
        let mut series = SeriesOut {
            answer,
            heading: Rc::new(Heading { name: name.clone(), tags: bound.tags.clone(), columns: bound.headings.clone() }),
            zone: bound.zone.as_ref(),
            is_begun: false,
            unwritten: None,
        };
        let outcome = run_query(&context.core.peers, query, bounds.clone(), &mut series).await;
        if let Some(fault) = series.unwritten {
            return Err(fault);
        }
        if answer.is_cut() {
            break;
        }
        outcome?;
    }
    Ok(())
}

/// Runs a SELECT … INTO that nobody waits for.
pub(super) async fn run_into(writing: Writing<'_>, select: &Select, scope: &Scope) -> Result<u64, Fault> {
    let bound = bind(writing.core, writing.now_ns, select, scope).await?;
    match &select.into {
        Some(into) => write(writing, &bound, into, scope, None).await,
        None => Ok(0),
    }
}

/// Runs a SELECT and writes its rows where INTO says: how many.
async fn write(
    writing: Writing<'_>,
    bound: &BoundSelect,
    into: &Into,
    scope: &Scope,
    registered: Option<&Registered>,
) -> Result<u64, Fault> {
    let core = writing.core;
    let database = into.database.as_deref().unwrap_or(&scope.database);
    let policy = into.policy.as_deref().or(Some(scope.policy.as_str()).filter(|policy| !policy.is_empty()));
    let catalog = core.catalog();
    let known = catalog.databases.get(database).ok_or_else(|| BindError::DatabaseUnknown(database.to_owned()))?;
    let named = policy.unwrap_or(&known.default_policy);
    if known.policy(named).is_none() {
        return Err(BindError::PolicyUnknown(named.to_owned()).into());
    }
    let _place = query_place(core)?;
    let bounds = influx_bounds(core);
    if let Some(registered) = registered {
        registered.runs(&bounds);
    }
    let mut rows = 0;
    for (name, query) in &bound.parts {
        let name = into.name.as_deref().unwrap_or(name);
        let mut lines = LinesOut::new(writing, Measurement { database, policy, name }, bound);
        let outcome = run_query(&core.peers, query, bounds.clone(), &mut lines).await;
        if let Some(fault) = lines.unwritten {
            return Err(fault);
        }
        outcome?;
        lines.flush().await?;
        rows += lines.rows;
    }
    Ok(rows)
}

/// Answers EXPLAIN: the plan of each measurement; with ANALYZE they are run, and below each stands what that did.
pub(super) async fn explain(
    context: &RequestContext<'_>,
    select: &Select,
    analyze: bool,
    scope: &Scope,
    answer: &mut Answer<'_>,
) -> Result<(), Fault> {
    let bound = bind(context.core, context.now_ns, select, scope).await?;
    let mut plans: Vec<String> = Vec::with_capacity(bound.parts.len());
    for (_, query) in &bound.parts {
        plans.push(match analyze {
            true => analyzed(query, &measured(context.core, query).await?),
            false => query.plan.to_string(),
        });
    }
    let lines = plans.iter().flat_map(|plan| plan.lines()).map(|line| vec![Value::Text(line)]);
    answer.whole_series("", &[if analyze { "EXPLAIN ANALYZE" } else { "QUERY PLAN" }], lines)
}

/// Takes rows as series: one begins wherever a tag differs from that of the row before.
struct SeriesOut<'a, 'r> {
    answer: &'a mut Answer<'r>,
    heading: Rc<Heading>,
    zone: Option<&'a Zone>,
    /// Whether a series is: the one of the row before.
    is_begun: bool,
    /// Why rows could not be written, which ended the query.
    unwritten: Option<Fault>,
}

impl SeriesOut<'_, '_> {
    async fn write(&mut self, batch: &RecordBatch) -> Result<(), Fault> {
        let columns: Vec<Cells<'_>> = batch.columns().iter().map(Cells::of).collect();
        let (tags, values) = columns.split_at(self.heading.tags.len());
        let is_of_series = |answer: &Answer<'_>, row: usize| {
            let is_tag = |(tag, known): (&Cells<'_>, &String)| tag.text(row).unwrap_or_default() == known;
            tags.iter().zip(answer.tags()).all(is_tag)
        };
        for row in 0..batch.num_rows() {
            if !self.is_begun || !is_of_series(self.answer, row) {
                let of_row = tags.iter().map(|tag| tag.text(row).unwrap_or_default());
                self.answer.series(&self.heading, of_row).await?;
                self.is_begun = true;
            }
            if !self.answer.is_cut() && !self.answer.takes_a_row() {
                self.answer.make_way().await?;
            }
            if self.answer.is_cut() {
                return Ok(());
            }
            self.answer.row(values.iter().map(|column| column.value(row, self.zone)))?;
            if row % ROWS_STEP == ROWS_STEP - 1 {
                self.answer.send_if_due().await?;
                yield_if_needed().await;
            }
        }
        self.answer.send_if_due().await
    }
}

impl RowsOut for SeriesOut<'_, '_> {
    async fn rows(&mut self, batch: &RecordBatch) -> Result<(), ExecError> {
        if let Err(fault) = self.write(batch).await {
            self.unwritten = Some(fault);
            return Err(ExecError::Cancelled);
        }
        // Nothing more is wanted.
        if self.answer.is_cut() { Err(ExecError::Cancelled) } else { Ok(()) }
    }
}
