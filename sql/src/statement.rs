//! What a text means once it is bound: a query to run, or a change to make, as plain data for the server.

use std::fmt;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use tidewire_storage::schema::{
    Codec, ColumnId, ColumnKind, DatabaseOptions, ExternalTable, FileFormat, Geometry, TableId, UserOptions,
};

pub use crate::copy::{CopyIn, CopyInto};
use crate::deletion::{Deletion, SeriesFilter};
use crate::insertion::InsertTarget;
pub use crate::insertion::{FieldValues, Insert};
use crate::optimize::join_order::{self, TableRows};
use crate::plan::Plan;
use crate::tenancy::TenantStatement;

/// A bound, optimized query.
#[derive(Debug, Clone)]
pub struct Query {
    /// What to run.
    pub plan: Plan,
    /// Names and types of the output, in the client's words. Types are the plan's.
    pub schema: SchemaRef,
}

impl Query {
    /// A query whose columns are called as the plan's.
    pub fn of(plan: Plan) -> Self {
        Self { schema: Arc::clone(plan.schema()), plan }
    }
}

/// COPY INTO a file.
#[derive(Debug, Clone)]
pub struct CopyOut {
    /// The rows.
    pub query: Query,
    /// A file, or a folder that gets a file of a name of its own; as written.
    pub location: Arc<str>,
    /// How they are written.
    pub format: FileFormat,
}

/// A plan as it stood after one step of preparation, for `EXPLAIN VERBOSE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanStep {
    /// `initial_logical_plan` or `logical_plan after RULE`.
    pub name: String,
    /// Its text; `SAME TEXT AS ABOVE` where the rule changed nothing.
    pub plan: String,
}

/// A statement, bound against one snapshot of the catalog. Existence of the target of a change is checked
/// when the change is made, against the catalog of that moment; system names are refused here.
#[derive(Debug, Clone)]
pub enum Statement {
    /// Blank text, comments or lone semicolons.
    Empty,
    /// Rows are wanted; SHOW and DESCRIBE are queries over constant rows.
    Query(Query),
    /// EXPLAIN; see [`crate::explain`].
    Explain {
        /// The query.
        query: Query,
        /// ANALYZE: run it and print what it did.
        analyze: bool,
        /// VERBOSE.
        verbose: bool,
        /// The plan after each rule; empty without VERBOSE.
        steps: Vec<PlanStep>,
    },
    /// CREATE, ALTER or DROP.
    Define(Definition),
    /// INSERT … VALUES.
    Insert(Insert),
    /// INSERT of the rows of a query, or UPDATE of fields.
    InsertQuery {
        /// Its columns are of the target's types.
        query: Query,
        /// Where they go.
        target: InsertTarget,
    },
    /// UPDATE of tags: rows move to other series.
    UpdateTags(Box<TagUpdate>),
    /// CREATE EXTERNAL TABLE whose columns are those that its files have.
    CreateExternal {
        /// Database.
        database: String,
        /// IF NOT EXISTS: a table that exists is no error.
        if_not_exists: bool,
        /// The table, without columns.
        table: ExternalTable,
    },
    /// CREATE, ALTER or DROP USER.
    User(UserStatement),
    /// What is said of tenants, members and roles.
    Tenant(TenantStatement),
    /// COPY INTO a file.
    CopyOut(CopyOut),
    /// COPY INTO a table.
    CopyIn(CopyIn),
    /// COMPACT DATABASE.
    Compact {
        /// Name.
        database: String,
    },
    /// DELETE.
    Delete(Deletion),
}

impl Statement {
    /// The tables whose numbers of rows say in which order its joins run; none where that is no question.
    pub fn joined_tables(&self) -> Vec<TableId> {
        self.query().map_or_else(Vec::new, |query| join_order::tables(&query.plan))
    }

    /// The same with its joins in the order that suits tables of these numbers of rows.
    #[must_use]
    pub fn with_joins_ordered(mut self, rows: &TableRows) -> Self {
        let query = match &mut self {
            Self::Query(query)
            | Self::Explain { query, .. }
            | Self::CopyOut(CopyOut { query, .. })
            | Self::InsertQuery { query, .. } => query,
            _ => return self,
        };
        let nothing = Plan::Values { rows: Vec::new(), schema: Arc::clone(query.plan.schema()) };
        query.plan = join_order::ordered(std::mem::replace(&mut query.plan, nothing), rows);
        if let Self::Explain { query, verbose: true, steps, .. } = &mut self {
            steps.push(PlanStep { name: "logical_plan after join_order".to_owned(), plan: query.plan.to_string() });
        }
        self
    }

