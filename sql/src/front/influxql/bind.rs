//! What a statement that deletes means for one table.
//!
//! Comparisons of time are taken out wherever they stand and all of them bound the time, as InfluxDB has it: an OR
//! between times, or between a time and a tag, acts as AND. What is left speaks of tags, and is bound to the columns of
//! the table.

use std::sync::Arc;

use tidewire_storage::schema::{ColumnKind, TableSchema};

use super::error::{DeleteError, OperandKind};
use super::statement::{Condition, Delete, Operand};
use crate::deletion::{Deletion, SeriesFilter, TagCondition, TagMatch};
use crate::types::timestamp::parse_timestamp;

/// What a condition says of the rows of one table.
#[derive(Debug, Clone)]
struct Selection {
    /// First time in nanoseconds.
    pub(super) time_min: i64,
    /// Last time in nanoseconds.
    pub(super) time_max: i64,
    /// The series; `None` for all.
    pub(super) tags: Option<TagCondition>,
}

impl Delete {
    /// Whether rows of the measurement `name` are meant.
    pub fn names(&self, name: &str) -> bool {
        self.sources.is_empty() || self.sources.iter().any(|source| source.is_match(name))
    }

    /// The rows of `table` that are meant, with `now()` at `now_ns`.
    pub fn bind(&self, table: &Arc<TableSchema>, now_ns: i64) -> Result<Deletion, DeleteError> {
        let Some(condition) = &self.condition else {
            return Ok(Deletion { table: table.clone(), series: SeriesFilter::All, times: vec![(i64::MIN, i64::MAX)] });
        };
        self.check()?;
        let selection = condition.bind(table, now_ns)?;
        let unit_ns = table.time_unit.nanoseconds();
        // The ends of time stand for no bound, in every unit.
        let first = match selection.time_min {
            i64::MIN => i64::MIN,
            ns => ns.div_euclid(unit_ns) + i64::from(ns.rem_euclid(unit_ns) > 0),
        };
        let last = if selection.time_max == i64::MAX { i64::MAX } else { selection.time_max.div_euclid(unit_ns) };
        Ok(Deletion {
            table: table.clone(),
            series: selection.tags.map_or(SeriesFilter::All, SeriesFilter::Tags),
            times: if selection.time_min <= selection.time_max && first <= last {
                vec![(first, last)]
            } else {
                Vec::new()
            },
        })
    }

    /// Why the statement cannot be carried out, whatever there is to delete from.
    pub fn check(&self) -> Result<(), DeleteError> {
        let speaks_of_time = self.condition.as_ref().is_some_and(Condition::speaks_of_time);
        if self.series && speaks_of_time {
            return Err(DeleteError::TimeInDropSeries);
        }
        Ok(())
    }
}

