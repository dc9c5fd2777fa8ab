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
    name: String,
    text: String,
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

    /// Takes what is behind the mark out of the row.
    pub(super) fn back_to(&mut self, mark: DraftMark) {
        self.draft.back_to(mark);
    }

    /// Adds a field that is no string.
    pub(super) fn field(&mut self, name: &[&str], kind: FieldKind, value: RawValue) {
        self.set_name(name);
        self.draft.field(&self.name, kind, value);
    }

    /// Adds a string.
    pub(super) fn string(&mut self, name: &[&str], value: &str) {
        self.set_name(name);
        self.draft.string(&self.name, value);
    }

    /// Adds a tag.
    pub(super) fn tag(&mut self, name: &[&str], value: &str) {
        self.set_name(name);
        self.draft.tag(&self.name, value);
    }

    /// Adds a number; all are floats.
    pub(super) fn number(&mut self, name: &[&str], value: f64) {
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

    fn set_name(&mut self, parts: &[&str]) {
        self.name.clear();
        parts.iter().for_each(|part| self.name.push_str(part));
    }
}
