//! Names of unnamed output columns, as DataFusion 27 prints them: clients read them in CSV headers.
//!
//! They are made from the syntax, before any rewriting: literals show their type, columns their table, brackets and
//! CASTs leave no trace, aggregates are in capitals.

use sqlparser::ast;

use super::arguments::{arguments, is_distinct, is_star, null_treatment, with_own_nulls};
use super::literal;
use super::scope::Scope;
use crate::expr::Scalar;
use crate::front::sql::parse::fold;
use crate::function::over::find_over_window;
use crate::function::registry::{Known, find};
use crate::plan::window::Frame;

/// The heading of `expr` over `scope`.
pub(crate) fn heading(expr: &ast::Expr, scope: &Scope) -> String {
    let name = |expr: &ast::Expr| heading(expr, scope);
    match expr {
        ast::Expr::Identifier(ident) => column(&[fold(ident)], scope),
        ast::Expr::CompoundIdentifier(idents) => {
            let parts: Vec<_> = idents.iter().map(fold).collect();
            column(&parts, scope)
        }
        ast::Expr::CompoundFieldAccess { root, access_chain } => {
            let mut text = name(root);
            for access in access_chain {
                let key = match access {
                    ast::AccessExpr::Dot(ast::Expr::Identifier(ident)) => fold(ident),
                    ast::AccessExpr::Subscript(ast::Subscript::Index { index: ast::Expr::Value(value) }) => {
                        value.value.clone().into_string().unwrap_or_default()
                    }
                    other => other.to_string(),
                };
                text.push_str(&format!("[{key}]"));
            }
            text
        }
        // A typed text is a CAST of it.
        ast::Expr::TypedString(typed) => {
            format!("Utf8(\"{}\")", typed.value.value.clone().into_string().unwrap_or_default())
        }
        ast::Expr::Nested(inner) | ast::Expr::Cast { expr: inner, .. } => name(inner),
        ast::Expr::BinaryOp { left, op, right } => {
            let op = match op {
                ast::BinaryOperator::NotEq => "!=".to_owned(),
                other => other.to_string(),
            };
            chain(left, &op, right, scope)
        }
        ast::Expr::UnaryOp { op: ast::UnaryOperator::Not, expr } => format!("NOT {}", name(expr)),
        ast::Expr::UnaryOp { op: ast::UnaryOperator::Plus, expr } => name(expr),
        ast::Expr::UnaryOp { op: ast::UnaryOperator::Minus, expr: inner } => match literal::constant(expr) {
            Some(Ok(value)) => scalar(&value),
            _ => format!("(- {})", name(inner)),
        },
        ast::Expr::IsNull(e) => format!("{} IS NULL", name(e)),
        ast::Expr::IsNotNull(e) => format!("{} IS NOT NULL", name(e)),
        ast::Expr::IsTrue(e) => format!("{} IS TRUE", name(e)),
        ast::Expr::IsNotTrue(e) => format!("{} IS NOT TRUE", name(e)),
        ast::Expr::IsFalse(e) => format!("{} IS FALSE", name(e)),
        ast::Expr::IsNotFalse(e) => format!("{} IS NOT FALSE", name(e)),
        ast::Expr::IsUnknown(e) => format!("{} IS UNKNOWN", name(e)),
        ast::Expr::IsNotUnknown(e) => format!("{} IS NOT UNKNOWN", name(e)),
        ast::Expr::IsDistinctFrom(a, b) => format!("{} IS DISTINCT FROM {}", name(a), name(b)),
        ast::Expr::IsNotDistinctFrom(a, b) => format!("{} IS NOT DISTINCT FROM {}", name(a), name(b)),
        ast::Expr::Between { expr, negated, low, high } => {
            format!("{} {}BETWEEN {} AND {}", name(expr), not(*negated), name(low), name(high))
        }
        ast::Expr::InList { expr, list, negated } => {
            let items: Vec<_> = list.iter().map(|item| debug(item, scope)).collect();
            format!("{} {}IN (Map {{ iter: Iter([{}]) }})", name(expr), not(*negated), items.join(", "))
        }
        ast::Expr::Like { negated, expr, pattern, .. } => {
            format!("{} {}LIKE {}", name(expr), not(*negated), name(pattern))
        }
        ast::Expr::ILike { negated, expr, pattern, .. } => {
            format!("{} {}ILIKE {}", name(expr), not(*negated), name(pattern))
        }
        ast::Expr::Case { operand, conditions, else_result, .. } => {
            let mut text = "CASE ".to_owned();
            if let Some(operand) = operand {
                text.push_str(&format!("{} ", name(operand)));
            }
            for when in conditions {
                text.push_str(&format!("WHEN {} THEN {} ", name(&when.condition), name(&when.result)));
            }
            if let Some(otherwise) = else_result {
                text.push_str(&format!("ELSE {} ", name(otherwise)));
            }
            text + "END"
        }
        ast::Expr::Extract { field, expr, .. } => {
            format!("date_part(Utf8(\"{}\"),{})", field.to_string().to_ascii_uppercase(), name(expr))
        }
        ast::Expr::Ceil { expr, .. } => format!("ceil({})", name(expr)),
        ast::Expr::Floor { expr, .. } => format!("floor({})", name(expr)),
        ast::Expr::Trim { expr, trim_where, trim_what, trim_characters } => {
            let side = match trim_where {
                None => "trim",
                Some(ast::TrimWhereField::Both) => "btrim",
                Some(ast::TrimWhereField::Leading) => "ltrim",
                Some(ast::TrimWhereField::Trailing) => "rtrim",
            };
            let characters = trim_what.as_deref().into_iter().chain(trim_characters.iter().flatten());
            let args: Vec<_> = std::iter::once(expr.as_ref()).chain(characters).map(name).collect();
            format!("{side}({})", args.join(","))
        }
        ast::Expr::Substring { expr, substring_from, substring_for, .. } => {
            let from = substring_from.as_deref().map_or_else(|| "Int64(1)".to_owned(), name);
            let args: Vec<_> = [name(expr), from].into_iter().chain(substring_for.as_deref().map(name)).collect();
            format!("substr({})", args.join(","))
        }
        ast::Expr::Position { expr, r#in } => format!("strpos({},{})", name(r#in), name(expr)),
        ast::Expr::Function(function) => call(function, scope),
        other => match literal::constant(other) {
            Some(Ok(value)) => scalar(&value),
            _ => other.to_string(),
        },
    }
}

/// A chain of binary operators, which may be long and leans to the left.
fn chain(left: &ast::Expr, op: &str, right: &ast::Expr, scope: &Scope) -> String {
    let mut tail = format!(" {op} {}", heading(right, scope));
    let mut left = left;
    let mut parts = Vec::new();
    while let ast::Expr::BinaryOp { left: inner, op, right } = left {
        let op = if *op == ast::BinaryOperator::NotEq { "!=".to_owned() } else { op.to_string() };
        parts.push(std::mem::replace(&mut tail, format!(" {op} {}", heading(right, scope))));
        left = inner;
    }
    parts.push(tail);
    let mut text = heading(left, scope);
    for part in parts.iter().rev() {
        text.push_str(part);
    }
    text
}

fn not(negated: bool) -> &'static str {
    if negated { "NOT " } else { "" }
}

