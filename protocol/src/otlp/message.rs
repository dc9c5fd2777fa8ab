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
use super::columns::{RESOURCE, RESOURCE_SCHEMA, SCOPE, SCOPE_SCHEMA, SPAN, SpanHead, attribute};
use super::id::Id;
use crate::protobuf::{Fields, signed};
use crate::row::{Next, RowError, RowTaker};

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
        self.row.string(&[RESOURCE_SCHEMA], schema);
        let mut dropped = 0;
        let mut fields = Fields::of(resource);
        while let Some(field) = fields.next_field()? {
            match field.number {
                1 => self.message_attribute(&[RESOURCE], field.value.bytes()?)?,
                2 => dropped = field.value.varint()?,
                _ => {}
            }
        }
        self.dropped_attributes(&[RESOURCE], dropped);
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
        self.row.string(&[SCOPE_SCHEMA], schema);
        let mut dropped = 0;
        let mut fields = Fields::of(scope);
        while let Some(field) = fields.next_field()? {
            match field.number {
                1 => self.row.tag(&[SCOPE, "name"], field.value.text()?),
                2 => self.row.tag(&[SCOPE, "version"], field.value.text()?),
                3 => self.message_attribute(&[SCOPE], field.value.bytes()?)?,
                4 => dropped = field.value.varint()?,
                _ => {}
            }
        }
        self.dropped_attributes(&[SCOPE], dropped);
        let mark = self.row.mark();
        let mut fields = Fields::of(spans);
        while let Some(field) = fields.next_field()? {
            if field.number == 2 {
                self.row.back_to(mark);
                let span = field.value.bytes()?;
                let position = self.span();
                let head = self.message_span(span);
                if self.finish(position, head, rows) == Next::Stop || rows.turn().await == Next::Stop {
                    return Ok(Next::Stop);
                }
            }
        }
        Ok(Next::Continue)
    }

    fn message_span<'s>(&mut self, span: &'s [u8]) -> Result<SpanHead<'s>, RowError> {
        let mut head = SpanHead::default();
        let (mut events, mut links) = (0, 0);
        let mut fields = Fields::of(span);
        while let Some(field) = fields.next_field()? {
            let value = field.value;
            match field.number {
                1 => head.trace_id = Id::Bytes(value.bytes()?),
                2 => head.span_id = Id::Bytes(value.bytes()?),
                3 => head.trace_state = value.text()?,
                4 => head.parent_span_id = Id::Bytes(value.bytes()?),
                5 => head.name = value.text()?,
                6 => head.kind = signed(value.varint()?),
                7 => head.start_ns = value.fixed64()?,
                8 => head.end_ns = value.fixed64()?,
                9 => self.message_attribute(&[SPAN], value.bytes()?)?,
                10 => head.dropped_attributes = value.varint()?,
                11 => {
                    match Self::takes_part(events) {
                        true => self.message_event(&format!("Event_{events}/"), value.bytes()?)?,
                        false => head.dropped_events = head.dropped_events.saturating_add(1),
                    }
                    events += 1;
                }
                12 => head.dropped_events = head.dropped_events.saturating_add(value.varint()?),
                13 => {
                    match Self::takes_part(links) {
                        true => self.message_link(&format!("Link_{links}/"), value.bytes()?)?,
                        false => head.dropped_links = head.dropped_links.saturating_add(1),
                    }
                    links += 1;
                }
                14 => head.dropped_links = head.dropped_links.saturating_add(value.varint()?),
                15 => {
                    let mut status = Fields::of(value.bytes()?);
                    while let Some(field) = status.next_field()? {
                        match field.number {
                            2 => head.status_message = field.value.text()?,
                            3 => head.status_code = signed(field.value.varint()?),
                            _ => {}
                        }
                    }
                }
                16 => head.flags = value.fixed32()?,
                _ => {}
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
                3 => self.message_attribute(&[SPAN, place], field.value.bytes()?)?,
                4 => dropped = field.value.varint()?,
                _ => {}
            }
        }
        self.row.string(&[SPAN, place, "name"], name);
        self.row.number(&[SPAN, place, "time_unix_nano"], time as f64);
        self.dropped_attributes(&[SPAN, place], dropped);
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
                4 => self.message_attribute(&[SPAN, place], field.value.bytes()?)?,
                5 => dropped = field.value.varint()?,
                6 => flags = field.value.fixed32()?,
                _ => {}
            }
        }
        self.link(place, trace_id, span_id, state, flags)?;
        self.dropped_attributes(&[SPAN, place], dropped);
        Ok(())
    }

    fn message_attribute(&mut self, prefix: &[&str], pair: &[u8]) -> Result<(), RowError> {
        let (name, value) = read_pair(pair)?;
        self.row.value(value, |row, text| attribute(row, prefix, name, text))
    }
}
