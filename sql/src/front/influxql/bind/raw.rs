//! SELECTs that give a row for each row, as it is or transformed.

use arrow_schema::DataType;

use super::error::BindError;
use super::expr::{Columns, Names as NamesOf, value};
use super::plan::{project, series_step, sorted, where_any};
use super::relation::{Relation, TIME, schema_of};
use super::select::Setting;
use super::types::{converted, is_number};
use crate::expr::{Expr as Native, Scalar, Typed};
use crate::front::influxql::ast::{CastType, Expr, Fill, Literal};
use crate::function::influxql::{Kind, Second, Warming, find};
use crate::function::technical::{WARM_EXPONENTIAL, WARM_NONE, WARM_SIMPLE};
use crate::function::transform::Results;
use crate::plan::series::TransformCall;
use crate::plan::{Plan, SeriesStep};
use crate::types::unit::SECOND_NS;

impl Setting<'_> {
    /// Rows as they are; `None` where none of what is selected is a field of the relation.
    pub(super) fn raw(&self, relation: &Relation) -> Result<Option<Plan>, BindError> {
        let field_type = |name: &str| self.field_type(name);
        let columns = Columns { relation, field_type: &field_type };
        let mut values = Vec::with_capacity(self.outputs.len());
        for output in self.outputs {
            values.push(self.raw_fill(value(&output.expr, &columns)?));
        }
        let fields = self.fields_named(relation);
        if fields.is_empty() {
            return Ok(None);
        }
        let input = match fields.len() == relation.columns.iter().filter(|column| !column.is_tag).count()
            && matches!(relation.plan, Plan::Scan(_))
        {
            // Every row of a table has a field.
            true => relation.plan.clone(),
            false => where_any(relation.plan.clone(), fields),
        };
        let (tags, ties) = (self.tag_columns(relation), self.ties(relation));
        let series = relation.series.iter().map(|at| Typed::new(Native::Column(*at), relation.data_type(*at).clone()));
        let series: Vec<Typed> = series.collect();
        let (width, count) = (tags.len(), values.len());
        let types: Vec<DataType> = values.iter().map(|typed| typed.data_type.clone()).collect();
        let after = width + 1 + count;
        let order = (0..width).chain(after..after + series.len()).chain([width]);
        let order: Vec<usize> = order.chain(after + series.len()..after + series.len() + ties.len()).collect();
        let time = Typed::new(Native::Column(0), TIME);
        let all = tags.into_iter().chain([time]).chain(values).chain(series).chain(ties).collect();
        let plan = sorted(project(input, all), order, self.descending);
        let (tags, time) = self.leading();
        let values =
            types.into_iter().zip(width + 1..).map(|(data_type, at)| Typed::new(Native::Column(at), data_type));
        Ok(Some(self.answer(plan, tags, time, values.collect())))
    }

    /// fill(number) of a raw SELECT.
    fn raw_fill(&self, typed: Typed) -> Typed {
        match self.fill {
            Fill::Number(_) | Fill::Integer(_) if self.select.fill.is_some() => self.or_number(typed),
            _ => typed,
        }
    }

    /// The value, or the number of fill(…) in its type.
    pub(super) fn or_number(&self, typed: Typed) -> Typed {
        let number = match self.fill {
            Fill::Number(value) => Scalar::Float(value),
            Fill::Integer(value) => Scalar::Int(value),
            _ => return typed,
        };
        let scalar = match (&typed.data_type, number) {
            (DataType::Float64, Scalar::Int(value)) => Scalar::Float(value as f64),
            (DataType::Int64, Scalar::Float(value)) => Scalar::Int(value as i64),
            (DataType::UInt64, Scalar::Float(value)) => Scalar::UInt(value as u64),
            (DataType::UInt64, Scalar::Int(value)) => Scalar::UInt(value as u64),
            (DataType::Float64 | DataType::Int64, number) => number,
            (DataType::Utf8, _) => Scalar::Str("".into()),
            (DataType::Boolean, _) => Scalar::Bool(false),
            _ => return typed,
        };
        Typed::new(Native::Coalesce(vec![typed.expr, Native::Literal(scalar)]), typed.data_type)
    }

    /// Rows whose values are transformed.
    pub(super) fn transformed(&self, relation: &Relation) -> Result<Option<Plan>, BindError> {
        let field_type = |name: &str| self.field_type(name);
        let columns = Columns { relation, field_type: &field_type };
        let calls = transformations(self.outputs.iter().map(|output| &output.expr));
        let mut values: Vec<Typed> = Vec::new();
        let mut steps = Transforms::default();
        for call in &calls {
            let Expr::Call { args, .. } = call else { continue };
            let Some(arg) = args.first() else { continue };
            let typed = value(arg, &columns)?;
            // What is no number has no change, but a time.
            let is_elapsed = matches!(call, Expr::Call { name, .. } if name == "elapsed");
            let typed = match is_number(&typed.data_type) || is_elapsed {
                true => typed,
                false => Typed::new(converted(None, &DataType::Float64), DataType::Float64),
            };
            steps.add(call, self.tags.len() + 1 + values.len(), &typed.data_type, None);
            values.push(typed);
        }
        let fields = self.fields_named(relation);
        if fields.is_empty() {
            return Ok(None);
        }
        let input = where_any(relation.plan.clone(), fields);
        let (tags, ties) = (self.tag_columns(relation), self.ties(relation));
        let (width, count) = (tags.len(), values.len());
        let types: Vec<DataType> = values.iter().map(|typed| typed.data_type.clone()).collect();
        let after = width + 1 + count;
        let order: Vec<usize> = (0..width).chain([width]).chain(after..after + ties.len()).collect();
        let time = Typed::new(Native::Column(0), TIME);
        let all = tags.into_iter().chain([time]).chain(values).chain(ties).collect();
        let plan = sorted(project(input, all), order, self.descending);
        let (tags, time) = self.leading();
        let values = types.into_iter().zip(width + 1..).map(|(t, at)| Typed::new(Native::Column(at), t));
        let plan = project(plan, tags.into_iter().chain([time]).chain(values).collect());
        let (plan, made) = steps.step(plan, width);
        let plan = where_any(plan, made.iter().map(|(_, typed)| column_of(typed)));
        let (tags, time) = self.leading();
        let mut answers = Vec::with_capacity(self.outputs.len());
        for output in self.outputs {
            answers.push(value(&output.expr, &Made(&made, &[]))?);
        }
        Ok(Some(self.answer(plan, tags, time, answers)))
    }
}

