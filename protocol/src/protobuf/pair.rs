//! A message of a name and a value, `1 name 2 value`, which many formats have.

use super::Fields;
use crate::row::RowError;

/// A name and a value.
pub fn read_pair(pair: &[u8]) -> Result<(&str, &str), RowError> {
    let (mut name, mut value) = ("", "");
    let mut fields = Fields::of(pair);
    while let Some(field) = fields.next_field()? {
        match field.number {
            1 => name = field.value.text()?,
            2 => value = field.value.text()?,
            _ => {}
        }
    }
    Ok((name, value))
}
