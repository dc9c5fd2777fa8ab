//! Results that a format cannot show, in CnosDB's words, which are those of arrow's writers.

use tidewire_protocol::encode::EncodeError;

/// The text for a client. Faults of our own making, of which CnosDB has none, are in our words.
pub(super) fn words(error: &EncodeError) -> String {
    match error {
        EncodeError::JsonType(data_type) => {
            format!("Json error: data type {data_type} not supported in nested map for json writer")
        }
        EncodeError::CsvNested(data_type) => format!("Csv error: Nested type {data_type} is not supported in CSV"),
        EncodeError::CsvType(data_type) => format!("Csv error: {data_type} data cannot be written to CSV"),
        EncodeError::Type(data_type) => format!("data type {data_type} not supported by the result writers"),
        EncodeError::Schema { .. }
        | EncodeError::Columns { .. }
        | EncodeError::ParquetType(_)
        | EncodeError::Unwritable { .. } => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::{DataType, Field, IntervalUnit};

    use super::*;

    #[test]
    fn the_words_are_those_of_arrows_writers() {
        let list = DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true)));
        for (error, expected) in [
            (
                EncodeError::JsonType(DataType::Interval(IntervalUnit::MonthDayNano)),
                "Json error: data type Interval(MonthDayNano) not supported in nested map for json writer".to_owned(),
            ),
            (
                EncodeError::JsonType(DataType::Decimal128(10, 2)),
                "Json error: data type Decimal128(10, 2) not supported in nested map for json writer".to_owned(),
            ),
            (EncodeError::CsvNested(list.clone()), format!("Csv error: Nested type {list} is not supported in CSV")),
            (EncodeError::CsvType(DataType::Binary), "Csv error: Binary data cannot be written to CSV".to_owned()),
            (EncodeError::Type(DataType::Null), "data type Null not supported by the result writers".to_owned()),
            (
                EncodeError::Columns { found: 1, expected: 2 },
                "result batch has 1 columns, expected at least 2".to_owned(),
            ),
        ] {
            assert_eq!(words(&error), expected);
        }
    }
}
