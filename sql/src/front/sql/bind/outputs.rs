//! What a SELECT puts out, and the operators between its rows and that: groups, answers of queries and of windows, the
//! projection, DISTINCT, order and limits.

use arrow_schema::{DataType, Schema};

use super::expr::Calls;
use super::relation::{Relation, schema_of};
use super::scope::{Scope, ScopeColumn};
use super::selection::Selection;
use super::subqueries::{self, Correlation, OUTER_AT, SUBQUERIES_AT, Subqueries, TIE, equality};
use super::window_calls::{Windows, with_answers};
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::{Expr, Scalar, Typed};
use crate::plan::{Plan, SortKey};

/// An output column.
pub(super) struct Output {
    pub(super) bound: Typed,
    pub(super) name: String,
    /// The expression in words, without its alias.
    pub(super) words: String,
    pub(super) has_alias: bool,
}

impl Output {
    /// As DataFusion prints the expression with its alias.
    pub(super) fn full_words(&self) -> String {
        if self.has_alias { format!("{} AS {}", self.words, self.name) } else { self.words.clone() }
    }
}

/// Output columns and sort keys, while they are bound over the input.
pub(super) struct Bindings {
    pub(super) outputs: Vec<Output>,
    /// Which rows one of them chooses.
    pub(super) selected: Option<Selection>,
    pub(super) group: Vec<Expr>,
    pub(super) having: Option<Expr>,
    pub(super) qualify: Option<Expr>,
    pub(super) sort: Vec<SortKeySource>,
    pub(super) windows: Windows,
    pub(super) queries: Subqueries,
}

/// What rows are ordered by.
pub(super) enum SortBy {
    Output(usize),
    Hidden(Typed),
}

/// A key of ORDER BY.
pub(super) struct SortKeySource {
    pub(super) by: SortBy,
    pub(super) descending: bool,
    pub(super) nulls_first: bool,
}

/// Puts the Aggregate node in and moves the bindings over its output.
pub(super) fn aggregate(input: Plan, bindings: &mut Bindings, calls: Calls, scope: &Scope) -> Result<Plan, SqlError> {
    let input_schema = input.schema().clone();
    let group = std::mem::take(&mut bindings.group);
    let group_names: Vec<String> = group
        .iter()
        .enumerate()
        .map(|(at, key)| match key {
            Expr::Column(column) => scope.columns[*column].flat_name(),
            _ => bindings
                .outputs
                .iter()
                .find(|output| output.bound.expr == *key)
                .map_or_else(|| format!("group {}", at + 1), |output| output.words.clone()),
        })
        .collect();
    let group_types: Vec<DataType> = group.iter().map(|key| key.data_type(&input_schema)).collect();
    let schema = schema_of(
        (group_names.iter().map(String::as_str).zip(&group_types))
            .chain(calls.headings.iter().map(String::as_str).zip(calls.calls.iter().map(|call| &call.data_type))),
    );
    let over_groups = |expr: &Expr| {
        regroup(expr, &group, calls.width).map_err(|column| {
            let column = scope.columns.get(column).map(ScopeColumn::flat_name).unwrap_or_default();
            let available = group_names.iter().chain(&calls.headings).cloned().collect();
            SqlError::new(SqlErrorKind::NotGrouped { column, available })
        })
    };
    for output in &mut bindings.outputs {
        output.bound.expr = over_groups(&output.bound.expr)?;
    }
    for predicate in bindings.having.iter_mut().chain(&mut bindings.qualify) {
        *predicate = over_groups(predicate)?;
    }
    bindings.windows.try_map(over_groups)?;
    bindings.queries.try_map(over_groups)?;
    for key in &mut bindings.sort {
        if let SortBy::Hidden(bound) = &mut key.by {
            bound.expr = over_groups(&bound.expr)?;
        }
    }
    Ok(Plan::Aggregate { input: Box::new(input), group, calls: calls.calls, schema })
}

