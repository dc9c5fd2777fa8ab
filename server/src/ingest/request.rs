//! What a request wants, and what its rows are read by.

use std::sync::Arc;

use tidewire_protocol::line::{Dialect, TimeRule};
use tidewire_storage::schema::{Catalog, TableSchema, TimeUnit};

use super::error::WriteError;
use super::fault::BadRowLog;
use super::sink::RowRules;

/// Unit of the timestamps of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Hours.
    Hour,
    /// Minutes.
    Minute,
    /// Seconds.
    Second,
    /// Milliseconds.
    Millisecond,
    /// Microseconds.
    Microsecond,
    /// Nanoseconds.
    Nanosecond,
}

impl Precision {
    const fn nanoseconds(self) -> i64 {
        match self {
            Self::Hour => 3_600_000_000_000,
            Self::Minute => 60_000_000_000,
            Self::Second => 1_000_000_000,
            Self::Millisecond => 1_000_000,
            Self::Microsecond => 1_000,
            Self::Nanosecond => 1,
        }
    }
}

/// A write request without its body.
#[derive(Debug, Clone, Copy)]
pub struct WriteRequest<'a> {
    /// Database, as written.
    pub database: &'a str,
    /// Its retention policy; `None` for the default one.
    pub policy: Option<&'a str>,
    /// Whose rules the lines follow.
    pub dialect: Dialect,
    /// What becomes of rows that cannot be taken as they are.
    pub rules: RowRules,
    /// Unit of the timestamps.
    pub precision: Precision,
    /// The request's present: the time of lines without one, and what the age of rows is counted from.
    pub now_ns: i64,
}

/// What became of a request whose good rows are durable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows that are durable.
    pub rows: u64,
    /// Rows that are not, where the others were kept.
    pub bad_rows: BadRowLog,
}

/// What the rows of a request are read by: what the catalog says of its database and retention policy.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    /// The policy's name.
    pub(super) policy: Arc<str>,
    /// Unit of the database's timestamps.
    pub(super) unit: TimeUnit,
    /// Rows before this time are too old to be kept.
    pub(super) time_min: i64,
    /// What timestamps become.
    pub(super) rule: TimeRule,
}

impl Terms {
    /// The terms of `request`. Where it names no policy it is `policy` if the database has that, else the default one.
    pub(super) fn of(request: &WriteRequest<'_>, policy: Option<&str>, catalog: &Catalog) -> Result<Self, WriteError> {
        let Some(database) = catalog.databases.get(request.database) else {
            return Err(WriteError::DatabaseNotFound(request.database.to_owned()));
        };
        let known = policy.filter(|name| database.policy(name).is_some());
        let name = request.policy.or(known).unwrap_or(&database.default_policy);
        let Some(policy) = database.policy(name) else {
            return Err(WriteError::PolicyNotFound(name.to_owned()));
        };
        Ok(Self {
            policy: policy.name.clone(),
            unit: database.precision,
            time_min: policy.time_min(request.now_ns, database.precision),
            rule: time_rule(request.precision, database.precision, request.now_ns),
        })
    }
}

fn time_rule(precision: Precision, unit: TimeUnit, now_ns: i64) -> TimeRule {
    let (from, to) = (precision.nanoseconds(), unit.nanoseconds());
    TimeRule { multiply: (from / to).max(1), divide: (to / from).max(1), now: now_ns / to }
}

/// Where the tables of a request are.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Database.
    pub database: &'a str,
    /// Its retention policy.
    pub policy: &'a str,
}

impl Target<'_> {
    /// The table called `name` as `catalog` has it.
    pub fn table<'c>(&self, catalog: &'c Catalog, name: &str) -> Option<&'c Arc<TableSchema>> {
        catalog.table_of(self.database, self.policy, name)
    }
}
