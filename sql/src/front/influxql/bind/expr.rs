//! Expressions over the columns of a relation, or over what functions have made of them.
//!
//! Arithmetic is InfluxQL's: integers wrap, `/` gives a float, what is divided by zero is zero. A comparison of things
//! that cannot be compared holds for no row; a tag that a series lacks is the empty text.

use arrow_schema::DataType;

use super::error::BindError;
use super::relation::Relation;
use super::types::{converted, higher, is_number, type_name};
use crate::deletion::TagMatch;
use crate::expr::constant::null;
use crate::expr::extent::Extent;
use crate::expr::pattern::Pattern;
use crate::expr::{BinaryOp, Expr as Native, Scalar, ScalarFunction, Typed};
use crate::front::influxql::ast::{CastType, Expr, Literal, Op, Regex};
use crate::function::arithmetic as math;
use crate::function::influxql::{Kind, MathResult, find};

/// Operands of arithmetic that may follow each other: each is a level of the expression that runs.
const OPERANDS_MAX: usize = 256;

/// What names and calls mean.
pub(super) trait Names {
    /// The column that a name means; `None` for one that there is not.
    fn name(&self, name: &str, cast: Option<CastType>) -> Option<Typed>;
    /// What a call of an aggregate or transformation has made.
    fn call(&self, call: &Expr) -> Option<Typed>;
}

/// The columns of a relation, under the types that they have in all relations of the statement.
pub(super) struct Columns<'a> {
    pub(super) relation: &'a Relation,
    /// The type of a field in all relations.
    pub(super) field_type: &'a dyn Fn(&str) -> Option<DataType>,
}

impl Names for Columns<'_> {
    fn name(&self, name: &str, cast: Option<CastType>) -> Option<Typed> {
        use CastType::{Boolean, Field, Float, Integer, String, Tag, Unsigned};
        let relation = self.relation;
        let tag = || relation.tag(name).map(|at| Typed::new(Native::Column(at), DataType::Utf8));
        if cast == Some(Tag) {
            return tag();
        }
        let Some(common) = (self.field_type)(name) else {
            return if matches!(cast, None | Some(String)) { tag() } else { None };
        };
        let local = relation.field(name).map(|at| (Native::Column(at), relation.data_type(at)));
        let wanted = match cast {
            None | Some(Field | Tag) => common.clone(),
            Some(Float) => DataType::Float64,
            Some(Integer) => DataType::Int64,
            Some(Unsigned) => DataType::UInt64,
            Some(String) => DataType::Utf8,
            Some(Boolean) => DataType::Boolean,
        };
        Some(Typed::new(converted(local, &wanted), wanted))
    }

    fn call(&self, _: &Expr) -> Option<Typed> {
        None
    }
}

fn nothing() -> Typed {
    Typed::new(null(DataType::Null), DataType::Null)
}

fn literal(literal: &Literal) -> Typed {
    match literal {
        Literal::Text(text) => Typed::literal(Scalar::Str(text.as_str().into())),
        Literal::Integer(value) => Typed::literal(Scalar::Int(*value)),
        Literal::Unsigned(value) => Typed::literal(Scalar::UInt(*value)),
        Literal::Number(value) => Typed::literal(Scalar::Float(*value)),
        Literal::Bool(value) => Typed::literal(Scalar::Bool(*value)),
        // No arithmetic has an answer for a duration.
        Literal::Duration(_) => nothing(),
    }
}

