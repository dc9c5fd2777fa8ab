//! What a read wants: its matchers as statements over the tables that may have such series.
//!
//! A metric is a table, so matchers of the name choose tables, and the others are conditions on tags. A label that a
//! series lacks is an empty one, in Prometheus as here.

use std::fmt::{self, Display, Write as _};

use tidewire_protocol::prometheus::{
    Comparison, Matcher, NAME, ReadForm, ReadQuery, ReadRequest, STALE, VALUE, label_name, metric_name, tag_name,
};
use tidewire_protocol::row::RowError;
use tidewire_sql::expr::pattern::Pattern;
use tidewire_storage::schema::{ColumnKind, ColumnSchema, FieldType, TableSchema, TimeUnit};

use crate::api::queries::quoted;

/// Patterns of a request. Each is compiled, which may take ten milliseconds and a megabyte.
const PATTERNS_MAX: usize = 64;

/// What the column of stale markers is.
const STALE_KIND: ColumnKind = ColumnKind::Field(FieldType::Bool);

/// What a request wants.
#[derive(Debug)]
pub(super) struct Asked {
    /// Each has an answer of its own.
    pub(super) queries: Vec<Wanted>,
    pub(super) form: ReadForm,
}

/// Series by their labels, and samples by time.
#[derive(Debug)]
pub(super) struct Wanted {
    start_ms: i64,
    end_ms: i64,
    conditions: Vec<Condition>,
}

/// What a label must be.
#[derive(Debug)]
struct Condition {
    comparison: Comparison,
    label: String,
    value: String,
    /// Of a comparison that has one.
    pattern: Option<Pattern>,
}

/// A statement that gives a table's samples: its columns are the time, the value, whether it is a stale marker (where
/// the table has any), and a tag for each label but the name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selected {
    pub(super) sql: String,
    /// Name of the metric; empty where it has none.
    pub(super) name: String,
    /// There is a column for stale markers.
    pub(super) has_stale: bool,
    /// All labels, in order, the name among them.
    pub(super) labels: Vec<String>,
}

/// How many patterns a request has.
pub(super) fn patterns(request: &ReadRequest<'_>) -> Result<usize, RowError> {
    let matchers = request.queries.iter().flat_map(|query| &query.matchers);
    let count = matchers.filter(|matcher| matcher.comparison.has_pattern()).count();
    match count > PATTERNS_MAX {
        true => Err(RowError::TooMany { what: "patterns in a request", count_max: PATTERNS_MAX }),
        false => Ok(count),
    }
}

impl Asked {
    /// What `request` wants; compiles its patterns.
    pub(super) fn of(request: &ReadRequest<'_>) -> Result<Self, RowError> {
        let wanted = |query: &ReadQuery<'_>| {
            Ok(Wanted {
                start_ms: query.start_ms,
                end_ms: query.end_ms,
                conditions: query.matchers.iter().map(Condition::of).collect::<Result<_, RowError>>()?,
            })
        };
        Ok(Self { queries: request.queries.iter().map(wanted).collect::<Result<_, RowError>>()?, form: request.form })
    }
}

/// As PromQL would write it.
impl Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, query) in self.queries.iter().enumerate() {
            f.write_str(if at > 0 { "; {" } else { "{" })?;
            for (at, Condition { comparison, label, value, .. }) in query.conditions.iter().enumerate() {
                let comma = if at > 0 { "," } else { "" };
                write!(f, "{comma}{label}{}{value:?}", comparison.symbol())?;
            }
            f.write_str("}")?;
        }
        Ok(())
    }
}

impl Condition {
    fn of(matcher: &Matcher<'_>) -> Result<Self, RowError> {
        let Matcher { comparison, name, value } = *matcher;
        let invalid = |reason: String| RowError::invalid("a pattern", format_args!("{reason}: {value}"));
        let pattern = match comparison.has_pattern() {
            false => None,
            true => {
                if value.contains(')') {
                    // What is no pattern by itself may be one between the parentheses.
                    Pattern::new(value, false).map_err(invalid)?;
                }
                Some(Pattern::new(&anchored(value), false).map_err(invalid)?)
            }
        };
        Ok(Self { comparison, label: name.to_owned(), value: value.to_owned(), pattern })
    }

