//! What can be said of a SELECT before the databases are known: whether its fields, functions and dimensions go
//! together, and what they make of it.

use super::condition::Clock;
use super::error::BindError;
use super::reduce::{is_constant, reduce};
use crate::front::influxql::ast::{ColumnSet, Expr, Field, Fill, Literal, Regex, Select};
use crate::front::influxql::text::duration::duration_text;
use crate::function::influxql::{Before, Fold, Kind, Rows, Second, Warming, find};

/// A SELECT that is sound in itself.
#[derive(Debug)]
pub(super) struct Compiled {
    /// What is selected, without the time.
    pub(super) fields: Vec<Field>,
    /// What the time is called.
    pub(super) time_name: String,
    /// Width and offset of windows of time.
    pub(super) interval: Option<(i64, i64)>,
    /// Tags of GROUP BY.
    pub(super) dimensions: Vec<DimensionName>,
    /// What kind of rows it gives.
    pub(super) shape: Shape,
    /// Windows before the range whose values count.
    pub(super) windows_before: i64,
    /// The fields among them that top and bottom tell apart.
    pub(super) row_tags: Vec<Expr>,
}

/// A tag of GROUP BY.
#[derive(Debug, Clone)]
pub(super) enum DimensionName {
    /// The one of this name.
    Name(String),
    /// All.
    All,
    /// Those that match.
    Regex(Regex),
}

/// What kind of rows a SELECT gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One for each row.
    Raw,
    /// One for each group and window.
    Aggregate,
    /// The same for one selector alone: its row has a time, and other columns.
    Selector,
    /// One for each different value.
    Distinct,
    /// The area of each group.
    Integral,
    /// Some of each group.
    Rows,
    /// One for each row, computed from it and those before.
    Transformed,
}

struct Compiler {
    interval: Option<(i64, i64)>,
    inherited: bool,
    limit: u64,
    calls: usize,
    has_columns: bool,
    only_selectors: bool,
    has_distinct: bool,
    rows: Option<&'static str>,
    raw_transformation: bool,
    has_integral: bool,
    extra_fields: Vec<Field>,
    windows_before: i64,
}

/// Compiles; `inherited` are the windows of the SELECT around it.
pub(super) fn compile(select: &Select, clock: Clock<'_>, inherited: Option<(i64, i64)>) -> Result<Compiled, BindError> {
    let (own, dimensions) = dimensions(select, clock)?;
    let mut compiler = Compiler {
        interval: own.or(inherited),
        inherited: own.is_none() && inherited.is_some(),
        limit: select.limit,
        calls: 0,
        has_columns: false,
        only_selectors: true,
        has_distinct: false,
        rows: None,
        raw_transformation: false,
        has_integral: false,
        extra_fields: Vec::new(),
        windows_before: 0,
    };
    let (mut fields, mut row_tags, mut time_name) = (Vec::new(), Vec::new(), "time".to_owned());
    for Field { expr, alias } in &select.fields {
        if matches!(expr.bare(), Expr::Name { name, .. } if name == "time") {
            time_name = alias.clone().unwrap_or(time_name);
            continue;
        }
        let expr = reduce(expr);
        compiler.expr(&expr, true)?;
        fields.push(Field { expr, alias: alias.clone() });
        row_tags.extend(compiler.extra_fields.iter().map(|field| field.expr.clone()));
        fields.append(&mut compiler.extra_fields);
    }
    let refused = |words: &str| Err(BindError::select(words));
    if fields.is_empty() {
        return refused("at least 1 non-time field must be queried");
    }
    if let Some(name) = compiler.rows
        && compiler.calls > 1
    {
        return Err(BindError::select(format!("selector function {name}() cannot be combined with other functions")));
    }
    if compiler.calls == 0 {
        match select.fill {
            Some(Fill::None) => return refused("fill(none) must be used with a function"),
            Some(Fill::Linear) => return refused("fill(linear) must be used with a function"),
            _ if own.is_some() => return refused("GROUP BY requires at least one aggregate function"),
            _ => {}
        }
    }
    if compiler.has_distinct && (compiler.calls != 1 || compiler.has_columns) {
        return refused("aggregate function distinct() cannot be combined with other functions or fields");
    }
    if compiler.has_columns && compiler.calls > 0 {
        if !compiler.only_selectors {
            return refused("mixing aggregate and non-aggregate queries is not supported");
        }
        if compiler.calls > 1 {
            return refused("mixing multiple selector functions with tags or fields is not supported");
        }
    }
    let shape = match () {
        () if compiler.calls == 0 => Shape::Raw,
        () if compiler.rows.is_some() => Shape::Rows,
        () if compiler.has_distinct => Shape::Distinct,
        () if compiler.has_integral => Shape::Integral,
        () if compiler.raw_transformation => Shape::Transformed,
        () if compiler.only_selectors && compiler.calls == 1 => Shape::Selector,
        () => Shape::Aggregate,
    };
    let interval = compiler.interval.filter(|_| !matches!(shape, Shape::Raw | Shape::Transformed));
    let windows_before = compiler.windows_before;
    Ok(Compiled { fields, time_name, interval, dimensions, shape, windows_before, row_tags })
}