/// A value.
pub(super) fn value(expr: &Expr, names: &dyn Names) -> Result<Typed, BindError> {
    match expr {
        Expr::Literal(constant) => Ok(literal(constant)),
        Expr::Paren(inner) => value(inner, names),
        Expr::Name { name, cast } => Ok(names.name(name, *cast).unwrap_or_else(nothing)),
        Expr::Distinct(_) => Ok(names.call(expr).unwrap_or_else(nothing)),
        Expr::Call { name, args } => match find(name).map(|function| function.kind) {
            Some(Kind::Math { function, gives, .. }) => {
                let args = args.iter().map(|arg| value(arg, names)).collect::<Result<Vec<_>, _>>()?;
                Ok(mathematics(function, gives, args))
            }
            _ => Ok(names.call(expr).unwrap_or_else(nothing)),
        },
        Expr::Chain { first, rest } => {
            if rest.len() >= OPERANDS_MAX {
                return Err(BindError::Unsupported("more than 256 operands of arithmetic beside each other"));
            }
            let mut left = value(first, names)?;
            for (at, (op, operand)) in rest.iter().enumerate() {
                let right = value(operand, names)?;
                left = match arithmetic(*op, left, right) {
                    Ok(joined) => joined,
                    Err(reason) => {
                        let before = match at {
                            0 => (**first).clone(),
                            at => Expr::Chain { first: first.clone(), rest: rest[..at].to_vec() },
                        };
                        let (left, right) = (typed_text(&before, names)?, typed_text(operand, names)?);
                        return Err(BindError::Type { left, op: op.symbol(), right, reason });
                    }
                };
            }
            // Brackets within brackets, each with its chain.
            if !Extent::of(&left.expr).is_shallow() {
                return Err(BindError::Unsupported("an expression of more than 512 levels"));
            }
            Ok(left)
        }
        Expr::Wildcard(_) | Expr::Regex(_) => Ok(nothing()),
    }
}

/// An expression as the message about a type shows it.
fn typed_text(expr: &Expr, names: &dyn Names) -> Result<String, BindError> {
    Ok(match expr {
        Expr::Name { name, cast: None } => {
            format!("{expr}::{}", names.name(name, None).map_or("unknown", |typed| type_name(&typed.data_type)))
        }
        other => other.to_string(),
    })
}

fn mathematics(function: &'static ScalarFunction, gives: MathResult, args: Vec<Typed>) -> Typed {
    if args.iter().any(|arg| !is_number(&arg.data_type)) {
        return Typed::new(null(DataType::Float64), DataType::Float64);
    }
    let data_type = match (gives, args.first()) {
        (MathResult::Argument, Some(arg)) => arg.data_type.clone(),
        _ => DataType::Float64,
    };
    let args = args.into_iter().map(|arg| match gives {
        MathResult::Argument => arg.expr,
        MathResult::Double => converted(Some((arg.expr, &arg.data_type)), &DataType::Float64),
    });
    Typed::new(Native::Call { function, args: args.collect() }, data_type)
}

/// `left op right`; the error says why there is none.
fn arithmetic(op: Op, left: Typed, right: Typed) -> Result<Typed, String> {
    if left.data_type == DataType::Null || right.data_type == DataType::Null {
        let data_type = match op {
            Op::Divide => DataType::Float64,
            _ => higher(&left.data_type, &right.data_type),
        };
        return Ok(Typed::new(null(data_type.clone()), data_type));
    }
    let names = (type_name(&left.data_type), type_name(&right.data_type));
    let incompatible = || format!("incompatible types: {} and {}", names.0, names.1);
    let is_bits = matches!(op, Op::BitAnd | Op::BitOr | Op::BitXor);
    let data_type = match (&left.data_type, &right.data_type) {
        (DataType::Boolean, DataType::Boolean) if is_bits => DataType::Boolean,
        (one, other) if !is_number(one) || !is_number(other) => return Err(incompatible()),
        (DataType::Float64, _) | (_, DataType::Float64) if is_bits => return Err(incompatible()),
        (DataType::Float64, _) | (_, DataType::Float64) => DataType::Float64,
        (one, other) if one == other => one.clone(),
        _ => {
            let is_literal = |typed: &Typed| matches!(typed.expr, Native::Literal(_));
            let unsigned_literal =
                [&left, &right].into_iter().any(|t| is_literal(t) && t.data_type == DataType::UInt64);
            let fits = |typed: &Typed| matches!(typed.expr, Native::Literal(Scalar::Int(value)) if value >= 0);
            match () {
                () if unsigned_literal => {
                    return Err(format!("cannot use {} with an integer and unsigned literal", op.symbol()));
                }
                () if fits(&left) || fits(&right) => DataType::UInt64,
                () => return Err(incompatible()),
            }
        }
    };
    let function = match op {
        Op::Add => &math::ADD,
        Op::Subtract => &math::SUBTRACT,
        Op::Multiply => &math::MULTIPLY,
        Op::Divide => &math::DIVIDE,
        Op::Modulo => &math::MODULO,
        Op::BitAnd => &math::AND,
        Op::BitOr => &math::OR,
        Op::BitXor => &math::XOR,
        _ => return Err(incompatible()),
    };
    let args = [left, right].map(|arg| match arg.data_type == data_type {
        true => arg.expr,
        false => converted(Some((arg.expr, &arg.data_type)), &data_type),
    });
    let gives = if op == Op::Divide { DataType::Float64 } else { data_type };
    Ok(Typed::new(Native::Call { function, args: args.into() }, gives))
}

