//! WHERE of the statements that delete: comparisons of time and of tags under AND and OR.
//!
//! Comparisons of time are taken out wherever they stand and all of them bound the time, as InfluxDB has it: an OR
//! between times, or between a time and a tag, acts as AND. What is left speaks of tags, and is bound to the columns of
//! one table by [`Condition::bind`].

use tidewire_storage::schema::{ColumnKind, TableSchema};

use super::duration::parse_duration;
use super::lexer::{Kind, Token};
use super::parser::{ParseError, Parser};
use super::tags::{TagCondition, TagMatch};
use crate::types::time::parse_timestamp;

/// Brackets inside of each other; each level costs the parser two stack frames.
const DEPTH_MAX: usize = 64;

/// What may stand where a value is wanted.
const VALUES: &str = "identifier, string, number, bool";

/// A condition as written.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// All hold.
    And(Vec<Condition>),
    /// One holds.
    Or(Vec<Condition>),
    /// A comparison.
    Compare {
        /// Left side.
        left: Operand,
        /// `=`, `!=`, `=~`, `!~`, `<`, `<=`, `>`, `>=`.
        operator: &'static str,
        /// Right side.
        right: Operand,
    },
}

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// A name.
    Name(String),
    /// A string.
    Text(String),
    /// A regular expression.
    Regex(TagMatch),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Number(f64),
    /// A duration in nanoseconds.
    Duration(i64),
    /// TRUE or FALSE.
    Bool(bool),
    /// `now()`
    Now,
    /// Terms to add, each with whether it is taken away.
    Sum(Vec<(bool, Operand)>),
}

/// What a condition says of the rows of one table.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    /// First time in nanoseconds.
    pub(super) time_min: i64,
    /// Last time in nanoseconds.
    pub(super) time_max: i64,
    /// The series; `None` for all.
    pub(super) tags: Option<TagCondition>,
}

