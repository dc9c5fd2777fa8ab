//! `SHOW SERIES | MEASUREMENT [EXACT] CARDINALITY [ON database] [FROM measurement, …]`

use crate::front::influxql::cursor::{Cursor, unsupported};
use crate::front::influxql::error::ParseError;
use crate::front::influxql::lexer::Kind;
use crate::front::influxql::statement::{Cardinality, Counted};

impl Cursor<'_> {
    /// The statement, if it is one of these; else nothing is taken.
    pub(super) fn show_cardinality(&mut self) -> Result<Option<Cardinality>, ParseError> {
        let start = self.at;
        let first = self.peek().clone();
        let is_show = self.accept("SHOW");
        let of = match () {
            () if self.accept("SERIES") => Counted::Series,
            () if self.accept("MEASUREMENT") => Counted::Measurements,
            () => {
                self.at = start;
                return Ok(None);
            }
        };
        let exact = self.accept("EXACT");
        if !is_show || !self.accept("CARDINALITY") {
            if is_show && (exact || of == Counted::Measurements) {
                return Err(self.unexpected(if exact { "CARDINALITY" } else { "EXACT, CARDINALITY" }));
            }
            self.at = start;
            return Ok(None);
        }
        let database = if self.accept("ON") { Some(self.identifier()?) } else { None };
        let mut from = Vec::new();
        if self.accept("FROM") {
            from.push(self.identifier()?);
            while self.peek().kind == Kind::Symbol(',') {
                self.at += 1;
                from.push(self.identifier()?);
            }
        }
        for clause in ["WHERE", "GROUP", "LIMIT", "OFFSET"] {
            if self.peek().is(clause) {
                return Err(unsupported(format!("SHOW … CARDINALITY … {clause}"), &first));
            }
        }
        Ok(Some(Cardinality { of, exact, database, from }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::front::influxql::{Statement, parse};

    #[test]
    fn all_forms() {
        let wanted = |of, exact, database: Option<&str>, from: &[&str]| {
            let from = from.iter().map(|name| (*name).to_owned()).collect();
            Statement::ShowCardinality(Cardinality { of, exact, database: database.map(str::to_owned), from })
        };
        for (text, expected) in [
            ("SHOW SERIES CARDINALITY", wanted(Counted::Series, false, None, &[])),
            ("show series exact cardinality on db", wanted(Counted::Series, true, Some("db"), &[])),
            (
                "SHOW SERIES EXACT CARDINALITY ON \"my db\" FROM cpu, \"m 2\";",
                wanted(Counted::Series, true, Some("my db"), &["cpu", "m 2"]),
            ),
            ("SHOW MEASUREMENT CARDINALITY", wanted(Counted::Measurements, false, None, &[])),
            ("SHOW MEASUREMENT EXACT CARDINALITY ON db", wanted(Counted::Measurements, true, Some("db"), &[])),
        ] {
            assert_eq!(parse(text).unwrap(), [expected], "{text}");
        }
    }
}
