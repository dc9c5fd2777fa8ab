//! Why a change of the catalog is refused: what is wrong, as data. The words that clients of an API know, and its codes
//! and statuses, are that API's (`api/*/catalog_error.rs`); what is printed here is for logs.

use std::fmt;

use tidewire_storage::schema::ColumnKind;

use super::bounds::{NAME_BYTES_MAX, TABLE_COLUMNS_MAX};

/// Why a change is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// No such database.
    #[error("there is no database {0:?}")]
    DatabaseNotFound(String),
    /// The database that requests without `db` mean stays.
    #[error("database {0:?} cannot be dropped")]
    DatabaseProtected(String),
    /// The name is taken.
    #[error("database {0:?} exists")]
    DatabaseExists(String),
    /// No such table.
    #[error("database {database:?} has no table {table:?}")]
    TableNotFound {
        /// Database.
        database: String,
        /// Table.
        table: String,
    },
    /// The name is taken.
    #[error("table {0:?} exists")]
    TableExists(String),
    /// Rows of a table over files are what the files say.
    #[error("{0:?} is an external table, which takes no rows")]
    ExternalTable(String),
    /// The column is there with another type.
    #[error("column {column:?} of table {table:?} is {found:?}, not {wanted:?}")]
    ColumnConflict {
        /// Table.
        table: String,
        /// Column.
        column: String,
        /// What the change brings.
        wanted: ColumnKind,
        /// What the table has.
        found: ColumnKind,
    },
    /// ALTER TABLE adds a column that is there.
    #[error("table {table:?} has a column {column:?}")]
    ColumnExists {
        /// Table.
        table: String,
        /// Column.
        column: String,
    },
    /// ALTER TABLE drops a column that is not there, or sets the codec of a field that is not there as it was bound.
    #[error("table {table:?} has no column {column:?}")]
    ColumnNotFound {
        /// Table.
        table: String,
        /// Column.
        column: String,
    },
    /// A tag is part of what its series are.
    #[error("tag {0:?} cannot be dropped")]
    TagNotDroppable(String),
    /// A table has a field at least.
    #[error("the last field of a table cannot be dropped")]
    LastField,
    /// The time stays.
    #[error("the time cannot be dropped")]
    TimeNotDroppable,
    /// It keeps its name, too.
    #[error("the time cannot be renamed")]
    TimeNotRenamable,
    /// No such retention policy.
    #[error("there is no retention policy {0:?}")]
    PolicyNotFound(String),
    /// The name is taken by another one.
    #[error("a different retention policy of that name exists")]
    PolicyExists,
    /// It is not the default, or not as it is asked for.
    #[error("the existing retention policy is not the one that is asked for")]
    PolicyConflict,
    /// The name is taken by another one.
    #[error("a different continuous query of that name exists")]
    ContinuousQueryExists,
    /// The name is taken.
    #[error("a subscription of that name exists")]
    SubscriptionExists,
    /// No such subscription.
    #[error("there is no subscription {0:?}")]
    SubscriptionNotFound(String),
    /// Each destination has a thread and a connection.
    #[error("there would be {destinations} destinations of subscriptions, the bound is {max}")]
    TooManyDestinations {
        /// With the new ones.
        destinations: usize,
        /// The bound.
        max: usize,
    },
    /// Rows would be kept for too short a time.
    #[error("a retention policy cannot keep rows for less than an hour")]
    PolicyTooShort,
    /// Rows would be kept for less than a partition's length.
    #[error("a retention policy cannot keep rows for less than the length of its partitions")]
    PolicyShorterThanPartition,
    /// No such user.
    #[error("there is no user {0:?}")]
    UserNotFound(String),
    /// A user has a name.
    #[error("the user has no name")]
    UserUnnamed,
    /// The name is taken.
    #[error("user {0:?} exists")]
    UserExists(String),
    /// No such tenant.
    #[error("there is no tenant {0:?}")]
    TenantNotFound(String),
    /// The name is taken.
    #[error("tenant {0:?} exists")]
    TenantExists(String),
    /// The tenant of requests that name none stays.
    #[error("tenant {0:?} cannot be dropped")]
    TenantProtected(String),
    /// The tenant of requests that name none has no limits.
    #[error("tenant {0:?} cannot have limits")]
    TenantUnlimited(String),
    /// The tenant has what it may have.
    #[error("the tenant may have {what} up to {max}")]
    TenantLimit {
        /// Of what.
        what: TenantLimit,
        /// How much.
        max: u64,
    },
    /// The user is not in the tenant.
    #[error("user {0:?} is no member of the tenant")]
    MemberNotFound(String),
    /// The user is in the tenant.
    #[error("user {0:?} is a member of the tenant")]
    MemberExists(String),
    /// No such role.
    #[error("there is no role {0:?}")]
    RoleNotFound(String),
    /// The name is taken.
    #[error("role {0:?} exists")]
    RoleExists(String),
    /// Every tenant has it.
    #[error("role {0:?} is one of every tenant and cannot be changed")]
    RoleProtected(String),
    /// What is to be taken away was never given.
    #[error("role {role:?} was not granted that on database {database:?}")]
    NotGranted {
        /// Role.
        role: String,
        /// Database.
        database: String,
    },
    /// A name that cannot be.
    #[error("invalid name {name:?}: {fault}")]
    BadName {
        /// The name, or its beginning.
        name: String,
        /// What is wrong with it.
        fault: NameFault,
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
    /// There was no space for the change on the disk; nothing changed, as far as is known.
    #[error("the catalog cannot be saved for want of space: {0}")]
    NoSpace(String),
}

/// What a tenant may have so much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantLimit {
    /// Members.
    Users,
    /// Databases.
    Databases,
    /// SHARD of a database.
    Shards,
    /// REPLICA of a database.
    Replicas,
    /// TTL of a database.
    RetentionDays,
}

impl fmt::Display for TenantLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Users => "members",
            Self::Databases => "databases",
            Self::Shards => "shards of a database",
            Self::Replicas => "replicas of a database",
            Self::RetentionDays => "days that a database keeps rows",
        })
    }
}

/// What is wrong with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameFault {
    /// It has no character.
    Empty,
    /// It is longer than [`NAME_BYTES_MAX`].
    TooLong,
    /// `time`, which a column cannot be called.
    Time,
    /// It has a character that stands for something else.
    Reserved,
}

impl fmt::Display for NameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::TooLong => write!(f, "it is longer than {NAME_BYTES_MAX} bytes"),
            Self::Reserved => f.write_str("it has a character that names do not have"),
            Self::Time => f.write_str("time is the name of the timestamp"),
        }
    }
}
