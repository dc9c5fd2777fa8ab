//! Spans that are like one before: a program gives the spans of one kind the same attributes, in one order.
//!
//! A span without events and links that was read by the book leaves the bytes that name its attributes, and the names
//! of the fields that it became. Where the next span has attributes of the same names, their values are read and no
//! name is put together.

use crate::protobuf::Fields;
use crate::row::DraftMark;
use crate::shapes::Shapes;

/// Bytes of the names of a shape.
const BYTES_MAX: usize = 16 << 10;

/// Spans that fit no shape, of which one leaves its own where there are as many as there may be.
const MISSES: usize = 16;

/// The shapes that spans had.
pub(super) type SpanShapes = Shapes<SpanShape, MISSES>;

/// What a span is like.
#[derive(Debug, Default)]
pub(super) struct SpanShape {
    /// For each attribute the field with its name, end to end.
    keys: Vec<u8>,
    ends: Vec<usize>,
    /// The fields of the row, as a draft has them.
    layout: Vec<u8>,
    /// What was in the row before the span; `None` where there is no shape.
    mark: Option<DraftMark>,
}

impl SpanShape {
    /// The next attribute is this one, which begins with its name.
    pub(super) fn push(&mut self, pair: &[u8]) {
        self.keys.extend_from_slice(name_field(pair).unwrap_or_default());
        self.ends.push(self.keys.len());
    }

    /// All attributes are there, and the row has these fields behind the mark.
    pub(super) fn finish(&mut self, mark: DraftMark, layout: &[u8]) {
        self.layout = layout.to_vec();
        self.mark = Some(mark).filter(|_| self.keys.len() + layout.len() <= BYTES_MAX);
    }

    /// Whether a span may have it behind this mark.
    pub(super) fn is_for(&self, mark: DraftMark) -> bool {
        self.mark.is_some_and(|known| known.is_like(mark))
    }

    /// Number of attributes.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The fields of the row.
    pub(super) fn layout(&self) -> &[u8] {
        &self.layout
    }

    /// The value of the attribute at a place, if it has the name of the one there, and nothing but a value.
    pub(super) fn value<'p>(&self, place: usize, pair: &'p [u8]) -> Option<&'p [u8]> {
        let start = place.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        let key = self.keys.get(start..*self.ends.get(place)?)?;
        let mut fields = Fields::of(pair.strip_prefix(key)?);
        let field = fields.next_field().ok()??;
        (field.number == 2 && fields.rest().is_empty()).then(|| field.value.bytes().ok())?
    }
}

/// Whether an attribute has its name before its value.
pub(super) fn begins_with_name(pair: &[u8]) -> bool {
    name_field(pair).is_some()
}

/// The field with the name of an attribute that begins with it.
fn name_field(pair: &[u8]) -> Option<&[u8]> {
    let mut fields = Fields::of(pair);
    fields.next_field().ok()?.filter(|field| field.number == 1)?;
    pair.get(..pair.len() - fields.rest().len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::RowDraft;

    #[test]
    fn attributes_fit_by_place_and_name() {
        let mut shape = SpanShape::default();
        let mut draft = RowDraft::default();
        draft.begin("t");
        let before = draft.mark();
        draft.string("x", "");
        let behind = draft.mark();
        shape.push(b"\x0a\x01a\x12\x03\x0a\x01x");
        shape.push(b"\x0a\x02bc\x12\x00");
        shape.finish(before, draft.layout_behind(before));
        assert!(shape.is_for(before) && !shape.is_for(behind));
        assert_eq!(shape.value(0, b"\x0a\x01a\x12\x03\x0a\x01y"), Some(&b"\x0a\x01y"[..]));
        assert_eq!(shape.value(1, b"\x0a\x02bc\x12\x00"), Some(&b""[..]));
        for (place, pair) in [
            (0, &b"\x0a\x01b\x12\x00"[..]),
            (1, b"\x0a\x01a\x12\x00"),
            (2, b"\x0a\x01a\x12\x00"),
            (0, b"\x0a\x01a"),
            (0, b"\x0a\x01a\x12\x00\x0a\x01b"),
            (0, b"\x0a\x01a\x12\x05"),
        ] {
            assert_eq!(shape.value(place, pair), None, "{place} {}", pair.escape_ascii());
        }
        assert!(begins_with_name(b"\x0a\x01a") && !begins_with_name(b"\x12\x00\x0a\x01a") && !begins_with_name(b""));
    }

    #[test]
    fn a_row_that_is_none_has_no_shape() {
        let mut shape = SpanShape::default();
        let mut draft = RowDraft::default();
        draft.begin("t");
        shape.finish(draft.mark(), &[]);
        assert!(shape.is_for(draft.mark()));
        draft.tag("", "");
        assert!(!shape.is_for(draft.mark()));
    }
}