    fn holds(&self, value: &str) -> bool {
        let is_match = || self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(value));
        match self.comparison {
            Comparison::Equal => value == self.value,
            Comparison::NotEqual => value != self.value,
            Comparison::Match => is_match(),
            Comparison::NoMatch => !is_match(),
        }
    }

    /// As a condition of SQL on `tag`.
    fn sql(&self, tag: &str) -> String {
        let tag = quoted(tag, '"');
        let (operator, value) = match self.comparison {
            Comparison::Equal => ("=", self.value.clone()),
            Comparison::NotEqual => ("<>", self.value.clone()),
            Comparison::Match => ("~", anchored(&self.value)),
            Comparison::NoMatch => ("!~", anchored(&self.value)),
        };
        let compared = format!("{tag} {operator} {}", quoted(&value, '\''));
        if self.holds("") { format!("({tag} IS NULL OR {compared})") } else { compared }
    }
}

/// A pattern of the whole text.
fn anchored(pattern: &str) -> String {
    format!("^(?s:{pattern})$")
}

impl Wanted {
    /// The one table that can have what is wanted, if its name is given.
    pub(super) fn table(&self) -> Option<&str> {
        let is_name = |condition: &&Condition| condition.label == NAME && condition.comparison == Comparison::Equal;
        self.conditions.iter().find(is_name).map(|condition| condition.value.as_str())
    }

    /// The statement that gives what is wanted of `table`; `None` where it can have nothing of it.
    pub(super) fn of(&self, table: &TableSchema) -> Option<Selected> {
        // One who names a table as it is called knows of such names.
        let name = match self.table() == Some(&*table.name) {
            true => table.name.to_string(),
            false => metric_name(&table.name).into_owned(),
        };
        let mut conditions = self.conditions.iter();
        if !conditions.all(|condition| condition.label != NAME || condition.holds(&name)) {
            return None;
        }
        let named = || table.columns.iter().filter(|column| &*column.name == VALUE);
        let is_number = |kind| matches!(kind, ColumnKind::Field(FieldType::Float | FieldType::Int | FieldType::UInt));
        if named().count() != 1 || !named().all(|column| is_number(column.kind)) {
            return None;
        }
        let tags: Vec<&str> = (table.columns.iter())
            .filter(|column| column.kind == ColumnKind::Tag && label_name(&column.name) != NAME)
            .map(|column| &*column.name)
            .collect();
        let mut labels: Vec<(String, &str)> = Vec::with_capacity(tags.len() + 1);
        labels.push((NAME.to_owned(), ""));
        for &tag in &tags {
            let label = label_name(tag);
            // Of two tags that would be one label, the second keeps the name that it has.
            let is_taken = tags.iter().take_while(|other| **other != tag).any(|other| label_name(other) == label);
            labels.push((if is_taken { tag.to_owned() } else { label.into_owned() }, tag));
        }
        labels.sort_unstable();
        let is_stale = |column: &&ColumnSchema| &*column.name == STALE;
        let has_stale = table.columns.iter().filter(is_stale).map(|column| column.kind).eq([STALE_KIND]);
        let mut sql = "SELECT \"time\", \"value\"".to_owned();
        if has_stale {
            let _ = write!(sql, ", \"{STALE}\"");
        }
        for (_, tag) in labels.iter().filter(|(_, tag)| !tag.is_empty()) {
            sql.push_str(", ");
            sql.push_str(&quoted(tag, '"'));
        }
        let is_sample = match has_stale {
            true => format!("(\"value\" IS NOT NULL OR \"{STALE}\")"),
            false => "\"value\" IS NOT NULL".to_owned(),
        };
        let _ = write!(sql, " FROM {} WHERE {is_sample}", quoted(&table.name, '"'));
        let (first, last) = times(self.start_ms, self.end_ms, table.time_unit)?;
        for (operator, time) in [(">=", first), ("<=", last)] {
            if let Some(time) = time {
                let _ = write!(sql, " AND \"time\" {operator} {time}");
            }
        }
        for condition in self.conditions.iter().filter(|condition| condition.label != NAME) {
            let by_label = labels.iter().find(|(label, tag)| *label == condition.label && !tag.is_empty());
            let tag = by_label.map(|(_, tag)| *tag).or_else(|| {
                let exact = tag_name(&condition.label);
                tags.iter().copied().find(|tag| *tag == exact)
            });
            match tag {
                Some(tag) => {
                    sql.push_str(" AND ");
                    sql.push_str(&condition.sql(tag));
                }
                None if condition.holds("") => {}
                None => return None,
            }
        }
        Some(Selected { sql, name, has_stale, labels: labels.into_iter().map(|(label, _)| label).collect() })
    }
}