/// Width and offset of windows.
type Interval = (i64, i64);

fn dimensions(select: &Select, clock: Clock<'_>) -> Result<(Option<Interval>, Vec<DimensionName>), BindError> {
    let refused = |words: &str| Err(BindError::select(words));
    let (mut interval, mut names) = (None, Vec::new());
    for dimension in &select.dimensions {
        match dimension.0.bare() {
            Expr::Name { name, .. } if name.eq_ignore_ascii_case("time") => {
                return refused("time() is a function and expects at least one argument");
            }
            Expr::Name { name, .. } => names.push(DimensionName::Name(name.clone())),
            Expr::Wildcard(_) => names.push(DimensionName::All),
            Expr::Regex(regex) => names.push(DimensionName::Regex(Regex::clone(regex))),
            Expr::Call { name, .. } if name != "time" => return refused("only time() calls allowed in dimensions"),
            Expr::Call { args, .. } => {
                if !(1..=2).contains(&args.len()) {
                    return refused("time dimension expected 1 or 2 arguments");
                }
                let Expr::Literal(Literal::Duration(width)) = args[0].bare() else {
                    return refused("time dimension must have duration argument");
                };
                if interval.is_some() {
                    return refused("multiple time dimensions not allowed");
                }
                let whole = |ns: i64| if *width > 0 { ns % width } else { 0 };
                let offset = match args.get(1).map(Expr::bare) {
                    None => 0,
                    Some(Expr::Literal(Literal::Duration(ns))) => whole(*ns),
                    Some(Expr::Call { name, args }) if name == "now" && args.is_empty() => whole(clock.now_ns),
                    Some(Expr::Call { name, .. }) if name == "now" => {
                        return refused("time dimension offset now() function requires no arguments");
                    }
                    Some(Expr::Call { .. }) => return refused("time dimension offset function must be now()"),
                    Some(_) => return refused("time dimension offset must be duration or now()"),
                };
                interval = Some((*width, offset));
            }
            _ => return refused("only time and tag dimensions allowed"),
        }
    }
    // Windows of no width are none.
    Ok((interval.filter(|(width, _)| *width > 0), names))
}

/// How Go calls the type of an expression, which InfluxDB's sentences show.
fn go_type(expr: &Expr) -> &'static str {
    match expr {
        Expr::Literal(Literal::Text(_)) => "*influxql.StringLiteral",
        Expr::Literal(Literal::Integer(_)) => "*influxql.IntegerLiteral",
        Expr::Literal(Literal::Unsigned(_)) => "*influxql.UnsignedLiteral",
        Expr::Literal(Literal::Number(_)) => "*influxql.NumberLiteral",
        Expr::Literal(Literal::Bool(_)) => "*influxql.BooleanLiteral",
        Expr::Literal(Literal::Duration(_)) => "*influxql.DurationLiteral",
        Expr::Name { .. } => "*influxql.VarRef",
        Expr::Call { .. } => "*influxql.Call",
        Expr::Distinct(_) => "*influxql.Distinct",
        Expr::Wildcard(_) => "*influxql.Wildcard",
        Expr::Regex(_) => "*influxql.RegexLiteral",
        Expr::Paren(_) => "*influxql.ParenExpr",
        Expr::Chain { .. } => "*influxql.BinaryExpr",
    }
}

