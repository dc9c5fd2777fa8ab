//! The columns of a span, and the row that is being filled.

use crate::row::{DraftMark, FieldKind, Next, Position, RawValue, RowDraft, RowError, RowTaker};

pub(super) const RESOURCE: &str = "ResourceSpans/Resource/";
pub(super) const RESOURCE_SCHEMA: &str = "ResourceSpans/schema_url";
pub(super) const SCOPE: &str = "ResourceSpans/ScopeSpans/InstrumentationScope/";
pub(super) const SCOPE_SCHEMA: &str = "ResourceSpans/ScopeSpans/schema_url";
pub(super) const SPAN: &str = "ResourceSpans/ScopeSpans/Span/";
const ATTRIBUTES: &str = "attributes/";
const DROPPED_ATTRIBUTES: &str = "dropped_attributes_count";

/// The attribute of a resource that is a tag.
const SERVICE: &str = "service.name";

/// Events and links of a span that become columns: each has columns of its own. The others are counted as dropped.
const PARTS_MAX: usize = 128;

const KINDS: [&str; 6] = [
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];
const CODES: [&str; 3] = ["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];

/// How far an export has been read.
#[derive(Debug)]
pub struct SpanReader {
    table: String,
    draft: RowDraft,
    /// Spans met.
    spans: u64,
    /// A name and a value that are put together.
    name: String,
    pub(super) text: String,
}

/// What a span says beside its lists.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct SpanHead<'s> {
    pub(super) trace_id: Id<'s>,
    pub(super) span_id: Id<'s>,
    pub(super) parent_span_id: Id<'s>,
    pub(super) trace_state: &'s str,
    pub(super) name: &'s str,
    pub(super) kind: i64,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    pub(super) flags: u32,
    pub(super) dropped_attributes: u64,
    pub(super) dropped_events: u64,
    pub(super) dropped_links: u64,
    pub(super) status_code: i64,
    pub(super) status_message: &'s str,
}

/// An id, as bytes or as hex digits.
#[derive(Debug, Clone, Copy)]
pub(super) enum Id<'s> {
    Bytes(&'s [u8]),
    Hex(&'s str),
}

impl Default for Id<'_> {
    fn default() -> Self {
        Self::Bytes(&[])
    }
}

impl Id<'_> {
    /// Writes the hex digits of an id of `bytes` bytes; none if it is empty.
    fn write(self, bytes: usize, part: &'static str, text: &mut String) -> Result<(), RowError> {
        text.clear();
        match self {
            Self::Bytes(id) => {
                if !id.is_empty() && id.len() != bytes {
                    return Err(RowError::invalid(part, id.escape_ascii()));
                }
                for byte in id {
                    text.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
                    text.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
                }
            }
            Self::Hex(id) => {
                if !id.is_empty() && (id.len() != 2 * bytes || !id.bytes().all(|digit| digit.is_ascii_hexdigit())) {
                    return Err(RowError::invalid(part, id));
                }
                text.push_str(id);
                text.make_ascii_lowercase();
            }
        }
        Ok(())
    }
}

impl SpanReader {
    /// Of an export whose spans are rows of `table`.
    pub fn new(table: String) -> Self {
        let (draft, name, text) = Default::default();
        Self { table, draft, spans: 0, name, text }
    }

    /// Spans met so far.
    pub fn spans(&self) -> u64 {
        self.spans
    }

    /// A resource begins.
    pub(super) fn begin(&mut self) {
        self.draft.begin(&self.table);
    }

    /// What is in the row by now.
    pub(super) fn mark(&self) -> DraftMark {
        self.draft.mark()
    }

    /// Takes what is behind the mark out of the row.
    pub(super) fn back_to(&mut self, mark: DraftMark) {
        self.draft.back_to(mark);
    }

    /// Adds the attribute `name`, whose value is the text at hand, of what has names that begin with `prefix`.
    pub(super) fn attribute(&mut self, prefix: &[&str], name: &str) {
        let is_tag = prefix == [RESOURCE] && name == SERVICE;
        self.set_name(&[prefix, &[ATTRIBUTES, name]].concat());
        match is_tag {
            true => self.draft.tag(&self.name, &self.text),
            false => self.draft.string(&self.name, &self.text),
        }
    }

    /// Adds a string.
    pub(super) fn string(&mut self, parts: &[&str], value: &str) {
        self.set_name(parts);
        self.draft.string(&self.name, value);
    }

