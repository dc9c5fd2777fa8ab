//! `{"streams":[{"stream":{…},"values":[["1570818238000000000","line",{…}],…]}]}`, and what came before it:
//! `{"streams":[{"labels":"{…}","entries":[{"ts":"2018-12-18T08:28:06.801064-04:00","line":"…"}]}]}`.

use super::LokiPush;
use super::labels::Labels;
use crate::json::{JsonDocument, JsonValue, Scalar};
use crate::row::{Next, RowError, RowTaker, parse_date};

impl LokiPush {
    /// Reads a push. The error is one of the whole body.
    pub async fn read_json(&mut self, body: &[u8], rows: &mut impl RowTaker) -> Result<Next, RowError> {
        let mut document = JsonDocument::of(body);
        let tape = document.tape()?;
        let push = tape.root();
        let streams = push.get("streams").and_then(JsonValue::array).ok_or(RowError::Missing("the array streams"))?;
        let mut labels = Labels::default();
        for stream in streams {
            read_labels(stream, &mut labels)?;
            for value in array(stream.get("values"))? {
                let mut metadata = Vec::new();
                let entry = read_value(value, &mut metadata);
                if self.entry(&labels, entry, &metadata, rows).await == Next::Stop {
                    return Ok(Next::Stop);
                }
            }
            for entry in array(stream.get("entries"))? {
                if self.entry(&labels, read_entry(entry), &[], rows).await == Next::Stop {
                    return Ok(Next::Stop);
                }
            }
        }
        Ok(Next::Continue)
    }
}

fn array<'n, 't>(
    value: Option<JsonValue<'n, 't>>,
) -> Result<impl Iterator<Item = JsonValue<'n, 't>> + use<'n, 't>, RowError> {
    let wrong = |value: JsonValue<'_, '_>| RowError::Type {
        part: "the entries of a stream",
        found: value.kind(),
        wanted: "an array",
    };
    let items = value.map(|value| value.array().ok_or_else(|| wrong(value))).transpose()?;
    Ok(items.into_iter().flatten())
}

fn read_labels(stream: JsonValue<'_, '_>, labels: &mut Labels) -> Result<(), RowError> {
    labels.clear();
    if let Some(text) = stream.get("labels").and_then(JsonValue::text) {
        return labels.read(text);
    }
    let names = stream.get("stream").ok_or(RowError::Missing("the labels of a stream"))?;
    let wrong = |part, value: JsonValue<'_, '_>, wanted| RowError::Type { part, found: value.kind(), wanted };
    for (name, value) in names.object().ok_or_else(|| wrong("stream", names, "an object"))? {
        labels.push(name, value.text().ok_or_else(|| wrong("the value of a label", value, "a string"))?);
    }
    Ok(())
}

/// `["1570818238000000000", "line", {"name": "value"}]`
fn read_value<'t>(
    value: JsonValue<'_, 't>,
    metadata: &mut Vec<(&'t str, &'t str)>,
) -> Result<(i64, &'t str), RowError> {
    let mut parts =
        value.array().ok_or(RowError::Type { part: "an entry", found: value.kind(), wanted: "an array" })?;
    let time = parts.next().ok_or(RowError::Missing("the time of an entry"))?;
    let time = match time.scalar() {
        Some(Scalar::Text(text)) => text.parse().map_err(|_| RowError::invalid("the time of an entry", text))?,
        Some(Scalar::Int(time)) => time,
        _ => return Err(RowError::Type { part: "the time of an entry", found: time.kind(), wanted: "a string" }),
    };
    let line = parts.next().ok_or(RowError::Missing("the line of an entry"))?;
    let line =
        line.text().ok_or(RowError::Type { part: "the line of an entry", found: line.kind(), wanted: "a string" })?;
    for (name, value) in parts.next().and_then(JsonValue::object).into_iter().flatten() {
        let found = value.kind();
        let text = value.text().ok_or(RowError::Type { part: "a value of the metadata", found, wanted: "a string" })?;
        metadata.push((name, text));
    }
    Ok((time, line))
}

fn read_entry<'t>(entry: JsonValue<'_, 't>) -> Result<(i64, &'t str), RowError> {
    let text = |names: [&str; 2], missing| {
        names.iter().find_map(|name| entry.get(name)?.text()).ok_or(RowError::Missing(missing))
    };
    let time = parse_date(text(["ts", "timestamp"], "the time of an entry")?)?;
    Ok((time, text(["line", "line"], "the line of an entry")?))
}