/// `name` with as many arguments as it takes.
fn count_of(name: &str, args: &[Expr], least: usize, most: usize) -> Result<(), BindError> {
    if (least..=most).contains(&args.len()) {
        return Ok(());
    }
    let expected = match (least, most) {
        (least, usize::MAX) => format!("at least {least}"),
        (least, most) if least == most => least.to_string(),
        (least, most) => format!("at least {least} but no more than {most}"),
    };
    let got = args.len();
    Err(BindError::select(format!("invalid number of arguments for {name}, expected {expected}, got {got}")))
}

impl Compiler {
    /// An expression of a field. `wildcards`: it may be one.
    fn expr(&mut self, expr: &Expr, wildcards: bool) -> Result<(), BindError> {
        let refused = |words: &str| Err(BindError::select(words));
        match expr {
            Expr::Name { .. } => self.has_columns = true,
            Expr::Wildcard(_) if !wildcards => return refused("unable to use wildcard in a binary expression"),
            Expr::Regex(_) if !wildcards => return refused("unable to use regex in a binary expression"),
            Expr::Wildcard(_) | Expr::Regex(_) => self.has_columns = true,
            Expr::Paren(inner) => self.expr(inner, wildcards)?,
            Expr::Literal(_) => return refused("field must contain at least one variable"),
            Expr::Distinct(name) => {
                self.calls += 1;
                self.distinct(&[Expr::name(name.clone())], false)?;
            }
            Expr::Chain { first, rest } => {
                let operands: Vec<&Expr> = std::iter::once(&**first).chain(rest.iter().map(|(_, e)| e)).collect();
                if operands.iter().all(|operand| is_constant(operand)) {
                    return refused("cannot perform a binary expression on two literals");
                }
                for operand in operands.into_iter().filter(|operand| !is_constant(operand)) {
                    self.expr(operand, false)?;
                }
            }
            Expr::Call { name, args } => self.call(name, args, wildcards)?,
        }
        Ok(())
    }

    fn call(&mut self, name: &str, args: &[Expr], wildcards: bool) -> Result<(), BindError> {
        let Some(function) = find(name) else {
            return Err(BindError::select(format!("undefined function {name}()")));
        };
        if let Kind::Math { arguments, .. } = function.kind {
            count_of(name, args, arguments, arguments)?;
            if args.iter().all(is_constant) {
                return Err(BindError::select("field must contain at least one variable"));
            }
            for arg in args.iter().filter(|arg| !is_constant(arg)) {
                self.expr(arg, wildcards)?;
            }
            return Ok(());
        }
        self.calls += 1;
        match function.kind {
            Kind::Aggregate(fold) => {
                self.only_selectors = false;
                count_of(name, args, 1, 1)?;
                match (&args[0], fold) {
                    (Expr::Call { name, args }, Fold::Count) if name == "distinct" => self.distinct(args, true),
                    (Expr::Distinct(name), Fold::Count) => self.distinct(&[Expr::name(name.clone())], true),
                    (arg, _) => symbol(function.name, arg, wildcards),
                }
            }
            Kind::Selector(Fold::Percentile) => {
                count_of(name, args, 2, 2)?;
                symbol(function.name, &args[0], wildcards)?;
                match args[1] {
                    Expr::Literal(Literal::Integer(_) | Literal::Number(_)) => Ok(()),
                    _ => Err(BindError::select("expected float argument in percentile()")),
                }
            }
            Kind::Selector(_) => {
                count_of(name, args, 1, 1)?;
                symbol(function.name, &args[0], wildcards)
            }
            Kind::Distinct => self.distinct(args, false),
            Kind::Integral => {
                count_of(name, args, 1, 2)?;
                match args.get(1) {
                    None => {}
                    Some(Expr::Literal(Literal::Duration(ns))) if *ns > 0 => {}
                    Some(Expr::Literal(Literal::Duration(ns))) => {
                        let words = format!("duration argument must be positive, got {}", duration_text(*ns));
                        return Err(BindError::Select(words));
                    }
                    Some(_) => return Err(BindError::select("second argument must be a duration")),
                }
                self.only_selectors = false;
                self.has_integral = true;
                symbol(function.name, &args[0], wildcards)
            }
            Kind::Rows(Rows::Sample) => {
                count_of(name, args, 2, 2)?;
                symbol(function.name, &args[0], wildcards)?;
                self.rows = Some("sample");
                match args[1] {
                    Expr::Literal(Literal::Integer(size)) if size > 0 => Ok(()),
                    Expr::Literal(Literal::Integer(size)) => {
                        Err(BindError::select(format!("sample window must be greater than 1, got {size}")))
                    }
                    _ => Err(BindError::select("expected integer argument in sample()")),
                }
            }
            Kind::Rows(_) => self.top_or_bottom(function.name, args),
            Kind::Transformation(transforming) => {
                let (least, most) = match transforming.second {
                    Second::None => (1, 1),
                    Second::Unit | Second::Elapsed => (1, 2),
                    Second::Count => (2, 2),
                    Second::Period(Warming::Fixed) => (2, 3),
                    Second::Period(_) => (2, 4),
                };
                count_of(name, args, least, most)?;
                match transforming.second {
                    Second::Period(warming) => technical(name, args, warming)?,
                    second => self.second(name, args.get(1), second)?,
                }
                self.only_selectors = false;
                self.windows_before = self.windows_before.max(match (transforming.before, args.get(1)) {
                    (Before::None, _) => 0,
                    (Before::Count, Some(Expr::Literal(Literal::Integer(count)))) => *count,
                    _ => 1,
                });
                self.transformed(name, &args[0], wildcards)
            }
            Kind::Forecast { .. } => self.forecast(name, args, wildcards),
            Kind::Math { .. } => Ok(()),
        }
    }