    /// The query that it runs.
    pub(crate) fn query(&self) -> Option<&Query> {
        match self {
            Self::Query(query)
            | Self::Explain { query, .. }
            | Self::CopyOut(CopyOut { query, .. })
            | Self::InsertQuery { query, .. } => Some(query),
            _ => None,
        }
    }
}

/// What a statement wants of users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserStatement {
    /// CREATE USER.
    Create {
        /// Name.
        name: String,
        /// IF NOT EXISTS: a user that exists is no error, and not changed.
        if_not_exists: bool,
        /// What it is to be.
        user: NewUser,
    },
    /// ALTER USER.
    Alter {
        /// Name.
        name: String,
        /// What changes.
        alteration: UserAlteration,
    },
    /// DROP USER.
    Drop {
        /// Name.
        name: String,
        /// IF EXISTS: a missing user is no error.
        if_exists: bool,
    },
}

/// Passwords are not printed.
impl fmt::Debug for NewUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewUser {{ is_admin: {}, options: {:?} }}", self.is_admin, self.options)
    }
}

/// Passwords are not printed.
impl fmt::Debug for UserAlteration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rename(name) => write!(f, "Rename({name:?})"),
            Self::Password(_) => f.write_str("Password([REDACTED])"),
            Self::Admin(is_admin) => write!(f, "Admin({is_admin})"),
            Self::Comment(comment) => write!(f, "Comment({comment:?})"),
            Self::MustChangePassword(must) => write!(f, "MustChangePassword({must})"),
        }
    }
}

/// A user that is made.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct NewUser {
    /// The password; one without cannot log in.
    pub password: Option<String>,
    /// May do everything.
    pub is_admin: bool,
    /// What is kept for who asks.
    pub options: UserOptions,
}

/// What ALTER USER changes.
#[derive(Clone, PartialEq, Eq)]
pub enum UserAlteration {
    /// The name.
    Rename(String),
    /// The password.
    Password(String),
    /// Whether it may do everything.
    Admin(bool),
    /// The comment, which is kept and shown.
    Comment(Arc<str>),
    /// Kept and shown.
    MustChangePassword(bool),
}

/// Series whose tags change.
#[derive(Debug, Clone)]
pub struct TagUpdate {
    /// Their rows, with the tags that they have.
    pub rows: Query,
    /// Where the rows go, once `tags` are set.
    pub target: InsertTarget,
    /// The series.
    pub series: SeriesFilter,
    /// What is set.
    pub tags: Vec<(ColumnId, Option<Arc<str>>)>,
}

