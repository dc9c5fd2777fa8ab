//! DELETE and DROP SERIES.

use crate::front::influxql::ast::{Delete, Statement};
use crate::front::influxql::error::{ParseError, ParseErrorKind};
use crate::front::influxql::text::cursor::Cursor;

impl Cursor<'_> {
    /// What follows DELETE or DROP SERIES. What is deleted is deleted from all retention policies, so neither they nor
    /// databases are named.
    pub(super) fn delete(&mut self, series: bool) -> Result<Statement, ParseError> {
        let mut sources = Vec::new();
        if self.accept("FROM") {
            sources = self.measurements()?;
        } else if !self.peek().is("WHERE") {
            return Err(self.unexpected("FROM, WHERE"));
        }
        let at_start = |kind| ParseError { kind, line: 1, character: 1 };
        for source in &sources {
            if source.database.is_some() {
                return Err(at_start(ParseErrorKind::DatabaseInDelete));
            }
            if source.policy.is_some() {
                return Err(at_start(ParseErrorKind::PolicyInDelete));
            }
        }
        Ok(Statement::Delete(Delete { series, sources, condition: self.condition()? }))
    }
}
