//! An export as protobuf.
//!
//! ```text
//!   Export          1 resource spans*
//!   ResourceSpans   1 resource  2 scope spans*  3 schema url
//!   ScopeSpans      1 scope  2 spans*  3 schema url
//!   Resource        1 attributes*  2 dropped attributes
//!   Scope           1 name  2 version  3 attributes*  4 dropped attributes
//!   Span            1 trace id  2 span id  3 trace state  4 parent  5 name  6 kind  7 start  8 end  9 attributes*
//!                   10 dropped attributes  11 events*  12 dropped events  13 links*  14 dropped links  15 status
//!                   16 flags
//!   Event           1 time  2 name  3 attributes*  4 dropped attributes
//!   Link            1 trace id  2 span id  3 trace state  4 attributes*  5 dropped attributes  6 flags
//!   Status          2 message  3 code
//! ```

use super::SpanReader;
use super::attribute::read_pair;
use super::columns::{Prefix, RESOURCE, RESOURCE_SCHEMA, SCOPE, SCOPE_SCHEMA, SPAN, SpanHead, attribute};
use super::id::Id;
use super::known::{SpanShape, begins_with_name};
use crate::protobuf::{Field, Fields, Value, signed};
use crate::row::{DraftMark, Next, RowError, RowTaker};

impl SpanReader {
    /// Reads fields of an export. The error is one of the whole body.
    pub async fn read_message(&mut self, fields: &[u8], rows: &mut impl RowTaker) -> Result<Next, RowError> {
        let mut fields = Fields::of(fields);
        while let Some(field) = fields.next_field()? {
            if field.number == 1 && self.message_resource(field.value.bytes()?, rows).await? == Next::Stop {
                return Ok(Next::Stop);
            }
        }
        Ok(Next::Continue)
    }

    async fn message_resource(&mut self, spans: &[u8], rows: &mut impl RowTaker) -> Result<Next, RowError> {
        let (mut resource, mut schema) = (&[][..], "");
        let mut fields = Fields::of(spans);
        while let Some(field) = fields.next_field()? {
            match field.number {
                1 => resource = field.value.bytes()?,
                3 => schema = field.value.text()?,
                _ => {}
            }
        }
        self.begin();
        self.row.string([RESOURCE_SCHEMA], schema);
        let mut dropped = 0;
        let mut fields = Fields::of(resource);
        while let Some(field) = fields.next_field()? {
            match field.number {
                1 => self.message_attribute([RESOURCE, ""], field.value.bytes()?)?,
                2 => dropped = field.value.varint()?,
                _ => {}
            }
        }
        self.dropped_attributes([RESOURCE, ""], dropped);
        let mark = self.row.mark();
        let mut fields = Fields::of(spans);
        while let Some(field) = fields.next_field()? {
            if field.number == 2 {
                self.row.back_to(mark);
                if self.message_scope(field.value.bytes()?, rows).await? == Next::Stop {
                    return Ok(Next::Stop);
                }
            }
        }
        Ok(Next::Continue)
    }

    async fn message_scope(&mut self, spans: &[u8], rows: &mut impl RowTaker) -> Result<Next, RowError> {
        let (mut scope, mut schema) = (&[][..], "");
        let mut fields = Fields::of(spans);
        while let Some(field) = fields.next_field()? {
            match field.number {
                1 => scope = field.value.bytes()?,
                3 => schema = field.value.text()?,
                _ => {}
            }
        }
        self.row.string([SCOPE_SCHEMA], schema);
        let mut dropped = 0;
        let mut fields = Fields::of(scope);
        while let Some(field) = fields.next_field()? {
            match field.number {
                1 => self.row.tag([SCOPE, "name"], field.value.text()?),
                2 => self.row.tag([SCOPE, "version"], field.value.text()?),
                3 => self.message_attribute([SCOPE, ""], field.value.bytes()?)?,
                4 => dropped = field.value.varint()?,
                _ => {}
            }
        }
        self.dropped_attributes([SCOPE, ""], dropped);
        let mark = self.row.mark();
        let mut fields = Fields::of(spans);
        while let Some(field) = fields.next_field()? {
            if field.number == 2 {
                self.row.back_to(mark);
                let span = field.value.bytes()?;
                let position = self.span();
                let next = match self.known_span(span, mark) {
                    Some(row) => self.give(position, row, rows),
                    None => {
                        self.row.back_to(mark);
                        let row = self.message_span(span).and_then(|head| self.head(&head));
                        let is_row = row.is_ok();
                        let next = self.give(position, row, rows);
                        if is_row {
                            self.learn(span, mark);
                        }
                        next
                    }
                };
                if next == Next::Stop || rows.turn().await == Next::Stop {
                    return Ok(Next::Stop);
                }
            }
        }
        Ok(Next::Continue)
    }

    /// Fills the row of a span that is like one before; `None` where it is not, and the row is in disorder.
    fn known_span(&mut self, span: &[u8], mark: DraftMark) -> Option<Result<(), RowError>> {
        for at in self.shapes.order() {
            // It is taken out of its place for a while.
            let Some(shape) = self.shapes.at(at).map(std::mem::take) else { continue };
            let mut row = None;
            if shape.is_for(mark) {
                self.row.back_to(mark);
                self.row.begin_named();
                row = self.values_of(span, &shape).map(|head| self.head(&head));
                self.row.end_named(shape.layout());
            }
            self.shapes.put(at, shape);
            if row.is_some() {
                self.shapes.has_fitted(at);
                return row;
            }
        }
        None
    }

