//! `time_window_gapfill(time, interval[, origin])` as a key of GROUP BY: a row for every window that WHERE leaves, and
//! for each of the other keys that has any row there. `locf(x)` and `interpolate(x)`, over aggregates, say what stands
//! where a window has none; what is in neither is null there.
//!
//! ```text
//! groups → project: other keys, time, aggregates, what is filled → order by keys and time → fill → keys in order
//! ```
//!
//! HAVING and what comes after it see the rows that were filled in.

use arrow_schema::DataType;
use sqlparser::ast;

use super::arguments::arguments;
use super::expr::ExprBinder;
use super::gaps::FILLED_AT;
use super::heading;
use super::relation::schema_of;
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::coerce::convert;
use crate::expr::conjunction::split;
use crate::expr::fold::fold_constants;
use crate::expr::{Expr, Typed};
use crate::function::wrong_arguments;
use crate::optimize::time_range::time_bounds;
use crate::plan::series::{Fill, FillWith};
use crate::plan::{Plan, SeriesStep, SortKey};
use crate::types::tiling::Tiling;
use crate::types::unit::unit_ns;
use crate::types::windows::Windows;

/// How a call fills, by its name.
pub(super) fn filling(name: &str) -> Option<FillWith> {
    match name {
        "locf" => Some(FillWith::Previous),
        "interpolate" => Some(FillWith::Linear),
        _ => None,
    }
}

impl ExprBinder<'_> {
    /// `time_window_gapfill(time, interval[, origin])`
    pub(super) fn gap_fill(&mut self, function: &ast::Function) -> Result<Typed, SqlError> {
        const NAME: &str = "time_window_gapfill";
        let mut args = arguments(function)?.into_iter().map(|arg| self.bind(arg)).collect::<Result<Vec<_>, _>>()?;
        if !(2..=3).contains(&args.len()) {
            return Err(wrong_arguments(NAME, &args));
        }
        let time = args[0].expr.clone();
        args.swap(0, 1);
        let bound = self.scalar("date_bin", args)?;
        let Some(gaps) = self.gaps else {
            return Err(SqlErrorKind::AggregateMisplaced { name: NAME.to_owned(), clause: self.clause }.into());
        };
        match gaps.borrow_mut().key.replace((bound.expr.clone(), time)) {
            Some((other, _)) if other != bound.expr => Err(SqlErrorKind::GapFill("two of them").into()),
            _ => Ok(bound),
        }
    }

    /// `locf(x)` and `interpolate(x)`
    pub(super) fn filled(&mut self, function: &ast::Function, with: FillWith) -> Result<Typed, SqlError> {
        let name = function.name.to_string().to_ascii_lowercase();
        let args = arguments(function)?.into_iter().map(|arg| self.bind(arg)).collect::<Result<Vec<_>, _>>()?;
        let refused = wrong_arguments(&name, &args);
        let Ok([mut value]) = <[Typed; 1]>::try_from(args) else { return Err(refused) };
        if with == FillWith::Linear {
            match value.data_type {
                DataType::Int64 | DataType::Float64 => {}
                DataType::UInt64 => value = Typed::new(convert(value, &DataType::Float64)?, DataType::Float64),
                _ => return Err(refused),
            }
        }
        // What is not there yet where gaps are filled.
        let mut is_later = false;
        value.expr.for_each_column(&mut |at| is_later |= at >= FILLED_AT);
        if is_later {
            return Err(SqlErrorKind::GapFill("over a window, a query or another of them").into());
        }
        let words = heading::call(function, self.scope);
        let data_type = value.data_type.clone();
        let Some(gaps) = self.gaps else {
            return Err(SqlErrorKind::AggregateMisplaced { name, clause: self.clause }.into());
        };
        let mut gaps = gaps.borrow_mut();
        let known = gaps.filled.iter().position(|(known, by, _)| known.expr == value.expr && *by == with);
        let at = known.unwrap_or_else(|| {
            gaps.filled.push((value, with, words));
            gaps.filled.len() - 1
        });
        Ok(Typed::new(Expr::Column(FILLED_AT + at), data_type))
    }
}