/// `left AND right AND …`, or OR, as a tree whose depth is the logarithm of its length.
pub(super) fn joined(op: BinaryOp, mut parts: Vec<Native>) -> Option<Native> {
    while parts.len() > 1 {
        let mut pairs = Vec::with_capacity(parts.len().div_ceil(2));
        let mut rest = parts.into_iter();
        while let Some(left) = rest.next() {
            pairs.push(match rest.next() {
                Some(right) => Native::binary(left, op, right),
                None => left,
            });
        }
        parts = pairs;
    }
    parts.pop()
}

fn always(value: bool) -> Native {
    Native::Literal(Scalar::Bool(value))
}

/// A condition: true for the rows that are meant, false or null for others.
pub(super) fn condition(expr: &Expr, names: &dyn Names, is_tag: &dyn Fn(&Expr) -> bool) -> Result<Native, BindError> {
    match expr.bare() {
        Expr::Literal(Literal::Bool(value)) => Ok(always(*value)),
        Expr::Chain { first, rest } if rest.iter().all(|(op, _)| matches!(op, Op::And | Op::Or)) => {
            let operands = std::iter::once(&**first).chain(rest.iter().map(|(_, operand)| operand));
            let parts = operands.map(|operand| condition(operand, names, is_tag)).collect::<Result<Vec<_>, _>>()?;
            let is_and = rest.iter().all(|(op, _)| *op == Op::And);
            let op = if is_and { BinaryOp::And } else { BinaryOp::Or };
            Ok(joined(op, parts).unwrap_or_else(|| always(true)))
        }
        Expr::Chain { first, rest } => match rest.as_slice() {
            [(op, right)] => comparison(first, *op, right, names, is_tag),
            _ => Ok(always(false)),
        },
        other => Err(BindError::Condition(other.to_string())),
    }
}

fn check_calls(expr: &Expr) -> Result<(), BindError> {
    let mut wrong = None;
    expr.walk(&mut |expr| match expr {
        Expr::Call { name, .. } if !find(name).is_some_and(|f| matches!(f.kind, Kind::Math { .. })) => {
            wrong = wrong.take().or(Some(expr.to_string()));
        }
        _ => {}
    });
    wrong.map_or(Ok(()), |call| Err(BindError::CallInCondition(call)))
}

