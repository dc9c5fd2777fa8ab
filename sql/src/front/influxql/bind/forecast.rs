//! `holt_winters`: how the windows of a SELECT go on.

use arrow_schema::DataType;

use super::error::BindError;
use super::plan::{project, series_step};
use super::relation::{TIME, schema_of};
use super::select::Setting;
use crate::expr::{Expr as Native, Typed};
use crate::front::influxql::ast::{Expr, Literal};
use crate::function::forecast::{Forecasting, SEASON_MAX, WINDOWS_MAX};
use crate::function::influxql::{Kind, find};
use crate::plan::series::Forecast;
use crate::plan::{Plan, SeriesStep};

/// Whether a call of this name predicts, and if so whether it shows the fit.
fn predicts(name: &str) -> Option<bool> {
    match find(name)?.kind {
        Kind::Forecast { with_fit } => Some(with_fit),
        _ => None,
    }
}

/// Whether something is computed outside of all predictions.
fn computes_outside(expr: &Expr) -> bool {
    match expr {
        Expr::Call { name, .. } if predicts(name).is_some() => false,
        Expr::Call { name, .. } => match find(name).map(|function| function.kind) {
            Some(Kind::Math { .. }) => expr.children().into_iter().any(computes_outside),
            _ => true,
        },
        expr => expr.children().into_iter().any(computes_outside),
    }
}

impl Setting<'_> {
    /// The predictions among what is selected, each once.
    pub(super) fn predictions(&self) -> Result<Vec<Expr>, BindError> {
        let mut found: Vec<Expr> = Vec::new();
        for output in self.outputs {
            output.expr.walk(&mut |expr| {
                if let Expr::Call { name, .. } = expr
                    && predicts(name).is_some()
                    && !found.contains(expr)
                {
                    found.push(expr.clone());
                }
            });
        }
        match !found.is_empty() && self.outputs.iter().any(|output| computes_outside(&output.expr)) {
            true => Err(BindError::Unsupported("holt_winters() beside other functions")),
            false => Ok(found),
        }
    }

    /// The plan of predictions over one whose rows are tags, a time and values, of which `known` says where each is:
    /// tags, time, and a column for each prediction.
    pub(super) fn predicted(
        &self,
        input: Plan,
        calls: Vec<Expr>,
        known: &[(Expr, Typed)],
    ) -> Result<(Plan, Vec<(Expr, Typed)>), BindError> {
        let Some(windows) = &self.windows else { return Err(BindError::Unsupported("holt_winters() without windows")) };
        let (tags, time) = self.leading();
        let keys = tags.len();
        let (mut columns, mut inputs, mut made) = (Vec::new(), Vec::new(), Vec::new());
        for call in calls {
            let Expr::Call { name, args } = &call else { continue };
            let (with_fit, [arg, Expr::Literal(Literal::Integer(count)), Expr::Literal(Literal::Integer(season))]) =
                (predicts(name) == Some(true), args.as_slice())
            else {
                continue;
            };
            let bounded = |what: &str, asked: i64, most: usize| match usize::try_from(asked) {
                Ok(asked) if asked <= most => Ok(asked),
                _ => Err(BindError::Select(format!("{what} arg to {name} must be at most {most}, got {asked}"))),
            };
            columns.push(Forecasting {
                windows: bounded("second", *count, WINDOWS_MAX)?,
                season: bounded("third", *season, SEASON_MAX)?,
                with_fit,
                width_ns: windows.width_ns,
            });
            let Some((_, of)) = known.iter().find(|(known, _)| known == arg) else {
                return Err(BindError::Unsupported("this argument of holt_winters()"));
            };
            inputs.push(of.clone());
            made.push((call, Typed::new(Native::Column(keys + made.len() + 1), DataType::Float64)));
        }
        let plan = project(input, tags.into_iter().chain([time]).chain(inputs).collect());
        let types = (0..keys).map(|_| DataType::Utf8).chain([TIME]).chain(columns.iter().map(|_| DataType::Float64));
        let types: Vec<DataType> = types.collect();
        let schema = schema_of(types.iter().map(|data_type| ("", data_type)));
        Ok((series_step(plan, SeriesStep::Forecast(Forecast { keys, columns }), schema), made))
    }
}
