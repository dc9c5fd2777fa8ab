//! WHERE: times on one side, the rest on the other.
//!
//! Comparisons of time are taken out wherever they stand and all of them bound the time, as InfluxDB has it: an OR
//! between times, or between a time and a tag, acts as AND.

use super::error::BindError;
use crate::front::influxql::ast::{Expr, Literal, Op};
use crate::types::timestamp::parse_timestamp;

use crate::types::zone::Zone;

/// Times between two ends in nanoseconds, both included; the ends of i64 stand for no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeRange {
    pub(super) min: i64,
    pub(super) max: i64,
}

impl TimeRange {
    /// All times.
    pub(super) const ALL: Self = Self { min: i64::MIN, max: i64::MAX };

    /// Times of both.
    pub(super) fn and(self, other: Self) -> Self {
        Self { min: self.min.max(other.min), max: self.max.min(other.max) }
    }

    /// Whether no time is in it.
    pub(super) fn is_empty(self) -> bool {
        self.min > self.max
    }
}

/// What times are read by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock<'a> {
    /// `now()`.
    pub(super) now_ns: i64,
    /// The zone of times that name none.
    pub(super) zone: Option<&'a Zone>,
}

/// The times that a condition allows, and what else it says; `None` for nothing.
pub(super) fn split(condition: &Expr, clock: Clock<'_>) -> Result<(TimeRange, Option<Expr>), BindError> {
    let mut range = TimeRange::ALL;
    let rest = without_times(condition, clock, &mut range)?;
    Ok((range, rest))
}

/// Whether a comparison of time is in it.
pub fn speaks_of_time(condition: &Expr) -> bool {
    match condition.bare() {
        Expr::Chain { first, rest } => match rest.as_slice() {
            [(op, right)] if is_comparison(*op) => is_time(first) || is_time(right),
            rest => speaks_of_time(first) || rest.iter().any(|(_, operand)| speaks_of_time(operand)),
        },
        _ => false,
    }
}

fn is_comparison(op: Op) -> bool {
    op.rank() == Op::Eq.rank()
}

fn is_time(expr: &Expr) -> bool {
    matches!(expr, Expr::Name { name, .. } if name.eq_ignore_ascii_case("time"))
}

fn without_times(condition: &Expr, clock: Clock<'_>, range: &mut TimeRange) -> Result<Option<Expr>, BindError> {
    match condition.bare() {
        Expr::Chain { first, rest } if rest.iter().all(|(op, _)| matches!(op, Op::And | Op::Or)) => {
            let mut kept = Vec::new();
            // What the operator before the first operand is does not matter.
            for (op, operand) in std::iter::once((Op::And, &**first)).chain(rest.iter().map(|(op, e)| (*op, e))) {
                kept.extend(without_times(operand, clock, range)?.map(|operand| (op, operand)));
            }
            let mut kept = kept.into_iter();
            let Some((_, first)) = kept.next() else { return Ok(None) };
            let rest: Vec<_> = kept.collect();
            Ok(Some(match rest.is_empty() {
                true => first,
                false => Expr::Chain { first: Box::new(first), rest },
            }))
        }
        Expr::Chain { first, rest } => match rest.as_slice() {
            [(op, right)] if is_comparison(*op) && is_time(first) => {
                *range = range.and(compared(*op, time_value(right, clock)?)?);
                Ok(None)
            }
            [(op, right)] if is_comparison(*op) && is_time(right) => {
                *range = range.and(compared(op.mirrored(), time_value(first, clock)?)?);
                Ok(None)
            }
            rest if rest.iter().all(|(op, _)| is_comparison(*op)) => Ok(Some(condition.bare().clone())),
            _ => Err(BindError::Condition(condition.to_string())),
        },
        Expr::Literal(Literal::Bool(_)) => Ok(Some(condition.bare().clone())),
        call @ Expr::Call { .. } => Err(BindError::CallInCondition(call.to_string())),
        other => Err(BindError::Condition(other.to_string())),
    }
}

