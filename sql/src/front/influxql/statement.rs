//! Statements as they are written, as data.

use crate::deletion::TagMatch;
use crate::statement::PolicyOptions;

/// A statement that is known here.
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

/// What a statement wants to know the number of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cardinality {
    /// What is counted.
    pub of: Counted,
    /// EXACT: counted, not estimated.
    pub exact: bool,
    /// ON; the request's database without.
    pub database: Option<String>,
    /// FROM; all measurements where it is empty.
    pub from: Vec<String>,
}

/// Things that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Series.
    Series,
    /// Measurements.
    Measurements,
}

/// `DELETE [FROM sources] [WHERE condition]` or `DROP SERIES [FROM sources] [WHERE condition]`
#[derive(Debug, Clone, PartialEq)]
pub struct Delete {
    /// DROP SERIES: rows of all times go, and a time in WHERE is refused.
    pub series: bool,
    /// Measurements; all of the database where none is named.
    pub sources: Vec<TagMatch>,
    /// WHERE.
    pub condition: Option<Condition>,
}

/// A condition as written.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// All hold.
    And(Vec<Condition>),
    /// One holds.
    Or(Vec<Condition>),
    /// A comparison.
    Compare {
        /// Left side.
        left: Operand,
        /// `=`, `!=`, `=~`, `!~`, `<`, `<=`, `>`, `>=`.
        operator: &'static str,
        /// Right side.
        right: Operand,
    },
}

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// A name.
    Name(String),
    /// A string.
    Text(String),
    /// A regular expression.
    Regex(TagMatch),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Number(f64),
    /// A duration in nanoseconds.
    Duration(i64),
    /// TRUE or FALSE.
    Bool(bool),
    /// `now()`
    Now,
    /// Terms to add, each with whether it is taken away.
    Sum(Vec<(bool, Operand)>),
}