fn comparison(
    left: &Expr,
    op: Op,
    right: &Expr,
    names: &dyn Names,
    is_tag: &dyn Fn(&Expr) -> bool,
) -> Result<Native, BindError> {
    check_calls(left)?;
    check_calls(right)?;
    // A name on the right of a constant.
    if matches!(left.bare(), Expr::Literal(_) | Expr::Regex(_))
        && !matches!(right.bare(), Expr::Literal(_) | Expr::Regex(_))
    {
        return comparison(right, op.mirrored(), left, names, is_tag);
    }
    let negated = matches!(op, Op::NotEq | Op::NotMatches);
    if is_tag(left.bare()) {
        return match right.bare() {
            Expr::Literal(Literal::Text(text)) if matches!(op, Op::Eq | Op::NotEq) => {
                let tag = value(left, names)?;
                Ok(tag_is(tag, text, negated))
            }
            Expr::Regex(regex) => {
                let tag = value(left, names)?;
                let pattern = pattern(regex)?;
                let lacks = regex.matches.is_match("") != negated;
                Ok(or_absent(tag, lacks, |expr| Native::Matches {
                    expr: Box::new(expr),
                    pattern: pattern.into(),
                    negated,
                }))
            }
            other if is_tag(other) && matches!(op, Op::Eq | Op::NotEq) => {
                let native = if negated { BinaryOp::NotEq } else { BinaryOp::Eq };
                let text = |typed: Typed| match typed.data_type {
                    DataType::Utf8 => Native::Coalesce(vec![typed.expr, Native::Literal(Scalar::Str("".into()))]),
                    _ => Native::Literal(Scalar::Str("".into())),
                };
                Ok(Native::binary(text(value(left, names)?), native, text(value(right, names)?)))
            }
            _ => Ok(always(false)),
        };
    }
    if let Expr::Regex(regex) = right.bare() {
        let text = value(left, names)?;
        let pattern = pattern(regex)?;
        return Ok(match text.data_type {
            DataType::Utf8 => Native::Matches { expr: Box::new(text.expr), pattern: pattern.into(), negated },
            _ => always(false),
        });
    }
    let native = match op {
        Op::Eq => BinaryOp::Eq,
        Op::NotEq => BinaryOp::NotEq,
        Op::Lt => BinaryOp::Lt,
        Op::LtEq => BinaryOp::LtEq,
        Op::Gt => BinaryOp::Gt,
        Op::GtEq => BinaryOp::GtEq,
        _ => return Err(BindError::Condition(format!("{left} {} {right}", op.symbol()))),
    };
    let (left, right) = (value(left, names)?, value(right, names)?);
    let is_equality = matches!(op, Op::Eq | Op::NotEq);
    Ok(match (&left.data_type, &right.data_type) {
        (one, other) if is_number(one) && is_number(other) => {
            let common = if one == other { one.clone() } else { DataType::Float64 };
            let side = |typed: Typed| converted(Some((typed.expr, &typed.data_type)), &common);
            Native::binary(side(left), native, side(right))
        }
        (DataType::Utf8, DataType::Utf8) | (DataType::Boolean, DataType::Boolean) if is_equality => {
            Native::binary(left.expr, native, right.expr)
        }
        _ => always(false),
    })
}

/// The regular expression, compiled once however often it is bound.
fn pattern(regex: &Regex) -> Result<Pattern, BindError> {
    match &regex.matches {
        TagMatch::Pattern(compiled) => Ok(Pattern::of(&regex.text, compiled.clone())),
        TagMatch::Text(text) => {
            Pattern::new(text, false).map_err(|why| BindError::Engine(format!("error parsing regexp: {why}")))
        }
    }
}

/// A comparison of a tag with a text.
fn tag_is(tag: Typed, text: &str, negated: bool) -> Native {
    let op = if negated { BinaryOp::NotEq } else { BinaryOp::Eq };
    let constant = Native::Literal(Scalar::Str(text.into()));
    or_absent(tag, text.is_empty() != negated, |expr| Native::binary(expr, op, constant))
}

/// What `of` says of a tag; of a series without it `absent`.
fn or_absent(tag: Typed, absent: bool, of: impl FnOnce(Native) -> Native) -> Native {
    if tag.data_type == DataType::Null {
        return always(absent);
    }
    let holds = of(tag.expr.clone());
    match absent {
        false => holds,
        true => Native::binary(Native::IsNull(Box::new(tag.expr)), BinaryOp::Or, holds),
    }
}
