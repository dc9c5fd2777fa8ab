//! A statement of SQL as it is written.

use sqlparser::ast::{self, Ident, ObjectName};
use tidewire_storage::schema::{ColumnKind, DatabaseOptions, ExternalColumn, FileFormat, Geometry};

use crate::error::GeometryError;
use crate::statement::{DatabaseChange, NewUser, UserAlteration};
use crate::tenancy::TenantStatement;

/// A statement as written, names not yet looked up.
#[derive(Debug)]
pub(crate) enum Parsed {
    Empty,
    Query(Box<ast::Query>),
    Explain {
        query: Box<ast::Query>,
        analyze: bool,
        verbose: bool,
    },
    CreateDatabase {
        name: Ident,
        if_not_exists: bool,
        options: DatabaseOptions,
    },
    DropDatabase {
        name: Ident,
        if_exists: bool,
    },
    CreateTable {
        name: ObjectName,
        if_not_exists: bool,
        columns: Vec<ColumnDefinition>,
        tags: Vec<Ident>,
    },
    CreateExternal {
        name: ObjectName,
        if_not_exists: bool,
        columns: Vec<ExternalColumn>,
        format: FileFormat,
        location: String,
    },
    CopyOut {
        location: String,
        source: CopySource,
        format: FileFormat,
    },
    CopyIn {
        table: ObjectName,
        columns: Vec<Ident>,
        location: String,
        format: FileFormat,
    },
    CreateUser {
        name: Ident,
        if_not_exists: bool,
        user: NewUser,
    },
    AlterUser {
        name: Ident,
        alteration: UserAlteration,
    },
    Tenant(TenantStatement),
    DropUser {
        name: Ident,
        if_exists: bool,
    },
    DropTable {
        name: ObjectName,
        if_exists: bool,
    },
    AlterDatabase {
        name: Ident,
        change: DatabaseChange,
    },
    AlterTable {
        name: ObjectName,
        alteration: TableAlteration,
    },
    SetCodec {
        table: ObjectName,
        column: Ident,
        codec: Ident,
    },
    Delete {
        table: ObjectName,
        alias: Option<Ident>,
        predicate: Option<Box<ast::Expr>>,
    },
    DescribeTable(ObjectName),
    DescribeDatabase(Ident),
    ShowDatabases,
    ShowQueries,
    ShowTables {
        database: Option<Ident>,
    },
    ShowSeries(Box<ShowOfTable>),
    ShowTagValues {
        show: Box<ShowOfTable>,
        tags: TagNames,
    },
    Compact {
        database: Ident,
    },
    Update {
        table: ObjectName,
        assignments: Vec<(Ident, ast::Expr)>,
        predicate: Option<Box<ast::Expr>>,
    },
    Insert {
        table: ObjectName,
        columns: Vec<Ident>,
        source: Box<ast::Query>,
    },
}

/// What COPY INTO a file copies.
#[derive(Debug)]
pub(crate) enum CopySource {
    Table(ObjectName),
    Query(Box<ast::Query>),
}

/// What of a table SHOW is about.
#[derive(Debug)]
pub(crate) struct ShowOfTable {
    pub(crate) database: Option<Ident>,
    pub(crate) table: ObjectName,
    pub(crate) predicate: Option<Box<ast::Expr>>,
    pub(crate) order_by: Option<ast::OrderBy>,
    pub(crate) limit: Option<ast::LimitClause>,
}

/// The tags of SHOW TAG VALUES: these, or all others.
#[derive(Debug)]
pub(crate) struct TagNames {
    pub(crate) names: Vec<Ident>,
    pub(crate) negated: bool,
}

/// What ALTER TABLE does.
#[derive(Debug)]
pub(crate) enum TableAlteration {
    Add(ColumnDefinition),
    Drop(Ident),
    Rename { name: Ident, to: Ident },
}

/// A column of CREATE TABLE.
#[derive(Debug)]
pub(crate) struct ColumnDefinition {
    pub(crate) name: Ident,
    pub(crate) kind: ColumnType,
    /// CODEC(…), as written.
    pub(crate) codec: Option<Ident>,
}

/// A column's type: one that can be stored, or the words of one that cannot.
#[derive(Debug)]
pub(crate) enum ColumnType {
    Stored(ColumnKind),
    /// Text that is of such shapes.
    Geometry(Geometry),
    /// GEOMETRY of something else, as written, and what is wrong with it.
    NoGeometry(String, GeometryError),
    Timestamp,
    Other(String),
}