/// Times for which `time op ns` holds.
fn compared(op: Op, ns: i128) -> Result<TimeRange, BindError> {
    const BEYOND: TimeRange = TimeRange { min: i64::MAX, max: i64::MIN };
    if ns > i128::from(i64::MAX) {
        return Err(BindError::TimeOverflow(ns));
    }
    if ns < i128::from(i64::MIN) {
        return Err(BindError::TimeUnderflow(ns));
    }
    let at = ns as i64;
    Ok(match op {
        Op::Eq => TimeRange { min: at, max: at },
        Op::Lt => at.checked_sub(1).map_or(BEYOND, |max| TimeRange { min: i64::MIN, max }),
        Op::LtEq => TimeRange { min: i64::MIN, max: at },
        Op::Gt => at.checked_add(1).map_or(BEYOND, |min| TimeRange { min, max: i64::MAX }),
        Op::GtEq => TimeRange { min: at, max: i64::MAX },
        other => return Err(BindError::TimeOperator(other.symbol())),
    })
}

/// The time that an expression stands for.
fn time_value(expr: &Expr, clock: Clock<'_>) -> Result<i128, BindError> {
    match expr.bare() {
        Expr::Literal(Literal::Integer(ns) | Literal::Duration(ns)) => Ok(i128::from(*ns)),
        Expr::Literal(Literal::Unsigned(ns)) => Ok(i128::from(*ns)),
        // InfluxDB drops the fraction.
        Expr::Literal(Literal::Number(ns)) => Ok(*ns as i128),
        Expr::Literal(Literal::Text(text)) => match time_of_text(text, clock.zone) {
            Some(ns) => Ok(ns),
            None if looks_like_a_date(text) => Err(BindError::Timestamp),
            None => Err(BindError::NoTime("StringLiteral")),
        },
        Expr::Literal(Literal::Bool(_)) => Err(BindError::NoTime("BooleanLiteral")),
        Expr::Call { name, args } if name == "now" && args.is_empty() => Ok(i128::from(clock.now_ns)),
        Expr::Chain { first, rest } => rest.iter().try_fold(time_value(first, clock)?, |left, (op, right)| {
            let right = time_value(right, clock)?;
            match op {
                Op::Add => Ok(left.saturating_add(right)),
                Op::Subtract => Ok(left.saturating_sub(right)),
                Op::Multiply => Ok(left.saturating_mul(right)),
                Op::Divide if right != 0 => Ok(left / right),
                _ => Err(BindError::NoTime("BinaryExpr")),
            }
        }),
        Expr::Call { .. } => Err(BindError::NoTime("Call")),
        Expr::Regex(_) => Err(BindError::NoTime("RegexLiteral")),
        Expr::Wildcard(_) => Err(BindError::NoTime("Wildcard")),
        _ => Err(BindError::NoTime("VarRef")),
    }
}

fn looks_like_a_date(text: &str) -> bool {
    text.len() >= 8 && text.bytes().take(4).all(|byte| byte.is_ascii_digit())
}

/// `2006-01-02`, `2006-01-02 15:04:05[.fraction]`, or RFC 3339 with a zone; times without one are of `zone`.
pub(super) fn time_of_text(text: &str, zone: Option<&Zone>) -> Option<i128> {
    let has_zone = |clock: &str| clock.ends_with(['Z', 'z']) || clock.contains(['+', '-']);
    let local = match text.split_once('T') {
        Some((_, clock)) if !has_zone(clock) => return None,
        Some(_) => return parse_timestamp(text).ok(),
        None if text.split_once(' ').is_some_and(|(_, clock)| has_zone(clock)) => return None,
        None => parse_timestamp(text).ok()?,
    };
    Some(zone.map_or(local, |zone| zone.time_of_local(local)))
}
