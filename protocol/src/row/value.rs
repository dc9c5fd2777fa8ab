//! Field values: their types, and the 64 bits that a row has of each.

/// The type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldKind {
    /// An integer of 64 bits.
    Int,
    /// An unsigned integer of 64 bits.
    UInt,
    /// A float of 64 bits.
    Float,
    /// True or false.
    Bool,
    /// UTF-8 text.
    String,
}

/// One field value: the 64 bits of an `i64`, `u64`, `f64` or bool (0, 1), or where a string stands in the row's text
/// (the start in the low half, the length in the high one). Which of them it is, its field's [`FieldKind`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RawValue(pub u64);

impl RawValue {
    /// The value of a [`FieldKind::Int`] field.
    pub fn from_int(value: i64) -> Self {
        Self(value.cast_unsigned())
    }

    /// The value of a [`FieldKind::UInt`] field.
    pub fn from_uint(value: u64) -> Self {
        Self(value)
    }

    /// The value of a [`FieldKind::Float`] field.
    pub fn from_float(value: f64) -> Self {
        Self(value.to_bits())
    }

    /// The value of a [`FieldKind::Bool`] field.
    pub fn from_bool(value: bool) -> Self {
        Self(u64::from(value))
    }

    /// The value of a [`FieldKind::String`] field: `len` bytes at `start` of the row's text.
    pub fn from_string_at(start: u32, len: u32) -> Self {
        Self(u64::from(start) | u64::from(len) << 32)
    }

    /// What [`Self::from_int`] was given.
    pub fn int(self) -> i64 {
        self.0.cast_signed()
    }

    /// What [`Self::from_uint`] was given.
    pub fn uint(self) -> u64 {
        self.0
    }

    /// What [`Self::from_float`] was given.
    pub fn float(self) -> f64 {
        f64::from_bits(self.0)
    }

    /// What [`Self::from_bool`] was given.
    pub fn bool(self) -> bool {
        self.0 != 0
    }

    /// The bytes of a string in the row's text. Empty when the text does not reach so far.
    #[inline]
    pub fn string(self, text: &[u8]) -> &[u8] {
        let start = (self.0 & u64::from(u32::MAX)) as usize;
        let len = (self.0 >> 32) as usize;
        text.get(start..start + len).unwrap_or_default()
    }
}

/// A row's strings are together longer than a [`RawValue`] can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the strings of a row have more than 4 GiB")]
pub struct TextTooLong;

/// The values of one row, collected by a door that has them one by one: numbers as they are, strings copied end to end.
/// It is cleared and filled again for every row, so its memory is asked for once. A door whose strings stand in its
/// input as they are needs none of this: it gives the input as the row's text.
#[derive(Debug, Default)]
pub struct RowValues {
    values: Vec<RawValue>,
    text: Vec<u8>,
}

impl RowValues {
    /// A new row begins.
    pub fn clear(&mut self) {
        self.values.clear();
        self.text.clear();
    }

    /// Adds a value that is no string.
    pub fn push(&mut self, value: RawValue) {
        self.values.push(value);
    }

    /// Gives the first value, which is there and no string, another one.
    pub fn set_first(&mut self, value: RawValue) {
        if let Some(first) = self.values.first_mut() {
            *first = value;
        }
    }

    /// Adds a string.
    pub fn push_string(&mut self, value: &str) -> Result<(), TextTooLong> {
        let start = u32::try_from(self.text.len()).map_err(|_| TextTooLong)?;
        let len = u32::try_from(value.len()).map_err(|_| TextTooLong)?;
        self.values.push(RawValue::from_string_at(start, len));
        self.text.extend_from_slice(value.as_bytes());
        Ok(())
    }

    /// How many values there are, and how many bytes of text.
    pub(super) fn lengths(&self) -> (usize, usize) {
        (self.values.len(), self.text.len())
    }

    /// Takes out what was added last.
    pub(super) fn truncate(&mut self, values: usize, text: usize) {
        self.values.truncate(values);
        self.text.truncate(text);
    }

    /// The values, one a field, in the order in which they were added.
    pub fn values(&self) -> &[RawValue] {
        &self.values
    }

    /// What strings are places in.
    pub fn text(&self) -> &[u8] {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_as_they_were_given() {
        assert_eq!(RawValue::from_int(-7).int(), -7);
        assert_eq!(RawValue::from_uint(u64::MAX).uint(), u64::MAX);
        assert_eq!(RawValue::from_float(-0.0).float().to_bits(), (-0.0_f64).to_bits());
        assert!(RawValue::from_bool(true).bool() && !RawValue::from_bool(false).bool());
    }

    #[test]
    fn a_string_is_a_place_and_one_outside_the_text_is_empty() {
        assert_eq!(RawValue::from_string_at(2, 3).string(b"abcdef"), b"cde");
        assert_eq!(RawValue::from_string_at(4, 3).string(b"abcdef"), b"");
        assert_eq!(RawValue::from_string_at(u32::MAX, u32::MAX).string(b"abcdef"), b"");
    }

    #[test]
    fn collected_strings_do_not_run_together() {
        let mut row = RowValues::default();
        for _ in 0..2 {
            row.clear();
            row.push_string("ü").unwrap();
            row.push(RawValue::from_int(5));
            row.push_string("").unwrap();
            row.push_string("end").unwrap();
            let strings: Vec<_> = [0, 2, 3].into_iter().map(|at| row.values()[at].string(row.text())).collect();
            assert_eq!(strings, ["ü".as_bytes(), b"", b"end"]);
            assert_eq!(row.values()[1].int(), 5);
        }
    }
}