fn column(parts: &[String], scope: &Scope) -> String {
    if let Ok(Some(at)) = scope.find(parts) {
        return scope.columns[at].flat_name();
    }
    if let [rest @ .., member] = parts
        && let Ok(Some(at)) = scope.find(rest)
    {
        return format!("{}[{member}]", scope.columns[at].flat_name());
    }
    parts.join(".")
}

/// The heading of a call over `scope`.
pub(crate) fn call(function: &ast::Function, scope: &Scope) -> String {
    let function = &*with_own_nulls(function);
    let written = function.name.to_string().to_ascii_lowercase();
    let known = find(&written);
    let takes_star = matches!(known, Some(Known::Aggregate(aggregate)) if aggregate.takes_star);
    let shown = if takes_star && is_star(function) {
        "UInt8(1)".to_owned()
    } else {
        let shown: Vec<_> = arguments(function).unwrap_or_default().iter().map(|e| heading(e, scope)).collect();
        shown.join(",")
    };
    let distinct = if is_distinct(function) { "DISTINCT " } else { "" };
    let over = function.over.as_ref().and_then(|_| find_over_window(&written));
    let name = match (over, known) {
        (Some((_, documentation)), _) => documentation.heading,
        (None, Some(known)) => known.documentation().heading,
        (None, None) => written.as_str(),
    };
    let mut text = format!("{name}({distinct}{shown})");
    if let Some(filter) = &function.filter {
        text.push_str(&format!(" FILTER (WHERE {})", heading(filter, scope)));
    }
    if null_treatment(function) == Some(ast::NullTreatment::IgnoreNulls) {
        text.push_str(" IGNORE NULLS");
    }
    match &function.over {
        Some(over) => text + &window(over, scope),
        None => text,
    }
}

