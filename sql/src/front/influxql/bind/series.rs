//! Statements about series: DELETE, DROP SERIES, and the filters of SHOW. Their conditions speak of tags and times.

use std::sync::Arc;

use tidewire_storage::schema::TableSchema;

use super::condition::{Clock, TimeRange, speaks_of_time, split};
use super::error::BindError;
use crate::deletion::{Deletion, SeriesFilter, TagCondition, TagMatch};
use crate::front::influxql::ast::{Delete, Expr, Literal, Measurement, MeasurementName, Op};

/// Series and times that a condition of SHOW chooses.
#[derive(Debug, Clone)]
pub struct SchemaSelection {
    /// Series of the table.
    pub series: SeriesFilter,
    /// First and last time in nanoseconds; `None` where the condition does not speak of time.
    pub times_ns: Option<(i64, i64)>,
}

impl Measurement {
    /// Whether a measurement of this name is meant, whatever its database and policy.
    pub fn names(&self, name: &str) -> bool {
        match &self.name {
            MeasurementName::Name(known) => known == name,
            MeasurementName::Regex(regex) => regex.matches.is_match(name),
        }
    }
}

impl Delete {
    /// Whether rows of the measurement `name` are meant.
    pub fn names(&self, name: &str) -> bool {
        self.sources.is_empty() || self.sources.iter().any(|source| source.names(name))
    }

    /// The rows of `table` that are meant, with `now()` at `now_ns`.
    pub fn bind(&self, table: &Arc<TableSchema>, now_ns: i64) -> Result<Deletion, BindError> {
        self.check()?;
        let (range, series) = match &self.condition {
            Some(condition) => {
                let (range, rest) = split(condition, Clock { now_ns, zone: None })?;
                let tags = rest.map(|rest| tags(&rest, table, &BindError::FieldInDelete)).transpose()?;
                (range, tags.map_or(SeriesFilter::All, SeriesFilter::Tags))
            }
            None => (TimeRange::ALL, SeriesFilter::All),
        };
        Ok(Deletion { table: table.clone(), series, times: in_unit(range, table).into_iter().collect() })
    }

    /// Why the statement cannot be carried out, whatever there is to delete from.
    pub fn check(&self) -> Result<(), BindError> {
        if self.series && self.condition.as_ref().is_some_and(speaks_of_time) {
            return Err(BindError::TimeInDropSeries);
        }
        Ok(())
    }
}

/// A range in the table's unit, rounded inwards; `None` where no time of the unit is in it. The ends of time stand for
/// no bound in every unit.
pub(super) fn in_unit(range: TimeRange, table: &TableSchema) -> Option<(i64, i64)> {
    let unit_ns = table.time_unit.nanoseconds();
    let first = match range.min {
        i64::MIN => i64::MIN,
        ns => ns.div_euclid(unit_ns) + i64::from(ns.rem_euclid(unit_ns) > 0),
    };
    let last = if range.max == i64::MAX { i64::MAX } else { range.max.div_euclid(unit_ns) };
    (!range.is_empty() && first <= last).then_some((first, last))
}

/// What `condition` chooses of `table`, for SHOW. A comparison of a field is refused.
pub fn schema_selection(
    condition: Option<&Expr>,
    table: &TableSchema,
    now_ns: i64,
) -> Result<SchemaSelection, BindError> {
    let Some(condition) = condition else {
        return Ok(SchemaSelection { series: SeriesFilter::All, times_ns: None });
    };
    let (range, rest) = split(condition, Clock { now_ns, zone: None })?;
    let tags = rest.map(|rest| tags(&rest, table, &BindError::FieldInShow)).transpose()?;
    Ok(SchemaSelection {
        series: tags.map_or(SeriesFilter::All, SeriesFilter::Tags),
        times_ns: (range != TimeRange::ALL).then_some((range.min, range.max)),
    })
}

