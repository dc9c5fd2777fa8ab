//! A row that is being filled with what a signal of OpenTelemetry says.

use super::id::Id;
use super::node::{Key, Node};
use crate::row::{DraftMark, FieldKind, RawValue, RowDraft, RowError};

/// The attribute of a resource that names what sent it.
pub(super) const SERVICE: &str = "service.name";

/// See the module. Names are given in parts.
#[derive(Debug, Default)]
pub(super) struct Fill {
    draft: RowDraft,
    text: String,
    /// The names of fields are known: only their values are given.
    is_named: bool,
}

impl Fill {
    /// A row of `table` begins.
    pub(super) fn begin(&mut self, table: &str) {
        self.draft.begin(table);
    }

    /// The row.
    pub(super) fn draft(&mut self) -> &mut RowDraft {
        &mut self.draft
    }

    /// What is in the row by now.
    pub(super) fn mark(&self) -> DraftMark {
        self.draft.mark()
    }

    /// Fields that follow come with their values alone, until they are named.
    pub(super) fn begin_named(&mut self) {
        self.is_named = true;
    }

    /// Gives these fields their names and types, as [`RowDraft::layout_behind`] has them.
    pub(super) fn end_named(&mut self, layout: &[u8]) {
        self.is_named = false;
        self.draft.name_fields(layout);
    }

    /// Takes what is behind the mark out of the row.
    pub(super) fn back_to(&mut self, mark: DraftMark) {
        self.draft.back_to(mark);
    }

    /// Adds a field that is no string.
    pub(super) fn field<const N: usize>(&mut self, name: [&str; N], kind: FieldKind, value: RawValue) {
        match self.is_named {
            true => self.draft.push_value(value),
            false => self.draft.field_of(name, kind, value),
        }
    }

    /// Adds a string.
    pub(super) fn string<const N: usize>(&mut self, name: [&str; N], value: &str) {
        match self.is_named {
            true => self.draft.push_string(value),
            false => self.draft.string_of(name, value),
        }
    }

    /// Adds a tag.
    pub(super) fn tag<const N: usize>(&mut self, name: [&str; N], value: &str) {
        self.draft.tag_of(name, value);
    }

    /// Adds a number; all are floats.
    pub(super) fn number<const N: usize>(&mut self, name: [&str; N], value: f64) {
        self.field(name, FieldKind::Float, RawValue::from_float(value));
    }

    /// Gives the hex digits of an id of `bytes` bytes, or nothing if it is empty, to `add`.
    pub(super) fn id(
        &mut self,
        id: Id<'_>,
        bytes: usize,
        part: &'static str,
        add: impl FnOnce(&mut Self, &str),
    ) -> Result<(), RowError> {
        let mut text = std::mem::take(&mut self.text);
        let written = id.write(bytes, part, &mut text);
        if written.is_ok() {
            add(self, &text);
        }
        self.text = text;
        written
    }

    /// Gives a value as text to `add`.
    pub(super) fn value<'t, N: Node<'t>>(
        &mut self,
        value: N,
        add: impl FnOnce(&mut Self, &str),
    ) -> Result<(), RowError> {
        if let Some(text) = value.string() {
            add(self, text?);
            return Ok(());
        }
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        let written = value.write_value(&mut text);
        if written.is_ok() {
            add(self, &text);
        }
        self.text = text;
        written
    }

    /// Gives the attributes of a message, name and value as text, to `add`.
    pub(super) fn attributes<'t, N: Node<'t>>(
        &mut self,
        of: N,
        key: Key,
        mut add: impl FnMut(&mut Self, &str, &str),
    ) -> Result<(), RowError> {
        for pair in of.list(key) {
            let pair = pair?;
            let name = pair.text((1, "key"))?;
            match pair.node((2, "value"))? {
                Some(value) => self.value(value, |row, text| add(row, name, text))?,
                None => add(self, name, ""),
            }
        }
        Ok(())
    }
}
