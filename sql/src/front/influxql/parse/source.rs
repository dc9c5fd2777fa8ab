//! Names of several parts, measurements, and lists of what follows FROM.

use crate::front::influxql::ast::{Into, Measurement, MeasurementName, Source, quoted_name};
use crate::front::influxql::error::{ParseError, ParseErrorKind};
use crate::front::influxql::text::cursor::Cursor;
use crate::front::influxql::text::lexer::Kind;

/// Parts of a measurement's name: database, retention policy, measurement.
const SEGMENTS_MAX: usize = 3;

impl Cursor<'_> {
    /// `a`, `a.b`, `a.b.c`, `a..c`; stops behind a `.` that a regular expression or `:` follows, with an empty last
    /// part for what follows.
    pub(super) fn segments(&mut self) -> Result<Vec<String>, ParseError> {
        let mut segments = vec![self.identifier()?];
        while self.accept_symbol('.') {
            match self.peek().kind {
                Kind::Symbol('/' | ':') => {
                    segments.push(String::new());
                    break;
                }
                Kind::Symbol('.') => segments.push(String::new()),
                _ => segments.push(self.identifier()?),
            }
        }
        if segments.len() > SEGMENTS_MAX {
            let last = segments.len() - 1;
            let shown = segments.iter().enumerate().map(|(at, segment)| match at == last {
                true => quoted_name(segment),
                false => format!("\"{segment}\""),
            });
            let name = shown.collect::<Vec<_>>().join(".");
            return Err(ParseError { kind: ParseErrorKind::TooManySegments(name), line: 1, character: 1 });
        }
        Ok(segments)
    }

    /// What follows FROM.
    pub(super) fn sources(&mut self) -> Result<Vec<Source>, ParseError> {
        let mut sources = vec![self.source()?];
        while self.accept_symbol(',') {
            sources.push(self.source()?);
        }
        Ok(sources)
    }

    fn source(&mut self) -> Result<Source, ParseError> {
        if self.peek().kind != Kind::Symbol('(') {
            return Ok(Source::Measurement(self.measurement()?));
        }
        self.enter()?;
        self.skip();
        self.expect("SELECT")?;
        let select = self.select()?;
        self.expect_symbol(')', ")")?;
        self.leave();
        Ok(Source::Subquery(Box::new(select)))
    }

    /// `[[database.]policy.]measurement`, or a regular expression in the last place.
    pub(super) fn measurement(&mut self) -> Result<Measurement, ParseError> {
        if let Some(regex) = self.regex()? {
            return Ok(Measurement { database: None, policy: None, name: MeasurementName::Regex(regex) });
        }
        let mut segments = self.segments()?;
        let last = segments.pop().unwrap_or_default();
        let name = match self.peek().kind {
            Kind::Symbol('/') if last.is_empty() && !segments.is_empty() => match self.regex()? {
                Some(regex) => MeasurementName::Regex(regex),
                None => return Err(self.unexpected("identifier")),
            },
            _ => MeasurementName::Name(last),
        };
        let policy = segments.pop().filter(|policy| !policy.is_empty());
        Ok(Measurement { database: segments.pop(), policy, name })
    }

    /// A list of measurements, without subqueries.
    pub(super) fn measurements(&mut self) -> Result<Vec<Measurement>, ParseError> {
        let mut measurements = vec![self.measurement()?];
        while self.accept_symbol(',') {
            measurements.push(self.measurement()?);
        }
        Ok(measurements)
    }

    /// What follows INTO.
    pub(super) fn target(&mut self) -> Result<Into, ParseError> {
        let mut segments = self.segments()?;
        let last = segments.pop().unwrap_or_default();
        let name = if self.peek().kind == Kind::Symbol(':') && last.is_empty() && !segments.is_empty() {
            self.skip();
            self.expect("MEASUREMENT")?;
            None
        } else {
            // An empty name keeps them too.
            Some(last).filter(|last| !last.is_empty())
        };
        let policy = segments.pop().filter(|policy| !policy.is_empty());
        Ok(Into { database: segments.pop(), policy, name })
    }
}
