//! A row as a span of Jaeger's JSON.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use tidewire_protocol::encode::influx::Value;
use tidewire_protocol::otlp::columns::{ATTRIBUTES, RESOURCE, SCOPE, SPAN};

use crate::api::cells::Cells;

/// Nanoseconds in the unit of Jaeger's times.
const MICROSECOND: i64 = 1_000;

/// What a column is to a span.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Column {
    Time,
    TraceId,
    SpanId,
    ParentId,
    Name,
    Kind,
    Duration,
    Flags,
    TraceState,
    StatusCode,
    StatusMessage,
    ScopeName,
    ScopeVersion,
    Service,
    Attribute(String),
    OfResource(String),
    Event(usize, EventPart),
    Link(usize, LinkPart),
    /// It is not shown.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum EventPart {
    Time,
    Name,
    Attribute(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LinkPart {
    TraceId,
    SpanId,
}

impl Column {
    fn of(name: &str) -> Self {
        if name == "time" {
            return Self::Time;
        }
        if let Some(name) = name.strip_prefix(RESOURCE) {
            return match name.strip_prefix(ATTRIBUTES) {
                Some("service.name") => Self::Service,
                Some(name) => Self::OfResource(name.to_owned()),
                None => Self::Other,
            };
        }
        if let Some(name) = name.strip_prefix(SCOPE) {
            return match name {
                "name" => Self::ScopeName,
                "version" => Self::ScopeVersion,
                _ => Self::Other,
            };
        }
        let Some(name) = name.strip_prefix(SPAN) else { return Self::Other };
        match name {
            "trace_id" => Self::TraceId,
            "span_id" => Self::SpanId,
            "parent_span_id" => Self::ParentId,
            "name" => Self::Name,
            "kind" => Self::Kind,
            "duration_nano" => Self::Duration,
            "flags" => Self::Flags,
            "trace_state" => Self::TraceState,
            "Status/code" => Self::StatusCode,
            "Status/message" => Self::StatusMessage,
            name => {
                let attribute = name.strip_prefix(ATTRIBUTES).map(|name| Self::Attribute(name.to_owned()));
                attribute.or_else(|| part_of(name)).unwrap_or(Self::Other)
            }
        }
    }
}

/// A column of an event or a link.
fn part_of(name: &str) -> Option<Column> {
    let (place, rest) = name.split_once('/')?;
    let (what, number) = place.split_once('_')?;
    let number = number.parse().ok()?;
    match (what, rest) {
        ("Event", "name") => Some(Column::Event(number, EventPart::Name)),
        ("Event", "time_unix_nano") => Some(Column::Event(number, EventPart::Time)),
        ("Event", rest) => {
            let name = rest.strip_prefix(ATTRIBUTES)?.to_owned();
            Some(Column::Event(number, EventPart::Attribute(name)))
        }
        ("Link", "trace_id") => Some(Column::Link(number, LinkPart::TraceId)),
        ("Link", "span_id") => Some(Column::Link(number, LinkPart::SpanId)),
        _ => None,
    }
}

/// What the columns of some rows are to spans.
#[derive(Debug)]
pub(super) struct Columns(Vec<Column>);

/// A span, and what it belongs to.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) trace_id: String,
    /// Without the number of its process.
    pub(super) json: Json,
    pub(super) process: Json,
}

#[derive(Default)]
struct Event<'a> {
    /// In microseconds.
    time: Option<i64>,
    fields: Vec<Json>,
    name: Option<&'a str>,
}

#[derive(Default)]
struct Link<'a> {
    trace_id: &'a str,
    span_id: &'a str,
}

fn tag(name: &str, value: &str) -> Json {
    json!({ "key": name, "type": "string", "value": value })
}

/// A word without what all words of its kind begin with.
fn short<'w>(word: &'w str, prefix: &str) -> &'w str {
    word.strip_prefix(prefix).unwrap_or(word)
}

/// A number that was stored as a DOUBLE.
fn number(value: Value<'_>) -> Option<i64> {
    match value {
        Value::Float(value) if value.is_finite() => Some(value as i64),
        Value::Int(value) => Some(value),
        _ => None,
    }
}

/// A time in nanoseconds that was stored as a DOUBLE, in microseconds: of its last digits only those are right.
fn microseconds(value: Value<'_>) -> Option<i64> {
    number(value).map(|time| time.saturating_add(MICROSECOND / 2).div_euclid(MICROSECOND))
}

