//! What went wrong with a request, in the words of no API.
//!
//! A handler returns a [`Fault`]; only the `error` file of the endpoint's family turns it into a status, headers and a
//! body ([`FaultReply`]). The sentences here are for what no family has words of its own for.

use arrow_schema::ArrowError;
use tidewire_protocol::encode::EncodeError;
use tidewire_protocol::encode::influx::UnsupportedValue;
use tidewire_protocol::http::{BadQuery, Method};
use tidewire_protocol::row::RowError;
use tidewire_sql::SqlError;
use tidewire_sql::exec::ExecError;
use tidewire_sql::influxql::{BindError, ParseError};

use crate::ingest::error::WriteError;
use crate::ingest::session::Written;
use crate::memory::account::Shortage;
use crate::net::BodyError;
use crate::query::delete::DeleteError;
use crate::query::prepare::PrepareError;
use tidewire_base::catalog::CatalogError;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No endpoint has the path.
    #[error("no such path")]
    PathUnknown,
    /// The endpoint has other methods.
    #[error("the path has other methods")]
    MethodUnknown {
        /// Those.
        allowed: &'static [Method],
    },
    /// The request never reached a handler: a bad head, a timeout, a server that stops.
    #[error("{reason}")]
    Refused {
        /// The status that HTTP has for it.
        status: u16,
        /// What was wrong.
        reason: String,
    },

    /// A parameter cannot be decoded.
    #[error("bad query parameter {name}: {error}")]
    Parameter {
        /// Its name.
        name: &'static str,
        /// What is wrong with it.
        error: BadQuery,
    },
    /// A parameter that must be there is not.
    #[error("the parameter {0} is missing")]
    ParameterMissing(&'static str),
    /// The endpoint has no such parameter.
    #[error("there is no parameter {0:?} here")]
    ParameterUnknown(String),
    /// A header that says where rows go is not UTF-8.
    #[error("the header {0} is not UTF-8")]
    HeaderOpaque(&'static str),
    /// A parameter has a value that it cannot have.
    #[error("the parameter {name} cannot be {value:?}")]
    ParameterValue {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
    },
    /// `precision` is no unit that InfluxDB's API has.
    #[error("there is no unit {0:?} of times")]
    Precision(String),
    /// `chunked` is neither true nor false.
    #[error("chunked is true or false, not {0:?}")]
    Chunked(String),
    /// `consistency` is no level that there is.
    #[error("there is no consistency level {0:?}")]
    Consistency(String),
    /// The database must be named in the URL and is not.
    #[error("the parameter db is missing")]
    DatabaseMissing,
    /// The statement needs a database and names none.
    #[error("the statement names no database")]
    DatabaseUnnamed,
    /// There is no statement.
    #[error("the parameter q is missing")]
    StatementMissing,
    /// `Accept` names a type of another kind than replies have.
    #[error("no reply is of the type {0:?}")]
    AcceptType(String),
    /// `Accept` names a format that is none of the replies'.
    #[error("no reply is of the format {0:?}")]
    AcceptFormat(String),
    /// `Accept-Encoding` leaves no coding to send the reply in.
    #[error("no reply is coded as {0:?}")]
    AcceptEncoding(String),
    /// The body cannot be had.
    #[error(transparent)]
    Body(#[from] BodyError),

    /// The body as a whole is not what the endpoint reads.
    #[error(transparent)]
    Unreadable(#[from] RowError),
    /// The body is of a type that the endpoint does not read.
    #[error("a body of the type {0:?} is not read here")]
    ContentType(String),

    /// The SQL is no statement that can be run.
    #[error(transparent)]
    Statement(#[from] SqlError),
    /// The InfluxQL is no text of statements.
    #[error(transparent)]
    Influxql(#[from] ParseError),
    /// A statement of InfluxQL asks for what its databases do not let it.
    #[error(transparent)]
    Unfit(#[from] BindError),
    /// What statements refer to by name cannot be bound.
    #[error("{0}")]
    QueryParameters(String),
    /// No such database.
    #[error("there is no database {0:?}")]
    DatabaseUnknown(String),
    /// The catalog does not change.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A table is not dropped.
    #[error(transparent)]
    DropTable(CatalogError),

    /// Nothing of the request is written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Some rows are written and others are not.
    #[error("{}", partly(.0))]
    Partial(Box<Written>),

    /// As many queries run as may.
    #[error("{queries_max} queries run already; try again later")]
    TooManyQueries {
        /// How many may.
        queries_max: u64,
    },
    /// Memory is too short for another query.
    #[error("no query is begun now: {0}; try again later")]
    QueryShortOfMemory(Shortage),
    /// A query failed while it ran.
    #[error(transparent)]
    Query(#[from] ExecError),
    /// Rows are not deleted, or not all of them.
    #[error(transparent)]
    Delete(#[from] DeleteError),
    /// The format cannot show a column.
    #[error(transparent)]
    Unshown(#[from] EncodeError),
    /// The format cannot show what the query came to.
    #[error("cannot write the result: {0}")]
    Unwritten(EncodeError),
    /// The format cannot show a value.
    #[error(transparent)]
    UnshownValue(#[from] UnsupportedValue),
    /// The reply cannot be compressed.
    #[error("cannot compress the reply: {0}")]
    Compress(std::io::Error),
    /// What a statement did cannot be put into rows.
    #[error(transparent)]
    Rows(#[from] ArrowError),
}

impl From<PrepareError> for Fault {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Statement(error) => error.into(),
            PrepareError::TooLarge { .. } => Self::Body(BodyError::Refused { status: 413, reason: error.to_string() }),
            PrepareError::Query(error) => error.into(),
        }
    }
}

/// What is written and what is not.
fn partly(written: &Written) -> String {
    let (rows, bad) = (written.rows, &written.bad_rows);
    let refused = bad.unparsed + bad.dropped;
    match bad.kept.first() {
        Some(first) => format!("{rows} rows are written, {refused} are not, the first of these at {first}"),
        None => format!("{rows} rows are written, {refused} are not"),
    }
}

/// A fault in the words of an API family.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct FaultReply {
    /// HTTP status.
    pub status: u16,
    /// Headers beside those that all replies of the family have.
    pub headers: Vec<(&'static str, String)>,
    /// Type of the body; `None` where there is none.
    pub content_type: Option<&'static str>,
    /// The body.
    pub body: Vec<u8>,
}

impl FaultReply {
    /// Whether trying again later makes sense: then the reply says `Retry-After`.
    pub fn is_for_now(&self) -> bool {
        matches!(self.status, 429 | 503)
    }
}

/// The value of `Allow`.
pub fn allow(methods: &[Method]) -> (&'static str, String) {
    ("Allow", methods.iter().map(|method| method.token()).collect::<Vec<_>>().join(", "))
}