impl Parser<'_> {
    /// What follows WHERE.
    pub(super) fn condition(&mut self) -> Result<Condition, ParseError> {
        self.alternatives(0)
    }

    fn alternatives(&mut self, depth: usize) -> Result<Condition, ParseError> {
        let mut parts = vec![self.conjunction(depth)?];
        while self.accept("OR") {
            parts.push(self.conjunction(depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::Or(parts) })
    }

    fn conjunction(&mut self, depth: usize) -> Result<Condition, ParseError> {
        let mut parts = vec![self.term(depth)?];
        while self.accept("AND") {
            parts.push(self.term(depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::And(parts) })
    }

    fn term(&mut self, depth: usize) -> Result<Condition, ParseError> {
        let token = self.peek().clone();
        if token.kind == Kind::Symbol('(') {
            if depth == DEPTH_MAX {
                return Err(Self::invalid(format!("more than {DEPTH_MAX} brackets inside of each other"), &token));
            }
            self.skip();
            let inner = self.alternatives(depth + 1)?;
            self.symbol(')')?;
            return Ok(inner);
        }
        let left = self.operand()?;
        let Kind::Operator(operator) = self.peek().kind else {
            return Err(Self::invalid("invalid condition: a comparison is wanted", self.peek()));
        };
        self.skip();
        let right = self.operand()?;
        let takes_regex = matches!(operator, "=~" | "!~");
        if takes_regex != matches!(right, Operand::Regex(_)) {
            return Err(Self::invalid(
                "a regular expression is compared by =~ and !~, and they compare nothing else",
                &token,
            ));
        }
        Ok(Condition::Compare { left, operator, right })
    }

    /// Values joined by plus and minus.
    fn operand(&mut self) -> Result<Operand, ParseError> {
        let mut terms = vec![(false, self.value()?)];
        while let Kind::Symbol(sign @ ('+' | '-')) = self.peek().kind {
            self.skip();
            terms.push((sign == '-', self.value()?));
        }
        Ok(if terms.len() == 1 { terms.remove(0).1 } else { Operand::Sum(terms) })
    }

    fn value(&mut self) -> Result<Operand, ParseError> {
        let token = self.peek().clone();
        let value = match &token.kind {
            Kind::Symbol('-') => {
                self.skip();
                return Ok(Operand::Sum(vec![(true, self.number()?)]));
            }
            Kind::Number(_) => return self.number(),
            Kind::Text(text) => Operand::Text(text.clone()),
            Kind::Quoted(name) => Operand::Name(name.clone()),
            Kind::Regex(pattern) => {
                Operand::Regex(TagMatch::pattern(pattern).map_err(|reason| Self::invalid(reason, &token))?)
            }
            Kind::Word(_) if token.is("TRUE") => Operand::Bool(true),
            Kind::Word(_) if token.is("FALSE") => Operand::Bool(false),
            Kind::Word(_) => {
                let name = self.named(VALUES)?;
                if self.peek().kind != Kind::Symbol('(') {
                    return Ok(Operand::Name(name));
                }
                if !name.eq_ignore_ascii_case("now") {
                    return Err(Self::invalid(format!("invalid function call in condition: {name}"), &token));
                }
                self.skip();
                self.symbol(')')?;
                return Ok(Operand::Now);
            }
            _ => return Err(self.unexpected(VALUES)),
        };
        self.skip();
        Ok(value)
    }

    fn number(&mut self) -> Result<Operand, ParseError> {
        let token: Token = self.peek().clone();
        let Kind::Number(text) = &token.kind else { return Err(self.unexpected("number")) };
        let invalid = |reason: String| Self::invalid(reason, &token);
        let value = if text.contains(char::is_alphabetic) {
            Operand::Duration(parse_duration(text).map_err(invalid)?)
        } else if text.contains('.') {
            Operand::Number(text.parse().map_err(|_| invalid("unable to parse number".to_owned()))?)
        } else {
            Operand::Integer(text.parse().map_err(|_| invalid("unable to parse integer".to_owned()))?)
        };
        self.skip();
        Ok(value)
    }

    fn symbol(&mut self, symbol: char) -> Result<(), ParseError> {
        if self.peek().kind != Kind::Symbol(symbol) {
            return Err(self.unexpected(&symbol.to_string()));
        }
        self.skip();
        Ok(())
    }
}

impl Condition {
    /// Whether a comparison of time is in it.
    pub(super) fn speaks_of_time(&self) -> bool {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().any(Self::speaks_of_time),
            Self::Compare { left, right, .. } => left.is_time() || right.is_time(),
        }
    }

    /// The condition for the rows of `table`. The error is InfluxDB's.
    pub(super) fn bind(&self, table: &TableSchema, now_ns: i64) -> Result<Bound, String> {
        let mut bound = Bound { time_min: i64::MIN, time_max: i64::MAX, tags: None };
        bound.tags = self.tags(table, now_ns, &mut bound)?;
        Ok(bound)
    }

    /// What is left of the condition without its times, which go into `bound`; `None` where that is nothing.
    fn tags(&self, table: &TableSchema, now_ns: i64, bound: &mut Bound) -> Result<Option<TagCondition>, String> {
        let mut all = |parts: &[Self]| -> Result<Vec<TagCondition>, String> {
            let mut tags = Vec::new();
            for part in parts {
                tags.extend(part.tags(table, now_ns, bound)?);
            }
            Ok(tags)
        };
        match self {
            Self::And(parts) => Ok(Some(all(parts)?).filter(|tags| !tags.is_empty()).map(TagCondition::All)),
            Self::Or(parts) => Ok(Some(all(parts)?).filter(|tags| !tags.is_empty()).map(TagCondition::Any)),
            Self::Compare { left, operator, right } => {
                if left.is_time() {
                    narrow(bound, operator, right.nanoseconds(now_ns)?)?;
                    Ok(None)
                } else if right.is_time() {
                    narrow(bound, mirrored(operator), left.nanoseconds(now_ns)?)?;
                    Ok(None)
                } else {
                    tag(table, left, operator, right).map(Some)
                }
            }
        }
    }
}

impl Operand {
    fn is_time(&self) -> bool {
        matches!(self, Self::Name(name) if name.eq_ignore_ascii_case("time"))
    }

