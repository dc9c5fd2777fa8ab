//! SELECTs that give a row for each group and window.
//!
//! ```text
//!   relation ─► aggregate by tags and windows ─► rows that have a value ─► order ─► fill ─► transformations ─► answer
//! ```

use arrow_schema::{DataType, TimeUnit};

use super::compile::Shape;
use super::error::BindError;
use super::expr::{Columns, joined, value};
use super::leaf::{leaf, of_row, tie_of, time_of_row};
use super::plan::{project, series_step, sorted, where_any};
use super::raw::{Made, Transforms, column_of, transformations};
use super::relation::{Relation, TIME, schema_of};
use super::select::Setting;
use crate::expr::constant::null;
use crate::expr::{AggregateCall, BinaryOp, Expr as Native, Scalar, Typed};
use crate::front::influxql::ast::{CastType, Expr, Fill, Literal};
use crate::function::bucket::bucket;
use crate::function::influxql::{Fold, Kind, find};
use crate::function::windows::start_of_window;
use crate::plan::series::{Fill as FillStep, FillWith};
use crate::plan::{Plan, SeriesStep};
use crate::types::windows::Windows;

/// A call of an aggregate or selector: which, of what, with what percentage, of different values.
pub(super) struct Call<'a> {
    pub(super) fold: Fold,
    pub(super) name: &'a str,
    pub(super) arg: &'a Expr,
    pub(super) percent: f64,
    pub(super) distinct: bool,
}

/// The call that an expression is.
pub(super) fn call_of(expr: &Expr) -> Option<Call<'_>> {
    let Expr::Call { name, args } = expr else { return None };
    let function = find(name)?;
    let (Kind::Aggregate(fold) | Kind::Selector(fold)) = function.kind else { return None };
    let percent = match args.get(1) {
        Some(Expr::Literal(Literal::Integer(value))) => *value as f64,
        Some(Expr::Literal(Literal::Number(value))) => *value,
        _ => 0.0,
    };
    let (arg, distinct) = match args.first()? {
        Expr::Call { name, args } if name == "distinct" => (args.first()?, true),
        arg @ Expr::Distinct(_) => (arg, true),
        arg => (arg, false),
    };
    Some(Call { fold, name: function.name, arg, percent, distinct })
}

/// The calls of aggregates and selectors in expressions, each once.
pub(super) fn calls<'a>(exprs: impl Iterator<Item = &'a Expr>) -> Vec<&'a Expr> {
    let mut found: Vec<&Expr> = Vec::new();
    for expr in exprs {
        expr.walk(&mut |expr| {
            if call_of(expr).is_some() && !found.contains(&expr) {
                found.push(expr);
            }
        });
    }
    found
}

