//! SELECT.

use crate::front::influxql::ast::{Dimension, Expr, Field, Fill, Literal, Op, Select};
use crate::front::influxql::error::{ParseError, ParseErrorKind};
use crate::front::influxql::text::cursor::{Cursor, nowhere};
use crate::front::influxql::text::lexer::Kind;
use crate::types::zone::is_zone;

impl Cursor<'_> {
    /// What follows SELECT.
    pub(super) fn select(&mut self) -> Result<Select, ParseError> {
        let mut fields = vec![self.field()?];
        while self.accept_symbol(',') {
            fields.push(self.field()?);
        }
        let into = if self.accept("INTO") { Some(self.target()?) } else { None };
        self.expect("FROM")?;
        let sources = self.sources()?;
        let condition = self.condition()?;
        let dimensions = self.dimensions()?;
        let fill = self.fill()?;
        let descending = self.order()?;
        let limit = self.count_after("LIMIT")?;
        let offset = self.count_after("OFFSET")?;
        let series_limit = self.count_after("SLIMIT")?;
        let series_offset = self.count_after("SOFFSET")?;
        let zone = self.zone()?;
        Ok(Select {
            fields,
            into,
            sources,
            condition,
            dimensions: dimensions.into_iter().map(Dimension).collect(),
            fill,
            descending,
            limit,
            offset,
            series_limit,
            series_offset,
            zone,
        })
    }

    fn field(&mut self) -> Result<Field, ParseError> {
        let expr = match self.regex()? {
            Some(regex) => Expr::Regex(Box::new(regex)),
            None => {
                let (line, character) = (self.peek().line, self.peek().character);
                let expr = self.expression()?;
                let mut wrong = None;
                expr.walk(&mut |expr| {
                    if let Expr::Chain { rest, .. } = expr {
                        wrong = wrong.or(rest.iter().map(|(op, _)| *op).find(|op| op.rank() <= Op::Eq.rank()));
                    }
                });
                if let Some(op) = wrong {
                    return Err(nowhere(ParseErrorKind::Operator { symbol: op.symbol(), line, character }));
                }
                expr
            }
        };
        let alias = if self.accept("AS") { Some(self.identifier()?) } else { None };
        Ok(Field { expr, alias })
    }

    /// `WHERE …`, if it is next.
    pub(super) fn condition(&mut self) -> Result<Option<Expr>, ParseError> {
        if self.accept("WHERE") { self.expression().map(Some) } else { Ok(None) }
    }

    /// `GROUP BY …`, if it is next.
    pub(super) fn dimensions(&mut self) -> Result<Vec<Expr>, ParseError> {
        if !self.accept("GROUP") {
            return Ok(Vec::new());
        }
        self.expect("BY")?;
        let mut dimensions = Vec::new();
        loop {
            dimensions.push(match self.regex()? {
                Some(regex) => Expr::Regex(Box::new(regex)),
                None => self.expression()?,
            });
            if !self.accept_symbol(',') {
                return Ok(dimensions);
            }
        }
    }

    /// Whether a bare word, in any case, is next.
    fn is_word(&self, word: &str) -> bool {
        matches!(&self.peek().kind, Kind::Word(text) if text.eq_ignore_ascii_case(word))
    }

    fn fill(&mut self) -> Result<Option<Fill>, ParseError> {
        if !self.is_word("fill") {
            return Ok(None);
        }
        let Expr::Call { args, .. } = self.expression()? else { return Err(nowhere(ParseErrorKind::FillCall)) };
        let [arg] = args.as_slice() else { return Err(nowhere(ParseErrorKind::FillArgument)) };
        Ok(Some(match arg {
            Expr::Literal(Literal::Integer(value)) => Fill::Integer(*value),
            Expr::Literal(Literal::Number(value)) => Fill::Number(*value),
            Expr::Name { name, cast: None } => match name.as_str() {
                "null" => Fill::Null,
                "none" => Fill::None,
                "previous" => Fill::Previous,
                "linear" => Fill::Linear,
                _ => return Err(nowhere(ParseErrorKind::FillNumber)),
            },
            _ => return Err(nowhere(ParseErrorKind::FillNumber)),
        }))
    }

    fn zone(&mut self) -> Result<Option<String>, ParseError> {
        if !self.is_word("tz") {
            return Ok(None);
        }
        let Expr::Call { args, .. } = self.expression()? else { return Err(nowhere(ParseErrorKind::ZoneCall)) };
        match args.as_slice() {
            [Expr::Literal(Literal::Text(name))] if is_zone(name) => Ok(Some(name.clone())),
            [Expr::Literal(Literal::Text(name))] => Err(nowhere(ParseErrorKind::ZoneUnknown(name.clone()))),
            [_] => Err(nowhere(ParseErrorKind::ZoneString)),
            _ => Err(nowhere(ParseErrorKind::ZoneArgument)),
        }
    }

    /// `ORDER BY …`, if it is next: whether it descends.
    pub(super) fn order(&mut self) -> Result<Option<bool>, ParseError> {
        if !self.accept("ORDER") {
            return Ok(None);
        }
        self.expect("BY")?;
        let descending = match () {
            () if self.accept("ASC") => false,
            () if self.accept("DESC") => true,
            () if self.is_identifier() => {
                if self.identifier()? != "time" {
                    return Err(nowhere(ParseErrorKind::Order));
                }
                self.direction()
            }
            () => return Err(self.unexpected("identifier, ASC, DESC")),
        };
        if self.peek().kind == Kind::Symbol(',') {
            while self.accept_symbol(',') {
                self.identifier()?;
                self.direction();
            }
            return Err(nowhere(ParseErrorKind::Order));
        }
        Ok(Some(descending))
    }

    fn direction(&mut self) -> bool {
        let descending = self.accept("DESC");
        if !descending {
            self.accept("ASC");
        }
        descending
    }

    /// The number after `word`, if that is next; else 0.
    pub(super) fn count_after(&mut self, word: &'static str) -> Result<u64, ParseError> {
        if self.accept(word) { self.integer() } else { Ok(0) }
    }
}
