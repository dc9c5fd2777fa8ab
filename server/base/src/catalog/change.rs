//! Schema changes as data.

use std::collections::BTreeMap;

use tidewire_sql::Definition;
use tidewire_storage::schema::ColumnKind;

/// What a statement or a write wants of the catalog. It is done whole or not at all.
#[derive(Debug, Clone)]
pub enum SchemaChange {
    /// CREATE, ALTER or DROP.
    Define(Definition),
    /// A write needs these tables and columns: what is missing is made, columns of tables that are there are added at
    /// their ends.
    Ensure {
        /// Database.
        database: String,
        /// Its retention policy.
        policy: String,
        /// By table, what must be there afterwards.
        tables: BTreeMap<String, Vec<(String, ColumnKind)>>,
    },
}
