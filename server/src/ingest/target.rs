//! Where the rows of a request go, and what the catalog says of that.

use std::sync::Arc;

use tidewire_protocol::line::Dialect;
use tidewire_storage::schema::{Catalog, TableSchema, TimeUnit, database_name};

use super::error::WriteError;
use super::sink::RowRules;

/// Where the rows of a request go, and by which rules.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Database, as written.
    pub database: &'a str,
    /// Its retention policy; `None` for the default one.
    pub policy: Option<&'a str>,
    /// Whose rules lines follow, for whose parsers differ; other doors have one cache for all.
    pub dialect: Dialect,
    /// What becomes of rows that cannot be taken as they are.
    pub rules: RowRules,
    /// The request's present, which the age of rows is counted from.
    pub now_ns: i64,
}

/// What the catalog says of a request's database and retention policy.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    /// The policy's name.
    pub(super) policy: Arc<str>,
    /// Unit of the database's times.
    pub(super) unit: TimeUnit,
    /// Rows before this time are too old to be kept.
    pub(super) time_min: i64,
}

impl Terms {
    /// The terms of `target`. Where that names no policy it is `policy` if the database has it, else the default one.
    pub(super) fn of(target: &Target<'_>, policy: Option<&str>, catalog: &Catalog) -> Result<Self, WriteError> {
        let Some(database) = catalog.databases.get(target.database) else {
            return Err(WriteError::DatabaseNotFound(database_name(target.database).to_owned()));
        };
        let known = policy.filter(|name| database.policy(name).is_some());
        let name = target.policy.or(known).unwrap_or(&database.default_policy);
        let Some(policy) = database.policy(name) else {
            return Err(WriteError::PolicyNotFound(name.to_owned()));
        };
        Ok(Self {
            policy: policy.name.clone(),
            unit: database.precision,
            time_min: policy.time_min(target.now_ns, database.precision),
        })
    }
}

/// Where the tables of a request are.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Database.
    pub database: &'a str,
    /// Its retention policy.
    pub policy: &'a str,
}

impl Place<'_> {
    /// The table called `name` as `catalog` has it.
    pub fn table<'c>(&self, catalog: &'c Catalog, name: &str) -> Option<&'c Arc<TableSchema>> {
        catalog.table_of(self.database, self.policy, name)
    }
}
