//! A plan as text: one operator a line, inputs indented, columns by name. EXPLAIN prints it and tests compare it.

use std::fmt;

use arrow_schema::{DataType, Schema};
use tidewire_storage::schema::database_name;

use super::join::pairs;
use super::{JoinKind, JoinOn, Plan, ScanColumn, ScanNode, SeriesStep, SortKey};
use crate::expr::{AggregateCall, BinaryOp, Expr, Scalar};
use crate::types::interval::{Interval, format_interval};
use crate::types::timestamp::format_timestamp;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_plan(self, f, 0)
    }
}

fn write_plan(plan: &Plan, f: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
    if indent > 0 {
        write!(f, "\n{:width$}", "", width = indent * 2)?;
    }
    match plan {
        Plan::Scan(scan) => write_scan(scan, f)?,
        Plan::External(scan) => write!(f, "External: {} {}", scan.table.name, names(&scan.schema))?,
        Plan::Values { rows, schema } => write!(f, "Values: {} rows of {}", rows.len(), names(schema))?,
        Plan::Filter { input, predicate } => write!(f, "Filter: {}", show(predicate, input.schema()))?,
        Plan::Project { input, exprs, schema } => {
            write!(f, "Project: ")?;
            for (at, (expr, field)) in exprs.iter().zip(schema.fields()).enumerate() {
                let text = show(expr, input.schema()).to_string();
                let comma = if at == 0 { "" } else { ", " };
                write!(f, "{comma}{text}")?;
                if text != *field.name() {
                    write!(f, " AS {}", field.name())?;
                }
            }
        }
        Plan::Aggregate { input, group, calls, .. } => {
            write!(f, "Aggregate: group=[{}], calls=[", list(group, input.schema()))?;
            for (at, call) in calls.iter().enumerate() {
                let comma = if at == 0 { "" } else { ", " };
                write!(f, "{comma}{}", call_text(call, input.schema()))?;
            }
            write!(f, "]")?;
        }
        Plan::Sort { input, keys, fetch } => {
            let keys: Vec<_> = keys.iter().map(|key| key_text(key, input.schema())).collect();
            write!(f, "Sort: {}", keys.join(", "))?;
            if let Some(fetch) = fetch {
                write!(f, ", fetch={fetch}")?;
            }
        }
        Plan::Limit { skip, fetch, .. } => {
            write!(f, "Limit: skip={skip}")?;
            if let Some(fetch) = fetch {
                write!(f, ", fetch={fetch}")?;
            }
        }
        Plan::Distinct { .. } => write!(f, "Distinct")?,
        Plan::Series { step, .. } => write!(f, "{step}")?,
        Plan::Repeat { .. } => write!(f, "Repeat")?,
        Plan::Join { inputs, kind, on, .. } => write_join(inputs, *kind, on, f)?,
        Plan::Window { input, partition, order, calls, .. } => {
            let schema = input.schema();
            let order: Vec<_> = order.iter().map(|key| key_text(key, schema)).collect();
            let calls: Vec<_> = calls.iter().map(|call| call.text(schema)).collect();
            let (partition, order, calls) = (list(partition, schema), order.join(", "), calls.join(", "));
            write!(f, "Window: partition=[{partition}], order=[{order}], calls=[{calls}]")?;
        }
        Plan::Union { schema, .. } => write!(f, "Union: {}", names(schema))?,
    }
    plan.inputs().iter().try_for_each(|input| write_plan(input, f, indent + 1))
}

fn write_join(
    [left, right]: &[Plan; 2],
    kind: JoinKind,
    JoinOn { keys, filter }: &JoinOn,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    write!(f, "Join: {kind}")?;
    for (at, (a, b)) in keys.iter().enumerate() {
        let before = if at == 0 { " on " } else { " and " };
        write!(f, "{before}{} = {}", show(a, left.schema()), show(b, right.schema()))?;
    }
    match filter {
        Some(filter) => write!(f, ", filter: {}", show(filter, &pairs(left.schema(), right.schema()))),
        None => Ok(()),
    }
}

