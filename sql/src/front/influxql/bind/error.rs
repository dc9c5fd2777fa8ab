//! What can be wrong with a statement once its text is read, in the words of InfluxDB, which its clients match.

use thiserror::Error;

use crate::error::SqlError;
use crate::error::execution::ExecError;

/// Why a statement cannot be run.
#[derive(Debug, Clone, PartialEq, Error)]
#[expect(missing_docs, reason = "each variant is the sentence that it says")]
pub enum BindError {
    #[error("database name required")]
    DatabaseUnnamed,
    #[error("database not found: {0}")]
    DatabaseUnknown(String),
    #[error("retention policy not found: {0}")]
    PolicyUnknown(String),
    #[error("user not found")]
    UserUnknown,
    #[error("no such query id: {0}")]
    QueryUnknown(u64),
    #[error("invalid subscription URL: {0}")]
    SubscriptionUrl(String),
    #[error("query interrupted")]
    Interrupted,
    #[error("unable to use system source '{name}': use {instead} instead")]
    SystemSource { name: String, instead: &'static str },
    #[error("DROP SERIES doesn't support time in WHERE clause")]
    TimeInDropSeries,
    #[error("{0} doesn't support time in WHERE clause")]
    TimeInShow(&'static str),
    #[error("shard 1: fields not supported in WHERE clause during deletion")]
    FieldInDelete,
    #[error("invalid tag comparison operator")]
    FieldInShow,
    #[error("invalid operation: time and *influxql.{0} are not compatible")]
    NoTime(&'static str),
    #[error("invalid timestamp string")]
    Timestamp,
    #[error("time {0} overflows time literal")]
    TimeOverflow(i128),
    #[error("time {0} underflows time literal")]
    TimeUnderflow(i128),
    #[error("invalid time comparison operator: {0}")]
    TimeOperator(&'static str),
    #[error("invalid condition expression: {0}")]
    Condition(String),
    #[error("invalid function call in condition: {0}")]
    CallInCondition(String),
    #[error("max-select-buckets limit exceeded: ({windows}/{windows_max})")]
    TooManyWindows { windows: i128, windows_max: u64 },
    /// What is wrong with the fields, dimensions and clauses of a SELECT.
    #[error("{0}")]
    Select(String),
    #[error("type error: {left} {op} {right}: {reason}")]
    Type { left: String, op: &'static str, right: String, reason: String },
    /// InfluxQL that this server does not run, yet.
    #[error("not supported yet: {0}")]
    Unsupported(&'static str),
    /// What the engine itself refuses.
    #[error("{0}")]
    Engine(String),
}

/// Why a SELECT cannot be run.
#[derive(Debug, Error)]
pub enum SelectError {
    /// What it says.
    #[error(transparent)]
    Refused(#[from] BindError),
    /// It was stopped: by the memory that binding it took, its deadline, or its client.
    #[error(transparent)]
    Stopped(#[from] ExecError),
}

impl BindError {
    /// A refusal of a SELECT in these words.
    pub(super) fn select(words: impl Into<String>) -> Self {
        Self::Select(words.into())
    }
}

impl From<SqlError> for BindError {
    fn from(error: SqlError) -> Self {
        Self::Engine(error.to_string())
    }
}
