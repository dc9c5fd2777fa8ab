//! A table's columns, as exports hold them and imports make them: rows do not show a table that has none, or a column
//! without values.
//!
//! They stand in a Parquet file's metadata, and in line protocol in a comment, as JSON. SQL makes tables in the default
//! retention policy alone; those of others come with their rows.

use serde::{Deserialize, Serialize};
use tidewire_sql::sql_name;
use tidewire_storage::schema::{ColumnKind, FieldType, TableSchema};

/// A table without rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableTerms {
    /// Its name.
    pub name: String,
    /// Its tags, in its order.
    pub tags: Vec<String>,
    /// Its fields, in its order.
    pub fields: Vec<FieldTerms>,
}

/// A field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldTerms {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: FieldKind,
    /// The codec asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<tidewire_storage::schema::Codec>,
    /// The shapes that it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geometry: Option<tidewire_storage::schema::Geometry>,
}

/// The type of a field, by its name in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names of the types")]
pub enum FieldKind {
    Int,
    UInt,
    Float,
    Bool,
    String,
}

impl From<FieldType> for FieldKind {
    fn from(kind: FieldType) -> Self {
        match kind {
            FieldType::Int => Self::Int,
            FieldType::UInt => Self::UInt,
            FieldType::Float => Self::Float,
            FieldType::Bool => Self::Bool,
            FieldType::String => Self::String,
        }
    }
}

impl From<FieldKind> for FieldType {
    fn from(kind: FieldKind) -> Self {
        match kind {
            FieldKind::Int => Self::Int,
            FieldKind::UInt => Self::UInt,
            FieldKind::Float => Self::Float,
            FieldKind::Bool => Self::Bool,
            FieldKind::String => Self::String,
        }
    }
}

impl TableTerms {
    /// Those of a table.
    pub fn of(table: &TableSchema) -> Self {
        let mut terms = Self { name: table.name.to_string(), tags: Vec::new(), fields: Vec::new() };
        for column in &table.columns {
            match column.kind {
                ColumnKind::Tag => terms.tags.push(column.name.to_string()),
                ColumnKind::Field(kind) => {
                    terms.fields.push(FieldTerms {
                        name: column.name.to_string(),
                        kind: kind.into(),
                        codec: column.codec,
                        geometry: column.geometry,
                    });
                }
            }
        }
        terms
    }

    /// As JSON.
    pub fn encode(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// From JSON.
    pub fn decode(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| format!("the columns of a table cannot be read: {error}"))
    }

    /// Whether a tag has the name of a field.
    pub fn is_shared(&self, tag: &str) -> bool {
        self.fields.iter().any(|field| field.name == tag)
    }

    /// The statement that makes the table, unless it is there. Tags that share the name of a field come with rows: SQL
    /// has no way to make them.
    pub fn create(&self) -> String {
        let field = |field: &FieldTerms| {
            let codec = field.codec.map_or_else(String::new, |codec| format!(" CODEC({})", codec.name()));
            let shapes = field.geometry.map(|geometry| format!("GEOMETRY({}, 0)", geometry.name()));
            let kind = shapes.as_deref().unwrap_or_else(|| sql_name(field.kind.into()));
            format!("{} {kind}{codec}", identifier(&field.name))
        };
        let mut columns: Vec<String> = self.fields.iter().map(field).collect();
        let tags = self.tags.iter().filter(|tag| !self.is_shared(tag));
        let tags: Vec<String> = tags.map(|tag| identifier(tag)).collect();
        if !tags.is_empty() {
            columns.push(format!("TAGS({})", tags.join(", ")));
        }
        format!("CREATE TABLE IF NOT EXISTS {} ({})", identifier(&self.name), columns.join(", "))
    }
}

/// A name in SQL.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use tidewire_storage::schema::Codec;

    use super::*;

    #[test]
    fn a_table_is_said_and_made() {
        let field = |name: &str, kind, codec| FieldTerms { name: name.to_owned(), kind, codec, geometry: None };
        let terms = TableTerms {
            name: "a \"b\"\n".to_owned(),
            tags: vec!["t".to_owned(), "u,v".to_owned()],
            fields: vec![field("f", FieldKind::Float, Some(Codec::Gorilla)), field("n", FieldKind::UInt, None)],
        };
        assert_eq!(TableTerms::decode(&terms.encode()), Ok(terms.clone()));
        assert!(!terms.encode().contains('\n'));
        let statement = "CREATE TABLE IF NOT EXISTS \"a \"\"b\"\"\n\" \
                         (\"f\" DOUBLE CODEC(Gorilla), \"n\" BIGINT UNSIGNED, TAGS(\"t\", \"u,v\"))";
        assert_eq!(terms.create(), statement);
        let shared = TableTerms { tags: vec!["n".to_owned()], ..terms };
        assert!(shared.is_shared("n") && !shared.is_shared("t"));
        assert!(shared.create().ends_with("\"n\" BIGINT UNSIGNED)"));
        assert!(TableTerms::decode("{}").unwrap_err().contains("cannot be read"));
    }
}