/// A condition on tags; `wrong` is said of what is none.
fn tags(condition: &Expr, table: &TableSchema, wrong: &BindError) -> Result<TagCondition, BindError> {
    let Expr::Chain { first, rest } = condition.bare() else { return Err(wrong.clone()) };
    match rest.as_slice() {
        [(op @ (Op::Eq | Op::NotEq | Op::Matches | Op::NotMatches), right)] => tag(table, first, *op, right, wrong),
        rest if rest.iter().all(|(op, _)| matches!(op, Op::And | Op::Or)) => {
            let operands = std::iter::once(&**first).chain(rest.iter().map(|(_, operand)| operand));
            let parts = operands.map(|operand| tags(operand, table, wrong)).collect::<Result<_, _>>()?;
            let is_and = rest.iter().all(|(op, _)| *op == Op::And);
            Ok(if is_and { TagCondition::All(parts) } else { TagCondition::Any(parts) })
        }
        _ => Err(wrong.clone()),
    }
}

/// A comparison of a tag with a string or a regular expression.
fn tag(table: &TableSchema, left: &Expr, op: Op, right: &Expr, wrong: &BindError) -> Result<TagCondition, BindError> {
    let (name, value) = match (left.bare(), right.bare()) {
        (Expr::Name { name, .. }, value) | (value, Expr::Name { name, .. }) => (name, value),
        _ => return Err(wrong.clone()),
    };
    let column = table.columns.tag(name);
    if column.is_none() && table.columns.field(name).is_some() {
        return Err(wrong.clone());
    }
    let matches = match value {
        Expr::Literal(Literal::Text(text)) => TagMatch::Text(text.clone()),
        Expr::Regex(regex) => regex.matches.clone(),
        _ => return Err(wrong.clone()),
    };
    let negated = matches!(op, Op::NotEq | Op::NotMatches);
    Ok(TagCondition::Tag { column: column.map(|column| column.id), matches, negated })
}

#[cfg(test)]
mod tests {
    use tidewire_storage::schema::{ColumnId, ColumnKind, ColumnSchema, FieldType, TableId, TimeUnit};

    use super::*;
    use crate::front::influxql::{Statement, parse};

    fn table(time_unit: TimeUnit) -> Arc<TableSchema> {
        let column = |id: u16, name: &str, kind| ColumnSchema {
            id: ColumnId(id),
            name: name.into(),
            kind,
            codec: None,
            geometry: None,
        };
        Arc::new(TableSchema {
            id: TableId(1),
            name: "cpu".into(),
            columns: [column(0, "host", ColumnKind::Tag), column(1, "v", ColumnKind::Field(FieldType::Float))]
                .into_iter()
                .collect(),
            time_unit,
            partition_length: 1,
            next_column: 2,
        })
    }

    fn bound(condition: &str, unit: TimeUnit) -> Result<Deletion, BindError> {
        let statements = parse(&format!("DELETE FROM cpu WHERE {condition}")).unwrap();
        let [Statement::Delete(delete)] = statements.as_slice() else { panic!("{statements:?}") };
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
        for (condition, error) in [
            ("v > 1", BindError::FieldInDelete),
            ("1 = 1", BindError::FieldInDelete),
            ("time = true", BindError::NoTime("BooleanLiteral")),
            ("time = host", BindError::NoTime("VarRef")),
            ("time > 'soon'", BindError::NoTime("StringLiteral")),
            ("time > '1970-01-01T00:00:20'", BindError::Timestamp),
            ("time > 9223372036854775807 + 1", BindError::TimeOverflow(1 << 63)),
            ("time != 1", BindError::TimeOperator("!=")),
        ] {
            assert_eq!(bound(condition, TimeUnit::Nanosecond).unwrap_err(), error, "{condition}");
        }
    }

    #[test]
    fn a_long_condition_is_bound() {
        let long = vec!["host = 'a'"; 20_000].join(" OR ");
        assert!(matches!(bound(&long, TimeUnit::Nanosecond).unwrap().series, SeriesFilter::Tags(_)));
    }
}