impl fmt::Display for SeriesStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fill(fill) => {
                f.write_str("Fill: ")?;
                match fill.with.split_first() {
                    None => f.write_str("Null")?,
                    Some((first, rest)) if rest.iter().all(|with| with == first) => write!(f, "{first:?}")?,
                    Some(_) => write!(f, "{:?}", fill.with)?,
                }
                write!(f, ", windows of {} ns", fill.windows.width_ns)
            }
            Self::Limit(limit) => {
                write!(f, "SeriesLimit: skip={}", limit.skip)?;
                limit.fetch.map_or(Ok(()), |fetch| write!(f, ", fetch={fetch}"))?;
                write!(f, ", series_skip={}", limit.series_skip)?;
                limit.series_fetch.map_or(Ok(()), |fetch| write!(f, ", series_fetch={fetch}"))
            }
            Self::Integral(integral) => write!(f, "Integral: by {} ns", integral.unit_ns),
            Self::Repair(repair) => write!(f, "Repair: {repair:?}"),
            Self::Forecast(forecast) => write!(f, "Forecast: {} columns", forecast.columns.len()),
            Self::Transform(calls) => {
                let names: Vec<_> = calls.iter().map(|call| call.transformation.name).collect();
                write!(f, "Transform: {}", names.join(", "))
            }
        }
    }
}

fn names(schema: &Schema) -> String {
    let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    format!("[{}]", names.join(", "))
}

fn write_scan(scan: &ScanNode, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "Scan: {}.{} {}", database_name(&scan.database), scan.table.name, names(&scan.schema))?;
    if scan.is_empty() {
        return write!(f, ", nothing");
    }
    let unit = crate::types::unit::arrow_unit(scan.table.time_unit);
    if scan.time_min != i64::MIN {
        write!(f, ", time>={}", format_timestamp(scan.time_min, unit))?;
    }
    if scan.time_max != i64::MAX {
        write!(f, ", time<={}", format_timestamp(scan.time_max, unit))?;
    }
    if let Some(filter) = &scan.tag_filter {
        let tag = |at: usize| {
            let column = scan.tag_columns.get(at).and_then(|id| scan.table.column_by_id(*id));
            column.map_or_else(|| format!("#{at}"), |column| column.name.to_string())
        };
        write!(f, ", tags: {}", Shown { expr: filter, name: &tag })?;
    }
    if let Some(filter) = &scan.filter {
        write!(f, ", filter: {}", show(filter, &scan.schema))?;
    }
    Ok(())
}

impl ScanNode {
    /// Whether no row can be in the time range.
    pub fn is_empty(&self) -> bool {
        self.time_min > self.time_max
    }

    /// Name of one of its columns.
    pub fn column_name(&self, column: ScanColumn) -> &str {
        match column {
            ScanColumn::Time => "time",
            ScanColumn::Tag(id) | ScanColumn::Field(id, _) => self.table.column_by_id(id).map_or("?", |c| &c.name),
        }
    }
}

fn list(exprs: &[Expr], schema: &Schema) -> String {
    let texts: Vec<_> = exprs.iter().map(|expr| show(expr, schema).to_string()).collect();
    texts.join(", ")
}

fn key_text(key: &SortKey, schema: &Schema) -> String {
    let order = if key.descending { "DESC" } else { "ASC" };
    let nulls = match (key.descending, key.nulls_first) {
        (false, true) => " NULLS FIRST",
        (true, false) => " NULLS LAST",
        _ => "",
    };
    format!("{} {order}{nulls}", show(&key.expr, schema))
}

fn call_text(call: &AggregateCall, schema: &Schema) -> String {
    let name = call.function.name;
    if call.args.is_empty() {
        return format!("{name}(*)");
    }
    let distinct = if call.distinct { "distinct " } else { "" };
    format!("{name}({distinct}{})", list(&call.args, schema))
}

/// `expr` with its columns named by `schema`.
pub fn show<'a>(expr: &'a Expr, schema: &'a Schema) -> impl fmt::Display + 'a {
    struct OverSchema<'a>(&'a Expr, &'a Schema);
    impl fmt::Display for OverSchema<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let name =
                |at: usize| self.1.fields().get(at).map_or_else(|| format!("#{at}"), |field| field.name().clone());
            Shown { expr: self.0, name: &name }.fmt(f)
        }
    }
    OverSchema(expr, schema)
}

/// `expr` with its columns named by `name`.
pub(crate) fn show_by(expr: &Expr, name: &dyn Fn(usize) -> String) -> String {
    Shown { expr, name }.to_string()
}

struct Shown<'a> {
    expr: &'a Expr,
    name: &'a dyn Fn(usize) -> String,
}

impl<'a> Shown<'a> {
    fn of(&self, expr: &'a Expr) -> Self {
        Self { expr, name: self.name }
    }

