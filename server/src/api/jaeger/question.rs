//! What a request asks for, and the statements of SQL that find it.

use std::fmt::Write as _;

use tidewire_protocol::otlp::columns::{ATTRIBUTES, RESOURCE, SCOPE, SPAN};
use tidewire_storage::schema::{ColumnKind, TableSchema};

use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::api::queries::quoted;

/// The table of a request that names none: that of `/v1/traces`.
const TABLE: &str = "traces";

/// Traces of a reply: unless the request says how many, and at most.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1500;

/// Tags and ids of traces that a request may name.
const TAGS_MAX: usize = 100;

/// The parameters of a search. The last three change nothing: Jaeger's page sends them.
pub(super) const SEARCH: [&str; 15] = [
    "db",
    "tenant",
    "table",
    "service",
    "operation",
    "start",
    "end",
    "minDuration",
    "maxDuration",
    "limit",
    "tag",
    "tags",
    "lookback",
    "raw",
    "prettyPrint",
];

/// The table that the request is about: its name, from the header or else the parameter.
pub(super) fn table(context: &RequestContext<'_>) -> Result<String, Fault> {
    Ok(match (context.text_header("table")?, context.parameter("table")?) {
        (Some(table), _) => table.to_owned(),
        (None, Some(table)) if !table.is_empty() => table.into_owned(),
        _ => TABLE.to_owned(),
    })
}

/// A search for traces.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Search {
    pub(super) service: String,
    pub(super) operation: String,
    /// In nanoseconds.
    pub(super) start: Option<i64>,
    pub(super) end: Option<i64>,
    pub(super) duration_min: Option<f64>,
    pub(super) duration_max: Option<f64>,
    pub(super) tags: Vec<(String, String)>,
    pub(super) limit: usize,
}

fn bad(name: &'static str, value: impl Into<String>) -> Fault {
    Fault::ParameterValue { name, value: value.into() }
}

impl Search {
    /// What the parameters of a request say.
    pub(super) fn of(context: &RequestContext<'_>) -> Result<Self, Fault> {
        let text = |name| context.parameter(name).map(|value| value.filter(|value| !value.is_empty()));
        let time = |name| {
            text(name)?.map(|value| microseconds(&value).ok_or_else(|| bad(name, value.into_owned()))).transpose()
        };
        let duration = |name| {
            text(name)?.map(|value| duration_ns(&value).ok_or_else(|| bad(name, value.into_owned()))).transpose()
        };
        let limit = match text("limit")? {
            Some(value) => {
                let limit = value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
                limit.ok_or_else(|| bad("limit", value.into_owned()))?
            }
            None => LIMIT,
        };
        let mut tags = Vec::new();
        for pair in context.query.pairs() {
            let (name, value) = pair.map_err(|error| Fault::Parameter { name: "of the URL", error })?;
            match &*name {
                "tag" => {
                    for pair in value.split(',').filter(|pair| !pair.is_empty()) {
                        let (name, value) = pair.split_once(':').ok_or_else(|| bad("tag", pair))?;
                        tags.push((name.to_owned(), value.to_owned()));
                    }
                }
                "tags" if !value.is_empty() => tags.extend(tags_of(&value).ok_or_else(|| bad("tags", &*value))?),
                _ => {}
            }
            if tags.len() > TAGS_MAX {
                return Err(bad("tags", format!("more than {TAGS_MAX}")));
            }
        }
        Ok(Self {
            service: text("service")?.ok_or(Fault::ParameterMissing("service"))?.into_owned(),
            operation: text("operation")?.unwrap_or_default().into_owned(),
            start: time("start")?,
            end: time("end")?,
            duration_min: duration("minDuration")?,
            duration_max: duration("maxDuration")?,
            tags,
            limit,
        })
    }

