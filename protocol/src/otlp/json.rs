//! An export as JSON: protobuf's JSON with the exceptions that OTLP makes, ids as hex digits and enums as integers.

use super::SpanReader;
use super::columns::{
    Prefix, RESOURCE, RESOURCE_SCHEMA, SCOPE, SCOPE_SCHEMA, SPAN, SpanHead, attribute, code_number, kind_number,
};
use super::id::Id;
use super::node::export_of;
use crate::json::{JsonDocument, JsonValue, Scalar};
use crate::row::{Next, RowError, RowTaker};

impl SpanReader {
    /// Reads an export. The error is one of the whole body.
    pub async fn read_json(&mut self, body: &[u8], rows: &mut impl RowTaker) -> Result<Next, RowError> {
        let mut document = JsonDocument::of(body);
        let tape = document.tape()?;
        let export = export_of(&tape)?;
        for spans in list(export, "resourceSpans")? {
            self.begin();
            self.row.string([RESOURCE_SCHEMA], text(spans, "schemaUrl")?);
            self.owner(spans.get("resource"), RESOURCE)?;
            let mark = self.row.mark();
            for spans in list(spans, "scopeSpans")? {
                self.row.back_to(mark);
                self.row.string([SCOPE_SCHEMA], text(spans, "schemaUrl")?);
                if let Some(scope) = spans.get("scope") {
                    self.row.tag([SCOPE, "name"], text(scope, "name")?);
                    self.row.tag([SCOPE, "version"], text(scope, "version")?);
                }
                self.owner(spans.get("scope"), SCOPE)?;
                let mark = self.row.mark();
                for span in list(spans, "spans")? {
                    self.row.back_to(mark);
                    let position = self.span();
                    let head = self.json_span(span);
                    if self.finish(position, head, rows) == Next::Stop || rows.turn().await == Next::Stop {
                        return Ok(Next::Stop);
                    }
                }
            }
        }
        Ok(Next::Continue)
    }

    /// The attributes of a resource or a scope.
    fn owner(&mut self, owner: Option<JsonValue<'_, '_>>, prefix: &str) -> Result<(), RowError> {
        let mut dropped = 0;
        if let Some(owner) = owner {
            self.json_attributes([prefix, ""], owner)?;
            dropped = integer(owner, "droppedAttributesCount")?;
        }
        self.dropped_attributes([prefix, ""], dropped);
        Ok(())
    }

    fn json_span<'t>(&mut self, span: JsonValue<'_, 't>) -> Result<SpanHead<'t>, RowError> {
        self.json_attributes([SPAN, ""], span)?;
        let (mut dropped_events, mut dropped_links) =
            (integer(span, "droppedEventsCount")?, integer(span, "droppedLinksCount")?);
        for (at, event) in list(span, "events")?.enumerate() {
            if !Self::takes_part(at) {
                dropped_events = dropped_events.saturating_add(1);
                continue;
            }
            let place = format!("Event_{at}/");
            self.json_attributes([SPAN, &place], event)?;
            self.row.string([SPAN, &place, "name"], text(event, "name")?);
            self.row.number([SPAN, &place, "time_unix_nano"], integer(event, "timeUnixNano")? as f64);
            self.dropped_attributes([SPAN, &place], integer(event, "droppedAttributesCount")?);
        }
        for (at, link) in list(span, "links")?.enumerate() {
            if !Self::takes_part(at) {
                dropped_links = dropped_links.saturating_add(1);
                continue;
            }
            let place = format!("Link_{at}/");
            self.json_attributes([SPAN, &place], link)?;
            let (trace_id, span_id) = (Id::Hex(text(link, "traceId")?), Id::Hex(text(link, "spanId")?));
            let flags = flags(link)?;
            self.link(&place, trace_id, span_id, text(link, "traceState")?, flags)?;
            self.dropped_attributes([SPAN, &place], integer(link, "droppedAttributesCount")?);
        }
        let status = span.get("status");
        Ok(SpanHead {
            trace_id: Id::Hex(text(span, "traceId")?),
            span_id: Id::Hex(text(span, "spanId")?),
            parent_span_id: Id::Hex(text(span, "parentSpanId")?),
            trace_state: text(span, "traceState")?,
            name: text(span, "name")?,
            kind: word(span, "kind", kind_number)?,
            start_ns: integer(span, "startTimeUnixNano")?,
            end_ns: integer(span, "endTimeUnixNano")?,
            flags: flags(span)?,
            dropped_attributes: integer(span, "droppedAttributesCount")?,
            dropped_events,
            dropped_links,
            status_code: status.map_or(Ok(0), |status| word(status, "code", code_number))?,
            status_message: status.map_or(Ok(""), |status| text(status, "message"))?,
        })
    }

    fn json_attributes(&mut self, prefix: Prefix<'_>, of: JsonValue<'_, '_>) -> Result<(), RowError> {
        for pair in list(of, "attributes")? {
            let name = text(pair, "key")?;
            match pair.get("value") {
                Some(value) => self.row.value(value, |row, text| attribute(row, prefix, name, text))?,
                None => attribute(&mut self.row, prefix, name, ""),
            }
        }
        Ok(())
    }
}

fn wrong(part: &'static str, found: JsonValue<'_, '_>, wanted: &'static str) -> RowError {
    RowError::Type { part, found: found.kind(), wanted }
}

/// A member that is there and not null.
fn member<'n, 't>(of: JsonValue<'n, 't>, name: &str) -> Option<JsonValue<'n, 't>> {
    of.get(name).filter(|value| value.scalar() != Some(Scalar::Null))
}

/// The items of a list; none where it is missing.
fn list<'n, 't>(
    of: JsonValue<'n, 't>,
    name: &'static str,
) -> Result<impl Iterator<Item = JsonValue<'n, 't>> + use<'n, 't>, RowError> {
    let items = member(of, name).map(|value| value.array().ok_or_else(|| wrong(name, value, "an array")));
    Ok(items.transpose()?.into_iter().flatten())
}

/// A string; empty where it is missing.
fn text<'t>(of: JsonValue<'_, 't>, name: &'static str) -> Result<&'t str, RowError> {
    member(of, name).map_or(Ok(""), |value| value.text().ok_or_else(|| wrong(name, value, "a string")))
}

/// An integer, or the digits of one; 0 where it is missing.
fn integer(of: JsonValue<'_, '_>, name: &'static str) -> Result<u64, RowError> {
    let Some(value) = member(of, name) else { return Ok(0) };
    match value.scalar() {
        Some(Scalar::UInt(value)) => Ok(value),
        Some(Scalar::Int(found)) => found.try_into().map_err(|_| RowError::invalid(name, found)),
        Some(Scalar::Text(text)) => text.parse().map_err(|_| RowError::invalid(name, text)),
        _ => Err(wrong(name, value, "an integer")),
    }
}

fn flags(of: JsonValue<'_, '_>) -> Result<u32, RowError> {
    let flags = integer(of, "flags")?;
    flags.try_into().map_err(|_| RowError::invalid("flags", flags))
}

/// The number of an enum, or its word.
fn word(of: JsonValue<'_, '_>, name: &'static str, number: fn(&str) -> Option<i64>) -> Result<i64, RowError> {
    match member(of, name).and_then(JsonValue::text) {
        Some(text) if number(text).is_some() => Ok(number(text).unwrap_or_default()),
        _ => integer(of, name).map(|number| i64::try_from(number).unwrap_or(i64::MAX)),
    }
}