    /// The time that this stands for.
    fn nanoseconds(&self, now_ns: i64) -> Result<i128, String> {
        let incompatible = |what: &str| format!("invalid operation: time and *influxql.{what} are not compatible");
        match self {
            Self::Integer(ns) | Self::Duration(ns) => Ok(i128::from(*ns)),
            // InfluxDB cuts the fraction off.
            Self::Number(ns) => Ok(*ns as i128),
            Self::Now => Ok(i128::from(now_ns)),
            Self::Text(text) => time_of_text(text).ok_or_else(|| {
                let looks_like_a_date = text.len() >= 8 && text.bytes().take(4).all(|byte| byte.is_ascii_digit());
                if looks_like_a_date { "invalid timestamp string".to_owned() } else { incompatible("StringLiteral") }
            }),
            Self::Sum(terms) => terms.iter().try_fold(0, |sum: i128, (negative, term)| {
                let ns = term.nanoseconds(now_ns)?;
                Ok(if *negative { sum.saturating_sub(ns) } else { sum.saturating_add(ns) })
            }),
            Self::Name(_) => Err(incompatible("VarRef")),
            Self::Regex(_) => Err(incompatible("RegexLiteral")),
            Self::Bool(_) => Err(incompatible("BooleanLiteral")),
        }
    }
}

/// `2006-01-02`, `2006-01-02 15:04:05[.fraction]`, or RFC 3339 with a zone.
fn time_of_text(text: &str) -> Option<i128> {
    let has_zone = |clock: &str| clock.ends_with(['Z', 'z']) || clock.contains(['+', '-']);
    match text.split_once('T') {
        Some((_, clock)) if !has_zone(clock) => None,
        None if text.split_once(' ').is_some_and(|(_, clock)| has_zone(clock)) => None,
        _ => parse_timestamp(text).ok(),
    }
}

fn mirrored(operator: &'static str) -> &'static str {
    match operator {
        "<" => ">",
        "<=" => ">=",
        ">" => "<",
        ">=" => "<=",
        other => other,
    }
}

fn narrow(bound: &mut Bound, operator: &str, ns: i128) -> Result<(), String> {
    if ns > i128::from(i64::MAX) {
        return Err(format!("time {ns} overflows time literal"));
    }
    if ns < i128::from(i64::MIN) {
        return Err(format!("time {ns} underflows time literal"));
    }
    let clamped = |ns: i128| ns.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64;
    let (min, max) = match operator {
        "=" => (ns, ns),
        "<" => (i128::MIN, ns - 1),
        "<=" => (i128::MIN, ns),
        ">" => (ns + 1, i128::MAX),
        ">=" => (ns, i128::MAX),
        other => return Err(format!("invalid time comparison operator: {other}")),
    };
    bound.time_min = bound.time_min.max(clamped(min));
    bound.time_max = bound.time_max.min(clamped(max));
    // Beyond either end of time there is nothing.
    if min > i128::from(i64::MAX) || max < i128::from(i64::MIN) {
        (bound.time_min, bound.time_max) = (i64::MAX, i64::MIN);
    }
    Ok(())
}

/// A comparison of a tag with a string or a regular expression.
fn tag(table: &TableSchema, left: &Operand, operator: &str, right: &Operand) -> Result<TagCondition, String> {
    let no_field = || "shard 1: fields not supported in WHERE clause during deletion".to_owned();
    let (name, value) = match (left, right) {
        (Operand::Name(name), value) | (value, Operand::Name(name)) => (name, value),
        _ => return Err(no_field()),
    };
    let column = table.column(name);
    if column.is_some_and(|column| column.kind != ColumnKind::Tag) {
        return Err(no_field());
    }
    let (matches, negated) = match (value, operator) {
        (Operand::Text(text), "=" | "!=") => (TagMatch::Text(text.clone()), operator == "!="),
        (Operand::Regex(pattern), _) => (pattern.clone(), operator == "!~"),
        _ => return Err(no_field()),
    };
    Ok(TagCondition::Tag { column: column.map(|column| column.id), matches, negated })
}