impl Setting<'_> {
    /// The start of a row's window.
    pub(super) fn window_of_row(&self, windows: &Windows) -> Result<Native, BindError> {
        let time = Native::Column(0);
        if windows.zone.as_ref().is_some_and(|zone| !zone.name().is_empty() && zone.name() != "UTC") {
            return Ok(start_of_window(time, windows));
        }
        let origin = i128::from(windows.offset_ns);
        Ok(bucket("time", windows.width_ns, time, TimeUnit::Nanosecond, origin)?.expr)
    }

    /// The time of rows that are about the whole range: where it begins, or the epoch.
    pub(super) fn whole_time(&self) -> Typed {
        let start = if self.range.min == i64::MIN { 0 } else { self.range.min };
        Typed::literal(Scalar::Time(start, TimeUnit::Nanosecond))
    }

    /// One row for each group and window.
    pub(super) fn aggregate(&self, relation: &Relation) -> Result<Option<Plan>, BindError> {
        let field_type = |name: &str| self.field_type(name);
        let columns = Columns { relation, field_type: &field_type };
        let exprs = || self.outputs.iter().map(|output| &output.expr);
        // Groups: the tags that the relation has, and the window.
        let tags: Vec<(usize, usize)> =
            self.tags.iter().enumerate().filter_map(|(at, tag)| Some((at, relation.tag(tag)?))).collect();
        let mut group: Vec<Native> = tags.iter().map(|(_, column)| Native::Column(*column)).collect();
        if let Some(windows) = &self.windows {
            group.push(self.window_of_row(windows)?);
        }
        let width = group.len();

        let mut aggregates: Vec<AggregateCall> = Vec::new();
        let mut leaves: Vec<(Expr, Typed, bool)> = Vec::new();
        let mut present: Vec<Native> = Vec::new();
        let mut add = |calls: Vec<AggregateCall>| {
            let first = width + aggregates.len();
            aggregates.extend(calls);
            first
        };
        let calls = calls(exprs());
        for expr in &calls {
            let Some(call) = call_of(expr) else { continue };
            let arg = self.argument(call.arg, &columns)?;
            let made = leaf(call.name, call.fold, arg, call.percent, call.distinct)?;
            let first = add(made.calls);
            let value = made.value.map_columns(&mut |at| Native::Column(first + at));
            present.push(made.present.map_columns(&mut |at| Native::Column(first + at)));
            leaves.push((Expr::clone(expr), Typed::new(value, made.data_type), made.is_count));
        }
        // What a selector alone says of its row.
        let is_selector = self.compiled.shape == Shape::Selector;
        let mut row_time = None;
        let mut beside: Vec<(Expr, Typed)> = Vec::new();
        if is_selector && let Some(call) = calls.first().and_then(|expr| call_of(expr)) {
            let arg = self.argument(call.arg, &columns)?;
            let mut named: Vec<&Expr> = Vec::new();
            exprs().for_each(|expr| names_beside(expr, &mut named));
            let tie = if named.is_empty() { Native::Literal(Scalar::Str("".into())) } else { tie_of(relation) };
            let is_there = arg.data_type != DataType::Null;
            if self.windows.is_none() && is_there {
                let at = add(vec![time_of_row(call.fold, &arg, call.percent, tie.clone())]);
                row_time = Some(Typed::new(Native::Column(at), TIME));
            }
            for name in named {
                let typed = value(name, &columns)?;
                let made = match is_there && typed.data_type != DataType::Null {
                    true => {
                        let data_type = typed.data_type.clone();
                        let at = add(vec![of_row(call.fold, &arg, call.percent, typed, tie.clone())]);
                        Typed::new(Native::Column(at), data_type)
                    }
                    false => typed,
                };
                beside.push((name.clone(), made));
            }
        }
        if aggregates.is_empty() {
            return Ok(None);
        }
        let schema = {
            let mut types: Vec<DataType> = tags.iter().map(|_| DataType::Utf8).collect();
            types.extend(self.windows.iter().map(|_| TIME));
            types.extend(aggregates.iter().map(|call| call.data_type.clone()));
            schema_of(types.iter().map(|data_type| ("", data_type)))
        };
        let plan = Plan::Aggregate { input: Box::new(relation.plan.clone()), group, calls: aggregates, schema };
        // Groups in which one of the values is there.
        let plan = match joined(BinaryOp::Or, present) {
            Some(predicate) => Plan::Filter { input: Box::new(plan), predicate },
            None => plan,
        };

        // Tags, time, values, what stands beside them.
        let tag_at = |at: usize| tags.iter().position(|(tag, _)| *tag == at);
        let mut all: Vec<Typed> = (0..self.tags.len())
            .map(|at| match tag_at(at) {
                Some(key) => Typed::new(Native::Column(key), DataType::Utf8),
                None => Typed::new(null(DataType::Utf8), DataType::Utf8),
            })
            .collect();
        all.push(match (&self.windows, row_time) {
            (Some(_), _) => Typed::new(Native::Column(tags.len()), TIME),
            (None, Some(time)) => time,
            (None, None) => self.whole_time(),
        });
        let fills = self.windows.is_some() && self.fill != Fill::None;
        let keys = self.tags.len();
        let mut made: Vec<(Expr, Typed)> = Vec::new();
        for (expr, typed, is_count) in &leaves {
            made.push((expr.clone(), Typed::new(Native::Column(all.len()), typed.data_type.clone())));
            all.push(if *is_count { or_nothing(typed) } else { typed.clone() });
        }
        let mut named: Vec<(Expr, Typed)> = Vec::new();
        for (expr, typed) in beside {
            named.push((expr, Typed::new(Native::Column(all.len()), typed.data_type.clone())));
            all.push(typed);
        }
        let types: Vec<DataType> = all.iter().map(|typed| typed.data_type.clone()).collect();
        let order = 0..if self.windows.is_some() { keys + 1 } else { keys };
        let mut plan = sorted(project(plan, all), order, self.descending);
        if fills && let Some(windows) = &self.windows {
            plan = self.filled(plan, windows, &leaves, &types);
        }
        self.finished(plan, made, &named, &types)
    }

    /// Fills the windows of rows with columns of these types.
    fn filled(&self, plan: Plan, windows: &Windows, leaves: &[(Expr, Typed, bool)], types: &[DataType]) -> Plan {
        let keys = self.tags.len();
        let before = windows.width_ns.saturating_mul(self.compiled.windows_before);
        let first =
            (self.range.min != i64::MIN).then(|| windows.start(windows.start(self.range.min).saturating_sub(before)));
        let last = (self.range.max != i64::MAX).then(|| windows.start(self.range.max));
        let with = match self.fill {
            Fill::Previous => FillWith::Previous,
            Fill::Linear => FillWith::Linear,
            _ => FillWith::Null,
        };
        let step = FillStep {
            keys,
            windows: windows.clone(),
            first,
            last,
            descending: self.descending,
            with: vec![with; types.len().saturating_sub(keys + 1)],
        };
        let schema = plan.schema().clone();
        let plan = series_step(plan, SeriesStep::Fill(step), schema);
        let columns = types.iter().enumerate().map(|(at, data_type)| {
            let typed = Typed::new(Native::Column(at), data_type.clone());
            match at.checked_sub(keys + 1) {
                None => typed,
                Some(value) => match leaves.get(value) {
                    Some((_, _, true)) if self.fill == Fill::Null => {
                        let zero = Native::Literal(Scalar::Int(0));
                        Typed::new(Native::Coalesce(vec![typed.expr, zero]), DataType::Int64)
                    }
                    _ => self.or_number(typed),
                },
            }
        });
        project(plan, columns.collect())
    }

    /// Transformations, and the answer from what calls and names have become.
    fn finished(
        &self,
        plan: Plan,
        mut made: Vec<(Expr, Typed)>,
        named: &[(Expr, Typed)],
        types: &[DataType],
    ) -> Result<Option<Plan>, BindError> {
        let exprs = || self.outputs.iter().map(|output| &output.expr);
        let (keys, width) = (self.tags.len(), types.len());
        let transformed = transformations(exprs());
        let mut plan = plan;
        if !transformed.is_empty() {
            let mut steps = Transforms::default();
            for call in &transformed {
                let Expr::Call { args, .. } = call else { continue };
                let Some(arg) = args.first() else { continue };
                let known = transformed.iter().position(|known| known == arg).filter(|at| *at < steps.len());
                let (column, of) = match (known, made.iter().find(|(known, _)| known == arg)) {
                    (Some(at), _) => (width + at, steps.data_type(at).clone()),
                    (None, Some((_, Typed { expr: Native::Column(at), data_type, .. }))) => (*at, data_type.clone()),
                    _ => return Err(BindError::Unsupported("this argument of a transformation")),
                };
                steps.add(call, column, &of, self.windows.as_ref().map(|windows| windows.width_ns));
            }
            let alone = exprs().all(|expr| !has_call_outside(expr));
            let outermost = outermost(exprs());
            let (stepped, mut columns) = steps.step(plan, keys);
            plan = stepped;
            if alone {
                let wanted = columns.iter().filter(|(call, _)| outermost.contains(&call));
                plan = where_any(plan, wanted.map(|(_, typed)| column_of(typed)));
            }
            if self.compiled.windows_before > 0
                && self.range.min != i64::MIN
                && let Some(windows) = &self.windows
            {
                let start = Native::Literal(Scalar::Time(windows.start(self.range.min), TimeUnit::Nanosecond));
                let predicate = Native::binary(Native::Column(keys), BinaryOp::GtEq, start);
                plan = Plan::Filter { input: Box::new(plan), predicate };
            }
            made.append(&mut columns);
        }
        let predictions = self.predictions()?;
        if !predictions.is_empty() {
            (plan, made) = self.predicted(plan, predictions, &made)?;
        }
        let (tags, time) = self.leading();
        let mut answers = Vec::with_capacity(self.outputs.len());
        for output in self.outputs {
            answers.push(value(&output.expr, &Made(&made, named))?);
        }
        Ok(Some(self.answer(plan, tags, time, answers)))
    }

    /// The field that a function is of. A tag is none.
    pub(super) fn argument(&self, arg: &Expr, columns: &Columns<'_>) -> Result<Typed, BindError> {
        let nothing = || Typed::new(null(DataType::Null), DataType::Null);
        match arg {
            Expr::Distinct(name) => self.argument(&Expr::name(name.clone()), columns),
            Expr::Name { cast: Some(CastType::Tag), .. } => Ok(nothing()),
            Expr::Name { name, .. } if self.names.fields.contains_key(name) => {
                let typed = value(arg, columns)?;
                // Only where the relation has it.
                Ok(if columns.relation.field(name).is_some() { typed } else { Typed::new(typed.expr, typed.data_type) })
            }
            _ => Ok(nothing()),
        }
    }
}