    /// Adds the attributes of a span that has just those of `shape`.
    fn values_of<'s>(&mut self, span: &'s [u8], shape: &SpanShape) -> Option<SpanHead<'s>> {
        let mut head = SpanHead::default();
        let mut place = 0;
        let mut fields = Fields::of(span);
        while let Some(field) = fields.next_field().ok()? {
            match field.number {
                9 => {
                    let value = shape.value(place, field.value.bytes().ok()?)?;
                    self.row.value(value, |row, text| row.string([], text)).ok()?;
                    place += 1;
                }
                11 | 13 => return None,
                number => head.read(number, field.value).ok()?,
            }
        }
        (place == shape.len()).then_some(head)
    }

    /// Keeps the shape of a span that was read by the book, and became a row.
    fn learn(&mut self, span: &[u8], mark: DraftMark) {
        let Self { row, shapes, .. } = self;
        if !self.knows_shapes || row.draft().check().is_err() {
            return;
        }
        let attributes = || {
            let mut fields = Fields::of(span);
            std::iter::from_fn(move || fields.next_field().ok()?).filter(|field| matches!(field.number, 9 | 11 | 13))
        };
        let is_simple = |field: Field<'_>| field.number == 9 && field.value.bytes().is_ok_and(begins_with_name);
        if !attributes().all(is_simple) {
            return;
        }
        let Some(place) = shapes.room() else { return };
        let mut shape = SpanShape::default();
        attributes().filter_map(|field| field.value.bytes().ok()).for_each(|pair| shape.push(pair));
        shape.finish(mark, row.draft().layout_behind(mark));
        shapes.put(place, shape);
    }

    fn message_span<'s>(&mut self, span: &'s [u8]) -> Result<SpanHead<'s>, RowError> {
        let mut head = SpanHead::default();
        let (mut events, mut links) = (0, 0);
        let mut fields = Fields::of(span);
        while let Some(field) = fields.next_field()? {
            let value = field.value;
            match field.number {
                9 => self.message_attribute([SPAN, ""], value.bytes()?)?,
                11 => {
                    match Self::takes_part(events) {
                        true => self.message_event(&format!("Event_{events}/"), value.bytes()?)?,
                        false => head.dropped_events = head.dropped_events.saturating_add(1),
                    }
                    events += 1;
                }
                13 => {
                    match Self::takes_part(links) {
                        true => self.message_link(&format!("Link_{links}/"), value.bytes()?)?,
                        false => head.dropped_links = head.dropped_links.saturating_add(1),
                    }
                    links += 1;
                }
                number => head.read(number, value)?,
            }
        }
        Ok(head)
    }

    fn message_event(&mut self, place: &str, event: &[u8]) -> Result<(), RowError> {
        let (mut time, mut name, mut dropped) = (0, "", 0);
        let mut fields = Fields::of(event);
        while let Some(field) = fields.next_field()? {
            match field.number {
                1 => time = field.value.fixed64()?,
                2 => name = field.value.text()?,
                3 => self.message_attribute([SPAN, place], field.value.bytes()?)?,
                4 => dropped = field.value.varint()?,
                _ => {}
            }
        }
        self.row.string([SPAN, place, "name"], name);
        self.row.number([SPAN, place, "time_unix_nano"], time as f64);
        self.dropped_attributes([SPAN, place], dropped);
        Ok(())
    }

    fn message_link(&mut self, place: &str, link: &[u8]) -> Result<(), RowError> {
        let (mut trace_id, mut span_id, mut state, mut flags, mut dropped) = (Id::default(), Id::default(), "", 0, 0);
        let mut fields = Fields::of(link);
        while let Some(field) = fields.next_field()? {
            match field.number {
                1 => trace_id = Id::Bytes(field.value.bytes()?),
                2 => span_id = Id::Bytes(field.value.bytes()?),
                3 => state = field.value.text()?,
                4 => self.message_attribute([SPAN, place], field.value.bytes()?)?,
                5 => dropped = field.value.varint()?,
                6 => flags = field.value.fixed32()?,
                _ => {}
            }
        }
        self.link(place, trace_id, span_id, state, flags)?;
        self.dropped_attributes([SPAN, place], dropped);
        Ok(())
    }

    fn message_attribute(&mut self, prefix: Prefix<'_>, pair: &[u8]) -> Result<(), RowError> {
        let (name, value) = read_pair(pair)?;
        self.row.value(value, |row, text| attribute(row, prefix, name, text))
    }
}

impl<'s> SpanHead<'s> {
    /// Reads a field of a span that is not in a list.
    #[inline]
    fn read(&mut self, number: u32, value: Value<'s>) -> Result<(), RowError> {
        match number {
            1 => self.trace_id = Id::Bytes(value.bytes()?),
            2 => self.span_id = Id::Bytes(value.bytes()?),
            3 => self.trace_state = value.text()?,
            4 => self.parent_span_id = Id::Bytes(value.bytes()?),
            5 => self.name = value.text()?,
            6 => self.kind = signed(value.varint()?),
            7 => self.start_ns = value.fixed64()?,
            8 => self.end_ns = value.fixed64()?,
            10 => self.dropped_attributes = value.varint()?,
            12 => self.dropped_events = self.dropped_events.saturating_add(value.varint()?),
            14 => self.dropped_links = self.dropped_links.saturating_add(value.varint()?),
            15 => {
                let mut status = Fields::of(value.bytes()?);
                while let Some(field) = status.next_field()? {
                    match field.number {
                        2 => self.status_message = field.value.text()?,
                        3 => self.status_code = signed(field.value.varint()?),
                        _ => {}
                    }
                }
            }
            16 => self.flags = value.fixed32()?,
            _ => {}
        }
        Ok(())
    }
}
