//! What a SELECT puts out, and the operators between its rows and that: groups, answers of queries and of windows, the
//! projection, DISTINCT, order and limits.

use arrow_schema::{DataType, Schema};

use super::binder::Binder;
use super::expr::Calls;
use super::gap_fill;
use super::gaps::{FILLED_AT, GROUPING_AT, Gaps};
use super::grouping::Grouping;
use super::relation::{Relation, schema_of};
use super::scope::{Scope, ScopeColumn};
use super::selection::Selection;
use super::subqueries::{self, Correlation, OUTER_AT, SUBQUERIES_AT, Subqueries, TIE, Whole, equality};
use super::window_calls::{Order, Windows, with_answers};
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::constant::{as_constant, null};
use crate::expr::fold::fold_constants;
use crate::expr::{AggregateCall, BinaryOp, Expr, Scalar, Typed};
use crate::plan::window::{Frame, WindowFunction};
use crate::plan::{Plan, SortKey, WindowCall};

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
    /// Sets of places in `group`, where there is more than one set of all.
    pub(super) sets: Option<Vec<Vec<usize>>>,
    /// What DISTINCT ON tells rows apart by.
    pub(super) distinct_on: Option<Vec<SortBy>>,
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

impl Bindings {
    /// What is computed for ORDER BY and DISTINCT ON alone.
    fn hidden(&mut self) -> impl Iterator<Item = &mut Typed> {
        let keys = self.sort.iter_mut().map(|key| &mut key.by).chain(self.distinct_on.iter_mut().flatten());
        keys.filter_map(|by| match by {
            SortBy::Hidden(bound) => Some(bound),
            SortBy::Output(_) => None,
        })
    }

    /// The expression of a key.
    fn key(&self, by: &SortBy) -> Expr {
        match by {
            SortBy::Output(at) => self.outputs[*at].bound.expr.clone(),
            SortBy::Hidden(bound) => bound.expr.clone(),
        }
    }
}

