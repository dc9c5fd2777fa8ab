//! DELETE and DROP SERIES: which rows of which tables.

use std::sync::Arc;

use tidewire_storage::schema::TableSchema;

use super::condition::Condition;
use super::lexer::{Kind, Token};
use super::parser::{ParseError, Parser};
use super::statement::Statement;
use super::tags::TagMatch;
use crate::deletion::{Deletion, SeriesFilter};

/// `DELETE [FROM sources] [WHERE condition]` or `DROP SERIES [FROM sources] [WHERE condition]`
#[derive(Debug, Clone, PartialEq)]
pub struct Delete {
    /// DROP SERIES: rows of all times go, and a time in WHERE is refused.
    pub series: bool,
    /// Measurements; all of the database where none is named.
    pub sources: Vec<TagMatch>,
    /// WHERE.
    pub condition: Option<Condition>,
}

impl Parser<'_> {
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

    /// One measurement. What is deleted is deleted from all retention policies, so neither they nor databases are named.
    fn source(&mut self, first: &Token) -> Result<TagMatch, ParseError> {
        let token = self.peek().clone();
        if let Kind::Regex(pattern) = &token.kind {
            let pattern = TagMatch::pattern(pattern).map_err(|reason| Self::invalid(reason, &token))?;
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
            1 => Err(Self::invalid("retention policy not supported", first)),
            _ => Err(Self::invalid("database not supported", first)),
        }
    }
}

impl Delete {
    /// Whether rows of the measurement `name` are meant.
    pub fn names(&self, name: &str) -> bool {
        self.sources.is_empty() || self.sources.iter().any(|source| source.is_match(name))
    }

    /// The rows of `table` that are meant, with `now()` at `now_ns`. The error is InfluxDB's.
    pub fn bind(&self, table: &Arc<TableSchema>, now_ns: i64) -> Result<Deletion, String> {
        let Some(condition) = &self.condition else {
            return Ok(Deletion { table: table.clone(), series: SeriesFilter::All, times: vec![(i64::MIN, i64::MAX)] });
        };
        self.check()?;
        let bound = condition.bind(table, now_ns)?;
        let unit_ns = table.time_unit.nanoseconds();
        // The ends of time stand for no bound, in every unit.
        let first = match bound.time_min {
            i64::MIN => i64::MIN,
            ns => ns.div_euclid(unit_ns) + i64::from(ns.rem_euclid(unit_ns) > 0),
        };
        let last = if bound.time_max == i64::MAX { i64::MAX } else { bound.time_max.div_euclid(unit_ns) };
        Ok(Deletion {
            table: table.clone(),
            series: bound.tags.map_or(SeriesFilter::All, SeriesFilter::Tags),
            times: if bound.time_min <= bound.time_max && first <= last { vec![(first, last)] } else { Vec::new() },
        })
    }

    /// Why the statement cannot be carried out, whatever there is to delete from; the error is InfluxDB's.
    pub fn check(&self) -> Result<(), String> {
        let speaks_of_time = self.condition.as_ref().is_some_and(Condition::speaks_of_time);
        if self.series && speaks_of_time {
            return Err("DROP SERIES doesn't support time in WHERE clause".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tidewire_storage::schema::{ColumnId, ColumnKind, ColumnSchema, FieldType, TableId, TimeUnit};

    use super::super::parse;
    use super::*;

    fn table(time_unit: TimeUnit) -> Arc<TableSchema> {
        let column =
            |id: u16, name: &str, kind| ColumnSchema { id: ColumnId(id), name: name.into(), kind, codec: None };
        Arc::new(TableSchema {
            id: TableId(1),
            name: "cpu".into(),
            columns: vec![column(0, "host", ColumnKind::Tag), column(1, "v", ColumnKind::Field(FieldType::Float))],
            time_unit,
            partition_length: 1,
            next_column: 2,
        })
    }

    fn bound(condition: &str, unit: TimeUnit) -> Result<Deletion, String> {
        let statements = parse(&format!("DELETE FROM cpu WHERE {condition}")).map_err(|error| error.to_string())?;
        let [Statement::Delete(delete)] = statements.as_slice() else { return Err(format!("{statements:?}")) };
        delete.bind(&table(unit), 1_000_000_000_000)
    }

    #[test]
    fn times_are_rounded_inwards_to_the_tables_unit() {
        let (ns, ms) = (TimeUnit::Nanosecond, TimeUnit::Millisecond);
        for (condition, unit, expected) in [
            ("time > 5", ns, vec![(6, i64::MAX)]),
            ("5 < time and TIME <= 9", ns, vec![(6, 9)]),
            ("time >= 1500u and time <= 3500u", ms, vec![(2, 3)]),
            ("time > 1ms and time < 2ms", ms, vec![]),
            ("time > now() - 16m + 10s", ms, vec![(50_001, i64::MAX)]),
            ("time = '1970-01-01T00:00:01Z'", ns, vec![(1_000_000_000, 1_000_000_000)]),
            ("time < '1970-01-01 00:00:01.5'", ms, vec![(i64::MIN, 1_499)]),
            ("time = 1 or time = 2", ns, vec![]),
            ("\"time\" >= 7 or host = 'a'", ns, vec![(7, i64::MAX)]),
            ("time > -5", ns, vec![(-4, i64::MAX)]),
            ("time < 1.9", ns, vec![(i64::MIN, 0)]),
        ] {
            assert_eq!(bound(condition, unit).unwrap().times, expected, "{condition}");
        }
    }

    #[test]
    fn what_is_neither_tag_nor_time_is_refused() {
        let no_field = "shard 1: fields not supported in WHERE clause during deletion";
        for (condition, error) in [
            ("v > 1", no_field),
            ("v = 'a'", no_field),
            ("nope = 1", no_field),
            ("host > 'a'", no_field),
            ("1 = 1", no_field),
            ("time = true", "invalid operation: time and *influxql.BooleanLiteral are not compatible"),
            ("time = host", "invalid operation: time and *influxql.VarRef are not compatible"),
            ("time > '1970-01-01T00:00:20'", "invalid timestamp string"),
            ("time > 9223372036854775807 + 1", "time 9223372036854775808 overflows time literal"),
        ] {
            assert_eq!(bound(condition, TimeUnit::Nanosecond).unwrap_err(), error, "{condition}");
        }
        for (condition, error) in [
            ("host =~ 'a'", "a regular expression is compared by =~ and !~, and they compare nothing else"),
            ("host =~ /(/", "error parsing regexp"),
            ("host = mean(v)", "invalid function call in condition: mean"),
            ("(host = 'a'", "found EOF, expected )"),
            ("host", "invalid condition: a comparison is wanted"),
        ] {
            let refusal = bound(condition, TimeUnit::Nanosecond).unwrap_err();
            assert!(refusal.starts_with(error) && refusal.contains(" at line 1, char "), "{condition}: {refusal}");
        }
        let deep = format!("{}host = 'a'{}", "(".repeat(1_000), ")".repeat(1_000));
        assert!(bound(&deep, TimeUnit::Nanosecond).unwrap_err().contains("brackets inside of each other"));
        let long = vec!["host = 'a'"; 20_000].join(" OR ");
        assert!(matches!(bound(&long, TimeUnit::Nanosecond).unwrap().series, SeriesFilter::Tags(_)));
    }
}
