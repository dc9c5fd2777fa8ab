//! Statements as data.

use super::cardinality::Cardinality;
use super::delete::Delete;
use crate::statement::PolicyOptions;

/// A statement of this floor.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    /// `CREATE DATABASE name [WITH …]`
    CreateDatabase {
        /// Name.
        name: String,
        /// WITH …: name of the first policy, and how it is to be.
        policy: Option<(String, PolicyOptions)>,
    },
    /// `DROP DATABASE name`
    DropDatabase {
        /// Name.
        name: String,
    },
    /// `SHOW DATABASES`
    ShowDatabases,
    /// `CREATE RETENTION POLICY name ON database DURATION d REPLICATION n [SHARD DURATION d] [DEFAULT]`
    CreatePolicy {
        /// Name.
        name: String,
        /// Database.
        database: String,
        /// How it is to be.
        options: PolicyOptions,
    },
    /// `ALTER RETENTION POLICY name ON database …`
    AlterPolicy {
        /// Name.
        name: String,
        /// Database.
        database: String,
        /// What changes.
        options: PolicyOptions,
    },
    /// `DROP RETENTION POLICY name ON database`
    DropPolicy {
        /// Name.
        name: String,
        /// Database.
        database: String,
    },
    /// `SHOW RETENTION POLICIES [ON database]`
    ShowPolicies {
        /// Database, if not that of the request.
        database: Option<String>,
    },
    /// `SHOW SERIES CARDINALITY` and its kin.
    ShowCardinality(Cardinality),
    /// `DROP MEASUREMENT name`
    DropMeasurement {
        /// Name.
        name: String,
    },
    /// `DELETE …` or `DROP SERIES …`
    Delete(Delete),
}