    pub(super) fn tag(&mut self, parts: &[&str], value: &str) {
        self.set_name(parts);
        self.draft.tag(&self.name, value);
    }

    /// Adds a number; all are floats.
    pub(super) fn number(&mut self, parts: &[&str], value: f64) {
        self.set_name(parts);
        self.draft.field(&self.name, FieldKind::Float, RawValue::from_float(value));
    }

    /// Adds how many attributes were dropped.
    pub(super) fn dropped_attributes(&mut self, prefix: &[&str], count: u64) {
        self.number(&[prefix, &[DROPPED_ATTRIBUTES]].concat(), count as f64);
    }

    fn set_name(&mut self, parts: &[&str]) {
        self.name.clear();
        parts.iter().for_each(|part| self.name.push_str(part));
    }

    /// Adds a link: its place among the links, and what it says.
    pub(super) fn link(
        &mut self,
        place: &str,
        trace_id: Id<'_>,
        span_id: Id<'_>,
        state: &str,
        flags: u32,
    ) -> Result<(), RowError> {
        let mut text = std::mem::take(&mut self.text);
        trace_id.write(16, "the trace id of a link", &mut text)?;
        self.string(&[SPAN, place, "trace_id"], &text);
        span_id.write(8, "the span id of a link", &mut text)?;
        self.string(&[SPAN, place, "span_id"], &text);
        self.text = text;
        self.string(&[SPAN, place, "trace_state"], state);
        self.number(&[SPAN, place, "flags"], f64::from(flags));
        Ok(())
    }

    /// Whether an event or a link at this place among its like gets columns.
    pub(super) fn takes_part(place: usize) -> bool {
        place < PARTS_MAX
    }

    /// A span begins; refusals name it.
    pub(super) fn span(&mut self) -> Position {
        self.spans += 1;
        Position::Span(self.spans)
    }

    /// Adds what a span says beside its lists, and gives the row.
    pub(super) fn finish(
        &mut self,
        position: Position,
        head: Result<SpanHead<'_>, RowError>,
        rows: &mut impl RowTaker,
    ) -> Next {
        match head.and_then(|head| self.head(&head)).and_then(|()| self.draft.check()) {
            Ok(()) => rows.take(position, &mut self.draft).err().unwrap_or(Next::Continue),
            Err(error) => rows.fault(position, error),
        }
    }

    fn head(&mut self, head: &SpanHead<'_>) -> Result<(), RowError> {
        let mut text = std::mem::take(&mut self.text);
        for (id, bytes, name, part) in [
            (head.trace_id, 16, "trace_id", "the trace id"),
            (head.span_id, 8, "span_id", "the span id"),
            (head.parent_span_id, 8, "parent_span_id", "the parent's span id"),
        ] {
            id.write(bytes, part, &mut text)?;
            if text.is_empty() && name != "parent_span_id" {
                return Err(RowError::Missing(part));
            }
            self.tag(&[SPAN, name], &text);
        }
        self.text = text;
        self.tag(&[SPAN, "trace_state"], head.trace_state);
        self.tag(&[SPAN, "name"], head.name);
        let word = |words: &[&'static str], number: i64| {
            usize::try_from(number).ok().and_then(|number| words.get(number)).copied().unwrap_or(words[0])
        };
        self.tag(&[SPAN, "Status/code"], word(&CODES, head.status_code));
        self.string(&[SPAN, "Status/message"], head.status_message);
        self.string(&[SPAN, "kind"], word(&KINDS, head.kind));
        self.number(&[SPAN, "flags"], f64::from(head.flags));
        self.number(&[SPAN, "end_time_unix_nano"], head.end_ns as f64);
        self.number(&[SPAN, "duration_nano"], head.end_ns.saturating_sub(head.start_ns) as f64);
        self.dropped_attributes(&[SPAN], head.dropped_attributes);
        self.number(&[SPAN, "dropped_events_count"], head.dropped_events as f64);
        self.number(&[SPAN, "dropped_links_count"], head.dropped_links as f64);
        self.draft.time = i64::try_from(head.start_ns).map_err(|_| RowError::TimeOutOfRange)?;
        Ok(())
    }
}

/// The number of a word such as `SPAN_KIND_SERVER`.
pub(super) fn kind_number(word: &str) -> Option<i64> {
    KINDS.iter().position(|known| *known == word).map(|at| at as i64)
}

/// The number of a word such as `STATUS_CODE_OK`.
pub(super) fn code_number(word: &str) -> Option<i64> {
    CODES.iter().position(|known| *known == word).map(|at| at as i64)
}