    fn forecast(&mut self, name: &str, args: &[Expr], wildcards: bool) -> Result<(), BindError> {
        let refused = |words: String| Err(BindError::Select(words));
        count_of(name, args, 3, 3)?;
        match args[1] {
            Expr::Literal(Literal::Integer(windows)) if windows > 0 => {}
            Expr::Literal(Literal::Integer(windows)) => {
                return refused(format!("second arg to {name} must be greater than 0, got {windows}"));
            }
            _ => return refused(format!("expected integer argument as second arg in {name}")),
        }
        match args[2] {
            Expr::Literal(Literal::Integer(season)) if season >= 0 => {}
            Expr::Literal(Literal::Integer(season)) => {
                return refused(format!("third arg to {name} cannot be negative, got {season}"));
            }
            _ => return refused(format!("expected integer argument as third arg in {name}")),
        }
        self.only_selectors = false;
        match &args[0] {
            arg @ Expr::Call { .. } => self.transformed(name, arg, wildcards),
            _ => refused(format!("must use aggregate function with {name}")),
        }
    }

    /// The second argument of a transformation.
    fn second(&self, name: &str, arg: Option<&Expr>, second: Second) -> Result<(), BindError> {
        let Some(arg) = arg else { return Ok(()) };
        let refused = |words: String| Err(BindError::Select(words));
        match (second, arg) {
            (Second::Count, Expr::Literal(Literal::Integer(size))) if *size > 1 => Ok(()),
            (Second::Count, Expr::Literal(Literal::Integer(size))) => {
                refused(format!("{name} window must be greater than 1, got {size}"))
            }
            (Second::Count, other) => {
                refused(format!("second argument for {name} must be an integer, got {}", go_type(other)))
            }
            (_, Expr::Literal(Literal::Duration(ns))) if *ns > 0 => Ok(()),
            (_, Expr::Literal(Literal::Duration(ns))) => {
                refused(format!("duration argument must be positive, got {}", duration_text(*ns)))
            }
            (_, other) => refused(format!("second argument to {name} must be a duration, got {}", go_type(other))),
        }
    }

    /// What a transformation is of.
    fn transformed(&mut self, name: &str, arg: &Expr, wildcards: bool) -> Result<(), BindError> {
        match arg {
            Expr::Call { name: inner, args } => {
                if self.interval.is_none() {
                    return Err(BindError::select(format!("{name} aggregate requires a GROUP BY interval")));
                }
                let before = self.calls;
                let outcome = match inner.as_str() {
                    "distinct" => self.distinct(args, true),
                    _ => self.expr(arg, wildcards),
                };
                // Calls inside of it are no calls of their own.
                self.calls = before;
                outcome
            }
            arg => {
                if self.interval.is_some() && !self.inherited {
                    let words = format!("aggregate function required inside the call to {name}");
                    return Err(BindError::select(words));
                }
                self.raw_transformation = true;
                symbol(name, arg, wildcards)
            }
        }
    }