/// The first and the last time of use in a table of `unit`; `None` where there is no bound. A time counts in whole
/// milliseconds, so that the last one has all that comes before the next.
fn times(start_ms: i64, end_ms: i64, unit: TimeUnit) -> Option<(Option<i64>, Option<i64>)> {
    let units = i128::from(1_000_000 / unit.nanoseconds());
    let (first, last) = (i128::from(start_ms) * units, (i128::from(end_ms) + 1) * units - 1);
    let is_empty = start_ms > end_ms || first > i128::from(i64::MAX) || last < i128::from(i64::MIN);
    // The least time has no spelling as a number behind a sign, and bounds nothing.
    let bound = |time: i128| i64::try_from(time).ok().filter(|time| *time > i64::MIN);
    (!is_empty).then(|| (bound(first), bound(last)))
}

#[cfg(test)]
mod tests {
    use tidewire_storage::schema::{ColumnId, TableId};

    use super::*;

    fn table(name: &str, columns: &[(&str, ColumnKind)]) -> TableSchema {
        let columns = columns.iter().zip(0..);
        TableSchema {
            id: TableId(1),
            name: name.into(),
            columns: columns
                .map(|((name, kind), id)| ColumnSchema {
                    id: ColumnId(id),
                    name: (*name).into(),
                    kind: *kind,
                    codec: None,
                    geometry: None,
                })
                .collect::<Vec<_>>()
                .into(),
            time_unit: TimeUnit::Nanosecond,
            partition_length: 1,
            next_column: 99,
        }
    }

    fn wanted(matchers: &[(Comparison, &str, &str)]) -> Wanted {
        let matchers =
            matchers.iter().map(|(comparison, name, value)| Matcher { comparison: *comparison, name, value });
        let query = ReadQuery { start_ms: -1, end_ms: 2, matchers: matchers.collect() };
        let request = ReadRequest { queries: vec![query], form: ReadForm::Samples };
        Asked::of(&request).unwrap().queries.remove(0)
    }

    const TAG: ColumnKind = ColumnKind::Tag;
    const FLOAT: ColumnKind = ColumnKind::Field(FieldType::Float);
    use Comparison::{Equal, Match, NoMatch, NotEqual};

    #[test]
    fn matchers_become_conditions_on_tags() {
        let up = table("up", &[("__name__", TAG), ("j\"ob", TAG), ("label.value", TAG), ("value", FLOAT)]);
        let begin = "SELECT \"time\", \"value\", \"j\"\"ob\", \"label.value\" FROM \"up\" WHERE \"value\" IS NOT NULL \
                     AND \"time\" >= -1000000 AND \"time\" <= 2999999";
        let cases = [
            ((Equal, "j\"ob", "it's"), " AND \"j\"\"ob\" = 'it''s'"),
            ((Equal, "j_ob", ""), " AND (\"j\"\"ob\" IS NULL OR \"j\"\"ob\" = '')"),
            ((NotEqual, "value", "x"), " AND (\"label.value\" IS NULL OR \"label.value\" <> 'x')"),
            ((NotEqual, "value", ""), " AND \"label.value\" <> ''"),
            ((Match, "value", "a|b"), " AND \"label.value\" ~ '^(?s:a|b)$'"),
            ((NoMatch, "value", ".+"), " AND (\"label.value\" IS NULL OR \"label.value\" !~ '^(?s:.+)$')"),
            ((NotEqual, "other", "x"), ""),
            ((Match, "other", ".*"), ""),
        ];
        for (matcher, end) in cases {
            let found = wanted(&[(Equal, "__name__", "up"), matcher]).of(&up).unwrap();
            assert_eq!(found.sql, format!("{begin}{end}"));
            assert_eq!(
                (found.name.as_str(), found.labels.as_slice()),
                ("up", ["__name__", "j_ob", "value"].map(str::to_owned).as_slice())
            );
        }
        for matcher in [(Equal, "other", "x"), (NotEqual, "other", ""), (NoMatch, "__name__", "u.")] {
            assert_eq!(wanted(&[matcher]).of(&up), None);
        }
    }