/// Windows to fill, and from where to where.
pub(super) struct Range {
    pub(super) windows: Windows,
    pub(super) first: i64,
    pub(super) last: i64,
}

/// The windows of the bucket `key` of `time` for which `predicate`, what WHERE says, can be true.
pub(super) fn range(
    key: &Expr,
    time: &Expr,
    predicate: Option<&Expr>,
    data_type: &DataType,
) -> Result<Range, SqlError> {
    let unbounded = || SqlError::from(SqlErrorKind::GapFill("WHERE does not say from when to when"));
    let (DataType::Timestamp(unit, _), Expr::Column(at)) = (data_type, time) else {
        return Err(SqlErrorKind::GapFill("a time that is no column").into());
    };
    let Some((Tiling::Fixed { width, origin }, _)) = key.tiling(*unit) else {
        return Err(SqlErrorKind::GapFill("a width that is no constant").into());
    };
    let (mut first, mut last) = (i64::MIN, i64::MAX);
    for conjunct in predicate.map(|predicate| split(predicate.clone())).unwrap_or_default() {
        if let Some((min, max)) = time_bounds(&fold_constants(conjunct), *at) {
            (first, last) = (first.max(min), last.min(max));
        }
    }
    if first == i64::MIN || last == i64::MAX {
        return Err(unbounded());
    }
    let per_unit = unit_ns(*unit);
    let ns = |value: i64| value.checked_mul(per_unit).ok_or_else(unbounded);
    let width_ns = ns(width)?;
    let windows = Windows { width_ns, offset_ns: ns(origin)?.rem_euclid(width_ns), zone: None };
    let (first, last) = (windows.start(ns(first)?), windows.start(ns(last)?));
    Ok(Range { windows, first, last })
}

/// `plan`, whose columns are `keys` keys with the time at `time`, then others, with what is `filled` behind them and a
/// row for each window.
pub(super) fn fill(
    plan: Plan,
    (keys, time): (usize, usize),
    filled: &[(Expr, FillWith, String)],
    range: Range,
) -> Plan {
    let own = plan.schema().clone();
    let width = own.fields().len();
    // The time behind the other keys.
    let order: Vec<usize> = (0..keys).filter(|at| *at != time).chain([time]).chain(keys..width).collect();
    let types: Vec<DataType> = filled.iter().map(|(expr, ..)| expr.data_type(&own)).collect();
    let names = filled.iter().map(|(.., name)| name.as_str());
    let named = order.iter().map(|at| (own.field(*at).name().as_str(), own.field(*at).data_type()));
    let schema = schema_of(named.chain(names.clone().zip(&types)));
    let exprs = order.iter().map(|at| Expr::Column(*at)).chain(filled.iter().map(|(expr, ..)| expr.clone())).collect();
    let plan = Plan::Project { input: Box::new(plan), exprs, schema: schema.clone() };
    let sort = (0..keys).map(|at| SortKey { expr: Expr::Column(at), descending: false, nulls_first: false }).collect();
    let plan = Plan::Sort { input: Box::new(plan), keys: sort, fetch: None };
    let with = (keys..width).map(|_| FillWith::Null).chain(filled.iter().map(|(_, with, _)| *with)).collect();
    let Range { windows, first, last } = range;
    let (first, last) = (Some(first), Some(last));
    let step = SeriesStep::Fill(Fill { keys: keys - 1, windows, first, last, descending: false, with });
    let plan = Plan::Series { input: Box::new(plan), step, schema };
    // As they were, and what is filled behind them.
    let places = (0..width).map(|at| order.iter().position(|from| *from == at).unwrap_or(at));
    let exprs = places.chain(width..width + filled.len()).map(Expr::Column).collect();
    let before = own.fields().iter().map(|field| (field.name().as_str(), field.data_type()));
    Plan::Project { input: Box::new(plan), exprs, schema: schema_of(before.chain(names.zip(&types))) }
}
