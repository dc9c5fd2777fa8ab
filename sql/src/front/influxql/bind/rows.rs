//! SELECTs of some rows of each group (top, bottom, sample), of its different values (distinct), and of the area under
//! its rows (integral).

use arrow_schema::DataType;

use super::error::BindError;
use super::expr::{Columns, value};
use super::plan::{project, series_step, sorted, where_any};
use super::raw::Made;
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

/// The call: itself, its name, its arguments, and what it is.
type CallOfRows<'a> = (&'a Expr, &'a String, &'a Vec<Expr>, Rows);

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

    /// top, bottom or sample.
    pub(super) fn rows(&self, relation: &Relation) -> Result<Option<Plan>, BindError> {
        let field_type = |name: &str| self.field_type(name);
        let columns = Columns { relation, field_type: &field_type };
        let mut call: Option<CallOfRows<'_>> = None;
        let mut several = false;
        for output in self.outputs {
            output.expr.walk(&mut |expr| {
                if let Expr::Call { name, args } = expr
                    && let Some(Kind::Rows(rows)) = find(name).map(|function| function.kind)
                {
                    if call.is_none_or(|(known, ..)| known == expr) {
                        call = Some((expr, name, args, rows));
                    } else {
                        several = true;
                    }
                }
            });
        }
        let Some((expr, name, args, rows)) = call else { return Ok(None) };
        if several {
            return Err(BindError::Unsupported("sample() of a wildcard that means several fields"));
        }
        let (Some(field), Some((Expr::Literal(Literal::Integer(count)), by))) =
            (args.first(), args.get(1..).and_then(<[Expr]>::split_last))
        else {
            return Ok(None);
        };
        let of = self.argument(field, &columns)?;
        if of.data_type == DataType::Null {
            return Ok(None);
        }
        if rows != Rows::Sample && !is_number(&of.data_type) {
            let kind = type_name(&of.data_type);
            let words = format!("unsupported {name} iterator type: *query.{kind}InterruptIterator");
            return Err(BindError::select(words));
        }
        // Groups, tags that are distinguished, the value, the time, what stands beside, what orders equals.
        let mut all = self.groups(relation)?;
        let groups = all.len();
        for tag in by {
            all.push(value(tag, &columns)?);
        }
        let told_apart = all.len();
        let data_type = of.data_type.clone();
        let made = [(expr.clone(), Typed::new(Native::Column(told_apart), data_type))];
        all.push(of.clone());
        all.push(Typed::new(Native::Column(0), TIME));
        let mut named = Vec::new();
        for output in self.outputs {
            let mut beside: Vec<&Expr> = Vec::new();
            beside_rows(&output.expr, &mut beside);
            for name in beside {
                if named.iter().any(|(known, _)| known == name) {
                    continue;
                }
                let typed = value(name, &columns)?;
                named.push((name.clone(), Typed::new(Native::Column(all.len()), typed.data_type.clone())));
                all.push(typed);
            }
        }
        let ties_at = all.len();
        let ties = self.ties(relation);
        let ties_end = ties_at + ties.len();
        all.extend(ties);
        let (value_at, time_at) = (told_apart, told_apart + 1);
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
        let order = (0..self.tags.len()).chain([time_at]).chain(ties_at..ties_end);
        let plan = ordered(plan, order.collect(), self.descending, (value_at, rows == Rows::Top));
        let (tags, _) = self.leading();
        let mut answers = Vec::with_capacity(self.outputs.len());
        for output in self.outputs {
            answers.push(value(&output.expr, &Made(&made, &named))?);
        }
        Ok(Some(self.answer(plan, tags, Typed::new(Native::Column(time_at), TIME), answers)))
    }

    /// integral.
    pub(super) fn integral(&self, relation: &Relation) -> Result<Option<Plan>, BindError> {
        let field_type = |name: &str| self.field_type(name);
        let columns = Columns { relation, field_type: &field_type };
        let mut calls: Vec<(&Expr, &Vec<Expr>)> = Vec::new();
        for output in self.outputs {
            output.expr.walk(&mut |expr| {
                if let Expr::Call { name, args } = expr
                    && name == "integral"
                    && !calls.iter().any(|(known, _)| *known == expr)
                {
                    calls.push((expr, args));
                }
            });
        }
        let [(expr, args)] = calls.as_slice() else {
            return Err(BindError::Unsupported("integral() of a wildcard that means several fields"));
        };
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
        let made = [(Expr::clone(expr), Typed::new(Native::Column(keys + 1), DataType::Float64))];
        let mut answers = Vec::with_capacity(self.outputs.len());
        for output in self.outputs {
            answers.push(value(&output.expr, &Made(&made, &[]))?);
        }
        Ok(Some(self.answer(plan, tags, time, answers)))
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

/// Rows in the order of these columns, those of one time with the best first.
fn ordered(input: Plan, columns: Vec<usize>, descending: bool, best: (usize, bool)) -> Plan {
    let mut plan = sorted(input, columns, descending);
    if let Plan::Sort { keys, .. } = &mut plan
        && let Some(after_time) = keys.iter().position(|key| key.expr == Native::Column(best.0 + 1))
    {
        let (at, descending) = best;
        let key = SortKey { expr: Native::Column(at), descending, nulls_first: !descending };
        keys.insert(after_time + 1, key);
    }
    plan
}

/// Names that stand beside the call.
fn beside_rows<'a>(expr: &'a Expr, found: &mut Vec<&'a Expr>) {
    match expr {
        Expr::Name { .. } => found.push(expr),
        Expr::Call { name, .. } if find(name).is_some_and(|function| matches!(function.kind, Kind::Rows(_))) => {}
        expr => expr.children().into_iter().for_each(|child| beside_rows(child, found)),
    }
}
