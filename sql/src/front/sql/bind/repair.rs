//! `timestamp_repair`, `value_fill` and `value_repair`: the one item of a SELECT list, of which a time and a value come
//! out, one series of all rows.

use arrow_schema::DataType;
use sqlparser::ast::{self, SelectItem};

use super::arguments::arguments;
use super::binder::Binder;
use super::relation::{Relation, schema_of};
use super::scope::{Scope, ScopeColumn};
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::coerce::convert;
use crate::expr::{Expr, Scalar, Typed};
use crate::function::wrong_arguments;
use crate::plan::repair::{Bound, Distance, Fill, Repair, Start};
use crate::plan::{Plan, SeriesStep, SortKey};
use crate::types::unit::unit_ns;

/// The call that a SELECT is of, and its name.
pub(super) fn repair_call(select: &ast::Select) -> Option<(&ast::Function, &'static str)> {
    let [
        SelectItem::UnnamedExpr(ast::Expr::Function(function))
        | SelectItem::ExprWithAlias { expr: ast::Expr::Function(function), .. },
    ] = select.projection.as_slice()
    else {
        return None;
    };
    let [part] = function.name.0.as_slice() else { return None };
    let name = &part.as_ident()?.value;
    let known = ["timestamp_repair", "value_fill", "value_repair"];
    Some((function, known.into_iter().find(|known| name.eq_ignore_ascii_case(known))?))
}

impl Binder<'_> {
    /// The rows of such a SELECT over its `input`.
    pub(super) fn repair(
        &self,
        (function, name): (&ast::Function, &'static str),
        select: &ast::Select,
        (input, scope): (Plan, &Scope),
    ) -> Result<Relation, SqlError> {
        let is_grouped = !matches!(&select.group_by, ast::GroupByExpr::Expressions(keys, _) if keys.is_empty());
        if is_grouped || select.having.is_some() || select.distinct.is_some() || select.qualify.is_some() {
            return Err(SqlError::unsupported(format!("{name} beside GROUP BY, HAVING, DISTINCT or QUALIFY")));
        }
        let mut args = Vec::new();
        for arg in arguments(function)? {
            args.push(self.binder(scope, "SELECT").bind(arg)?);
        }
        let text = match args.get(2).map(Typed::constant) {
            None => String::new(),
            Some(Some(Scalar::Str(text))) => text.to_string(),
            Some(_) => return Err(wrong_arguments(name, &args)),
        };
        let (2 | 3, Some(time), Some(value)) = (args.len(), args.first(), args.get(1)) else {
            return Err(wrong_arguments(name, &args));
        };
        let DataType::Timestamp(unit, _) = time.data_type else { return Err(wrong_arguments(name, &args)) };
        if !matches!(value.data_type, DataType::Int64 | DataType::UInt64 | DataType::Float64) {
            return Err(wrong_arguments(name, &args));
        }
        let parameters = Parameters::of(&text)?;
        let repair = match name {
            "timestamp_repair" => parameters.times(1_000_000 / unit_ns(unit).min(1_000_000))?,
            "value_fill" => parameters.fill()?,
            _ => parameters.values()?,
        };
        let types = [time.data_type.clone(), DataType::Float64];
        let schema = schema_of(["time", "value"].into_iter().zip(&types));
        let exprs = vec![time.expr.clone(), convert(value.clone(), &DataType::Float64)?];
        let rows = Plan::Project { input: Box::new(input), exprs, schema: schema.clone() };
        let key = |at| SortKey { expr: Expr::Column(at), descending: false, nulls_first: false };
        let sorted = Plan::Sort { input: Box::new(rows), keys: vec![key(0), key(1)], fetch: None };
        let plan = Plan::Series { input: Box::new(sorted), step: SeriesStep::Repair(repair), schema };
        let [time_type, value_type] = types;
        let columns =
            vec![ScopeColumn::new("time".to_owned(), time_type), ScopeColumn::new("value".to_owned(), value_type)];
        Ok(Relation { plan, columns })
    }
}

