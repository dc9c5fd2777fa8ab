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

impl DraftMark {
    /// Whether there are as many fields, with names as long, before both, and nothing else that could make what comes
    /// behind one no row and behind the other a row.
    pub(crate) fn is_like(self, other: Self) -> bool {
        (self.layout, self.values) == (other.layout, other.values) && !self.is_bad && !other.is_bad
    }
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
        push(&mut self.series, [table]);
        if table.is_empty() {
            self.fault = Some(RowError::Missing("the table's name"));
        }
    }

    /// The same of a row that has the fields in `layout`, which [`Self::layout_text`] gave: their values are to follow,
    /// and have the types that those had.
    pub(crate) fn begin_with(&mut self, table: &str, layout: &[u8]) {
        self.begin(table);
        self.layout.extend_from_slice(layout);
    }

    /// The names and types of the fields of a row that is one.
    pub(crate) fn layout_text(&self) -> &[u8] {
        self.layout.get(TABLE_BYTES..).unwrap_or_default()
    }

    /// Gives the next field of [`Self::begin_with`] its value.
    #[inline]
    pub(crate) fn push_value(&mut self, value: RawValue) {
        self.values.push(value);
    }

    /// The same of a string.
    #[inline]
    pub(crate) fn push_string(&mut self, value: &str) {
        if self.values.push_string(value).is_err() {
            self.values.push(RawValue::default());
            self.fault.get_or_insert(RowError::TextTooLong);
        }
    }

    /// The names and types of the fields behind a mark.
    pub(crate) fn layout_behind(&self, mark: DraftMark) -> &[u8] {
        self.layout.get(mark.layout..).unwrap_or_default()
    }

    /// Names the fields whose values were given last, as [`Self::layout_behind`] has it of as many.
    pub(crate) fn name_fields(&mut self, layout: &[u8]) {
        self.layout.extend_from_slice(layout);
    }

    /// Adds a tag. One without a value is none; of several with one name the last counts.
    #[inline]
    pub fn tag(&mut self, name: &str, value: &str) {
        self.tag_of([name], value);
    }

    /// The same of a tag whose name is in parts.
    #[inline]
    pub fn tag_of<const N: usize>(&mut self, name: [&str; N], value: &str) {
        if self.series.len() > NAME_BYTES_MAX {
            self.fault.get_or_insert(RowError::NameTooLong);
            return;
        }
        let name_bytes = push(&mut self.series, name);
        push(&mut self.series, [value]);
        self.check_name("a tag's name", name_bytes);
    }

    /// Adds a field that is no string; of several with one name the last counts.
    #[inline]
    pub fn field(&mut self, name: &str, kind: FieldKind, value: RawValue) {
        self.field_of([name], kind, value);
    }

    /// The same of a field whose name is in parts.
    #[inline]
    pub fn field_of<const N: usize>(&mut self, name: [&str; N], kind: FieldKind, value: RawValue) {
        if self.name_field(name, kind) {
            self.values.push(value);
        }
    }

    /// Gives the first field another value: rows that differ in nothing else but their time need no names anew.
    pub fn set_first(&mut self, value: RawValue) {
        self.values.set_first(value);
    }

    /// Adds a field that is a string.
    #[inline]
    pub fn string(&mut self, name: &str, value: &str) {
        self.string_of([name], value);
    }

    /// The same of a field whose name is in parts.
    #[inline]
    pub fn string_of<const N: usize>(&mut self, name: [&str; N], value: &str) {
        if !self.name_field(name, FieldKind::String) {
            return;
        }
        self.push_string(value);
    }

    /// Adds the name of a field; `false` where there is no room for one more, and the row is none.
    #[inline]
    fn name_field<const N: usize>(&mut self, name: [&str; N], kind: FieldKind) -> bool {
        let name_bytes: usize = name.iter().map(|part| part.len()).sum();
        if self.values.values().len() >= FIELDS_MAX || self.layout.len() + name_bytes > FIELD_NAMES_BYTES_MAX {
            self.fault.get_or_insert(RowError::TooManyFields);
            return false;
        }
        self.layout.push(kind as u8);
        push(&mut self.layout, name);
        self.check_name("a field's name", name_bytes);
        true
    }

    #[inline]
    fn check_name(&mut self, part: &'static str, name_bytes: usize) {
        if name_bytes == 0 {
            self.fault.get_or_insert(RowError::Missing(part));
        } else if name_bytes > NAME_BYTES_MAX {
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

/// Appends a text, in parts, behind its length, which it gives. What is longer than a length can say is cut;
/// [`RowDraft::check`] refuses it.
#[inline]
fn push<const N: usize>(to: &mut Vec<u8>, text: [&str; N]) -> usize {
    let len = text.iter().map(|part| part.len()).sum();
    let mut left = NAME_BYTES_MAX + 1;
    to.extend_from_slice(&(left.min(len) as u32).to_le_bytes());
    for part in text {
        let part = part.as_bytes();
        let part = part.get(..left).unwrap_or(part);
        left -= part.len();
        to.extend_from_slice(part);
    }
    len
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