/// `expr` over the output of an Aggregate; the error is a column that is neither grouped nor aggregated.
fn regroup(expr: &Expr, group: &[Expr], width: usize) -> Result<Expr, usize> {
    if let Some(at) = group.iter().position(|key| key == expr) {
        return Ok(Expr::Column(at));
    }
    if let Expr::Column(column) = expr {
        // What stands for a query or a call over a window comes later.
        if *column >= SUBQUERIES_AT {
            return Ok(expr.clone());
        }
        return match column.checked_sub(width) {
            Some(call) => Ok(Expr::Column(group.len() + call)),
            None => Err(*column),
        };
    }
    let mut failed = None;
    let moved = expr.clone().map_children(|child| match regroup(&child, group, width) {
        Ok(moved) => moved,
        Err(column) => {
            failed.get_or_insert(column);
            child
        }
    });
    failed.map_or(Ok(moved), Err)
}

/// `input` filtered, and no more columns than it has.
pub(super) fn filtered(input: Plan, predicate: Expr, queries: Subqueries) -> Plan {
    if queries.is_empty() {
        return Plan::Filter { input: Box::new(input), predicate };
    }
    let schema = input.schema().clone();
    let (plan, answers) = queries.below(input);
    let predicate = subqueries::with_answers(predicate, &answers);
    let exprs = (0..schema.fields().len()).map(Expr::Column).collect();
    Plan::Project { input: Box::new(Plan::Filter { input: Box::new(plan), predicate }), exprs, schema }
}

/// Takes what ties a query to the one around it out of its WHERE, and what that reads into its output.
pub(super) fn tied(
    bindings: &mut Bindings,
    ties: Vec<Expr>,
    (calls, input): (&Calls, &Schema),
    (is_aggregate, is_cut, exists): (bool, bool, bool),
) -> Result<Correlation, SqlError> {
    let mut correlation = Correlation::default();
    if exists {
        // Whatever its columns are.
        bindings.outputs.clear();
        bindings.sort.clear();
        let bound = Typed::literal(Scalar::Int(1));
        bindings.outputs.push(Output { bound, name: "row".to_owned(), words: "row".to_owned(), has_alias: false });
    }
    if ties.is_empty() {
        return Ok(correlation);
    }
    if is_cut || !bindings.windows.is_empty() {
        let what = "LIMIT and windows in a subquery that reads columns of the query around it";
        return Err(SqlError::unsupported(what));
    }
    if let [Output { bound, .. }] = bindings.outputs.as_slice()
        && is_aggregate
        && bindings.group.is_empty()
    {
        let is_count = |at: usize| {
            let call = at.checked_sub(calls.width).and_then(|at| calls.calls.get(at));
            call.is_some_and(|call| call.function.name == "count")
        };
        let mut counts = false;
        bound.expr.for_each_column(&mut |at| counts |= is_count(at));
        match &bound.expr {
            Expr::Column(_) if counts => correlation.of_nothing = Some(Scalar::Int(0)),
            _ if counts => return Err(SqlError::unsupported("an expression over count in such a subquery")),
            _ => {}
        }
    }
    let placed = |bindings: &mut Bindings, expr: &Expr| -> Expr {
        let (from, name) = (1.min(bindings.outputs.len()), format!("{TIE}{}", bindings.outputs.len()));
        let known = bindings.outputs.iter().skip(from).position(|output| output.bound.expr == *expr);
        let at = known.map_or(bindings.outputs.len(), |at| at + from);
        if known.is_none() {
            let bound = Typed::new(expr.clone(), expr.data_type(input));
            bindings.outputs.push(Output { bound, words: name.clone(), name, has_alias: false });
        }
        Expr::Column(at)
    };
    for tie in ties {
        if let Some((outer, inner)) = equality(&tie) {
            if is_aggregate && !bindings.group.contains(&inner) {
                bindings.group.push(inner.clone());
            }
            let inner = placed(bindings, &inner);
            correlation.keys.push((outer, inner));
        } else if is_aggregate {
            let what = "an aggregate in a subquery that reads columns of the query around it other than by equality";
            return Err(SqlError::unsupported(what));
        } else {
            let filter = tie.map_columns(&mut |at| match at {
                OUTER_AT.. => Expr::Column(at),
                own => placed(bindings, &Expr::Column(own)),
            });
            correlation.filters.push(filter);
        }
    }
    Ok(correlation)
}