/// A count, null where it is zero.
fn or_nothing(count: &Typed) -> Typed {
    let is_some = Native::binary(count.expr.clone(), BinaryOp::Gt, Native::Literal(Scalar::Int(0)));
    let expr = Native::Case { branches: vec![(is_some, count.expr.clone())], otherwise: None };
    Typed::new(expr, count.data_type.clone())
}

/// Names that stand beside calls, each once.
fn names_beside<'a>(expr: &'a Expr, found: &mut Vec<&'a Expr>) {
    match expr {
        Expr::Name { .. } if !found.contains(&expr) => found.push(expr),
        expr if call_of(expr).is_some() => {}
        expr => expr.children().into_iter().for_each(|child| names_beside(child, found)),
    }
}

/// The transformations that stand in no other.
fn outermost<'a>(exprs: impl Iterator<Item = &'a Expr>) -> Vec<&'a Expr> {
    fn find_in<'a>(expr: &'a Expr, found: &mut Vec<&'a Expr>) {
        match expr {
            Expr::Call { name, .. }
                if find(name).is_some_and(|function| matches!(function.kind, Kind::Transformation(_))) =>
            {
                found.push(expr);
            }
            expr => expr.children().into_iter().for_each(|child| find_in(child, found)),
        }
    }
    let mut found = Vec::new();
    exprs.for_each(|expr| find_in(expr, &mut found));
    found
}

/// Whether an aggregate stands outside of all transformations.
fn has_call_outside(expr: &Expr) -> bool {
    match expr {
        Expr::Call { name, .. }
            if find(name).is_some_and(|function| matches!(function.kind, Kind::Transformation(_))) =>
        {
            false
        }
        expr if call_of(expr).is_some() => true,
        expr => expr.children().into_iter().any(has_call_outside),
    }
}