    #[test]
    fn tables_without_a_number_called_value_have_no_samples() {
        let string = ColumnKind::Field(FieldType::String);
        for columns in [&[("a", TAG)][..], &[("value", string)], &[("value", TAG)], &[("value", TAG), ("value", FLOAT)]]
        {
            assert_eq!(wanted(&[]).of(&table("t", columns)), None);
        }
        let dotted = table("sys.if", &[("value", ColumnKind::Field(FieldType::Int)), ("a.b", TAG), ("a_b", TAG)]);
        let named =
            |name: &str| wanted(&[(Equal, "__name__", name)]).of(&dotted).map(|found| (found.name, found.labels));
        let labels = || ["__name__", "a_b", "a_b"].map(str::to_owned).to_vec();
        assert_eq!(named("sys.if"), Some(("sys.if".to_owned(), labels())));
        assert_eq!(named("sys_if"), Some(("sys_if".to_owned(), labels())));
        assert_eq!(named("sys"), None);
    }

    #[test]
    fn stale_markers_are_read_where_a_table_has_them() {
        let up = table("up", &[("value", FLOAT), ("__stale__", STALE_KIND), ("job", TAG)]);
        let found = wanted(&[]).of(&up).unwrap();
        let begin = "SELECT \"time\", \"value\", \"__stale__\", \"job\" FROM \"up\" WHERE (\"value\" IS NOT NULL OR \"__stale__\")";
        assert!(found.has_stale && found.sql.starts_with(begin), "{}", found.sql);
        // What somebody else has called so is none.
        let other = table("up", &[("value", FLOAT), ("__stale__", FLOAT)]);
        assert!(!wanted(&[]).of(&other).unwrap().has_stale);
    }

    #[test]
    fn times_are_of_whole_milliseconds() {
        let (ns, ms) = (TimeUnit::Nanosecond, TimeUnit::Millisecond);
        assert_eq!(times(1, 1, ns), Some((Some(1_000_000), Some(1_999_999))));
        assert_eq!(times(1, 1, ms), Some((Some(1), Some(1))));
        assert_eq!(times(2, 1, ns), None);
        assert_eq!(times(i64::MIN, i64::MAX, ns), Some((None, None)));
        assert_eq!(times(i64::MIN, i64::MAX, ms), Some((None, Some(i64::MAX))));
        assert_eq!((times(i64::MAX - 1, i64::MAX, ns), times(i64::MIN, i64::MIN + 1, ns)), (None, None));
    }

    #[test]
    fn patterns_are_of_the_whole_text_and_patterns_by_themselves() {
        let holds = |pattern: &str, text: &str| wanted(&[(Match, "l", pattern)]).conditions[0].holds(text);
        assert!(holds("a|b", "b") && !holds("a|b", "ab") && holds("a.b", "a\nb") && holds("(?i)A", "a"));
        for pattern in ["a)|(b", "(", "*"] {
            let matcher = Matcher { comparison: Match, name: "l", value: pattern };
            assert!(matches!(Condition::of(&matcher), Err(RowError::Invalid { .. })), "{pattern}");
        }
    }
}
