//! What can stop a query that was bound: the data (division by zero, a cast), a bound (memory, time), the caller
//! (cancelled) or the shard.

use arrow_schema::ArrowError;

/// An error of execution. Clients read the words of the API that they speak; `Display` is for logs.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// A kernel refused the data: division by zero, a cast that does not convert.
    #[error("{0}")]
    Arrow(#[from] ArrowError),
    /// An integer that an operator, a function or an aggregate comes to is beyond its type.
    #[error("{of} overflows{}", values.as_ref().map(|values| format!(": {values}")).unwrap_or_default())]
    Overflow {
        /// The expression, with names of its columns where they are known.
        of: String,
        /// What happened, with the values.
        values: Option<String>,
    },
    /// The shard could not read what was asked for.
    #[error("{0}")]
    Storage(#[from] tidewire_storage::Error),
    /// The query's operators hold more memory than it may use.
    #[error("the query needs more than its limit of {limit_bytes} bytes of memory")]
    Memory {
        /// The limit.
        limit_bytes: u64,
    },
    /// Text that an expression makes of several rows at once is more than is made at once. Those who handed the rows in
    /// hand in fewer; only where they cannot is it the query's error.
    #[error("an expression makes {bytes} bytes of text of some rows at once, which is more than is made")]
    TextTooLong {
        /// How much it would be.
        bytes: u64,
    },
    /// All queries together hold as much memory as they may, or the server is short of it.
    #[error(
        "the queries that run hold {used_bytes} of {limit_bytes} bytes of memory and this one \
         needs more; try again later"
    )]
    ServerMemory {
        /// What they held.
        used_bytes: u64,
        /// What they may hold.
        limit_bytes: u64,
    },
    /// The query ran past its deadline.
    #[error("the query ran longer than its limit of {limit_ms} ms")]
    Timeout {
        /// The limit.
        limit_ms: u64,
    },
    /// The query reads more series than a query may.
    #[error("the query reads {series} series, the bound is {series_max}")]
    TooManySeries {
        /// How many it reads, as far as was counted.
        series: u64,
        /// The bound.
        series_max: u64,
    },
    /// The query reads more rows than a query may.
    #[error("the query has read {rows} rows, the bound is {rows_max}")]
    TooManyRows {
        /// How many it has read.
        rows: u64,
        /// The bound.
        rows_max: u64,
    },
    /// The client went away or somebody killed the query.
    #[error("the query was cancelled")]
    Cancelled,
    /// The values given do not make sense to a function.
    #[error("{0}")]
    Execution(String),
    /// A combination of types or arguments that the engine cannot compute.
    #[error("not supported: {0}")]
    NotImplemented(String),
    /// The plan contradicts itself: a fault of the binder or of the cut, never of the user.
    #[error("BUG: {0}")]
    Internal(String),
}

/// Result alias of execution.
pub(crate) type Result<T, E = ExecError> = std::result::Result<T, E>;