    fn distinct(&mut self, args: &[Expr], nested: bool) -> Result<(), BindError> {
        self.only_selectors = false;
        match args {
            [] => Err(BindError::select("distinct function requires at least one argument")),
            [Expr::Name { .. }] => {
                self.has_distinct |= !nested;
                Ok(())
            }
            [_] => Err(BindError::select("expected field argument in distinct()")),
            _ => Err(BindError::select("distinct function can only have one argument")),
        }
    }

    fn top_or_bottom(&mut self, name: &'static str, args: &[Expr]) -> Result<(), BindError> {
        let refused = |words: String| Err(BindError::Select(words));
        if let Some(known) = self.rows {
            return refused(format!("selector function {known}() cannot be combined with other functions"));
        }
        count_of(name, args, 2, usize::MAX)?;
        let (Some(first), Some((last, tags))) = (args.first(), args[1..].split_last()) else { return Ok(()) };
        match last {
            Expr::Literal(Literal::Integer(limit)) if *limit <= 0 => {
                return refused(format!("limit ({limit}) in {name} function must be at least 1"));
            }
            Expr::Literal(Literal::Integer(limit)) if self.limit > 0 && *limit as u64 > self.limit => {
                return refused(format!(
                    "limit ({limit}) in {name} function can not be larger than the LIMIT ({}) in the select statement",
                    self.limit
                ));
            }
            Expr::Literal(Literal::Integer(_)) => {}
            other => return refused(format!("expected integer as last argument in {name}(), found {other}")),
        }
        if !matches!(first, Expr::Name { .. }) {
            return refused(format!("expected first argument to be a field in {name}(), found {first}"));
        }
        for tag in tags {
            if !matches!(tag, Expr::Name { .. }) {
                return refused(format!("only fields or tags are allowed in {name}(), found {tag}"));
            }
            self.extra_fields.push(Field { expr: tag.clone(), alias: None });
        }
        self.rows = Some(name);
        Ok(())
    }
}

/// The arguments of technical analysis after the first.
fn technical(name: &str, args: &[Expr], warming: Warming) -> Result<(), BindError> {
    let refused = |words: &str| Err(BindError::select(format!("{name} {words}")));
    match args.get(1) {
        Some(Expr::Literal(Literal::Integer(period))) if *period >= 1 => {}
        Some(Expr::Literal(Literal::Integer(_))) => return refused("period must be greater than or equal to 1"),
        _ => return refused("period must be an integer"),
    }
    match args.get(2) {
        None => {}
        Some(Expr::Literal(Literal::Integer(hold))) if *hold >= -1 => {}
        Some(Expr::Literal(Literal::Integer(_))) => return refused("hold period must be greater than or equal to 0"),
        Some(_) => return refused("hold period must be an integer"),
    }
    match args.get(3) {
        None => Ok(()),
        Some(Expr::Literal(Literal::Text(warmup))) => match (warmup.as_str(), warming) {
            ("exponential" | "simple", _) | ("none", Warming::AveragedOrNone) => Ok(()),
            (_, Warming::AveragedOrNone) => refused("warmup type must be one of: 'none' 'exponential' 'simple'"),
            _ => refused("warmup type must be one of: 'exponential' 'simple'"),
        },
        Some(_) => refused("warmup type must be a string"),
    }
}

/// The argument of a function of one field.
fn symbol(name: &str, arg: &Expr, wildcards: bool) -> Result<(), BindError> {
    match arg {
        Expr::Name { .. } => Ok(()),
        Expr::Wildcard(ColumnSet::Tags) => Err(BindError::select(format!("unable to use tag wildcard in {name}()"))),
        Expr::Wildcard(_) if !wildcards => {
            Err(BindError::select(format!("unsupported expression with wildcard: {name}()")))
        }
        Expr::Regex(_) if !wildcards => {
            Err(BindError::select(format!("unsupported expression with regex field: {name}()")))
        }
        Expr::Wildcard(_) | Expr::Regex(_) => Ok(()),
        _ => Err(BindError::select(format!("expected field argument in {name}()"))),
    }
}
