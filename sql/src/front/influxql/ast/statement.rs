//! Statements as they are written, as data.

use super::expr::Expr;
use super::select::{Measurement, Select};
use crate::statement::PolicyOptions;

/// A statement.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "fields are named by the clause they hold")]
pub enum Statement {
    /// `SELECT …`
    Select(Box<Select>),
    /// `EXPLAIN [ANALYZE] SELECT …`
    Explain { select: Box<Select>, analyze: bool },
    /// `CREATE DATABASE name [WITH …]`; WITH names the first policy and how it is to be.
    CreateDatabase { name: String, policy: Option<(String, PolicyOptions)> },
    /// `DROP DATABASE name`
    DropDatabase { name: String },
    /// `SHOW DATABASES`
    ShowDatabases,
    /// `CREATE RETENTION POLICY name ON database DURATION d REPLICATION n [SHARD DURATION d] [DEFAULT]`
    CreatePolicy { name: String, database: String, options: PolicyOptions },
    /// `ALTER RETENTION POLICY name ON database …`
    AlterPolicy { name: String, database: String, options: PolicyOptions },
    /// `DROP RETENTION POLICY name ON database`
    DropPolicy { name: String, database: String },
    /// `SHOW RETENTION POLICIES [ON database]`
    ShowPolicies { database: Option<String> },
    /// `SHOW … CARDINALITY`
    ShowCardinality(Cardinality),
    /// `SHOW MEASUREMENTS`, `SERIES`, `TAG KEYS`, `TAG VALUES`, `FIELD KEYS`
    ShowSchema(ShowSchema),
    /// `DROP MEASUREMENT name`
    DropMeasurement { name: String },
    /// `DELETE …` or `DROP SERIES …`
    Delete(Delete),
    /// `DROP SHARD id`
    DropShard { id: u64 },
    /// `CREATE USER name WITH PASSWORD 'password' [WITH ALL PRIVILEGES]`
    CreateUser { name: String, password: String, admin: bool },
    /// `DROP USER name`
    DropUser { name: String },
    /// `SET PASSWORD FOR name = 'password'`
    SetPassword { name: String, password: String },
    /// `GRANT access [ON database] TO user`; without a database, everything.
    Grant { access: Access, database: Option<String>, user: String },
    /// `REVOKE access [ON database] FROM user`
    Revoke { access: Access, database: Option<String>, user: String },
    /// `SHOW USERS`
    ShowUsers,
    /// `SHOW GRANTS FOR user`
    ShowGrants { user: String },
    /// `CREATE CONTINUOUS QUERY …`
    CreateContinuousQuery(Box<ContinuousQuery>),
    /// `DROP CONTINUOUS QUERY name ON database`
    DropContinuousQuery { name: String, database: String },
    /// `SHOW CONTINUOUS QUERIES`
    ShowContinuousQueries,
    /// `CREATE SUBSCRIPTION name ON database.policy DESTINATIONS ALL|ANY 'url', …`
    CreateSubscription { name: String, database: String, policy: String, any: bool, destinations: Vec<String> },
    /// `DROP SUBSCRIPTION name ON database.policy`
    DropSubscription { name: String, database: String, policy: String },
    /// `SHOW SUBSCRIPTIONS`
    ShowSubscriptions,
    /// `SHOW QUERIES`
    ShowQueries,
    /// `KILL QUERY id [ON 'host']`
    KillQuery { id: u64, host: Option<String> },
    /// `SHOW SHARDS`
    ShowShards,
    /// `SHOW SHARD GROUPS`
    ShowShardGroups,
    /// `SHOW STATS [FOR 'module']`
    ShowStats { module: Option<String> },
    /// `SHOW DIAGNOSTICS [FOR 'module']`
    ShowDiagnostics { module: Option<String> },
}

/// What a grant lets a user do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// READ.
    Read,
    /// WRITE.
    Write,
    /// ALL PRIVILEGES.
    All,
}

/// A continuous query.
#[derive(Debug, Clone, PartialEq)]
pub struct ContinuousQuery {
    /// Name.
    pub name: String,
    /// Database.
    pub database: String,
    /// RESAMPLE EVERY, in nanoseconds.
    pub every_ns: Option<i64>,
    /// RESAMPLE FOR, in nanoseconds.
    pub for_ns: Option<i64>,
    /// RESAMPLE LATE, in nanoseconds.
    pub late_ns: Option<i64>,
    /// What it runs.
    pub select: Select,
}

/// What a statement wants to know the number of.
#[derive(Debug, Clone, PartialEq)]
pub struct Cardinality {
    /// What is counted.
    pub of: Counted,
    /// EXACT: counted, not estimated.
    pub exact: bool,
    /// ON; the request's database without.
    pub database: Option<String>,
    /// FROM; all measurements where it is empty.
    pub from: Vec<Measurement>,
    /// WITH KEY, of tag values.
    pub keys: Option<TagKeys>,
    /// WHERE.
    pub condition: Option<Expr>,
    /// GROUP BY.
    pub dimensions: Vec<Expr>,
    /// LIMIT; 0 for none.
    pub limit: u64,
    /// OFFSET.
    pub offset: u64,
}

/// Things that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Series.
    Series,
    /// Measurements.
    Measurements,
    /// Tag keys.
    TagKeys,
    /// Values of tags.
    TagValues,
    /// Field keys.
    FieldKeys,
}

/// What is shown of the schema.
#[derive(Debug, Clone, PartialEq)]
pub struct ShowSchema {
    /// What.
    pub kind: ShowKind,
    /// ON; the request's database without.
    pub database: Option<String>,
    /// FROM, or WITH MEASUREMENT; all measurements where it is empty.
    pub from: Vec<Measurement>,
    /// WHERE.
    pub condition: Option<Expr>,
    /// LIMIT; 0 for none.
    pub limit: u64,
    /// OFFSET.
    pub offset: u64,
}

/// What is shown.
#[derive(Debug, Clone, PartialEq)]
pub enum ShowKind {
    /// Measurements.
    Measurements,
    /// Series.
    Series,
    /// Tag keys.
    TagKeys,
    /// Values of these tags.
    TagValues(TagKeys),
    /// Field keys.
    FieldKeys,
}

/// `WITH KEY …`
#[derive(Debug, Clone, PartialEq)]
pub enum TagKeys {
    /// `= key`, `IN (key, …)`
    In(Vec<String>),
    /// `!= key`
    NotEq(String),
    /// `=~ /…/`
    Matches(super::expr::Regex),
    /// `!~ /…/`
    NotMatches(super::expr::Regex),
}

impl TagKeys {
    /// Whether a tag of this name is meant.
    pub fn names(&self, name: &str) -> bool {
        match self {
            Self::In(names) => names.iter().any(|known| known == name),
            Self::NotEq(other) => other != name,
            Self::Matches(regex) => regex.matches.is_match(name),
            Self::NotMatches(regex) => !regex.matches.is_match(name),
        }
    }
}

/// `DELETE [FROM sources] [WHERE condition]` or `DROP SERIES [FROM sources] [WHERE condition]`
#[derive(Debug, Clone, PartialEq)]
pub struct Delete {
    /// DROP SERIES: rows of all times go, and a time in WHERE is refused.
    pub series: bool,
    /// Measurements, without database or policy; all of the database where none is named.
    pub sources: Vec<Measurement>,
    /// WHERE.
    pub condition: Option<Expr>,
}