/// What stands behind a call over a window.
fn window(over: &ast::WindowType, scope: &Scope) -> String {
    let window = match over {
        ast::WindowType::WindowSpec(window) => window,
        ast::WindowType::NamedWindow(name) => return format!(" OVER {}", fold(name)),
    };
    let mut text = String::new();
    if !window.partition_by.is_empty() {
        let keys: Vec<_> = window.partition_by.iter().map(|key| heading(key, scope)).collect();
        text.push_str(&format!(" PARTITION BY [{}]", keys.join(", ")));
    }
    if !window.order_by.is_empty() {
        let key = |key: &ast::OrderByExpr| {
            let descending = key.options.sort == Some(ast::OrderBySort::Desc);
            let nulls = if key.options.nulls_first.unwrap_or(descending) { "FIRST" } else { "LAST" };
            let order = if descending { "DESC" } else { "ASC" };
            format!("{} {order} NULLS {nulls}", heading(&key.expr, scope))
        };
        let keys: Vec<_> = window.order_by.iter().map(key).collect();
        text.push_str(&format!(" ORDER BY [{}]", keys.join(", ")));
    }
    let frame = match &window.window_frame {
        Some(frame) => {
            let end = frame.end_bound.as_ref().unwrap_or(&ast::WindowFrameBound::CurrentRow);
            format!("{} BETWEEN {} AND {end}", frame.units, frame.start_bound)
        }
        None if window.order_by.is_empty() => Frame::WHOLE.to_string(),
        None => Frame::SO_FAR.to_string(),
    };
    text + " " + &frame
}

/// An element of IN, in Rust's debug form: that is what clients get to see.
fn debug(expr: &ast::Expr, scope: &Scope) -> String {
    match literal::constant(expr) {
        Some(Ok(value)) => format!("Literal({})", scalar(&value)),
        _ => heading(expr, scope),
    }
}

/// A literal with its type.
pub(crate) fn scalar(value: &Scalar) -> String {
    match value {
        Scalar::Null => "NULL".to_owned(),
        Scalar::Bool(value) => format!("Boolean({value})"),
        Scalar::Int(value) => format!("Int64({value})"),
        Scalar::UInt(value) => format!("UInt64({value})"),
        Scalar::Float(value) => format!("Float64({value})"),
        Scalar::Str(text) => format!("Utf8(\"{text}\")"),
        Scalar::Time(value, unit) => format!("Timestamp{unit:?}({value}, None)"),
        Scalar::Interval { months, days, nanoseconds } => {
            // The three parts packed as arrow stored them then, months highest.
            let packed = (i128::from(*months) << 96)
                | (i128::from(days.cast_unsigned()) << 64)
                | i128::from(nanoseconds.cast_unsigned());
            format!("IntervalMonthDayNano(\"{packed}\")")
        }
    }
}
