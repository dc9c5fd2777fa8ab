//! The columns of a span, and the row that is being filled.

use super::fill::{Fill, SERVICE};
use super::id::Id;
use super::known::SpanShapes;
use crate::row::{Next, Position, RowError, RowTaker};

/// What names of columns of a span begin with: those of its resource, of its scope, and its own;
pub const RESOURCE: &str = "ResourceSpans/Resource/";
pub(super) const RESOURCE_SCHEMA: &str = "ResourceSpans/schema_url";
/// see [`RESOURCE`];
pub const SCOPE: &str = "ResourceSpans/ScopeSpans/InstrumentationScope/";
pub(super) const SCOPE_SCHEMA: &str = "ResourceSpans/ScopeSpans/schema_url";
/// see [`RESOURCE`].
pub const SPAN: &str = "ResourceSpans/ScopeSpans/Span/";
/// What stands before the names of attributes behind these.
pub const ATTRIBUTES: &str = "attributes/";
const DROPPED_ATTRIBUTES: &str = "dropped_attributes_count";

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

/// What names begin with: what has the attribute, and its place in a list of such.
pub(super) type Prefix<'p> = [&'p str; 2];

/// How far an export has been read.
#[derive(Debug)]
pub struct SpanReader {
    table: String,
    pub(super) row: Fill,
    /// What spans were like that were read by the book.
    pub(super) shapes: SpanShapes,
    /// Whether spans may be taken by these.
    pub(super) knows_shapes: bool,
    /// Spans met.
    spans: u64,
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

impl SpanReader {
    /// Of an export whose spans are rows of `table`.
    pub fn new(table: String) -> Self {
        Self { table, row: Fill::default(), shapes: SpanShapes::default(), knows_shapes: true, spans: 0 }
    }

    /// Reads every span as if it were like none before: what the others are compared with.
    #[must_use]
    pub fn by_the_book(self) -> Self {
        Self { knows_shapes: false, ..self }
    }

    /// A resource begins.
    pub(super) fn begin(&mut self) {
        self.row.begin(&self.table);
    }

    /// Adds how many attributes were dropped.
    pub(super) fn dropped_attributes(&mut self, prefix: Prefix<'_>, count: u64) {
        let [of, place] = prefix;
        self.row.number([of, place, DROPPED_ATTRIBUTES], count as f64);
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
        let row = &mut self.row;
        row.id(trace_id, 16, "the trace id of a link", |row, id| row.string([SPAN, place, "trace_id"], id))?;
        row.id(span_id, 8, "the span id of a link", |row, id| row.string([SPAN, place, "span_id"], id))?;
        row.string([SPAN, place, "trace_state"], state);
        row.number([SPAN, place, "flags"], f64::from(flags));
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
        let row = head.and_then(|head| self.head(&head));
        self.give(position, row, rows)
    }

    /// Gives the row, if there is one.
    pub(super) fn give(&mut self, position: Position, row: Result<(), RowError>, rows: &mut impl RowTaker) -> Next {
        match row.and_then(|()| self.row.draft().check()) {
            Ok(()) => rows.take(position, self.row.draft()).err().unwrap_or(Next::Continue),
            Err(error) => rows.fault(position, error),
        }
    }

    pub(super) fn head(&mut self, head: &SpanHead<'_>) -> Result<(), RowError> {
        let row = &mut self.row;
        for (id, bytes, name, part) in [
            (head.trace_id, 16, "trace_id", "the trace id"),
            (head.span_id, 8, "span_id", "the span id"),
            (head.parent_span_id, 8, "parent_span_id", "the parent's span id"),
        ] {
            if id.is_empty() && name != "parent_span_id" {
                return Err(RowError::Missing(part));
            }
            row.id(id, bytes, part, |row, id| row.tag([SPAN, name], id))?;
        }
        row.tag([SPAN, "trace_state"], head.trace_state);
        row.tag([SPAN, "name"], head.name);
        let word = |words: &[&'static str], number: i64| {
            usize::try_from(number).ok().and_then(|number| words.get(number)).copied().unwrap_or(words[0])
        };
        row.tag([SPAN, "Status/code"], word(&CODES, head.status_code));
        row.string([SPAN, "Status/message"], head.status_message);
        row.string([SPAN, "kind"], word(&KINDS, head.kind));
        row.number([SPAN, "flags"], f64::from(head.flags));
        row.number([SPAN, "end_time_unix_nano"], head.end_ns as f64);
        row.number([SPAN, "duration_nano"], head.end_ns.saturating_sub(head.start_ns) as f64);
        row.number([SPAN, DROPPED_ATTRIBUTES], head.dropped_attributes as f64);
        row.number([SPAN, "dropped_events_count"], head.dropped_events as f64);
        row.number([SPAN, "dropped_links_count"], head.dropped_links as f64);
        row.draft().time = i64::try_from(head.start_ns).map_err(|_| RowError::TimeOutOfRange)?;
        Ok(())
    }
}

/// Adds an attribute of what has names that begin with `prefix`.
pub(super) fn attribute(row: &mut Fill, prefix: Prefix<'_>, name: &str, value: &str) {
    let [of, place] = prefix;
    let parts = [of, place, ATTRIBUTES, name];
    match of == RESOURCE && name == SERVICE {
        true => row.tag(parts, value),
        false => row.string(parts, value),
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
