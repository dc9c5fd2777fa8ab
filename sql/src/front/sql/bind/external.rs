//! Tables over files, and COPY INTO from and to files.
//!
//! The folders that files may lie in are the server's and of no database: only an administrator names a file.
//! A table over files is read by all who may read its database.

use std::sync::Arc;

use sqlparser::ast::{Ident, ObjectName};
use tidewire_storage::schema::{Access, ExternalColumn, ExternalTable, FileFormat, Need};

use super::binder::Binder;
use super::relation::Relation;
use super::scope::{Qualifier, ScopeColumn};
use super::statement::BoundStatement;
use crate::copy::{CopyIn, CopyInto};
use crate::error::SqlError;
use crate::front::sql::parse::{CopySource, fold};
use crate::plan::{ExternalScan, Plan};
use crate::statement::{Definition, Statement};

impl Binder<'_> {
    /// The table over files of that name, if it is one.
    pub(super) fn external(&self, database: &str, table: &str) -> Option<&Arc<ExternalTable>> {
        self.catalog.databases.get(database)?.external.get(table)
    }

    /// All rows and columns of a table over files.
    pub(super) fn scan_external(
        &self,
        table: &Arc<ExternalTable>,
        qualifier: &Qualifier,
    ) -> Result<Relation, SqlError> {
        self.budget.take_columns(table.columns.iter().map(|column| &*column.name))?;
        let column = |column: &ExternalColumn| ScopeColumn {
            qualifier: Some(qualifier.clone()),
            name: column.name.to_string(),
            data_type: column.kind.data_type(),
            window_ns: None,
            is_merged: false,
        };
        let columns = table.columns.iter().map(column).collect();
        Ok(Relation { plan: Plan::External(ExternalScan::all(Arc::clone(table))), columns })
    }

    pub(super) fn create_external(
        &self,
        name: &ObjectName,
        if_not_exists: bool,
        columns: Vec<ExternalColumn>,
        format: FileFormat,
        location: String,
    ) -> Result<Statement, SqlError> {
        self.require(Need::Admin)?;
        let (database, name) = self.target(name)?;
        let table = ExternalTable { name: name.into(), columns, format, location: location.into() };
        Ok(match table.columns.is_empty() {
            true => Statement::CreateExternal { database, if_not_exists, table },
            false => Statement::Define(Definition::CreateExternal { database, if_not_exists, table: Arc::new(table) }),
        })
    }

    pub(super) fn copy_out(
        &self,
        source: &CopySource,
        location: String,
        format: FileFormat,
    ) -> Result<BoundStatement, SqlError> {
        self.require(Need::Admin)?;
        let plan = match source {
            CopySource::Query(query) => self.top_query(query)?,
            CopySource::Table(name) => self.scan(name, Access::READ)?.plan,
        };
        Ok(BoundStatement::CopyOut { plan, location: location.into(), format })
    }

    pub(super) fn copy_in(
        &self,
        name: &ObjectName,
        columns: &[Ident],
        location: String,
        format: FileFormat,
    ) -> Result<Statement, SqlError> {
        self.require(Need::Admin)?;
        let (database, table, _) = self.table_name(name)?;
        let into = match self.external(&database, &table) {
            Some(table) => CopyInto::External(Arc::clone(table)),
            None => {
                let (database, table, _) = self.table(name, Access::WRITE)?;
                let time_min = self.time_min(&database, &table);
                CopyInto::Table { database: database.to_string(), table, time_min }
            }
        };
        let columns = columns.iter().map(fold).collect();
        Ok(Statement::CopyIn(CopyIn { into, columns, location: location.into(), format }))
    }
}