/// A change of the catalog that a statement asks for. Names are as written, after folding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Definition {
    /// CREATE DATABASE.
    CreateDatabase {
        /// Name.
        name: String,
        /// IF NOT EXISTS: a database that exists is no error.
        if_not_exists: bool,
        /// WITH …; does not touch a database that exists.
        options: DatabaseOptions,
    },
    /// DROP DATABASE.
    DropDatabase {
        /// Name.
        name: String,
        /// IF EXISTS: a missing database is no error.
        if_exists: bool,
    },
    /// CREATE TABLE.
    CreateTable {
        /// Database.
        database: String,
        /// Name.
        name: String,
        /// IF NOT EXISTS: a table that exists is no error and is not changed.
        if_not_exists: bool,
        /// Tags as declared, then fields as declared; names are distinct and none is `time`.
        columns: Vec<(String, ColumnKind)>,
        /// Codecs of fields that have another than the default; each suits its field.
        codecs: Vec<(String, Codec)>,
        /// The shapes that fields of text hold.
        geometries: Vec<(String, Geometry)>,
    },
    /// CREATE EXTERNAL TABLE.
    CreateExternal {
        /// Database.
        database: String,
        /// IF NOT EXISTS: a table that exists is no error.
        if_not_exists: bool,
        /// The table, with its columns.
        table: Arc<ExternalTable>,
    },
    /// ALTER TABLE … ALTER … SET CODEC.
    SetCodec {
        /// Database.
        database: String,
        /// Table.
        table: String,
        /// A field of it.
        column: String,
        /// The codec, which suits the field; `None` for the default.
        codec: Option<Codec>,
    },
    /// DROP TABLE.
    DropTable {
        /// Database.
        database: String,
        /// Name.
        name: String,
        /// IF EXISTS: a missing table is no error.
        if_exists: bool,
    },
    /// ALTER DATABASE.
    AlterDatabase {
        /// Name.
        name: String,
        /// What changes.
        change: DatabaseChange,
    },
    /// ALTER TABLE.
    AlterTable {
        /// Database.
        database: String,
        /// Name.
        name: String,
        /// What changes.
        change: TableChange,
    },
    /// InfluxQL's CREATE DATABASE: one that exists is no error, unless it has another default policy than is asked for.
    EnsureDatabase {
        /// Name.
        name: String,
        /// WITH …: the first policy, if not `autogen` without end.
        policy: Option<(String, PolicyOptions)>,
    },
    /// CREATE RETENTION POLICY. One that is as asked for is no error.
    CreatePolicy {
        /// Database.
        database: String,
        /// Name.
        name: String,
        /// How it is to be.
        options: PolicyOptions,
    },
    /// ALTER RETENTION POLICY: what is not given stays.
    AlterPolicy {
        /// Database.
        database: String,
        /// Name.
        name: String,
        /// What changes.
        options: PolicyOptions,
    },
    /// DROP RETENTION POLICY, with all tables under it. A missing one, or a missing database, is no error.
    DropPolicy {
        /// Database.
        database: String,
        /// Name.
        name: String,
    },
    /// CREATE CONTINUOUS QUERY. One of the same text is no error.
    CreateContinuousQuery {
        /// Database.
        database: String,
        /// Name.
        name: String,
        /// The whole statement, complete with databases and policies.
        text: String,
    },
    /// DROP CONTINUOUS QUERY. A missing one is no error.
    DropContinuousQuery {
        /// Database.
        database: String,
        /// Name.
        name: String,
    },
    /// CREATE SUBSCRIPTION.
    CreateSubscription {
        /// Database.
        database: String,
        /// Its retention policy.
        policy: String,
        /// Name.
        name: String,
        /// Rows go to one of the destinations, not to all.
        any: bool,
        /// URLs.
        destinations: Vec<String>,
    },
    /// DROP SUBSCRIPTION.
    DropSubscription {
        /// Database.
        database: String,
        /// Its retention policy.
        policy: String,
        /// Name.
        name: String,
    },
    /// DROP MEASUREMENT: the tables of that name of all policies. None is no error.
    DropMeasurement {
        /// Database.
        database: String,
        /// Name.
        name: String,
    },
}

/// What ALTER DATABASE changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseChange {
    /// TTL: how long the default policy keeps rows, in nanoseconds; `None` without end.
    Ttl(Option<i64>),
    /// VNODE_DURATION: length of a time partition of tables made from now on, in nanoseconds.
    PartitionLength {
        /// The length.
        partition_ns: i64,
        /// What was asked for, of which the length is the whole milliseconds.
        asked_ns: i64,
    },
    /// SHARD, which is kept and shown.
    Shard(u64),
    /// REPLICA, which is kept and shown.
    Replica(u64),
}

/// What ALTER TABLE changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableChange {
    /// ADD FIELD, ADD TAG.
    AddColumn {
        /// Name.
        name: String,
        /// Tag or field.
        kind: ColumnKind,
        /// The codec of a field that has another than the default; it suits the field.
        codec: Option<Codec>,
        /// The shapes that a field of text holds.
        geometry: Option<Geometry>,
    },
    /// DROP.
    DropColumn {
        /// Name.
        name: String,
    },
    /// RENAME COLUMN: its rows stay as they are.
    RenameColumn {
        /// Name.
        name: String,
        /// The name from then on.
        to: String,
    },
}

/// What InfluxQL says of a retention policy; `None` where it says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyOptions {
    /// DURATION in nanoseconds; 0 for no end.
    pub duration_ns: Option<i64>,
    /// REPLICATION.
    pub replication: Option<u32>,
    /// SHARD DURATION in nanoseconds; 0 for one that suits the duration.
    pub shard_duration_ns: Option<i64>,
    /// DEFAULT.
    pub make_default: bool,
}
