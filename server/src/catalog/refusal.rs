//! Why a change of the catalog is refused, in the codes and words of the system whose clients ask for such changes.

use tidewire_storage::schema::{ColumnKind, FieldType};

use super::change::TABLE_COLUMNS_MAX;

/// Why a change is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// No such database.
    #[error("Database not found: \"{0}\"")]
    DatabaseNotFound(String),
    /// The database that requests without `db` mean stays.
    #[error("Database {0:?} forbid drop")]
    DatabaseProtected(String),
    /// The name is taken.
    #[error("Database \"{0}\" already exists")]
    DatabaseExists(String),
    /// No such table, as `tenant.database.table`.
    #[error("Table not found: \"{0}\"")]
    TableNotFound(String),
    /// The name is taken.
    #[error("Table {0} already exists.")]
    TableExists(String),
    /// The column is there with another type.
    #[error("{}", conflict_text(column, *wanted, *found))]
    ColumnConflict {
        /// Table.
        table: String,
        /// Column.
        column: String,
        /// What the write brings.
        wanted: ColumnKind,
        /// What the table has.
        found: ColumnKind,
    },
    /// ALTER TABLE adds a column that is there.
    #[error("Semantic error:  column {column} already exists in table {table}")]
    ColumnExists {
        /// Table.
        table: String,
        /// Column.
        column: String,
    },
    /// ALTER TABLE drops a column that is not there, or sets the codec of a field that is not there as it was bound.
    #[error("Semantic error:  column {column} not exists in table {table}")]
    ColumnNotFound {
        /// Table.
        table: String,
        /// Column.
        column: String,
    },
    /// A tag is part of what its series are.
    #[error("Semantic error: Can't drop tag column {0}.")]
    TagNotDroppable(String),
    /// A table has a field at least.
    #[error("Semantic error: There must be at least one field column.")]
    LastField,
    /// The time stays; the words are the reference's.
    #[error("Semantic error: There must be at least one tag column. ")]
    TimeNotDroppable,
    /// No such retention policy.
    #[error("retention policy not found: {0}")]
    PolicyNotFound(String),
    /// The name is taken by another one.
    #[error("retention policy already exists")]
    PolicyExists,
    /// It is not the default, or not as it is asked for.
    #[error("retention policy conflicts with an existing policy")]
    PolicyConflict,
    /// Rows would be kept for too short a time.
    #[error("retention policy duration must be at least 1h0m0s")]
    PolicyTooShort,
    /// Rows would be kept for less than a partition's length.
    #[error("retention policy duration must be greater than the shard duration")]
    PolicyShorterThanShard,
    /// A name that cannot be: empty, too long, with control characters, or `time`.
    #[error("invalid name {name:?}: {reason}")]
    BadName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The table is full.
    #[error("table {table} would have {columns} columns, the bound is {TABLE_COLUMNS_MAX}")]
    TooManyColumns {
        /// Table.
        table: String,
        /// Columns it would have.
        columns: usize,
    },
    /// The catalog could not be made durable; nothing changed.
    #[error("the catalog cannot be saved: {0}")]
    NotSaved(String),
}

impl SchemaError {
    /// CnosDB's error code for this refusal.
    pub fn code(&self) -> &'static str {
        match self {
            Self::DatabaseNotFound(_) => "030017",
            Self::DatabaseProtected(_) => "010065",
            Self::DatabaseExists(_) => "030018",
            Self::TableNotFound(_) => "030019",
            Self::TableExists(_) => "030020",
            Self::ColumnExists { .. } => "010028",
            Self::ColumnNotFound { .. } => "010029",
            Self::TagNotDroppable(_) => "010030",
            Self::LastField => "010032",
            Self::TimeNotDroppable => "010033",
            Self::ColumnConflict { .. } | Self::TooManyColumns { .. } | Self::BadName { .. } => "050014",
            Self::PolicyNotFound(_)
            | Self::PolicyExists
            | Self::PolicyConflict
            | Self::PolicyTooShort
            | Self::PolicyShorterThanShard => "050014",
            Self::NotSaved(_) => "050001",
        }
    }
}

/// CnosDB's short names of column types, as its conflict messages spell them.
pub fn kind_name(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Tag => "TAG",
        ColumnKind::Field(FieldType::Int) => "I64",
        ColumnKind::Field(FieldType::UInt) => "U64",
        ColumnKind::Field(FieldType::Float) => "F64",
        ColumnKind::Field(FieldType::Bool) => "BOOL",
        ColumnKind::Field(FieldType::String) => "STRING",
    }
}

/// The refusal of a column whose type differs, in CnosDB's words.
pub fn conflict_text(column: &str, wanted: ColumnKind, found: ColumnKind) -> String {
    format!(
        "Apply engine failed: DataSchemaError: Column '{column}' type error, found {} expected {}",
        kind_name(wanted),
        kind_name(found)
    )
}