    /// The statement that gives the ids of the traces with a span that is wanted, the latest first; `None` where none
    /// of `table` can be.
    pub(super) fn sql(&self, table: &TableSchema) -> Option<String> {
        let id = quoted(&format!("{SPAN}trace_id"), '"');
        let name = quoted(&table.name, '"');
        let mut sql = format!("SELECT {id}, max(\"time\") AS latest FROM {name} WHERE {id} IS NOT NULL");
        let service = condition(table, &format!("{RESOURCE}{ATTRIBUTES}service.name"), &self.service)?;
        let _ = write!(sql, " AND {service}");
        if !self.operation.is_empty() {
            let _ = write!(sql, " AND {}", condition(table, &format!("{SPAN}name"), &self.operation)?);
        }
        let unit = table.time_unit.nanoseconds();
        if let Some(start) = self.start {
            // Rounded up: what began before it is not wanted.
            let start = start.div_euclid(unit) + i64::from(start.rem_euclid(unit) > 0);
            let _ = write!(sql, " AND \"time\" >= {start}");
        }
        if let Some(end) = self.end {
            let _ = write!(sql, " AND \"time\" <= {}", end.div_euclid(unit));
        }
        let duration = quoted(&format!("{SPAN}duration_nano"), '"');
        for (operator, bound) in [(">=", self.duration_min), ("<=", self.duration_max)] {
            if let Some(bound) = bound {
                let _ = write!(sql, " AND {duration} {operator} {bound:?}");
            }
        }
        for (name, value) in &self.tags {
            let _ = write!(sql, " AND {}", tag_condition(table, name, value)?);
        }
        let _ = write!(sql, " GROUP BY {id} ORDER BY latest DESC, {id} LIMIT {}", self.limit);
        Some(sql)
    }
}

/// A column that must have a value; `None` where the table has no such column.
fn condition(table: &TableSchema, column: &str, value: &str) -> Option<String> {
    table
        .columns
        .iter()
        .any(|known| &*known.name == column)
        .then(|| format!("{} = {}", quoted(column, '"'), quoted(value, '\'')))
}

/// A tag of Jaeger's: an attribute of the span or of its resource, or what has become a tag on the way.
fn tag_condition(table: &TableSchema, name: &str, value: &str) -> Option<String> {
    let (column, stored) = match name {
        "error" if value == "true" => (Some("Status/code"), "STATUS_CODE_ERROR".to_owned()),
        "span.kind" => (Some("kind"), format!("SPAN_KIND_{}", value.to_ascii_uppercase())),
        "otel.status_code" => (Some("Status/code"), format!("STATUS_CODE_{}", value.to_ascii_uppercase())),
        "otel.status_description" => (Some("Status/message"), value.to_owned()),
        "w3c.tracestate" => (Some("trace_state"), value.to_owned()),
        _ => (None, String::new()),
    };
    let scope = match name {
        "otel.library.name" | "otel.scope.name" => Some("name"),
        "otel.library.version" | "otel.scope.version" => Some("version"),
        _ => None,
    };
    let conditions: Vec<String> = [
        column.and_then(|column| condition(table, &format!("{SPAN}{column}"), &stored)),
        scope.and_then(|part| condition(table, &format!("{SCOPE}{part}"), value)),
        condition(table, &format!("{SPAN}{ATTRIBUTES}{name}"), value),
        condition(table, &format!("{RESOURCE}{ATTRIBUTES}{name}"), value),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!conditions.is_empty()).then(|| format!("({})", conditions.join(" OR ")))
}

/// The statement that gives all spans of some traces.
pub(super) fn spans_sql(table: &TableSchema, ids: &[String]) -> String {
    let ids: Vec<String> = ids.iter().map(|id| quoted(id, '\'')).collect();
    let id = quoted(&format!("{SPAN}trace_id"), '"');
    format!("SELECT * FROM {} WHERE {id} IN ({}) ORDER BY \"time\"", quoted(&table.name, '"'), ids.join(", "))
}

/// The statement that gives the services of a table.
pub(super) fn services_sql(table: &TableSchema) -> Option<String> {
    let column = format!("{RESOURCE}{ATTRIBUTES}service.name");
    let is_there = table.columns.iter().any(|known| *known.name == column && known.kind == ColumnKind::Tag);
    let (column, name) = (quoted(&column, '"'), quoted(&table.name, '"'));
    is_there.then(|| format!("SELECT DISTINCT {column} FROM {name} WHERE {column} IS NOT NULL ORDER BY {column}"))
}

