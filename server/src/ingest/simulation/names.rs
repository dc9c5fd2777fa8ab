//! What things are called, and how values are written.

use tidewire_storage::schema::FieldType;

pub(super) const DATABASES: [&str; 2] = ["public", "d0"];
pub(super) const TABLES: [&str; 2] = ["t0", "t1"];
pub(super) const KINDS: [FieldType; 4] = [FieldType::Int, FieldType::UInt, FieldType::Float, FieldType::String];

/// A text that says a number, with at least `length` bytes.
pub(super) fn text(number: usize, length: usize) -> String {
    format!("{number}{}", ".".repeat(length.max(1)))
}

/// A value in line protocol that says this number, in a text of at least `length` bytes.
pub(super) fn written(kind: FieldType, number: usize, length: usize) -> String {
    match kind {
        FieldType::Int => format!("{number}i"),
        FieldType::UInt => format!("{number}u"),
        FieldType::Float => format!("{number}"),
        FieldType::Bool => "true".to_owned(),
        FieldType::String => format!("\"{}\"", text(number, length)),
    }
}
