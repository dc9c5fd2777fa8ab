//! Schema changes as data, and what comes of them.

use tidewire_sql::Definition;
use tidewire_storage::schema::{Catalog, ColumnKind, TableId};

/// What a statement or a write wants of the catalog.
#[derive(Debug, Clone)]
pub enum SchemaChange {
    /// CREATE, ALTER or DROP.
    Define(Definition),
    /// A write needs these columns: the table is made if it is missing, missing columns are added at the end.
    EnsureColumns {
        /// Database.
        database: String,
        /// Its retention policy.
        policy: String,
        /// Table.
        table: String,
        /// What must be there afterwards.
        columns: Vec<(String, ColumnKind)>,
    },
}

/// What a change does.
#[derive(Debug, Clone, Default)]
pub struct Applied {
    /// The catalog afterwards; `None` when nothing had to change.
    pub catalog: Option<Catalog>,
    /// Tables that are gone and whose data every shard must drop.
    pub dropped: Vec<TableId>,
    /// Tables that have lost a column: what cores remember of their lines holds no longer.
    pub narrowed: Vec<TableId>,
}

impl Applied {
    /// A change that gives `catalog`.
    pub(super) fn changed(catalog: Catalog) -> Self {
        Self { catalog: Some(catalog), ..Self::default() }
    }
}