impl Condition {
    /// Whether a comparison of time is in it.
    fn speaks_of_time(&self) -> bool {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().any(Self::speaks_of_time),
            Self::Compare { left, right, .. } => left.is_time() || right.is_time(),
        }
    }

    /// The condition for the rows of `table`.
    fn bind(&self, table: &TableSchema, now_ns: i64) -> Result<Selection, DeleteError> {
        let mut selection = Selection { time_min: i64::MIN, time_max: i64::MAX, tags: None };
        selection.tags = self.tags(table, now_ns, &mut selection)?;
        Ok(selection)
    }

    /// What is left of the condition without its times, which go into `selection`; `None` where that is nothing.
    fn tags(
        &self,
        table: &TableSchema,
        now_ns: i64,
        selection: &mut Selection,
    ) -> Result<Option<TagCondition>, DeleteError> {
        let mut all = |parts: &[Self]| -> Result<Vec<TagCondition>, DeleteError> {
            let mut tags = Vec::new();
            for part in parts {
                tags.extend(part.tags(table, now_ns, selection)?);
            }
            Ok(tags)
        };
        match self {
            Self::And(parts) => Ok(Some(all(parts)?).filter(|tags| !tags.is_empty()).map(TagCondition::All)),
            Self::Or(parts) => Ok(Some(all(parts)?).filter(|tags| !tags.is_empty()).map(TagCondition::Any)),
            Self::Compare { left, operator, right } => {
                if left.is_time() {
                    narrow(selection, operator, right.nanoseconds(now_ns)?)?;
                    Ok(None)
                } else if right.is_time() {
                    narrow(selection, mirrored(operator), left.nanoseconds(now_ns)?)?;
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
    fn nanoseconds(&self, now_ns: i64) -> Result<i128, DeleteError> {
        match self {
            Self::Integer(ns) | Self::Duration(ns) => Ok(i128::from(*ns)),
            // InfluxDB drops the fraction.
            Self::Number(ns) => Ok(*ns as i128),
            Self::Now => Ok(i128::from(now_ns)),
            Self::Text(text) => time_of_text(text).ok_or_else(|| {
                let looks_like_a_date = text.len() >= 8 && text.bytes().take(4).all(|byte| byte.is_ascii_digit());
                if looks_like_a_date { DeleteError::InvalidTimestamp } else { DeleteError::NoTime(OperandKind::Text) }
            }),
            Self::Sum(terms) => terms.iter().try_fold(0, |sum: i128, (negative, term)| {
                let ns = term.nanoseconds(now_ns)?;
                Ok(if *negative { sum.saturating_sub(ns) } else { sum.saturating_add(ns) })
            }),
            Self::Name(_) => Err(DeleteError::NoTime(OperandKind::Name)),
            Self::Regex(_) => Err(DeleteError::NoTime(OperandKind::Pattern)),
            Self::Bool(_) => Err(DeleteError::NoTime(OperandKind::Bool)),
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

fn narrow(selection: &mut Selection, operator: &'static str, ns: i128) -> Result<(), DeleteError> {
    if ns > i128::from(i64::MAX) {
        return Err(DeleteError::TimeOverflow(ns));
    }
    if ns < i128::from(i64::MIN) {
        return Err(DeleteError::TimeUnderflow(ns));
    }
    let clamped = |ns: i128| ns.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64;
    let (min, max) = match operator {
        "=" => (ns, ns),
        "<" => (i128::MIN, ns - 1),
        "<=" => (i128::MIN, ns),
        ">" => (ns + 1, i128::MAX),
        ">=" => (ns, i128::MAX),
        other => return Err(DeleteError::TimeOperator(other)),
    };
    selection.time_min = selection.time_min.max(clamped(min));
    selection.time_max = selection.time_max.min(clamped(max));
    // Beyond either end of time there is nothing.
    if min > i128::from(i64::MAX) || max < i128::from(i64::MIN) {
        (selection.time_min, selection.time_max) = (i64::MAX, i64::MIN);
    }
    Ok(())
}

/// A comparison of a tag with a string or a regular expression.
fn tag(table: &TableSchema, left: &Operand, operator: &str, right: &Operand) -> Result<TagCondition, DeleteError> {
    let (name, value) = match (left, right) {
        (Operand::Name(name), value) | (value, Operand::Name(name)) => (name, value),
        _ => return Err(DeleteError::FieldInCondition),
    };
    let column = table.column(name);
    if column.is_some_and(|column| column.kind != ColumnKind::Tag) {
        return Err(DeleteError::FieldInCondition);
    }
    let (matches, negated) = match (value, operator) {
        (Operand::Text(text), "=" | "!=") => (TagMatch::Text(text.clone()), operator == "!="),
        (Operand::Regex(pattern), _) => (pattern.clone(), operator == "!~"),
        _ => return Err(DeleteError::FieldInCondition),
    };
    Ok(TagCondition::Tag { column: column.map(|column| column.id), matches, negated })
}

#[cfg(test)]
mod tests {
    use tidewire_storage::schema::{ColumnId, ColumnKind, ColumnSchema, FieldType, TableId, TimeUnit};

    use super::*;
    use crate::front::influxql::{Statement, parse};

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

    fn bound(condition: &str, unit: TimeUnit) -> Result<Deletion, DeleteError> {
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
            ("v > 1", DeleteError::FieldInCondition),
            ("1 = 1", DeleteError::FieldInCondition),
            ("time = true", DeleteError::NoTime(OperandKind::Bool)),
            ("time = host", DeleteError::NoTime(OperandKind::Name)),
            ("time > 'soon'", DeleteError::NoTime(OperandKind::Text)),
            ("time > '1970-01-01T00:00:20'", DeleteError::InvalidTimestamp),
            ("time > 9223372036854775807 + 1", DeleteError::TimeOverflow(1 << 63)),
            ("time != 1", DeleteError::TimeOperator("!=")),
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
