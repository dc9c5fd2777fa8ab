//! Expressions.

use crate::front::influxql::ast::expr::{RANK_MAX, RANK_MIN};
use crate::front::influxql::ast::{CastType, ColumnSet, Expr, Literal, Op};
use crate::front::influxql::error::{ParseError, ParseErrorKind};
use crate::front::influxql::text::cursor::{Cursor, nowhere, refused};
use crate::front::influxql::text::duration::parse_duration;
use crate::front::influxql::text::lexer::{Kind, is_keyword};

/// Brackets, calls and subqueries inside of each other; each level costs the parser, and each reader of the expression,
/// some stack frames.
const DEPTH_MAX: usize = 64;

impl Cursor<'_> {
    /// One level of brackets deeper; [`Cursor::leave`] comes back.
    pub(super) fn enter(&mut self) -> Result<(), ParseError> {
        if self.depth == DEPTH_MAX {
            return Err(refused(ParseErrorKind::TooDeep { brackets_max: DEPTH_MAX }, self.peek()));
        }
        self.depth += 1;
        Ok(())
    }

    /// One level of brackets less deep.
    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// An expression: operands and what joins them.
    pub(super) fn expression(&mut self) -> Result<Expr, ParseError> {
        let mut operands = vec![self.operand()?];
        let mut operators = Vec::new();
        while let Some(op) = self.operator() {
            self.skip();
            operators.push(op);
            operands.push(if matches!(op, Op::Matches | Op::NotMatches) {
                let Some(regex) = self.regex()? else { return Err(self.unexpected("regex")) };
                Expr::Regex(Box::new(regex))
            } else {
                self.operand()?
            });
        }
        Ok(by_rank(operands, operators))
    }

    fn operator(&self) -> Option<Op> {
        Some(match &self.peek().kind {
            Kind::Operator(op) => *op,
            Kind::Symbol(symbol) => match symbol {
                '+' => Op::Add,
                '-' => Op::Subtract,
                '|' => Op::BitOr,
                '^' => Op::BitXor,
                '*' => Op::Multiply,
                '/' => Op::Divide,
                '%' => Op::Modulo,
                '&' => Op::BitAnd,
                _ => return None,
            },
            Kind::Word(_) if self.peek().is("AND") => Op::And,
            Kind::Word(_) if self.peek().is("OR") => Op::Or,
            _ => return None,
        })
    }

    fn operand(&mut self) -> Result<Expr, ParseError> {
        let mut negative = None;
        while let Kind::Symbol(sign @ ('+' | '-')) = self.peek().kind {
            negative = Some(negative.unwrap_or(false) != (sign == '-'));
            self.skip();
            let is_value = match &self.peek().kind {
                Kind::Symbol(symbol) => matches!(symbol, '(' | '+' | '-'),
                Kind::Word(word) => !is_keyword(word),
                kind => matches!(kind, Kind::Quoted(_) | Kind::Integer(_) | Kind::Number(_) | Kind::Duration(_)),
            };
            if !is_value {
                return Err(self.unexpected("identifier, number, duration, ("));
            }
        }
        match negative {
            Some(negative) => self.signed(negative),
            None => self.unsigned_operand(),
        }
    }

    /// An operand behind a sign: of a constant the sign becomes part, of anything else a factor.
    fn signed(&mut self, negative: bool) -> Result<Expr, ParseError> {
        if let Kind::Integer(text) = &self.peek().kind {
            let text = text.clone();
            let value = text.parse::<i128>().map(|value| if negative { -value } else { value });
            let literal = match value.map(|value| (i64::try_from(value), u64::try_from(value))) {
                Ok((Ok(value), _)) => Literal::Integer(value),
                Ok((_, Ok(value))) => Literal::Unsigned(value),
                _ if negative => return Err(nowhere(ParseErrorKind::Underflow(text))),
                _ => return Err(refused(ParseErrorKind::Number { integer: true }, self.peek())),
            };
            self.skip();
            return Ok(Expr::Literal(literal));
        }
        Ok(match self.unsigned_operand()? {
            Expr::Literal(Literal::Number(value)) => {
                Expr::Literal(Literal::Number(if negative { -value } else { value }))
            }
            Expr::Literal(Literal::Duration(ns)) => Expr::Literal(Literal::Duration(if negative { -ns } else { ns })),
            other => {
                let factor = Literal::Integer(if negative { -1 } else { 1 });
                Expr::binary(Expr::Literal(factor), Op::Multiply, other)
            }
        })
    }

    fn unsigned_operand(&mut self) -> Result<Expr, ParseError> {
        const EXPECTED: &str = "identifier, string, number, bool";
        let token = self.peek().clone();
        let literal = match &token.kind {
            Kind::Symbol('(') => {
                self.enter()?;
                self.skip();
                let inner = self.expression()?;
                self.expect_symbol(')', ")")?;
                self.leave();
                return Ok(Expr::Paren(Box::new(inner)));
            }
            Kind::Symbol('*') => {
                self.skip();
                return self.wildcard();
            }
            Kind::Symbol('/') => match self.regex()? {
                Some(regex) => return Ok(Expr::Regex(Box::new(regex))),
                None => return Err(self.unexpected(EXPECTED)),
            },
            Kind::Word(_) if token.is("DISTINCT") => return self.distinct(),
            Kind::Word(_) if token.is("TRUE") => Literal::Bool(true),
            Kind::Word(_) if token.is("FALSE") => Literal::Bool(false),
            Kind::Word(word) if is_keyword(word) => return Err(self.unexpected(EXPECTED)),
            Kind::Word(name) | Kind::Quoted(name) => {
                if self.is_followed_by('(') {
                    self.skip();
                    return self.call(name.to_lowercase());
                }
                let name = self.segments()?.join(".");
                return Ok(Expr::Name { name, cast: self.cast()? });
            }
            Kind::Text(text) => Literal::Text(text.clone()),
            Kind::Integer(text) => match (text.parse(), text.parse()) {
                (Ok(value), _) => Literal::Integer(value),
                (_, Ok(value)) => Literal::Unsigned(value),
                _ => return Err(refused(ParseErrorKind::Number { integer: true }, &token)),
            },
            Kind::Number(text) => match text.parse() {
                Ok(value) => Literal::Number(value),
                Err(_) => return Err(refused(ParseErrorKind::Number { integer: false }, &token)),
            },
            Kind::Duration(text) => Literal::Duration(parse_duration(text).map_err(nowhere)?),
            Kind::Parameter(name) if name.is_empty() => return Err(nowhere(ParseErrorKind::ParameterEmpty)),
            Kind::Parameter(name) => match self.regex()? {
                Some(regex) => return Ok(Expr::Regex(Box::new(regex))),
                None => return Err(nowhere(ParseErrorKind::ParameterMissing(name.clone()))),
            },
            _ => return Err(self.unexpected(EXPECTED)),
        };
        self.skip();
        Ok(Expr::Literal(literal))
    }

    /// What follows `*`.
    fn wildcard(&mut self) -> Result<Expr, ParseError> {
        if self.peek().kind != Kind::Cast {
            return Ok(Expr::Wildcard(ColumnSet::All));
        }
        self.skip();
        match () {
            () if self.accept("FIELD") => Ok(Expr::Wildcard(ColumnSet::Fields)),
            () if self.accept("TAG") => Ok(Expr::Wildcard(ColumnSet::Tags)),
            () => Err(self.unexpected("field, tag")),
        }
    }

    /// `::type`, if it is next.
    fn cast(&mut self) -> Result<Option<CastType>, ParseError> {
        use CastType::{Boolean, Field, Float, Integer, String, Tag, Unsigned};
        if self.peek().kind != Kind::Cast {
            return Ok(None);
        }
        self.skip();
        let known = [Float, Integer, Unsigned, String, Boolean, Field, Tag];
        match known.into_iter().find(|cast| self.peek().is(&cast.word().to_ascii_uppercase())) {
            Some(cast) => {
                self.skip();
                Ok(Some(cast))
            }
            None => Err(self.unexpected("float, integer, unsigned, string, boolean, field, tag")),
        }
    }

    fn distinct(&mut self) -> Result<Expr, ParseError> {
        let (is_call, is_name) = (self.is_followed_by('('), self.is_followed_by_blank());
        self.skip();
        match () {
            () if is_call => self.call("distinct".to_owned()),
            () if is_name => Ok(Expr::Distinct(self.identifier()?)),
            () => Err(self.unexpected("(, identifier")),
        }
    }

    /// What follows the name of a function.
    fn call(&mut self, name: String) -> Result<Expr, ParseError> {
        self.enter()?;
        self.skip();
        let mut args = Vec::new();
        if !self.accept_symbol(')') {
            loop {
                args.push(match self.regex()? {
                    Some(regex) => Expr::Regex(Box::new(regex)),
                    None => self.expression()?,
                });
                if !self.accept_symbol(',') {
                    break;
                }
            }
            self.expect_symbol(')', ")")?;
        }
        self.leave();
        Ok(Expr::Call { name, args })
    }
}

