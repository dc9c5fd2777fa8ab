//! A row by its names, as a door puts it together.
//!
//! A door that meets names row by row fills one draft again and again; it gives tags and fields in the order in which
//! it meets them. What is written is laid out so that [`super::SlotCache`] can compare it with what it has seen as
//! bytes: the order of tags, names that come twice and empty values are looked at only when it has not.
//!
//! ```text
//!   series  [len table] [len name] [len value] [len name] [len value] …
//!   layout  [table's number, filled in by the cache] [kind, len name] [kind, len name] …
//!   values  one a field; strings are places in the draft's text
//! ```

use super::{FieldKind, RawValue, RowError, RowValues};

/// Longest table with its tags, and longest name of a field.
pub const NAME_BYTES_MAX: usize = 65_535;

/// Most fields of a row: a document with more is a mistake, and each would become a column.
pub const FIELDS_MAX: usize = 4096;

/// Bytes of the names of all fields of a row. What is nested repeats the names of what it is nested in, so a short
/// document could have names of any length together.
pub const FIELD_NAMES_BYTES_MAX: usize = 1 << 20;

/// Bytes of the layout before its fields: the number of the table.
pub(super) const TABLE_BYTES: usize = 4;

/// See the module.
#[derive(Debug, Default)]
pub struct RowDraft {
    /// The row's time, in nanoseconds.
    pub time: i64,
    pub(super) series: Vec<u8>,
    pub(super) layout: Vec<u8>,
    pub(super) values: RowValues,
    /// What keeps it from being a row.
    fault: Option<RowError>,
}

/// How much of a row was there: rows that begin alike are put back to it.
#[derive(Debug, Clone, Copy)]
pub struct DraftMark {
    series: usize,
    layout: usize,
    values: usize,
    text: usize,
    /// What was there kept it from being a row already.
    is_bad: bool,
}

impl RowDraft {
    /// A new row of `table` begins, without tags and fields.
    pub fn begin(&mut self, table: &str) {
        self.series.clear();
        self.layout.clear();
        self.layout.resize(TABLE_BYTES, 0);
        self.values.clear();
        self.fault = None;
        self.time = 0;
        push(&mut self.series, table.as_bytes());
        if table.is_empty() {
            self.fault = Some(RowError::Missing("the table's name"));
        }
    }

    /// Adds a tag. One without a value is none; of several with one name the last counts.
    pub fn tag(&mut self, name: &str, value: &str) {
        if self.series.len() > NAME_BYTES_MAX {
            self.fault.get_or_insert(RowError::NameTooLong);
            return;
        }
        push(&mut self.series, name.as_bytes());
        push(&mut self.series, value.as_bytes());
        self.check_name("a tag's name", name);
    }

    /// Adds a field that is no string; of several with one name the last counts.
    pub fn field(&mut self, name: &str, kind: FieldKind, value: RawValue) {
        if self.name_field(name, kind) {
            self.values.push(value);
        }
    }

    /// Gives the first field another value: rows that differ in nothing else but their time need no names anew.
    pub fn set_first(&mut self, value: RawValue) {
        self.values.set_first(value);
    }

    /// Adds a field that is a string.
    pub fn string(&mut self, name: &str, value: &str) {
        if !self.name_field(name, FieldKind::String) {
            return;
        }
        if self.values.push_string(value).is_err() {
            self.values.push(RawValue::default());
            self.fault.get_or_insert(RowError::TextTooLong);
        }
    }

    /// Adds the name of a field; `false` where there is no room for one more, and the row is none.
    fn name_field(&mut self, name: &str, kind: FieldKind) -> bool {
        if self.values.values().len() >= FIELDS_MAX || self.layout.len() + name.len() > FIELD_NAMES_BYTES_MAX {
            self.fault.get_or_insert(RowError::TooManyFields);
            return false;
        }
        self.layout.push(kind as u8);
        push(&mut self.layout, name.as_bytes());
        self.check_name("a field's name", name);
        true
    }

    fn check_name(&mut self, part: &'static str, name: &str) {
        if name.is_empty() {
            self.fault.get_or_insert(RowError::Missing(part));
        } else if name.len() > NAME_BYTES_MAX {
            self.fault.get_or_insert(RowError::NameTooLong);
        }
    }

    /// The table and the tags, as they were given: bytes that are the same where these came in one order.
    pub fn series(&self) -> &[u8] {
        &self.series
    }

    /// Whether it has no field yet.
    pub fn has_no_field(&self) -> bool {
        self.values.values().is_empty()
    }

    /// What is in the row by now.
    pub fn mark(&self) -> DraftMark {
        let (values, text) = self.values.lengths();
        DraftMark { series: self.series.len(), layout: self.layout.len(), values, text, is_bad: self.fault.is_some() }
    }

    /// Takes what came behind the mark out of the row, which must be the same row still.
    pub fn back_to(&mut self, mark: DraftMark) {
        self.series.truncate(mark.series);
        self.layout.truncate(mark.layout);
        self.values.truncate(mark.values, mark.text);
        if !mark.is_bad {
            self.fault = None;
        }
    }

    /// Whether this can be a row.
    pub fn check(&self) -> Result<(), RowError> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        match self.values.values().len() {
            0 => Err(RowError::NoField),
            _ if self.series.len() > NAME_BYTES_MAX => Err(RowError::NameTooLong),
            _ => Ok(()),
        }
    }

    /// The table and what is behind it: names and values of tags by turns.
    pub(super) fn table_and_tags(&self) -> (&str, Pieces<'_>) {
        let mut pieces = Pieces(&self.series);
        (pieces.next().unwrap_or_default(), pieces)
    }

    /// The fields.
    pub(super) fn fields(&self) -> Fields<'_> {
        Fields(self.layout.get(TABLE_BYTES..).unwrap_or_default())
    }
}

/// Appends a text behind its length. What is longer than a length can say is cut; [`RowDraft::check`] refuses it.
fn push(to: &mut Vec<u8>, text: &[u8]) {
    let text = text.get(..NAME_BYTES_MAX + 1).unwrap_or(text);
    to.extend_from_slice(&(text.len() as u32).to_le_bytes());
    to.extend_from_slice(text);
}

/// Texts laid end to end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pieces<'a>(&'a [u8]);

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let (len, rest) = self.0.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        self.0 = rest;
        // Only a text that was cut, and is refused, is none.
        Some(std::str::from_utf8(text).unwrap_or_default())
    }
}

/// Names and types of fields.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, FieldKind);

    fn next(&mut self) -> Option<Self::Item> {
        const KINDS: [FieldKind; 5] =
            [FieldKind::Int, FieldKind::UInt, FieldKind::Float, FieldKind::Bool, FieldKind::String];
        let (kind, rest) = self.0.split_first()?;
        let mut pieces = Pieces(rest);
        let name = pieces.next()?;
        self.0 = pieces.0;
        Some((name, *KINDS.iter().find(|known| **known as u8 == *kind)?))
    }
}
