//! WHERE of the statements that delete: comparisons of time and of tags under AND and OR.

use crate::deletion::TagMatch;
use crate::front::influxql::cursor::{Cursor, refused};
use crate::front::influxql::duration::parse_duration;
use crate::front::influxql::error::{ParseError, ParseErrorKind};
use crate::front::influxql::lexer::{Kind, Token};
use crate::front::influxql::statement::{Condition, Operand};

/// Brackets inside of each other; each level costs the parser two stack frames.
const DEPTH_MAX: usize = 64;

/// What may stand where a value is wanted.
const VALUES: &str = "identifier, string, number, bool";

impl Cursor<'_> {
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
                return Err(refused(ParseErrorKind::TooDeep { brackets_max: DEPTH_MAX }, &token));
            }
            self.skip();
            let inner = self.alternatives(depth + 1)?;
            self.closing_bracket()?;
            return Ok(inner);
        }
        let left = self.operand()?;
        let Kind::Operator(operator) = self.peek().kind else {
            return Err(refused(ParseErrorKind::NoComparison, self.peek()));
        };
        self.skip();
        let right = self.operand()?;
        let takes_regex = matches!(operator, "=~" | "!~");
        if takes_regex != matches!(right, Operand::Regex(_)) {
            return Err(refused(ParseErrorKind::PatternOperator, &token));
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
            Kind::Regex(pattern) => Operand::Regex(
                TagMatch::pattern(pattern).map_err(|reason| refused(ParseErrorKind::Pattern(reason), &token))?,
            ),
            Kind::Word(_) if token.is("TRUE") => Operand::Bool(true),
            Kind::Word(_) if token.is("FALSE") => Operand::Bool(false),
            Kind::Word(_) => {
                let name = self.named(VALUES)?;
                if self.peek().kind != Kind::Symbol('(') {
                    return Ok(Operand::Name(name));
                }
                if !name.eq_ignore_ascii_case("now") {
                    return Err(refused(ParseErrorKind::FunctionInCondition(name), &token));
                }
                self.skip();
                self.closing_bracket()?;
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
        let invalid = |integer: bool| refused(ParseErrorKind::Number { integer }, &token);
        let value = if text.contains(char::is_alphabetic) {
            Operand::Duration(parse_duration(text).map_err(|error| refused(error, &token))?)
        } else if text.contains('.') {
            Operand::Number(text.parse().map_err(|_| invalid(false))?)
        } else {
            Operand::Integer(text.parse().map_err(|_| invalid(true))?)
        };
        self.skip();
        Ok(value)
    }

    fn closing_bracket(&mut self) -> Result<(), ParseError> {
        if self.peek().kind != Kind::Symbol(')') {
            return Err(self.unexpected(")"));
        }
        self.skip();
        Ok(())
    }
}
