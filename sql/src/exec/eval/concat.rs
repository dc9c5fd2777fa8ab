//! `||`: of each row the text of both operands. Neither is expanded to a column first, whatever its form.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, StringArray};
use arrow_schema::DataType;

use super::room::text_bytes;
use super::value::{Input, Value};
use crate::error::execution::Result;
use crate::types::array::cast_to;

/// `left || right`; null where one of them is.
pub(super) fn concat(left: &Value, right: &Value, input: Input<'_>) -> Result<ArrayRef> {
    let rows = match (left, right) {
        (Value::Constant(_), Value::Constant(_)) => 1,
        _ => input.rows,
    };
    let (left, right) = (Texts::of(left)?, Texts::of(right)?);
    // Of a row where one is null, the other is counted for nothing.
    let bytes = left.bytes(rows).saturating_add(right.bytes(rows));
    input.room.take(bytes, rows)?;
    let mut texts = StringBuilder::with_capacity(rows, bytes);
    let mut joined = String::new();
    for row in 0..rows {
        match left.at(row).zip(right.at(row)) {
            Some((left, right)) => {
                joined.clear();
                joined.push_str(left);
                joined.push_str(right);
                texts.append_value(&joined);
            }
            None => texts.append_null(),
        }
    }
    Ok(Arc::new(texts.finish()))
}

/// Texts by row.
enum Texts {
    /// One for all rows.
    Constant(StringArray),
    Plain(StringArray),
    Dictionary(DictionaryArray<UInt32Type>, StringArray),
}

impl Texts {
    fn of(value: &Value) -> Result<Self> {
        let plain = |array: &ArrayRef| -> Result<StringArray> {
            Ok(cast_to(array, &DataType::Utf8)?.as_string::<i32>().clone())
        };
        Ok(match value {
            Value::Constant(array) => Self::Constant(plain(array)?),
            Value::Array(array) => match array.as_dictionary_opt::<UInt32Type>() {
                Some(dictionary) if *dictionary.values().data_type() == DataType::Utf8 => {
                    Self::Dictionary(dictionary.clone(), dictionary.values().as_string::<i32>().clone())
                }
                _ => Self::Plain(plain(array)?),
            },
        })
    }

    /// Of `rows` rows together.
    fn bytes(&self, rows: usize) -> usize {
        match self {
            Self::Constant(one) => self.at(0).map_or(0, |_| one.value(0).len()).saturating_mul(rows),
            Self::Plain(texts) => text_bytes(&(Arc::new(texts.clone()) as ArrayRef)),
            Self::Dictionary(texts, _) => text_bytes(&(Arc::new(texts.clone()) as ArrayRef)),
        }
    }

    fn at(&self, row: usize) -> Option<&str> {
        match self {
            Self::Constant(one) => one.is_valid(0).then(|| one.value(0)),
            Self::Plain(texts) => texts.is_valid(row).then(|| texts.value(row)),
            Self::Dictionary(keys, values) => {
                let key = keys.keys();
                key.is_valid(row)
                    .then(|| key.value(row) as usize)
                    .filter(|at| values.is_valid(*at))
                    .map(|at| values.value(at))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::context::QueryContext;
    use crate::exec::eval::Room;

    #[test]
    fn every_form_of_operands_gives_the_same_texts() {
        let context = QueryContext::new(1 << 20, None);
        let room = Room::new(&context);
        let input = Input { columns: &[], rows: 3, names: &(), room: &room };
        let texts = [Some("a"), None, Some("é")];
        let plain = || Value::Array(Arc::new(texts.iter().collect::<StringArray>()));
        let dictionary = || Value::Array(Arc::new(texts.into_iter().collect::<DictionaryArray<UInt32Type>>()));
        let constant = |text: Option<&str>| Value::Constant(Arc::new(StringArray::from(vec![text])));
        let of = |left: &Value, right: &Value| -> Vec<Option<String>> {
            let joined = concat(left, right, input).unwrap();
            joined.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
        };
        let expected = |ends: [&str; 2]| {
            vec![Some(format!("{}a{}", ends[0], ends[1])), None, Some(format!("{}é{}", ends[0], ends[1]))]
        };
        for column in [plain(), dictionary()] {
            assert_eq!(of(&constant(Some("x")), &column), expected(["x", ""]));
            assert_eq!(of(&column, &constant(Some("x"))), expected(["", "x"]));
            assert_eq!(of(&column, &constant(None)), [None, None, None]);
            for other in [plain(), dictionary()] {
                assert_eq!(of(&column, &other), [Some("aa".to_owned()), None, Some("éé".to_owned())]);
            }
        }
        assert_eq!(of(&constant(Some("x")), &constant(Some("y"))), [Some("xy".to_owned())]);
        assert!(context.memory_used() > 0, "what was made is held");
        let long = constant(Some(&"x".repeat(600 << 10)));
        assert!(concat(&long, &long, input).is_err(), "reserved before it is made");
    }
}