/// The statement that gives the operations of a service: their names, or names and kinds, or those of one kind.
pub(super) fn operations_sql(table: &TableSchema, service: &str, kinds: Kinds<'_>) -> Option<String> {
    let service = condition(table, &format!("{RESOURCE}{ATTRIBUTES}service.name"), service)?;
    let (name, kind) = (format!("{SPAN}name"), format!("{SPAN}kind"));
    table.columns.iter().find(|known| *known.name == name)?;
    let of_kind = match kinds {
        Kinds::One(word) => {
            format!(" AND {}", condition(table, &kind, &format!("SPAN_KIND_{}", word.to_ascii_uppercase()))?)
        }
        Kinds::Unasked | Kinds::All => String::new(),
    };
    let (name, kind, table) = (quoted(&name, '"'), quoted(&kind, '"'), quoted(&table.name, '"'));
    let columns = if matches!(kinds, Kinds::Unasked) { name.clone() } else { format!("{name}, {kind}") };
    Some(format!(
        "SELECT DISTINCT {columns} FROM {table} WHERE {service} AND {name} IS NOT NULL{of_kind} ORDER BY {columns}"
    ))
}

/// What is asked of the kinds of operations.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kinds<'k> {
    /// Nothing.
    Unasked,
    /// To see them.
    All,
    /// To see operations of one.
    One(&'k str),
}

/// The id of a trace as it is stored: 32 digits in lower case. Clients leave zeros out that stand first.
pub(super) fn trace_id(text: &str) -> Option<String> {
    let is_id = (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| format!("{:0>32}", text.to_ascii_lowercase()))
}

/// Ids that the parameters `traceID` name, one or some each.
pub(super) fn trace_ids(context: &RequestContext<'_>) -> Result<Vec<String>, Fault> {
    let mut ids: Vec<String> = Vec::new();
    for pair in context.query.pairs() {
        let (name, value) = pair.map_err(|error| Fault::Parameter { name: "of the URL", error })?;
        if name != "traceID" {
            continue;
        }
        for text in value.split(',').filter(|text| !text.is_empty()) {
            let id = trace_id(text).ok_or_else(|| bad("traceID", text))?;
            if !ids.contains(&id) {
                ids.push(id);
            }
            if ids.len() > TAGS_MAX {
                return Err(bad("traceID", format!("more than {TAGS_MAX}")));
            }
        }
    }
    Ok(ids)
}

/// Microseconds as nanoseconds.
fn microseconds(text: &str) -> Option<i64> {
    text.parse::<i64>().ok()?.checked_mul(1_000)
}

/// A duration as Go writes it, in nanoseconds: numbers with units, one after the other.
fn duration_ns(text: &str) -> Option<f64> {
    let mut rest = text;
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(digits);
        let unit = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit);
        let unit = match unit {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3_600e9,
            _ => return None,
        };
        sum += number.parse::<f64>().ok()? * unit;
        rest = behind;
    }
    (!text.is_empty()).then_some(sum)
}

/// Tags as an object of JSON, whose values are texts, numbers or booleans.
fn tags_of(text: &str) -> Option<Vec<(String, String)>> {
    let serde_json::Value::Object(tags) = serde_json::from_str(text).ok()? else { return None };
    let of = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => Some(text),
        serde_json::Value::Number(number) => Some(number.to_string()),
        serde_json::Value::Bool(value) => Some(value.to_string()),
        _ => None,
    };
    tags.into_iter().map(|(name, value)| Some((name, of(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (text, expected) in
            [("1ms", 1e6), ("1.5s", 1.5e9), ("1h2m3s", 3_723e9), ("7us", 7e3), ("7µs", 7e3), ("0.5ns", 0.5)]
        {
            assert_eq!(duration_ns(text), Some(expected), "{text}");
        }
        for text in ["", "1", "s", "1x", "1.2.3s", "1s2", "-1s", " 1s"] {
            assert_eq!(duration_ns(text), None, "{text}");
        }
    }

    #[test]
    fn ids_are_of_32_digits() {
        assert_eq!(trace_id("ABC").as_deref(), Some("00000000000000000000000000000abc"));
        assert_eq!(trace_id(&"f".repeat(32)), Some("f".repeat(32)));
        for text in ["", "x", &"f".repeat(33), "é"] {
            assert_eq!(trace_id(text), None, "{text}");
        }
    }

    #[test]
    fn tags_are_an_object() {
        let tags = tags_of(r#"{"a":"b","n":1.5,"t":true}"#).unwrap();
        let tags: Vec<_> = tags.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(tags, [("a", "b"), ("n", "1.5"), ("t", "true")]);
        assert!(["[]", "{", r#"{"a":[]}"#, r#"{"a":null}"#].into_iter().all(|text| tags_of(text).is_none()));
    }
}
