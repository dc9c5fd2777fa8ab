//! `{"metric": …, "timestamp": …, "value": …, "tags": {…}}`, or an array of these.

use super::VALUE;
use super::known::{json_text, read_known};
use super::text::parse_value;
use crate::json::{Elements, Found, JsonReader, JsonValue, Scalar};
use crate::row::{
    FieldKind, Next, Position, RawValue, RowDraft, RowError, RowTaker, SeriesText, TextForm, TimeScale, parse_time,
};

/// How far a body has been read.
#[derive(Debug)]
pub struct JsonPoints {
    scale: TimeScale,
    /// Numbers may stand in quotes.
    takes_text: bool,
    elements: Elements,
    /// Points met.
    points: u64,
    reader: JsonReader,
    draft: RowDraft,
    /// The texts of the first points that were refused, where they are wanted.
    refused: Option<Vec<(Position, String)>>,
}

/// Refused points whose texts are kept, and bytes of each.
const REFUSED_MAX: usize = 200;
const REFUSED_BYTES_MAX: usize = 4 << 10;

impl JsonPoints {
    /// Of a body whose times are in `scale`. With `takes_text` numbers and times may be strings, as OpenTSDB has them.
    pub fn new(scale: TimeScale, takes_text: bool) -> Self {
        Self {
            scale,
            takes_text,
            elements: Elements::default(),
            points: 0,
            reader: JsonReader::default(),
            draft: RowDraft::default(),
            refused: None,
        }
    }

    /// Keeps the texts of points that are refused, the first of them.
    pub fn keep_refused(&mut self, keep: bool) {
        self.refused = keep.then(Vec::new);
    }

    /// The text of a point that was refused, if it was kept.
    pub fn refused(&self, position: Position) -> Option<&str> {
        self.refused.iter().flatten().find(|(at, _)| *at == position).map(|(_, text)| text.as_str())
    }

    /// Reads the points of `text`. Returns the bytes consumed; the others must stand at the start of the next piece.
    /// The error is one of the whole body.
    pub fn read(&mut self, text: &[u8], last: bool, rows: &mut impl RowTaker) -> Result<usize, RowError> {
        let mut from = 0;
        loop {
            if let Some((start, end, taken)) = self.read_known(text, from, rows) {
                from = end;
                if taken.is_err_and(|next| self.refuse(text, (start, end), next) == Next::Stop) {
                    return Ok(text.len());
                }
                continue;
            }
            let (start, end) = match self.elements.next(text, from, last)? {
                Found::Element(start, end) => (start, end),
                Found::NeedMore(at) => return Ok(at),
            };
            from = end;
            self.points += 1;
            let position = Position::Item(self.points);
            let Self { scale, takes_text, reader, draft, .. } = self;
            let document = text.get(start..end).unwrap_or_default();
            let read = reader.read(document, |point| read_point(point, *scale, *takes_text, draft));
            let taken = match (read.and_then(|read| read), json_text(document)) {
                (Ok(()), Some(text)) => rows.take_as(position, text, draft),
                (Ok(()), None) => rows.take(position, draft),
                (Err(error), _) => Err(rows.fault(position, error)),
            };
            if taken.is_err_and(|next| self.refuse(text, (start, end), next) == Next::Stop) {
                return Ok(text.len());
            }
        }
    }

    /// The point behind `from`, if it is of a series that was seen: where it begins and ends, and what became of it.
    fn read_known(
        &mut self,
        text: &[u8],
        from: usize,
        rows: &mut impl RowTaker,
    ) -> Option<(usize, usize, Result<(), Next>)> {
        let start = self.elements.next_object(text, from)?;
        let point = text.get(start..)?;
        let is_json = |text: SeriesText<'_>| matches!(text.form, TextForm::TimeFirst | TextForm::ValueFirst);
        let read = |text: SeriesText<'_>| read_known(point, text, self.scale).filter(|_| is_json(text));
        let known = match rows.expects(read) {
            Some(known) => known,
            None => {
                let text = json_text(point)?;
                rows.expect(text).then(|| read_known(point, text, self.scale))??
            }
        };
        self.points += 1;
        let taken = rows.take_expected(Position::Item(self.points), &mut [(known.time_ns, known.value)]);
        Some((start, start + known.len, taken))
    }

    /// The point between these bytes of `text` was refused.
    fn refuse(&mut self, text: &[u8], (start, end): (usize, usize), next: Next) -> Next {
        if let Some(refused) = self.refused.as_mut().filter(|refused| refused.len() < REFUSED_MAX) {
            let document = text.get(start..end.min(start + REFUSED_BYTES_MAX)).unwrap_or_default();
            refused.push((Position::Item(self.points), String::from_utf8_lossy(document).into_owned()));
        }
        next
    }
}

fn read_point(
    point: JsonValue<'_, '_>,
    scale: TimeScale,
    takes_text: bool,
    draft: &mut RowDraft,
) -> Result<(), RowError> {
    let entries = point.object().ok_or(RowError::Type { part: "a point", found: point.kind(), wanted: "an object" })?;
    let (mut metric, mut time, mut value, mut tags) = (None, None, None, None);
    for (name, found) in entries {
        match name {
            "metric" => metric = Some(found),
            "timestamp" => time = Some(found),
            "value" => value = Some(found),
            "tags" => tags = Some(found),
            _ => {}
        }
    }
    let metric = metric.ok_or(RowError::Missing("metric"))?;
    let wrong = |part, found: JsonValue<'_, '_>, wanted| RowError::Type { part, found: found.kind(), wanted };
    draft.begin(metric.text().ok_or_else(|| wrong("metric", metric, "a string"))?);
    let time = time.ok_or(RowError::Missing("timestamp"))?;
    draft.time = match time.scalar() {
        Some(Scalar::Int(time)) => scale.nanoseconds(time)?,
        Some(Scalar::Text(text)) if takes_text => parse_time(text, scale)?,
        Some(Scalar::UInt(_)) => return Err(RowError::TimeOutOfRange),
        _ => return Err(wrong("timestamp", time, "an integer")),
    };
    let value = value.ok_or(RowError::Missing("value"))?;
    let number = match value.scalar() {
        Some(Scalar::Int(value)) => value as f64,
        Some(Scalar::UInt(value)) => value as f64,
        Some(Scalar::Float(value)) => value,
        Some(Scalar::Text(text)) if takes_text => parse_value(text)?,
        _ => return Err(wrong("value", value, "a number")),
    };
    draft.field(VALUE, FieldKind::Float, RawValue::from_float(number));
    let tags = tags.ok_or(RowError::Missing("tags"))?;
    let mut has_tag = false;
    for (name, value) in tags.object().ok_or_else(|| wrong("tags", tags, "an object"))? {
        let text = value.text().ok_or_else(|| wrong("the value of a tag", value, "a string"))?;
        if text.is_empty() {
            return Err(RowError::Missing("the value of a tag"));
        }
        draft.tag(name, text);
        has_tag = true;
    }
    if !has_tag {
        return Err(RowError::Missing("a tag"));
    }
    draft.check()
}