impl Binder<'_> {
    /// Puts the groups in and moves the bindings over them.
    pub(super) fn aggregate(
        &self,
        input: Plan,
        bindings: &mut Bindings,
        (mut calls, gaps, has_condition): (Calls, Gaps, bool),
        scope: &Scope,
    ) -> Result<Plan, SqlError> {
        let input_schema = input.schema().clone();
        let grouping = Grouping::new(std::mem::take(&mut bindings.group), bindings.sets.take(), &mut calls)?;
        let group = &grouping.keys;
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
        let schema =
            schema_of((group_names.iter().map(String::as_str).zip(&group_types)).chain(
                calls.headings.iter().map(String::as_str).zip(grouping.calls.iter().map(|call| &call.data_type)),
            ));
        let over_groups = |expr: &Expr| {
            let before = group.len() + grouping.calls.len();
            regroup(expr, group, (calls.width, before, grouping.groupings.len())).map_err(|column| {
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
        for bound in bindings.hidden() {
            bound.expr = over_groups(&bound.expr)?;
        }
        let filled = gaps.filled.into_iter().map(|(value, with, words)| Ok((over_groups(&value.expr)?, with, words)));
        let filled = filled.collect::<Result<Vec<_>, SqlError>>()?;
        let keys = group.len();
        let windows = match &gaps.key {
            None if filled.is_empty() => None,
            None => return Err(SqlErrorKind::GapFill("locf and interpolate without time_window_gapfill").into()),
            Some(_) if grouping.sets.is_some() => return Err(SqlError::unsupported("gaps of grouping sets")),
            Some((key, time)) => {
                let at = group.iter().position(|known| known == key);
                let at = at.ok_or(SqlErrorKind::GapFill("time_window_gapfill is no key of GROUP BY"))?;
                let condition = has_condition.then(|| condition(&input)).flatten();
                Some((at, gap_fill::range(key, time, condition, &group_types[at])?))
            }
        };
        let plan = self.grouped(input, grouping, schema)?;
        Ok(match windows {
            Some((at, range)) => gap_fill::fill(plan, (keys, at), &filled, range),
            None => plan,
        })
    }
}

/// `expr` over the output of an Aggregate; the error is a column that is neither grouped nor aggregated.
/// Calls stand behind the `width` columns of the input; those of `grouping`, and behind them what is filled, will stand
/// behind `before` columns.
fn regroup(expr: &Expr, group: &[Expr], (width, before, groupings): (usize, usize, usize)) -> Result<Expr, usize> {
    if let Some(at) = group.iter().position(|key| key == expr) {
        return Ok(Expr::Column(at));
    }
    if let Expr::Column(column) = expr {
        // What stands for a query or a call over a window comes later.
        if *column >= SUBQUERIES_AT {
            return Ok(expr.clone());
        }
        if (GROUPING_AT..OUTER_AT).contains(column) {
            return Ok(Expr::Column(before + (column - GROUPING_AT)));
        }
        if (FILLED_AT..GROUPING_AT).contains(column) {
            return Ok(Expr::Column(before + groupings + (column - FILLED_AT)));
        }
        return match column.checked_sub(width) {
            Some(call) => Ok(Expr::Column(group.len() + call)),
            None => Err(*column),
        };
    }
    let mut failed = None;
    let moved = expr.clone().map_children(|child| match regroup(&child, group, (width, before, groupings)) {
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

/// What [`filtered`] filters by.
fn condition(plan: &Plan) -> Option<&Expr> {
    match plan {
        Plan::Filter { predicate, .. } => Some(predicate),
        Plan::Project { input, .. } => match &**input {
            Plan::Filter { predicate, .. } => Some(predicate),
            _ => None,
        },
        _ => None,
    }
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
        bindings.distinct_on = None;
        let bound = Typed::literal(Scalar::Int(1));
        bindings.outputs.push(Output { bound, name: "row".to_owned(), words: "row".to_owned(), has_alias: false });
    }
    if ties.is_empty() {
        return Ok(correlation);
    }
    if is_cut || !bindings.windows.is_empty() || bindings.sets.is_some() || bindings.distinct_on.is_some() {
        let what =
            "LIMIT, windows, grouping sets and DISTINCT ON in a subquery that reads columns of the query around it";
        return Err(SqlError::unsupported(what));
    }
    if let [Output { bound, .. }] = bindings.outputs.as_slice()
        && is_aggregate
        && bindings.group.is_empty()
    {
        correlation.whole = Some(whole(&bound.expr, bindings.having.as_ref(), calls)?);
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

/// What an aggregate without groups comes to of no rows, for one output and HAVING.
fn whole(output: &Expr, having: Option<&Expr>, calls: &Calls) -> Result<Whole, SqlError> {
    let call = |at: usize| at.checked_sub(calls.width).and_then(|at| calls.calls.get(at));
    let counts = |call: &AggregateCall| matches!(call.function.name, "count" | "approx_distinct");
    let of_nothing = |expr: &Expr| {
        let expr = expr.clone().map_columns(&mut |at| match call(at) {
            Some(call) if counts(call) && call.data_type == DataType::UInt64 => Expr::Literal(Scalar::UInt(0)),
            Some(call) if counts(call) => Expr::Literal(Scalar::Int(0)),
            Some(call) => null(call.data_type.clone()),
            None => Expr::Column(at),
        });
        let what =
            "an aggregate in a subquery that reads columns of the query around it, and whose value is not constant";
        as_constant(&fold_constants(expr)).cloned().ok_or_else(|| SqlError::unsupported(format!("{what} of no rows")))
    };
    let is_nullable = !matches!(output, Expr::Column(at) if call(*at).is_some_and(counts));
    let mut value = of_nothing(output)?;
    if let Some(having) = having
        && of_nothing(having)? != Scalar::Bool(true)
    {
        value = Scalar::Null;
    }
    if having.is_some() && value != Scalar::Null {
        // No row would mean either that nothing is tied, or that HAVING refuses what is.
        let what = "HAVING that holds of no rows in a subquery that reads columns of the query around it";
        return Err(SqlError::unsupported(what));
    }
    Ok(Whole { of_nothing: value, is_nullable, has_having: having.is_some() })
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
    bindings.hidden().for_each(|bound| bound.expr = moved(&bound.expr));
    let Ok(()) = bindings.windows.try_map(|expr| Ok::<_, std::convert::Infallible>(moved(expr)));
    plan
}

/// Puts what answers calls over windows in, and the bindings over it.
pub(super) fn windowed(input: Plan, bindings: &mut Bindings) -> Plan {
    let (plan, places) = std::mem::take(&mut bindings.windows).over(input);
    let moved = |expr: &mut Expr| *expr = with_answers(std::mem::replace(expr, Expr::Column(0)), &places);
    bindings.outputs.iter_mut().for_each(|output| moved(&mut output.bound.expr));
    bindings.qualify.iter_mut().for_each(moved);
    bindings.hidden().for_each(|bound| moved(&mut bound.expr));
    plan
}

/// DISTINCT ON: of the rows that are equal in `on`, the first by ORDER BY, which must begin with that.
pub(super) fn first_of_each(input: Plan, on: &[SortBy], bindings: &Bindings) -> Result<Plan, SqlError> {
    let mut partition: Vec<Expr> = Vec::with_capacity(on.len());
    for key in on.iter().map(|by| bindings.key(by)) {
        if !partition.contains(&key) {
            partition.push(key);
        }
    }
    let order = bindings.sort.iter().map(|key| SortKey {
        expr: bindings.key(&key.by),
        descending: key.descending,
        nulls_first: key.nulls_first,
    });
    let order: Vec<SortKey> = order.collect();
    // Keys behind those of DISTINCT ON choose the row.
    let mut wanted = partition.clone();
    let choose = order.iter().skip_while(|key| {
        wanted.retain(|expr| *expr != key.expr);
        partition.contains(&key.expr)
    });
    let keys: Vec<SortKey> = choose.cloned().collect();
    if !keys.is_empty() && !wanted.is_empty() {
        return Err(SqlErrorKind::DistinctOnOrder.into());
    }
    let schema = input.schema().clone();
    let mut numbers = Windows::default();
    let call = WindowCall {
        function: WindowFunction::RowNumber,
        frame: Frame::WHOLE,
        ignore_nulls: false,
        data_type: DataType::UInt64,
    };
    numbers.add(Order { partition, keys }, call, || "row_number()".to_owned());
    let (plan, places) = numbers.over(input);
    let number = Expr::Column(places[0]);
    let predicate = Expr::binary(number, BinaryOp::Eq, Expr::Literal(Scalar::UInt(1)));
    let exprs = (0..schema.fields().len()).map(Expr::Column).collect();
    Ok(Plan::Project { input: Box::new(Plan::Filter { input: Box::new(plan), predicate }), exprs, schema })
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