/// Operands and the operators between them, the tightest joined first.
fn by_rank(mut operands: Vec<Expr>, mut operators: Vec<Op>) -> Expr {
    for rank in (RANK_MIN..=RANK_MAX).rev() {
        if operators.iter().all(|op| op.rank() != rank) {
            continue;
        }
        let (mut joined, mut left): (Vec<Expr>, Vec<Op>) = (Vec::new(), Vec::new());
        let mut between = operators.into_iter();
        for operand in operands {
            // There is an operator before each operand but the first.
            let op = if joined.is_empty() { None } else { between.next() };
            match (op, joined.last_mut()) {
                (Some(op), Some(before)) if op.rank() == rank => chain(before, op, operand),
                (op, _) => {
                    left.extend(op);
                    joined.push(operand);
                }
            }
        }
        (operands, operators) = (joined, left);
    }
    operands.swap_remove(0)
}

/// Puts `op right` behind `left`, in the chain of the operator's rank if `left` is one; what stands in brackets is
/// none.
fn chain(left: &mut Expr, op: Op, right: Expr) {
    match left {
        Expr::Chain { rest, .. } if rest.first().is_some_and(|(known, _)| known.rank() == op.rank()) => {
            rest.push((op, right));
        }
        other => {
            let first = std::mem::replace(other, Expr::Literal(Literal::Bool(false)));
            *other = Expr::binary(first, op, right);
        }
    }
}