/// `name=value&…`
struct Parameters<'t> {
    found: Vec<(&'t str, &'t str)>,
}

fn wrong(reason: String) -> SqlError {
    SqlErrorKind::RepairArgument(reason).into()
}

impl<'t> Parameters<'t> {
    fn of(text: &'t str) -> Result<Self, SqlError> {
        let mut found: Vec<(&str, &str)> = Vec::new();
        for part in text.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            if found.iter().any(|(known, _)| *known == name) {
                return Err(wrong(format!("Fail to parse argument: duplicate field `{name}`")));
            }
            found.push((name, value));
        }
        Ok(Self { found })
    }

    fn only(&self, names: &[&str]) -> Result<(), SqlError> {
        match self.found.iter().find(|(name, _)| !names.contains(name)) {
            Some((name, _)) => {
                let known: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
                let expected = if known.len() == 1 { "expected" } else { "expected one of" };
                Err(wrong(format!("Fail to parse argument: unknown field `{name}`, {expected} {}", known.join(", "))))
            }
            None => Ok(()),
        }
    }

    fn value(&self, name: &str) -> Option<&'t str> {
        self.found.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn number(&self, name: &str) -> Result<Option<f64>, SqlError> {
        let number = self.value(name).map(|text| match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(wrong(format!("Fail to parse argument: {name} is no number: {text}"))),
        });
        number.transpose()
    }

    /// Of times that count `per_ms` to a millisecond.
    fn times(&self, per_ms: i64) -> Result<Repair, SqlError> {
        self.only(&["method", "interval", "start_mode"])?;
        let method = self.value("method").map(str::to_ascii_lowercase);
        let mut distance = match method.as_deref() {
            None | Some("median") => Distance::Median,
            Some("mode") => Distance::Mode,
            Some("cluster") => Distance::Cluster,
            Some(other) => return Err(wrong(format!("Invalid method: {other}"))),
        };
        if let Some(text) = self.value("interval") {
            let interval = text.parse::<i64>().ok().and_then(|ms| ms.checked_mul(per_ms));
            distance = match interval {
                Some(interval) if interval > 0 => Distance::Given(interval),
                Some(_) => return Err(wrong("interval must be positive".to_owned())),
                None => return Err(wrong(format!("Fail to parse argument: interval is no number: {text}"))),
            };
        }
        let start = match self.value("start_mode").map(str::to_ascii_lowercase).as_deref() {
            None | Some("mode") => Start::Mode,
            Some("linear") => Start::Linear,
            Some(other) => return Err(wrong(format!("Invalid start mode: {other}"))),
        };
        Ok(Repair::Times { distance, start })
    }

    fn fill(&self) -> Result<Repair, SqlError> {
        self.only(&["method"])?;
        Ok(Repair::Fill(match self.value("method").map(str::to_ascii_lowercase).as_deref() {
            None | Some("linear") => Fill::Linear,
            Some("mean") => Fill::Mean,
            Some("previous") => Fill::Previous,
            Some("ar") => Fill::AutoRegression,
            Some("ma") => Fill::MovingAverage,
            Some(other) => return Err(wrong(format!("Invalid fill method: {other}"))),
        }))
    }

    fn values(&self) -> Result<Repair, SqlError> {
        self.only(&["method", "min_speed", "max_speed", "center", "sigma"])?;
        Ok(Repair::Values(match self.value("method").map(str::to_ascii_lowercase).as_deref() {
            None | Some("screen") => Bound::Speed { min: self.number("min_speed")?, max: self.number("max_speed")? },
            Some("lsgreedy") => Bound::Acceleration { center: self.number("center")?, sigma: self.number("sigma")? },
            Some(other) => return Err(wrong(format!("Invalid repair method: {other}"))),
        }))
    }
}