/// Puts what answers queries inside of expressions in, and the bindings over it.
pub(super) fn answered(input: Plan, bindings: &mut Bindings) -> Plan {
    if bindings.queries.is_empty() {
        return input;
    }
    let (plan, answers) = std::mem::take(&mut bindings.queries).below(input);
    let moved = |expr: &Expr| subqueries::with_answers(expr.clone(), &answers);
    bindings.outputs.iter_mut().for_each(|output| output.bound.expr = moved(&output.bound.expr));
    bindings.having.iter_mut().chain(&mut bindings.qualify).for_each(|predicate| *predicate = moved(predicate));
    for key in &mut bindings.sort {
        if let SortBy::Hidden(bound) = &mut key.by {
            bound.expr = moved(&bound.expr);
        }
    }
    let Ok(()) = bindings.windows.try_map(|expr| Ok::<_, std::convert::Infallible>(moved(expr)));
    plan
}

/// Puts what answers calls over windows in, and the bindings over it.
pub(super) fn windowed(input: Plan, bindings: &mut Bindings) -> Plan {
    let (plan, places) = std::mem::take(&mut bindings.windows).over(input);
    let moved = |expr: &mut Expr| *expr = with_answers(std::mem::replace(expr, Expr::Column(0)), &places);
    bindings.outputs.iter_mut().for_each(|output| moved(&mut output.bound.expr));
    bindings.qualify.iter_mut().for_each(moved);
    for key in &mut bindings.sort {
        if let SortBy::Hidden(bound) = &mut key.by {
            moved(&mut bound.expr);
        }
    }
    plan
}

/// Everything above the rows: projection, DISTINCT, order, limits.
pub(super) fn finish(
    input: Plan,
    bindings: Bindings,
    distinct: bool,
    skip: usize,
    fetch: Option<usize>,
) -> Result<Relation, SqlError> {
    let Bindings { outputs, sort, selected, .. } = bindings;
    let width = outputs.len();
    let mut names: Vec<String> = outputs.iter().map(|output| output.name.clone()).collect();
    let mut columns: Vec<Typed> = outputs.into_iter().map(|output| output.bound).collect();
    let mut keys = Vec::with_capacity(sort.len());
    for key in sort {
        let at = match key.by {
            SortBy::Output(at) => at,
            SortBy::Hidden(_) if distinct => {
                return Err(SqlErrorKind::SortUnderDistinct.into());
            }
            SortBy::Hidden(bound) => {
                names.push(format!("sort key {}", keys.len() + 1));
                columns.push(bound);
                columns.len() - 1
            }
        };
        keys.push(SortKey { expr: Expr::Column(at), descending: key.descending, nulls_first: key.nulls_first });
    }
    let scope_columns: Vec<ScopeColumn> = names
        .iter()
        .zip(&columns)
        .take(width)
        .map(|(name, bound)| ScopeColumn {
            qualifier: None,
            name: name.clone(),
            data_type: bound.data_type.clone(),
            window_ns: bound.window_ns,
            is_merged: false,
        })
        .collect();
    let schema = schema_of(names.iter().map(String::as_str).zip(columns.iter().map(|bound| &bound.data_type)));
    let visible = schema_of(scope_columns.iter().map(|column| (column.name.as_str(), &column.data_type)));
    let exprs: Vec<Expr> = columns.into_iter().map(|bound| bound.expr).collect();
    let has_hidden = exprs.len() > width;
    let mut plan = Plan::Project { input: Box::new(input), exprs, schema };
    if let Some(selection) = selected {
        plan = selection.of(plan);
    }
    if distinct {
        plan = Plan::Distinct { input: Box::new(plan) };
    }
    if !keys.is_empty() {
        plan = Plan::Sort { input: Box::new(plan), keys, fetch: None };
    }
    if skip > 0 || fetch.is_some() {
        plan = Plan::Limit { input: Box::new(plan), skip, fetch };
    }
    if has_hidden {
        plan = Plan::Project { input: Box::new(plan), exprs: (0..width).map(Expr::Column).collect(), schema: visible };
    }
    Ok(Relation { plan, columns: scope_columns })
}
