//! SELECTs of some rows of each group (top, bottom, sample), of its different values (distinct), and of the area under
//! its rows (integral).

use arrow_schema::DataType;

use super::aggregate::calls;
use super::error::BindError;
use super::expr::{Columns, value};
use super::joined::Part;
use super::outputs::Output;
use super::plan::{project, series_step, sorted, where_any};
use super::raw::{Made, transformations};
use super::relation::{Relation, TIME, schema_of};
use super::select::Setting;
use super::types::{is_number, type_name};
use crate::expr::{AggregateCall, Expr as Native, Typed};
use crate::front::influxql::ast::{Expr, Literal};
use crate::function::aggregate as agg;
use crate::function::arithmetic::SAMPLED;
use crate::function::influxql::{Kind, Rows, find};
use crate::plan::series::{Integral, SeriesLimit};
use crate::plan::{Plan, SeriesStep, SortKey};
use crate::types::unit::SECOND_NS;

impl Setting<'_> {
    /// The columns by which rows are grouped: tags, and the window or the start of the range.
    fn groups(&self, relation: &Relation) -> Result<Vec<Typed>, BindError> {
        let mut groups = self.tag_columns(relation);
        groups.push(match &self.windows {
            Some(windows) => Typed::new(self.window_of_row(windows)?, TIME),
            None => self.whole_time(),
        });
        Ok(groups)
    }

    /// top, bottom or sample; sample also of several fields.
    pub(super) fn rows(&self, relation: &Relation) -> Result<Option<Plan>, BindError> {
        let field_type = |name: &str| self.field_type(name);
        let columns = Columns { relation, field_type: &field_type };
        let mut calls: Vec<&Expr> = Vec::new();
        let mut beside: Vec<&Expr> = Vec::new();
        for output in self.outputs {
            output.expr.walk(&mut |expr| {
                if let Expr::Call { name, .. } = expr
                    && matches!(find(name).map(|function| function.kind), Some(Kind::Rows(_)))
                    && !calls.contains(&expr)
                {
                    calls.push(expr);
                }
            });
            beside_rows(&output.expr, &mut beside);
        }
        let ties = self.ties(relation).len();
        if let [call] = calls.as_slice() {
            let Some((plan, of)) = self.some_rows(call, &beside, relation, &columns)? else { return Ok(None) };
            let (width, time) = (self.tags.len(), self.tags.len());
            let first = width + 1 + ties;
            let made = [(Expr::clone(call), Typed::new(Native::Column(first), of))];
            let mut named = Vec::new();
            for (at, name) in (first + 1..).zip(&beside) {
                named.push((Expr::clone(name), Typed::new(Native::Column(at), value(name, &columns)?.data_type)));
            }
            let is_top = matches!(call, Expr::Call { name, .. } if name == "top");
            let order = (0..width).chain([time]).chain(time + 1..first);
            let plan = ordered(plan, order.collect(), self.descending, (first, time, is_top));
            return self.answer_of(plan, &made, &named).map(Some);
        }
        if !beside.is_empty() {
            return Err(BindError::Unsupported("a field or tag beside sample() of several fields"));
        }
        let mut parts = Vec::new();
        for call in calls {
            if let Some((plan, of)) = self.some_rows(call, &[], relation, &columns)? {
                parts.push(Part { plan, values: vec![(call.clone(), of)] });
            }
        }
        let keys = self.tags.len() + 1 + ties;
        let Some((plan, made)) = self.joined(parts, keys, self.tags.len())? else { return Ok(None) };
        self.answer_of(sorted(plan, 0..keys, self.descending), &made, &[]).map(Some)
    }

    /// The answer over a plan that begins with tags and time.
    fn answer_of(&self, plan: Plan, made: &[(Expr, Typed)], named: &[(Expr, Typed)]) -> Result<Plan, BindError> {
        let (tags, time) = self.leading();
        let mut answers = Vec::with_capacity(self.outputs.len());
        for output in self.outputs {
            answers.push(value(&output.expr, &Made(made, named))?);
        }
        Ok(self.answer(plan, tags, time, answers))
    }

    /// The rows that a call chooses, in no order, and the type of its field: tags, time, what orders rows of one time,
    /// the value, and what stands `beside`.
    fn some_rows(
        &self,
        call: &Expr,
        beside: &[&Expr],
        relation: &Relation,
        columns: &Columns<'_>,
    ) -> Result<Option<(Plan, DataType)>, BindError> {
        let Expr::Call { name, args } = call else { return Ok(None) };
        let Some(Kind::Rows(rows)) = find(name).map(|function| function.kind) else { return Ok(None) };
        let (Some(field), Some((Expr::Literal(Literal::Integer(count)), by))) =
            (args.first(), args.get(1..).and_then(<[Expr]>::split_last))
        else {
            return Ok(None);
        };
        let of = self.argument(field, columns)?;
        if of.data_type == DataType::Null {
            return Ok(None);
        }
        if rows != Rows::Sample && !is_number(&of.data_type) {
            let kind = type_name(&of.data_type);
            let words = format!("unsupported {name} iterator type: *query.{kind}InterruptIterator");
            return Err(BindError::select(words));
        }
        // Groups, tags that are distinguished, the value, the time, what orders equals, what stands beside.
        let mut all = self.groups(relation)?;
        let groups = all.len();
        for tag in by {
            all.push(value(tag, columns)?);
        }
        let told_apart = all.len();
        let data_type = of.data_type.clone();
        all.push(of.clone());
        all.push(Typed::new(Native::Column(0), TIME));
        let (value_at, time_at) = (told_apart, told_apart + 1);
        let ties_at = all.len();
        all.extend(self.ties(relation));
        let ties_end = all.len();
        for name in beside {
            all.push(value(name, columns)?);
        }
        let end = all.len();
        let kept: Vec<usize> = (0..self.tags.len()).chain([time_at]).chain(ties_at..ties_end).collect();
        let kept = kept.into_iter().chain([value_at]).chain(ties_end..end);
        let kept: Vec<Typed> = kept.map(|at| Typed::new(Native::Column(at), all[at].data_type.clone())).collect();
        if rows == Rows::Sample {
            // A number by chance for each row: the same for one row whatever shard it is of.
            let args = vec![Native::Column(0), super::leaf::tie_of(relation)];
            all.push(Typed::new(Native::Call { function: &SAMPLED, args }, DataType::Int64));
        }
        let chance_at = all.len() - 1;
        let input =
            Plan::Filter { input: Box::new(relation.plan.clone()), predicate: Native::IsNotNull(Box::new(of.expr)) };
        let mut plan = project(input, all);
        let best = match rows {
            Rows::Sample => (chance_at, false),
            Rows::Top => (value_at, true),
            Rows::Bottom => (value_at, false),
        };
        let first_of = |plan: Plan, keys: usize, fetch: i64| {
            let key = |at: usize, descending: bool| SortKey {
                expr: Native::Column(at),
                descending,
                nulls_first: !descending,
            };
            let order = (0..keys).map(|at| key(at, false)).chain([key(best.0, best.1), key(time_at, false)]);
            let order = order.chain((ties_at..ties_end).map(|at| key(at, false))).collect();
            let schema = plan.schema().clone();
            let plan = Plan::Sort { input: Box::new(plan), keys: order, fetch: None };
            let fetch = Some(usize::try_from(fetch).unwrap_or(usize::MAX));
            if keys == 1 && self.tags.is_empty() && self.windows.is_none() {
                return Plan::Limit { input: Box::new(plan), skip: 0, fetch };
            }
            let limit = SeriesLimit { keys, outer_keys: 0, skip: 0, fetch, series_skip: 0, series_fetch: None };
            series_step(plan, SeriesStep::Limit(limit), schema)
        };
        if told_apart > groups {
            plan = first_of(plan, told_apart, 1);
        }
        plan = first_of(plan, groups, *count);
        Ok(Some((project(plan, kept), data_type)))
    }

    /// integral, also of several fields, and beside aggregates.
    pub(super) fn integral(&self, relation: &Relation) -> Result<Option<Plan>, BindError> {
        let exprs = || self.outputs.iter().map(|output| &output.expr);
        if !transformations(exprs()).is_empty() {
            return Err(BindError::Unsupported("integral() beside transformations"));
        }
        let mut areas: Vec<&Expr> = Vec::new();
        for expr in exprs() {
            expr.walk(&mut |expr| {
                if matches!(expr, Expr::Call { name, .. } if name == "integral") && !areas.contains(&expr) {
                    areas.push(expr);
                }
            });
        }
        let keys = self.tags.len() + 1;
        let mut parts = Vec::new();
        for call in areas {
            if let Some(plan) = self.area(call, relation)? {
                parts.push(Part { plan, values: vec![(call.clone(), DataType::Float64)] });
            }
        }
        let as_output = |call: &Expr| Output { expr: call.clone(), heading: String::new() };
        let others: Vec<Output> = calls(exprs()).into_iter().map(as_output).collect();
        if let Some(plan) = self.of_outputs(&others).aggregate(relation)? {
            let types = plan.schema().fields()[keys..].iter().map(|field| field.data_type().clone());
            let values = others.iter().map(|output| output.expr.clone()).zip(types).collect();
            parts.push(Part { plan, values });
        }
        let is_one = parts.len() == 1;
        let Some((plan, made)) = self.joined(parts, keys, keys - 1)? else { return Ok(None) };
        let plan = if is_one { plan } else { sorted(plan, 0..keys, self.descending) };
        let (tags, time) = self.leading();
        let mut answers = Vec::with_capacity(self.outputs.len());
        for output in self.outputs {
            answers.push(value(&output.expr, &Made(&made, &[]))?);
        }
        Ok(Some(self.answer(plan, tags, time, answers)))
    }

    /// The area of a call of integral: tags, time and area.
    fn area(&self, call: &Expr, relation: &Relation) -> Result<Option<Plan>, BindError> {
        let field_type = |name: &str| self.field_type(name);
        let columns = Columns { relation, field_type: &field_type };
        let Expr::Call { args, .. } = call else { return Ok(None) };
        let Some(field) = args.first() else { return Ok(None) };
        let of = self.argument(field, &columns)?;
        if !is_number(&of.data_type) {
            return Ok(None);
        }
        let unit_ns = match args.get(1) {
            Some(Expr::Literal(Literal::Duration(ns))) => *ns as f64,
            _ => SECOND_NS as f64,
        };
        let (tags, ties) = (self.tag_columns(relation), self.ties(relation));
        let keys = tags.len();
        let input = Plan::Filter {
            input: Box::new(relation.plan.clone()),
            predicate: Native::IsNotNull(Box::new(of.expr.clone())),
        };
        let order: Vec<usize> = (0..=keys).chain(keys + 2..keys + 2 + ties.len()).collect();
        let time = Typed::new(Native::Column(0), TIME);
        let plan = project(input, tags.into_iter().chain([time, of]).chain(ties).collect());
        let plan = sorted(plan, order, self.descending);
        let types: Vec<DataType> = (0..keys).map(|_| DataType::Utf8).chain([TIME, DataType::Float64]).collect();
        let schema = schema_of(types.iter().map(|data_type| ("", data_type)));
        let step = SeriesStep::Integral(Integral { keys, windows: self.windows.clone(), unit_ns });
        let plan = series_step(plan, step, schema);
        let (tags, time) = self.leading();
        let time = if self.windows.is_some() { time } else { self.whole_time() };
        let area = Typed::new(Native::Column(keys + 1), DataType::Float64);
        Ok(Some(project(plan, tags.into_iter().chain([time, area]).collect())))
    }

    /// distinct.
    pub(super) fn distinct(&self, relation: &Relation) -> Result<Option<Plan>, BindError> {
        let field_type = |name: &str| self.field_type(name);
        let columns = Columns { relation, field_type: &field_type };
        let mut call = None;
        for output in self.outputs {
            output.expr.walk(&mut |expr| match expr {
                Expr::Distinct(_) => call = call.or(Some(expr)),
                Expr::Call { name, .. } if name == "distinct" => call = call.or(Some(expr)),
                _ => {}
            });
        }
        let Some(expr) = call else { return Ok(None) };
        let of = match expr {
            Expr::Call { args, .. } => {
                args.first().map_or_else(|| self.argument(expr, &columns), |arg| self.argument(arg, &columns))?
            }
            expr => self.argument(expr, &columns)?,
        };
        if of.data_type == DataType::Null {
            return Ok(None);
        }
        let mut group = self.groups(relation)?;
        let keys = group.len();
        group.push(of.clone());
        let input =
            Plan::Filter { input: Box::new(relation.plan.clone()), predicate: Native::IsNotNull(Box::new(of.expr)) };
        let Some(least) = agg::MIN.of_one_value() else { return Ok(None) };
        let first = AggregateCall { function: least, args: vec![Native::Column(0)], distinct: false, data_type: TIME };
        let types: Vec<DataType> = group.iter().map(|typed| typed.data_type.clone()).chain([TIME]).collect();
        let schema = schema_of(types.iter().map(|data_type| ("", data_type)));
        let group = group.into_iter().map(|typed| typed.expr).collect();
        let plan = Plan::Aggregate { input: Box::new(input), group, calls: vec![first], schema };
        let plan = sorted(plan, (0..keys).chain([keys + 1, keys]), self.descending);
        let made = [(expr.clone(), Typed::new(Native::Column(keys), of.data_type))];
        let (tags, time) = self.leading();
        let mut answers = Vec::with_capacity(self.outputs.len());
        for output in self.outputs {
            answers.push(value(&output.expr, &Made(&made, &[]))?);
        }
        let plan = where_any(plan, [keys]);
        Ok(Some(self.answer(plan, tags, time, answers)))
    }
}

/// Rows in the order of these columns, those of one time by a value, which may be better if it is greater.
fn ordered(
    input: Plan,
    columns: Vec<usize>,
    descending: bool,
    (value, time, greatest_first): (usize, usize, bool),
) -> Plan {
    let mut plan = sorted(input, columns, descending);
    if let Plan::Sort { keys, .. } = &mut plan
        && let Some(after_time) = keys.iter().position(|key| key.expr == Native::Column(time))
    {
        let key = SortKey { expr: Native::Column(value), descending: greatest_first, nulls_first: !greatest_first };
        keys.insert(after_time + 1, key);
    }
    plan
}

/// Names that stand beside the call.
fn beside_rows<'a>(expr: &'a Expr, found: &mut Vec<&'a Expr>) {
    match expr {
        Expr::Name { .. } if !found.contains(&expr) => found.push(expr),
        Expr::Name { .. } => {}
        Expr::Call { name, .. } if find(name).is_some_and(|function| matches!(function.kind, Kind::Rows(_))) => {}
        expr => expr.children().into_iter().for_each(|child| beside_rows(child, found)),
    }
}