/// The column that it is.
pub(super) fn column_of(typed: &Typed) -> usize {
    if let Native::Column(at) = typed.expr { at } else { 0 }
}

/// What calls have become, and what names mean beside a selector.
pub(super) struct Made<'a>(pub(super) &'a [(Expr, Typed)], pub(super) &'a [(Expr, Typed)]);

impl NamesOf for Made<'_> {
    fn name(&self, name: &str, cast: Option<CastType>) -> Option<Typed> {
        let wanted = Expr::Name { name: name.to_owned(), cast };
        self.1.iter().find(|(known, _)| *known == wanted).map(|(_, typed)| typed.clone())
    }

    fn call(&self, call: &Expr) -> Option<Typed> {
        self.0.iter().find(|(known, _)| known == call).map(|(_, typed)| typed.clone())
    }
}

/// The transformations in expressions, those inside of others first; each once.
pub(super) fn transformations<'a>(exprs: impl Iterator<Item = &'a Expr>) -> Vec<Expr> {
    let mut found: Vec<Expr> = Vec::new();
    for expr in exprs {
        let mut of_expr = Vec::new();
        expr.walk(&mut |expr| {
            if let Expr::Call { name, .. } = expr
                && find(name).is_some_and(|function| matches!(function.kind, Kind::Transformation(_)))
            {
                of_expr.push(expr);
            }
        });
        // Parents were visited first.
        for call in of_expr.into_iter().rev() {
            if !found.contains(call) {
                found.push(call.clone());
            }
        }
    }
    found
}

/// Transformations to make, in their order.
#[derive(Default)]
pub(super) struct Transforms {
    calls: Vec<(Expr, usize, DataType, Vec<f64>)>,
}

impl Transforms {
    /// A transformation of the column at a position, whose type is `of`. `window_ns`: width of the windows of values.
    pub(super) fn add(&mut self, call: &Expr, column: usize, of: &DataType, window_ns: Option<i64>) {
        let Expr::Call { name, args } = call else { return };
        let Some(Kind::Transformation(transforming)) = find(name).map(|function| function.kind) else { return };
        let number = match args.get(1) {
            Some(Expr::Literal(Literal::Integer(value) | Literal::Duration(value))) => *value as f64,
            _ => match transforming.second {
                Second::Unit => window_ns.unwrap_or(SECOND_NS) as f64,
                _ => 1.0,
            },
        };
        let mut parameters = vec![number];
        if let Second::Period(warming) = transforming.second {
            parameters.push(match args.get(2) {
                Some(Expr::Literal(Literal::Integer(hold))) => *hold as f64,
                _ => -1.0,
            });
            parameters.push(match (args.get(3), warming) {
                (Some(Expr::Literal(Literal::Text(warmup))), _) if warmup == "simple" => WARM_SIMPLE,
                (Some(Expr::Literal(Literal::Text(warmup))), _) if warmup == "exponential" => WARM_EXPONENTIAL,
                (_, Warming::AveragedOrNone) => WARM_NONE,
                _ => WARM_EXPONENTIAL,
            });
        }
        let gives = match transforming.transformation.results {
            Results::Double => DataType::Float64,
            Results::BigInt => DataType::Int64,
            Results::Value if *of == DataType::Int64 => DataType::Int64,
            Results::Value => DataType::Float64,
        };
        self.calls.push((call.clone(), column, gives, parameters));
    }

    /// Type of the transformation at a place.
    pub(super) fn data_type(&self, at: usize) -> &DataType {
        &self.calls[at].2
    }

    /// Number of them.
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// The plan with a column for each behind those of `input`, whose first `keys` make a series; and where each is.
    pub(super) fn step(self, input: Plan, keys: usize) -> (Plan, Vec<(Expr, Typed)>) {
        let width = input.schema().fields().len();
        let mut calls = Vec::with_capacity(self.calls.len());
        let mut made = Vec::with_capacity(self.calls.len());
        let mut types: Vec<DataType> = input.schema().fields().iter().map(|field| field.data_type().clone()).collect();
        for (at, (call, column, data_type, parameters)) in self.calls.into_iter().enumerate() {
            let Expr::Call { name, .. } = &call else { continue };
            let Some(Kind::Transformation(transforming)) = find(name).map(|function| function.kind) else { continue };
            types.push(data_type.clone());
            let transformation = transforming.transformation;
            calls.push(TransformCall { transformation, parameters, keys, column, data_type: data_type.clone() });
            made.push((call, Typed::new(Native::Column(width + at), data_type)));
        }
        let schema = schema_of(types.iter().map(|data_type| ("", data_type)));
        (series_step(input, SeriesStep::Transform(calls), schema), made)
    }
}
