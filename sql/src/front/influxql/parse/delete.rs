//! `DELETE [FROM …] [WHERE …]` and `DROP SERIES [FROM …] [WHERE …]`

use crate::deletion::TagMatch;
use crate::front::influxql::cursor::{Cursor, refused};
use crate::front::influxql::error::{ParseError, ParseErrorKind};
use crate::front::influxql::lexer::{Kind, Token};
use crate::front::influxql::statement::{Delete, Statement};

impl Cursor<'_> {
    /// What follows DELETE or DROP SERIES; `first` is where the statement begins.
    pub(super) fn delete(&mut self, series: bool, first: &Token) -> Result<Statement, ParseError> {
        let mut sources = Vec::new();
        if self.accept("FROM") {
            loop {
                sources.push(self.source(first)?);
                if self.peek().kind != Kind::Symbol(',') {
                    break;
                }
                self.skip();
            }
        } else if !self.peek().is("WHERE") {
            return Err(self.unexpected("FROM, WHERE"));
        }
        let condition = if self.accept("WHERE") { Some(self.condition()?) } else { None };
        Ok(Statement::Delete(Delete { series, sources, condition }))
    }

    /// One measurement. What is deleted is deleted from all retention policies, so neither they nor databases are
    /// named.
    fn source(&mut self, first: &Token) -> Result<TagMatch, ParseError> {
        let token = self.peek().clone();
        if let Kind::Regex(pattern) = &token.kind {
            let pattern =
                TagMatch::pattern(pattern).map_err(|reason| refused(ParseErrorKind::Pattern(reason), &token))?;
            self.skip();
            return Ok(pattern);
        }
        let name = self.identifier()?;
        let mut dots = 0;
        while self.peek().kind == Kind::Symbol('.') {
            dots += 1;
            self.skip();
            if self.peek().kind != Kind::Symbol('.') {
                self.identifier()?;
            }
        }
        match dots {
            0 => Ok(TagMatch::Text(name)),
            1 => Err(refused(ParseErrorKind::PolicyInDelete, first)),
            _ => Err(refused(ParseErrorKind::DatabaseInDelete, first)),
        }
    }
}