    fn list(&self, exprs: &'a [Expr]) -> String {
        let texts: Vec<_> = exprs.iter().map(|expr| self.of(expr).to_string()).collect();
        texts.join(", ")
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |negated: bool| if negated { "NOT " } else { "" };
        match self.expr {
            Expr::Column(at) => f.write_str(&(self.name)(*at)),
            Expr::Literal(value) => value.fmt(f),
            Expr::Binary { op, left, right } => {
                let operand = |expr: &'_ Expr| {
                    let text = Shown { expr, name: self.name }.to_string();
                    match expr {
                        // Chains of one associative operator read better without brackets.
                        Expr::Binary { op: inner, .. }
                            if !(inner == op && matches!(op, BinaryOp::And | BinaryOp::Or))
                                && binds(*inner) <= binds(*op) =>
                        {
                            format!("({text})")
                        }
                        _ => text,
                    }
                };
                write!(f, "{} {op} {}", operand(left), operand(right))
            }
            Expr::Not(operand) => write!(f, "NOT ({})", self.of(operand)),
            Expr::Negative(operand) => write!(f, "-({})", self.of(operand)),
            Expr::IsNull(operand) => write!(f, "{} IS NULL", self.of(operand)),
            Expr::IsNotNull(operand) => write!(f, "{} IS NOT NULL", self.of(operand)),
            Expr::Like { expr, pattern, negated, case_insensitive } => {
                let like = if *case_insensitive { "ILIKE" } else { "LIKE" };
                write!(f, "{} {}{like} {}", self.of(expr), not(*negated), self.of(pattern))
            }
            Expr::Matches { expr, pattern, negated } => {
                let text = Expr::Literal(Scalar::Str(pattern.text().into()));
                let text = Shown { expr: &text, name: self.name };
                write!(f, "{} {} {text}", self.of(expr), pattern.operator(*negated))
            }
            Expr::InList { expr, list, negated } => {
                write!(f, "{} {}IN ({})", self.of(expr), not(*negated), self.list(list))
            }
            Expr::InSet { expr, set, negated } => {
                let list: Vec<Expr> = set.constants().map(Expr::Literal).collect();
                write!(f, "{} {}IN ({})", self.of(expr), not(*negated), self.list(&list))
            }
            Expr::Case { branches, otherwise } => {
                write!(f, "CASE")?;
                for (condition, value) in branches {
                    write!(f, " WHEN {} THEN {}", self.of(condition), self.of(value))?;
                }
                if let Some(otherwise) = otherwise {
                    write!(f, " ELSE {}", self.of(otherwise))?;
                }
                write!(f, " END")
            }
            Expr::Cast { expr, to } => match to {
                DataType::Timestamp(unit, _) => write!(f, "CAST({} AS Timestamp({unit:?}))", self.of(expr)),
                other => write!(f, "CAST({} AS {other})", self.of(expr)),
            },
            Expr::Coalesce(operands) => write!(f, "coalesce({})", self.list(operands)),
            Expr::Call { function, args } => write!(f, "{}({})", function.name, self.list(args)),
        }
    }
}

/// How tightly an operator binds, loosest first.
fn binds(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Or => 0,
        BinaryOp::And => 1,
        BinaryOp::Eq | BinaryOp::NotEq | BinaryOp::Lt | BinaryOp::LtEq | BinaryOp::Gt | BinaryOp::GtEq => 2,
        BinaryOp::Concat => 3,
        BinaryOp::Plus | BinaryOp::Minus => 4,
        BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo => 5,
    }
}

impl fmt::Display for BinaryOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eq => "=",
            Self::NotEq => "!=",
            Self::Lt => "<",
            Self::LtEq => "<=",
            Self::Gt => ">",
            Self::GtEq => ">=",
            Self::And => "AND",
            Self::Or => "OR",
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Concat => "||",
        })
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::UInt(value) => value.fmt(f),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Str(text) => write!(f, "'{}'", text.replace('\'', "''")),
            Self::Time(value, unit) => f.write_str(&format_timestamp(*value, *unit)),
            Self::Interval { months: 0, days: 0, nanoseconds } if *nanoseconds > 0 => {
                f.write_str(&crate::types::duration::format_duration(Some(*nanoseconds)))
            }
            Self::Interval { months, days, nanoseconds } => {
                let interval = Interval { months: *months, days: *days, nanoseconds: *nanoseconds };
                f.write_str(&format_interval(interval))
            }
        }
    }
}