impl Columns {
    /// By their names.
    pub(super) fn of<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        Self(names.map(Column::of).collect())
    }

    /// The span in a row; `None` where there is none: something else has been written into the table.
    pub(super) fn span(&self, cells: &[Cells<'_>], row: usize) -> Option<Span> {
        let (mut trace_id, mut span_id, mut parent, mut name) = (None, None, None, "");
        let (mut start, mut duration, mut flags, mut service) = (0, 0, 0, "");
        let (mut tags, mut of_process) = (Vec::new(), Vec::new());
        let mut events = BTreeMap::<usize, Event<'_>>::new();
        let mut links = BTreeMap::<usize, Link<'_>>::new();
        for (column, cells) in self.0.iter().zip(cells) {
            let value = cells.value(row, None);
            match (column, value) {
                (_, Value::Null) => {}
                (Column::Time, Value::Time(time)) => start = time,
                (Column::Duration, value) => duration = number(value).unwrap_or(0),
                (Column::Flags, value) => flags = number(value).unwrap_or(0),
                (Column::Event(place, EventPart::Time), value) => {
                    events.entry(*place).or_default().time = microseconds(value);
                }
                (column, Value::Text(text)) => match column {
                    Column::TraceId => trace_id = Some(text),
                    Column::SpanId => span_id = Some(text),
                    Column::ParentId => parent = Some(text),
                    Column::Name => name = text,
                    Column::Service => service = text,
                    Column::Kind if text != "SPAN_KIND_UNSPECIFIED" => {
                        tags.push(tag("span.kind", &short(text, "SPAN_KIND_").to_ascii_lowercase()));
                    }
                    Column::StatusCode if text != "STATUS_CODE_UNSET" => {
                        tags.push(tag("otel.status_code", short(text, "STATUS_CODE_")));
                        if text == "STATUS_CODE_ERROR" {
                            tags.push(json!({ "key": "error", "type": "bool", "value": true }));
                        }
                    }
                    Column::StatusMessage if !text.is_empty() => tags.push(tag("otel.status_description", text)),
                    Column::TraceState => tags.push(tag("w3c.tracestate", text)),
                    Column::ScopeName => tags.push(tag("otel.library.name", text)),
                    Column::ScopeVersion => tags.push(tag("otel.library.version", text)),
                    Column::Attribute(name) => tags.push(tag(name, text)),
                    Column::OfResource(name) => of_process.push(tag(name, text)),
                    Column::Event(place, EventPart::Name) => events.entry(*place).or_default().name = Some(text),
                    Column::Event(place, EventPart::Attribute(name)) => {
                        events.entry(*place).or_default().fields.push(tag(name, text));
                    }
                    Column::Link(place, LinkPart::TraceId) => links.entry(*place).or_default().trace_id = text,
                    Column::Link(place, LinkPart::SpanId) => links.entry(*place).or_default().span_id = text,
                    _ => {}
                },
                _ => {}
            }
        }
        let (trace_id, span_id) = (trace_id?, span_id?);
        let of_parent = parent.map(|parent| json!({ "refType": "CHILD_OF", "traceID": trace_id, "spanID": parent }));
        let of_links = links
            .values()
            .map(|link| json!({ "refType": "FOLLOWS_FROM", "traceID": link.trace_id, "spanID": link.span_id }));
        let logs = events.into_values().map(|event| {
            let name = event.name.map(|name| tag("event", name));
            let fields: Vec<Json> = name.into_iter().chain(event.fields).collect();
            json!({ "timestamp": event.time.unwrap_or(start.div_euclid(MICROSECOND)), "fields": fields })
        });
        let json = json!({
            "traceID": trace_id,
            "spanID": span_id,
            "flags": flags,
            "operationName": name,
            "references": of_parent.into_iter().chain(of_links).collect::<Vec<_>>(),
            "startTime": start.div_euclid(MICROSECOND),
            "duration": duration.div_euclid(MICROSECOND),
            "tags": tags,
            "logs": logs.collect::<Vec<_>>(),
            "warnings": Json::Null,
        });
        let process = json!({ "serviceName": service, "tags": of_process });
        Some(Span { trace_id: trace_id.to_owned(), json, process })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_told_by_their_names() {
        for (name, expected) in [
            ("time", Column::Time),
            ("ResourceSpans/Resource/attributes/service.name", Column::Service),
            ("ResourceSpans/Resource/attributes/a/b", Column::OfResource("a/b".to_owned())),
            ("ResourceSpans/Resource/dropped_attributes_count", Column::Other),
            ("ResourceSpans/ScopeSpans/InstrumentationScope/name", Column::ScopeName),
            ("ResourceSpans/ScopeSpans/Span/trace_id", Column::TraceId),
            ("ResourceSpans/ScopeSpans/Span/attributes/Event_0/name", Column::Attribute("Event_0/name".to_owned())),
            ("ResourceSpans/ScopeSpans/Span/Event_12/name", Column::Event(12, EventPart::Name)),
            (
                "ResourceSpans/ScopeSpans/Span/Event_0/attributes/a",
                Column::Event(0, EventPart::Attribute("a".to_owned())),
            ),
            ("ResourceSpans/ScopeSpans/Span/Link_0/span_id", Column::Link(0, LinkPart::SpanId)),
            ("ResourceSpans/ScopeSpans/Span/Link_x/span_id", Column::Other),
            ("host", Column::Other),
        ] {
            assert_eq!(Column::of(name), expected, "{name}");
        }
    }
}
